"""People delete a company and a person of ours in Pipedrive, which empties what referred to them; later all is taken back and made anew."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.driving import SPEC, Dump, Record, by_key, checkout, pair
from tests.e2e.test_merges import act
from tests.platforms.project import call, ungated


def fullest(dump: Dump, column: str, but: tuple[int, ...] = ()) -> int:
    """What most of our deals refer to in a column."""
    many = Counter(row[column] for row in by_key(dump, "deals").values() if row[column] and row["org_id"] not in but)
    return int(many.most_common(1)[0][0])


def linked(dump: Dump) -> dict[str, tuple[str, str]]:
    """What each deal of ours refers to, by the keys of the records."""
    keys = {resource: {row["id"]: key for key, row in by_key(dump, resource).items()} for resource in ("organizations", "persons")}
    return {
        key: (keys["organizations"].get(row["org_id"], ""), keys["persons"].get(row["person_id"], ""))
        for key, row in by_key(dump, "deals").items()
    }


@pytest.mark.parametrize("read_deleted", ["404", "row"])
def test_what_a_deletion_emptied_is_linked_again(tmp_path: Path, read_deleted: str) -> None:
    """Verified, it is changed by people and not lost; a rollback keeps what people edited besides and what that needs, and nothing else;
    a new run links everything as before.
    """
    at = checkout(tmp_path / "deleted")
    with pair(destination=("--set", f"read_deleted={read_deleted}"), size=100) as accounts:
        there = accounts.destination

        def etl(*words: str) -> Any:
            done = call(at, accounts.env, words[0], SPEC, *words[1:], "--env", "live", "--json", program=ungated)
            assert done.code in (0, 1), str(done)
            return json.loads(done.out)

        first, made = etl("run"), there.dump()
        company = fullest(made, "org_id")
        person = fullest(made, "person_id", but=(company,))
        edited = next(key for key, row in sorted(by_key(made, "deals").items()) if row["org_id"] == company)
        for path in (f"/api/v2/organizations/{company}", f"/api/v2/persons/{person}"):
            act(there, "DELETE", path)
        act(there, "PATCH", f"/api/v2/deals/{by_key(made, 'deals')[edited]['id']}", title="Nuestro título")

        fields = etl("verify")["verdict"]["fields"]
        emptied = sum(row["org_id"] == company for row in made["deals"]) + sum(row["person_id"] == person for row in made["deals"])
        assert fields["changed_by_people"] > emptied
        lost_before: Record = first["verdict"]["fields"]
        assert lost_before["lost"] <= fields["lost"] < lost_before["lost"] + 60  # those of the two records that are missing

        told = etl("rollback", "--yes")
        assert told["failed"] == []
        deals = {"quotes", "orders", "invoices", "credit_notes", "work_orders"}
        assert [key for name, key, _ in told["kept"] if name in deals] == [edited.partition("#")[0]]
        etl("run")
        after = there.dump()
        assert linked(after) == linked(made)
        assert by_key(after, "deals")[edited]["title"] == "Nuestro título"
