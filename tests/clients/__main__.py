"""`python -m tests.clients`: every client by other people against the Pipedrive emulator, two at a time, with its figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-n", "2", "-rsP", "-m", "clients", str(Path(__file__).parent), *sys.argv[1:]]))
