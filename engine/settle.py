"""Settling doubt: did a write happen whose answer never came? Asked of lists, not of the search index.

A creation is recognised by our key in its custom field. Where a resource has none, by what was sent:
among the rows changed since that no link stands for, the one that holds it. No mark is left in a
text that people read (docs/decisions/0006).
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.changes import definitions
from engine.connector.model import CustomFields, FieldType, Resource
from engine.reading import recent, rows_now
from engine.run import Run
from engine.store.journal import OPEN, Entry, entries, settle
from engine.store.links import drop_link, linked_ids, links_of, save_link
from engine.values import digest, is_empty
from engine.wire import agrees, dig_target
from engine.write import Outcome, Write, as_link_row, drop_file, file_of, fingerprint

MARGIN = 600.0  # seconds our clock and the platform's may differ
_TAG = re.compile(r"<[^<>]*>")


def settle_doubts(run: Run) -> dict[str, int]:
    """Settle every write whose outcome is not known; how many had happened and how many had not."""
    with run.store.begin() as connection:
        open_entries = entries(connection, OPEN)
    tally = {"happened": 0, "did not happen": 0}
    if not open_entries:
        return tally
    run.clock.sleep(run.destination.connector.connection.settle_after)
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in open_entries:
        groups.setdefault((entry.resource, entry.action), []).append(entry)
    for position, ((name, action), group) in enumerate(groups.items()):
        run.progress("settling doubtful writes", position, len(groups))
        happened = _LOOKERS[action](run, run.migration.destination.resources[name], group)
        for entry in group:
            (_happened if entry.id in happened else _void)(run, entry, happened.get(entry.id))
        tally["happened"] += len(happened)
        tally["did not happen"] += len(group) - len(happened)
    run.progress("settling doubtful writes", len(groups), len(groups))
    return tally


Row = Mapping[str, Any]
Happened = dict[int, Row]  # entry id -> the row as it is now; {} where it is gone


def _happened(run: Run, entry: Entry, row: Row | None) -> None:
    """The outcome and the link that an answer would have left."""
    write = Write(entry.object, entry.key, entry.resource, "create", entry.body, entry.draft, entry=entry.id)
    row_id = run.migration.destination.resources[entry.resource].id_of(row or {}) or entry.dest_id
    operation = run.destination.connector.resources[entry.resource].operations[entry.action]  # type: ignore[index]
    uncounted = not entry.calls
    now, extra = run.clock.now(), _of_file(run, entry)
    with run.store.begin() as connection:
        settle(
            connection, entry.id, "done", now, dest_id=row_id, reason="found after an unknown outcome",
            calls=1 if uncounted else 0, cost=operation.cost if uncounted else 0,
        )  # fmt: skip
        link = links_of(connection, entry.object, [entry.key]).get(entry.key)
        if entry.action == "delete":
            drop_link(connection, entry.object, entry.key)
        elif entry.action == "create":
            made = as_link_row(run, write, Outcome(write, "done", row_id, row or {}, extra=extra), now)
            save_link(connection, replace(made, run=entry.run))
        elif entry.action == "update" and link and entry.draft:
            seen = {"seen": fingerprint(row or {}, run.migration.destination.resources[entry.resource])}
            save_link(connection, replace(link, written=entry.draft, digest=digest(entry.draft), extra=link.extra | seen))
    drop_file(run, write)


def _void(run: Run, entry: Entry, _row: Row | None) -> None:
    with run.store.begin() as connection:
        settle(connection, entry.id, "void", run.clock.now(), reason="it had not happened")
    drop_file(run, Write(entry.object, entry.key, entry.resource, "create", entry.body, entry.draft))


def _of_file(run: Run, entry: Entry) -> dict[str, Any]:
    """Size and checksum of the file an entry sent, from the copy that is kept until its outcome is known."""
    found = file_of(run, entry.object, entry.key, entry.body)
    if found is None or not found[2].exists():
        return {}
    with found[2].open("rb") as content:
        return {"size": found[2].stat().st_size, "sha256": hashlib.file_digest(content, "sha256").hexdigest()}


# -- rows as they are now


def live_rows(run: Run, name: str, found: Iterable[Entry]) -> Mapping[str, Row]:
    """The rows these entries are about, by id."""
    return rows_now(run.destination, run.migration.destination.resources[name], {entry.dest_id: entry.body for entry in found})


def _deleted(run: Run, resource: Resource, group: Sequence[Entry]) -> Happened:
    live = live_rows(run, resource.name, group)
    return {entry.id: {} for entry in group if entry.dest_id not in live}


def _updated(run: Run, resource: Resource, group: Sequence[Entry]) -> Happened:
    """An update took effect where a field holds what was sent and no longer what was there before.

    One that restores has no before-image of its own: whether it happened, rollback sees by itself.
    """
    live = live_rows(run, resource.name, [entry for entry in group if entry.before])
    with run.store.begin() as connection:
        known = definitions(connection, run)
    happened = {}
    for entry in group:
        row = live.get(entry.dest_id)
        for target, before in entry.before.items() if row is not None else ():
            kind = resource.fields.get(target)
            now = dig_target(row or {}, target, resource, known)
            if agrees(dig_target(entry.body, target, resource, known), now, kind) and not agrees(before, now, kind):
                happened[entry.id] = row or {}
    return happened


def _options_there(run: Run, resource: Resource, group: Sequence[Entry]) -> Happened:
    """Options were added where the definition now has them all: an intent names only what was not there."""
    key = defining(run, resource).option_label
    return _by_options(run, resource, group, key, lambda wanted, there: wanted <= there)


def _options_gone(run: Run, resource: Resource, group: Sequence[Entry]) -> Happened:
    key = defining(run, resource).option_id
    return _by_options(run, resource, group, key, lambda wanted, there: not wanted & there)


def _by_options(
    run: Run, resource: Resource, group: Sequence[Entry], key: str, done: Callable[[set[str], set[str]], bool]
) -> Happened:
    """Entries whose definitions show that the call was executed, told by this key of their options."""
    live, options, found = live_rows(run, resource.name, group), defining(run, resource).options, {}
    for entry in group:
        row = live.get(entry.dest_id, {})
        if done({str(option.get(key)) for option in entry.body[""]}, {str(option.get(key)) for option in row.get(options) or []}):
            found[entry.id] = row
    return found


def defining(run: Run, resource: Resource) -> CustomFields:
    """How the definitions that this resource holds are written."""
    kinds = (kind.custom for kind in run.migration.destination.resources.values() if kind.custom)
    return next(custom for custom in kinds if custom.resource == resource.name)


# -- creations


def _created(run: Run, resource: Resource, group: Sequence[Entry]) -> Happened:
    """Match the rows that appeared since with the creations in doubt."""
    code = _key_code(run, resource)
    waiting = [entry for entry in group if not _never_left(run, entry)]
    if not waiting:
        return {}
    if code:
        return _by_key(run, resource, waiting, code)
    found = _by_own_id(run, resource, [entry for entry in waiting if resource.id_of(entry.body)])
    sent = [_Sent.of(run, entry, resource) for entry in waiting if not resource.id_of(entry.body)]
    if not sent:
        return found
    rows = [row for rows in _unlinked(run, resource, waiting) for row in rows if any(_beside(item, row) for item in sent)]
    for fits in (_exactly, _in_all_sent, _but_for_an_edit):
        for row in list(rows):
            match = next((item for item in sent if item.entry not in found and fits(item, row, resource)), None)
            if match is not None:
                found[match.entry] = row
                rows.remove(row)
    return found


def _never_left(run: Run, entry: Entry) -> bool:
    """A file is fetched before it is sent: without its copy the upload was never begun."""
    found = file_of(run, entry.object, entry.key, entry.body)
    return found is not None and not found[2].exists()


def _by_own_id(run: Run, resource: Resource, group: Sequence[Entry]) -> Happened:
    """The rows at the ids we gave, where they hold what was sent; people's own rows hold something else."""
    live = rows_now(run.destination, resource, {resource.id_of(entry.body): entry.body for entry in group}) if group else {}
    found: Happened = {}
    for entry in group:
        row, sent = live.get(resource.id_of(entry.body), {}), _Sent.of(run, entry, resource)
        told = sent.told or tuple(name for name in entry.body if name in row)
        if row and _in_all_sent(replace(sent, told=told), row, resource):
            found[entry.id] = row
    return found


