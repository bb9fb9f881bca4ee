"""A connector, compiled and frozen: everything the engine knows about one API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import msgspec

from engine.values import segments

PLACE = re.compile(
    r"\{(\w+)\}"
)  # a place in a path or parameter that a field fills in

Verb = Literal[
    "list",
    "read",
    "create",
    "update",
    "delete",
    "add_options",
    "remove_options",
]


# how an update empties a field; `left_out` where a row is sent whole
Emptied = Literal["as_null", "as_list", "left_out", "never"]


class FieldType(msgspec.Struct, frozen=True):
    """The type of one field as the API documents it.

    `kind` is one of text, html, integer, number, boolean, date, time, duration, datetime (a UTC
    instant), wall_time (the account's clock under a false offset), id, reference, object, list,
    enum, url. `shape` names the fields inside an object or list; `to` lists the resources a
    reference may point to.
    """

    kind: str
    shape: Mapping[str, FieldType] | None = None
    to: tuple[str, ...] = ()
    required: bool = False
    writable: bool = True
    max: int | None = None
    # enum: where its options are kept, "fields-resource/field-code"
    options: str = ""
    one_of: tuple[str, ...] = ()
    # plan -> those that are all it takes there
    one_of_plan: Mapping[str, Sequence[str]] = {}
    # how an update empties the field: by null, by [], or never
    empty: Literal["as_null", "as_list", "never"] = "never"
    # values of other fields without which it is refused
    only_with: Mapping[str, Any] = {}
    requires: tuple[str, ...] = ()  # fields without which it is refused
    # in a shape: another name under which answers hold it
    also: str = ""
    # the type an option's id travels in, where lists of options may write it otherwise
    option_id: Literal["", "integer", "text"] = ""


class Pager(msgspec.Struct, frozen=True):
    """How one list is walked: see engine/connector/pagination.py for the kinds."""

    kind: str
    size: int = 0
    params: Mapping[str, str] = {}
    next: str = ""
    more: str = ""
    total: str = ""
    first: bool = True
    # the platform documents that a page with fewer rows than asked for is the last
    ends_short: bool = False
    # what is asked for fits on a page: set where a list looks rows up, not by a connector
    few: bool = False


class Bulk(msgspec.Struct, frozen=True):
    """How several rows travel in one call: see engine/connector/bulk.py."""

    most: int
    # where the list stands in the body; "" = the body is the list
    rows: str = ""
    more: Mapping[str, Any] = {}  # what else the body holds
    item: Any = {}  # what goes with each row
    wrap: str = ""  # where the row stands in its item
    # where the outcomes stand in the answer
    answers: str = ""
    status: str = ""  # where each outcome has its status ...
    done: Any = ""  # ... or says true, or {place: value}
    failed: str = ""  # ... or says what is wrong
    # where each outcome holds what a call of its own would have answered
    answer: str = ""
    # "kept": the answer promises them in the order of the rows
    order: Literal["", "kept"] = ""


class Operation(msgspec.Struct, frozen=True):
    """One call the API offers on a resource."""

    method: str
    path: str
    cost: int = 1
    pager: Pager | None = None
    # {id} and {field} are filled in
    params: Mapping[str, Any] = {}
    params_in: Literal["query", "body"] = "query"  # list only
    headers: Mapping[str, str] = {}
    body: Literal["json", "multipart", "form", "json_api"] = "json"
    wrap: str = ""  # what the row is put into when it is sent
    each: str = ""  # list only: where the row stands in each item
    # create only: where the answer holds the new id, and the header that does
    id_at: str = ""
    id_header: str = ""
    # create only: header with a key by which the platform knows a repetition
    idempotency: str = ""
    # create only: field by which the platform makes a row or writes over the one that is there
    upsert: str = ""
    only_new: bool = False  # create only: refused where there is such a row
    # create only: an answer with a row that was there
    existing: Literal["adopt", "refuse"] = "adopt"
    bulk: Bulk | None = None
    # the call that takes several rows, where it is not this one
    several: Operation | None = None
    # update only: field with the row's version, sent back so that a change in between is refused
    lock: str = ""
    lock_header: str = ""  # the header that it is sent in, instead of the body
    etag: str = ""  # read only: field that takes the ETag header of the answer
    # update only: what is not sent is emptied, so everything is sent
    whole: bool = False
    # where the row or rows stand in the answer; "" = the whole body
    select: str = ""
    # extra limits this call counts against, besides the general ones
    limits: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()  # fields this call does not take
    ids: str = ""  # list only: parameter that takes a comma list of ids
    # the field those ids are of, where it is not the row's own
    ids_of: str = ""
    ids_form: str = "{}"  # the text around the list of ids
    ids_max: int = 100
    since: str = ""  # list only: parameter for "changed since"
    since_style: str = "rfc3339"
    since_form: str = "{}"  # the text around the moment
    since_zone: str = "UTC"  # the zone by whose clock the moment is written
    # what is sent with `since`, and only then
    since_params: Mapping[str, Any] = {}
    # list only: the order stays the same while people work
    stable: bool = False
    # list only: the resource whose rows each have a list of their own ...
    parent: str = ""
    parent_id: str = ""  # ... and the field that holds which of them it was
    # ... and whether a parent without such rows is answered as one that is not there
    missing_if_empty: bool = False
    newest_first: Mapping[str, Any] = {}
    # list only: fields that only the row's own read holds
    detail: tuple[str, ...] = ()
    # list only: fields that can be asked for by equality
    filters: tuple[str, ...] = ()
    # its answers may hold a secret: of a refusal nothing is shown but what stands at `message`
    quiet: bool = False

    @property
    def rows(self) -> int:
        """How many rows one call writes at most."""
        bulk = (self.several or self).bulk
        return bulk.most if bulk else 1

    @property
    def keeps_order(self) -> bool:
        """Whether the answer to several rows is known to list them in their order."""
        bulk = (self.several or self).bulk
        return bool(bulk and bulk.order)

    @property
    def share(self) -> float:
        """What a row costs at most: its part of a full call, where no other takes it."""
        return self.cost / self.bulk.most if self.bulk else self.cost

    def for_rows(self, rows: int) -> Operation:
        """The call that so many rows travel in: the one for several, where that is cheaper than
        a call for each; several calls where it takes no `bulk`.
        """
        if self.several and self.several.cost < rows * self.cost:
            return self.several
        return self

    def calls(self, rows: int) -> Iterator[tuple[Operation, int]]:
        """The calls that write so many rows, and how many of each."""
        full, rest = divmod(rows, self.rows)
        for times, many in ((full, self.rows), (min(rest, 1), rest)):
            call = self.for_rows(many)
            yield call, times if call.bulk else times * many

    @property
    def places(self) -> tuple[str, ...]:
        """The fields that the path and the parameters name in braces."""
        texts = (
            self.path,
            *(
                value
                for value in self.params.values()
                if isinstance(value, str)
            ),
        )
        return tuple(dict.fromkeys(PLACE.findall(" ".join(texts))))


class CustomFields(msgspec.Struct, frozen=True):
    """How a platform's custom fields are made, found and written."""

    resource: str  # the resource whose rows are the field definitions
    code: str  # the definition's key that names the value ("field_code")
    name: str
    type: str
    types: Mapping[str, str]  # our type word -> the platform's
    # where the values stand in a record; "" = flat on the record
    container: str = ""
    options: str = ""  # where a definition lists its options
    option_label: str = "label"
    option_id: str = "id"
    # the definition's key that says whether people made the field
    own: str = ""
    # the definition's key that says whether people demand the field
    demanded: str = ""
    # plan -> how many an account may have in all; "*" = any plan
    most: Mapping[str, int] = {}


class JsonApi(msgspec.Struct, frozen=True):
    """How a row travels as a JSON:API resource object."""

    type: str
    # field -> name of the relationship, type of the other row
    links: Mapping[str, tuple[str, str]]


class Resource(msgspec.Struct, frozen=True):
    """One collection of rows and what can be done with it."""

    name: str
    operations: Mapping[Verb, Operation]
    fields: Mapping[str, FieldType]
    id: str = "id"
    # where `id` joins a row's own id with what leads to the row: the field of the own id; see
    # address.py
    own: str = ""
    custom: CustomFields | None = None
    modified: str = ""  # field that moves with every change
    created: str = ""
    # fields that distinguish our own rows where no key field exists
    recognise: tuple[str, ...] = ()
    # whether deleting a row deletes the rows that refer to it
    cascades: bool = False
    deleted: str = ""  # field that says a row read by id is deleted
    # plan -> how many an account may have in all; "*" = any plan
    most: Mapping[str, int] = {}
    most_per_seat: bool = False
    most_in_all: int = 0  # ... and however many seats there are
    json_api: JsonApi | None = None
    inside: str = ""  # where a row's fields stand, beside its id
    # the fields that take the file, hold its name, its size
    file: tuple[str, str, str] | None = None
    # the fields people call a row by, the first that is filled
    called: tuple[str, ...] = ("name",)
    # what people see as the names of the platform's own fields, declared here or not
    labels: Mapping[str, str] = {}
    # the fields that hold an amount and its currency
    money: tuple[str, str] | None = None
    # what a row may be marked as -> the field that says so: inactive, archived
    flags: Mapping[str, str] = {}
    # how the fields are known that the three lists below do not name
    evidence: str = "published"
    published: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()

    def evidence_of(self, place: str) -> str:
        """How a field is known: published by the platform, seen in rows, inferred, or not
        declared.
        """
        head = str(segments(place)[0])
        if head not in self.fields:
            return "undeclared"
        for name in (place.replace("[*]", ""), head):
            for word in ("published", "seen", "inferred"):
                if name in getattr(self, word):
                    return word
        return self.evidence

    @property
    def listing(self) -> Operation:
        """How its rows are listed."""
        return self.operations["list"]

    @property
    def marks(self) -> Mapping[str, str]:
        """What a row may be marked as, `deleted` among it -> the field that says so."""
        return {
            **self.flags,
            **({"deleted": self.deleted} if self.deleted else {}),
        }

    @property
    def written_over(self) -> str:
        """The field by which a creation finds a row that is there and writes over it; "" where
        none is written over.
        """
        create = self.operations.get("create")
        if (
            create is None
            or create.only_new
            or any(name.lower() == "if-none-match" for name in create.headers)
        ):
            return ""
        return create.upsert or (
            self.own_field
            if create.method == "PUT" and f"{{{self.own_field}}}" in create.path
            else ""
        )

    @property
    def id_fields(self) -> tuple[str, ...]:
        """The fields that a row's id is made of."""
        return _fields_of(self.id)

    @property
    def own_field(self) -> str:
        """The field that holds what the platform itself calls the row's id."""
        return self.own or self.id

    def emptied(self, name: str) -> Emptied:
        """How an update empties a field: as_null, as_list, left_out (where a row is sent whole),
        or never.
        """
        declared = self.fields.get(name)
        if declared is None:
            return "as_null"
        if declared.empty != "never":
            return declared.empty

        update = self.operations.get("update")
        return "left_out" if update and update.whole else "never"

    def is_theirs(self, name: str) -> bool:
        """Whether people can change a field: of a row that is sent whole also one that is not
        declared.
        """
        if self.own and name in self.id_fields:
            return False  # a row with another one is another row
        declared = self.fields.get(name)
        if declared is not None:
            return declared.writable

        update = self.operations.get("update")
        single = self.operations.get("read")
        etag = single.etag if single else ""
        moving = (*self.id_fields, self.modified, self.created, etag)
        return bool(update and update.whole) and name not in moving

    def all_types(self) -> Iterator[FieldType]:
        """The types of the fields, and of those inside them."""
        for field_type in self.fields.values():
            yield field_type
            yield from (field_type.shape or {}).values()

    def id_of(self, row: Mapping[str, Any]) -> str:
        """A row's id; several fields joined where it is made of them, "" where one of them is
        missing.
        """
        parts = [row.get(name) for name in self.id_fields]
        return "" if None in parts else join_id(parts)

    def parts_of(self, row_id: str) -> dict[str, str]:
        """The fields an id is made of, with their values; {} for the id of no row and for one
        with fewer parts.
        """
        parts = split_id(row_id, len(self.id_fields))
        if not row_id or len(parts) != len(self.id_fields):
            return {}
        return dict(zip(self.id_fields, parts, strict=True))

    def reference_to(self, row_id: str) -> str:
        """What a row of another resource holds to name the row with this id: its own id, without
        what leads to it.
        """
        return (
            self.parts_of(row_id).get(self.own, row_id) if self.own else row_id
        )

    def reference_id_of(self, row: Mapping[str, Any]) -> str:
        """What a row of another resource holds to name this row; "" where the row does not show
        it.
        """
        value = row.get(self.own) if self.own else self.id_of(row)
        return "" if value is None else str(value)


@cache
def _fields_of(text: str) -> tuple[str, ...]:
    return tuple(text.split("+"))


def join_id(parts: Sequence[Any]) -> str:
    """Values as one id, `12+7`; a plus inside any but the last is quoted, so that `split_id`
    finds them.
    """
    *above, last = map(str, parts)
    return "+".join([*map(_quoted, above), last])


def split_id(row_id: str, many: int) -> list[str]:
    """The values that `join_id` made an id of; fewer than `many` where it was made otherwise."""
    *above, last = row_id.split("+", many - 1)
    return [*map(_unquoted, above), last]


def _quoted(part: str) -> str:
    return part.replace("%", "%25").replace("+", "%2B") if "+" in part else part


def _unquoted(part: str) -> str:
    return (
        part.replace("%2B", "+").replace("%25", "%") if "%2B" in part else part
    )


class Limit(msgspec.Struct, frozen=True):
    """One quota of an account; all of them hold at once."""

    name: str
    unit: Literal["calls", "cost"]
    amount: Mapping[str, float]  # plan -> amount; "*" = any plan
    seconds: float
    window: Literal["rolling", "calendar"]
    per_seat: bool = False
    general: bool = True  # False: only operations that name it count
    # of these methods: then calls of no other method count
    methods: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}  # limit, remaining, reset

    def allowance(self, plan: str, seats: int) -> float:
        """Units per window for an account on this plan."""
        amount = self.amount.get(plan, self.amount.get("*", 0))
        return amount * (seats if self.per_seat else 1)


