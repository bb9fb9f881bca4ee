"""`python -m workbench` is `etl`."""

from workbench.cli import main

main()
