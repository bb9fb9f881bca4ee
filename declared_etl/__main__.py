"""`python -m declared_etl` is `etl`."""

from workbench.__main__ import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
