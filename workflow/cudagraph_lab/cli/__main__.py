"""`python -m cudagraph_lab.cli COMMAND`."""

from cudagraph_lab.cli import main

main()
