"""Rows that no list shows are looked for where an audit is asked to, for a price that it says first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.library.hidden import gaps_of
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.platforms.trials import NAME

# ids go up by ten; what became of those that the list does not show
FATES = {30: "deleted", 50: "inactive", 70: "present", 90: "refused", 110: "gone"}


def trial(serve: Serve, folder: Path, read: bool = True) -> Project:
    """People of firms become contacts; five people are in no list, and one of those is somebody's boss."""
    people: list[dict[str, Any]] = [{"id": n, "name": f"Person {n}", "boss": None, "firms": []} for n in range(10, 160, 10)]
    people = [row for row in people if row["id"] != 110]
    people[2] |= {"gone": True}
    people[4] |= {"off": True}
    people[0] |= {"boss": 30, "firms": [{"of": 7}]}
    people[1] |= {"boss": 30}
    platform = serve(people=people, firms=[{"id": "a", "name": "A"}, {"id": "b", "name": "B"}], contacts=[])

    def hides(_: Platform, request: Request, answer: Answer) -> Answer:
        if request.path == "/people" and request.method == "GET":
            return replace(answer, body=[row for row in answer.body if row["id"] not in FATES])
        if request.path == "/people/90":
            return Answer(422, {"error": "not for you"})
        return answer

    platform.after.append(hides)
    source = {
        "shapes": {"seat": {"of": "ref firms"}},
        "pagers": {"all": {"kind": "single"}},
        "resources": {
            "people": {
                **readable("people", name="text", boss="ref people", firms="list seat", off="boolean", gone="boolean"),
                "deleted": "gone", "flags": {"inactive": "off"},
            },
            "firms": {**readable("firms", name="text"), "list": {"get": "/firms", "pager": "all"}},
        },
    }  # fmt: skip
    source["resources"]["people"]["list"]["pager"] = "all"  # type: ignore[index]
    if not read:
        del source["resources"]["people"]["read"]  # type: ignore[attr-defined]
    there = {"contacts": writable("contacts", ["name"], name=NAME)}
    firms = {"related": {"firm": {"from": "firms", "by": "firms[*].of"}}}
    fields = {"name": [{"from": "name"}, {"from": "firm[*].name", "using": {"text.join": ", "}}]}
    return project(folder, platform, source, there, migration({"contacts": mapped("people", "contacts", fields, **firms)}))


def reads(platform: Platform) -> list[str]:
    """The single rows that were asked for."""
    return [request.path for request in platform.log if request.path.startswith("/people/")]


def hidden(found: Project, *words: str) -> dict[str, dict[str, Any]]:
    """What an audit says of each collection."""
    report = found.etl("audit", "--json", *words, code=0).data()["hidden"]
    return {item["collection"]: item for item in report["collections"]}


def test_hidden_rows_are_counted_by_gaps_and_by_who_names_them(serve: Serve, tmp_path: Path) -> None:
    """Each id that is missing is read and told for what it is; a firm that is named and not listed counts, for ids that are text have no gaps."""
    found = trial(serve, tmp_path)
    told = hidden(found, "--hidden")
    people = told["people"]
    assert (people["step"], people["gaps"], people["named"], people["namers"]) == (10, 5, 1, 2)
    assert people["found"] == dict.fromkeys(FATES.values(), 1)
    assert people["examples"] == {what: [f"people/{number}"] for number, what in FATES.items()}
    assert reads(found.platform)[0] == "/people/30"  # what somebody names comes first
    firms = told["firms"]
    assert (firms["gaps"], firms["named"], firms["namers"], firms["found"]) == (0, 1, 1, {"gone": 1})


def test_the_price_is_said_first_and_kept_to(serve: Serve, tmp_path: Path) -> None:
    """Without the option nothing is read and the most it may cost is said; with a number, no more than that is read of each collection."""
    found = trial(serve, tmp_path)
    plain = found.etl("audit", code=0)
    assert "Rows that no list shows were not looked for: --hidden does, with at most 40 calls" in plain.out
    assert reads(found.platform) == []
    done = found.etl("audit", "--hidden", "2", code=0)
    assert "looking for rows that no list shows takes 3 calls to source" in done.err
    assert len(reads(found.platform)) == 2
    assert "Rows that no list shows (3 calls to look)" in done.out
    assert "deleted, such as people/30: deleted in the source, and left out" in done.out


def test_what_cannot_be_read_is_only_counted(serve: Serve, tmp_path: Path) -> None:
    """Where rows have no read of their own, gaps and names are counted all the same, without a call."""
    found = trial(serve, tmp_path, read=False)
    people = hidden(found, "--hidden")["people"]
    assert (people["readable"], people["gaps"], people["named"], people["found"]) == (False, 5, 1, {})
    assert reads(found.platform) == []


def test_a_row_that_makes_its_platform_fail_does_not_end_the_audit(serve: Serve, tmp_path: Path) -> None:
    """The others are looked at all the same, and the notices name the one that could not be read; each collection has an example of its own."""
    found = trial(serve, tmp_path)

    def failing(_: Platform, request: Request) -> Answer | None:
        return Answer(500, {"error": "out of order"}) if request.path == "/people/50" else None

    found.platform.before.append(failing)
    done = found.etl("audit", "--hidden", code=0)
    assert "people/50 cannot be read" in done.out
    assert "2 refused" in done.out and "1 present" in done.out
    assert "gone, such as people/110, firms/7:" in done.out


@pytest.mark.parametrize("word", ["0", "x", "1.5"])
def test_a_number_of_rows_is_asked_for(word: str, serve: Serve, tmp_path: Path) -> None:
    """Anything else is a mistake on the command line."""
    done = trial(serve, tmp_path).etl("audit", "--hidden", word)
    assert done.code == 2 and "is not a number of rows" in done.err


@given(
    st.sets(st.integers(1, 400), min_size=2), st.integers(1, 9), st.integers(0, 50), st.integers(1, 30)
)
def test_gaps_are_what_is_missing(places: set[int], step: int, first: int, most: int) -> None:
    """Listed and missing ids together are all of them; those that are picked are missing, each once, and evenly many."""
    ids = sorted({first + step * place for place in places})
    found = gaps_of([str(number) for number in ids])
    every = set(range(ids[0], ids[-1] + 1, found.step))
    assert found.step % step == 0 and set(ids) <= every
    assert found.count == len(every) - len(ids)
    some = found.some(most)
    assert len(set(some)) == len(some) == min(most, found.count)
    assert set(some) <= every - set(ids)
    assert set(found.some(found.count)) == every - set(ids)


def test_ids_that_are_no_numbers_have_no_gaps() -> None:
    """Nor have built-in rows with ids below zero any part in it."""
    assert gaps_of(["a1", "7"]).count == 0
    assert gaps_of([]).count == gaps_of(["5"]).count == 0
    assert gaps_of(["-2", "-1", "5", "6", "8"]).some(5) == [7]
    assert json.dumps(gaps_of(["1", "900000000000"]).some(2))
