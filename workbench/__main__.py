"""`python -m workbench` is `etl`."""

from __future__ import annotations

import sys


def main() -> None:
    """Start `etl`; interrupting it before it has begun shows no traceback."""
    try:
        from workbench.cli import main as start

        start()
    except KeyboardInterrupt:
        sys.stderr.write(
            "etl: interrupted; what was done is saved – run the same command again to"
            " go on\n"
        )
        sys.exit(130)


if __name__ == "__main__":
    main()
