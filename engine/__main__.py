"""`python -m engine` is `etl`."""

from engine.cli import main

main()
