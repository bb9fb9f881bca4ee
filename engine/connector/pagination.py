"""How lists are walked: one generator a kind, nothing kept between lists.

A pager yields what to ask for next, is sent the page that came, and returns after the last one:
with "" where the end is proven, else with the doubt, what may be missing and why. Its position is
plain JSON, so that a reading goes on where an earlier process left it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import structs

from engine.connector.model import Pager
from engine.errors import Unavailable
from engine.values import dig, is_yes, mark_of, word

# some may have slipped from one page to another
SLIPPED = "rows moved while the list was read"
# a page brings nothing that was not read
REPEATS = "it repeats rows that were read"
# kinds whose position is counted here, not named by the platform
COUNTED = ("offset", "page", "keyset")
DIGITS = 18  # of the largest count that is believed
# pages without a new id, one after the other, that make a list one without an end
STALE = 50
MOST_EMPTY = 100  # empty pages, one after the other, that do so
# search engines cap a total at a multiple of so many, and refuse what is behind it
SEARCHED = 1000


class Ask(msgspec.Struct, frozen=True):
    """One page to ask for: parameters, or an address below the platform's host.

    `probe`: only to make sure that the page before was the last.
    """

    params: Mapping[str, Any]
    position: Any = None
    url: str = ""
    probe: bool = False
    doubt: str = ""  # what is wrong with the page that came before


class Page(msgspec.Struct, frozen=True):
    """One page that came. `follow` makes a link found in it an address, and refuses other hosts."""

    rows: list[Any]
    body: Any = None
    headers: Mapping[str, str] = {}
    follow: Callable[[str], str] = str
    keys: Sequence[str] = ()  # the rows' ids
    # a good answer without anything in it: it does not even say that there are no rows
    bare: bool = False


Walk = Generator[Ask, Page, str]


def path_of(text: str) -> tuple[str | int, ...]:
    """A dotted path in a connector file; digits are list positions."""
    if not text:
        return ()
    return tuple(
        int(part) if part.isdecimal() else part for part in text.split(".")
    )


def single(_pager: Pager, position: Any) -> Walk:
    """One page with everything."""
    yield Ask({}, position)
    return ""


def offset(pager: Pager, position: Any) -> Walk:
    """`?start=500&limit=500`; ends with an empty page, or where the answer says so."""

    def onward(page: Page, start: int) -> int:
        named = _whole(page, pager.next)
        if named is not None and named > start:
            return named
        return start + len(page.rows)

    def params(start: int) -> dict[str, Any]:
        return {pager.params["start"]: start} if start or pager.first else {}

    def reached(page: Page, start: int, count: Count) -> int:
        return start + len(page.rows) - count.twice

    return _counted(
        pager,
        int(position or 0),
        params,
        onward,
        reached,
        lambda start: start + pager.size,
    )


def page_number(pager: Pager, position: Any) -> Walk:
    """`?page=2&per_page=100`; ends with an empty page, or where the answer says so."""
    first = int(pager.first)

    def reached(_page: Page, _number: int, count: Count) -> int | None:
        """Pages may be shorter than asked for, so rows are counted; from the first page on, or
        they are not known.
        """
        return count.rows - count.twice if count.begun == first else None

    begun = int(position if position is not None else first)
    return _counted(
        pager,
        begun,
        lambda number: {pager.params["page"]: number},
        lambda _, number: number + 1,
        reached,
    )


def _in_body(pager: Pager, page: Page) -> Any:
    return dig(page.body, path_of(pager.next))


def _in_header(pager: Pager, page: Page) -> Any:
    return page.headers.get(pager.next.lower())


def cursor(pager: Pager, position: Any) -> Walk:
    """`?cursor=…` with the next cursor in the body; ends when there is none."""
    return _by_token(pager, position, partial(_in_body, pager))


def header_cursor(pager: Pager, position: Any) -> Walk:
    """The next cursor stands in a header named by `next`; ends when there is none."""
    return _by_token(pager, position, partial(_in_header, pager))


def next_url(pager: Pager, position: Any) -> Walk:
    """The address of the next page stands in the body; ends when there is none."""
    return _by_address(pager, position, partial(_in_body, pager))


def header_url(pager: Pager, position: Any) -> Walk:
    """The address of the next page stands in a header named by `next`; ends when there is none."""
    return _by_address(pager, position, partial(_in_header, pager))


def link_header(pager: Pager, position: Any) -> Walk:
    """The next address stands in the `Link` header with rel="next"; ends when there is none."""
    return _by_address(
        pager, position, lambda page: next_link(page.headers.get("link", ""))
    )


def keyset(pager: Pager, position: Any) -> Walk:
    """`?after=<last value>` of the field named by `next`; ends with an empty page.

    Rows may share a value that is not their id, and the last one of a page may have further rows:
    the walk goes on from the value before it, and shows some rows twice. Where that shows the page
    once more, the platform begins with the rows of the value itself, and the last one will do.
    """
    ties = _Ties(pager)
    walk = _counted(
        pager,
        position,
        lambda last: {} if last is None else {pager.params["key"]: last},
        ties.onward,
        leap=lambda _: ties.found,
    )
    ask = next(walk)
    while True:
        page = yield structs.replace(ask, doubt=ties.doubt)
        ties.doubt = ""
        try:
            ask = walk.send(page)
        except StopIteration as end:
            return ties.doubt if ties.is_end else end.value


class _Ties(msgspec.Struct):
    """What a keyset has shown of rows that share a value."""

    pager: Pager
    found: Any = None  # the value of the last row
    # all rows have the value that was asked for: so ends a list that begins with these
    is_end: bool = False
    tied: bool = False  # rows may share one
    # the doubt of a page of one value, where further rows follow
    alone: str = ""
    doubt: str = ""  # what is in doubt by now
    longest: int = 0  # rows of the longest page with several values

    def onward(self, page: Page, last: Any) -> Any:
        """The value that the next page is asked for from."""
        if not page.rows:
            return last
        values = [dig(row, path_of(self.pager.next)) for row in page.rows]
        found = values[-1]
        if found is None:
            raise Unavailable(
                f"cannot continue pagination: the last row of a page has no {self.pager.next}"
                " – check `next` of the pager in the connector"
            )
        # more rows with the one value of the page before may have been left out
        self.doubt, self.alone = self.alone, ""
        is_same = values == [last] * len(values)
        self.found = found
        self.is_end = is_same and _by_flag(self.pager, page) != "more"
        is_id = list(map(str, values)) == list(page.keys)
        self.tied = self.tied or (bool(page.keys) and not is_id)
        return self._before(values, last) if self.tied else found

    def _before(self, values: Sequence[Any], last: Any) -> Any:
        """The value before the last one, so that all rows with that come together."""
        found = values[-1]
        before = [value for value in values if value != found]
        if before:
            self.longest = max(self.longest, len(values))
            # where the page begins with the rows of the value itself, the next one will, too
            return found if before[0] == last else before[-1]

        said = f"a whole page of rows has one {self.pager.next}, {found!s:.40}"
        # pages may be shorter than they are asked to be
        if len(values) >= max(self.longest or self.pager.size, 2):
            self.doubt = said
        else:
            self.alone = said
        return found


# -- lists that are counted through


class Seen(msgspec.Struct, frozen=True):
    """What is kept of a page to know it again: not its rows, which take much memory."""

    rows: int = 0
    keys: frozenset[str] = frozenset()
    mark: int = 0  # equal where the rows are


class Count(msgspec.Struct):
    """What has come of a counted list so far."""

    begun: Any  # the position that the walk began at
    rows: int = 0
    twice: int = 0  # rows that stood on the page before as well
    pages: int = 0  # with rows in them
    full: bool = False  # a page was as long as asked for
    longest: int = 0  # rows of the longest page that the next one went on from
    # a full page ends at a round total, which may be capped
    level: bool = False
    promised: bool = False  # the page before said that there is more
    idle: int = 0  # empty pages, one after the other
    stale: int = 0  # pages without a new id, one after the other
    first: Seen = Seen()
    last: Seen = Seen()
    here: Seen = Seen()  # the page that came now
    # the number of all rows as first and as last reported
    totals: tuple[int, int] | None = None

    def take(self, page: Page, pager: Pager) -> None:
        """Count a page."""
        total = _total(pager, page)
        if total is not None:
            self.totals = (self.totals[0] if self.totals else total, total)
        here = self.here
        if not here.rows:
            self.idle += 1
            return

        self.idle, self.rows, self.pages = (
            0,
            self.rows + here.rows,
            self.pages + 1,
        )
        again = len(here.keys & self.last.keys)
        self.twice += again
        if not again:
            self.longest = max(self.longest, self.last.rows)
        self.full = self.full or here.rows >= pager.size
        self.first, self.last = self.first if self.first.rows else here, here

    def repeats(self, page: Page) -> bool:
        """Whether a page repeats the first or the last one, or is one of many that bring no new
        id.
        """
        known = (self.first, self.last)
        here = Seen(len(page.rows), frozenset(page.keys), mark_of(page.rows))
        stale = bool(here.keys) and any(here.keys <= one.keys for one in known)
        self.stale = self.stale + 1 if stale else 0
        self.here = here
        return (here.rows > 0 and here in known) or self.stale > STALE


Reached = Callable[[Page, Any, Count], int | None]


def _counted(
    pager: Pager,
    position: Any,
    params: Callable[[Any], dict[str, Any]],
    onward: Callable[[Page, Any], Any],
    reached: Reached | None = None,
    leap: Callable[[Any], Any] | None = None,
) -> Walk:
    """Walk on by what came until a page is the last.

    `params` name a position, `onward` is the one after it, `reached` how many rows there were up
    to here, where that is known. `leap` is the position after a whole page: a page may be short
    because rows were taken out of it, and then the next one shows the same.
    """
    count, probe, seen, taken = (
        Count(position),
        False,
        {repr(position)},
        position,
    )
    while True:
        page = yield Ask(
            {**_size(pager), **params(position)}, position, probe=probe
        )
        if count.repeats(page):
            further = leap(taken) if leap else position
            if repr(further) in seen:
                return _repeated(pager, count)
            seen.add(repr(further))
            position, probe = further, not _repeated(pager, count)
            continue
        taken = position
        count.take(page, pager)
        rows_before = reached(page, position, count) if reached else None
        further_rows = _further_rows(pager, page, count, rows_before)
        due, count.promised = count.promised, further_rows == "more"
        if _ends(pager, page, count, further_rows):
            break

        probe = further_rows == "" and _rest(pager, count)
        position = onward(page, position)
        if page.rows and repr(position) in seen:
            return _round(count.rows)
        seen.add(repr(position))

    due = further_rows == "more" or (due and not further_rows)
    return _doubt_at_end(pager, page, count, due)


def _doubt_at_end(pager: Pager, page: Page, count: Count, due: bool) -> str:
    """The doubt where more were due, or where a list has fewer rows than it had in the
    beginning.
    """
    ended = f"it ended after {count.rows:,} rows"
    if due:
        return f"{ended}{_of_total(count)}, where more were due"
    if page.bare and count.last.rows >= pager.size:
        return f"{ended} with an answer without a body"
    if count.totals is None:
        return ""
    before, now = count.totals
    if now >= before or count.rows - count.twice > before:
        return ""
    return f"{SLIPPED}: it had {before:,} of them, then {now:,}"


FurtherRows = Literal["more", "last", ""]  # what an answer says of them


def _further_rows(
    pager: Pager, page: Page, count: Count, reached: int | None
) -> FurtherRows:
    """What the answer says of further rows: "more", "last", or nothing."""
    total = _total(pager, page)
    if total is not None:
        return _by_total(pager, page, count, total, reached)
    return _by_flag(pager, page)


def _by_flag(pager: Pager, page: Page) -> FurtherRows:
    """The same of an answer that just says whether there are more."""
    more = dig(page.body, path_of(pager.more)) if pager.more else None
    if more is None:
        return ""
    return "more" if is_yes(more) else "last"


def _by_total(
    pager: Pager, page: Page, count: Count, total: int, reached: int | None
) -> FurtherRows:
    """The same of an answer that says how many rows there are in all."""
    if reached is None:
        return "more" if page.rows else "last"
    alone = count.pages == 1 and total == len(page.rows)
    count.level = False
    if reached > total or (alone and not _short(pager, page, count.full)):
        return ""  # it does not count all rows, perhaps those of this page only
    full = len(page.rows) >= pager.size and not pager.few
    count.level = reached == total and full and _capped(total)
    if count.level:
        return ""  # one call more shows whether the total is capped
    return "more" if reached < total else "last"


def _ends(
    pager: Pager, page: Page, count: Count, further_rows: FurtherRows
) -> bool:
    """Whether a counted list ends here. An empty page where more is promised is asked for once
    more.
    """
    if further_rows == "last":
        return True
    if further_rows == "more":
        following = pager.next and dig(page.body, path_of(pager.next))
        return count.idle > 1 and not following
    may_end_short = pager.few or pager.ends_short
    return not page.rows or (may_end_short and _short(pager, page, count.full))


def _short(pager: Pager, page: Page, full: bool) -> bool:
    """Whether this page is short because the list ends, not because the platform gives fewer
    rows than asked.
    """
    return len(page.rows) < pager.size and (full or not _capped(len(page.rows)))


def _capped(rows: int) -> bool:
    """Whether a page looks like one that the platform has cut: that is done at a round number,
    or a power of two.
    """
    return rows >= 10 and (
        rows % 10 == 0 or rows % 25 == 0 or rows & (rows - 1) == 0
    )


def _rest(pager: Pager, count: Count) -> bool:
    """Whether the last page looks like the rest of a list: shorter than asked for, and than the
    pages before it; or like its end by a total that no search engine caps at.
    """
    rows = count.last.rows
    if count.level and count.totals:
        return count.totals[1] % SEARCHED > 0
    if count.pages < 2 and _capped(rows):
        return False
    return rows < _length(pager, count)


def _length(pager: Pager, count: Count) -> int:
    """How long the pages of a list are: as asked for, or as those before the last one show."""
    measured = count.longest if count.pages > 1 else pager.size
    return min(pager.size, measured)


def _repeated(pager: Pager, count: Count) -> str:
    """A list that repeats a page: the doubt, unless that page can only have been the last."""
    rows = count.last.rows
    short = rows < _length(pager, count) and not _capped(rows)
    if (short or count.level) and not count.promised and count.stale <= STALE:
        return ""
    return f"it does not end: after {count.rows:,} rows{_of_total(count)} {REPEATS}"


def _of_total(count: Count) -> str:
    return f" of {count.totals[1]:,}" if count.totals else ""


def _size(pager: Pager) -> dict[str, Any]:
    return (
        {pager.params["limit"]: pager.size} if "limit" in pager.params else {}
    )


def _total(pager: Pager, page: Page) -> int | None:
    """How many rows the answer says there are in all."""
    return _whole(page, pager.total)


def _whole(page: Page, place: str) -> int | None:
    """A count or position that an answer names, as a number or as text; None for anything else
    there.
    """
    text = word(dig(page.body, path_of(place))).strip() if place else ""
    return int(text) if text.isdecimal() and len(text) <= DIGITS else None


# -- lists that are led through


def _by_token(
    pager: Pager, position: Any, found: Callable[[Page], Any]
) -> Walk:
    def ask(token: Any) -> Ask:
        return Ask(
            {
                **_size(pager),
                **({pager.params["cursor"]: token} if token else {}),
            },
            token,
        )

    return _led(position, ask, found)


def _by_address(
    pager: Pager, position: Any, found: Callable[[Page], Any]
) -> Walk:
    def following(page: Page) -> str:
        link = found(page)
        return page.follow(str(link)) if link else ""

    return _led(
        position,
        lambda url: Ask({} if url else _size(pager), url or None, url or ""),
        following,
    )


def _mark(page: Page) -> int:
    """What a page is known again by: its ids, or its rows where they have none."""
    return hash(frozenset(page.keys)) if page.keys else mark_of(page.rows)


def _round(rows: int) -> str:
    return f"it does not end: after {rows:,} rows it leads back to a page that was read"


def _led(
    position: Any, ask: Callable[[Any], Ask], found: Callable[[Page], Any]
) -> Walk:
    """Walk on as each page says; a position that was named before leads round for ever, and so
    do many pages that were read.
    """
    seen, rows = {repr(position)}, 0
    marks: set[int] = set()
    stale = idle = 0
    while True:
        page = yield ask(position)
        idle = 0 if page.rows else idle + 1
        if idle > MOST_EMPTY:
            return (
                f"it does not end: after {rows:,} rows {idle} pages came empty"
            )
        mark = _mark(page)
        stale = stale + 1 if page.rows and mark in marks else 0
        if stale > STALE:
            return f"it does not end: after {rows:,} rows {REPEATS}"
        marks.add(mark)
        rows += 0 if stale else len(page.rows)
        if page.body is None and position:
            return (
                f"it ended after {rows:,} rows with an answer without a body, where"
                " more were due"
            )
        position = found(page)
        if not position:
            return ""
        if repr(position) in seen:
            return _round(rows)
        seen.add(repr(position))


_LINK_PART = re.compile(
    r"""<([^<>]*)>
    |;\s*rel\s*=\s*("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s;,"']+)
    |"(?:[^"\\]|\\.)*"?|=\s*'[^']*'?
    |[^<;="]+|.""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def next_link(header: str) -> str:
    """The address a `Link` header gives for `next`, or ""; one link may have several relations."""
    address = ""
    for found in _LINK_PART.finditer(header):
        if found[1] is not None:
            address = found[1].strip()
        relations = (found[2] or "").lower().strip("\"'").split()
        if "next" in relations:
            return address
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
