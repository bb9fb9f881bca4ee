"""A spec against the two accounts as they are: fields, options, types, lengths, room for custom
fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.config.document import Keys
from engine.config.suggestions import suggest
from engine.connector.client import Client
from engine.connector.model import CustomFields, Resource
from engine.destination.definitions import (
    Decision,
    Deleted,
    Found,
    Make,
    Rename,
    Renamed,
    Retyped,
    decide,
    is_own,
    known_fields,
    match_options,
    name_of,
    remembered,
)
from engine.errors import Code, Diagnostic, Forbidden, RequestRejected, in_order
from engine.language.dependencies import needed, paths_read, walk
from engine.language.model import Const, CustomField, Field, ObjectMapping, Pipe
from engine.language.scope import NUMBERS
from engine.language.typecheck import custom_kind
from engine.load.custom_fields import can_rename
from engine.plan.room import too_many_fields
from engine.session import Run
from engine.values import dig, is_empty, segments, word

Rows = Sequence[Mapping[str, Any]]
_OF_TEMPLATES = ("settings", "key", "collection")


def check_live(run: Run) -> list[Diagnostic]:
    """Everything in the accounts that does not fit; only lists are read, nothing is written."""
    definitions = {name: _rows(run.destination, name) for name in _holders(run)}
    found = [
        *_people(run),
        *_room(run),
        *(
            item
            for resource in _custom_resources(run)
            for item in _custom_fields(run, resource, definitions)
        ),
        *(
            item
            for mapping in run.spec.active()
            for item in _fields(run, mapping, definitions)
        ),
        *_source(run),
    ]
    return in_order(found)


def _rows(client: Client, name: str) -> Rows:
    return list(client.rows(name))


def _holders(run: Run) -> list[str]:
    """Resources whose rows define fields: all that custom fields count against, and those of
    built-in options.
    """
    resources = run.migration.destination.resources
    written = list(resources.values())
    found = [item.custom.resource for item in written if item.custom]
    found += [
        field_type.options.partition("/")[0]
        for item in written
        for field_type in item.fields.values()
        if field_type.options
    ]
    return [name for name in dict.fromkeys(found) if name in resources]


def _custom_resources(run: Run) -> list[Resource]:
    names = dict.fromkeys(
        item.resource for item in run.spec.custom_fields.values()
    )
    return [run.migration.destination.resources[name] for name in names]


def _problem(
    run: Run,
    keys: Keys,
    code: Code,
    text: str,
    advice: str = "",
    sure: bool = True,
) -> Diagnostic:
    return run.migration.document.problem(
        keys, code, text, advice, "error" if sure else "warning"
    )


# -- people


def _people(run: Run) -> Iterator[Diagnostic]:
    match, rules = run.spec.users, run.migration.destination.users
    if match is None or rules is None:
        return
    wanted = match.fallback.strip().casefold()
    rows = _rows(run.destination, rules.resource)
    owner = next(
        (
            row
            for row in rows
            if str(row.get(rules.email) or "").casefold() == wanted
        ),
        None,
    )
    if owner is None or (rules.active and not owner.get(rules.active)):
        text = f"{match.fallback!r} is not an active user of {run.migration.destination.title}"
        yield _problem(
            run,
            ("users", "fallback"),
            "bad-fallback",
            text,
            "name an active user",
        )


# -- custom fields


@dataclass(frozen=True, slots=True)
class _Held:
    """The field definitions an account has for one resource."""

    custom: CustomFields
    rows: Rows

    def named(self, label: str) -> list[Mapping[str, Any]]:
        """Definitions with this name; names alone are not unique."""
        return [row for row in self.rows if row.get(self.custom.name) == label]

    def has_of_its_own(self, label: str) -> bool:
        """Whether the platform itself has a field that people see under this name."""
        return any(
            name_of(self.custom, row).casefold() == label.strip().casefold()
            for row in self.rows
            if not is_own(self.custom, row)
        )

    def decision(self, run: Run, item: CustomField) -> Decision:
        """Which of them a custom field is: by the code of earlier runs, else by name and type."""
        with run.store.begin() as connection:
            links = known_fields(connection, item.resource)
        declared = {
            name
            for resource, name in run.spec.custom_fields
            if resource == item.resource
        } - {item.name}
        others = {
            link.dest_id for name, link in links.items() if name in declared
        }
        known = remembered(links.get(item.name) or links.get(item.was))
        ours_to_name = can_rename(
            run.migration.destination.resources[self.custom.resource],
            self.custom,
        )
        return decide(
            item,
            self.custom,
            known,
            self.rows,
            taken=frozenset(others),
            can_rename=ours_to_name,
        )

    def codes(self) -> set[str]:
        """The platform's own names of all fields."""
        return {str(row.get(self.custom.code)) for row in self.rows}


