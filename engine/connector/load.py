"""A connector file to a Connector; every mistake in it at once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args
from zoneinfo import available_timezones

from msgspec import structs

from engine.config.document import Document, Keys, content, parse
from engine.config.suggestions import suggest
from engine.config.validation import check_shape
from engine.connector import model
from engine.connector.auth import variables
from engine.connector.model import PLACE
from engine.errors import Diagnostic, SpecError, UsageError
from engine.values import digest, without

VERBS: tuple[model.Verb, ...] = get_args(model.Verb)
_METHODS = ("get", "post", "put", "patch", "delete")
_CALLS = (
    "connection.check",
    *(
        f"{place}.{verb}"
        for place in ("defaults", "resources.*")
        for verb in VERBS
    ),
)
_USES = (  # where a name is used, where it is defined, what it names
    ("resources.*.like.*", "shapes", "shape"),
    ("resources.*.custom_fields", "resources", "resource"),
    ("users.resource", "resources", "resource"),
    ("pipelines.resource", "resources", "resource"),
    ("pipelines.stages", "resources", "resource"),
    ("errors.*.limit", "limits", "limit"),
    ("resources.*.list.parent", "resources", "resource"),
    *((f"{call}.pager", "pagers", "pager") for call in _CALLS),
    *((f"{call}.limits.*", "limits", "limit") for call in _CALLS),
)
# an address beyond doubt
_ORDINARY = re.compile(
    r"https?://[a-z]+([.-][a-z0-9]+)*(:[0-9]{1,4})?(/[A-Za-z0-9_.-]+)*/?"
)
Part = TypeVar("Part")


SHIPPED = Path(__file__).resolve().parents[2] / "connectors"


def connector_file(folder: Path, written: str) -> Path:
    """The file of a connector that a spec in a folder names.

    `../connectors/crm.yaml` is a path from that folder. `crm` is that file too; where the project
    has none, the connector of that name that etl brings along. Raises UsageError where there is
    neither.
    """
    if "/" in written or written.endswith((".yaml", ".yml")):
        return folder / written
    own = folder / f"../connectors/{written}.yaml"
    for file in (own, SHIPPED / own.name):
        if file.exists():
            return file
    files = (*own.parent.glob("*.yaml"), *SHIPPED.glob("*.yaml"))
    advice = suggest(written, [file.stem for file in files])
    raise UsageError(f"there is no connector {written!r} – {advice}")


def load_connector(path: Path, shown_as: str = "") -> model.Connector:
    """Read, check and compile a connector; raises SpecError with every problem found."""
    name = shown_as or str(path)
    return _compiled(content(path, name), name)


@lru_cache(maxsize=16)
def _compiled(text: str, name: str) -> model.Connector:
    """The same text is compiled once: several commands of one process load the same connectors."""
    document = parse(text, name)
    problems = check_shape(document, "connector")
    if problems:
        raise SpecError(problems)
    problems = _check_names(document)
    if problems:
        raise SpecError(problems)
    return _build(document)


def _check_names(document: Document) -> list[Diagnostic]:
    """Names used in a connector that nothing in it defines, and calls that cannot be made."""
    checks = (
        _check_address,
        _check_uses,
        _check_to_know,
        _check_fields,
        _check_resources,
        _check_rules,
        _check_limits,
        _check_zones,
    )
    return list(
        dict.fromkeys(
            problem for check in checks for problem in check(document)
        )
    )


def _check_address(document: Document) -> Iterator[Diagnostic]:
    written = document.data["connection"]["base_url"]["production"]
    if _ORDINARY.fullmatch(written):
        return
    # the rules for all other addresses take long to import
    from engine.connector.urls import url_of

    try:
        url_of(written)
    except ValueError as error:
        yield document.problem(
            ("connection", "base_url", "production"),
            "bad-format",
            f"no address: {error}",
            "correct the name of the host",
        )


def _known(
    document: Document, name: str, known: Iterable[str], keys: Keys, what: str
) -> Iterator[Diagnostic]:
    words = list(known)
    if name not in words:
        yield document.problem(
            keys,
            "unknown-name",
            f"unknown {what} {name!r}",
            suggest(name, words),
        )


def _found(
    value: Any, pattern: str, keys: Keys = ()
) -> Iterator[tuple[Keys, Any]]:
    """Every value at a place that fits the pattern, with its place; `*` stands for any key or
    position.
    """
    head, _, rest = pattern.partition(".")
    if not isinstance(value, dict | list):
        return
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value)
    ):
        place = (*keys, key)
        if head in ("*", key) and rest:
            yield from _found(item, rest, place)
        elif head in ("*", key):
            yield place, item


def _check_uses(document: Document) -> Iterator[Diagnostic]:
    for pattern, definitions, what in _USES:
        defined = document.data.get(definitions, {})
        for keys, name in _found(document.data, pattern):
            yield from _known(document, name, defined, keys, what)


def _check_to_know(document: Document) -> Iterator[Diagnostic]:
    """Collections whose rows are counted, and fields of them: `rows: [clients, clients.fax]`."""
    resources = document.data["resources"]
    for keys, written in _found(document.data, "to_know.*.rows.*"):
        name, _, field = written.partition(".")
        yield from _known(document, name, resources, keys, "resource")
        if field and name in resources:
            known = _fields_of(document, resources[name])
            yield from _known(document, field, known, keys, "field")


def _check_fields(document: Document) -> Iterator[Diagnostic]:
    data = document.data
    for pattern in ("shapes.*.*", "resources.*.fields.*"):
        for keys, _ in _found(data, f"{pattern}.one_of_plan.*"):
            plan = str(keys[-1])
            yield from _known(document, plan, data["plans"], keys, "plan")
        for keys, written in _found(data, pattern):
            declared = written if isinstance(written, str) else written["type"]
            type_name, _, rest = declared.partition(" ")
            if type_name in ("list", "object") and rest:
                yield from _known(
                    document, rest, data.get("shapes", {}), keys, "shape"
                )
            for target in rest.split("|") if type_name == "ref" else ():
                name = target.strip()
                yield from _known(
                    document, name, data["resources"], keys, "resource"
                )


def _check_resources(document: Document) -> Iterator[Diagnostic]:
    for name, resource in document.data["resources"].items():
        if "custom_fields" in resource and "custom_fields" not in document.data:
            yield document.problem(
                ("resources", name, "custom_fields"),
                "missing-key",
                "the connector does not declare how custom fields are made",
                "add a top-level custom_fields block",
            )
        yield from _check_named_fields(document, name, resource)
        defaults = document.data.get("defaults", {})
        for verb in VERBS:
            if isinstance(resource.get(verb, defaults.get(verb)), dict):
                yield from _check_call(document, name, verb)


def _check_named_fields(
    document: Document, name: str, resource: Mapping[str, Any]
) -> Iterator[Diagnostic]:
    """Fields that other parts of a resource name are the resource's."""
    known = _fields_of(document, resource)
    for place, field in _fields_named(resource):
        yield from _known(
            document, field, known, ("resources", name, *place), "field"
        )


