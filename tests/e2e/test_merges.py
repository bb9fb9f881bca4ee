"""People merge duplicates in the destination, and everything goes on with the rows that survived."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import loopback
from tests.e2e.driving import (
    SPEC,
    Dump,
    Record,
    Served,
    by_key,
    checkout,
    once,
    pair,
)
from tests.platforms.project import attention, call, texts, ungated

pytestmark = pytest.mark.journeys  # one whole migration, which all of these look at

PREFIX = "people merged its row"


def act(account: Served, method: str, path: str, **body: Any) -> Any:
    """What people do in either account."""
    headers = {"APIKEY": account.key, "x-api-token": account.key}
    answer = loopback.request(method, f"{account.base_url}{path}", headers=headers, json=body, timeout=30)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
    found = answer.json()
    return found[0] if isinstance(found, list) else found["data"]


def key_in(dump: Dump, resource: str, row: Record) -> str:
    """The source key that a row carries."""
    return next(key for key, one in by_key(dump, resource).items() if one["id"] == row["id"])


def merge_all(destination: Served) -> Record:
    """An organization and a person into people's own, an organization and a deal into ours; the
    keys of the records whose rows went, and the ids of those that survived.
    """
    dump = destination.dump()
    deals = [row for _, row in sorted(by_key(dump, "deals").items()) if row["org_id"]]
    noted = {note["deal_id"] for note in dump["notes"] if note["deal_id"]}
    gone, kept = [row for row in deals if row["id"] in noted][:2]
    many = {row["org_id"]: sum(one["org_id"] == row["org_id"] for one in deals) for row in deals}
    first, second, third = [row_id for row_id in many if many[row_id] >= 2 and row_id not in (gone["org_id"], kept["org_id"])][:3]
    person = next(row for key, row in sorted(by_key(dump, "persons").items()) if key.startswith("contacts/"))
    organizations = {row["id"]: row for row in dump["organizations"]}

    theirs = act(destination, "POST", "/api/v2/organizations", name="Suya SL")["id"]
    friend = act(destination, "POST", "/api/v2/persons", name="Alguien Suyo")["id"]
    act(destination, "PUT", f"/api/v1/organizations/{first}/merge", merge_with_id=theirs)
    act(destination, "PUT", f"/api/v1/organizations/{second}/merge", merge_with_id=third)
    act(destination, "PUT", f"/api/v1/persons/{person['id']}/merge", merge_with_id=friend)
    act(destination, "PUT", f"/api/v1/deals/{gone['id']}/merge", merge_with_id=kept["id"])
    return {
        "first": key_in(dump, "organizations", organizations[first]),
        "second": key_in(dump, "organizations", organizations[second]),
        "person": key_in(dump, "persons", person),
        "deal": key_in(dump, "deals", gone),
        "theirs": theirs,
        "friend": friend,
        "third": third,
        "kept": kept["id"],
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A full run, four merges, two verifications, the run again, a delta and a rollback; with the
    destination's dumps.
    """

    def tell(folder: Path) -> Record:
        at = checkout(folder / "merges")
        with pair(size=100) as accounts:
            there = accounts.destination

            def etl(*words: str) -> Any:
                done = call(at, accounts.env, words[0], SPEC, *words[1:], "--env", "live", "--json", program=ungated)
                assert done.code in (0, 1), str(done)
                return json.loads(done.out)

            story: Record = {"full": etl("run"), "made": there.dump()}
            story["merges"] = merge_all(there)
            story["merged"] = there.dump()
            story["verify"], story["verify again"], story["run"] = etl("verify"), etl("verify"), etl("run")
            for which in ("first", "second"):
                client = act(accounts.source, "PUT", f"/{story['merges'][which]}", phone="+34 600 555 666")
                link = {"account-id": client["id"], "account-path": client["path"]}
                act(accounts.source, "POST", "/salesOrders", title=f"Pedido {which}", **link)
            story["delta"], story["after"] = etl("run", "--delta"), there.dump()
            story["rollback"], story["left"] = etl("rollback", "--yes"), there.dump()
            story["anew"], story["doubled"] = etl("run"), there.dump()
        return story

    found: Record = once(tmp_path_factory, "merges", tell)
    return found


