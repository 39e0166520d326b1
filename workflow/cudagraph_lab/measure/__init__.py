"""One run in a fresh process: the machine, the watched process, its failures, its record."""
