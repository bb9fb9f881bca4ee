"""Which rows refer to which, and what becomes of that when a row is deleted or merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.pipedrive.store import Record

if TYPE_CHECKING:
    from sandbox.pipedrive.desk import Desk

KEEP, EMPTY, REMOVE = "keep", "empty", "remove"
_CUSTOM_TYPES = {"organizations": "org", "persons": "people"}
ENTITIES = {
    "organizations": "organization",
    "persons": "person",
    "deals": "deal",
    "products": "product",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of one table that holds ids of another, and its fate under each word of `cascade`."""

    kind: str
    column: str
    target: str
    off: str
    unlink: str
    delete: str = REMOVE


REFERENCES = (
    Reference("persons", "org_id", "organizations", EMPTY, EMPTY),
    Reference("deals", "org_id", "organizations", EMPTY, EMPTY),
    Reference("activities", "org_id", "organizations", EMPTY, EMPTY),
    Reference("notes", "org_id", "organizations", KEEP, EMPTY),
    Reference("files", "org_id", "organizations", KEEP, EMPTY),
    Reference("deals", "person_id", "persons", EMPTY, EMPTY),
    Reference("activities", "person_id", "persons", EMPTY, EMPTY),
    Reference("notes", "person_id", "persons", KEEP, EMPTY),
    Reference("files", "person_id", "persons", KEEP, EMPTY),
    # A line item cannot be without its deal, nor a stage without its pipeline.
    Reference("deal_products", "deal_id", "deals", KEEP, REMOVE),
    Reference("activities", "deal_id", "deals", KEEP, EMPTY),
    Reference("notes", "deal_id", "deals", KEEP, EMPTY),
    Reference("files", "deal_id", "deals", KEEP, EMPTY),
    Reference("deal_products", "product_id", "products", KEEP, KEEP),
    Reference("files", "product_id", "products", KEEP, EMPTY),
    Reference("files", "activity_id", "activities", KEEP, EMPTY),
    Reference("stages", "pipeline_id", "pipelines", REMOVE, REMOVE),
    Reference("deals", "pipeline_id", "pipelines", KEEP, KEEP),
    Reference("deals", "stage_id", "stages", KEEP, KEEP),
    Reference("leads", "organization_id", "organizations", EMPTY, EMPTY),
    Reference("leads", "person_id", "persons", EMPTY, EMPTY),
    Reference("activities", "lead_id", "leads", KEEP, EMPTY),
    Reference("notes", "lead_id", "leads", KEEP, EMPTY),
    Reference("files", "lead_id", "leads", KEEP, EMPTY),
    # Who takes part in a deal or follows a record is nothing without either of them.
    Reference("participants", "deal_id", "deals", KEEP, REMOVE),
    Reference("participants", "person_id", "persons", REMOVE, REMOVE),
    Reference("followers", "deal_id", "deals", KEEP, REMOVE),
    Reference("followers", "person_id", "persons", KEEP, REMOVE),
    Reference("followers", "org_id", "organizations", KEEP, REMOVE),
    Reference("followers", "product_id", "products", KEEP, REMOVE),
)
# Tables that only say that two rows belong together: once is enough.
_PAIRS = {
    "participants": ("deal_id", "person_id"),
    "followers": ("user_id", "deal_id", "person_id", "org_id", "product_id"),
}


def key_of(record: Record) -> Any:
    """What other rows call this one: its number, or the UUID of a lead."""
    return record.get("uuid", record["id"])


def references_to(target: str) -> Iterator[Reference]:
    """The fields that hold ids of this table."""
    return (one for one in REFERENCES if one.target == target)


def referring(desk: Desk, target: str, key: Any) -> dict[str, list[int]]:
    """The ids of all live rows that need this one, by table, in order."""
    found: dict[str, set[int]] = {}
    for reference in references_to(target):
        if reference.kind in _PAIRS:  # nobody minds these when a row is deleted
            continue
        rows = desk.store.ids(reference.kind, f"{reference.column}=?", (key,))
        found.setdefault(reference.kind, set()).update(rows)
    for kind, code in _custom_links(desk, target):
        found.setdefault(kind, set()).update(_holders(desk, kind, code, key))
    if target == "persons":
        people = {one["id"] for one in _taking_part(desk, key)}
        found.setdefault("activities", set()).update(people)
    return {kind: sorted(keys) for kind, keys in found.items() if keys}


def repoint(desk: Desk, target: str, key: int, to: int | None) -> None:
    """Every reference to a row becomes one to another; with None it is emptied.

    The stamps of the rows that refer stay: no one has touched those rows.
    """
    for reference in references_to(target):
        desk.store.repoint(reference.kind, reference.column, key, to)
        if reference.kind in _PAIRS:
            _once(desk, reference.kind)
    repoint_inner(desk, target, key, to)


def _once(desk: Desk, kind: str) -> None:
    """Of pairs that have become the same, the oldest stays."""
    same = ", ".join(_PAIRS[kind])
    oldest = f"SELECT MIN(id) FROM {kind} WHERE is_deleted=0 GROUP BY {same}"
    for double in desk.store.find(kind, f"is_deleted=0 AND id NOT IN ({oldest})", ()):
        desk.store.delete(kind, double["id"], double)


def repoint_inner(desk: Desk, target: str, key: int, to: int | None) -> None:
    """The same for what stands inside rows: custom values, participants and attendees."""
    for kind, code in _custom_links(desk, target):
        for holder in _holders(desk, kind, code, key):
            _set_custom(desk, kind, holder, code, to)
    if target == "persons":
        for activity in _taking_part(desk, key):
            _replace_person(activity, key, to)
            desk.store.replace("activities", activity["id"], activity)


def _custom_links(desk: Desk, target: str) -> Iterator[tuple[str, str]]:
    """The custom fields whose values are ids of this table, as (table, field code)."""
    wanted = _CUSTOM_TYPES.get(target)
    for kind, entity in ENTITIES.items():
        for field in desk.custom_fields(entity):
            if field["field_type"] == wanted:
                yield kind, field["field_code"]


def _holders(desk: Desk, kind: str, code: str, key: int) -> list[int]:
    where = "json_extract(body, ?)=?"
    return desk.store.ids(kind, where, (f'$.custom_fields."{code}"', key))


def _set_custom(desk: Desk, kind: str, holder: int, code: str, to: int | None) -> None:
    row = desk.store.get(kind, holder)
    assert row is not None
    row["custom_fields"].pop(code)
    if to is not None:
        row["custom_fields"][code] = to
    desk.store.replace(kind, holder, row)


def _taking_part(desk: Desk, person: int) -> list[Record]:
    """The live activities that name a person as participant or attendee."""
    named = (
        "EXISTS (SELECT 1 FROM json_each(body, '$.{0}')"
        " WHERE json_extract(json_each.value, '$.person_id')=?)"
    )
    where = f"({named.format('participants')} OR {named.format('attendees')})"
    # The text is looked through first: taking every activity apart would be slow.
    where = f"is_deleted=0 AND instr(body, ?)>0 AND {where}"
    return desk.store.find("activities", where, (f'"person_id":{person}', person, person))


def _replace_person(activity: Record, person: int, to: int | None) -> None:
    for one in activity["attendees"]:
        if one.get("person_id") == person:
            one["person_id"] = to
    people: dict[int, Record] = {}
    for one in activity["participants"]:
        key = to if one["person_id"] == person else one["person_id"]
        if key is None:
            continue
        known = people.setdefault(key, {**one, "person_id": key})
        known["primary"] = known["primary"] or one["primary"]
    activity["participants"] = list(people.values())
