"""Sandbox accounts for the workbench, the same as those of the stages; and the command line as people call it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.stages import conftest as stages
from tests.stages.conftest import Desk, desk

__all__ = ["desk"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def changed(desk: Desk) -> Callable[[Callable[[str], str]], Desk]:
    """The same desk under a changed spec: `changed(lambda text: text.replace(...))`."""
    return partial(stages.changed, desk)


@pytest.fixture
def run_etl(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs `etl` in an empty folder; its exit code and all it printed."""

    def run(*words: str) -> tuple[int, str]:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
        call = [sys.executable, "-m", "workbench", *words]
        done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr

    return run
