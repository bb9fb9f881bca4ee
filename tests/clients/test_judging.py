"""That the judge of the clients sees what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.judging import Judged
from tests.clients.running import ENTITIES, _declared, operation
from tests.clients.watch import Seen

Rows = list[dict[str, Any]]
CODE = "a" * 40
DEALS: dict[Any, dict[str, Any]] = {
    key: {"id": key, "title": f"Obra {key}", "value": 5.5, "is_archived": False, "update_time": "2026-11-30T10:00:00Z",
          "person_id": 3, "custom_fields": {CODE: [1, 2]}}
    for key in (1, 2)
}  # fmt: skip


def rows(version: str) -> Rows:
    """The deals as they are listed, in the form of a version."""
    if version == "v2":
        return [dict(one) for one in DEALS.values()]
    return [
        {**{name: value for name, value in one.items() if name != "custom_fields"}, CODE: "1,2", "update_time": "2026-11-30 10:00:00",
         "person_id": {"value": 3, "name": "Ana"}}
        for one in DEALS.values()
    ]  # fmt: skip


def faults(got: Rows) -> list[str]:
    """What the judge finds in a list of deals."""
    judged = Judged()
    judged.list_of("deals", got, {"deals": DEALS}, "")
    return judged.faults


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_same_rows_have_no_fault(version: str) -> None:
    """Neither form of the very rows is a fault."""
    assert faults(rows(version)) == []


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda got: got[:1], "deals: 2 is missing"),
        (lambda got: [*got, got[0]], "deals: 1 came twice"),
        (lambda got: [*got, {**got[0], "id": 9}], "deals: 9 is none of the account"),
        (lambda got: [{**got[0], "title": "Obra l"}, got[1]], "deals 1.title: 'Obra l' is 'Obra 1' in the account"),
        (lambda got: [{**got[0], "value": 5}, got[1]], "deals 1.value: 5 is 5.5 in the account"),
        (lambda got: [{**got[0], "person_id": None}, got[1]], "deals 1.person_id: None is 3 in the account"),
        (lambda got: [{**got[0], "update_time": "2026-11-30 09:00:00"}, got[1]], "deals 1.update_time"),
        (lambda got: [{name: one for name, one in got[0].items() if name != "title"}, got[1]], "deals 1: no title"),
        (lambda got: [{**got[0], CODE: "1,3", "custom_fields": {CODE: [1, 3]}} if "custom_fields" in got[0] else {**got[0], CODE: "1"}, got[1]],
         f"deals 1.{CODE}"),
    ],
)  # fmt: skip
def test_a_fault_is_told(version: str, change: Any, told: str) -> None:
    """A row that is missing, doubled, strange or garbled is named, whichever version it came from."""
    [fault] = faults(change(rows(version)))
    assert fault.startswith(told)


def test_operations_are_told_without_their_ids() -> None:
    """Numbers, UUIDs and codes of fields are left out, and both prefixes of v1 are one."""
    paths = {
        "/v1/deals/12/flow": "/api/v1/deals/{}/flow", "/api/v2/deals/12": "/api/v2/deals/{}",
        "/api/v1/leads/59470e8c-9219-5d2f-9fc9-c6473df4e70b": "/api/v1/leads/{}",
        f"/api/v2/dealFields/{CODE}/options": "/api/v2/dealFields/{}/options", "/api/v2/dealFields/title": "/api/v2/dealFields/{}",
    }  # fmt: skip
    assert {path: operation(Seen("GET", path, (), 200, b"")) for path in paths} == {path: f"GET {one}" for path, one in paths.items()}


def test_a_field_that_is_not_discovered_and_a_row_that_is_not_loaded_are_told() -> None:
    """Of what a client found out about the kinds of rows, and of how many it loaded."""
    fields = {f"{entity}_fields": {CODE: {"field_name": "x"}} for entity in ENTITIES}
    whole = {f"{entity}s": ["id", CODE] for entity in ENTITIES}
    for lines, faults_told in (
        ([{"discovered": whole}], []),
        ([{"discovered": {**whole, "persons": ["id"]}}], [f"person: the field {CODE} was not discovered"]),
        ([{"rows": "v1 deals", "got": [{}, {}]}, {"loaded": "v1", "got": {"deals": 2, "deals_flow": 5}}], []),
        ([{"rows": "v1 deals", "got": [{}, {}]}, {"loaded": "v1", "got": {"deals": 1}}], ["deals: 1 rows were loaded, 2 read"]),
    ):
        judged = Judged()
        _declared(judged, lines, fields)
        assert judged.faults == faults_told
