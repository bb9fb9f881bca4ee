"""Field definitions and their options (v2)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive import removal
from sandbox.pipedrive.built_in_fields import definition, option
from sandbox.pipedrive.call import Answer, Call, Operation, data, page
from sandbox.pipedrive.checks import (
    Check,
    array,
    boolean,
    fields,
    integer,
    nullable,
    one_of,
    text,
)
from sandbox.pipedrive.listing import PAGING, Cut, names, walk
from sandbox.pipedrive.refusals import forbidden, invalid, not_found, over_plan
from sandbox.pipedrive.relations import ENTITIES
from sandbox.pipedrive.store import Record

TYPES = (
    "varchar",
    "varchar_auto",
    "text",
    "double",
    "monetary",
    "date",
    "daterange",
    "time",
    "timerange",
    "enum",
    "set",
    "user",
    "org",
    "people",
    "phone",
    "address",
)
MOST_OPTIONS = 10_000
_NAMESPACES = ("ui_visibility", "important_fields", "required_fields")
_TABLES = {entity: kind for kind, entity in ENTITIES.items()}
_label = text(255, filled=True)
_dialog = fields({"show": boolean, "order": nullable(integer())})
_UI = {
    "add_visible_flag": boolean,
    "details_visible_flag": boolean,
    "projects_detail_visible_flag": boolean,
    "show_in_pipelines": fields({"show_in_all": boolean, "pipeline_ids": array(integer())}),
    "show_in_add_deal_dialog": _dialog,
    "show_in_add_person_dialog": _dialog,
}


def _object(value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise invalid(where, "Expected a valid object")
    return value


@dataclass(frozen=True, slots=True)
class FieldSet:
    """The definitions of one kind of record."""

    entity: str
    namespaces: tuple[str, ...]
    read_only: bool = False
    whole: bool = False  # answered with what is asked for by include_fields elsewhere

    def _parts(self, display: Record) -> dict[str, Check]:
        """Body fields; those of the web display follow what the entity shows."""
        parts: dict[str, Check] = {"field_name": _label}
        shown = {key: _UI[key] for key in display["ui_visibility"]}
        parts["ui_visibility"] = fields(shown)
        if "important_fields" in self.namespaces:
            parts["important_fields"] = fields({"enabled": boolean, "stage_ids": array(integer())})
            required: dict[str, Check] = {"enabled": boolean}
            if self.entity == "deal":
                required |= {"stage_ids": array(integer()), "statuses": _object}
            parts["required_fields"] = fields(required)
        if self.entity == "deal":
            parts["description"] = nullable(text())
        return parts

    def shown(self, call: Call, field: Record, *, written: bool = False) -> Record:
        """The definition as it is answered; writes cannot ask for more and get everything."""
        wanted: Collection[str] = self.namespaces
        if not (written or self.whole):
            wanted = names(call, "include_fields", self.namespaces)
        hidden = {"id", "entity", "add_time", "update_time", "is_deleted", "options_deleted"}
        hidden |= set(_NAMESPACES) - set(wanted)
        if field["description"] is None or self.entity not in ("deal", "activity"):
            hidden.add("description")
        seen = {key: value for key, value in field.items() if key not in hidden}
        if call.desk.switches.builtin_option_ids == "string" and not field["is_custom_field"]:
            seen["options"] = _worded(field["options"])
        return seen

    def _need(self, call: Call) -> Record:
        code = call.path["field_code"]
        for field in call.desk.fields(self.entity):
            if field["field_code"] == code:
                return field
        raise not_found("Field")

    def keep(self, call: Call, field: Record) -> None:
        """Write a changed definition down."""
        field["update_time"] = call.now
        call.desk.store.replace("fields", field["id"], field)
        call.desk.forget_fields()

    def collection(self, call: Call) -> Answer:
        """GET all."""
        cut = Cut("is_deleted=0")
        cut.add("entity=?", self.entity)
        rows, cursor = walk(call, "fields", cut, ())
        return page([self.shown(call, row) for row in rows], cursor)

    def read(self, call: Call) -> Answer:
        """GET one."""
        return data(self.shown(call, self._need(call)))

    def create(self, call: Call) -> Answer:
        """POST: a new custom field."""
        blank = definition(self.entity, "", "", "", None, custom=True, when=call.now)
        parts = self._parts(blank) | {
            "field_type": one_of(TYPES),
            "options": array(fields({"label": _label}, ("label",)), MOST_OPTIONS),
        }
        body = fields(parts, ("field_name", "field_type"))(call.json(), "")
        kind, labels = body["field_type"], body.get("options")
        if kind in ("enum", "set") and not labels:
            raise invalid("options", "Required for fields of type enum and set")
        if kind not in ("enum", "set") and labels is not None:
            raise invalid("options", "Only fields of type enum and set have options")
        check_limit(call)
        options = [new_option(call, one["label"]) for one in labels] if labels else None
        code = call.desk.new_code()
        field = definition(
            self.entity, body["field_name"], code, kind, options, custom=True, when=call.now
        )
        _lay_over(field, body)
        call.desk.store.insert("fields", field)
        call.desk.forget_fields()
        return data(self.shown(call, field, written=True), int(call.desk.switches.create_status))

    def change(self, call: Call) -> Answer:
        """PATCH: name, description and display settings."""
        field = dict(self._need(call))
        body = fields(self._parts(field))(call.json(), "")
        if not body:
            raise invalid("", "Request body must contain at least one field")
        if not field["is_custom_field"] and "field_name" in body:
            raise forbidden("Built-in fields cannot be renamed")
        _lay_over(field, body)
        self.keep(call, field)
        return data(self.shown(call, field, written=True))

    def delete(self, call: Call) -> Answer:
        """DELETE: the definition and, for the user, all its values."""
        field = self._need(call)
        if not field["is_custom_field"]:
            raise forbidden("Built-in fields cannot be deleted")
        drop(call, field)
        return data(self.shown(call, field))

    def _with_options(self, call: Call) -> Record:
        field = dict(self._need(call))
        if field["options"] is None:
            raise invalid("field_code", "Field does not have options")
        if not field["is_custom_field"] and call.desk.switches.label_options == "refuse":
            raise forbidden("Options of built-in fields cannot be changed")
        return field

    def add_options(self, call: Call) -> Answer:
        """POST options: all or none."""
        field = self._with_options(call)
        wanted = _filled(array(fields({"label": _label}, ("label",)))(call.json(), ""))
        if len(field["options"]) + len(wanted) > MOST_OPTIONS:
            raise invalid("", f"A field can have at most {MOST_OPTIONS} options")
        new = [new_option(call, one["label"]) for one in wanted]
        self.keep(call, {**field, "options": field["options"] + new})
        return _options(new)

    def rename_options(self, call: Call) -> Answer:
        """PATCH options: all or none."""
        field = self._with_options(call)
        one = fields({"id": integer(), "label": _label}, ("id", "label"))
        wanted = {each["id"]: each["label"] for each in _filled(array(one)(call.json(), ""))}
        _check_known(field, wanted)
        options = [
            {**each, "label": wanted[each["id"]], "update_time": call.now}
            if each["id"] in wanted
            else each
            for each in field["options"]
        ]
        self.keep(call, {**field, "options": options})
        return _options([each for each in options if each["id"] in wanted])

    def remove_options(self, call: Call) -> Answer:
        """DELETE options: all or none."""
        field = self._with_options(call)
        one = fields({"id": integer()}, ("id",))
        wanted = {each["id"]: "" for each in _filled(array(one)(call.json(), ""))}
        _check_known(field, wanted)
        gone = [each for each in field["options"] if each["id"] in wanted]
        left = [each for each in field["options"] if each["id"] not in wanted]
        bury(field, gone)
        self.keep(call, {**field, "options": left})
        self.clear(call, field, wanted.keys())
        return _options(gone)

    def clear(self, call: Call, field: Record, removed: Collection[int]) -> None:
        """Take removed options out of the values of all records, where the account does so."""
        if call.desk.switches.removed_option == "keep":
            return
        kind, code = _TABLES[self.entity], field["field_code"]
        for record in call.desk.store.walk(kind):
            values = record["custom_fields"] if field["is_custom_field"] else record
            left = _without(values.get(code), removed)
            if left == values.get(code):
                continue
            values[code] = left
            if field["is_custom_field"] and not left:
                del values[code]  # an unset value is not kept
            call.desk.store.replace(kind, record["id"], record)

    def operations(self) -> list[Operation]:
        """The documented operations; some definitions can only be read here."""
        stem = f"{self.entity.capitalize()}Field"
        every = f"/{self.entity}Fields"
        one, options = f"{every}/{{field_code}}", f"{every}/{{field_code}}/options"
        include = frozenset() if self.whole else frozenset({"include_fields"})
        listed = [
            Operation(f"get{stem}s", "v2", "GET", every, 10, self.collection, PAGING | include),
            Operation(f"get{stem}", "v2", "GET", one, 1, self.read, include),
        ]
        if self.read_only:
            return listed

        def writing(
            name: str, verb: str, path: str, cost: int, act: Callable[[Call], Answer]
        ) -> Operation:
            return Operation(name, "v2", verb, path, cost, act)

        return [
            *listed,
            writing(f"add{stem}", "POST", every, 5, self.create),
            writing(f"update{stem}", "PATCH", one, 5, self.change),
            writing(f"delete{stem}", "DELETE", one, 3, self.delete),
            writing(f"add{stem}Options", "POST", options, 5, self.add_options),
            writing(f"update{stem}Options", "PATCH", options, 5, self.rename_options),
            writing(f"delete{stem}Options", "DELETE", options, 3, self.remove_options),
        ]


def check_limit(call: Call) -> None:
    """403 when the company has as many custom fields as it may."""
    most = call.desk.switches.most_custom_fields or call.desk.plan.custom_fields
    if call.desk.store.number("fields", "is_custom_field", 1) >= most:
        raise over_plan("field", "Custom fields", "feature_capping_custom_fields_limit")


def drop(call: Call, field: Record) -> None:
    """Delete a definition."""
    removal.delete(call.desk, "fields", field)
    call.desk.forget_fields()
    call.desk.store.db.execute("DELETE FROM words WHERE field=?", (field["field_code"],))


def bury(field: Record, gone: list[Record]) -> None:
    """Remember removed options: v1 goes on listing them apart."""
    field["options_deleted"] = [*field.get("options_deleted", ()), *gone]


def _lay_over(field: Record, body: Record) -> None:
    for name in ("field_name", "description"):
        if name in body:
            field[name] = body[name]
    for name in _NAMESPACES:
        if name in body:
            field[name] = {**field[name], **body[name]}


def new_option(call: Call, label: str) -> Record:
    """An option with an id nobody else has."""
    return option(call.desk.store.count("options", 1), label, call.now)


def _worded(options: list[Record] | None) -> list[Record] | None:
    """Options with their ids as text, as definitions of built-in fields are published."""
    return options and [{**one, "id": str(one["id"])} for one in options]


def _filled(wanted: list[Any]) -> list[Any]:
    if not wanted:
        raise invalid("", "Expected at least one option")
    return wanted


def _check_known(field: Record, wanted: Record) -> None:
    for key in wanted:
        if all(one["id"] != key for one in field["options"]):
            raise invalid("id", f"Option with id {key} not found")


def _without(value: Any, removed: Collection[int]) -> Any:
    """What is left of a record's value after options were removed."""
    if isinstance(value, list):
        return [one for one in value if one not in removed]
    if value is None:
        return None
    # A product's category is kept as text.
    return None if int(value) in removed else value


def _options(changed: list[Record]) -> Answer:
    answer = data([{"id": one["id"], "label": one["label"]} for one in changed])
    answer.body["additional_data"] = None
    return answer


SETS = {
    "deal": FieldSet("deal", _NAMESPACES),
    "person": FieldSet("person", _NAMESPACES),
    "organization": FieldSet("organization", _NAMESPACES),
    "product": FieldSet("product", ("ui_visibility",)),
    "activity": FieldSet("activity", ("ui_visibility",), read_only=True),
    "project": FieldSet("project", _NAMESPACES, read_only=True, whole=True),
}
OPERATIONS = [operation for field_set in SETS.values() for operation in field_set.operations()]
