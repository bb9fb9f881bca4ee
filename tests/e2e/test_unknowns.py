"""Behaviours of the platforms that nobody could confirm: the migration holds whichever way they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.launch import Running
from tests import loopback
from tests.chaos.people import write_lines
from tests.e2e.driving import (
    SPEC,
    Done,
    Dump,
    Pair,
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
    "bulk_order=reversed",
)


def switched(words: tuple[str, ...]) -> list[str]:
    """The switches as options of `etl sandbox serve`."""
    return [part for word in words for part in ("--set", word)]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The same sample against accounts that behave the other way in everything unknown, once more, a delta and a rollback."""

    def tell(folder: Path) -> Record:
        at = checkout(folder / "other")
        with pair(switched(SOURCE), switched(DESTINATION)) as accounts:
            before = accounts.destination.dump()
            runs = [etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env) for _ in range(2)]
            after = accounts.destination.dump()
            delta, undone = _later(at, accounts, runs[1])
            left = accounts.destination.dump()
            return {"runs": runs, "after": after, "delta": delta, "undone": undone, "before": before, "left": left}

    found: Record = once(tmp_path_factory, "other", tell)
    return found


def _later(at: Path, accounts: Pair, sample: Done, *despite: str) -> tuple[Done, Done]:
    """The sample is approved, a client changes, a delta carries it over, and all is taken back."""
    etl("approve", SPEC, "--env", "live", "--by", "somebody", *despite, at=at, env=accounts.env, code=0)
    client = f"{accounts.source.base_url}/clients/{_client(sample)}"
    loopback.request("PUT", client, json={"legal-name": "Otra SL"}, headers={"APIKEY": accounts.source.key})
    delta = etl("run", SPEC, "--delta", "--json", "--yes", "--env", "live", at=at, env=accounts.env)
    return delta, etl("rollback", SPEC, "--yes", "--json", "--env", "live", at=at, env=accounts.env)


@pytest.mark.journeys
def test_the_other_way_everything_arrives_too(sample: Record, other: Record) -> None:
    """The same records as with the defaults; what an account refuses is named, and the second run changes nothing."""
    first, again = (json.loads(run["out"])["verdict"] for run in other["runs"])
    usual = json.loads(sample["first"]["out"])["verdict"]
    assert {run["code"] for run in other["runs"]} <= {0, 1}
    for word in ("arrived", "missing", "failed", "skipped", "created"):
        assert first[word] == usual[word], word
    assert (again["created"], again["updated"]) == (0, 0)


@pytest.mark.journeys
def test_the_other_way_the_same_rows_stand_there(sample: Record, other: Record) -> None:
    """Apart from options the account would not take, the two destinations hold the same."""
    for resource in ("organizations", "persons", "deals"):
        left, right = (by_key(dump, resource) for dump in (sample["after"], other["after"]))
        assert left.keys() == right.keys()
        name = "title" if resource == "deals" else "name"
        assert {key: row[name] for key, row in left.items()} == {key: row[name] for key, row in right.items()}
    assert len(sample["after"]["notes"]) == len(other["after"]["notes"])
    assert len(sample["after"]["files"]) == len(other["after"]["files"])


@pytest.mark.journeys
def test_the_other_way_a_delta_and_a_rollback_do_what_they_do(other: Record) -> None:
    """The delta misses nothing, and the rollback leaves the account as it was, though rows that others refer to cannot be deleted."""
    delta, undone = json.loads(other["delta"]["out"]), other["undone"]
    assert (other["delta"]["code"] in {0, 1}, delta["verdict"]["missing"]) == (True, 0)
    assert undone["code"] == 0, undone["out"][-2000:]
    assert {name: len(rows) for name, rows in other["left"].items()} == {name: len(rows) for name, rows in other["before"].items()}


@pytest.mark.journeys
def test_refused_options_are_told(other: Record) -> None:
    """An account that takes no new options for a built-in field: the values that stay behind are listed."""
    report = json.loads(other["runs"][0]["out"])
    assert report["provisioned"]["refused"]
    assert any("products.category" in notice for notice in report["notices"])
    assert any(found["field"] == "category" and "left out" in found["text"] for found in report["findings"])