def _custom_fields(
    run: Run, resource: Resource, definitions: Mapping[str, Rows]
) -> Iterator[Diagnostic]:
    custom = resource.custom
    if custom is None:
        return
    held = _Held(custom, definitions.get(custom.resource, ()))
    for item in _wanted(run, resource):
        yield from _definition(run, item, held)


def _wanted(run: Run, resource: Resource) -> list[CustomField]:
    """The custom fields that the spec has of a resource."""
    fields = run.spec.custom_fields.values()
    return [item for item in fields if item.resource == resource.name]


def _room(run: Run) -> Iterator[Diagnostic]:
    """Whether the account's plan has room for the custom fields that are to be made."""
    if text := too_many_fields(run):
        yield _problem(run, ("custom_fields",), "account-full", text)


def _definition(
    run: Run, item: CustomField, held: _Held
) -> Iterator[Diagnostic]:
    """One custom field against what the account has under its name."""
    keys: Keys = ("custom_fields", item.resource, item.name)
    label = run.migration.destination.resources[
        held.custom.resource
    ].fields.get(held.custom.name)
    if label and label.max and len(item.label) > label.max:
        text = f"the name has {len(item.label)} characters; the account allows {label.max}"
        yield _problem(run, (*keys, "name"), "out-of-range", text, "shorten it")
    match held.decision(run, item):
        case Make():
            yield from _of_the_same_name(run, item, held)
        case Found(row):
            yield from _lacking_options(run, item, held, row)
        case Renamed(row, now):
            text = f"the account calls this field {now!r}; it is used as it is"
            yield _problem(
                run,
                (*keys, "name"),
                "account-differs",
                text,
                "rename it there, or write its name here",
                sure=False,
            )
            yield from _lacking_options(run, item, held, row)
        case Rename(row, now):
            yield _problem(
                run,
                (*keys, "name"),
                "account-differs",
                f"the next run renames the account's field {now!r}",
                sure=False,
            )
            yield from _lacking_options(run, item, held, row)
        case Retyped(_, was):
            text = (
                f"the account's field is of type {was}, which cannot be changed"
            )
            yield _problem(
                run,
                (*keys, "type"),
                "account-differs",
                text,
                "restore the type, or give the field another name in the spec",
            )
        case Deleted():
            text = "people deleted this field in the account; its values are left out"
            yield _problem(
                run,
                keys,
                "account-differs",
                text,
                "run with --remake-fields to recreate and fill it",
                sure=False,
            )


def _of_the_same_name(
    run: Run, item: CustomField, held: _Held
) -> Iterator[Diagnostic]:
    """A field that is to be created although another of the same name exists."""
    same = held.named(item.label)
    keys = ("custom_fields", item.resource, item.name)
    if held.has_of_its_own(item.label):
        text = (
            f"the account has a built-in field {item.label!r} of {item.resource}; a"
            " second one would be created beside it"
        )
        better = f"{item.label} ({run.migration.source.title})"
        yield _problem(
            run,
            (*keys, "name"),
            "duplicate-value",
            text,
            f"choose another name, such as {better!r}, or map the built-in field",
            sure=False,
        )
    elif same:
        types = ", ".join(
            sorted(str(row.get(held.custom.type)) for row in same)
        )
        text = (
            f"the account has a field {item.label!r} of another type ({types}); a"
            " second one would be created"
        )
        yield _problem(
            run,
            (*keys, "type"),
            "account-differs",
            text,
            "use that type, or choose another name",
            sure=False,
        )


