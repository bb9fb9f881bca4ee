"""What is to be done about each draft: create, update, leave alone; and what it will cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from engine.connector.model import Resource
from engine.destination.definitions import GONE
from engine.run import Run
from engine.spec.model import ObjectMapping
from engine.store.links import Draft, Link, draft_states, links_of
from engine.values import as_file, canonical, digest, is_empty, links_in
from engine.wire import Definition, Definitions, Resolved, agrees, dig_target, resolve

FIELDS = "$fields."
OPTIONS = "$options."


@dataclass(frozen=True, slots=True)
class Change:
    """One draft and what is to be done about it."""

    kind: str  # create, update, unchanged, skip, fail
    draft: Draft
    resolved: Resolved | None = None
    link: Link | None = None
    send: Mapping[str, Any] = field(default_factory=dict)  # update: fields to send, by target
    before: Mapping[str, Any] = field(default_factory=dict)  # update: their values now
    conflicts: tuple[tuple[str, Any, Any], ...] = ()  # target, live, wanted
    stuck: tuple[str, ...] = ()  # fields emptied in the source that the platform cannot empty
    reason: str = ""
    version: Mapping[str, Any] = field(default_factory=dict)  # update: of the row that was looked at


def definitions(connection: sa.Connection, run: Run) -> dict[tuple[str, str], Definition]:
    """The account's field codes and option ids that provisioning found or made, without what people have deleted since."""
    found = {}
    for resource in run.migration.destination.resources:
        for prefix in (FIELDS, OPTIONS):
            for key, link in links_of(connection, prefix + resource).items():
                if not link.extra.get(GONE):
                    found[resource, key] = Definition(link.dest_id, link.extra.get("options", {}))
    return found


class Foreseen(dict[tuple[str, str], Definition]):
    """Definitions for planning: what is not there yet is taken as made."""

    def get(self, key: tuple[str, str], _default: Any = None) -> Definition:
        """The definition, or one that has every option."""
        return super().get(key) or Definition(f"new {key[1]}", _AnyOption())


class _AnyOption(dict[str, Any]):
    def get(self, key: str, _default: Any = None) -> Any:
        return key


def decide(
    run: Run, connection: sa.Connection, mapping: ObjectMapping, drafts: Sequence[Draft], known: Definitions,
    foresee: bool = False,
) -> list[Change]:  # fmt: skip
    """Compare drafts with what was last written. With `foresee`, rows still to be written count as written."""
    links = links_of(connection, mapping.name, [draft.key for draft in drafts])
    ids = {found: row_id for found, row_id in _ids(connection, drafts, foresee).items() if found not in run.leaving}
    changes = []
    for draft in drafts:
        if draft.state != "ready":
            changes.append(Change("skip" if draft.state == "skipped" else "fail", draft, reason=draft.reason))
            continue
        link = links.get(draft.key)
        if link and link.digest == draft.digest and run.leaving.isdisjoint(links_in(draft.body)):
            changes.append(Change("unchanged", draft, link=link))
            continue
        resolved = resolve(draft.body, mapping, run.spec, run.migration.destination, lambda name, key: ids.get((name, key)), known)
        changes.append(_change(draft, resolved, link))
    return changes


def _change(draft: Draft, resolved: Resolved, link: Link | None) -> Change:
    if resolved.skipped:
        return Change("skip", draft, resolved, link, reason=resolved.skipped)
    if resolved.refused:
        return Change("fail", draft, resolved, link, reason=resolved.refused)
    if link is None:
        return Change("create", draft, resolved)
    kind = "unchanged" if link.digest == digest(resolved.effective) else "update"
    return Change(kind, draft, resolved, link)


def _ids(connection: sa.Connection, drafts: Sequence[Draft], foresee: bool) -> dict[tuple[str, str], str]:
    """Destination ids of everything these drafts point at."""
    wanted: dict[str, set[str]] = {}
    for draft in drafts:
        for name, key in links_in(draft.body):
            wanted.setdefault(name, set()).add(key)
    found: dict[tuple[str, str], str] = {}
    for name, keys in wanted.items():
        ordered = sorted(keys)
        if foresee:
            states = draft_states(connection, name, ordered)
            found |= {(name, key): "0" for key in ordered if states.get(key) == "ready" or name == "users"}
        found |= {(name, key): link.dest_id for key, link in links_of(connection, name, ordered).items()}
    return found


def merge(run: Run, mapping: ObjectMapping, change: Change, live: Mapping[str, Any], last: Resolved, known: Definitions) -> Change:
    """A three-way comparison: last written, live now, wanted now; field by field."""
    resource = run.migration.destination.resources[mapping.resource]
    resolved, link = change.resolved, change.link
    assert resolved is not None and link is not None
    omit = resource.operations["update"].omit if "update" in resource.operations else ()
    send: dict[str, Any] = {}
    before: dict[str, Any] = {}
    conflicts, stuck = [], []
    for target in dict.fromkeys([*resolved.effective, *link.written]):
        if target in omit or (canonical(resolved.effective.get(target)) == canonical(link.written.get(target)) and link.digest):
            continue
        wanted = dig_target(resolved.body, target, resource, known)
        now = dig_target(live, target, resource, known)
        kind = resource.fields.get(target)
        if as_file(wanted) or agrees(wanted, now, kind):
            continue
        written = dig_target(last.body, target, resource, known)
        policy = mapping.fields[target].on_conflict if target in mapping.fields else "keep"
        ours = agrees(written, now, kind) or (not link.digest and is_empty(now))
        if ours or policy == "overwrite":
            empty = resource.emptied(target) if wanted is None else "as_null"
            if empty == "never":
                stuck.append(target)
                continue
            send[target] = [] if empty == "as_list" else wanted
            before[target] = now
        else:
            conflicts.append((target, now, wanted))
    kind_now = "update" if send else "unchanged"
    seen = version(resource, live)
    return Change(kind_now, change.draft, resolved, link, send, before, tuple(conflicts), tuple(stuck), version=seen)


def version(resource: Resource, live: Mapping[str, Any]) -> dict[str, Any]:
    """The version of the row that a change was decided on; the platform refuses the change where it has moved on."""
    name = resource.operations["update"].lock if "update" in resource.operations else ""
    return {name: live[name]} if name and live.get(name) is not None else {}


def update_body(mapping: ObjectMapping, change: Change, resource: Resource, known: Definitions) -> dict[str, Any]:
    """What an update sends: only the fields that change, plus the ids its address needs."""
    body: dict[str, Any] = {}
    for target, value in change.send.items():
        if target.startswith("custom.") and resource.custom:
            code = known[mapping.resource, target.removeprefix("custom.")].code
            holder = body.setdefault(resource.custom.container, {}) if resource.custom.container else body
            holder[code] = value
        else:
            body[target] = value
    assert change.resolved is not None
    path = resource.operations["update"].path
    return {**body, **change.version, **{name: value for name, value in change.resolved.body.items() if f"{{{name}}}" in path}}
