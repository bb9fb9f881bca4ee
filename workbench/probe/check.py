"""The whole check, in order; and how many calls it can take, announced before the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from engine.connector.model import Connector, Operation, Resource
from engine.errors import ApiError, ClientBlocked
from workbench.probe.account import try_blocks, try_connection, try_limits
from workbench.probe.bodies import Bodies
from workbench.probe.filters import narrowing, try_filters, try_params
from workbench.probe.found import Tell, untried
from workbench.probe.lists import try_list
from workbench.probe.reads import SPOTS, try_message, try_read, try_references
from workbench.probe.rows import try_rows
from workbench.probe.scene import PAGES, Probe
from workbench.probe.tape import Spent
from workbench.probe.walk import try_walk
from workbench.probe.writes import try_writes

WRITES = ("create", "update", "delete", "add_options", "remove_options")
AGAIN = 2  # a read that gets no usable answer goes out once more
# calls that one written row takes besides its own three: reads before and after
WRITTEN = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """What to try: which resources, whether an invalid key, writing with which bodies."""

    names: Sequence[str]
    wrong_key: bool = False
    write: bool = False
    bodies: Bodies | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a check takes."""

    calls: int
    cost: int


def bound(connector: Connector, choice: Choice) -> Bound:
    """The most calls and the most cost; a check that would take more stops."""
    parts = [(connector.connection.check, 1 + choice.wrong_key)]
    parts += [
        part
        for name in _reached(connector, choice.names)
        for part in _reads(connector.resources[name], name in choice.names)
    ]
    if choice.write:
        parts += [
            part
            for name in choice.names
            for part in _writes(connector.resources[name])
        ]
    return Bound(
        AGAIN * sum(many for _, many in parts),
        AGAIN * sum(many * operation.cost for operation, many in parts),
    )


def _reached(connector: Connector, names: Sequence[str]) -> list[str]:
    """The chosen resources, and those whose rows are looked at for them."""
    found = list(names)
    for name in names:
        resource = connector.resources[name]
        found += [
            other for field in resource.fields.values() for other in field.to
        ]
        found += [resource.custom.resource] if resource.custom else []
        found += (
            [resource.operations["list"].parent]
            if "list" in resource.operations
            and resource.operations["list"].parent
            else []
        )
    return list(dict.fromkeys(found))


def _reads(resource: Resource, chosen: bool) -> Iterator[tuple[Operation, int]]:
    listing, single = (
        resource.operations.get("list"),
        resource.operations.get("read"),
    )
    references = [
        field for field in resource.fields.values() if field.kind == "reference"
    ]
    if listing and listing.pager:
        below = 2 if listing.parent else 1
        asked = (listing.newest_first, listing.ids, narrowing(listing))
        filters = (
            3 * bool(listing.since)
            + sum(map(bool, asked))
            + len(listing.filters)
        )
        yield listing, below * (PAGES + (5 + filters) * chosen)
    if single:
        yield single, (2 + SPOTS * len(references)) * chosen


def _writes(resource: Resource) -> Iterator[tuple[Operation, int]]:
    if "create" in resource.operations and "delete" in resource.operations:
        yield from (
            (resource.operations[verb], 2)
            for verb in ("create", "update", "delete")
            if verb in resource.operations
        )
        yield (
            resource.operations.get("read") or resource.operations["create"],
            WRITTEN,
        )


def check(probe: Probe, choice: Choice, tell: Tell) -> None:
    """Try everything chosen.

    Raises AuthError, Blocked and Paused, where nothing more can be tried.
    """
    try_connection(probe, choice.wrong_key, tell)
    told_message = False
    for name in choice.names:
        resource = probe.client.connector.resources[name]
        _unless_ended(
            f"list {name}", tell, partial(_read, probe, resource, tell)
        )
        told_message = told_message or _messaged(probe, resource, tell)
    if choice.write:
        _unless_ended(
            "writing",
            tell,
            lambda: try_writes(probe, choice.names, choice.bodies or {}, tell),
        )
    _untouched(probe, choice, tell)
    _unless_ended(
        "custom fields", tell, lambda: try_blocks(probe, choice.names, tell)
    )
    try_limits(probe, tell)


def _unless_ended(subject: str, tell: Tell, trial: Callable[[], None]) -> None:
    """Continue with the next part where one ends early; being blocked ends the check."""
    try:
        trial()
    except ClientBlocked:
        raise
    except (Spent, ApiError) as error:
        tell(untried(subject, "the rest", str(error)))


def _read(probe: Probe, resource: Resource, tell: Tell) -> None:
    """All that a resource declares of reading."""
    if "list" not in resource.operations:
        tell(
            untried(
                f"list {resource.name}",
                "answers",
                "the file says no way to list it",
            )
        )
        return
    listed = try_list(probe, resource, tell)
    try_params(probe, resource, tell)
    if not listed:
        return
    rows, nothing = (
        probe.sample(resource.name).rows[: probe.enough],
        probe.client.connector.empty_values,
    )
    for finding in try_rows(probe.declared, resource, rows, nothing):
        tell(finding)
    try_walk(probe, resource, tell)
    try_filters(probe, resource, tell)
    try_references(probe, resource, tell)
    try_read(probe, resource, tell)


def _messaged(probe: Probe, resource: Resource, tell: Tell) -> bool:
    """The message of the refusal that a row which is not there got; it was the last call."""
    if "read" not in resource.operations or probe.tape.status < 400:
        return False
    try_message(probe, tell)
    return True


def _untouched(probe: Probe, choice: Choice, tell: Tell) -> None:
    """Writing calls that were not tried."""
    for name in choice.names:
        verbs = [
            verb
            for verb in WRITES
            if verb in probe.client.connector.resources[name].operations
        ]
        silent = [
            verb
            for verb in verbs
            if verb.endswith("options") or not choice.write
        ]
        if silent:
            why = (
                "options are made and removed by runs only"
                if choice.write
                else "it writes: --write tries it"
            )
            tell(untried(f"{', '.join(silent)} {name}", "row", why))
