"""What editors and pre-commit use: every key described, the hook running, no platform's name in the engine."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.editors import at_hand, beside

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted((ROOT / "schemas").glob("*.json"))


def undescribed(node: Any, at: str = "") -> Iterator[str]:
    """Every property without a description; those that only narrow another in a condition need none."""
    if isinstance(node, list):
        for place, item in enumerate(node):
            yield from undescribed(item, f"{at}/{place}")
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        if name in ("properties", "$defs") and isinstance(value, dict):
            yield from (f"{at}/{key}" for key, item in value.items() if not (isinstance(item, dict) and item.get("description")))
            for key, item in value.items():
                yield from undescribed(item, f"{at}/{key}")
        elif name not in ("if", "examples", "default"):
            yield from undescribed(value, f"{at}/{name}")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_key_is_described(path: Path) -> None:
    """Hovering over any key of any file shows what it is for."""
    assert list(undescribed(json.loads(path.read_text(encoding="utf-8")))) == []


def test_files_name_the_schemas_beside_them(tmp_path: Path) -> None:
    """The line that editors read is written where the schemas stand beside the folder: a path that is dead helps nobody."""
    folder = tmp_path / "specs"
    folder.mkdir()
    assert beside(folder, "cases") == ""
    installed = at_hand(folder, "cases").strip().partition("$schema=")[2]
    assert (folder / installed).resolve() == ROOT / "schemas" / "cases.schema.json"
    (tmp_path / "schemas").symlink_to(ROOT / "schemas")
    line = "# yaml-language-server: $schema=../schemas/cases.schema.json\n"
    assert beside(folder, "cases") == at_hand(folder, "cases") == line


@pytest.mark.parametrize(("text", "code"), [("", 0), ("nonsense: 1\n", 2)])
def test_hook_checks_every_file(tmp_path: Path, text: str, code: int) -> None:
    """The hook's own command, given several specs, fails if one of them is wrong."""
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))[0]
    bad = tmp_path / "bad.yaml"
    bad.write_text(text, encoding="utf-8")
    files = [str(ROOT / "specs" / "stel_order_to_pipedrive.yaml"), *([str(bad)] if text else [])]
    command = [str(Path(sys.executable).parent / word) if word == "etl" else word for word in shlex.split(hook["entry"])]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    ("path", "checked"),
    [("specs/a.yaml", True), ("specs/a.test.yaml", False), ("specs/a.approval.yaml", False), ("connectors/a.yaml", False)],
)
def test_hook_takes_specs_only(path: str, checked: bool) -> None:
    """Test and approval files are no specs."""
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))[0]
    assert bool(re.search(hook["files"], path) and not re.search(hook["exclude"], path)) is checked
