"""The pre-commit file of a project that `etl init` begins, with pre-commit itself where there is one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.driving import AS_INSTALLED, BIN, environment, etl_here

EXAMPLE = "stel_order_to_pipedrive"
SPEC = f"specs/{EXAMPLE}.yaml"


def run(folder: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a project, with the `etl` that is looked at before any other."""
    env = environment({
        **AS_INSTALLED, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PRE_COMMIT_HOME": str(home / "pre-commit"), "PRE_COMMIT_COLOR": "never",
    })  # fmt: skip
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def by_hand(folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """What pre-commit does with a local hook: its entry, with the files of the repository that it is for."""
    read: Any = yaml.safe_load((folder / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = read["repos"][0]["hooks"]
    assert read["repos"][0]["repo"] == "local" and hook["language"] == "system"
    listed = run(folder, home, "git", "ls-files").stdout.splitlines()
    files = [name for name in listed if re.search(hook["files"], name) and not re.search(hook["exclude"], name)]
    assert files == [SPEC]
    return run(folder, home, *shlex.split(hook["entry"]), *files)


@pytest.mark.installed
@pytest.mark.xdist_group("installed")  # one installs etl anew in the environment that all of them use
def test_the_hook_of_a_project_runs(tmp_path: Path) -> None:
    """On all files of a new project it passes; a spec with a mistake is refused, with its place."""
    etl_here("init", "--example", EXAMPLE, "demo", at=tmp_path, code=0)
    folder = tmp_path / "demo"
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm begin"):
        assert run(folder, tmp_path, "git", *words.split()).returncode == 0

    def checked() -> subprocess.CompletedProcess[str]:
        if not shutil.which("pre-commit"):
            return by_hand(folder, tmp_path)
        return run(folder, tmp_path, "pre-commit", "run", "--all-files")

    done = checked()
    assert done.returncode == 0, done.stdout + done.stderr
    spec = folder / SPEC
    spec.write_text(spec.read_text(encoding="utf-8").replace("using: text.squash", "using: text.sqash", 1), encoding="utf-8")
    done = checked()
    assert done.returncode != 0 and re.search(rf"{SPEC}:\d+:\d+: .*\[unknown-step\]", done.stdout + done.stderr), done.stdout + done.stderr
