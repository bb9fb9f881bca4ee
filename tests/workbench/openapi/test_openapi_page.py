"""What docs/connectors/new.md shows is what happens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/connectors/new.md"
EXAMPLE = "docs/connectors/acme.openapi.yaml"


def test_the_example_is_what_comes_of_it(tmp_path: Path, run_etl: Callable[..., tuple[int, str]]) -> None:
    """The document shown is the file, the draft and the terminal shown are what the command shown makes of it."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    shown, drafted = (text for language, text in blocks if language == "yaml")
    terminal = next(text for language, text in blocks if language == "text")
    (tmp_path / "docs/connectors").mkdir(parents=True)
    shutil.copy(ROOT / EXAMPLE, tmp_path / EXAMPLE)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    (tmp_path / "connectors").mkdir()
    code, said = run_etl("connector", "new", "--openapi", EXAMPLE, "--name", "acme")
    assert (code, said) == (0, terminal)
    assert (tmp_path / EXAMPLE).read_text(encoding="utf-8") == shown
    assert (tmp_path / "connectors/acme.yaml").read_text(encoding="utf-8") == drafted