def _fields_named(resource: Mapping[str, Any]) -> Iterator[tuple[Keys, str]]:
    for field in resource.get("json_api", {}).get("relationships", {}):
        yield ("json_api", "relationships", field), field
    for part, field in resource.get("money", {}).items():
        yield ("money", part), field.partition(".")[0]
    for word, field in resource.get("flags", {}).items():
        yield ("flags", word), field
    for word in ("published", "seen", "inferred"):
        for position, field in enumerate(resource.get(word, ())):
            yield (word, position), field.partition(".")[0]
    for field, written in resource.get("fields", {}).items():
        for key in (
            ("only_with", "requires") if isinstance(written, dict) else ()
        ):
            for other in written.get(key, ()):
                yield ("fields", field, key), other


def _check_call(
    document: Document, name: str, verb: model.Verb
) -> Iterator[Diagnostic]:
    """A call needs a method, and the fields its path names must be the resource's."""
    resource = document.data["resources"][name]
    default = document.data.get("defaults", {}).get(verb)
    at = ("resources", name, verb) if verb in resource else ("defaults", verb)
    call = _written(resource.get(verb), default)
    fields = _fields_of(document, resource)
    if verb == "list":
        yield from _check_details(document, resource, call, at)

    method = next((word for word in _METHODS if word in call), None)
    if method is None:
        methods = ", ".join(_METHODS)
        advice = f"add one of {methods} with a path, here or in defaults.{verb}"
        yield document.problem(
            at, "missing-key", "this call has no method", advice
        )
        return

    known = [call.get("parent_id", "")] if verb == "list" else ["id", *fields]
    for param, value in call.get("params", {}).items():
        for place in PLACE.findall(value) if isinstance(value, str) else ():
            what, keys = "field in the parameter", (*at, "params", param)
            yield from _known(document, place, ["fields", *known], keys, what)
    for keys, path in _paths(call):
        for place in PLACE.findall(path):
            known = ["id", "resource", *fields]
            yield from _known(
                document, place, known, (*at, *keys), "field in the path"
            )
            yield from _check_place(document, verb, call, place, (*at, *keys))