Then = Literal[
    "wait",
    "pause",
    "refuse",
    "stop",
    "reject",
    "missing",
    "forbid",
    "unsure",
    "moved",
]


class ErrorRule(msgspec.Struct, frozen=True):
    """Which answer means what; the first rule that matches decides.

    `then`: wait (not executed: wait and repeat), pause (a long quota is spent), refuse (key not
    valid), stop (shut out), reject (this record only), missing (no such row), forbid (no right to
    this collection), unsure (the request may have been executed), moved (a redirect, which no
    connector declares).
    """

    then: Then
    status: tuple[int, ...] = ()
    headers: Mapping[str, str] = {}
    content_type: str = ""
    body: Mapping[str, Any] = {}
    after: float = 0.0
    limit: str = ""


class Reference(msgspec.Struct, frozen=True):
    """How a value names a row of another collection: a pattern with `{collection}` and `{id}`."""

    pattern: str = ""


class Pipelines(msgspec.Struct, frozen=True):
    """Where a platform keeps pipelines and their stages."""

    resource: str
    name: str
    stages: str
    stage_name: str
    parent: str


class Users(msgspec.Struct, frozen=True):
    """Where a platform keeps the people who can own records."""

    resource: str
    email: str
    active: str = ""
    # the fields of a person's name, joined by spaces
    name: tuple[str, ...] = ()


