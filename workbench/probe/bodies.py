"""What is written on trial: given bodies, or ones derived from the types of required fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.config.document import Document, read
from engine.config.suggestions import suggest
from engine.connector.model import Connector, FieldType, Resource
from engine.destination.equality import equivalent
from engine.errors import Diagnostic, SpecError

MADE = "made"  # stands for the id of a row made in the same check
# letters of the mark that a short field must hold to tell a row apart
TELLING = 8
MARK = "{mark}"  # stands for the text that every row made here carries
PLAIN: Mapping[str, Any] = {
    "integer": 1,
    "number": 1,
    "boolean": False,
    "date": "2030-01-15",
    "time": "09:00",
    "duration": "00:30",
    "datetime": "2030-01-15T09:00:00Z",
    "wall_time": "2030-01-15T09:00:00",
    "url": "https://example.com/etl-check",
}

Bodies = Mapping[str, Mapping[str, Any]]
Reference = Callable[[FieldType], Any]  # the id of a row that a field may name


def given(path: Path | None, connector: Connector) -> Bodies:
    """The bodies of a file, by resource; raises SpecError for resources and fields that the
    connector does not know.
    """
    if path is None:
        return {}
    document = read(path)
    data = document.data or {}
    problems = _problems(document, data, connector)
    if problems:
        raise SpecError(problems)
    return {name: dict(body or {}) for name, body in data.items()}


def _problems(
    document: Document, data: Any, connector: Connector
) -> list[Diagnostic]:
    if not isinstance(data, Mapping):
        return [
            document.problem(
                (),
                "wrong-type",
                "not a mapping of resources",
                "write RESOURCE: {FIELD: VALUE}",
            )
        ]
    found = []
    for name, body in data.items():
        if name not in connector.resources:
            found.append(
                document.problem(
                    (name,),
                    "unknown-resource",
                    f"unknown resource {name!r}",
                    suggest(name, list(connector.resources)),
                )
            )
        elif body is not None and not isinstance(body, Mapping):
            found.append(
                document.problem(
                    (name,),
                    "wrong-type",
                    "not a mapping of fields",
                    "write {FIELD: VALUE}",
                )
            )
        else:
            fields = connector.resources[name].fields
            unknown = [
                field for field in body or {} if fields and field not in fields
            ]
            found += [
                document.problem(
                    (name, field),
                    "unknown-field",
                    f"unknown field {field!r}",
                    suggest(field, list(fields)),
                )
                for field in unknown
            ]
    return found


def needs(resource: Resource, body: Mapping[str, Any]) -> list[str]:
    """The resources that a row of this one names, and that should be made before it."""
    wanted = [
        item
        for name, item in resource.fields.items()
        if item.kind == "reference"
        and (item.required or body.get(name) == MADE)
    ]
    return [item.to[0] for item in wanted if item.to]


def made(
    connector: Connector,
    resource: Resource,
    body: Mapping[str, Any],
    mark: str,
    reference: Reference,
) -> dict[str, Any] | str:
    """A row to send: given values over required ones; or the name of a field for which no value can
    be invented.
    """
    sent: dict[str, Any] = {}
    for name, field in resource.fields.items():
        if name in body:
            sent[name] = _given(body[name], field, mark, reference)
        elif field.required:
            sent[name] = _made(
                connector, resource, name, field, mark, reference
            )
        else:
            continue
        if sent[name] is None:
            return name
    return sent


def extra(
    resource: Resource, sent: Mapping[str, Any], mark: str
) -> dict[str, Any]:
    """One more plain text field, so that an update has something to leave alone; {} where there
    is none.
    """
    omit = {
        *resource.operations["create"].omit,
        *(
            resource.operations["update"].omit
            if "update" in resource.operations
            else ()
        ),
    }
    for name, field in resource.fields.items():
        free = (
            field.kind == "text"
            and field.writable
            and not (field.one_of or field.options)
        )
        if (
            free
            and name not in sent
            and name not in omit
            and name not in resource.id.split("+")
        ):
            return {name: mark[: field.max]}
    return {}


def _given(
    value: Any, field: FieldType, mark: str, reference: Reference
) -> Any:
    if field.kind == "reference" and value == MADE:
        return reference(field)
    if isinstance(value, Mapping):
        return {
            key: _given(item, field, mark, reference)
            for key, item in value.items()
        }
    return value.replace(MARK, mark) if isinstance(value, str) else value


def _made(
    connector: Connector,
    resource: Resource,
    name: str,
    field: FieldType,
    mark: str,
    reference: Reference,
) -> Any:
    """A value for a required field; None where its type does not say enough."""
    defined = next(
        (
            other.custom
            for other in connector.resources.values()
            if other.custom and other.custom.resource == resource.name
        ),
        None,
    )
    if defined and name == defined.type:
        return defined.types.get("text")
    if field.one_of:
        return field.one_of[0]
    return (
        reference(field) if field.kind == "reference" else _plain(field, mark)
    )


def _plain(field: FieldType, mark: str) -> Any:
    """A value that follows from the type alone."""
    if field.kind in ("text", "html", "id"):
        return mark[: field.max]
    if field.kind == "file":
        return {"name": f"{mark}.txt", "type": "text/plain"}
    if field.kind == "object" and field.shape:
        return _inner(field.shape, mark)
    if field.kind == "list" and field.shape:
        return [_inner(field.shape, mark)]
    return PLAIN.get(field.kind)


def _inner(shape: Mapping[str, FieldType], mark: str) -> dict[str, Any]:
    texts = {
        name: mark
        for name, field in shape.items()
        if field.kind == "text" and (field.required or name == "value")
    }
    return texts or {next(iter(shape)): mark}


def ours(
    row: Mapping[str, Any],
    sent: Mapping[str, Any],
    resource: Resource,
    mark: str,
) -> bool:
    """Whether a row is the one that was sent: it carries the mark; where none could be sent,
    most of its values are the same.
    """
    if resource.file and resource.file[0] in sent:
        sent = {
            **{
                name: value
                for name, value in sent.items()
                if name != resource.file[0]
            },
            resource.file[1]: sent[resource.file[0]]["name"],
        }
    texts = {
        name: value
        for name, value in sent.items()
        if isinstance(value, str)
        and (
            mark in value or (len(value) >= TELLING and mark.startswith(value))
        )
    }
    if texts:
        return any(
            mark[: len(value)] in str(row.get(name))
            for name, value in texts.items()
        )
    same = [
        name
        for name, value in sent.items()
        if equivalent(value, row.get(name), resource.fields.get(name))
    ]
    return len(same) * 2 > len(sent)
