"""`python -m tests.fleet`: workers that are killed, databases that restart, accounts that are shared, two tests at a time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-n", "2", "-m", "fleet and not chaos", str(Path(__file__).parent), *sys.argv[1:]]))