def _lacking_options(
    run: Run, item: CustomField, held: _Held, row: Mapping[str, Any]
) -> Iterator[Diagnostic]:
    """Options written in the spec that a field does not have yet."""
    with run.store.begin() as connection:
        links = known_fields(connection, item.resource)
    known = remembered(links.get(item.name) or links.get(item.was))
    new = match_options(
        item.options, item.options_were, held.custom, known, row
    ).missing
    if item.type in ("enum", "set") and new:
        text = (
            f"the account's field {item.label!r} lacks the options {', '.join(new)};"
            " they would be added"
        )
        yield _problem(
            run,
            ("custom_fields", item.resource, item.name, "options"),
            "account-differs",
            text,
            sure=False,
        )


def _labels(custom: CustomFields, row: Mapping[str, Any]) -> set[str]:
    return {
        str(option.get(custom.option_label)).strip()
        for option in row.get(custom.options) or []
    }


# -- the fields of an object


def _fields(
    run: Run, mapping: ObjectMapping, definitions: Mapping[str, Rows]
) -> Iterator[Diagnostic]:
    resource = run.migration.destination.resources[mapping.resource]
    if mapping.keys[:1] != ("objects",):
        return
    if resource.custom and definitions.get(resource.custom.resource):
        held = _Held(resource.custom, definitions[resource.custom.resource])
        yield from _known(run, mapping, held)
        yield from _types(run, mapping, resource, held)
        yield from _required(run, mapping, held)
    for item in mapping.fields.values():
        yield from _fixed_values(run, mapping, item, definitions)


def _known(
    run: Run, mapping: ObjectMapping, held: _Held
) -> Iterator[Diagnostic]:
    """Built-in fields that this account neither lists nor has in any row of a first page."""
    missing = [
        item
        for target, item in mapping.fields.items()
        if not item.custom and target not in held.codes()
    ]
    rows = (
        next(
            (page.rows for page in run.destination.pages(mapping.resource)), []
        )
        if missing
        else []
    )
    for item in missing:
        target = item.target
        if rows and not any(target in row for row in rows):
            text = f"the account has no field {target!r} of {mapping.resource}"
            yield _problem(
                run,
                item.keys,
                "unknown-field",
                text,
                suggest(target, sorted(held.codes())),
                sure=False,
            )


def _types(
    run: Run, mapping: ObjectMapping, resource: Resource, held: _Held
) -> Iterator[Diagnostic]:
    """Built-in fields that are of another type in this account than the connector says."""
    ours = {theirs: name for name, theirs in held.custom.types.items()}
    of_code = {
        str(row.get(held.custom.code)): ours.get(str(row.get(held.custom.type)))
        for row in held.rows
    }
    for target, item in mapping.fields.items():
        field_type, live = resource.fields.get(target), of_code.get(target)
        expected = (
            custom_kind(CustomField(resource.name, target, target, live)).kind
            if live
            else ""
        )
        if field_type and live and not _alike(field_type.kind, expected):
            text = f"the account's field {target!r} is of type {live}"
            text += f", the connector says {field_type.kind}"
            yield _problem(
                run,
                item.keys,
                "account-differs",
                text,
                "look at the field in the account, and correct the connector",
                sure=False,
            )


def _alike(one: str, other: str) -> bool:
    """Whether values of one type fit a field of the other; only plain types are compared, the
    rest is sent in forms of its own.
    """
    return (
        one == other
        or {one, other} <= set(NUMBERS)
        or not {one, other} <= {"text", "date", "time", *NUMBERS}
    )


def _required(
    run: Run, mapping: ObjectMapping, held: _Held
) -> Iterator[Diagnostic]:
    """Fields that this account requires and the object does not map."""
    labels = {
        field.label
        for field in run.spec.custom_fields.values()
        if field.resource == mapping.resource
    }
    for row in held.rows:
        demanded = bool(held.custom.demanded) and dig(
            row, segments(held.custom.demanded)
        )
        code, name = str(row.get(held.custom.code)), row.get(held.custom.name)
        if demanded and code not in mapping.fields and name not in labels:
            text = (
                f"the account requires the field {name!r} of {mapping.resource}, but"
                f" {mapping.name} does not map it"
            )
            yield _problem(
                run,
                (*mapping.keys, "fields"),
                "required-field",
                text,
                "map it, or make it optional in the account",
                sure=False,
            )


