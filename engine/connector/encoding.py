"""How rows travel: one function a kind of body, and a row out of what a platform answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any
from urllib.parse import urlencode

import msgspec

from engine.connector.classify import Classified, selected
from engine.connector.model import Operation, Resource
from engine.connector.pagination import path_of
from engine.errors import Unavailable
from engine.values import dig, to_json, without


class Sent(msgspec.Struct, frozen=True):
    """A body as it travels, and the headers that say what it is."""

    headers: dict[str, str]
    content: bytes


def as_json(body: Any) -> Sent:
    """A body that is JSON."""
    return Sent({"content-type": "application/json"}, to_json(body))


def as_form(body: Mapping[str, Any]) -> Sent:
    """A body of form fields."""
    content = urlencode(fields(body)).encode("ascii")
    return Sent({"content-type": "application/x-www-form-urlencoded"}, content)


def json(body: Any, operation: Operation, kind: Resource) -> Sent:
    """JSON, inside a wrapper where the call has one."""
    return as_json(wrapped(inside(body, kind), operation.wrap))


def wrapped(body: Any, place: str) -> Any:
    """A body put where a dotted path leads; itself where there is none."""
    for name in reversed(path_of(place)):
        body = {name: body}
    return body


def inside(body: Any, kind: Resource) -> Any:
    """A row with its fields where the platform keeps them, beside its id."""
    return (
        {kind.inside: body} if kind.inside and isinstance(body, dict) else body
    )


def nested(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a body: `paging.after` is `after` in an object `paging`, `filters.0` the
    first of a list.
    """
    found: dict[str, Any] = {}
    for name, value in params.items():
        *above, last = name.split(".")
        holder = found
        for part in above:
            holder = holder.setdefault(part, {})
        holder[last] = value
    return {name: _lists(value) for name, value in found.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(item) for name, item in value.items()}
    return (
        list(inner.values())
        if inner and all(name.isdecimal() for name in inner)
        else inner
    )


def form(body: Any, _operation: Operation, _kind: Resource) -> Sent:
    """Form fields."""
    return as_form(body)


def in_parts(
    body: Any, operation: Operation, kind: Resource, file: IO[bytes] | None
) -> dict[str, Any]:
    """Parts, as httpx takes them, one of which may be a file; a row without its file is JSON."""
    if file is None or kind.file is None:
        if kind.file:
            row = json(body, operation, kind)
            return {"headers": row.headers, "content": row.content}
        return {
            "files": {key: (None, text) for key, text in fields(body).items()}
        }

    name, sent = kind.file[0], body[kind.file[0]]
    part = (sent["name"], file, sent.get("type") or "application/octet-stream")
    return {
        "data": fields(without(body, (name,))),
        "files": {name: part},
    }


def json_api(body: Any, _operation: Operation, kind: Resource) -> Sent:
    """JSON:API: the row's fields as attributes, its references as relationships."""
    assert kind.json_api is not None
    links = kind.json_api.links
    data: dict[str, Any] = {
        "type": kind.json_api.type,
    }
    if kind.own_field in body:
        data["id"] = str(body[kind.own_field])
    data["attributes"] = {
        name: value
        for name, value in body.items()
        if name not in links and name != kind.own_field
    }
    related = {}
    for name in body.keys() & links.keys():
        relation, other = links[name]
        ids = body[name] if isinstance(body[name], list) else [body[name]]
        found = [
            {"type": other, "id": str(one)} for one in ids if one is not None
        ]
        related[relation] = {
            "data": found
            if isinstance(body[name], list)
            else next(iter(found), None)
        }
    data |= {"relationships": related} if related else {}
    return Sent(
        {"content-type": "application/vnd.api+json"}, to_json({"data": data})
    )


BODIES: Mapping[str, Callable[[Any, Operation, Resource], Sent]] = {
    "json": json,
    "form": form,
    "json_api": json_api,
}


def fields(body: Mapping[str, Any]) -> dict[str, str]:
    """Form fields: text as it is, everything else as JSON writes it."""
    return {
        key: value if isinstance(value, str) else to_json(value).decode()
        for key, value in body.items()
        if value is not None
    }


def row_of(data: dict[str, Any], kind: Resource) -> dict[str, Any]:
    """A row with its fields side by side; JSON:API keeps them in three places, others under one
    name.
    """
    if kind.inside and isinstance(data.get(kind.inside), dict):
        beside = without(data, (kind.inside,))
        return {**beside, **data[kind.inside]}
    if kind.json_api is None or "type" not in data:
        return data

    row = {kind.own_field: data.get("id"), **(data.get("attributes") or {})}
    relationships = data.get("relationships") or {}
    for name, (relation, _) in kind.json_api.links.items():
        related = relationships.get(relation) or {}
        if "data" in related:
            row[name] = _ids_of(related["data"])
    return row


def _ids_of(found: Any) -> Any:
    """What a relationship names: the id of a row, or those of several."""
    if isinstance(found, list):
        return [item.get("id") for item in found]
    return (found or {}).get("id")


def rows_of(
    answer: Classified, operation: Operation, kind: Resource, title: str
) -> list[dict[str, Any]]:
    """The rows of a list; a thing that is no row stops the reading, for passing over it would
    lose it.
    """
    data = selected(answer.body, operation.select)
    if data is None:
        return []
    if (
        isinstance(data, dict)
        and operation.pager
        and operation.pager.kind == "single"
    ):
        return [row_of(data, kind)]
    if not _are_rows(data):
        raise Unavailable(
            f"{title} answered {operation.method} {operation.path} with something other"
            " than a list of rows – check `select` in the connector"
        )
    rows: list[dict[str, Any]] = data
    if operation.each:
        rows = [dig(item, path_of(operation.each)) for item in data]
    if not _are_rows(rows):
        raise Unavailable(
            f"an item of {operation.path} has no {operation.each} – check `each` in the"
            " connector"
        )
    if kind.inside or kind.json_api:
        return [row_of(row, kind) for row in rows]
    return rows  # the answer's own list: emptying it frees a page that others still hold


def _are_rows(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(row, dict) for row in found
    )


def the_row(body: Any, operation: Operation, kind: Resource) -> dict[str, Any]:
    """The row of an answer, bare or alone in a list; {} where there is none."""
    data = selected(body, operation.select)
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return row_of(data, kind) if isinstance(data, dict) else {}


def new_id(
    body: Any,
    headers: Mapping[str, str],
    row: Mapping[str, Any],
    operation: Operation,
    kind: Resource,
) -> Any:
    """The id of a row just made: in a place or header of the answer, else in the row; empty
    where there is none.
    """
    if operation.id_header:
        told = (
            headers.get(operation.id_header.lower(), "")
            .partition("?")[0]
            .rstrip("/")
            .rpartition("/")[2]
        )
    elif operation.id_at:
        told = dig(body, path_of(operation.id_at))
    else:
        return kind.id_of(row)

    if kind.own and told not in ("", None):
        return kind.id_of({**row, kind.own: told})
    return told or (kind.id_of(row) if operation.id_header else told)


def with_parts(
    row: Mapping[str, Any], parts: Mapping[str, str]
) -> dict[str, Any]:
    """A row with what its id is made of, where it does not show it itself or shows an object in
    its place.
    """
    shown = {
        name: value
        for name, value in row.items()
        if name not in parts or not isinstance(value, dict | list | None)
    }
    return {**parts, **shown}
