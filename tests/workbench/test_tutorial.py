"""The tutorial, command by command, in a fresh copy of the project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driving import HURRIED, checkout, etl_here

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "workbench" / "tutorial.md"
_BLOCK = re.compile(r"^```(sh|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDS = re.compile(r"#\s*ends with (\d+)")


def steps() -> Iterator[tuple[str, str]]:
    """Every command and every edit of the tutorial, in order."""
    for kind, text in _BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
        if kind == "diff":
            yield kind, text
        else:
            yield from ((kind, line) for line in text.splitlines() if line.strip())


def edit(folder: Path, text: str) -> None:
    """Apply an edit: the lines it takes away stand in the file exactly once."""
    name, *lines = text.splitlines()
    file = folder / name.removeprefix("--- ")
    old = "\n".join(line[1:] for line in lines if line[0] in " -")
    new = "\n".join(line[1:] for line in lines if line[0] in " +")
    before = file.read_text(encoding="utf-8")
    assert before.count(old) == 1, f"{file.name} has {before.count(old)} times:\n{old}"
    file.write_text(before.replace(old, new), encoding="utf-8")


def run(folder: Path, line: str, env: dict[str, str]) -> None:
    """Run a command; it ends as the tutorial says."""
    command, _, remark = line.partition("  #")
    said = _ENDS.search(f"#{remark}")
    words = shlex.split(command)
    code, told = ran(words, folder, env) if words[0] != "etl" else ran_etl(words, folder, env)
    assert code == (int(said.group(1)) if said else 0), f"{line}\n{told[-6000:]}"


def ran(words: list[str], folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """Exit code and output of a program."""
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def ran_etl(words: list[str], folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """The same of `etl`: processes until there is a store, in this process afterwards."""
    if not (folder / "var").exists():
        return ran([sys.executable, "-m", "workbench", *words[1:]], folder, env)
    done = etl_here(*words[1:], at=folder, env=env)
    return done.code, done.out + done.err


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project as somebody has just cloned it, under git, on plans that do not keep the test waiting."""
    checkout(tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    for path in tmp_path.glob("specs/*.approval.yaml"):
        path.unlink()
    (tmp_path / ".gitignore").write_text("var/\n", encoding="utf-8")
    for line in ("git init -q", "git add .", "git commit -q -m begin"):
        run(tmp_path, line, environment())
    return tmp_path


def environment() -> dict[str, str]:
    """The environment without anybody's keys or git set-up."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPYCACHEPREFIX") if name in os.environ}
    people = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
    }
    return (
        kept
        | people
        | {"PYTHONPATH": str(ROOT), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "ETL_SANDBOX_SIZE": "120"}
        | HURRIED
    )


@pytest.mark.pages
def test_every_command_does_what_the_tutorial_says(project: Path) -> None:
    """A newcomer who types every line gets from nothing to an approved mapping, and a first one of their own."""
    for kind, text in steps():
        if kind == "diff":
            edit(project, text)
        else:
            run(project, text, environment())
    assert (project / "specs" / "stel_order_to_pipedrive.approval.yaml").exists()
    assert "lost" in (project / "specs" / "stel_order_to_pipedrive.yaml").read_text(encoding="utf-8")
    assert (project / "var" / "mapping.html").exists()
