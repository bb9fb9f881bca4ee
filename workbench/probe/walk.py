"""Whether a pager walks a list: on, without overlap or gap, to the end, in pages of the size
that is declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import structs

from engine.connector.client import Rows
from engine.connector.model import Operation, Pager, Resource
from engine.connector.pagination import REPEATS, path_of
from engine.errors import RequestRejected, Unavailable
from engine.values import dig
from workbench.probe.found import (
    Finding,
    Tell,
    confirmed,
    contradicted,
    untried,
)
from workbench.probe.lists import note_single
from workbench.probe.scene import Probe, ids_of

SMALL = 2  # rows of a small page
COUNTED = ("offset", "page", "keyset")  # kinds whose position is counted
# how the parameter is declared that says where a page begins
WORDS = ("start", "page", "cursor", "key")


def try_walk(probe: Probe, resource: Resource, tell: Tell) -> None:
    """Check the pager of a list that has rows against the server."""
    operation = resource.operations["list"]
    pager = operation.pager
    assert pager is not None
    if pager.kind == "single":
        note_single(probe, resource, tell)
        return
    if "limit" in pager.params:
        size = _size(probe, resource, operation, pager)
        tell(size)
        if size.claim == "limit":
            return
        found = _before(probe, resource, operation, pager) or _small(
            probe, resource, operation, pager
        )
        for finding in found:
            tell(finding)
    else:
        tell(_onward(probe, resource))


def _ended(page: Rows, operation: Operation) -> bool:
    """Whether the pager took a page for the last of its list."""
    return page.last or (
        bool(operation.parent) and "page" not in (page.next or {})
    )


# -- the size


def _size(
    probe: Probe, resource: Resource, operation: Operation, pager: Pager
) -> Finding:
    """A page of the declared size: full, cut short though more rows follow, or too long."""
    position, page = probe.sample(resource.name).fullest
    subject, many = f"list {resource.name}", len(page.rows)
    if many > pager.size:
        text = f"asked for {pager.size} rows, got {many}: {pager.params['limit']} is not obeyed"
        at = probe.declared.pager(resource.name, "limit")
        return contradicted(
            subject,
            "limit",
            text,
            at,
            "name the parameter that is",
            probe.sample(resource.name).evidence,
        )
    if many == pager.size:
        return confirmed(subject, "size", f"a page of {many}")
    after = _after(probe, resource, operation, pager, position, page)
    known = set(ids_of(page.rows, resource))
    new = [one for one in ids_of(after, resource) if one not in known]
    if not new:
        return untried(
            subject,
            "size",
            f"there are {many} rows, fewer than a page of {pager.size}",
        )
    lost = _ended(page, operation)
    text = f"asked for {pager.size} rows, got {many}, and more follow" + (
        "; the walk ends here and loses them" if lost else ""
    )
    at, advice = (
        probe.declared.pager(resource.name, "size"),
        f"size: {many}, if that is the most a page can have",
    )
    return contradicted(
        subject, "size", text, at, advice, probe.tape.exchange(operation)
    )


def _after(
    probe: Probe,
    resource: Resource,
    operation: Operation,
    pager: Pager,
    position: Any,
    page: Rows,
) -> Sequence[dict[str, Any]]:
    """The rows after a page that is shorter than asked for; a pager that took it for the last is
    led past it.
    """
    if not _ended(page, operation):
        following = page.next
    elif pager.kind in COUNTED and not operation.parent and not pager.more:
        following = _beyond(pager, position, page)
    else:
        return ()
    try:
        return probe.pages(resource, position=following)[0].rows
    except (RequestRejected, Unavailable):
        return ()  # there is nothing after the last row


def _beyond(pager: Pager, position: Any, page: Rows) -> Any:
    if pager.kind == "offset":
        return (position or 0) + len(page.rows)
    if pager.kind == "page":
        return int(position if position is not None else pager.first) + 1
    return dig(page.rows[-1], path_of(pager.next))


# -- two small pages


def _before(
    probe: Probe, resource: Resource, operation: Operation, pager: Pager
) -> list[Finding]:
    """Pages that are counted from 0 and asked for from 1 lose the first of them."""
    if pager.kind != "page" or not pager.first or operation.parent:
        return []
    try:
        rows = ids_of(probe.pages(resource, position=0)[0].rows, resource)
    except (RequestRejected, Unavailable):
        return []
    if not set(rows) - set(ids_of(probe.sample(resource.name).rows, resource)):
        return []
    text = (
        f"page 0 has {len(rows)} rows that page 1 and those after it do not have: the"
        " first page is lost"
    )
    at = probe.declared.pager(resource.name, "first", "page")
    return [
        contradicted(
            f"list {resource.name}",
            "pager",
            text,
            at,
            "first: false",
            probe.tape.exchange(operation),
        )
    ]


def _small(
    probe: Probe, resource: Resource, operation: Operation, pager: Pager
) -> list[Finding]:
    """Two small pages against the first rows of a large one."""
    found, subject = probe.sample(resource.name), f"list {resource.name}"
    position, large = found.fullest if operation.parent else found.pages[0]
    if len(large.rows) <= SMALL:
        return [
            untried(
                subject,
                "pager",
                f"{len(large.rows)} rows do not make two pages",
            )
        ]
    other = probe.asking(
        resource,
        structs.replace(operation, pager=structs.replace(pager, size=SMALL)),
    )
    try:
        pages = other.pages(resource, position=position, most=2)
    except RequestRejected as error:
        return [
            untried(subject, "pager", f"pages of {SMALL} are refused: {error}")
        ]
    except Unavailable as error:
        return [_stuck(probe, resource, operation, str(error))]
    wrong = _wrong(
        probe, resource, operation, pager, pages, ids_of(large.rows, resource)
    )
    right = f"two pages of {SMALL} are the first {2 * SMALL} rows, one after the other"
    return [next(wrong, confirmed(subject, "pager", right))]


def _stuck(
    probe: Probe, resource: Resource, operation: Operation, said: str
) -> Finding:
    at = probe.declared.pager(resource.name, *WORDS, "next")
    advice = "name the parameter that says where a page begins, and where the answer holds it"
    said = "page two is page one again" if REPEATS in said else said
    return contradicted(
        f"list {resource.name}",
        "pager",
        said,
        at,
        advice,
        probe.tape.exchange(operation),
    )


def _wrong(
    probe: Probe,
    resource: Resource,
    operation: Operation,
    pager: Pager,
    pages: Sequence[Rows],
    wanted: Sequence[str],
) -> Iterator[Finding]:
    """What two small pages contradict, the plainest first; `wanted` are the ids of the rows as a
    large page has them.
    """
    subject, evidence = f"list {resource.name}", probe.tape.exchange(operation)
    first = ids_of(pages[0].rows, resource)
    second = ids_of(pages[1].rows, resource) if len(pages) > 1 else []
    limit, begin = (
        probe.declared.pager(resource.name, "limit"),
        probe.declared.pager(resource.name, *WORDS, "next"),
    )
    if len(pages[0].rows) != SMALL:
        text = (
            f"asked for {SMALL} rows, got {len(pages[0].rows)}: {pager.params['limit']}"
            " is not obeyed"
        )
        yield contradicted(
            subject,
            "limit",
            text,
            limit,
            "name the parameter that says how many rows a page has",
            evidence,
        )
    if _ended(pages[0], operation) or len(pages) < 2:
        place = f" at {pager.next}" if pager.next else ""
        text = (
            f"pagination ends after {SMALL} of at least {len(wanted)} rows:"
            f" nothing{place} leads to the next page"
        )
        yield contradicted(
            subject,
            "pager",
            text,
            probe.declared.pager(resource.name, "next", "more"),
            _leads(probe),
            evidence,
        )
    if not first or not wanted:
        return  # rows without an id are reported with the rows
    if second == first:
        advice = "name the parameter that says where a page begins, and how it counts"
        yield contradicted(
            subject,
            "pager",
            "page two is page one again",
            begin,
            advice,
            evidence,
        )
    twice = [one for one in second if one in first]
    if twice:
        text = f"{len(twice)} rows of page one stand on page two again"
        yield contradicted(
            subject,
            "pager",
            text,
            begin,
            "see how the position counts: rows or pages, from 0 or from 1",
            evidence,
        )
    passed = [
        one
        for one in wanted[: len(first) + len(second)]
        if one not in (*first, *second)
    ]
    if passed:
        text = (
            f"two pages of {SMALL} pass over {len(passed)} of the rows that stand first"
            " on a large page"
        )
        yield contradicted(
            subject,
            "pager",
            text,
            begin,
            "see how the position counts, and whether the order is the same each time",
            evidence,
        )


def _leads(probe: Probe) -> str:
    """Places in the answer that look as if they lead to the next page."""
    found = [
        path
        for path in _paths(probe.tape.body)
        if any(
            word in path.lower() for word in ("next", "cursor", "more", "after")
        )
    ]
    return (
        f"the answer has {', '.join(found[:3])}"
        if found
        else "see where the answer names the next page, or whether it is another kind of pager"
    )


def _paths(body: Any, path: str = "") -> list[str]:
    if not isinstance(body, dict) or path.count(".") > 3:
        return [path] if path else []
    return [
        found
        for key, item in body.items()
        for found in _paths(item, f"{path}.{key}" if path else str(key))
    ]


# -- pages whose size cannot be asked for


def _onward(probe: Probe, resource: Resource) -> Finding:
    """Page two of a list whose pages are as long as the server likes."""
    found, subject = probe.sample(resource.name), f"list {resource.name}"
    pages = [
        ids_of(page.rows, resource) for _, page in found.pages if page.rows
    ]
    if len(pages) < 2 and not found.whole:
        pages += [
            ids_of(page.rows, resource)
            for page in probe.pages(resource, position=found.pages[-1][1].next)
        ]
    if len(pages) < 2:
        return untried(
            subject, "pager", f"all {len(found.rows)} rows came on one page"
        )
    seen: set[str] = set()
    for page in pages:
        twice = seen & set(page)
        if twice:
            text = f"{len(twice)} rows stand on two pages"
            at = probe.declared.pager(resource.name, *WORDS, "next")
            return contradicted(
                subject,
                "pager",
                text,
                at,
                "see how the position counts",
                found.evidence,
            )
        seen |= set(page)
    return confirmed(
        subject, "pager", f"{len(pages)} pages without a row twice"
    )
