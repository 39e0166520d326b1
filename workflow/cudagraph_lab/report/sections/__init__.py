"""The sections of the page, each from the indexed ledger to blocks."""
