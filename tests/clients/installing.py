"""How clients by other people are had: from a package index, from npm, or from a public repository; each in a folder of its own.

Only here something leaves the machine, outside the tests' guard. What was had once stays in `~/.cache/etl/clients`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = "ETL_CLIENTS"  # where clients are installed; ~/.cache/etl/clients without it


class Absent(RuntimeError):
    """A client is not on this machine and cannot be installed; the text says why."""


def cache() -> Path:
    """Where clients are kept between runs."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etl" / "clients"
    return Path(os.environ.get(CACHE) or default)


def from_index(name: str, version: str = "") -> Path:
    """A venv that holds `requirements/NAME.txt`, of this Python or of one of that version. Raises Absent."""
    wanted = HERE / "requirements" / f"{name}.txt"
    python = interpreter(name, version)

    def make(folder: Path) -> None:
        outside(name, python, "-m", "venv", "--clear", str(folder))
        outside(name, str(folder / "bin/python"), "-m", "pip", "install", "-q", "--no-input", "-r", str(wanted))

    return _once(name, f"{python}{wanted.read_text(encoding='utf-8')}", make)


def interpreter(name: str, version: str) -> str:
    """A Python of this version; the one that runs the tests where none is asked for. Raises Absent."""
    if not version:
        return sys.executable
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python3"))
    found = str(kept[-1]) if kept else shutil.which(f"python{version}")
    if found is None:
        raise Absent(f"{name} is left out: it needs Python {version}, and there is none here")
    return found


def from_npm(name: str) -> Path:
    """A folder whose `node_modules` holds what `requirements/NAME/package-lock.json` says. Raises Absent."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise Absent(f"{name} is left out: there is no node and npm here")
    wanted = HERE / "requirements" / name

    def make(folder: Path) -> None:
        shutil.copytree(wanted, folder, dirs_exist_ok=True)
        outside(name, "npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder))

    return _once(name, (wanted / "package-lock.json").read_text(encoding="utf-8"), make)


def from_repository(name: str, url: str, commit: str, *paths: str) -> Path:
    """A folder with these paths of one commit of a public repository. Raises Absent."""

    def make(folder: Path) -> None:
        git = ["git", "-C", str(folder)]
        folder.mkdir(parents=True, exist_ok=True)
        outside(name, *git, "init", "-q")
        outside(name, *git, "fetch", "-q", "--depth", "1", url, commit)
        outside(name, *git, "checkout", "-q", commit, "--", *paths)

    return _once(name, f"{url}{commit}{paths}", make)


def _once(name: str, wanted: str, make: Callable[[Path], None]) -> Path:
    mark = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    folder = cache() / f"{name}-{mark}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            (folder / "complete").touch()
    return folder


def outside(name: str, *command: str) -> None:
    """Run a command that may leave the machine. Raises Absent when it fails, with the last line it said."""
    plain = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        command, env={**plain, "GIT_TERMINAL_PROMPT": "0"}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise Absent(f"{name} is left out, it cannot be installed here: {said[-1][:200]} – or set {CACHE} to a folder that has it")
