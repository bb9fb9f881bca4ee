"""The recipes for code hosts, run as their runners would: validate, test, diff against the branch that is merged into."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def scripts() -> list[str]:
    """The part of each recipe that calls `etl`."""
    blocks = map(yaml.safe_load, BLOCK.findall((ROOT / "docs/workbench/review.md").read_text(encoding="utf-8")))
    lines = [
        line
        for recipe in blocks
        for line in (recipe["mapping"]["script"] if "mapping" in recipe else [s.get("run", "") for s in recipe["jobs"]["mapping"]["steps"]])
    ]
    return [line for line in lines if "etl diff" in line]


@pytest.mark.parametrize("script", scripts(), ids=["first", "second"])
def test_recipe_says_what_a_branch_changes(tmp_path: Path, script: str) -> None:
    """In a clone with one changed value map, the script writes a comment that names the field."""
    for name in ("connectors", "templates", "specs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    spec = tmp_path / "specs/stel_order_to_pipedrive.yaml"
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "BASE": "main", **who}
    for line in ("init -q -b main", "add .", "commit -qm one", "update-ref refs/remotes/origin/main HEAD", "fetch -q . main"):
        subprocess.run(["git", *line.split()], cwd=tmp_path, env=env, check=True)
    spec.write_text(spec.read_text(encoding="utf-8").replace("name: Tax id", "name: Tax number"), encoding="utf-8")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tax_id" in (tmp_path / "diff.md").read_text(encoding="utf-8")
