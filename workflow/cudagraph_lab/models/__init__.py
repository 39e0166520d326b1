"""Computed, never measured: launch models, extrapolation, capture ladders, costs, simulation."""