@pytest.mark.journeys
@pytest.mark.parametrize("words", [(), pytest.param(("bulk_order=reversed",), marks=pytest.mark.chaos)], ids=len)
def test_line_items_as_deal_products(tmp_path: Path, words: tuple[str, ...]) -> None:
    """One key in the spec makes document lines native deal products as well as notes, those of a long document in calls for a hundred, in whatever order they are answered."""
    at = checkout(tmp_path / "lines", ("native_line_items: false", "native_line_items: true"))
    with pair((), switched(words)) as accounts:
        source = accounts.source
        write_lines(Running("stel_order", source.base_url, source.key, 0), (12, 6, 5, 130))
        first = etl_here("run", SPEC, "--sample", "80", "--json", "--env", "live", at=at, env=accounts.env).data()
        again = etl_here("run", SPEC, "--sample", "80", "--json", "--env", "live", at=at, env=accounts.env).data()
        there = accounts.destination.dump()
        calls = accounts.destination.stats()["requests"]
    assert (again["verdict"]["created"], again["verdict"]["updated"]) == (0, 0)
    objects = ("line_products", "line_differences")
    made = [row for row in first["records"] if row["object"] in objects and row["state"] == "arrived"]
    assert len(made) == len(there["deal_products"]) > 20
    lines = Counter(row["record"] for row in made if row["object"] == "line_products")
    assert sorted(lines.values())[-2:] == [12, 130]
    assert (calls["addManyDealProducts"], calls["addDealProduct"]) == (3, len(made) - 12 - 130)
    assert {row["deal_id"] for row in there["deal_products"]} <= {row["id"] for row in there["deals"]}
    _still_notes(there)
    _adds_up(there)


@pytest.mark.chaos
@pytest.mark.parametrize("way", ["all", "each", "before"])
def test_line_items_that_an_account_has_no_room_for(tmp_path: Path, way: str) -> None:
    """Whatever becomes of the other lines of a bulk that is refused: those that fit are there once, each one that is not is told, and another run makes none."""
    at = checkout(tmp_path / "lines", ("native_line_items: false", "native_line_items: true"))
    with pair((), switched((f"bulk_lines={way}", "most_lines_per_deal=9"))) as accounts:
        source = accounts.source
        write_lines(Running("stel_order", source.base_url, source.key, 0), (12, 6, 5, 30))
        first = etl_here("run", SPEC, "--sample", "80", "--json", "--env", "live", at=at, env=accounts.env).data()
        again = etl_here("run", SPEC, "--sample", "80", "--json", "--env", "live", at=at, env=accounts.env).data()
        there = accounts.destination.dump()
    assert (again["verdict"]["created"], again["verdict"]["updated"]) == (0, 0)
    rows = [row for row in first["records"] if row["object"] in ("line_products", "line_differences")]
    states = Counter(row["state"] for row in rows)
    assert states["arrived"] == len(there["deal_products"])
    assert max(Counter(row["deal_id"] for row in there["deal_products"]).values()) == 9
    assert states["failed"] == (12 - 9) + (30 - 9) and states["missing"] == 0


def _adds_up(there: Dump) -> None:
    """The line items of every deal come to the net amount of its document, but for a cent that is rounded another way; what the lines lack is a line by itself."""
    sums: Counter[int] = Counter()
    for row in there["deal_products"]:
        sums[row["deal_id"]] += round(100 * row["sum"])
        assert row["tax_method"] == "exclusive"
    deals = by_key(there, "deals").values()
    net = {deal["id"]: custom(there, "deals", deal, "Net amount") for deal in deals}
    wrong = {key: (sums[key], net[key]) for key in sums if abs(sums[key] - round(100 * _amount(net[key]))) > 1}
    assert not wrong


def _amount(value: Any) -> float:
    return float(value["value"] if isinstance(value, dict) else value or 0)


def _still_notes(there: Dump) -> None:
    deals = [row for row in by_key(there, "deals").values() if custom(there, "deals", row, "Document type") != "Work order"]
    noted = {note["deal_id"] for note in there["notes"] if "line items" in note["content"]}
    assert {deal["id"] for deal in deals} <= noted


# -- one by one


@dataclass(frozen=True, slots=True)
class Expected:
    """What comes of a switch that refuses something: whose records fail, and nothing else."""

    fails: tuple[str, ...] = ()  # objects of which the account refuses some
    leans: tuple[str, ...] = ()  # objects of which some stay behind, for they lean on those
    waits: bool = False  # rows may be answered as made and found by nobody
    kept: bool = False  # the account refuses deletions: a rollback leaves rows
    changes: tuple[tuple[str, str], ...] = ()  # of the spec


