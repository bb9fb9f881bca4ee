"""The search endpoints (v2); they see only what the index has caught up with."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from sandbox.pipedrive import v1
from sandbox.pipedrive.call import Answer, Call, Operation
from sandbox.pipedrive.custom import SEARCHABLE
from sandbox.pipedrive.listing import PAGING, Cut, flag, limit, names, whole
from sandbox.pipedrive.refusals import invalid
from sandbox.pipedrive.store import Record

KINDS = {
    "deal": "deals",
    "person": "persons",
    "organization": "organizations",
    "product": "products",
    "lead": "leads",
}
_FIELDS = {
    "deal": ("custom_fields", "notes", "title"),
    "person": ("custom_fields", "email", "notes", "phone", "name"),
    "organization": ("address", "custom_fields", "notes", "name"),
    "product": ("code", "custom_fields", "name"),
    "lead": ("custom_fields", "notes", "title"),
}
_ALL_FIELDS = tuple(dict.fromkeys(name for some in _FIELDS.values() for name in some))
_TYPES = ("deal", "person", "organization", "product", "lead", "file", "mail_attachment", "project")
_BUILT_IN = ("title", "name", "email", "phone", "code", "address")
_MOST = 100
_MOST_LEADS = 500  # of v1


def _term(call: Call, *, exact: bool) -> str:
    term = call.query.get("term", "").strip()
    if len(term) < (1 if exact else 2):
        raise invalid("term", f"Must be at least {1 if exact else 2} characters long")
    if len(term) > 500:
        raise invalid("term", "Value is too long")
    return term


def _escaped(term: str) -> str:
    return term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _hits(call: Call, cut: Cut, size: int) -> tuple[list[tuple[str, int]], str | None]:
    """(table, id) of what was found, by table and id, and the cursor of the next page."""
    cut.add("since <= ?", call.desk.epoch())
    last = _read_cursor(call)
    if last:
        cut.add("(kind, id) > (?, ?)", *last)
    rows = call.desk.store.db.execute(
        f"SELECT DISTINCT kind, id FROM words WHERE {cut.where} ORDER BY kind, id LIMIT ?",
        (*cut.values, size + 1),
    ).fetchall()
    cursor = None
    if len(rows) > size:
        rows.pop()
        packed = json.dumps({"kind": rows[-1][0], "id": rows[-1][1]}).encode()
        cursor = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    return rows, cursor


def _read_cursor(call: Call) -> tuple[str, int] | None:
    text = call.query.get("cursor")
    if text is None:
        return None
    try:
        marker = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return str(marker["kind"]), int(marker["id"])
    except (ValueError, KeyError, TypeError):
        raise invalid("cursor", "Invalid cursor") from None


def _cut(call: Call, entities: list[str], wanted: list[str]) -> Cut:
    """The rows of the index that match the term."""
    exact = bool(flag(call, "exact_match"))
    term = _term(call, exact=exact).casefold()
    cut = Cut()
    kinds = [KINDS[one] for one in entities]
    cut.add(f"kind IN ({','.join('?' * len(kinds))})", *kinds)
    if exact:
        cut.add("folded=?", term)
    else:
        cut.add("folded LIKE ? ESCAPE '\\'", f"%{_escaped(term)}%")
    if wanted:
        plain = [name for name in wanted if name != "custom_fields"]
        marks = ",".join("?" * len(plain))
        if "custom_fields" in wanted:
            cut.add(f"(length(field)=40 OR field IN ({marks}))", *plain)
        else:
            cut.add(f"field IN ({marks})", *plain)
    return cut


def _answer(call: Call, hits: list[tuple[str, int]], cursor: str | None) -> Answer:
    entities = {kind: entity for entity, kind in KINDS.items()}
    items = [
        {"result_score": 1.0, "item": _item(call, entities[kind], record)}
        for kind, key in hits
        if (record := call.desk.store.get(kind, key)) is not None
    ]
    return Answer(
        {
            "success": True,
            "data": {"items": items},
            "additional_data": {"next_cursor": cursor},
        }
    )


def _item(call: Call, entity: str, record: Record) -> Record:
    """The summary a search shows of a record."""
    if entity == "lead":
        return _lead(call, record)
    item: Record = {
        "id": record["id"],
        "type": entity,
        "visible_to": record["visible_to"],
        "owner": {"id": record["owner_id"]},
        "custom_fields": _values(call, entity, record),
    }
    if entity == "deal":
        for name in ("title", "value", "currency", "status", "is_archived"):
            item[name] = record[name]
        item["stage"] = _named(call, "stages", record["stage_id"])
        item["person"] = _named(call, "persons", record["person_id"])
        item["organization"] = _organization(call, record["org_id"])
    else:
        item["name"] = record["name"]
    if entity == "person":
        item["emails"] = [one["value"] for one in record["emails"]]
        item["phones"] = [one["value"] for one in record["phones"]]
        item["organization"] = _organization(call, record["org_id"])
    if entity == "organization":
        item["address"] = (record["address"] or {}).get("value")
    if entity == "product":
        item["code"] = record["code"]
    else:
        item["notes"] = []
    return item


def _lead(call: Call, record: Record) -> Record:
    """The summary of a lead; the published one has no title."""
    person = record["person_id"] and call.desk.store.get("persons", record["person_id"])
    value = record["value"] or {}
    item: Record = {
        "id": record["uuid"],
        "type": "lead",
        "owner": {"id": record["owner_id"]},
        "phones": [one["value"] for one in (person or {}).get("phones", ())],
        "emails": [one["value"] for one in (person or {}).get("emails", ())],
        "custom_fields": _values(call, "deal", record),
        "notes": [],
        "visible_to": int(record["visible_to"]),
        "is_archived": record["is_archived"],
    }
    if value:
        item |= {"value": value["amount"], "currency": value["currency"]}
    for name, kind, key in (
        ("person", "persons", record["person_id"]),
        ("organization", "organizations", record["organization_id"]),
    ):
        if key is not None:
            item[name] = _named(call, kind, key)
    return item


def _values(call: Call, entity: str, record: Record) -> list[str]:
    kinds = {one["field_code"]: one["field_type"] for one in call.desk.custom_fields(entity)}
    found = []
    for code, value in record["custom_fields"].items():
        if kinds.get(code) in SEARCHABLE:
            found.append(str(value["value"] if isinstance(value, dict) else value))
    return found


def _named(call: Call, kind: str, key: int | None) -> Record | None:
    record = call.desk.store.get(kind, key) if key is not None else None
    return None if record is None else {"id": record["id"], "name": record["name"]}


def _organization(call: Call, key: int | None) -> Record | None:
    record = call.desk.store.get("organizations", key) if key is not None else None
    if record is None:
        return None
    address = (record["address"] or {}).get("value")
    return {"id": record["id"], "name": record["name"], "address": address}


def _size(call: Call) -> int:
    return limit(call, _MOST, refuse=call.desk.switches.search_over_max == "refuse")


def _one_kind(entity: str) -> Callable[[Call], Answer]:
    """GET /deals/search and its likes."""

    def search(call: Call) -> Answer:
        cut = _cut(call, [entity], names(call, "fields", _FIELDS[entity]))
        table = KINDS[entity]
        organization = "organization_id" if entity == "lead" else "org_id"
        for name, column in (("person_id", "person_id"), ("organization_id", organization)):
            value = whole(call, name)
            if value is not None:
                cut.add(f"id IN (SELECT id FROM {table} WHERE {column}=?)", value)
        statuses = names(call, "status", ("open", "won", "lost"))
        if statuses:
            marks = ",".join("?" * len(statuses))
            cut.add(f"id IN (SELECT id FROM deals WHERE status IN ({marks}))", *statuses)
        return _answer(call, *_hits(call, cut, _size(call)))

    return search


def _leads_by_start(call: Call) -> Answer:
    """GET /v1/leads/search: the same, in pages by start."""
    cut = _cut(call, ["lead"], names(call, "fields", _FIELDS["lead"]))
    for column in ("person_id", "organization_id"):
        value = whole(call, column)
        if value is not None:
            cut.add(f"id IN (SELECT id FROM leads WHERE {column}=?)", value)
    cut.add("since <= ?", call.desk.epoch())
    query = f"SELECT DISTINCT kind, id FROM words WHERE {cut.where} ORDER BY id"
    found = call.desk.store.db.execute(query, cut.values).fetchall()
    page, additional = v1.cut_out(call, found, _MOST_LEADS)
    answer = _answer(call, page, None)
    answer.body["additional_data"] = additional
    return answer


def _all_kinds(call: Call) -> Answer:
    """GET /itemSearch."""
    chosen = names(call, "item_types", _TYPES)
    entities = [one for one in KINDS if not chosen or one in chosen]
    wanted = names(call, "fields", (*_ALL_FIELDS, "description"))
    answer = _answer(call, *_hits(call, _cut(call, entities, wanted), _size(call)))
    answer.body["data"]["related_items"] = []
    return answer


def _defined(entity: str) -> str:
    """Whose fields a kind has: leads have those of deals."""
    return "deal" if entity == "lead" else entity


def _by_field(call: Call) -> Answer:
    """GET /itemSearch/field: one field, upper and lower case told apart."""
    match = call.query.get("match", "exact")
    if match not in ("exact", "beginning", "middle"):
        raise invalid("match", "Value must be one of exact, beginning, middle")
    term = _term(call, exact=match == "exact")
    entity, code = call.query.get("entity_type", ""), call.query.get("field", "")
    if entity not in (*KINDS, "project"):
        raise invalid("entity_type", f"Value must be one of {', '.join(KINDS)}")
    defined = call.desk.custom_fields(_defined(entity))
    found: Any = next((one for one in defined if one["field_code"] == code), None)
    if code not in _BUILT_IN and (found is None or found["field_type"] not in SEARCHABLE):
        raise invalid("field", f"Unknown or not searchable field '{code}'")
    cut = Cut()
    cut.add("kind=? AND field=?", KINDS.get(entity, ""), code)
    if match == "exact":
        # The folded text first: that is what the index is sorted by.
        cut.add("folded=? AND text=?", term.casefold(), term)
    elif match == "beginning":
        cut.add("substr(text, 1, ?)=?", len(term), term)
    else:
        cut.add("instr(text, ?)>0", term)
    hits, cursor = _hits(call, cut, limit(call))
    naming = "title" if entity in ("deal", "lead") else "name"
    records = call.desk.store.many(KINDS.get(entity, "deals"), [key for _, key in hits])
    found_here = [records[key] for _, key in hits if key in records]
    items = [{"id": one.get("uuid", one["id"]), naming: one[naming]} for one in found_here]
    return Answer({"success": True, "data": items, "additional_data": {"next_cursor": cursor}})


_TERM = PAGING | {"term", "fields", "exact_match"}
_FIELD_QUERY = PAGING | {"term", "entity_type", "match", "field"}


def _operation(entity: str, name: str, more: set[str]) -> Operation:
    path = f"/{KINDS[entity]}/search"
    return Operation(name, "v2", "GET", path, 20, _one_kind(entity), _TERM | more, search=True)


OPERATIONS = [
    Operation(
        "searchItem",
        "v2",
        "GET",
        "/itemSearch",
        20,
        _all_kinds,
        _TERM | {"item_types", "search_for_related_items", "include_fields"},
        search=True,
    ),
    Operation(
        "searchItemByField",
        "v2",
        "GET",
        "/itemSearch/field",
        20,
        _by_field,
        _FIELD_QUERY,
        search=True,
    ),
    _operation("deal", "searchDeals", {"person_id", "organization_id", "status", "include_fields"}),
    _operation("person", "searchPersons", {"organization_id", "include_fields"}),
    _operation("organization", "searchOrganization", set()),
    _operation("product", "searchProducts", {"include_fields"}),
    _operation("lead", "searchLeads", {"person_id", "organization_id", "include_fields"}),
    Operation(
        "searchLeads",
        "v1",
        "GET",
        "/leads/search",
        40,
        _leads_by_start,
        (_TERM - {"cursor"}) | {"person_id", "organization_id", "start"},
        search=True,
    ),
]
