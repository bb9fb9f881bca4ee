"""`python -m tests.strangers`: every migration from and to servers by other people, two at a time, with its figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-n", "2", "-rsP", "-m", "strangers", str(Path(__file__).parent), *sys.argv[1:]]))
