"""The configuration as typed values: checked once, then handed on in parts."""
