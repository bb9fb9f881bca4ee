"""Names that the spec has changed: what was written under an old one goes on under the new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.destination.definitions import known_fields
from engine.destination.natural_key import file_of
from engine.errors import UnsafePlan
from engine.language.model import ObjectMapping
from engine.session import Run
from engine.store.journal import OPEN, entries
from engine.store.links import count_links, stream_links
from engine.store.renames import (
    ROWS,
    Renames,
    known_objects,
    linked_objects,
    rename,
)
from engine.values import collection_of, key_of


def carry_over(run: Run) -> None:
    """Give all of the store the names that the spec has now, where it says what they were (`was`).

    One transaction, and nothing to do the next time. Raises UnsafePlan where rows were made under
    both names.
    """
    objects = {
        item.was: item.name for item in run.spec.objects.values() if item.was
    }
    fields = {
        (item.resource, item.was): item.name
        for item in run.spec.custom_fields.values()
        if item.was
    }
    if not objects and not fields:
        return
    with run.store.begin(durable=True) as connection:
        names = Renames(
            _objects(connection, objects), _fields(connection, fields)
        )
        if not names.objects and not names.fields:
            return
        resources = {
            item.name: item.resource for item in run.spec.objects.values()
        }
        _rename_files(run, connection, names.objects)
        rename(connection, names, resources)


def _objects(connection: Any, wanted: Mapping[str, str]) -> dict[str, str]:
    """Those of the objects that the store still knows by their old name."""
    known = known_objects(connection)
    both = [
        (old, new)
        for old, new in wanted.items()
        if old in known and new in known
    ]
    for old, new in both:
        raise UnsafePlan(
            f"objects.{new}: it was {old!r}, but the store holds rows that were made as"
            f" {new!r} too – take the line `was: {old}` out, and keep {old!r} as an"
            " object of its own (`enabled: false`) or roll it back"
        )
    return {old: new for old, new in wanted.items() if old in known}


def _fields(
    connection: Any, wanted: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], str]:
    """Those of the custom fields that the store still knows by their old name only."""
    found = {}
    for (resource, old), new in wanted.items():
        links = known_fields(connection, resource)
        if old not in links:
            continue
        if new not in links:
            found[resource, old] = new
        elif links[old].dest_id != links[new].dest_id:
            raise UnsafePlan(
                f"custom_fields.{resource}.{new}: it was {old!r}, but the account has a"
                f" field for each of them by now – take the line `was: {old}` out"
            )
    return found


def _rename_files(
    run: Run, connection: Any, objects: Mapping[str, str]
) -> None:
    """The copy of a file whose upload is in doubt is found by the object's name.

    Safe to repeat after a kill.
    """
    for entry in entries(connection, OPEN):
        if entry.object not in objects:
            continue
        before = file_of(run.files, entry.object, entry.key, entry.body)
        after = file_of(run.files, objects[entry.object], entry.key, entry.body)
        if before and after and before.path.exists():
            before.path.replace(after.path)


# -- names that were changed without saying so


def refuse_lost(run: Run) -> None:
    """Refuse a spec that lost an object with rows and gained one that would duplicate them; tell
    how many rows any other lost object has.
    """
    with run.store.begin() as connection:
        linked = linked_objects(connection)
        written = count_links(connection)
    lost = {
        name: resource
        for name, resource in linked.items()
        if not name.startswith(("$", "pipelines."))
        and name not in ("users", *run.spec.objects)
    }
    for name, resource in lost.items():
        for heir in _heirs(run, resource, linked):
            if _overlap(run, name, heir):
                raise UnsafePlan(
                    f"the spec no longer has the object {name!r}, which made {resource},"
                    f" and would duplicate them as {heir.name!r} – write `was: {name}`"
                    f" into objects.{heir.name} if it was renamed; if they are two objects,"
                    f" keep {name!r} with `enabled: false`"
                )
        run.notice(
            f"{name}: {written[name]} rows are no longer kept up, for the spec has no such object;"
            " delete them in the destination, or keep them as they are"
        )


def _heirs(
    run: Run, resource: str, linked: Mapping[str, str]
) -> Iterator[ObjectMapping]:
    """Objects that make rows of a resource and have not made any yet."""
    for mapping in run.spec.active():
        if (
            mapping.resource == resource
            and mapping.name not in linked
            and mapping.keys[:1] == ("objects",)
        ):
            yield mapping


def _overlap(run: Run, lost: str, heir: ObjectMapping) -> bool:
    """Whether an object would make a row of a record that another has made one of."""
    own = {key_of(f"{ROWS}{lost}", str(row["id"])) for row in heir.rows}
    for batch in stream_links(run.store, lost):
        for link in batch:
            if collection_of(link.key) in heir.sources or link.key in own:
                return True
    return False
