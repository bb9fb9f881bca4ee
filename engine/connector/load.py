"""A connector file to a Connector; every mistake in it at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
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
    """Names used in a connector that nothing in it defines, and calls that cannot be made."""
    checks = (_check_resources, _check_defaults, _check_fields, _check_people, _check_rules, _check_limits)
    return [problem for check in checks for problem in check(document)]


def _known(document: Document, name: str, known: Iterable[str], keys: Keys, what: str) -> Iterator[Diagnostic]:
    words = list(known)
    if name not in words:
        yield document.problem(keys, f"unknown {what} {name!r}", near(name, words))


def _check_resources(document: Document) -> Iterator[Diagnostic]:
    data = document.data
    for name, resource in data["resources"].items():
        at: Keys = ("resources", name)
        for position, shape in enumerate(resource.get("like", [])):
            yield from _known(document, shape, data.get("shapes", {}), (*at, "like", position), "shape")
        if "custom_fields" in resource:
            yield from _known(document, resource["custom_fields"], data["resources"], (*at, "custom_fields"), "resource")
            if "custom_fields" not in data:
                advice = "add a top-level custom_fields block that says how they are made"
                yield document.problem((*at, "custom_fields"), "nothing says how custom fields work here", advice)
        for verb in VERBS:
            if isinstance(resource.get(verb), dict):
                yield from _check_call(document, resource[verb], (*at, verb))
                yield from _check_path(document, name, verb)


def _check_defaults(document: Document) -> Iterator[Diagnostic]:
    for verb in VERBS:
        call = document.data.get("defaults", {}).get(verb)
        if isinstance(call, dict):
            yield from _check_call(document, call, ("defaults", verb))
    yield from _check_call(document, document.data["connection"]["check"], ("connection", "check"))


def _check_call(document: Document, call: Mapping[str, Any], at: Keys) -> Iterator[Diagnostic]:
    data = document.data
    if "pager" in call:
        yield from _known(document, call["pager"], data.get("pagers", {}), (*at, "pager"), "pager")
    for position, limit in enumerate(call.get("limits", ())):
        yield from _known(document, limit, data["limits"], (*at, "limits", position), "limit")


def _check_path(document: Document, name: str, verb: Verb) -> Iterator[Diagnostic]:
    """A call needs a method, and the fields its path names must be the resource's."""
    data, at = document.data, ("resources", name, verb)
    resource = data["resources"][name]
    call = _written(resource[verb], data.get("defaults", {}).get(verb))
    method = next((word for word in _METHODS if word in call), None)
    if method is None:
        advice = f"add one of {', '.join(_METHODS)} with a path, here or in defaults.{verb}"
        yield document.problem(at, "this call has no method", advice)
        return
    shapes = data.get("shapes", {})
    fields = {*resource.get("fields", {}), *(field for shape in resource.get("like", ()) for field in shapes.get(shape, {}))}
    for place in re.findall(r"\{(\w+)\}", call[method]):
        yield from _known(document, place, ["id", "resource", *fields], (*at, method), "field in the path")


def _check_fields(document: Document) -> Iterator[Diagnostic]:
    data = document.data
    groups: list[tuple[Keys, Any]] = [(("shapes", name), item) for name, item in data.get("shapes", {}).items()]
    groups += [(("resources", name, "fields"), item.get("fields", {})) for name, item in data["resources"].items()]
    for at, fields in groups:
        for name, written in fields.items():
            kind, _, rest = (written if isinstance(written, str) else written["type"]).partition(" ")
            if kind in ("list", "object") and rest:
                yield from _known(document, rest, data.get("shapes", {}), (*at, name), "shape")
            for target in rest.split("|") if kind == "ref" else ():
                yield from _known(document, target.strip(), data["resources"], (*at, name), "resource")


def _check_people(document: Document) -> Iterator[Diagnostic]:
    data = document.data
    for block, key in (("users", "resource"), ("pipelines", "resource"), ("pipelines", "stages")):
        if block in data:
            yield from _known(document, data[block][key], data["resources"], (block, key), "resource")


def _check_rules(document: Document) -> Iterator[Diagnostic]:
    for position, rule in enumerate(document.data["errors"]):
        at: Keys = ("errors", position)
        if "limit" in rule:
            yield from _known(document, rule["limit"], document.data["limits"], (*at, "limit"), "limit")
        elif rule["then"] == "pause":
            yield document.problem(at, "a pause without the limit that is spent", "add limit: and its name")


def _check_limits(document: Document) -> Iterator[Diagnostic]:
    plans = document.data["plans"]
    for name, limit in document.data["limits"].items():
        at: Keys = ("limits", name, "amount")
        for plan in limit["amount"]:
            yield from _known(document, plan, [*plans, "*"], (*at, plan), "plan")
        missing = [plan for plan in plans if plan not in limit["amount"]]
        if missing and "*" not in limit["amount"]:
            yield document.problem(at, f"no amount for {', '.join(missing)}", 'add one, or "*" for every other plan')


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
        settle_after=float(data.get("settle_after", 3)),
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
        if own == "none" or (own is None and default in (None, "none")):
            continue
        written = _written(own, default)
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


def _written(own: Mapping[str, Any] | None, default: Any) -> dict[str, Any]:
    """A call over its default; a method of its own takes the place of the default's."""
    below: Mapping[str, Any] = default if isinstance(default, Mapping) else {}
    if own and any(method in own for method in _METHODS):
        below = {key: value for key, value in below.items() if key not in _METHODS}
    return {**below, **(own or {})}


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
