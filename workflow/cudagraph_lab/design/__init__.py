"""Settled before the first measurement: arms, repeats, order, registered predictions, weights."""