def _paths(call: Mapping[str, Any]) -> Iterator[tuple[Keys, str]]:
    """The path of a call, and that of the one for several rows; where each stands."""
    bulk = call.get("bulk", {})
    for word in _METHODS:
        if word in call:
            yield (word,), call[word]
        if word in bulk:
            yield ("bulk", word), bulk[word]


def _check_place(
    document: Document,
    verb: model.Verb,
    call: Mapping[str, Any],
    place: str,
    at: Keys,
) -> Iterator[Diagnostic]:
    """A place in a path has one value when the call is made."""
    if place == "resource":
        return
    alone = "bulk" not in at and len(list(_paths(call))) > 1
    if place == "id" and "bulk" in call and not alone:
        yield document.problem(
            at,
            "unbound-parameter",
            f"a bulk call cannot use {{{place}}} in its path: its rows differ in it",
            "name it in bulk.item instead",
        )
    if verb == "list" and place != call.get("parent_id"):
        advice = f"add parent: RESOURCE and parent_id: {place}"
        yield document.problem(
            at,
            "unbound-parameter",
            f"unbound path parameter {{{place}}}",
            advice,
        )


def _check_details(
    document: Document,
    resource: Mapping[str, Any],
    call: Mapping[str, Any],
    at: Keys,
) -> Iterator[Diagnostic]:
    """Fields that only a row's own read holds need that read."""
    details = call.get("detail", ())
    known = _fields_of(document, resource)
    for position, field in enumerate(details):
        yield from _known(
            document, field, known, (*at, "detail", position), "field"
        )
    if details and "read" not in {
        **document.data.get("defaults", {}),
        **resource,
    }:
        yield document.problem(
            (*at, "detail"),
            "missing-key",
            "no call that reads a single row is declared",
            "add read: and its path",
        )


def _fields_of(document: Document, resource: Mapping[str, Any]) -> set[str]:
    fields = set(resource.get("fields", {}))
    for shape in resource.get("like", ()):
        fields.update(document.data.get("shapes", {}).get(shape, {}))
    return fields


def _check_rules(document: Document) -> Iterator[Diagnostic]:
    for position, rule in enumerate(document.data["errors"]):
        if rule["then"] == "pause" and "limit" not in rule:
            yield document.problem(
                ("errors", position),
                "missing-key",
                "this pause does not name the limit that is spent",
                "add limit: and its name",
            )


def _check_zones(document: Document) -> Iterator[Diagnostic]:
    for keys, zone in _found(document.data, "resources.*.list.since_zone"):
        if zone not in available_timezones():
            yield document.problem(
                keys,
                "unknown-name",
                f"unknown zone {zone!r}",
                suggest(zone, sorted(available_timezones())),
            )


def _check_limits(document: Document) -> Iterator[Diagnostic]:
    plans = document.data["plans"]
    for name, limit in document.data["limits"].items():
        at: Keys = ("limits", name, "amount")
        for plan in limit["amount"]:
            yield from _known(
                document, plan, [*plans, "*"], (*at, plan), "plan"
            )
        missing = [plan for plan in plans if plan not in limit["amount"]]
        if missing and "*" not in limit["amount"]:
            yield document.problem(
                at,
                "missing-key",
                f"no amount for {', '.join(missing)}",
                'add one, or "*" for every other plan',
            )


def _build(document: Document) -> model.Connector:
    data = document.data
    shapes = _shapes(data.get("shapes", {}))
    pagers = {
        name: _pager(item) for name, item in data.get("pagers", {}).items()
    }
    resources = {
        name: _resource(name, data, shapes, pagers)
        for name in data["resources"]
    }
    limits = tuple(_limit(name, item) for name, item in data["limits"].items())
    resources = {
        name: _limited(item, limits) for name, item in resources.items()
    }
    users = data.get("users", {})
    return _made(
        model.Connector,
        data,
        name=data["connector"],
        title=data.get("title", data["connector"]),
        connection=_connection(data["connection"]),
        limits=limits,
        errors=tuple(_rule(item) for item in data["errors"]),
        message=tuple(data.get("message", ())),
        resources=resources,
        reference=_made(model.Reference, data.get("reference", {})),
        pipelines=_optional(model.Pipelines, data.get("pipelines")),
        users=_optional(model.Users, users, name=_words(users.get("name", ()))),
        to_know=tuple(
            _made(model.ToKnow, item) for item in data.get("to_know", ())
        ),
        cost_unit=data.get("cost_unit") or _unit(resources.values()),
        digest=digest(data),
    )


