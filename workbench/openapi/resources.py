"""One collection as a resource of a connector: its fields, and its calls as the connector writes
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.openapi import envelopes, errors, paging
from workbench.openapi.calls import FORM, JSON_API, MULTIPART, Call, find
from workbench.openapi.collections import Collection, below
from workbench.openapi.envelopes import Found, Seen
from workbench.openapi.fields import Field, Known, fields, row_id, stamp
from workbench.openapi.names import key, placeable, singular, usable
from workbench.openapi.schemas import Schema
from workbench.openapi.words import words

_AGAIN = (
    "may a create be sent again after no answer? Is there a header with a key for that?"
    " (idempotency)"
)
_WHOLE = "does this PUT empty what is not sent? If not, drop whole"
VERBS = (
    "list",
    "read",
    "create",
    "update",
    "delete",
    "add_options",
    "remove_options",
)


@dataclass(frozen=True, slots=True)
class Written:
    """A call as the connector writes it, with the reasons and the questions."""

    call: Mapping[str, Any]
    why: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it will stand in the draft; pagers and selects are still those of each call."""

    name: str
    path: str
    id: str
    id_why: str
    fields: Mapping[str, Field]
    calls: Mapping[str, Written]
    selects: Mapping[str, str]
    json_api: str = ""
    asks: tuple[str, ...] = ()
    pager: Mapping[str, Any] = field(default_factory=dict)
    pager_why: str = ""
    pager_asks: tuple[str, ...] = ()
    file: Mapping[str, str] = field(default_factory=dict)

    def stamp(self, which: str) -> str:
        """The field that is a stamp of this kind."""
        return stamp(self.fields, which)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A collection as its answers and bodies show it, and where it stands."""

    collection: Collection
    above: Collection | None
    place: str  # the field with the id of the row above
    seen: Seen
    fields: Mapping[str, Field]


def resource(
    one: Collection, above: Collection | None, known: Known, costs: str
) -> Resource:
    """A collection as a resource."""
    seen = _look(one)
    writes = bool({"create", "update"} & set(one.calls))
    own, why = row_id(_row_names(seen), one.item, one.name)
    answered = [
        (one.calls[verb].good, found)
        for verb, found in (("list", seen.listed), ("read", seen.read))
        if verb in one.calls
    ]
    shown = [
        example
        for good, found in answered
        for example in envelopes.examples(good, found)
    ]
    held = fields(seen, shown, known, own, writes)
    place = _parent_place(one, above, held)
    if above is not None:
        held = {**held, place: _link(held.get(place, Field("ref")), above, one)}
    walked = paging.Walk({}, "")
    if "list" in one.calls and seen.listed:
        walked = paging.walk(one.calls["list"], seen.listed, own)
    drawn = _Drawn(one, above, place, seen, held)
    calls = {
        verb: _call(drawn, verb, costs) for verb in VERBS if verb in one.calls
    }
    asks = (
        *_needed(one),
        *(
            ()
            if own
            else ("which field holds the row's id? The document shows none",)
        ),
    )
    return Resource(
        one.name,
        one.path,
        own or "id",
        why if own else "",
        held,
        _locked(calls, one),
        _selects(seen, one),
        _api_type(seen, one),
        asks,
        walked.pager,
        walked.why,
        walked.asks,
        _file(held),
    )


def _row_names(seen: Seen) -> list[str]:
    found = [one for one in (seen.held, seen.create) if one is not None]
    return [
        name
        for one in found
        for name in (("id",) if one.json_api else one.row.properties)
    ]


def _needed(one: Collection) -> tuple[str, ...]:
    ask = f"the list needs {one.needs}, so none is drafted: is there another way to all rows?"
    return (ask,) if one.needs and "list" not in one.calls else ()


def _link(before: Field, above: Collection, one: Collection) -> Field:
    """The field with the id of the row above, which stands in the path."""
    plain = replace(
        before,
        kind="ref",
        to=(above.name,),
        inner=(),
        one_of=(),
        max=None,
        ask="",
    )
    return replace(
        plain,
        required="create" in one.calls,
        writable=True,
        why=("the row above",),
    )


def _look(one: Collection) -> Seen:
    calls = one.calls
    word = one.name if one.above == "" else one.path.rpartition("/")[2]
    listed = (
        (
            envelopes.rows(calls["list"].good, word)
            or Found("", Schema((), ""), sure=False)
        )
        if "list" in calls
        else None
    )
    read, made = (
        envelopes.row(calls[verb].good, word) if verb in calls else None
        for verb in ("read", "create")
    )
    return Seen(
        listed,
        read,
        made,
        *(_body(calls.get(verb), word) for verb in ("create", "update")),
    )


def _body(call: Call | None, word: str) -> Found | None:
    """The row in a body; that of JSON:API without its `data`, which the engine puts around it."""
    inner = (
        call.body.inner("data")
        if call is not None and call.body is not None
        else None
    )
    if inner is not None and {"type", "attributes"} <= set(inner.properties):
        return Found("", inner)
    return envelopes.sent(call, word)


def _parent_place(
    one: Collection, above: Collection | None, held: Mapping[str, Field]
) -> str:
    """The field with the id of the row above."""
    if above is None:
        return ""
    stem = f"{key(singular(above.name))}id"
    own = next(
        (
            name
            for name in held
            if key(name) == stem and re.fullmatch(r"\w+", name)
        ),
        "",
    )
    named = (
        one.place
        if re.fullmatch(r"\w+", one.place)
        and key(one.place) not in ("id", "resource", "uuid")
        else ""
    )
    return (
        own
        or named
        or f"{re.sub(r'[^A-Za-z0-9_]', '_', singular(above.name))}_id"
    )


def _selects(seen: Seen, one: Collection) -> dict[str, str]:
    """Where the rows stand in each answer, as far as the document draws it."""
    listed = (
        seen.listed
        if seen.listed is not None and seen.listed.row.keys
        else None
    )
    found = {"list": listed, "read": seen.read, "create": seen.made}
    good = one.calls["update"].good if "update" in one.calls else None
    found["update"] = envelopes.row(good, one.name) if good else None
    return {
        verb: item.select for verb, item in found.items() if item is not None
    }


def _api_type(seen: Seen, one: Collection) -> str:
    """The word for these rows in JSON:API; "" where rows are plain."""
    medias = [
        media
        for call in one.calls.values()
        for media in (call.media, call.good.media if call.good else "")
    ]
    held = seen.held
    if (
        held is None
        or not held.json_api
        or not (
            JSON_API in medias
            or "relationships" in held.row.properties
            or held.select == "data"
        )
    ):
        return ""
    type_field = held.row.inner("type")
    word = (
        type_field.enum[0]
        if type_field is not None and type_field.enum
        else one.name
    )
    return word if usable(word) else one.name


def _call(drawn: _Drawn, verb: str, costs: str) -> Written:
    calls = drawn.collection.calls
    call = calls[verb]
    path = below(drawn.collection, call, verb, "id", drawn.place)
    cost = errors.cost(call, costs)
    data: dict[str, Any] = {
        call.method: path,
        **({"cost": cost} if cost is not None else {}),
    }
    if verb == "list":
        return _list(drawn, data)
    if verb in ("create", "update"):
        return _write(verb, call, data, drawn.seen, drawn.fields)
    tagged = (
        verb == "read" and call.good is not None and "etag" in call.good.headers
    )
    if tagged and "update" in calls and _locks(calls["update"]):
        data["etag"] = "_etag"
    return Written(data)


def _list(drawn: _Drawn, data: dict[str, Any]) -> Written:
    one, found, held = drawn.collection, drawn.seen.listed, drawn.fields
    call = one.calls["list"]
    why: list[str] = []
    asks: list[str] = []
    if found is not None and found.each:
        data["each"] = found.each
    if found is not None and not found.sure and not found.row.keys:
        asks.append(
            "the document does not draw the answer: where do the rows stand, and what is in them?"
        )
    elif found is not None and not found.sure:
        asks.append(
            f"the answer holds several lists: are the rows in {found.select or 'the body'}?"
        )
    if one.of_many is not None:
        data |= {"ids": one.of_many.name, "ids_of": drawn.place}
        why.append(f"ids of {drawn.place}: parameter {one.of_many.name}")
    elif drawn.above is not None and "{" in data[call.method]:
        data |= {"parent": drawn.above.name, "parent_id": drawn.place}
        asks.append(
            "is a row's id its own beyond the row above? Else write id: with both"
            " fields joined by +"
        )
    several = paging.ids(call, one.name) if one.of_many is None else None
    if several:
        data |= {
            "ids": several[0].name,
            **({"ids_max": several[1]} if several[1] else {}),
        }
        why.append(f"ids: parameter {several[0].name}")
    since = paging.since(call)
    if since:
        data |= {
            "since": since.name,
            **(
                {"since_style": since.style} if since.style != "rfc3339" else {}
            ),
        }
        why.append(f"since: {since.why}")
        asks += _since_asks(since)
    else:
        data |= _newest(call, stamp(held, "modified"))
    data |= _filters(call, held, data)
    return Written(data, tuple(why), tuple(asks))


def _since_asks(since: paging.Since) -> list[str]:
    ask = f"does {since.name} bring rows changed in any field, and also those deleted since?"
    return (
        [ask]
        if since.sure
        else [
            ask,
            f"how does {since.name} want the moment written? rfc3339 is a guess",
        ]
    )


def _newest(call: Call, modified: str) -> dict[str, Any]:
    """The parameters that put the newest row first, where the document lists their words."""
    sort, way = (
        find(call.query(), words("sort")),
        find(call.query(), words("direction")),
    )
    if sort is None or way is None or modified not in sort.schema.enum:
        return {}
    down = next(
        (
            one
            for one in way.schema.enum
            if isinstance(one, str) and one.lower() in ("desc", "descending")
        ),
        "",
    )
    return (
        {"newest_first": {sort.name: modified, way.name: down}}
        if down and usable(sort.name) and usable(way.name)
        else {}
    )


def _filters(
    call: Call, held: Mapping[str, Field], data: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields that can be asked for: parameters that are called like them."""
    taken = {data.get("ids"), data.get("since")}
    plain = {
        name
        for name, one in held.items()
        if one.kind not in ("list", "object", "file") and placeable(name)
    }
    found = [
        one.name
        for one in call.query()
        if one.name in plain
        and one.name not in taken
        and one.schema.type not in ("array", "object")
    ]
    return {"filters": list(dict.fromkeys(found))} if found else {}


