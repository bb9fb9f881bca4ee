"""`python -m tests.fleet`: workers that are killed, databases that restart, accounts that are shared, two tests at a time.

What takes longer is left out: `python -m pytest -m "fleet and long" tests/fleet`, and with many kills `-m chaos`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-n", "2", "-m", "fleet and not chaos and not long", str(Path(__file__).parent), *sys.argv[1:]]))
