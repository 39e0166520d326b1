"""Figures: what the ledger says, drawn; the finding of each in words beside it."""
