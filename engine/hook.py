"""`etl validate` for several files, as pre-commit calls it."""

from __future__ import annotations

import subprocess
import sys


def main() -> int:
    """Check each file; the worst exit code of all."""
    codes = [subprocess.run([sys.executable, "-m", "engine", "validate", file], check=False).returncode for file in sys.argv[1:]]
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
