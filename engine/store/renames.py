"""Names that a spec has changed, changed in everything the store keeps under them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from engine.store.changes import LEFT_OUT
from engine.store.links import DEFINITIONS, rename_key
from engine.store.tables import (
    as_text,
    drafts,
    findings,
    journal,
    links,
    meta,
    seen,
    verified,
)
from engine.values import as_link, digest, link

BATCH = 500
# the name in `meta` of what is known of a search for rows
ADOPTING = "adopting."
# where an object's name stands behind a word
BEHIND = (
    (meta.c.name, ADOPTING),
    (seen.c.place, LEFT_OUT),
)
ROWS = "$rows."  # marks the collection of rows that stand in the spec itself
# tables whose rows belong to an object
BY_OBJECT = (links, journal, drafts, findings, verified)
DRAFTED = {
    links: ("written", "stored", "held"),
    drafts: ("body",),
    journal: ("draft", "before"),
}  # their columns keyed by target


class Renames(msgspec.Struct, frozen=True):
    """Old names and what they have become."""

    objects: Mapping[str, str] = {}
    # (resource, custom field) -> its name now
    fields: Mapping[tuple[str, str], str] = {}


def linked_objects(connection: sa.Connection) -> dict[str, str]:
    """Every object that has links, with the resource of its rows."""
    query = (
        sa.select(links.c.object, sa.func.max(links.c.resource))
        .where(links.c.object != DEFINITIONS)
        .group_by(links.c.object)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def known_objects(connection: sa.Connection) -> set[str]:
    """Every object that has links, or writes in the journal."""
    names = sa.union(sa.select(links.c.object), sa.select(journal.c.object))
    return set(connection.execute(names).scalars())


def rename(
    connection: sa.Connection,
    names: Renames,
    resources: Mapping[str, str],
) -> None:
    """Change the names everywhere.

    `resources` says what the objects, by their new names, are made into. What stands under a new
    name already is forgotten where it is made anew in every run; the caller has made sure that
    there are no links and no writes among it.
    """
    for old, new in names.objects.items():
        _rename_object(connection, old, new)
    for (resource, old), new in names.fields.items():
        keys = f"{resource}.custom.{old}", f"{resource}.custom.{new}"
        rename_key(connection, DEFINITIONS, *keys)
    for table, columns in DRAFTED.items():
        _rename_inside(connection, table, columns, names, resources)


def _rename_object(connection: sa.Connection, old: str, new: str) -> None:
    for table in (drafts, findings, verified):
        connection.execute(table.delete().where(table.c.object == new))
    for column, word in BEHIND:
        connection.execute(sa.delete(column.table).where(column == word + new))
        connection.execute(
            sa.update(column.table)
            .where(column == word + old)
            .values({column.name: word + new})
        )
    for table in BY_OBJECT:
        connection.execute(
            table.update().where(table.c.object == old).values(object=new)
        )
        _rename_rows(connection, table, "key", old, new)
    _rename_rows(connection, drafts, "record", old, new)
    left_out = seen.c.place == LEFT_OUT + new
    _rename_rows(connection, seen, "key", old, new, left_out)


def _rename_rows(
    connection: sa.Connection,
    table: sa.Table,
    name: str,
    old: str,
    new: str,
    *among: sa.ColumnElement[bool],
) -> None:
    """Keys of rows that stand in the spec begin with the object's name."""
    column, before = table.c[name], f"{ROWS}{old}/"
    key = sa.literal(f"{ROWS}{new}/") + sa.func.substr(column, len(before) + 1)
    connection.execute(
        table.update()
        .where(column.startswith(before, autoescape=True), *among)
        .values({name: key})
    )


# -- names inside drafts


def _rename_inside(
    connection: sa.Connection,
    table: sa.Table,
    columns: tuple[str, ...],
    names: Renames,
    resources: Mapping[str, str],
) -> None:
    for row in _concerned(connection, table, columns, names, resources):
        resource = (
            resources.get(row.object, "") if table is drafts else row.resource
        )
        values: dict[str, Any] = {}
        for column in columns:
            before = json.loads(getattr(row, column) or "{}")
            after = _renamed(before, names, resource)
            if after != before:
                values |= {
                    column: as_text(after),
                    **_digested(row, before, after),
                }
        if values:
            here = [
                column == getattr(row, column.name)
                for column in table.primary_key.columns
            ]
            connection.execute(table.update().where(*here).values(values))


def _concerned(
    connection: sa.Connection,
    table: sa.Table,
    columns: tuple[str, ...],
    names: Renames,
    resources: Mapping[str, str],
) -> Iterator[Any]:
    """Rows with a link to a renamed object, and all rows of a resource with a renamed field."""
    having = {resource for resource, _ in names.fields}
    holding = [
        table.c[columns[0]].contains(f'"$link":["{old}",', autoescape=True)
        for old in names.objects
    ]
    if table is drafts:
        holding.append(
            table.c.object.in_(
                [
                    name
                    for name, resource in resources.items()
                    if resource in having
                ]
            )
        )
    else:
        holding.append(table.c.resource.in_(sorted(having)))
    keys = list(table.primary_key.columns)
    query = (
        sa.select(table)
        .where(sa.or_(*holding), table.c.object != DEFINITIONS)
        .order_by(*keys)
        .limit(BATCH)
    )
    after: tuple[Any, ...] | None = None
    while True:
        rest = (
            query
            if after is None
            else query.where(sa.tuple_(*keys) > sa.tuple_(*after))
        )
        rows = connection.execute(rest).all()
        yield from rows
        if not rows:
            return
        after = tuple(getattr(rows[-1], column.name) for column in keys)


def _digested(row: Any, before: Any, after: Any) -> dict[str, str]:
    """The digest that goes with what was changed; one of something else, or none, stays as it
    is.
    """
    held = getattr(row, "digest", "")
    return {"digest": digest(after)} if held and held == digest(before) else {}


def _renamed(
    draft: Mapping[str, Any], names: Renames, resource: str
) -> dict[str, Any]:
    """A draft with its custom fields and its links under their new names."""
    found = {}
    for target, value in draft.items():
        name = target.removeprefix("custom.")
        new = names.fields.get((resource, name)) if target != name else None
        found[f"custom.{new}" if new else target] = _relinked(
            value, names.objects
        )
    return found


def _relinked(value: Any, objects: Mapping[str, str]) -> Any:
    """A value whose links name objects as they are called now."""
    pointer = as_link(value)
    if pointer:
        name, key = pointer
        new = objects.get(name, name)
        before = f"{ROWS}{name}/"
        return link(
            new,
            (
                f"{ROWS}{new}/{key.removeprefix(before)}"
                if key.startswith(before)
                else key
            ),
        )
    if isinstance(value, dict):
        return {name: _relinked(item, objects) for name, item in value.items()}
    if isinstance(value, list):
        return [_relinked(item, objects) for item in value]
    return value
