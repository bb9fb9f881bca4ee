"""Sandbox accounts for the workbench, the same as those of the stages; and the command line as people call it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.driving import etl_here
from tests.stages import conftest as stages
from tests.stages.conftest import Desk, desk, migrated, sampled

__all__ = ["desk", "migrated", "sampled"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def changed(request: pytest.FixtureRequest) -> Callable[[Callable[[str], str]], Desk]:
    """The test's desk under a changed spec: `changed(lambda text: text.replace(...))`."""
    desks = [name for name in ("migrated", "sampled", "desk") if name in request.fixturenames]
    return partial(stages.changed, request.getfixturevalue(desks[0]))


@pytest.fixture
def run_etl(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs `etl` in an empty folder; its exit code and all it printed.

    The first call of a test starts a process, those after it run in this one, which is quicker.
    """
    begun: list[bool] = []

    def run(*words: str) -> tuple[int, str]:
        started = _here if begun else _process
        begun.append(True)
        return started(tmp_path, words)

    return run


@pytest.fixture
def quick_etl(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """The same, always in this process: for tests of many cases."""
    return lambda *words: _here(tmp_path, words)


def _process(folder: Path, words: tuple[str, ...]) -> tuple[int, str]:
    """`etl` as a process."""
    paths = os.pathsep.join((str(ROOT), os.environ["PYTHONPATH"]))
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPYCACHEPREFIX") if name in os.environ}
    env = kept | {"PYTHONPATH": paths, "HOME": str(folder)}
    call = [sys.executable, "-m", "workbench", *words]
    done = subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout + done.stderr


def _here(folder: Path, words: tuple[str, ...]) -> tuple[int, str]:
    """`etl` in this process."""
    done = etl_here(*words, at=folder, env={"HOME": str(folder)})
    return done.code, done.out + done.err
