"""What every trial is given: the client, the file, the tape, and the first rows of each list,
read once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from msgspec import structs

from engine.connector.client import Client, Rows
from engine.connector.model import Operation, Resource, join_id
from engine.errors import ApiError, ClientBlocked
from workbench.probe.found import Declared
from workbench.probe.tape import Tape

PAGES = 5  # of one list that are read to have enough rows

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a list, page by page, each page with the position that it was asked for
    with.
    """

    pages: tuple[tuple[Any, Rows], ...] = ()
    # of all these pages; one that a later page repeats stands here once
    rows: Sequence[dict[str, Any]] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    error: ApiError | None = None  # why there are no more
    status: int = 0
    body: Any = None  # the last answer
    evidence: str = ""

    @property
    def whole(self) -> bool:
        """Whether these are all the rows there are."""
        return (
            self.error is None and bool(self.pages) and self.pages[-1][1].last
        )

    @property
    def fullest(self) -> tuple[Any, Rows]:
        """The page with most rows, the first of them; of a list below a parent that is the row
        below which most stand.
        """
        return max(self.pages, key=lambda item: len(item[1].rows))


@dataclass(frozen=True, slots=True)
class Probe:
    """One connector held against one account."""

    client: Client
    declared: Declared
    tape: Tape
    enough: int  # rows of each list that are looked at
    samples: dict[str, Sample] = field(default_factory=dict)

    def sample(self, name: str) -> Sample:
        """The first rows of a list; read once."""
        if name not in self.samples:
            self.samples[name] = _sampled(
                self, self.client.connector.resources[name]
            )
        return self.samples[name]

    def pages(
        self,
        resource: Resource,
        params: Row | None = None,
        position: Any = None,
        most: int = 1,
        newest_first: bool = False,
    ) -> list[Rows]:
        """The first pages of a list, asked for as its sample was."""
        asked = {**self.sample(resource.name).params, **(params or {})}
        return list(
            islice(
                self.client.pages(resource.name, asked, position, newest_first),
                most,
            )
        )

    def asking(
        self, resource: Resource, operation: Operation, verb: Any = "list"
    ) -> Probe:
        """The same with another way of making one call: same account, same connections, same
        quota.
        """
        operations = {**resource.operations, verb: operation}
        resources = {
            **self.client.connector.resources,
            resource.name: structs.replace(resource, operations=operations),
        }
        client = copy.copy(self.client)
        client.connector = structs.replace(
            self.client.connector, resources=resources
        )
        return replace(self, client=client)


def id_of(row: Row, resource: Resource) -> str | None:
    """A row's id, joined where it is joined of several fields; None where a part is missing."""
    parts = [row.get(name) for name in resource.id_fields]
    return None if any(part in (None, "") for part in parts) else join_id(parts)


def ids_of(rows: Iterable[Row], resource: Resource) -> list[str]:
    """The ids of rows that have one."""
    return [
        found
        for found in (id_of(row, resource) for row in rows)
        if found is not None
    ]


def _sampled(probe: Probe, resource: Resource) -> Sample:
    """Read a list until there are enough rows; what stops the reading is kept, what stops the
    whole check is raised.
    """
    operation = resource.operations.get("list")
    if operation is None or operation.pager is None:
        return Sample()
    params, pages, position, rows = (
        _needed(probe, resource, operation),
        [],
        None,
        0,
    )
    error: ApiError | None = None
    try:
        for page in islice(probe.client.pages(resource.name, params), PAGES):
            pages.append((position, page))
            position, rows = page.next, rows + len(page.rows)
            if rows >= probe.enough:
                break
    except ClientBlocked:
        raise
    except ApiError as problem:
        error = problem
    tape = probe.tape
    return Sample(
        tuple(pages),
        _once(pages, resource),
        params,
        error,
        tape.status,
        tape.body,
        tape.exchange(operation),
    )


def _once(
    pages: Iterable[tuple[Any, Rows]], resource: Resource
) -> list[dict[str, Any]]:
    """The rows of pages without those that stood on an earlier page: that is the pager's fault,
    not the rows'.
    """
    seen: set[str] = set()
    found = []
    for _, page in pages:
        found += [row for row in page.rows if id_of(row, resource) not in seen]
        seen.update(ids_of(page.rows, resource))
    return found


def _needed(
    probe: Probe, resource: Resource, operation: Operation
) -> dict[str, str]:
    """A list that is asked for by the ids of other rows is asked for with the first of them."""
    field = resource.fields.get(operation.ids_of) if operation.ids_of else None
    if field is None:
        return {}
    resources = probe.client.connector.resources
    found = [
        one
        for name in field.to
        for one in ids_of(probe.sample(name).rows, resources[name])
    ]
    return (
        {operation.ids: ",".join(found[: operation.ids_max])} if found else {}
    )