def _fixed_values(
    run: Run,
    mapping: ObjectMapping,
    item: Field,
    definitions: Mapping[str, Rows],
) -> Iterator[Diagnostic]:
    """Values written in the spec against the options and lengths of the account's field."""
    field_type = run.migration.destination.resources[
        mapping.resource
    ].fields.get(item.target)
    if field_type is None:
        return
    values = [word(value) for value in _values(item)]
    most = field_type.max
    for value in values:
        if most and len(value) > most:
            text = f"{value[:30]!r}… has {len(value)} characters; the account allows {most}"
            yield _problem(run, item.keys, "out-of-range", text, "shorten it")
    options = _options(run, mapping.resource, field_type.options, definitions)
    if options is None:
        return
    for value in values:
        if value not in options:
            text = (
                f"the account's field {item.target!r} has no option {value!r}"
            )
            yield _problem(
                run,
                item.keys,
                "not-an-option",
                text,
                suggest(value, sorted(options)),
            )


def _values(item: Field) -> Iterator[Any]:
    for expr in walk(item.expr):
        if isinstance(expr, Pipe) and expr.mapping:
            yield from (
                value
                for value in expr.mapping.entries.values()
                if not is_empty(value)
            )
    if isinstance(item.expr, Const) and not is_empty(item.expr.value):
        yield item.expr.value


def _options(
    run: Run, resource: str, origin: str, definitions: Mapping[str, Rows]
) -> set[str] | None:
    """Options that the account has for a built-in field, with those that the spec adds; None where
    it defines none.
    """
    holder, _, code = origin.partition("/")
    custom = run.migration.destination.resources[resource].custom
    if not origin or custom is None:
        return None
    row = next(
        (
            row
            for row in definitions.get(holder, ())
            if row.get(custom.code) == code
        ),
        None,
    )
    added = {
        option
        for item in run.spec.native_options
        if item.resource == resource
        for option in item.options
    }
    return None if row is None else _labels(custom, row) | added


# -- the source


def _source(run: Run) -> Iterator[Diagnostic]:
    """Collections that cannot be read, and fields that no row of a first page has."""
    for name in needed(run.spec):
        users = [
            mapping for mapping in run.spec.active() if name in mapping.sources
        ]
        keys = users[0].keys if users else ("objects",)
        try:
            rows = next((page.rows for page in run.source.pages(name)), [])
        except (Forbidden, RequestRejected) as error:
            yield _problem(
                run,
                (*keys, "from"),
                "no-access",
                f"{name} cannot be read: {error}",
                "ask for access, or list it under left_behind",
            )
            continue
        for mapping in users:
            yield from _vanished(run, mapping, name, rows)


def _vanished(
    run: Run, mapping: ObjectMapping, name: str, rows: Rows
) -> Iterator[Diagnostic]:
    """Source fields whose name no row has; a field that is merely empty is there."""
    beside = {
        *mapping.related,
        *mapping.children,
        *([mapping.each.name] if mapping.each else []),
    }
    heads = {
        str(part[0])
        for part in map(segments, _plain_paths(mapping))
        if part[0] not in beside
    }
    known = {key for row in rows for key in row} | {
        key.replace("-", "_") for row in rows for key in row
    }
    for head in (
        sorted(heads - known)
        if len(rows) > 1 and len(mapping.sources) == 1
        else ()
    ):
        yield _problem(
            run,
            mapping.keys,
            "unknown-field",
            f"none of {len(rows)} {name} has a field {head!r}",
            suggest(head, sorted(known)),
            sure=False,
        )


def _plain_paths(mapping: ObjectMapping) -> set[str]:
    return {
        path
        for path in paths_read(mapping)
        if path[0] != "$" and path.partition(".")[0] not in _OF_TEMPLATES
    }
