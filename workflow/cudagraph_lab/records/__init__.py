"""The record of one run: its model, its file, and which records may stand in one data set."""
