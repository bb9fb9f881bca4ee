"""How lists are walked: one generator a kind, nothing kept between lists.

A pager yields what to ask for next, is sent the page that came, and returns after the last one.
Its position is plain JSON, so that a reading goes on where an earlier process left it. A pager
that would ask for the same page again raises Unavailable: the list would never end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.connector.model import Pager
from engine.errors import Unavailable
from engine.values import dig


@dataclass(frozen=True, slots=True)
class Ask:
    """One page to ask for: parameters, or an address below the platform's host."""

    params: Mapping[str, Any]
    position: Any = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page that came. `follow` makes a link found in it an address, and refuses other hosts."""

    rows: list[Any]
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    follow: Callable[[str], str] = str


Walk = Generator[Ask, Page, None]


def path_of(text: str) -> tuple[str | int, ...]:
    """A dotted path in a connector file; digits are list positions."""
    return tuple(int(part) if part.isdecimal() else part for part in text.split(".")) if text else ()


def single(_pager: Pager, position: Any) -> Walk:
    """One page with everything."""
    yield Ask({}, position)


def offset(pager: Pager, position: Any) -> Walk:
    """`?start=500&limit=500`; ends with a short page, or where the answer says so."""

    def onward(page: Page, start: int) -> int:
        told = dig(page.body, path_of(pager.next)) if pager.next else None
        return int(told) if told else start + len(page.rows)

    def params(start: int) -> dict[str, Any]:
        return {pager.params["start"]: start} if start or pager.first else {}

    return _counted(pager, int(position or 0), params, onward, lambda page, start, _: start + len(page.rows))


def page_number(pager: Pager, position: Any) -> Walk:
    """`?page=2&per_page=100`; ends with a short page, or where the answer says so."""
    first = int(position if position is not None else pager.first)

    def reached(page: Page, number: int, full: bool) -> int:
        """Where no page was as long as asked for, the platform gives fewer rows a page: nobody knows how many there were."""
        before = number - int(pager.first)
        return before * pager.size + len(page.rows) if full or not before else 0

    return _counted(pager, first, lambda number: {pager.params["page"]: number}, lambda _, number: number + 1, reached)


def cursor(pager: Pager, position: Any) -> Walk:
    """`?cursor=…` with the next cursor in the body; ends when there is none."""
    return _by_token(pager, position, lambda page: dig(page.body, path_of(pager.next)))


def header_cursor(pager: Pager, position: Any) -> Walk:
    """The next cursor stands in a header named by `next`; ends when there is none."""
    return _by_token(pager, position, lambda page: page.headers.get(pager.next.lower()))


def next_url(pager: Pager, position: Any) -> Walk:
    """The address of the next page stands in the body; ends when there is none."""
    return _by_address(pager, position, lambda page: dig(page.body, path_of(pager.next)))


def header_url(pager: Pager, position: Any) -> Walk:
    """The address of the next page stands in a header named by `next`; ends when there is none."""
    return _by_address(pager, position, lambda page: page.headers.get(pager.next.lower()))


def link_header(pager: Pager, position: Any) -> Walk:
    """The next address stands in the `Link` header with rel="next"; ends when there is none."""
    return _by_address(pager, position, lambda page: next_link(page.headers.get("link", "")))


def keyset(pager: Pager, position: Any) -> Walk:
    """`?after=<last value>` of the field named by `next`; ends with a short or empty page."""

    def onward(page: Page, _: Any) -> Any:
        found = dig(page.rows[-1], path_of(pager.next))
        if found is None:
            raise Unavailable(f"the last row of a page has no {pager.next}: the list cannot be gone on with")
        return found

    return _counted(pager, position, lambda last: {} if last is None else {pager.params["key"]: last}, onward)


def _counted(
    pager: Pager, position: Any, params: Callable[[Any], dict[str, Any]], onward: Callable[[Page, Any], Any],
    reached: Callable[[Page, Any, bool], int] = lambda *_: 0,
) -> Walk:  # fmt: skip
    """Walk on by what came until a page is the last.

    `params` name a position, `onward` is the one after it, `reached` how many rows there were up to here.
    """
    full = False
    while True:
        page = yield Ask({**_size(pager), **params(position)}, position)
        full = full or len(page.rows) >= pager.size
        if _last(pager, page, full, reached(page, position, full)):
            return
        position = _onward(position, onward(page, position))


def _size(pager: Pager) -> dict[str, Any]:
    return {pager.params["limit"]: pager.size} if "limit" in pager.params else {}


def _last(pager: Pager, page: Page, full: bool, reached: int) -> bool:
    """Whether a counted list ends here; an answer that does not say so ends like one that cannot."""
    total = dig(page.body, path_of(pager.total)) if pager.total else None
    if isinstance(total, int):
        return not page.rows or reached >= total
    told = dig(page.body, path_of(pager.more)) if pager.more else None
    if told is None:
        return _short(pager, page, full)
    further = bool(pager.next and dig(page.body, path_of(pager.next)))
    return not told or not (page.rows or further)


def _short(pager: Pager, page: Page, full: bool) -> bool:
    """Whether this page is short because the list ends, not because the platform gives fewer rows than asked.

    A platform that caps its pages does so at a round number. Until a full page was seen, such a
    page costs one more call; taking it for the last would lose the rest of the collection.
    """
    rows = len(page.rows)
    capped = not full and rows >= 10 and (rows % 10 == 0 or rows % 25 == 0)
    return rows == 0 or (rows < pager.size and not capped)


def _onward(before: Any, after: Any) -> Any:
    if after == before:
        raise Unavailable(f"the list does not end: after {before!r} it names {after!r} as the next position")
    return after


def _by_token(pager: Pager, position: Any, found: Callable[[Page], Any]) -> Walk:
    token = position
    while True:
        page = yield Ask({**_size(pager), **({pager.params["cursor"]: token} if token else {})}, token)
        after = found(page)
        if not after:
            return
        token = _onward(token, after)


def _by_address(pager: Pager, position: Any, found: Callable[[Page], Any]) -> Walk:
    url = position or ""
    while True:
        page = yield Ask({} if url else _size(pager), url or None, url)
        link = found(page)
        if not link:
            return
        url = _onward(url, page.follow(str(link)))


_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s";,]+))?)*)')
_PARAMETER = re.compile(r';\s*([\w*-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]+)))?')


def next_link(header: str) -> str:
    """The address a `Link` header gives for `next`, or ""; one link may have several relations."""
    for found in _LINK.finditer(header):
        for name, quoted, bare in _PARAMETER.findall(found[2]):
            if name.lower() == "rel" and "next" in (quoted or bare).lower().split():
                return found[1]
    return ""


PAGERS: Mapping[str, Callable[[Pager, Any], Walk]] = {
    "single": single,
    "offset": offset,
    "page": page_number,
    "cursor": cursor,
    "next_url": next_url,
    "header_url": header_url,
    "link_header": link_header,
    "header_cursor": header_cursor,
    "keyset": keyset,
}
