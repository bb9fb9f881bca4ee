"""A connector file to a Connector; every mistake in it at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from engine.connector.model import (
    Connection,
    Connector,
    CustomFields,
    ErrorRule,
    FieldType,
    Limit,
    Operation,
    Pager,
    Pipelines,
    Reference,
    Resource,
    Users,
    Verb,
)
from engine.document import Document, Keys, read
from engine.errors import Diagnostic, SpecError
from engine.schema import check_shape
from engine.values import digest

VERBS: tuple[Verb, ...] = ("list", "read", "create", "update", "delete", "add_options", "remove_options")
_METHODS = ("get", "post", "put", "patch", "delete")


def load_connector(path: Path, shown_as: str = "") -> Connector:
    """Read, check and compile a connector; raises SpecError with every problem found."""
    document = read(path, shown_as)
    problems = check_shape(document, "connector")
    if problems:
        raise SpecError(problems)
    problems = _check_names(document)
    if problems:
        raise SpecError(problems)
    return _build(document)


def near(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Advice for an unknown word: the nearest known one, or the list."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)[:20])}"


def _check_names(document: Document) -> list[Diagnostic]:
    """Names used in a connector that nothing in it defines."""
    data, found = document.data, []
    shapes, pagers = list(data.get("shapes", {})), list(data.get("pagers", {}))
    limits, plans = list(data["limits"]), data["plans"]

    def known(name: str, names: list[str], keys: Keys, what: str) -> None:
        if name not in names:
            found.append(document.problem(keys, f"unknown {what} {name!r}", near(name, names)))

    for name, resource in data["resources"].items():
        at: Keys = ("resources", name)
        for position, shape in enumerate(resource.get("like", [])):
            known(shape, shapes, (*at, "like", position), "shape")
        if "custom_fields" in resource:
            known(resource["custom_fields"], list(data["resources"]), (*at, "custom_fields"), "resource")
        for verb in VERBS:
            operation = resource.get(verb)
            if isinstance(operation, dict) and "pager" in operation:
                known(operation["pager"], pagers, (*at, verb, "pager"), "pager")
    for group, names in [("shapes", data.get("shapes", {})), ("resources", data["resources"])]:
        for name, item in names.items():
            fields = item if group == "shapes" else item.get("fields", {})
            place: Keys = (group, name) if group == "shapes" else (group, name, "fields")
            for field_name, written in fields.items():
                word = written if isinstance(written, str) else written["type"]
                kind, _, rest = word.partition(" ")
                if kind in ("list", "object") and rest:
                    known(rest, shapes, (*place, field_name), "shape")
                if kind == "ref":
                    for target in rest.split("|"):
                        known(target.strip(), list(data["resources"]), (*place, field_name), "resource")
    for position, rule in enumerate(data["errors"]):
        if "limit" in rule:
            known(rule["limit"], limits, ("errors", position, "limit"), "limit")
    for name, limit in data["limits"].items():
        for plan in limit["amount"]:
            known(plan, [*plans, "*"], ("limits", name, "amount", plan), "plan")
    return found


def _build(document: Document) -> Connector:
    data = document.data
    shapes = _shapes(data.get("shapes", {}))
    pagers = {name: _pager(item) for name, item in data.get("pagers", {}).items()}
    custom = data.get("custom_fields", {})
    resources = {
        name: _resource(name, item, data.get("defaults", {}), shapes, pagers) for name, item in data["resources"].items()
    }
    for name, item in data["resources"].items():
        if "custom_fields" in item:
            resources[name] = _with_custom(resources[name], item["custom_fields"], custom)
    return Connector(
        name=data["connector"],
        title=data.get("title", data["connector"]),
        connection=_connection(data["connection"]),
        plans=tuple(data["plans"]),
        limits=tuple(_limit(name, item) for name, item in data["limits"].items()),
        errors=tuple(_rule(item) for item in data["errors"]),
        message=tuple(data.get("message", ())),
        resources=resources,
        reference=Reference(data.get("reference", {}).get("pattern", "")),
        pipelines=Pipelines(**data["pipelines"]) if "pipelines" in data else None,
        users=Users(**data["users"]) if "users" in data else None,
        digest=digest(data),
    )


def _connection(data: Mapping[str, Any]) -> Connection:
    files = data.get("files", {})
    return Connection(
        base_url_env=data["base_url"]["env"],
        base_url=data["base_url"]["production"].rstrip("/"),
        auth=data["auth"],
        secret_env=data["auth"].get("secret", ""),
        check=_operation(data["check"], "", {}),
        timeout=float(data.get("timeout", 60)),
        concurrency=int(data.get("concurrency", 8)),
        file_hosts=tuple(files.get("hosts", ())),
        file_max_bytes=int(files.get("max_bytes", 100_000_000)),
    )


def _limit(name: str, data: Mapping[str, Any]) -> Limit:
    return Limit(
        name=name,
        unit=data["unit"],
        amount={plan: float(amount) for plan, amount in data["amount"].items()},
        seconds=float(data["per"]),
        window=data["window"],
        per_seat=data.get("per_seat", False),
        general=data.get("general", True),
        headers=data.get("headers", {}),
    )


def _rule(data: Mapping[str, Any]) -> ErrorRule:
    when = data["when"]
    status = when.get("status", ())
    return ErrorRule(
        then=data["then"],
        status=tuple(status) if isinstance(status, list | tuple) else (status,),
        headers={key.lower(): str(value) for key, value in when.get("headers", {}).items()},
        content_type=when.get("content_type", ""),
        body=when.get("body", {}),
        after=float(data.get("after", 0)),
        limit=data.get("limit", ""),
    )


def _pager(data: Mapping[str, Any]) -> Pager:
    words = ("start", "limit", "cursor", "page", "key")
    return Pager(
        kind=data["kind"],
        size=int(data.get("size", 0)),
        params={word: data[word] for word in words if word in data},
        next=data.get("next", ""),
        more=data.get("more", ""),
        first=data.get("first", True),
    )


def _shapes(data: Mapping[str, Any]) -> dict[str, dict[str, FieldType]]:
    """Field groups; a shape may use any other, so they are built on demand."""
    built: dict[str, dict[str, FieldType]] = {}

    def build(name: str, above: tuple[str, ...]) -> dict[str, FieldType]:
        if name not in built:
            inner = {} if name in above else data[name]
            built[name] = {key: _field(item, lambda n: build(n, (*above, name))) for key, item in inner.items()}
        return built[name]

    for name in data:
        build(name, ())
    return built


def _field(written: Any, shape: Any) -> FieldType:
    item: Mapping[str, Any] = {"type": written} if isinstance(written, str) else written
    kind, _, rest = item["type"].partition(" ")
    return FieldType(
        kind="reference" if kind == "ref" else kind,
        shape=shape(rest) if kind in ("list", "object") and rest else None,
        to=tuple(name.strip() for name in rest.split("|")) if kind == "ref" else (),
        required=item.get("required", False),
        writable=item.get("writable", True),
        max=item.get("max"),
        options=item.get("options", ""),
        one_of=tuple(item.get("one_of", ())),
        empty=item.get("empty", "never"),
    )


def _resource(
    name: str,
    data: Mapping[str, Any],
    defaults: Mapping[str, Any],
    shapes: Mapping[str, Mapping[str, FieldType]],
    pagers: Mapping[str, Pager],
) -> Resource:
    fields: dict[str, FieldType] = {}
    for shape in data.get("like", ()):
        fields |= shapes[shape]
    fields |= {key: _field(item, lambda shape: shapes[shape]) for key, item in data.get("fields", {}).items()}
    operations: dict[Verb, Operation] = {}
    for verb in VERBS:
        default, own = defaults.get(verb), data.get(verb)
        if own == "none" or (own is None and default is None):
            continue
        written = {**(default or {}), **(own or {})}
        if own and any(method in own for method in _METHODS):
            written = {**{k: v for k, v in (default or {}).items() if k not in _METHODS}, **own}
        written.setdefault("select", defaults.get("select", ""))
        operations[verb] = _operation(written, name, pagers)
    file = data.get("file", {})
    return Resource(
        name=name,
        id=data.get("id", defaults.get("id", "id")),
        operations=operations,
        fields=fields,
        modified=data.get("modified", defaults.get("modified", "")),
        created=data.get("created", defaults.get("created", "")),
        deleted=data.get("deleted", defaults.get("deleted", "")),
        recognise=tuple(data.get("recognise", ())),
        file=(file["field"], file["name"], file["size"]) if file else None,
        note=data.get("note", ""),
    )


def _operation(data: Mapping[str, Any], resource: str, pagers: Mapping[str, Pager]) -> Operation:
    method = next(word for word in _METHODS if word in data)
    return Operation(
        method=method.upper(),
        path=data[method].replace("{resource}", resource),
        cost=int(data.get("cost", 1)),
        pager=pagers[data["pager"]] if "pager" in data else None,
        params=data.get("params", {}),
        body=data.get("body", "json"),
        select=data.get("select", ""),
        limits=tuple(data.get("limits", ())),
        omit=tuple(data.get("omit", ())),
        ids=data.get("ids", ""),
        ids_of=data.get("ids_of", ""),
        ids_max=int(data.get("ids_max", 100)),
        since=data.get("since", ""),
        since_style=data.get("since_style", "rfc3339"),
        newest_first=data.get("newest_first", {}),
        filters=tuple(data.get("filters", ())),
    )


def _with_custom(
    resource: Resource, definitions: str, shared: Mapping[str, Any]
) -> Resource:
    custom = CustomFields(
        resource=definitions,
        container=shared.get("container", ""),
        code=shared["code"],
        name=shared["name"],
        type=shared["type"],
        types=cast(Mapping[str, str], shared["types"]),
        options=shared.get("options", ""),
        option_label=shared.get("option_label", "label"),
        option_id=shared.get("option_id", "id"),
        own=shared.get("own", ""),
        demanded=shared.get("demanded", ""),
        most=shared.get("most", {}),
    )
    return replace(resource, custom=custom)
