"""The values of the catalogue's quantities, a module for each family."""
