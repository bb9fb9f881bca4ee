"""Field definitions as v1 has them: by number, parts of a field as entries of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive.built_in_fields import definition
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.custom import SEARCHABLE
from sandbox.pipedrive.fields import (
    SETS,
    TYPES,
    bury,
    check_limit,
    drop,
    new_option,
)
from sandbox.pipedrive.moments import sql
from sandbox.pipedrive.refusals import Refused, forbidden, not_found
from sandbox.pipedrive.seed import WHEN
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, listed, numbers, refused

MOST_ROWS = 500
# What v1 calls a built-in field where v2 has another name for it.
_KEYS = {
    "deal": {"owner_id": "user_id", "label_ids": "label"},
    "person": {"phones": "phone", "emails": "email"},
    "activity": {"owner_id": "user_id"},
}
_LEAD = (
    ("Title", "title", "varchar"),
    ("Value", "value", "monetary"),
    ("Owner", "owner_id", "user"),
    ("Labels", "label_ids", "set"),
    ("Contact person", "person_id", "people"),
    ("Organization", "organization_id", "org"),
    ("Expected close date", "expected_close_date", "date"),
    ("Source", "source_name", "varchar"),
    ("Visible to", "visible_to", "visible_to"),
    ("Lead created", "add_time", "date"),
    ("Update time", "update_time", "date"),
)
_YES = [{"id": 1, "label": "Yes"}, {"id": 0, "label": "No"}]
_NOTE = (
    ("ID", "id", "int"),
    ("Content", "content", "text"),
    ("User", "user_id", "user"),
    ("Deal", "deal_id", "deal"),
    ("Person", "person_id", "people"),
    ("Organization", "org_id", "org"),
    ("Lead", "lead_id", "lead"),
    ("Add time", "add_time", "date"),
    ("Update time", "update_time", "date"),
    ("Note is pinned to deal", "pinned_to_deal_flag", "enum"),
    ("Note is pinned to person", "pinned_to_person_flag", "enum"),
    ("Note is pinned to organization", "pinned_to_organization_flag", "enum"),
)


def _shown(call: Call, entity: str, field: Record, order: int) -> Record:
    """One entry of a list."""
    custom, code = field["is_custom_field"], field["field_code"]
    display = field["ui_visibility"]
    by = call.user_id
    seen = {
        "id": field["id"],
        "key": _KEYS.get(entity, {}).get(code, code),
        "name": field["field_name"],
        "order_nr": order,
        "field_type": field["field_type"],
        "add_time": sql(field["add_time"]),
        "update_time": sql(field["update_time"]),
        "last_updated_by_user_id": by,
        "created_by_user_id": by,
        "active_flag": True,
        "edit_flag": custom,
        "index_visible_flag": True,
        "details_visible_flag": display["details_visible_flag"],
        "add_visible_flag": display["add_visible_flag"],
        "important_flag": field["important_fields"]["enabled"],
        "bulk_edit_allowed": True,
        "searchable_flag": custom and field["field_type"] in SEARCHABLE,
        "filtering_allowed": True,
        "sortable_flag": True,
        "mandatory_flag": code in ("title", "name"),
        "options": _plain(field["options"]),
    }
    # Published as never null for products, and left out in their example.
    left_out = entity == "product" or call.desk.switches.v1_empty_options == "left_out"
    if left_out and not seen["options"]:
        del seen["options"]
    if field.get("options_deleted"):
        seen["options_deleted"] = _plain(field["options_deleted"])
    parts = _parts(seen, field)
    if parts:
        seen["subfields"] = parts
    return seen


def _plain(options: list[Record] | None) -> list[Record] | None:
    if not options:
        return None
    return [{"id": one["id"], "label": one["label"]} for one in options]


def _parts(whole: Record, field: Record) -> list[Record]:
    """The parts a field has beside its value; they have no number of their own."""
    left = [one for one in field["subfields"] or () if one["field_code"] != "value"]
    return [
        {
            **{key: one for key, one in whole.items() if key != "options_deleted"},
            "id": None,
            "parent_id": whole["id"],
            "key": f"{whole['key']}_{part['field_code']}",
            "name": part["field_name"],
            "field_type": part["field_type"],
            **({"options": None} if "options" in whole else {}),
            "is_subfield": True,
        }
        for part in left
    ]


def _entries(call: Call, entity: str, fields: Iterable[Record]) -> list[Record]:
    """Every field, each followed by its parts."""
    found = []
    for order, field in enumerate(fields, 1):
        seen = _shown(call, entity, field, order)
        found += [seen, *seen.get("subfields", ())]
    return found


def _given_options(given: Any) -> list[Record]:
    """Options as an array, or as one written down as text."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            raise refused("options must be a JSON array") from None
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise refused("options must be an array of objects")
    for one in given:
        if not isinstance(one.get("label"), str) or not one["label"].strip():
            raise refused("Every option must have a label")
    return given


