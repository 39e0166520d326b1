"""The ledger as a page to read, and as Markdown."""
