"""What the five main kinds of record have in common: list, read, create, change, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.pipedrive import changes, custom, filtering, index, removal
from sandbox.pipedrive.call import Answer, Call, Operation, data, page
from sandbox.pipedrive.checks import Check, fields
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.listing import (
    SORTED,
    Cut,
    flag,
    ids,
    names,
    period,
    walk,
)
from sandbox.pipedrive.refusals import invalid, not_found
from sandbox.pipedrive.store import KINDS, Record

Step = Callable[[Call, Record], None]
Extra = Callable[[Call, Record], Any]  # one value of include_fields


def _nothing(_: Call, __: Record) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of record of API v2."""

    kind: str  # table and path: "organizations"
    entity: str  # in the singular: "organization"
    operation: str  # as operation names have it: "Organization"
    parts: Mapping[str, Check]  # body fields of create and change
    create_only: Mapping[str, Check]
    required: tuple[str, ...]
    links: Mapping[str, str]  # body field -> table it points into
    filters: tuple[str, ...]  # list parameters compared with a column
    fresh: Callable[[Call], Record]  # a new record before the body is laid over it
    body: Callable[[Call, Record], Record] = lambda _, body: body  # looked over before checking
    settle: Callable[[Call, Record, Record, Record | None], None] = lambda *_: None
    made: Step = _nothing  # after a new record was kept
    show: Step = _nothing
    narrow: Callable[[Call, Cut], None] = lambda *_: None
    narrowed: tuple[str, ...] = ()  # the list parameters `narrow` reads
    extras: Mapping[str, Extra] = field(default_factory=dict)
    custom: bool = True
    status: int = 0  # of a create; 0 = as the switch says
    labels: bool = True  # include_option_labels, include_labels
    single_query: bool = True  # whether get one takes include_fields and custom_fields
    until: bool = True  # updated_until

    def collection(self, call: Call) -> Answer:
        """GET of the collection."""
        cut = Cut("is_deleted=0")
        self.narrow(call, cut)
        if not filtering.narrow(call, cut, self.kind):
            self._choose(call, cut)
        period(call, cut)
        rows, cursor = walk(call, self.kind, cut, KINDS[self.kind].sorts)
        return page([self.shown(call, row) for row in rows], cursor)

    def _choose(self, call: Call, cut: Cut) -> None:
        """The parameters that do not count beside a saved filter."""
        wanted = ids(call)
        if wanted is not None:
            cut.add(f"id IN ({','.join('?' * len(wanted))})", *wanted)
        for name in self.filters:
            if name in call.query:
                cut.add(f"{name}=?", _filter(call, name))

    def read(self, call: Call) -> Answer:
        """GET of one."""
        record = call.desk.readable(self.kind, call.key())
        if record is None:
            raise not_found(LABELS[self.kind])
        return data(self.shown(call, record))

    def create(self, call: Call) -> Answer:
        """POST."""
        body = self.body(call, call.object())
        checked = fields({**self.parts, **self.create_only}, self.required)(body, "")
        record = {**self.fresh(call), **checked}
        self._finish(call, record, checked, None)
        record["id"] = self.keep(call, record)
        self.made(call, record)
        status = self.status or int(call.desk.switches.create_status)
        return data(self.shown(call, record), status)

    def keep(self, call: Call, record: Record) -> int:
        """Write a new record and let the search find it in a while."""
        key = call.desk.store.insert(self.kind, record)
        kept = {**record, "id": key}
        index.keep(call.desk, self.kind, self.entity, kept)
        changes.made(call.desk, self.kind, kept, call.user_id)
        return key

    def change(self, call: Call) -> Answer:
        """PATCH."""
        before = self.need(call)
        body = self.body(call, call.object())
        if not body:
            raise invalid("", "Request body must contain at least one field")
        checked = fields(self.parts)(body, "")
        record = {**before, **checked}
        if self.custom:
            record["custom_fields"] = before["custom_fields"]
        self._finish(call, record, checked, before)
        self.rewrite(call, record)
        return data(self.shown(call, record))

    def rewrite(self, call: Call, record: Record) -> None:
        """Keep a changed record, stamped now."""
        record["update_time"] = call.now
        before = call.desk.store.get(self.kind, record["id"])
        if before is not None:
            changes.changed(call.desk, self.kind, before, record, call.user_id)
        call.desk.store.replace(self.kind, record["id"], record)
        index.keep(call.desk, self.kind, self.entity, record)

    def delete(self, call: Call) -> Answer:
        """DELETE: the record stays for 30 days but only a deleted deal can still be seen."""
        record = self.need(call)
        removal.delete(call.desk, self.kind, record)
        return data({"id": record["id"]})

    def need(self, call: Call) -> Record:
        """The record the path names."""
        record = call.desk.store.get(self.kind, call.key())
        if record is None:
            raise not_found(LABELS[self.kind])
        return record

    def _finish(self, call: Call, record: Record, checked: Record, before: Record | None) -> None:
        for name, kind in self.links.items():
            if name in checked:
                call.desk.need(kind, checked[name], name)
        if self.custom and "custom_fields" in checked:
            values = custom.accept(call.desk, self.entity, checked["custom_fields"])
            kept = {**(before or {}).get("custom_fields", {}), **values}
            record["custom_fields"] = {k: v for k, v in kept.items() if v is not None}
        self.settle(call, record, checked, before)

    def shown(self, call: Call, record: Record) -> Record:
        """The record as it is answered."""
        seen = dict(record)
        self.show(call, seen)
        if self.custom:
            seen["custom_fields"] = custom.shown(
                call.desk,
                self.entity,
                record["custom_fields"],
                names(call, "custom_fields", most=15),
                labels=bool(flag(call, "include_option_labels")),
            )
        if flag(call, "include_labels"):
            known = call.desk.label_options(self.entity, "label_ids")
            chosen = (one for one in record["label_ids"] if one in known)
            seen["labels"] = [{"id": one, "label": known[one]} for one in chosen]
        for name in names(call, "include_fields", tuple(self.extras)):
            seen[name] = self.extras[name](call, record)
        return seen

    def operations(self) -> list[Operation]:
        """The six documented operations (five where there is no list of this kind)."""
        path, single = f"/{self.kind}", f"/{self.kind}/{{id}}"
        one: frozenset[str] = frozenset()
        if self.single_query:
            one |= {"include_fields"} if self.extras else set()
            one |= {"custom_fields"} if self.custom else set()
            one |= {"include_option_labels", "include_labels"} if self.labels else set()
        many = SORTED | {"ids", "filter_id", "updated_since", *self.filters, *self.narrowed}
        many |= one | ({"custom_fields"} if self.custom else set())
        many |= {"updated_until"} if self.until else set()
        plural = (
            self.operation[:-1] + "ies" if self.operation == "Activity" else self.operation + "s"
        )
        return [
            Operation(f"get{plural}", "v2", "GET", path, 10, self.collection, many),
            Operation(f"add{self.operation}", "v2", "POST", path, 5, self.create),
            Operation(f"get{self.operation}", "v2", "GET", single, 1, self.read, one),
            Operation(f"update{self.operation}", "v2", "PATCH", single, 5, self.change),
            Operation(f"delete{self.operation}", "v2", "DELETE", single, 3, self.delete),
        ]


def _filter(call: Call, name: str) -> Any:
    """A list parameter's value as its column holds it."""
    if name == "done":
        return bool(flag(call, name))
    if name in ("lead_id", "status"):
        return call.query[name]
    try:
        return int(call.query[name])
    except ValueError:
        raise invalid(name, "Expected a valid integer") from None


def counter(kind: str, column: str, extra: str = "") -> Extra:
    """How many live records of a table point at this one."""

    def count(call: Call, record: Record) -> int:
        return call.desk.store.number(kind, column, record["id"], extra)

    return count


def nothing_yet(value: Any) -> Extra:
    """An optional field this account never fills."""
    return lambda _, __: value
