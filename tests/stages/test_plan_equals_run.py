"""What a plan of the shipped migration says of each object is what the run then does."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.report.words import known
from tests.e2e.driving import SPEC, Dump, Pair, checkout, once, pair
from tests.platforms.project import call

pytestmark = pytest.mark.journeys
STORE = "var/stel_order_to_pipedrive.live.sqlite"
STATES = ("empty", "migrated", "lost-store")
WORDS = {
    "create": "created",
    "update": "updated",
    "adopt": "adopted",
    "unchanged": "unchanged",
    "skip": "skipped",
    "fail": "failed",
}
Story = dict[str, dict[str, Any]]
Counts = dict[str, dict[str, int]]


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Plan and run on an empty destination, on the same again, and once more without the store."""

    def tell(folder: Path) -> Story:
        at = checkout(folder / "plan-and-run")
        told: Story = {}
        with pair(size=30) as accounts:
            for state in STATES:
                if state == "lost-store":
                    lose(at / STORE)
                told[state] = chapter(at, accounts)
        return told

    found: Story = once(tmp_path_factory, "plan-and-run", tell)
    return found


def lose(store: Path) -> None:
    """The store is gone, and with it what the destination's rows stand for."""
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()


def chapter(at: Path, accounts: Pair) -> dict[str, Any]:
    """A plan, the run, and how many rows the destination held before and after."""

    def said(command: str) -> Any:
        words = (command, SPEC, "--sample", "60", "--env", "live", "--json")
        done = call(at, accounts.env, *words)
        assert done.code in (0, 1), str(done)
        return json.loads(done.out)

    before = rows(accounts.destination.dump())
    plan = said("plan")["plan"]["steps"]
    assert rows(accounts.destination.dump()) == before
    report = said("run")
    return {
        "plan": plan,
        "run": report["objects"],
        "verdict": report["verdict"],
        "before": before,
        "after": rows(accounts.destination.dump()),
    }


def rows(dump: Dump) -> dict[str, int]:
    """How many rows there are of each resource."""
    return dict(Counter({name: len(found) for name, found in dump.items()}))


def foreseen(chapter: dict[str, Any]) -> Counts:
    """The plan's counts by object."""
    return {known(step["object"]): {word: step.get(word, 0) for word in WORDS} for step in chapter["plan"]}


def done(chapter: dict[str, Any]) -> Counts:
    """The run's counts by object, in the plan's words.

    That a file's link is dead is seen when the file is fetched: such a creation was planned.
    """
    plan, found = foreseen(chapter), {}
    for item in chapter["run"]:
        counts = {word: int(item[name]) for word, name in WORDS.items()}
        dead = max(0, counts["fail"] - plan[item["object"]]["fail"])
        found[item["object"]] = counts | {
            "create": counts["create"] + dead,
            "fail": counts["fail"] - dead,
        }
    return found


def differing(left: Counts, right: Counts) -> dict[str, Any]:
    """The objects on which two counts disagree, with the words they disagree in."""
    return {
        name: {
            word: (many, right[name][word])
            for word, many in counts.items()
            if many != right[name][word]
        }
        for name, counts in left.items()
        if counts != right[name]
    }


@pytest.mark.parametrize("state", STATES)
def test_a_plan_says_what_the_run_does(state: str, story: Story) -> None:
    """Of all 26 objects: as many created, updated, adopted, unchanged, skipped and failed as
    planned.
    """
    chapter = story[state]
    assert len(chapter["plan"]) == len(chapter["run"]) == 26
    assert differing(foreseen(chapter), done(chapter)) == {}


def test_an_empty_destination_gets_rows_of_every_object(story: Story) -> None:
    """The sample has something to make for each object, so that no comparison is empty."""
    assert all(counts["create"] for counts in foreseen(story["empty"]).values())


def test_a_second_run_makes_nothing(story: Story) -> None:
    """On a migrated destination nothing is created or updated, and it holds what it held."""
    chapter = story["migrated"]
    assert (chapter["verdict"]["created"], chapter["verdict"]["updated"]) == (0, 0)
    assert chapter["after"] == chapter["before"]


def test_a_lost_store_doubles_nothing(story: Story) -> None:
    """Without the store the run finds every row that is there: none is made, and each arrives as
    before.
    """
    chapter = story["lost-store"]
    assert {item["object"]: item["created"] for item in chapter["run"] if item["created"]} == {}
    assert chapter["after"] == chapter["before"]
    assert chapter["verdict"]["arrived"] == story["empty"]["verdict"]["arrived"]
