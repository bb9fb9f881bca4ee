"""Whether a row can be read by its id, what a missing id is answered, and whether references
lead to rows.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

from engine.connector.model import FieldType, Resource, join_id, split_id
from engine.connector.pagination import path_of
from engine.connector.references import any_key
from engine.destination.equality import equivalent
from engine.errors import (
    AuthError,
    ClientBlocked,
    Forbidden,
    NotFound,
    RequestRejected,
    Unavailable,
)
from engine.values import dig, is_yes, word
from workbench.probe.found import (
    Finding,
    Tell,
    confirmed,
    contradicted,
    noted,
    untried,
)
from workbench.probe.scene import Probe, Row, id_of, ids_of
from workbench.probe.tape import kind_of, texts_in

# ids above it are refused by many for their size, which says nothing about missing rows
LARGEST = 2**31 - 1
SPOTS = 2  # references of one field that are followed


def try_read(probe: Probe, resource: Resource, tell: Tell) -> None:
    """Read a listed row, and one that is not there."""
    subject = f"read {resource.name}"
    if "read" not in resource.operations:
        return
    row = next(
        (
            row
            for row in reversed(probe.sample(resource.name).rows)
            if id_of(row, resource)
        ),
        None,
    )
    if row is None:
        tell(untried(subject, "row", "no row is listed that has an id"))
        return
    for finding in _listed(probe, resource, row):
        tell(finding)
    tell(_missing(probe, resource))


def _listed(probe: Probe, resource: Resource, row: Row) -> Iterator[Finding]:
    """The row as it is listed against the row as it is read."""
    subject, operation = f"read {resource.name}", resource.operations["read"]
    path = probe.declared.path(resource.name, "read")
    try:
        live = probe.client.read(resource.name, str(id_of(row, resource)))
    except (AuthError, Forbidden) as error:
        yield untried(subject, "row", f"the key has no right to it: {error}")
        return
    except RequestRejected as error:
        yield contradicted(
            subject,
            "row",
            f"a listed row is refused: {error}",
            path,
            "correct the path",
            probe.tape.exchange(operation),
        )
        return
    except Unavailable as error:
        yield (
            _unread(probe, resource)
            if 200 <= probe.tape.status < 300
            else untried(subject, "row", str(error))
        )
        return
    evidence = probe.tape.exchange(operation)
    if live is None and probe.tape.status >= 400:
        yield contradicted(
            subject,
            "row",
            "a listed row is not found by its id",
            path,
            "correct the path, or read: none",
            evidence,
        )
        return
    etag = bool(operation.etag and live and not live[operation.etag])
    if etag:
        text, at = (
            "the answer has no ETag header",
            probe.declared.call(resource.name, "read", "etag"),
        )
        yield contradicted(
            subject,
            "etag",
            text,
            at,
            "drop `etag`, and `lock` where it names it",
            evidence,
        )
    found = id_of(
        {**dict.fromkeys(resource.id_fields), **(live or {})}, resource
    )
    if live is None or found is None:
        yield _unread(probe, resource)
    elif found != id_of(row, resource):
        yield contradicted(
            subject,
            "row",
            f"another row came: its {resource.id} is not the one asked for",
            path,
            "correct the path",
            evidence,
        )
    else:
        yield confirmed(
            subject,
            "row",
            "the row that is listed" + _differences(resource, row, live),
        )


def _unread(probe: Probe, resource: Resource) -> Finding:
    """A good answer in which no row stands where the file says."""
    operation, body = resource.operations["read"], probe.tape.body
    at = probe.declared.call(resource.name, "read", "select", "get")
    places = [
        path
        for path in _objects(body)
        if id_of(dig(body, path_of(path)) or {} if path else body, resource)
        is not None
    ]
    written = (
        f"at {operation.select}" if operation.select else "in the body itself"
    )
    advice = (
        f"select: {places[0] or chr(34) * 2}"
        if places
        else "say with `select` where the row stands"
    )
    text = f"there is no row with {resource.id} {written}"
    return contradicted(
        f"read {resource.name}",
        "select",
        text,
        at,
        advice,
        probe.tape.exchange(operation),
    )


def _objects(body: Any, path: str = "") -> Iterator[str]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(body, dict):
        yield path
        items = body.items()
    elif isinstance(body, list):
        items = enumerate(body[:1])

    for key, item in items:
        if path.count(".") < 3:
            yield from _objects(item, f"{path}.{key}" if path else str(key))


def _differences(resource: Resource, row: Row, live: Row) -> str:
    shown = [name for name in resource.fields if name in row and name in live]
    names = [
        name
        for name in shown
        if not equivalent(row[name], live[name], resource.fields[name])
    ]
    return f"; other values in {', '.join(names[:5])}" if names else ""


# -- a row that is not there


def stranger(ids: Sequence[str]) -> str:
    """An id of the same form as these that none of them is."""
    last = ids[-1]
    if all(one.lstrip("-").isdecimal() for one in ids):
        most = max(map(int, ids))
        return str(
            min(LARGEST - 7, most + 1_000_003)
            if most < LARGEST - 7
            else most + 1_000_003
        )
    try:
        return str(uuid4()) if UUID(last) else ""
    except ValueError:
        return re.sub(
            r"[0-9a-zA-Z]",
            lambda old: secrets.choice(
                "0123456789abcdef" if old[0] in "0123456789abcdef" else "xyz"
            ),
            last,
        )


def _missing(probe: Probe, resource: Resource) -> Finding:
    """What a read of an id that is not there comes to; it must be read as `missing`."""
    subject, operation = f"read {resource.name}", resource.operations["read"]
    ids = [
        split_id(one, len(resource.id_fields))
        for one in ids_of(probe.sample(resource.name).rows, resource)
    ]
    parts = [stranger(column) for column in zip(*ids, strict=True)]
    path, rule = probe.declared.path(resource.name, "read"), ("errors",)
    try:
        live = probe.client.read(resource.name, join_id(parts))
    except ClientBlocked:
        raise
    except (RequestRejected, AuthError, Unavailable) as error:
        status = probe.tape.status
        text = f"an id that is not there is answered {status}, and read as {_read_as(error)}"
        advice = (
            f"add {{when: {{status: {status}}}, then: missing}}, before the rules that"
            " match it, with what tells it apart"
        )
        return contradicted(
            subject,
            "missing",
            text,
            rule,
            advice,
            probe.tape.exchange(operation),
        )
    if live is not None and not (
        resource.deleted and is_yes(live.get(resource.deleted))
    ):
        return contradicted(
            subject,
            "missing",
            "an id that is not there gives a row",
            path,
            "see how the id is asked for",
            probe.tape.exchange(operation),
        )
    return confirmed(subject, "missing", f"answered {probe.tape.status}")


def _read_as(error: Exception) -> str:
    return {
        "AuthError": "refuse",
        "Forbidden": "forbid",
        "Unavailable": "unsure",
    }.get(type(error).__name__, "reject")


def try_message(probe: Probe, tell: Tell) -> None:
    """Whether the refusal on the tape, of a row that is not there, says what is wrong at a
    declared place.
    """
    connector, body, subject = probe.client.connector, probe.tape.body, "errors"
    if probe.tape.status < 400:
        return
    texts = list(texts_in(body))
    found = [path for path in connector.message if dig(body, path_of(path))]
    if found:
        tell(confirmed(subject, "message", f"stands at {found[0]}"))
    elif not isinstance(body, dict | list):
        tell(
            untried(
                subject,
                "message",
                f"the refusal has no JSON body, but {kind_of(body)}",
            )
        )
    elif texts:
        at = ("message",) if connector.message else ()
        text = f"no text at {', '.join(connector.message) or 'any place'} of a refusal"
        tell(
            contradicted(
                subject,
                "message",
                text,
                at,
                f"message: [{', '.join(texts[:3])}]",
                f"{probe.tape.status}",
            )
        )
    else:
        tell(untried(subject, "message", "the refusal holds no text"))


# -- references


def try_references(probe: Probe, resource: Resource, tell: Tell) -> None:
    """Follow a few values of each reference to the rows that they name."""
    for name, field in resource.fields.items():
        if field.kind == "reference":
            values = dict.fromkeys(
                word(value)
                for row in probe.sample(resource.name).rows
                for value in _each(row.get(name))
            )
            if values:
                tell(_followed(probe, resource, name, field, list(values)))


def _each(value: Any) -> list[Any]:
    items = value if isinstance(value, list) else [value]
    return [
        item
        for item in items
        if isinstance(item, str | int)
        and not isinstance(item, bool)
        and item != ""
    ]


def _followed(
    probe: Probe,
    resource: Resource,
    name: str,
    field: FieldType,
    values: Sequence[str],
) -> Finding:
    subject, claim = f"rows of {resource.name}", "reference"
    pattern, at = (
        probe.client.connector.reference.pattern,
        probe.declared.field(resource.name, (name,), "type"),
    )
    named = {
        value: (any_key(value, pattern) or "").partition("/")
        for value in values
    }
    other = sorted(
        {
            collection
            for collection, _, _ in named.values()
            if collection and collection not in field.to
        }
    )
    if other:
        declared, named_too = " or ".join(field.to), ", ".join(other[:3])
        text = f"{name} is declared as a reference to {declared}, and refers to {named_too}"
        return contradicted(
            subject, claim, text, at, f"add {other[0]} to its type"
        )
    spots = [
        (row_id or value, (collection,) if collection else field.to)
        for value, (collection, _, row_id) in named.items()
    ]
    known = [
        spot
        for spot in spots
        if any(spot[0] in _ids(probe, one) for one in spot[1])
    ]
    if known:
        return confirmed(
            subject, claim, f"{name} leads to rows of {' or '.join(field.to)}"
        )
    answers = [_there(probe, *spot) for spot in spots[:SPOTS]]
    if True in answers:
        return confirmed(
            subject, claim, f"{name} leads to a row of {' or '.join(field.to)}"
        )
    if None in answers:
        return untried(
            subject, claim, f"{name}: its rows cannot be read one by one"
        )
    if len(answers) < SPOTS:
        return noted(
            subject,
            claim,
            f"{name} holds one value, and no row of {' or '.join(field.to)} has that id",
        )
    text = f"{name}: no row of {' or '.join(field.to)} has the id in any of {len(answers)} values"
    return contradicted(
        subject, claim, text, at, "say what it names, or declare it as an id"
    )


def _ids(probe: Probe, name: str) -> set[str]:
    resource = probe.client.connector.resources[name]
    return (
        {resource.reference_id_of(row) for row in probe.sample(name).rows}
        - {""}
        if "list" in resource.operations
        else set()
    )


def _there(probe: Probe, row_id: str, names: Sequence[str]) -> bool | None:
    """Whether a row exists in one of the resources; None where nothing can say."""
    answers = [_found(probe, name, row_id) for name in names]
    if True in answers:
        return True
    return None if None in answers else False


def _found(probe: Probe, name: str, row_id: str) -> bool | None:
    resource = probe.client.connector.resources[name]
    if probe.sample(name).whole:
        return False
    if "read" not in resource.operations or "+" in resource.id:
        return None
    try:
        return probe.client.read(name, row_id) is not None
    except NotFound:
        return False
    except (RequestRejected, AuthError, Unavailable):
        return None
