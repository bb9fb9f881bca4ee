"""People make a row of the same name while a creation of ours is in doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request
from tests.platforms.trials import addresses


@pytest.mark.parametrize(
    "theirs",
    [
        [{"name": "Person 1"}],
        [{"name": "Person 1", "email": "someone@else.org"}, {"name": "Bob"}],
        [{"name": "Person 1", "email": None, "phone": None}],
    ],
    ids=["shows the name alone", "another does not show an address", "shows that the rest is empty"],
)
def test_a_namesake_is_not_taken_for_what_was_never_made(theirs: list[dict[str, Any]], serve: Serve, tmp_path: Path) -> None:
    """On a platform that leaves out what is empty, the row of people stays theirs: ours is made, and a rollback leaves theirs."""
    trial = addresses(serve, tmp_path)
    lost: list[Request] = []

    def lose_the_first(platform: Platform, request: Request) -> Answer | None:
        if lost or not request.creates("contacts") or request.body["name"] != "Person 1":
            return None
        lost.append(request)
        for row in theirs:
            platform.add("contacts", row)
        return Answer(0, cut=True)

    trial.platform.before.append(lose_the_first)
    trial.full()
    assert [row["name"] for row in trial.platform.tables["contacts"] if row.get("email") == "p1@example.com"] == ["Person 1"]
    trial.rollback()
    assert [row["name"] for row in trial.platform.tables["contacts"]] == [row["name"] for row in theirs]
