"""Make what records need before they can be written: custom fields, options, pipelines, stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.changes import FIELDS, OPTIONS
from engine.connector.model import CustomFields, Resource
from engine.errors import Unavailable, UnsafePlan
from engine.run import Run
from engine.settle import settle_doubts
from engine.spec.model import CustomField, NativeOptions
from engine.store.links import Link, links_of, save_link
from engine.store.records import stream
from engine.values import dig, segments
from engine.write import Outcome, Write, write_all

PASSES = 8  # times a definition is tried while it turns out that the call did not happen


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was found and what had to be made."""

    fields_found: int
    fields_made: int
    options_made: int
    refused: tuple[str, ...]


def provision(run: Run) -> Provisioned:
    """Find or make every custom field and option the spec names; raises UnsafePlan if one is refused.

    No record is written before every field is there: one written without its key could not be told apart.
    """
    found = made = options = 0
    refused: list[str] = []
    for name, resource in run.migration.destination.resources.items():
        wanted = [item for item in run.spec.custom_fields.values() if item.resource == name]
        if not wanted or resource.custom is None:
            continue
        run.progress(f"custom fields of {name}", 0, len(wanted))
        rows = _existing(run, resource.custom)
        missing = [item for item in wanted if _match(item, resource.custom, rows) is None]
        if missing:
            rows = _make(run, resource, missing, refused)
        for item in wanted:
            row = _match(item, resource.custom, rows)
            if row is not None:
                made, found = made + (item in missing), found + (item not in missing)
                options += _adopt(run, item, resource.custom, row, refused)
        run.progress(f"custom fields of {name}", len(wanted), len(wanted))
    for native in run.spec.native_options:
        options += _native(run, native, refused)
    fields = [text for text in refused if text.startswith("field ")]
    if fields:
        more = f" (and {len(fields) - 1} more like it)" if len(fields) > 1 else ""
        raise UnsafePlan(f"{fields[0]}{more} – records would arrive without these fields; make room or drop them from the spec")
    return Provisioned(found, made, options, tuple(refused))


def _existing(run: Run, custom: CustomFields) -> list[dict[str, Any]]:
    return run.listed(custom.resource)


def _match(item: CustomField, custom: CustomFields, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The definition with this name and type; names alone are not unique."""
    wanted = (item.label, custom.types[item.type])
    return next((row for row in rows if (row.get(custom.name), row.get(custom.type)) == wanted), None)


def _make(run: Run, resource: Resource, wanted: list[CustomField], refused: list[str]) -> list[dict[str, Any]]:
    """Create definitions through the journal, until each is there or refused; all definitions as they are then."""
    custom = resource.custom
    assert custom is not None
    told: set[str] = set()
    rows = list(_existing(run, custom))

    def seen(outcome: Outcome) -> None:
        if outcome.state == "done":
            rows.append(dict(outcome.data))
        if outcome.state == "failed":
            told.add(outcome.write.key)
            refused.append(f"field {outcome.write.body[custom.name]!r} of {resource.name}: {outcome.reason}")

    missing = wanted
    for _ in range(PASSES):
        write_all(run, [_definition(run, resource, item) for item in missing], seen)
        missing = [item for item in wanted if item.name not in told and _match(item, custom, rows) is None]
        if missing:  # the outcome of some is not known: look again
            settle_doubts(run)
            rows[:] = run.destination.rows(custom.resource)
            missing = [item for item in missing if _match(item, custom, rows) is None]
        if not missing:
            return rows
    raise Unavailable(f"the custom fields of {resource.name} could not be made – run the same command again")


def _definition(run: Run, resource: Resource, item: CustomField) -> Write:
    custom = resource.custom
    assert custom is not None
    body: dict[str, Any] = {custom.name: item.label, custom.type: custom.types[item.type]}
    if item.type in ("enum", "set"):
        labels = wanted_options(run, item.options, item.options_from)
        body[custom.options] = [{custom.option_label: label} for label in labels or ["-"]]
    return Write(FIELDS + resource.name, item.name, custom.resource, "create", body, body)


def _remember(run: Run, name: str, key: str, custom: CustomFields, row: Mapping[str, Any], origin: str) -> None:
    options = {
        str(o[custom.option_label]).strip(): o[custom.option_id] for o in row.get(custom.options) or [] if custom.option_id in o
    }
    with run.store.begin() as connection:
        before = links_of(connection, name, [key]).get(key)
        link = Link(
            name, key, custom.resource, str(row[custom.code]), "", before.written if before else {},
            before.origin if before else origin, before.run if before else run.id, run.clock.now(), {"options": options},
        )  # fmt: skip
        save_link(connection, link)


def _adopt(run: Run, item: CustomField, custom: CustomFields, row: dict[str, Any], refused: list[str]) -> int:
    """Remember a definition that exists, and add the options it lacks."""
    _remember(run, FIELDS + item.resource, item.name, custom, row, "matched")
    if item.type not in ("enum", "set"):
        return 0
    labels = wanted_options(run, item.options, item.options_from)
    return _add_options(run, FIELDS + item.resource, item.name, custom, row, labels, refused)


def _native(run: Run, item: NativeOptions, refused: list[str]) -> int:
    """A built-in field's options: found, or added where the platform allows it."""
    resource = run.migration.destination.resources[item.resource]
    holder, _, code = resource.fields[item.field].options.partition("/")
    custom = resource.custom
    if custom is None:
        return 0
    row = next((row for row in run.listed(holder) if row.get(custom.code) == code), None)
    if row is None:
        run.notice(f"{item.resource}.{item.field}: the account has no built-in field {code!r}; its values stay behind")
        return 0
    _remember(run, OPTIONS + item.resource, item.field, custom, row, "matched")
    labels = wanted_options(run, item.options, item.options_from)
    return _add_options(run, OPTIONS + item.resource, item.field, custom, row, labels, refused)


def wanted_options(run: Run, fixed: tuple[str, ...], origin: tuple[str, str]) -> list[str]:
    """Option labels written in the spec or read from a staged collection, each once."""
    collection, label = origin
    if not collection:
        return list(fixed)
    found = [str(dig(record.body, segments(label)) or "").strip() for batch in stream(run.store, collection) for record in batch]
    return list(dict.fromkeys(text for text in found if text))


def _add_options(
    run: Run, name: str, key: str, custom: CustomFields, row: dict[str, Any], labels: list[str], refused: list[str]
) -> int:
    """Add the options a definition lacks; afterwards its ids are read again, whatever the answer was."""
    code, before = str(row[custom.code]), _labels(custom, row)
    told: list[str] = []

    def seen(outcome: Outcome) -> None:
        if outcome.state == "failed":
            told.append(outcome.reason)

    for _ in range(PASSES):
        missing = [label for label in labels if label.strip() not in _labels(custom, row)]
        if not missing or told:
            break
        body = [{custom.option_label: label} for label in missing]
        write_all(run, [Write(name, key, custom.resource, "add_options", body, {}, code)], seen)
        settle_doubts(run)
        row = next((found for found in run.destination.rows(custom.resource) if str(found.get(custom.code)) == code), row)
        _remember(run, name, key, custom, row, "matched")
    if told:
        shown = name.partition(".")[2]
        refused.append(f"options {', '.join(missing)} of {shown}.{key}: {told[0]}")
        run.notice(f"{shown}.{key}: options were refused ({told[0]}); their values stay behind and are listed")
    return len(_labels(custom, row) - before)


def _labels(custom: CustomFields, row: Mapping[str, Any]) -> set[str]:
    return {str(option[custom.option_label]).strip() for option in row.get(custom.options) or []}
