"""The record of one run: what is asked of it, its model, and its file."""