SAID = ("negative_values: true #", "negative_values: false #")
NATIVE = ("native_line_items: false", "native_line_items: true")
NOTES = ("asset_notes", "contact_comments", "line_notes", "work_order_notes")
LINES = ("line_products", "line_differences")
OF_DEALS = (*NOTES, *LINES, "document_files", "payments", "events", "work_order_visits")
DEALS = ("quotes", "orders", "invoices", "credit_notes", "work_orders")
TOGETHER = (
    "negative_value=refuse",
    "most_notes_per_deal=1",
    "most_contacts=1",
    "note_bytes=500",
    "most_lines_per_deal=2",
    "bulk_lines=each",
    "most_deals=60",
    "deals_over_cap=waitlist",
)
# Switches beside those above, and those that refuse something.
MORE = {
    "source bad_key_status=403": Expected(),
    "source creation_date=utc": Expected(),
    "source day_zone=Asia/Tokyo": Expected(),
    "source cascade=unlink": Expected(),
    "destination cascade=unlink": Expected(),
    "destination fair_use=off": Expected(),
    "destination primary_flag=beside": Expected(),
    "destination index_delay=60": Expected(),
    "destination most_labels=1": Expected(),
    "destination most_notes_per_deal=1": Expected(NOTES),
    "destination most_contacts=1": Expected(("contacts", "account_persons")),
    "destination note_bytes=500": Expected(NOTES),
    "destination note_bytes=0": Expected(),
    "destination negative_value=refuse": Expected(("credit_notes",), OF_DEALS),
    "destination negative_value=refuse, said": Expected(changes=(SAID,)),
    "destination most_deals=40": Expected(DEALS, OF_DEALS),
    "destination most_deals=40 deals_over_cap=waitlist": Expected((*OF_DEALS, *DEALS), OF_DEALS, waits=True),
    "destination refuse_deletes=notes,deals": Expected(kept=True),
    "destination bulk_lines=each": Expected(changes=(NATIVE,)),
    "destination bulk_lines=before": Expected(changes=(NATIVE,)),
    "destination bulk_lines=before most_lines_per_deal=2": Expected(LINES, changes=(NATIVE,)),
    "destination bulk_order=reversed, native": Expected(changes=(NATIVE,)),
    # the platform writes over the value of our deals: a rollback takes that for people's work, and keeps them
    "destination bulk_lines=each line_value=sum": Expected(kept=True, changes=(NATIVE,)),
    "destination bulk_lines=each most_lines_per_deal=2": Expected(LINES, changes=(NATIVE,)),
    "destination most_lines_per_deal=2": Expected(LINES, changes=(NATIVE,)),
    "destination " + " ".join(TOGETHER): Expected(
        (*DEALS, *OF_DEALS, "contacts", "account_persons"), OF_DEALS, waits=True, changes=(NATIVE,)
    ),
}
ALONE = {f"source {word}": Expected() for word in SOURCE} | {f"destination {word}": Expected() for word in DESTINATION}
ALONE["destination label_options=refuse"] = Expected(("",))  # values of built-in fields stay behind, told


@dataclass(frozen=True, slots=True)
class Story:
    """A sample, the same again, a change in the source, a delta and a rollback."""

    sample: Done
    again: Done
    delta: Done
    undone: Done
    before: Dump
    after: Dump


def story(folder: Path, source: Sequence[str], destination: Sequence[str], *changes: tuple[str, str]) -> Story:
    """The story of accounts with these switches."""
    at = checkout(folder, *changes)
    with pair(switched(tuple(source)), switched(tuple(destination))) as accounts:
        before = accounts.destination.dump()
        done = etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env)
        again = etl("run", SPEC, "--sample", "--json", "--env", "live", at=at, env=accounts.env)
        despite = ("--despite", "the cases say what an account takes that this one refuses") if SAID in changes else ()
        delta, undone = _later(at, accounts, again, *despite)
        return Story(done, again, delta, undone, before, accounts.destination.dump())


def holds(told: Story, usual: Record, expected: Expected) -> None:
    """What every account must see, whatever it refuses: it is told with its place, and all else goes on."""
    first, again, delta = (run.data() for run in (told.sample, told.again, told.delta))
    assert {told.sample.code, told.again.code, told.delta.code} <= {0, 1}
    assert (again["verdict"]["created"], again["verdict"]["updated"]) == (0, 0)
    assert expected.waits or first["verdict"]["missing"] == delta["verdict"]["missing"] == 0
    for report in (first, delta):
        _told(report, expected)
    if not (expected.fails or expected.kept):
        assert first["verdict"]["lost_in_arrived"] == usual["verdict"]["lost_in_arrived"]
    if not expected.kept:
        assert told.undone.code == 0, told.undone.out[-2000:]
        assert {name: len(rows) for name, rows in told.after.items()} == {name: len(rows) for name, rows in told.before.items()}


def _told(report: Record, expected: Expected) -> None:
    """Only records of the objects that are expected to are refused, and whatever did not arrive is named with a reason."""
    refused = {item["object"] for item in report["findings"] if "Pipedrive refuses" in item["text"]}
    assert refused <= {*expected.fails, *expected.leans}
    lost = {(row["object"], row["record"].partition("#")[0]) for row in report["records"] if row["state"] in ("failed", "skipped")}
    assert lost <= {(item["object"], item["key"].partition("#")[0]) for item in report["findings"]}


@pytest.mark.chaos
@pytest.mark.parametrize("switch", {**ALONE, **MORE}, ids=lambda words: words if len(words) < 90 else "many together")
def test_each_unknown_alone(tmp_path: Path, sample: Record, switch: str) -> None:
    """Each behaviour turned round on its own: a sample misses nothing, a delta changes what changed, a rollback leaves nothing."""
    expected = MORE.get(switch) or ALONE[switch]
    side, *words = switch.partition(",")[0].split(" ")
    told = story(tmp_path / "one", words if side == "source" else (), words if side == "destination" else (), *expected.changes)
    holds(told, json.loads(sample["first"]["out"]), expected)


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
