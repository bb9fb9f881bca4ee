"""The first files of a migration: a spec that is valid from the start, a case to test it by."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.connector.load import load_connector
from engine.connector.model import Connector
from engine.errors import SpecError, UsageError
from workbench.connectors import known
from workbench.editors import at_hand
from workbench.propose.draft import Drafted, draft
from workbench.propose.native import STAND_IN
from workbench.propose.pair import Pair, outlined, pairs
from workbench.propose.scene import HIGH, Outline, Proposal, people_of
from workbench.propose.words import slug
from workbench.propose.write import FALLBACK, settings_of
from workbench.writing import Insertion, inserted, written

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be migrated."""

    source: Path
    destination: Path
    name: str
    folder: Path
    # how the spec names the connectors; "" is their path from its folder
    written: tuple[str, str] = ("", "")
    schemas: bool = False  # whether there will be schemas beside the folder


@dataclass(frozen=True, slots=True)
class Made:
    """Files to write, the spec first, and the connectors that it was made for."""

    files: Mapping[Path, str]
    source: Connector
    destination: Connector


def make(asked: Asked) -> Made:
    """The texts of the files; raises UsageError where a name is wrong or something would be
    overwritten.
    """
    if not _NAME.fullmatch(asked.name):
        raise UsageError(
            f"{asked.name!r} is not a name for a migration – small letters, digits and"
            " _, e.g. erp_to_crm"
        )
    spec, cases = (
        asked.folder / f"{asked.name}.yaml",
        asked.folder / f"{asked.name}.test.yaml",
    )
    for path in (spec, cases):
        if path.exists():
            raise UsageError(
                f"{path} exists and is not overwritten – choose another --name or --folder"
            )
    source, destination = (
        load_connector(asked.source),
        load_connector(asked.destination),
    )
    for connector, verb in ((source, "list"), (destination, "create")):
        if not _can(connector, verb):
            raise UsageError(_incapable(asked, connector, verb))
    drafted = _drafted(source, destination)
    files = {
        spec: _spec(asked, source, destination, drafted),
        cases: _cases(asked, source, drafted),
    }
    return Made(files, source, destination)


def _can(connector: Connector, verb: str) -> bool:
    """Whether a connector has a call of this kind."""
    return any(verb in item.operations for item in connector.resources.values())


def _incapable(asked: Asked, connector: Connector, verb: str) -> str:
    """What a connector lacks, and which others have it."""
    done, side = {
        "list": ("read from", "source"),
        "create": ("written to", "destination"),
    }[verb]
    others = []
    for name, file in known(asked.folder.parent).items():
        with suppress(SpecError):  # one that is being written
            if _can(load_connector(file), verb):
                others.append(name)
    choice = f"choose another {side}"
    if others:
        choice += f": {', '.join(others)}"
    return (
        f"nothing can be {done} {connector.title}: its connector has no `{verb}` call for any"
        f" resource – {choice}; or add the calls to a copy of the connector"
    )


