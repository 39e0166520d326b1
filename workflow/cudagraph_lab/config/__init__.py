"""The configuration as typed values: read and checked once, then handed on in parts."""
