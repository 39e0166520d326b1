"""Report: the ledger as one page to read, decided here and laid out by the templates."""