@dataclass(frozen=True, slots=True)
class Fields:
    """The definitions of one kind of record that can be changed."""

    entity: str
    status: int = 200  # of a create

    def _need(self, call: Call, key: int) -> Record:
        found = call.desk.store.get("fields", key, deleted=True)
        if found is None or found["entity"] != self.entity:
            raise not_found("Field")
        if found.get("is_deleted"):
            raise Refused(410, "Field is deleted")
        return found

    def _own(self, call: Call, key: int) -> Record:
        field = self._need(call, key)
        if not field["is_custom_field"]:
            raise forbidden("Only custom fields can be changed")
        return field

    def _one(self, call: Call, field: Record) -> Record:
        codes = [one["field_code"] for one in call.desk.fields(self.entity)]
        return _shown(call, self.entity, field, codes.index(field["field_code"]) + 1)

    def collection(self, call: Call) -> Answer:
        """GET all."""
        rows = _entries(call, self.entity, call.desk.fields(self.entity))
        return listed(*cut_out(call, rows, MOST_ROWS))

    def read(self, call: Call) -> Answer:
        """GET one."""
        return data(self._one(call, self._need(call, call.key())))

    def create(self, call: Call) -> Answer:
        """POST."""
        body = call.object()
        name, kind = body.get("name"), body.get("field_type")
        if not isinstance(name, str) or not name.strip():
            raise refused("name is required")
        if kind not in TYPES:
            raise refused("field_type is not valid")
        options = None
        if kind in ("enum", "set"):
            labels = [one["label"] for one in _given_options(body.get("options") or [])]
            if not labels:
                raise refused("options are required for fields of type enum and set")
            options = [new_option(call, label) for label in labels]
        check_limit(call)
        field = definition(
            self.entity, name, call.desk.new_code(), kind, options, custom=True, when=call.now
        )
        _show_in_dialog(field, body)
        field["id"] = call.desk.store.insert("fields", field)
        call.desk.forget_fields()
        return data(self._one(call, field), self.status)

    def update(self, call: Call) -> Answer:
        """PUT: options that are not sent are removed."""
        field, body = self._own(call, call.key()), call.object()
        if isinstance(body.get("name"), str) and body["name"].strip():
            field["field_name"] = body["name"]
        _show_in_dialog(field, body)
        gone: list[Record] = []
        if "options" in body and field["options"] is not None:
            gone = _replace_options(call, field, _given_options(body["options"]))
        SETS[self.entity].keep(call, field)
        if gone:
            SETS[self.entity].clear(call, field, [one["id"] for one in gone])
        return data(self._one(call, field))

    def delete(self, call: Call) -> Answer:
        """DELETE one."""
        field = self._own(call, call.key())
        drop(call, field)
        return data({"id": field["id"]})

    def delete_many(self, call: Call) -> Answer:
        """DELETE several."""
        found = [self._own(call, key) for key in numbers(call)]
        for field in found:
            drop(call, field)
        return data({"id": [field["id"] for field in found]})

    def operations(self) -> list[Operation]:
        """The six documented ones."""
        stem = f"{self.entity.capitalize()}Field"
        every, one = f"/{self.entity}Fields", f"/{self.entity}Fields/{{id}}"

        def v1(
            name: str, verb: str, path: str, cost: int, act: Callable[[Call], Answer]
        ) -> Operation:
            return Operation(f"{name} v1", "v1", verb, path, cost, act)

        return [
            v1(f"get{stem}s", "GET", every, 20, self.collection),
            v1(f"add{stem}", "POST", every, 10, self.create),
            v1(f"delete{stem}s", "DELETE", every, 10, self.delete_many),
            v1(f"get{stem}", "GET", one, 2, self.read),
            v1(f"update{stem}", "PUT", one, 10, self.update),
            v1(f"delete{stem}", "DELETE", one, 6, self.delete),
        ]


def _show_in_dialog(field: Record, body: Record) -> None:
    if isinstance(body.get("add_visible_flag"), bool):
        shown = {"add_visible_flag": body["add_visible_flag"]}
        field["ui_visibility"] = {**field["ui_visibility"], **shown}


def _replace_options(call: Call, field: Record, given: list[Record]) -> list[Record]:
    """The options as sent: known ones by id, new ones by label; those that went are answered."""
    known = {one["id"]: one for one in field["options"]}
    kept = []
    for one in given:
        if one.get("id") is None:
            kept.append(new_option(call, one["label"]))
        elif one["id"] in known:
            old = known.pop(one["id"])
            kept.append({**old, "label": one["label"], "update_time": call.now})
        else:
            raise refused(f"Option with id {one['id']} not found")
    gone = list(known.values())
    field["options"] = kept
    if gone:
        bury(field, gone)
    return gone


def _list_activity(call: Call) -> Answer:
    rows = _entries(call, "activity", call.desk.fields("activity"))
    return listed(*cut_out(call, rows, MOST_ROWS))


def _list_lead(call: Call) -> Answer:
    """Its own fields, and the custom ones it shares with deals."""
    own = [
        {"id": at, **definition("lead", name, code, kind, None, custom=False, when=WHEN)}
        for at, (name, code, kind) in enumerate(_LEAD, 1)
    ]
    rows = _entries(call, "lead", [*own, *call.desk.custom_fields("deal")])
    return listed(*cut_out(call, rows, MOST_ROWS))


def _list_note(call: Call) -> Answer:
    rows = [_note_field(at, *one) for at, one in enumerate(_NOTE, 1)]
    return listed(*cut_out(call, rows, MOST_ROWS))


def _note_field(key: int, name: str, code: str, kind: str) -> Record:
    seen = {
        "id": key,
        "key": code,
        "name": name,
        "field_type": kind,
        "active_flag": True,
        "edit_flag": False,
        "bulk_edit_allowed": True,
        "mandatory_flag": code == "content",
    }
    return {**seen, "options": _YES} if kind == "enum" else seen


_CHANGEABLE = (
    Fields("deal"),
    Fields("person"),
    Fields("organization"),
    Fields("product", status=201),
)
OPERATIONS = [
    *(operation for each in _CHANGEABLE for operation in each.operations()),
    Operation("getActivityFields v1", "v1", "GET", "/activityFields", 20, _list_activity),
    Operation("getLeadFields", "v1", "GET", "/leadFields", 20, _list_lead),
    Operation("getNoteFields", "v1", "GET", "/noteFields", 20, _list_note),
]
