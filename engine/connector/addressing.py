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

from msgspec import structs

from engine.connector.model import Connector, Resource, Verb


def addressed(connector: Connector) -> Connector:
    """The connector with ids that lead to their rows; the same where they do already."""
    resources = connector.resources.items()
    return structs.replace(
        connector, resources={name: _addressed(one) for name, one in resources}
    )


def _addressed(resource: Resource) -> Resource:
    above = _above(resource) if len(resource.id_fields) == 1 else ()
    if not above:
        return resource
    return structs.replace(
        resource, id="+".join([*above, resource.id]), own=resource.id
    )


def _above(resource: Resource) -> tuple[str, ...]:
    """The fields besides its id that lead to a row, the parent first.

    What a row is read by, and the parent whose list shows it. Any other field that only an
    update or a deletion names comes out of the body that was written.
    """
    listing = resource.operations.get("list")
    parent = listing.parent_id if listing else ""
    needed = _besides_id(resource, "read")
    if parent and _needs_parent(resource, parent):
        needed = {parent, *needed}
    return tuple(sorted(needed, key=lambda name: (name != parent, name)))


def _needs_parent(resource: Resource, parent: str) -> bool:
    """Whether a call names the parent, or the parent's list is the only place to look a row up."""
    named = _besides_id(resource, "update") | _besides_id(resource, "delete")
    by_itself = "read" in resource.operations or bool(
        resource.operations["list"].ids
    )
    return parent != resource.id and (parent in named or not by_itself)


def _besides_id(resource: Resource, verb: Verb) -> set[str]:
    """The fields besides its id that a call on one row names; the version that guards a row is
    none of them.
    """
    operation = resource.operations.get(verb)
    if operation is None:
        return set()
    return set(operation.places) - {
        "id",
        resource.id,
        "resource",
        operation.lock,
    }
