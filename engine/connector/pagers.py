"""How lists are walked: one generator a kind, nothing kept between lists.

A pager yields what to ask for next, is sent the page that came, and returns after the last one.
Its position is plain JSON, so that a reading goes on where an earlier process left it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.connector.model import Pager
from engine.values import dig


@dataclass(frozen=True, slots=True)
class Ask:
    """One page to ask for."""

    params: Mapping[str, Any]
    position: Any = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page that came."""

    rows: list[Any]
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Walk = Generator[Ask, Page, None]


def path_of(text: str) -> tuple[str | int, ...]:
    """A dotted path in a connector file; digits are list positions."""
    return tuple(int(part) if part.isdigit() else part for part in text.split(".")) if text else ()


def single(pager: Pager, position: Any) -> Walk:
    """One page with everything."""
    yield Ask({}, position)


def offset(pager: Pager, position: Any) -> Walk:
    """`?start=500&limit=500`; ends with a short page, or where the answer says so."""
    start = int(position or 0)
    while True:
        params: dict[str, Any] = {pager.params["limit"]: pager.size} if "limit" in pager.params else {}
        if start or pager.first:
            params[pager.params["start"]] = start
        page = yield Ask(params, start)
        if pager.more:
            if not dig(page.body, path_of(pager.more)):
                return
        elif len(page.rows) < pager.size or not page.rows:
            return
        told = dig(page.body, path_of(pager.next)) if pager.next else None
        start = int(told) if told else start + len(page.rows)


def page_number(pager: Pager, position: Any) -> Walk:
    """`?page=2&per_page=100`; ends with a short page, or where the answer says so."""
    number = int(position or (1 if pager.first else 0))
    while True:
        params: dict[str, Any] = {pager.params["page"]: number}
        if "limit" in pager.params:
            params[pager.params["limit"]] = pager.size
        page = yield Ask(params, number)
        if not page.rows or (dig(page.body, path_of(pager.more)) in (None, False) if pager.more else len(page.rows) < pager.size):
            return
        number += 1


def cursor(pager: Pager, position: Any) -> Walk:
    """`?cursor=…` with the next cursor in the body; ends when there is none."""
    token = position
    while True:
        params: dict[str, Any] = {pager.params["limit"]: pager.size} if "limit" in pager.params else {}
        if token:
            params[pager.params["cursor"]] = token
        page = yield Ask(params, token)
        token = dig(page.body, path_of(pager.next))
        if not token:
            return


def next_url(pager: Pager, position: Any) -> Walk:
    """The address of the next page stands in the body; ends when there is none."""
    url = position or ""
    while True:
        params = {pager.params["limit"]: pager.size} if "limit" in pager.params and not url else {}
        page = yield Ask(params, url or None, url)
        url = dig(page.body, path_of(pager.next))
        if not url:
            return


def link_header(pager: Pager, position: Any) -> Walk:
    """The next address stands in the `Link` header with rel="next"; ends when there is none."""
    url = position or ""
    while True:
        params = {pager.params["limit"]: pager.size} if "limit" in pager.params and not url else {}
        page = yield Ask(params, url or None, url)
        found = re.search(r'<([^>]+)>\s*;[^,]*\brel="?next"?', page.headers.get("link", ""))
        if not found:
            return
        url = found.group(1)


def header_cursor(pager: Pager, position: Any) -> Walk:
    """The next cursor stands in a header named by `next`; ends when there is none."""
    token = position
    while True:
        params: dict[str, Any] = {pager.params["limit"]: pager.size} if "limit" in pager.params else {}
        if token:
            params[pager.params["cursor"]] = token
        page = yield Ask(params, token)
        token = page.headers.get(pager.next.lower())
        if not token:
            return


def keyset(pager: Pager, position: Any) -> Walk:
    """`?after=<last value>` of the field named by `next`; ends with a short or empty page."""
    last = position
    while True:
        params: dict[str, Any] = {pager.params["limit"]: pager.size} if "limit" in pager.params else {}
        if last is not None:
            params[pager.params["key"]] = last
        page = yield Ask(params, last)
        if not page.rows or (pager.size and len(page.rows) < pager.size):
            return
        last = dig(page.rows[-1], path_of(pager.next))


PAGERS: Mapping[str, Callable[[Pager, Any], Walk]] = {
    "single": single,
    "offset": offset,
    "page": page_number,
    "cursor": cursor,
    "next_url": next_url,
    "link_header": link_header,
    "header_cursor": header_cursor,
    "keyset": keyset,
}
