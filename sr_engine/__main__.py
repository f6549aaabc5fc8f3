"""`python -m sr_engine`: the same as the command `sr-engine`."""

from sr_engine.cli.main import main

main()