def _write(
    verb: str,
    call: Call,
    data: dict[str, Any],
    seen: Seen,
    held: Mapping[str, Field],
) -> Written:
    asks: list[str] = []
    body, media = (
        (seen.create if verb == "create" else seen.update),
        call.media.partition(";")[0].lower(),
    )
    if media == FORM:
        data["body"] = "form"
    elif media == MULTIPART:
        data["body"] = "multipart"
    elif media and "json" not in media:
        asks.append(
            f"the body is {media}, which a connector does not write: is there another way?"
        )
    if body is not None and body.select:
        data["wrap"] = body.select
    if verb == "update" and call.method in ("put", "post"):
        data |= {"whole": True} if call.method == "put" else {}
        asks.append(
            _WHOLE
            if call.method == "put"
            else "does this POST change only what is sent?"
        )
    data |= _omitted(verb, seen, held)
    if verb == "create":
        headers = [
            one.name.lower()
            for one in call.parameters
            if one.place == "header" and usable(one.name)
        ]
        repeated = next((name for name in headers if "idempotency" in name), "")
        data |= {"idempotency": repeated} if repeated else {}
        data |= _new_id(call, seen)
        asks += [] if repeated else [_AGAIN]
    return Written(data, (), tuple(asks))


def _omitted(
    verb: str, seen: Seen, held: Mapping[str, Field]
) -> dict[str, Any]:
    """Fields that this body does not take, though the other does."""
    if seen.create is None or seen.update is None:
        return {}
    bodies = {
        name: _names(found)
        for name, found in (("create", seen.create), ("update", seen.update))
    }
    other = bodies["update" if verb == "create" else "create"]
    missing = [
        name
        for name, one in held.items()
        if one.writable and name in other - bodies[verb] and placeable(name)
    ]
    return {"omit": missing} if missing and bodies[verb] else {}