def _by_key(run: Run, resource: Resource, group: Sequence[Entry], code: str) -> Happened:
    """The rows that carry our key."""
    holder = resource.custom.container if resource.custom else ""
    waiting = {str((entry.body.get(holder) or {}).get(code) if holder else entry.body.get(code)): entry.id for entry in group}
    found: Happened = {}
    for rows in _unlinked(run, resource, group):
        for row in rows:
            key = str((row.get(holder) or {}).get(code) if holder else row.get(code))
            if key in waiting:
                found.setdefault(waiting[key], row)
        if len(found) == len(group):
            break
    return found


def _key_code(run: Run, resource: Resource) -> str:
    key = next((f.name for f in run.spec.custom_fields.values() if f.resource == resource.name and f.key), "")
    if not key:
        return ""
    with run.store.begin() as connection:
        found = definitions(connection, run).get((resource.name, key))
    return found.code if found else ""


def _unlinked(run: Run, resource: Resource, group: Sequence[Entry]) -> Iterator[list[dict[str, Any]]]:
    """Rows among which the doubtful ones must be, if they exist; those that stand for other records left out."""
    for rows in _candidates(run, resource, group):
        with run.store.begin() as connection:
            taken = linked_ids(connection, resource.name, [resource.id_of(row) for row in rows])
        yield [row for row in rows if resource.id_of(row) not in taken]


