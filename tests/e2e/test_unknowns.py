"""Behaviours of the platforms that nobody could confirm: the migration holds whichever way they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import loopback
from tests.e2e.driving import (
    SPEC,
    Done,
    Dump,
    Record,
    by_key,
    checkout,
    custom,
    etl,
    etl_here,
    once,
    pair,
)

# For each switch of the emulators the word that is not its default.
SOURCE = (
    "start_zero=refuse",
    "single_shape=object",
    "over_max=refuse",
    "retry_after=on",
    "minute_window=fixed",
    "modified_bound=exclusive",
    "count_refused=on",
    "header_stamp=stays",
    "event_end_bound=end",
    "work_order_by_id=fail",
    "files_quota=on",
    "read_deleted=404",
    "deleted_filter=rows",
    "cascade=delete",
    "refuse_deletes=referred",
)
DESTINATION = (
    "deal_add_time=ignore",
    "label_options=refuse",
    "create_status=201",
    "over_max=refuse",
    "search_over_max=cap",
    "charge_failed=off",
    "contact_sync=on",
    "due_seconds=accept",
    "line_value=sum",
    "cascade=delete",
    "refuse_deletes=referred",
    "read_deleted=row",
    "removed_option=clear",
    "builtin_option_ids=number",
    "stamps=milliseconds",
    "activity_times=minutes",
    "formatted_address=on",
    "primary_flag=instead",
    "fair_use=refuse",
    "fair_use_patch=on",
    "deals_over_cap=waitlist",
    "bulk_lines=each",
)


def switched(words: tuple[str, ...]) -> list[str]:
    """The switches as options of `etl sandbox serve`."""
    return [part for word in words for part in ("--set", word)]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The same sample against accounts that behave the other way in everything unknown, and once more."""

    def tell(folder: Path) -> Record:
        at = checkout(folder / "other")
        with pair(switched(SOURCE), switched(DESTINATION)) as accounts:
            runs = [etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env) for _ in range(2)]
            return {"runs": runs, "after": accounts.destination.dump()}

    found: Record = once(tmp_path_factory, "other", tell)
    return found


def test_the_other_way_everything_arrives_too(sample: Record, other: Record) -> None:
    """The same records as with the defaults; what an account refuses is named, and the second run changes nothing."""
    first, again = (json.loads(run["out"])["verdict"] for run in other["runs"])
    usual = json.loads(sample["first"]["out"])["verdict"]
    assert {run["code"] for run in other["runs"]} <= {0, 1}
    for word in ("arrived", "missing", "failed", "skipped", "created"):
        assert first[word] == usual[word], word
    assert (again["created"], again["updated"]) == (0, 0)


def test_the_other_way_the_same_rows_stand_there(sample: Record, other: Record) -> None:
    """Apart from options the account would not take, the two destinations hold the same."""
    for resource in ("organizations", "persons", "deals"):
        left, right = (by_key(dump, resource) for dump in (sample["after"], other["after"]))
        assert left.keys() == right.keys()
        name = "title" if resource == "deals" else "name"
        assert {key: row[name] for key, row in left.items()} == {key: row[name] for key, row in right.items()}
    assert len(sample["after"]["notes"]) == len(other["after"]["notes"])
    assert len(sample["after"]["files"]) == len(other["after"]["files"])


def test_refused_options_are_told(other: Record) -> None:
    """An account that takes no new options for a built-in field: the values that stay behind are listed."""
    report = json.loads(other["runs"][0]["out"])
    assert report["provisioned"]["refused"]
    assert any("products.category" in notice for notice in report["notices"])
    assert any(found["field"] == "category" and "left out" in found["text"] for found in report["findings"])


def test_line_items_as_deal_products(tmp_path: Path) -> None:
    """One key in the spec makes document lines native deal products as well as notes."""
    at = checkout(tmp_path / "lines", ("native_line_items: false", "native_line_items: true"))
    with pair() as accounts:
        first = etl_here("run", SPEC, "--sample", "80", "--json", "--env", "live", at=at, env=accounts.env).data()
        again = etl_here("run", SPEC, "--sample", "80", "--json", "--env", "live", at=at, env=accounts.env).data()
        there = accounts.destination.dump()
    assert (again["verdict"]["created"], again["verdict"]["updated"]) == (0, 0)
    made = [row for row in first["records"] if row["object"] == "line_products" and row["state"] == "arrived"]
    assert len(made) == len(there["deal_products"]) > 20
    assert {row["deal_id"] for row in there["deal_products"]} <= {row["id"] for row in there["deals"]}
    _still_notes(there)


def _still_notes(there: Dump) -> None:
    deals = [row for row in by_key(there, "deals").values() if custom(there, "deals", row, "Document type") != "Work order"]
    noted = {note["deal_id"] for note in there["notes"] if "line items" in note["content"]}
    assert {deal["id"] for deal in deals} <= noted


@pytest.mark.chaos
@pytest.mark.parametrize("switch", [f"source {word}" for word in SOURCE] + [f"destination {word}" for word in DESTINATION])
def test_each_unknown_alone(tmp_path: Path, switch: str) -> None:
    """Each behaviour turned round on its own: a sample misses nothing, a delta changes what changed, a rollback leaves nothing."""
    side, _, word = switch.partition(" ")
    at = checkout(tmp_path / "one")
    with pair(switched((word,)) if side == "source" else (), switched((word,)) if side == "destination" else ()) as accounts:
        before = accounts.destination.dump()
        done = etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env)
        again = etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env)
        etl("approve", SPEC, "--env", "live", "--by", "somebody", at=at, env=accounts.env, code=0)
        loopback.request("PUT", f"{accounts.source.base_url}/clients/{_client(again)}", json={"legal-name": "Otra SL"}, headers={"APIKEY": accounts.source.key})
        delta = etl("run", SPEC, "--delta", "--json", "--yes", "--env", "live", at=at, env=accounts.env)
        undone = etl("rollback", SPEC, "--yes", "--json", "--env", "live", at=at, env=accounts.env)
        after = accounts.destination.dump()
    assert {done.code, delta.code} <= {0, 1}
    assert done.data()["verdict"]["missing"] == delta.data()["verdict"]["missing"] == 0
    assert (again.data()["verdict"]["created"], again.data()["verdict"]["updated"]) == (0, 0)
    assert undone.code == 0, undone.out[-2000:]
    assert {name: len(rows) for name, rows in after.items()} == {name: len(rows) for name, rows in before.items()}


def _client(run: Done) -> str:
    """The id of a client that the sample took."""
    found = (row["record"] for row in run.data()["records"] if row["object"] == "organizations" and row["state"] == "arrived")
    return str(next(found)).partition("/")[2]


@pytest.mark.chaos
@pytest.mark.parametrize("words", [(), ("retry_after=on",), ("minute_window=fixed", "retry_after=on")], ids=len)
def test_another_program_uses_the_minute_up(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A refusal for the minute is waited out, with or without a Retry-After, and the run goes on."""
    at = checkout(tmp_path / "minute", plans=("business", "ultimate"))
    with pair([*switched(words), "--plan", "business"]) as accounts:
        for _ in range(50):
            loopback.get(f"{accounts.source.base_url}/employees", params={"limit": 1}, headers={"APIKEY": accounts.source.key})
        done = etl("audit", SPEC, "--env", "live", "--json", at=at, env=accounts.env, code=0)
        assert accounts.source.stats()["answers_429"] >= 1
    assert re.search("clients", done.out)
