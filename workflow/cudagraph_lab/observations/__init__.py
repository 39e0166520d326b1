"""The records of one data set, checked against each other, as one tidy table."""