def _candidates(run: Run, resource: Resource, group: Sequence[Entry]) -> Iterator[list[dict[str, Any]]]:
    operation = resource.operations["list"]
    if operation.ids_of:
        yield list(run.destination.by_ids(resource.name, sorted({str(entry.body.get(operation.ids_of)) for entry in group})))
    else:
        yield from recent(run.destination, resource, min(entry.at for entry in group) - MARGIN)


# -- rows without a key of ours


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a creation in doubt sent, in the fields that tell rows apart."""

    entry: int
    values: Row
    names: tuple[str, ...]
    told: tuple[str, ...]  # the names that had a value
    references: tuple[str, ...]

    @classmethod
    def of(cls, run: Run, entry: Entry, resource: Resource) -> _Sent:
        """From the journal, with a file shown as the fields that describe it."""
        values, found = dict(entry.body), file_of(run, entry.object, entry.key, entry.body)
        if found and resource.file:
            values |= {resource.file[1]: found[1].get("name"), resource.file[2]: found[2].stat().st_size}
        upsert = resource.operations["create"].upsert
        names = resource.recognise or _telling(run, resource) or ((upsert,) if upsert else ())
        told = tuple(name for name in names if not is_empty(values.get(name)))
        return cls(entry.id, values, names, told, tuple(name for name in told if _kind(resource, name).kind == "reference"))


def _telling(run: Run, resource: Resource) -> tuple[str, ...]:
    """A definition of a field is known by its name and type."""
    holders = {kind.custom.resource for kind in run.migration.destination.resources.values() if kind.custom}
    return (defining(run, resource).name, defining(run, resource).type) if resource.name in holders else ()


def _beside(sent: _Sent, row: Row) -> bool:
    """Whether a row refers to what the creation referred to."""
    return all(str(row.get(name)) == str(sent.values[name]) for name in sent.references)


def _kind(resource: Resource, name: str) -> FieldType:
    return resource.fields.get(name) or FieldType("text")


def _exactly(sent: _Sent, row: Row, resource: Resource) -> bool:
    """Everything as it was sent, and nothing where nothing was sent."""
    return _in_all_sent(sent, row, resource) and all(is_empty(row.get(name)) for name in sent.names if name not in sent.told)


def _in_all_sent(sent: _Sent, row: Row, resource: Resource) -> bool:
    """Everything as it was sent; platforms fill other fields by themselves."""
    return bool(sent.told) and _beside(sent, row) and all(_same(sent, row, resource, name) for name in sent.told)


def _but_for_an_edit(sent: _Sent, row: Row, resource: Resource) -> bool:
    """One text differs, but the row carries the very moment in the past that we gave it: people have edited it since."""
    other = [name for name in sent.told if not _same(sent, row, resource, name)]
    dated = [name for name in sent.told if _kind(resource, name).kind == "datetime" and name not in other]
    return bool(dated) and len(other) <= 1 and _beside(sent, row)


def _same(sent: _Sent, row: Row, resource: Resource, name: str) -> bool:
    wanted, live, kind = sent.values.get(name), row.get(name), _kind(resource, name)
    if agrees(wanted, live, kind):
        return True
    return kind.kind == "html" and isinstance(wanted, str) and isinstance(live, str) and _words(wanted) == _words(live)


def _words(text: str) -> str:
    """What a reader sees of HTML."""
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


_LOOKERS = {
    "create": _created,
    "update": _updated,
    "delete": _deleted,
    "add_options": _options_there,
    "remove_options": _options_gone,
}
