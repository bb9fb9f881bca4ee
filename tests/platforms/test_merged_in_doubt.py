"""People merge rows between a creation that got no answer and the next run: the row is there, and refers to another one by now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Request
from tests.platforms.test_merges import WHOSE, firms, merge, names


@pytest.mark.long
@WHOSE
@pytest.mark.parametrize("seen", [False, True], ids=["met by the run", "verified before"])
@pytest.mark.parametrize("accepts", [True, False], ids=["dead ids are taken", "dead ids are refused"])
def test_a_row_in_doubt_that_a_merge_moved_is_not_made_again(whose: str, seen: bool, accepts: bool, serve: Serve, tmp_path: Path) -> None:
    """A contact that was made without an answer, whose company was then merged into another, is there once after the next runs."""
    trial = firms(serve, tmp_path)
    platform = trial.platform
    if accepts:
        platform.before.clear()
    platform.after += [odd.dropping("contacts", range(2, 100)), odd.dropping("contacts", range(1, 100), method="GET")]
    trial.etl("run", "--sample", "--json")
    there = names(platform, "contacts")
    del platform.after[-2:]
    assert there
    merge(platform, whose)
    if seen:
        trial.etl("verify", "--json")
    for _ in range(2):
        done = trial.etl("run", "--sample", "--json")
        assert sorted(set(names(platform, "contacts"))) == names(platform, "contacts")
    told = {row["key"] for row in done.data()["records"] if row["state"] == "failed"}
    missing = {f"people/{number}" for number in range(1, 7)} - trial.links("contacts").keys()
    assert told == missing, "each that nobody knows of is told"


@pytest.mark.long
@WHOSE
def test_what_was_never_made_below_a_known_survivor_is_made(whose: str, serve: Serve, tmp_path: Path) -> None:
    """A creation that names the row which stands for its company by now is sent once more where it had not arrived."""
    trial = firms(serve, tmp_path)
    platform = trial.platform
    trial.full()
    merge(platform, whose)
    trial.verify()
    platform.tables["people"].append({"id": 7, "name": "Person 7", "firm": 1})

    def cut(_: object, request: Request) -> Answer | None:
        return Answer(0, cut=True) if request.parts[0] == "contacts" else None

    platform.before.insert(0, cut)
    trial.etl("run", "--delta", "--json")
    platform.before.remove(cut)
    for _ in range(2):
        trial.etl("run", "--delta", "--json")
    assert names(platform, "contacts").count("Person 7") == 1