class Connection(msgspec.Struct, frozen=True):
    """Where the API is and how it is signed in to."""

    base_url_env: str
    base_url: str  # the production address; links in records start with it
    auth: Mapping[str, Any]
    secret_env: str
    check: Operation
    # where the answer to it names the account; "" where it does not
    account: str = ""
    headers: Mapping[str, str] = {}
    timeout: float = 60.0
    # an answer that takes longer in all is given up; 0 = four times `timeout`
    answer_seconds: float = 0.0
    answer_max_bytes: int = 100_000_000
    # what a bare figure of `Retry-After` or a reset header counts
    wait_unit: Literal["seconds", "milliseconds"] = "seconds"
    concurrency: int = 8
    # seconds a request without an answer may still be at work on the other side
    reconcile_after: float = 3.0
    file_hosts: tuple[str, ...] = ()
    file_max_bytes: int = 100_000_000
    # files on the account's own server are asked for with the key
    file_signed: bool = False


class ToKnow(msgspec.Struct, frozen=True):
    """What people should know of a platform before a migration: what its API does not hold, what
    to check. The counts of `rows`, collections and fields of them, show how much it concerns.
    """

    text: str
    rows: tuple[str, ...] = ()


class Connector(msgspec.Struct, frozen=True):
    """One API."""

    name: str
    title: str
    connection: Connection
    plans: tuple[str, ...]
    limits: tuple[Limit, ...]
    errors: tuple[ErrorRule, ...]
    message: tuple[str, ...]  # where an error answer says what is wrong
    resources: Mapping[str, Resource]
    reference: Reference
    pipelines: Pipelines | None = None
    users: Users | None = None
    tries: int = 5
    # values by which the platform says that a field is empty
    empty_values: tuple[Any, ...] = ()
    # field -> one that says all it says; * stands for any text
    same_as: Mapping[str, str] = {}
    # what the platform calls the cost of a call, in the plural
    cost_unit: str = "calls"
    to_know: tuple[ToKnow, ...] = ()
    digest: str = ""

    def room_for_fields(self, plan: str) -> int | None:
        """How many custom fields an account on this plan may have in all; None where that is not
        known.
        """
        customs = [
            item.custom for item in self.resources.values() if item.custom
        ]
        known = [item.most.get(plan, item.most.get("*")) for item in customs]
        return min((room for room in known if room is not None), default=None)

    def said_by(self, name: str) -> Iterator[str]:
        """The fields that say all that this field says."""
        for pattern, other in self.same_as.items():
            head, star, tail = pattern.partition("*")
            if (
                star
                and name.startswith(head)
                and name[len(head) :].endswith(tail)
            ):
                yield other.replace(
                    "*", name[len(head) : len(name) - len(tail)]
                )
            elif name == pattern:
                yield other
