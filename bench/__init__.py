"""What the project costs, measured: `make bench`, or `python -m bench PART ...` for parts of it."""