def write(files: Mapping[Path, str]) -> None:
    """Write files; none of them exists."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _drafted(source: Connector, destination: Connector) -> list[Drafted]:
    """The objects that pair with certainty, with the fields that they require; where none does, the
    first possible pair.
    """
    found = [
        pair
        for pair in pairs(source, destination, {})
        if pair.confidence >= HIGH
    ]
    drafted = [
        item
        for item in draft(outlined(found), source, destination, {})
        if _possible(item, destination)
    ]
    names = {item.outline.name for item in drafted}
    # without the objects that cannot stand, for the lookups
    again = [pair for pair in found if slug(pair.collection) in names]
    if again:
        return draft(outlined(again), source, destination, {})
    return draft([_any(source, destination)], source, destination, {})


def _possible(item: Drafted, destination: Connector) -> bool:
    """Whether every field the destination insists on was found, links at least."""
    fields = destination.resources[item.outline.resource].fields
    found = {proposal.target for proposal in item.proposals}
    links = all(
        name in found or field_type.kind != "reference"
        for name, field_type in fields.items()
        if field_type.required and field_type.writable
    )
    return links and any(
        _needed(destination, item, proposal) for proposal in item.proposals
    )


def _any(source: Connector, destination: Connector) -> Outline:
    read = next(
        (
            name
            for name, resource in source.resources.items()
            if "list" in resource.operations
        ),
        "",
    )
    made = next(
        (
            name
            for name, resource in destination.resources.items()
            if "create" in resource.operations
            and not _needs_links(destination, name)
        ),
        "",
    )
    if not read or not made:
        raise UsageError(
            "every row of the destination needs a link or a file to be created, so no first"
            " object can be written for it – write the spec by hand, after one that"
            " `etl init --example NAME` makes"
        )
    return outlined([Pair(read, made, 0.0, ())])[0]


def _needs_links(destination: Connector, name: str) -> bool:
    return any(
        field_type.required and field_type.kind in ("reference", "file")
        for field_type in destination.resources[name].fields.values()
    )


# -- the spec


def _spec(
    asked: Asked,
    source: Connector,
    destination: Connector,
    drafted: list[Drafted],
) -> str:
    people = people_of(source, {})
    users = _NO_USERS
    if people[0] and destination.users:
        users = f"users: {{from: {people[0]}, email: {people[1]}, fallback: {written(FALLBACK)}}}"
    head = _HEAD.format(
        schema=at_hand(asked.folder, "spec", soon=asked.schemas),
        name=asked.name,
        source=source.title,
        destination=destination.title,
        from_=asked.written[0] or _relative(asked.source, asked.folder),
        to=asked.written[1] or _relative(asked.destination, asked.folder),
        plan=source.plans[0],
        plans=", ".join(source.plans),
        to_plan=destination.plans[0],
        to_plans=", ".join(destination.plans),
        users=users,
        file=f"{asked.folder.name}/{asked.name}.yaml",
    )
    found = list(_insertions(source, destination, drafted))
    settings = settings_of({}, found, source, {})
    return inserted(head, [*settings, *found]) + _FOOT


def _insertions(
    source: Connector, destination: Connector, drafted: list[Drafted]
) -> Iterator[Insertion]:
    for item in drafted:
        key = next(
            (
                proposal
                for proposal in item.proposals
                if proposal.custom.get("key")
            ),
            None,
        )
        if key:
            yield Insertion(
                ("custom_fields", item.outline.resource, "source_key"),
                dict(key.custom),
                "finds a record again; keep it",
            )
    for item in drafted:
        yield from _object(source, destination, item)


def _object(
    source: Connector, destination: Connector, item: Drafted
) -> Iterator[Insertion]:
    at = ("objects", item.outline.name)
    yield Insertion((*at, "from"), item.outline.sources[0])
    yield Insertion((*at, "to"), item.outline.resource)
    needed = [
        proposal
        for proposal in item.proposals
        if _needed(destination, item, proposal)
    ]
    made = destination.resources[item.outline.resource]
    if made.written_over in {
        name for name, field_type in made.fields.items() if field_type.required
    }:
        yield Insertion(
            (*at, "match"),
            [made.written_over],
            "an existing row is adopted, not overwritten",
        )
    for proposal in needed:
        for alias, row in proposal.related.items():
            yield Insertion((*at, "related", alias), dict(row))
    for proposal in needed:
        remark = (
            "; ".join(proposal.reasons)
            if proposal.confidence < HIGH or "DECIDE" in proposal.reasons[0]
            else ""
        )
        yield Insertion(
            (*at, "fields", proposal.target), proposal.written, remark
        )
    mapped = {proposal.target for proposal in needed}
    for name, field_type in destination.resources[
        item.outline.resource
    ].fields.items():
        if field_type.required and field_type.writable and name not in mapped:
            yield Insertion(
                (*at, "fields", name),
                STAND_IN,
                f"DECIDE: {destination.title} needs it, and nothing like it was found"
                f" in {source.title}",
            )


def _needed(destination: Connector, item: Drafted, proposal: Proposal) -> bool:
    field_type = destination.resources[item.outline.resource].fields.get(
        proposal.target
    )
    return (
        bool(proposal.custom.get("key"))
        or (field_type is not None and field_type.required)
        or proposal.target in ("name", "title", "subject")
    )


# -- the case


def _cases(asked: Asked, source: Connector, drafted: list[Drafted]) -> str:
    item = next(
        (
            item
            for item in drafted
            if "+" not in source.resources[item.outline.sources[0]].id
        ),
        drafted[0],
    )
    collection, name = item.outline.sources[0], item.outline.name
    record: dict[str, Any] = {source.resources[collection].id: 1}
    fields: dict[str, str] = {}
    for proposal in item.proposals:
        path = proposal.paths[0] if proposal.paths else ""
        if proposal.custom.get("key"):
            fields["custom.source_key"] = f"{collection}/1"
        elif (
            proposal.target in ("name", "title")
            and path
            and _is_plain(proposal.written)
            and "." not in path
        ):
            record |= {path: f"{path} of an example"}
            fields[proposal.target] = f"{path} of an example"
    expected = {
        name: {
            f"{collection}/1": {"fields": fields}
            if fields
            else {"state": "ready"}
        }
    }
    return _CASES.format(
        schema=at_hand(asked.folder, "cases", soon=asked.schemas),
        file=f"{asked.folder.name}/{asked.name}.yaml",
        case=f"{collection} are found again by their key",
        records=written({collection: [record]}),
        expected=written(expected),
    )


def _is_plain(expression: Any) -> bool:
    """Whether a value comes from one path, or the first of several."""
    return isinstance(expression, dict) and isinstance(
        expression.get("from"), str | list
    )


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


_NO_USERS = (
    "# users: {from: COLLECTION, email: FIELD, fallback: owner@example.com} # nobody"
    " was found who could own records"
)

_HEAD = """\
{schema}# {source} -> {destination}. Begun by `etl init`; go on with:
#   etl propose {file} --read     what the records suggest; --env live without an emulator
#   etl validate {file}           every mistake at once
#   etl test {file}               the cases beside this file
#   etl run {file} --sample       a first look; with --env live where there is no emulator
migration: {name}
source: {{connector: {from_}, plan: {plan}}} # plans: {plans}
destination: {{connector: {to}, plan: {to_plan}, seats: 1}} # plans: {to_plans}

# Values for steps and templates stand under `settings`, read as $settings.NAME: the time zone of
# the source account's clock, its currency ... `etl propose --write` adds those that it needs.

# Who owns the records: people are matched by e-mail address; the fallback gets the rest.
{users}
"""

_FOOT = """
# What is not migrated, each with its reason: the audit lists every collection that stands nowhere.
# left_behind:
#   suppliers: purchasing stays where it is
"""

_CASES = """\
{schema}# Given these records, expect these fields: etl test {file}
# A case from a staged record, personal data replaced: etl test {file} --capture OBJECT ID
cases:
  - case: {case}
    records: {records}
    expect: {expected}
"""
