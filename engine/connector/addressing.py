"""Rows that their own id does not lead to: which fields do, and the connector with ids joined of
those.

    notes:
      list: {get: "/companies/{company}/notes", parent: companies, parent_id: company}
      read: none
      delete: {delete: "/companies/{company}/notes/{id}"}

Note 7 of company 12 can be deleted only by who knows both numbers. Where such rows are written,
the engine keeps `12+7` for the row, as if the connector said `id: company+id`; rows of other
resources still refer to it by 7. Where they are only read (the source) a row keeps its own id:
values of other rows name it so, and its record's key must not change.
"""

from __future__ import annotations

from dataclasses import replace

from engine.connector.model import Connector, Resource, Verb


def addressed(connector: Connector) -> Connector:
    """The connector with ids that lead to their rows; the same where they do already."""
    kinds = {name: _addressed(kind) for name, kind in connector.resources.items()}
    return replace(connector, resources=kinds)


def _addressed(kind: Resource) -> Resource:
    above = _above(kind) if len(kind.id_fields) == 1 else ()
    return replace(kind, id="+".join([*above, kind.id]), own=kind.id) if above else kind


def _above(kind: Resource) -> tuple[str, ...]:
    """The fields besides its id that lead to a row, the parent first.

    What a row is read by, and the parent whose list shows it. Any other field that only an
    update or a deletion names comes out of the body that was written.
    """
    listing = kind.operations.get("list")
    parent = listing.parent_id if listing else ""
    needed = _besides_id(kind, "read")
    if parent and _needs_parent(kind, parent):
        needed = {parent, *needed}
    return tuple(sorted(needed, key=lambda name: (name != parent, name)))


def _needs_parent(kind: Resource, parent: str) -> bool:
    """Whether a call names the parent, or the parent's list is the only place to look a row up."""
    named = _besides_id(kind, "update") | _besides_id(kind, "delete")
    by_itself = "read" in kind.operations or bool(kind.operations["list"].ids)
    return parent != kind.id and (parent in named or not by_itself)


def _besides_id(kind: Resource, verb: Verb) -> set[str]:
    """The fields besides its id that a call on one row names; the version that guards a row is
    none of them.
    """
    operation = kind.operations.get(verb)
    return (
        set(operation.places) - {"id", kind.id, "resource", operation.lock}
        if operation
        else set()
    )
