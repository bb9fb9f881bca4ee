"""How many records need a person is one number, wherever it is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.platforms.conftest import Serve
from tests.platforms.trials import firms_and_people


def on_the_page(folder: Path) -> int:
    """How many records the page lists among what needs attention."""
    text = (folder / "var/trial.live.report/report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="attention">(.*?)</script>', text, re.DOTALL)
    assert found
    return len({(object_, key) for object_, _, _, rows in json.loads(found.group(1)) for key, _ in rows})


def test_missing_and_changed_are_counted_like_what_was_found(serve: Serve, tmp_path: Path) -> None:
    """A row that people deleted and a field that they changed count in JSON, terminal and page alike."""
    trial = firms_and_people(serve, tmp_path, people=4)
    trial.full()
    contacts = trial.platform.tables["contacts"]
    del contacts[0]
    contacts[0]["name"] = ""
    verdict = trial.verify(code=1)["verdict"]
    changed = verdict["fields"]["changed_by_people"]
    assert (verdict["missing"], changed, verdict["lost_in_arrived"], verdict["need_attention"]) == (1, 1, 0, 2)
    assert "2 need attention" in trial.etl("verify", code=1).out
    assert on_the_page(tmp_path) == 2
