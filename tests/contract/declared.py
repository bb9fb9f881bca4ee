"""What a connector declares, held against the published documents without a call."""

from __future__ import annotations

from collections.abc import Iterator

from engine.connector.model import Connector, Operation, Resource, Verb
from tests.contract.published import Documents, Published, properties, shape

WRITES: tuple[Verb, ...] = ("create", "update")


def operations(connector: Connector) -> Iterator[tuple[str, Operation]]:
    """Every call the connector declares, with a name for messages."""
    yield "connection.check", connector.connection.check
    for name, resource in connector.resources.items():
        for verb, operation in resource.operations.items():
            yield f"{name}.{verb}", operation


def unpublished(connector: Connector, documents: Documents) -> list[str]:
    """Declared calls that are not published, or not at this cost."""
    problems = []
    for name, operation in operations(connector):
        one = documents.declared(operation.method, operation.path)
        if one is None:
            problems.append(f"{name}: {operation.method} {operation.path} is not published")
        elif one.cost != operation.cost:
            problems.append(f"{name}: costs {operation.cost}, published is {one.cost}")
    return problems


def parameters(connector: Connector, documents: Documents) -> list[str]:
    """Query parameters the connector can send under names, or with page sizes, that are not published."""
    problems = []
    for name, operation in operations(connector):
        one = documents.declared(operation.method, operation.path)
        if one is None:
            continue
        pager = operation.pager
        sent = {*operation.params, *operation.newest_first, *operation.filters, operation.ids, operation.since}
        sent |= set(pager.params.values()) if pager else set()
        problems += [f"{name}: {word} is not a published parameter" for word in sorted(sent - {""} - set(one.query))]
        if pager and "limit" in pager.params and pager.size > one.largest_page:
            problems.append(f"{name}: pages of {pager.size}, published are at most {one.largest_page}")
    return problems


def fields(connector: Connector, documents: Documents) -> list[str]:
    """Declared fields the published bodies do not take, or no published answer holds."""
    problems = []
    for name, resource in connector.resources.items():
        for verb, operation in resource.operations.items():
            one = documents.declared(operation.method, operation.path)
            if one is not None and verb in WRITES:
                wrong = writable(resource, operation) - _taken(one)
                problems += [f"{name}.{verb}: the body does not take {word}" for word in sorted(wrong)]
            if one is not None and verb == "list":
                wrong = set(resource.fields) - _held(one) - set((resource.file or ())[:1])
                problems += [f"{name}.{verb}: no answer holds {word}" for word in sorted(wrong)]
    return problems


def writable(resource: Resource, operation: Operation) -> set[str]:
    """The fields a write may carry in its body."""
    names = {name for name, kind in resource.fields.items() if kind.writable}
    return {name for name in names if f"{{{name}}}" not in operation.path} - set(operation.omit)


def _taken(one: Published) -> set[str]:
    return {name for schema in one.bodies.values() for name in properties(schema)}


def _held(one: Published) -> set[str]:
    return set(properties(one.answers[200]["application/json"]["properties"]["data"]))


def unused(connector: Connector, called: set[str]) -> list[str]:
    """Declared calls that were never made; `called` holds the keys of those that were."""
    shapes = {shape(key) for key in called}
    return [name for name, one in operations(connector) if shape(f"{one.method} {one.path}") not in shapes]
