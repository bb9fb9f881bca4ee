"""The smallest plan on both sides: what does not fit is said, and stands in notes; nothing is half made."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from engine import pipeline
from engine.errors import QuotaExhausted
from engine.language.compile import Migration, load_migration
from engine.pipeline import Result
from engine.rollback.undo import rollback
from engine.store.tables import Store, open_store
from sandbox.launch import launch
from tests.chaos.canonical import doubled
from tests.chaos.harness import control, dump
from tests.chaos.test_days import Leaping, begin
from tests.e2e.driving import (
    SPEC,
    SPEED,
    Pair,
    checkout,
    edit,
    etl_here,
    serve,
)
from tests.replacing import replace

OWN = "  note: {to: notes, text: content, about: {organizations: org_id, persons: person_id, deals: deal_id}}"


@pytest.mark.journeys
def test_a_lite_account_goes_through(tmp_path: Path) -> None:
    """Refused with the counts while people's own field leaves too little room; with room for it, everything arrives and goes again."""
    at = checkout(tmp_path / "lite", plans=("lite", "lite"))
    edit(at / "connectors/stel_order.yaml", ("calls, per: 60,", f"calls, per: {60 // SPEED},"))
    with (
        serve("stel_order", "--plan", "lite", "--speed", str(SPEED), "--size", "150") as source,
        serve("pipedrive", "--plan", "lite", "--seats", "5", "--speed", str(SPEED), "--size", "150") as destination,
    ):
        env = Pair(source, destination).env
        words = ("--sample", "40", "--env", "live")
        before = destination.dump()
        refused = etl_here("run", SPEC, *words, at=at, env=env, code=4)
        assert "custom fields: the account has 1 and 30 more are to be made, but the plan lite allows 30" in refused.err
        assert "`room: 29`" in refused.err
        assert destination.dump() == before

        spec = at / SPEC
        spec.write_text(spec.read_text().replace(OWN, f"  room: 29\n{OWN}"))
        done = etl_here("run", SPEC, *words, "--json", at=at, env=env).data()
        assert done["verdict"]["missing"] == 0 and done["provisioned"]["fields_made"] == 29
        assert any("of which 29 are made, as `room` says" in notice for notice in done["notices"])
        beyond = [row for row in done["records"] if row["object"].endswith("_beyond_plan")]
        assert beyond and all(row["state"] == "arrived" for row in beyond)
        assert etl_here("run", SPEC, *words, "--json", at=at, env=env).data()["verdict"]["created"] == 0

        etl_here("rollback", SPEC, "--yes", "--env", "live", at=at, env=env, code=0)
        assert {name: len(rows) for name, rows in destination.dump().items()} == {name: len(rows) for name, rows in before.items()}


def in_days(migration: Migration, store: Store, leaping: Leaping, pauses: Counter[str]) -> Result:
    """A whole run as a scheduler has it done: it ends where a day is spent, and begins again at the time that it names."""
    while True:
        try:
            with begin(migration, store, leaping, wait=False) as run:
                return pipeline.migrate(run, None)
        except QuotaExhausted as stop:
            assert stop.until > leaping.now(), stop
            pauses[stop.limit] += 1
            leaping.sleep(stop.until - leaping.now())


def on_lite(folder: Path) -> Migration:
    """The shipped migration between two Lite accounts, with room for people's own field, one call at a time.

    Other programs use most of both days, so that what is left lasts a part of it. On a clock that leaps, a call that is under way would arrive in another window than it left in.
    """
    busy = [(f"plan: lite{seats}}}", f"plan: lite{fewer}, reserve: {share}}}") for seats, fewer, share in (("", "", 0.85), (", seats: 5", ", seats: 1", 0.95))]
    at = checkout(folder, (OWN, f"  room: 29\n{OWN}"), *busy, plans=("lite", "lite"), hurried=False)
    migration = load_migration(at / SPEC, {})
    destination = migration.destination
    return replace(migration, destination=replace(destination, connection=replace(destination.connection, concurrency=1)))


@pytest.mark.scale  # .ci/run runs it by name
def test_a_whole_lite_account_takes_its_days(tmp_path: Path) -> None:
    """All records of a small account arrive, over as many days as the quotas ask for: nothing is refused for its rate, made twice or lost,
    and a rollback gives the account back.
    """
    migration = on_lite(tmp_path / "lite")
    with (
        launch("stel_order", plan="lite", extra_args=["--size", "150"]) as source,
        launch("pipedrive", plan="lite", seats=1, extra_args=["--size", "150", "--set", "index_delay=0"]) as destination,
        closing(Leaping((source, destination))) as leaping,
        closing(open_store(str(tmp_path / "store.sqlite"))) as store,
    ):
        before, pauses = dump(destination), Counter[str]()
        result = in_days(migration, store, leaping, pauses)
        states = result.tally.record_states()
        print(f"\n{dict(states)}, pauses {dict(pauses)}, {leaping.ahead / 86_400:.2f} days")
        assert pauses["STEL Order day"] >= 1 and pauses["Pipedrive day"] >= 2 and leaping.ahead > 2 * 86_400
        assert states["missing"] == result.tally.lost_in_arrived == 0
        assert {name for name, state in result.tally.records if state == "failed"} == {"item_images"}  # two whose link is dead
        beyond = Counter(state for (name, state), many in result.tally.records.items() if name.endswith("_beyond_plan") for _ in range(many))
        print(f"notes of fields beyond the plan: {dict(beyond)}")
        assert beyond["arrived"] > 100 and beyond.keys() == {"arrived"}
        rows = dump(destination)
        assert doubled(rows) == []
        assert sum(row["resource"].endswith("_fields") and row["record"].get("is_custom_field") for row in rows if row["resource"] != "built_in_fields") == 30
        again = in_days(migration, store, leaping, pauses)
        assert sum(item.created + item.updated for item in again.loaded) == 0
        with begin(migration, store, leaping) as run:
            back = rollback(run)
        assert (back.kept, back.failed) == ([], [])
        assert Counter(row["resource"] for row in dump(destination)) == Counter(row["resource"] for row in before)
        for account in (source, destination):
            assert "429" not in control(account, "stats")["answers"]