def values_of(dump: Dump, resource: str, row_id: int) -> Record:
    """What a row holds; a custom field that is empty may be gone with its definition."""
    row = next(one for one in dump[resource] if one["id"] == row_id)
    return {**row, "custom_fields": {code: value for code, value in row["custom_fields"].items() if value is not None}}


def merged(told: Record) -> set[str]:
    """The keys of the records whose rows people merged."""
    return {told["merges"][name] for name in ("first", "second", "person", "deal")}


def test_each_merge_is_told_once_and_nothing_is_lost(told: Record) -> None:
    """The first verification tells each merge and no other trouble than the run told; the next commands
    tell none.
    """
    before = attention(told["full"])
    assert {key for _, key in attention(told["verify"]) - before} == merged(told)
    assert texts(told["verify"]).count(PREFIX) == 4
    for command in ("verify again", "run", "delta"):
        assert attention(told[command]) == before
    verdict = told["verify"]["verdict"]
    assert verdict["arrived"] == told["full"]["verdict"]["arrived"]
    assert verdict["lost_in_arrived"] == told["full"]["verdict"]["lost_in_arrived"]


def test_a_sum_tells_that_a_deal_is_gone(told: Record) -> None:
    """What was wanted is the same sum after a merge, and what is there is less by the deal that went."""
    wanted, live = ([{(one["object"], one["currency"]): one[side] for one in told[name]["money"]} for name in ("full", "verify")] for side in ("wanted", "live"))
    assert wanted[0] == wanted[1]
    made = by_key(told["made"], "deals")[told["merges"]["deal"]]["value"]
    assert made > 0
    assert sum(live[0].values()) - sum(live[1].values()) == pytest.approx(made)


def test_nothing_is_doubled_and_no_survivor_is_written(told: Record) -> None:
    """The run and the delta make two orders and what hangs on them, of the clients that survived; the
    change of a merged client is not written.
    """
    assert told["run"]["verdict"]["created"] == told["run"]["verdict"]["updated"] == 0
    assert told["delta"]["verdict"]["failed"] == told["full"]["verdict"]["failed"]
    merges, after = told["merges"], told["after"]
    new = by_key(after, "deals").keys() - by_key(told["made"], "deals").keys()
    assert {by_key(after, "deals")[key]["org_id"] for key in new} == {merges["theirs"], merges["third"]}
    assert len(by_key(after, "deals")) == len(by_key(told["made"], "deals")) - 1 + 2
    assert after["organizations"] == told["merged"]["organizations"]


def test_a_rollback_spares_what_people_merged(told: Record) -> None:
    """People's own rows are as they merged them; of ours stay just survivors that took values, and what
    those need.
    """
    merges, left = told["merges"], told["left"]
    for resource, row_id in (("organizations", merges["theirs"]), ("persons", merges["friend"])):
        assert values_of(left, resource, row_id) == values_of(told["merged"], resource, row_id)
    assert told["rollback"]["failed"] == []
    kept = {(name, key) for name, key, _ in told["rollback"]["kept"] if name and not name.startswith("$")}
    needed = {row["org_id"] for row in left["persons"]} | {merges["third"]}
    survivors = {("organizations", key) for key, row in by_key(told["made"], "organizations").items() if row["id"] in needed}
    assert kept <= survivors


def test_a_new_run_doubles_no_row_that_carries_our_key(told: Record) -> None:
    """What people merged into rows of theirs carries our keys after the rollback: a new run makes no
    second row of those records.
    """
    held = {key for resource in ("organizations", "persons", "deals") for key in by_key(told["doubled"], resource)}
    assert merged(told) <= held
