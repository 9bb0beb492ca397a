"""`python -m sinograd.cli`: the command line where the script `sinograd` is not on the path."""

from sinograd.cli import main

main()