def _limit(name: str, item: Mapping[str, Any]) -> model.Limit:
    general = item.get("general", "methods" not in item)
    return _made(
        model.Limit, item, name=name, seconds=item["per"], general=general
    )


def _limited(
    resource: model.Resource, limits: Iterable[model.Limit]
) -> model.Resource:
    """A resource whose calls name the limits of their methods, too."""
    operations = {
        verb: _counted(call, limits)
        for verb, call in resource.operations.items()
    }
    return structs.replace(resource, operations=operations)


def _counted(
    call: model.Operation, limits: Iterable[model.Limit]
) -> model.Operation:
    own = [item.name for item in limits if call.method in item.methods]
    named = tuple(dict.fromkeys([*call.limits, *own]))
    several = call.several and _counted(call.several, limits)
    return structs.replace(call, limits=named, several=several)


def _unit(resources: Iterable[model.Resource]) -> str:
    """What cost is counted in, where the connector does not name it."""
    for resource in resources:
        if any(
            operation.cost != 1 for operation in resource.operations.values()
        ):
            return "units"
    return "calls"


def _made(
    part: Callable[..., Part], written: Mapping[str, Any], /, **more: Any
) -> Part:
    """A part of the model from what the file says of its fields; what is not said keeps the
    model's default.
    """
    names = _names(part)
    said = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in written.items()
        if name in names
    }
    return part(**{**said, **more})


def _optional(
    part: Callable[..., Part], written: Mapping[str, Any] | None, /, **more: Any
) -> Part | None:
    """A part that a file may leave out."""
    return _made(part, written, **more) if written else None


@cache
def _names(part: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(part).parameters)


def _words(written: Any) -> tuple[str, ...]:
    """One word or a list of them."""
    return (written,) if isinstance(written, str) else tuple(written)


def _connection(data: Mapping[str, Any]) -> model.Connection:
    address, auth = data["base_url"], data["auth"]
    auth = {"kind": "all", "all": auth} if isinstance(auth, list) else auth
    files = {
        f"file_{name}": value for name, value in data.get("files", {}).items()
    }
    return _made(
        model.Connection,
        {**data, **files},
        base_url_env=address["env"],
        base_url=address["production"].rstrip("/"),
        auth=auth,
        secret_env=next(variables(auth, secret=True), ""),
        check=_operation(data["check"], "", {}),
    )


def _rule(data: Mapping[str, Any]) -> model.ErrorRule:
    when = data["when"]
    status = when.get("status", ())
    return _made(
        model.ErrorRule,
        {**data, **when},
        status=(status,) if isinstance(status, int) else tuple(status),
        headers={
            key.lower(): str(value)
            for key, value in when.get("headers", {}).items()
        },
    )


def _pager(data: Mapping[str, Any]) -> model.Pager:
    words = ("start", "limit", "cursor", "page", "key")
    return _made(
        model.Pager,
        data,
        params={word: data[word] for word in words if word in data},
    )


def _shapes(data: Mapping[str, Any]) -> dict[str, dict[str, model.FieldType]]:
    """Field groups; a shape may use any other, so they are built on demand."""
    built: dict[str, dict[str, model.FieldType]] = {}

    def build(name: str, above: tuple[str, ...]) -> dict[str, model.FieldType]:
        if name not in built:
            inner = {} if name in above else data[name]
            built[name] = {
                key: _field(item, lambda n: build(n, (*above, name)))
                for key, item in inner.items()
            }
        return built[name]

    for name in data:
        build(name, ())
    return built


def _field(written: Any, shape: Any) -> model.FieldType:
    item: Mapping[str, Any] = (
        {"type": written} if isinstance(written, str) else written
    )
    type_name, _, rest = item["type"].partition(" ")
    return _made(
        model.FieldType,
        item,
        kind="reference" if type_name == "ref" else type_name,
        shape=shape(rest) if type_name in ("list", "object") and rest else None,
        to=tuple(name.strip() for name in rest.split("|"))
        if type_name == "ref"
        else (),
    )


