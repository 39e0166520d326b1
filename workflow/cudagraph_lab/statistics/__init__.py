"""Estimates, intervals and judgements on shapes, from observations that are grouped by process."""

LEVEL = 0.95  # of all intervals