def _names(found: Found) -> set[str]:
    row = found.attributes
    return set(row.properties) if row is not None else set()


def _new_id(call: Call, seen: Seen) -> dict[str, Any]:
    """A header with the address of the new row, where the answer draws no row."""
    if (
        seen.made is None
        and call.good is not None
        and "location" in call.good.headers
    ):
        return {"id_header": "location"}
    return {}


def _locks(call: Call) -> str:
    return next(
        (
            one.name.lower()
            for one in call.parameters
            if one.place == "header" and one.name.lower() == "if-match"
        ),
        "",
    )


def _locked(
    calls: Mapping[str, Written], one: Collection
) -> dict[str, Written]:
    """With the ETag that guards an update, where reading gives one and updating takes it."""
    read = calls.get("read")
    if read is None or "etag" not in read.call:
        return dict(calls)
    guarded = {
        **calls["update"].call,
        "lock": "_etag",
        "lock_header": _locks(one.calls["update"]),
    }
    return {
        **calls,
        "update": replace(
            calls["update"],
            call=guarded,
            why=(*calls["update"].why, "the headers etag and if-match"),
        ),
    }


def _file(held: Mapping[str, Field]) -> dict[str, str]:
    """The fields of a resource of files: what takes the file, its name and its size."""
    taking = next(
        (name for name, one in held.items() if one.kind == "file"), ""
    )
    by_key = {key(name): name for name in reversed(list(held))}
    named, sized = (
        next((by_key[word] for word in words(which) if word in by_key), "")
        for which in ("file_name", "file_size")
    )
    found = {"field": taking, "name": named, "size": sized}
    return found if all(found.values()) else {}