def _resource(
    name: str,
    document: Mapping[str, Any],
    shapes: Mapping[str, Mapping[str, model.FieldType]],
    pagers: Mapping[str, model.Pager],
) -> model.Resource:
    data, defaults = document["resources"][name], document.get("defaults", {})
    held: dict[str, model.FieldType] = {}
    for shape in data.get("like", ()):
        held |= shapes[shape]
    held |= {
        key: _field(item, lambda shape: shapes[shape])
        for key, item in data.get("fields", {}).items()
    }
    operations: dict[model.Verb, model.Operation] = {}
    for verb in VERBS:
        written = _of_verb(verb, data, defaults, ",".join(held))
        if written:
            operations[verb] = _operation(written, name, pagers)

    custom = document.get("custom_fields") if "custom_fields" in data else None
    json_api = data.get("json_api")
    file, money = data.get("file", {}), data.get("money", {})
    return _made(
        model.Resource,
        {**defaults, **data},
        name=name,
        operations=operations,
        fields=held,
        custom=_optional(
            model.CustomFields, custom, resource=data.get("custom_fields")
        ),
        json_api=_json_api(json_api, held, document["resources"])
        if json_api
        else None,
        file=(file["field"], file["name"], file["size"]) if file else None,
        money=(money["amount"], money["currency"]) if money else None,
        called=_words(data.get("called", defaults.get("called", "name"))),
    )


def _of_verb(
    verb: model.Verb,
    data: Mapping[str, Any],
    defaults: Mapping[str, Any],
    names: str,
) -> dict[str, Any]:
    """What a resource and the defaults say of one kind of call; nothing where there is none.

    `names` are the fields of the resource, joined by commas.
    """
    default, own = defaults.get(verb), data.get(verb)
    if own == "none" or (own is None and default in (None, "none")):
        return {}

    written = {"select": defaults.get("select", ""), **_written(own, default)}
    if "json_api" in data:
        written["body"] = "json_api"
    written["params"] = _asked(written.get("params", {}), names)
    return written | _of_since(written)


def _of_since(written: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that are sent with `since` only: as the connector says, in a body those of the
    same filter.
    """
    since, params = written.get("since", ""), dict(written.get("params", {}))
    filter_, inside, _ = since.rpartition(".")
    if (
        "since_params" in written
        or not inside
        or written.get("params_in") != "body"
    ):
        return {}

    own = {
        name: value
        for name, value in params.items()
        if name.startswith(f"{filter_}.")
    }
    return {
        "since_params": own,
        "params": without(params, own),
    }


def _asked(params: Mapping[str, Any], fields: str) -> dict[str, Any]:
    return {
        key: value.replace("{fields}", fields)
        if isinstance(value, str)
        else value
        for key, value in params.items()
    }


def _json_api(
    data: Mapping[str, Any],
    held: Mapping[str, model.FieldType],
    resources: Mapping[str, Any],
) -> model.JsonApi:
    links = data.get("relationships", {})
    relationships = {}
    for name, relation in links.items():
        target = next(iter(held[name].to), None)
        type_name = name
        if target:
            type_name = (
                resources[target].get("json_api", {}).get("type", target)
            )
        relationships[name] = (relation, type_name)
    return model.JsonApi(data["type"], relationships)


def _written(own: Mapping[str, Any] | None, default: Any) -> dict[str, Any]:
    """A call over its default; a method of its own takes the place of the default's."""
    below: Mapping[str, Any] = default if isinstance(default, Mapping) else {}
    if own and any(method in own for method in _METHODS):
        below = without(below, _METHODS)
    return {**below, **(own or {})}


def _operation(
    data: Mapping[str, Any], resource: str, pagers: Mapping[str, model.Pager]
) -> model.Operation:
    method = next(word for word in _METHODS if word in data)
    bulk, several = data.get("bulk", {}), None
    if any(word in bulk for word in _METHODS):
        several = _operation(_of_several(data, bulk), resource, pagers)
        bulk = {}
    return _made(
        model.Operation,
        data,
        several=several,
        method=method.upper(),
        path=data[method].replace("{resource}", resource),
        select=data.get("select", "").replace("{resource}", resource),
        pager=pagers[data["pager"]] if "pager" in data else None,
        bulk=_optional(model.Bulk, bulk, more=bulk.get("with", {})),
    )


def _of_several(
    data: Mapping[str, Any], bulk: Mapping[str, Any]
) -> dict[str, Any]:
    """What is said of the call for several rows: as of the call for one, but for where it goes,
    what it costs, and where the rows stand.
    """
    of_one = (*_METHODS, "cost", "params", "wrap", "select", "id_at")
    of_call = (*_METHODS, "cost")
    own = {name: bulk[name] for name in of_call if name in bulk}
    return {**without(data, of_one), **own, "bulk": without(bulk, of_call)}
