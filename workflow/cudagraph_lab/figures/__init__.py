"""What the ledger says, drawn."""
