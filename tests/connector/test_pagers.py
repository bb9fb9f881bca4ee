"""Every pager against a server of its kind, written apart from it: each row once, from any position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.connector.model import Operation, Pager
from engine.connector.pagination import (
    PAGERS,
    REPEATS,
    Count,
    Page,
    next_link,
)
from engine.errors import Unavailable
from tests.replacing import replace

Reply = tuple[list[Any], Any, Mapping[str, str]]  # rows, body, headers
Platform = Callable[[list[Any], dict[str, str], int], Reply]

# -- platforms: from all rows, a query and a cap on the page to a page


def by_offset(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    start, size = int(query.get("start", 0)), min(int(query["limit"]), cap)
    page = rows[start : start + size]
    return page, page, {}


def by_offset_telling(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    page, _, _ = by_offset(rows, query, cap)
    end = int(query.get("start", 0)) + len(page)
    body: dict[str, Any] = {"data": page, "page": {"more": end < len(rows)}}
    if end < len(rows):
        body["page"]["next"] = end
    return page, body, {}


def by_page(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    size, number = min(int(query["per_page"]), cap), int(query["page"]) - 1
    page = rows[number * size : (number + 1) * size]
    return page, page, {}


def by_page_with_total(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    page, _, _ = by_page(rows, query, cap)
    return page, {"data": page, "total": len(rows)}, {}


def by_offset_with_total(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    page, _, _ = by_offset(rows, query, cap)
    return page, {"data": page, "total": len(rows)}, {}


def by_page_from_zero(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    return by_page(rows, {**query, "page": str(int(query["page"]) + 1)}, cap)


def by_cursor(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    start = int(query["cursor"].removeprefix("after-")) if "cursor" in query else 0
    size = min(int(query["limit"]), cap)
    end = start + size
    more = f"after-{end}" if end < len(rows) else None
    page = rows[start:end]
    return page, {"data": page, "meta": {"next": more}}, {"x-next": more} if more else {}


def by_link(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    start, size = int(query.get("from", 0)), int(query.get("limit", 3))
    end = start + min(size, cap)
    page = rows[start:end]
    if end >= len(rows):
        return page, {"data": page, "links": {}}, {}
    link = f"/rows?from={end}&limit={size}"
    header = f'</rows?from=0>; rel="first", <{link}>; title="a, b"; rel="next"'
    return page, {"data": page, "links": {"next": link}}, {"link": header}


def by_key(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
    rest = [row for row in rows if row["id"] > int(query.get("after", -1))]
    page = rest[: min(int(query["limit"]), cap)]
    return page, page, {}


SIZE = 3
START = {"start": "start", "limit": "limit"}
KINDS: dict[str, tuple[Pager, Platform]] = {
    "offset": (Pager("offset", SIZE, START), by_offset),
    "offset without the first": (Pager("offset", SIZE, START, first=False), by_offset),
    "offset that tells": (Pager("offset", SIZE, START, next="page.next", more="page.more"), by_offset_telling),
    "offset that tells more": (Pager("offset", SIZE, START, more="page.more"), by_offset_telling),
    "offset with the total": (Pager("offset", SIZE, START, total="total"), by_offset_with_total),
    "page with the total": (Pager("page", SIZE, {"page": "page", "limit": "per_page"}, total="total"), by_page_with_total),
    "page": (Pager("page", SIZE, {"page": "page", "limit": "per_page"}), by_page),
    "page from zero": (Pager("page", SIZE, {"page": "page", "limit": "per_page"}, first=False), by_page_from_zero),
    "cursor": (Pager("cursor", SIZE, {"cursor": "cursor", "limit": "limit"}, next="meta.next"), by_cursor),
    "header_cursor": (Pager("header_cursor", SIZE, {"cursor": "cursor", "limit": "limit"}, next="X-Next"), by_cursor),
    "next_url": (Pager("next_url", SIZE, {"limit": "limit"}, next="links.next"), by_link),
    "link_header": (Pager("link_header", SIZE, {"limit": "limit"}), by_link),
    "keyset": (Pager("keyset", SIZE, {"key": "after", "limit": "limit"}, next="id"), by_key),
}
COUNTS = [0, 1, 2, 3, 4, 6, 7, 30]


def walk(pager: Pager, platform: Platform, rows: list[Any], position: Any = None, cap: int = 10**9) -> list[tuple[Any, list[Any]]]:
    """Every page with the position it was asked for from."""
    pages: list[tuple[Any, list[Any]]] = []
    run = PAGERS[pager.kind](pager, position)
    ask = next(run)
    while len(pages) < 1000:
        query = {key: values[0] for key, values in parse_qs(urlsplit(ask.url).query).items()} if ask.url else {}
        query |= {key: str(value) for key, value in ask.params.items()}
        found, body, headers = platform(rows, query, cap)
        pages.append((ask.position, found))
        try:
            ask = run.send(Page(found, body, headers))
        except StopIteration:
            return pages
    raise AssertionError("the walk does not end")


def doubt(pager: Pager, platform: Platform, rows: list[Any], position: Any = None, cap: int = 10**9) -> str:
    """What a walk says at its end about rows that may be missing."""
    run = PAGERS[pager.kind](pager, position)
    ask = next(run)
    for _ in range(1000):
        query = {key: values[0] for key, values in parse_qs(urlsplit(ask.url).query).items()} if ask.url else {}
        query |= {key: str(value) for key, value in ask.params.items()}
        found, body, headers = platform(rows, query, cap)
        keys = [str(row["id"]) for row in found if isinstance(row, dict) and "id" in row]
        try:
            ask = run.send(Page(found, body, headers, keys=keys))
        except StopIteration as end:
            return str(end.value)
    raise AssertionError("the walk does not end")


def numbered(count: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(count)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", COUNTS)
def test_every_row_comes_once_and_in_order(kind: str, count: int) -> None:
    """Nothing, less than a page, exactly a page, several whole pages and a rest."""
    pager, platform = KINDS[kind]
    pages = walk(pager, platform, numbered(count))
    assert [row for _, rows in pages for row in rows] == numbered(count)
    assert len(pages) <= count // SIZE + 2  # one call more makes sure of the end where nothing tells it


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", COUNTS)
def test_a_reading_goes_on_from_any_position(kind: str, count: int) -> None:
    """A walk begun at the position of any page gives that page and all that follow."""
    pager, platform = KINDS[kind]
    pages = walk(pager, platform, numbered(count))
    for number, (position, _) in enumerate(pages):
        rest = [rows for _, rows in walk(pager, platform, numbered(count), position)]
        assert [rows for rows in rest if rows] == [rows for _, rows in pages[number:] if rows]


CAPPED = [kind for kind in KINDS if "telling" not in kind]


@pytest.mark.parametrize("kind", CAPPED)
@pytest.mark.parametrize("count", [0, 9, 10, 11, 19, 20, 25, 50, 99, 100, 101])
@pytest.mark.parametrize("cap", [10, 20, 25, 50, 100])
def test_a_platform_that_gives_fewer_rows_than_asked_loses_none(kind: str, count: int, cap: int) -> None:
    """Asked for 500 a page, many platforms give 100 without a word: that page is short, but not the last."""
    pager, platform = KINDS[kind]
    asking = replace(pager, size=500)
    assert [row for _, rows in walk(asking, platform, numbered(count), cap=cap) for row in rows] == numbered(count)


@pytest.mark.parametrize("kind", ["offset with the total", "page with the total"])
def test_a_total_saves_the_call_after_the_last_full_page(kind: str) -> None:
    """Where the answer says how many rows there are, nothing is asked after them; without, a full last page costs one call more."""
    pager, platform = KINDS[kind]
    assert len(walk(pager, platform, numbered(6))) == 2
    assert len(walk(replace(pager, total=""), platform, numbered(6))) == 3


def test_a_short_page_ends_a_list_where_the_platform_documents_it() -> None:
    """Once a page was full the platform is known to give what is asked, and a round rest is the rest."""
    pager = Pager("offset", 500, START, ends_short=True)
    assert len(walk(pager, by_offset, numbered(520))) == 2
    assert len(walk(pager, by_offset, numbered(7))) == 1
    assert len(walk(pager, by_offset, numbered(20))) == 2  # it might be a cap: one call more


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 40))
@settings(max_examples=150)
def test_two_walks_of_one_pager_do_not_know_each_other(kind: str, count: int) -> None:
    """Nothing is kept between lists: taking turns, each walk gives what it gives alone."""
    pager, platform = KINDS[kind]
    alone = walk(pager, platform, numbered(count))
    runs = [PAGERS[pager.kind](pager, None) for _ in range(2)]
    asks, pages = [next(run) for run in runs], [[], []]  # type: ignore[var-annotated]
    for _ in range(len(alone)):
        for side, run in enumerate(runs):
            query = {k: v[0] for k, v in parse_qs(urlsplit(asks[side].url).query).items()}
            query |= {k: str(v) for k, v in asks[side].params.items()}
            found, body, headers = platform(numbered(count), query, 10**9)
            pages[side].append((asks[side].position, found))
            with suppress(StopIteration):
                asks[side] = run.send(Page(found, body, headers))
    assert pages == [alone, alone]


def test_single_is_one_page() -> None:
    """Everything in one answer, without a parameter."""
    pages = walk(Pager("single"), lambda rows, query, cap: (rows, rows, {}) if not query else ([], [], {}), numbered(7))
    assert [rows for _, rows in pages] == [numbered(7)]


@pytest.mark.parametrize(
    ("pager", "reply"),
    [
        (KINDS["cursor"][0], ([1], {"meta": {"next": "same"}}, {})),
        (KINDS["header_cursor"][0], ([1], {}, {"x-next": "same"})),
        (KINDS["next_url"][0], ([1], {"links": {"next": "/rows?from=3"}}, {})),
        (KINDS["link_header"][0], ([1], {}, {"link": "</rows?from=3>; rel=next"})),
        (KINDS["offset that tells"][0], ([1], {"page": {"more": True, "next": 3}}, {})),
        (KINDS["keyset"][0], ([{"id": 3}] * 3, {}, {})),
    ],
)
def test_a_list_that_goes_in_a_circle_is_stopped(pager: Pager, reply: Reply) -> None:
    """A next position that is the present one would read the same page for ever."""
    assert "does not end" in doubt(pager, lambda rows, query, cap: reply, [])


@given(groups=st.lists(st.integers(1, 5), max_size=12), cap=st.integers(2, SIZE), own=st.booleans())
@example(groups=[1, 5], cap=SIZE - 1, own=False)
@settings(max_examples=100)
def test_rows_that_share_a_key_are_read_or_told(groups: list[int], cap: int, own: bool) -> None:
    """Where rows of a keyset have one value, all are read, or the walk says which value has a page of them; also where the
    platform gives shorter pages than it is asked for, unless it never shows a second value; and where it begins with rows of
    the value itself, its `own`.
    """
    rows = [{"id": f"{number}.{one}", "at": number} for number, many in enumerate(groups) for one in range(many)]
    pager = Pager("keyset", SIZE, {"key": "after", "limit": "limit"}, next="at")
    run, seen, doubts = PAGERS["keyset"](pager, None), list[Any](), ""
    ask = next(run)
    with suppress(StopIteration):
        for _ in range(200):
            after = ask.params.get("after", -1)
            found = [row for row in rows if row["at"] > after or (own and row["at"] == after)][:cap]
            seen += found
            try:
                ask = run.send(Page(found, found, keys=[row["id"] for row in found]))
            except StopIteration as end:
                doubts += end.value
                raise
            doubts += ask.doubt
    missing = {row["id"] for row in rows} - {row["id"] for row in seen}
    is_blind = cap < SIZE and (len(groups) == 1 or (own and groups[:1] >= [cap]))
    assert not missing or doubts or is_blind
    assert not (missing or doubts) or max(groups) >= cap


@pytest.mark.parametrize("more", [False, True])
def test_a_keyset_that_begins_with_rows_of_the_value_ends_with_them(more: bool) -> None:
    """Nothing is in doubt at the end of such a list, unless the platform says that there is more."""
    pager = Pager("keyset", SIZE, {"key": "after", "limit": "limit"}, next="at", more="more" if more else "")
    rows = [{"id": f"{number}.", "at": number} for number in range(7)]

    def inclusive(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
        found = [row for row in rows if row["at"] >= int(query.get("after", -1))][:SIZE]
        return found, {"more": True}, {}

    said = doubt(pager, inclusive, rows)
    assert ("does not end" in said) is more and bool(said) is more


def test_pages_that_come_empty_for_ever_are_left() -> None:
    """A platform that names another next page each time and shows no row gets a doubt, not calls without end."""
    run = PAGERS["cursor"](KINDS["cursor"][0], None)
    next(run)
    calls = 0
    with pytest.raises(StopIteration) as end:
        for calls in range(1000):
            run.send(Page([{"id": 1}] if not calls else [], {"meta": {"next": f"c{calls}"}, "next": f"c{calls}"}, keys=["1"] if not calls else []))
    assert "pages came empty" in end.value.value and calls < 200


def test_rows_without_their_key_stop_a_keyset() -> None:
    """Without the last row's key there is no telling where to go on; starting again would double everything."""
    with pytest.raises(Unavailable, match="no id"):
        walk(KINDS["keyset"][0], lambda rows, query, cap: ([{}] * 3, [], {}), [])


@pytest.mark.parametrize(
    ("told", "rows", "ends"),
    [(True, 3, False), (True, 0, False), (False, 3, True), (None, 3, False), (None, 2, False), (None, 0, True), (0, 3, True),
     (1, 1, False)],
)
def test_more_decides_and_without_it_the_length(told: Any, rows: int, ends: bool) -> None:
    """An answer that does not say whether there is more is not taken for the last."""
    for kind in ("offset", "page"):
        params = START if kind == "offset" else {"page": "page", "limit": "limit"}
        run = PAGERS[kind](Pager(kind, SIZE, params, more="page.more"), None)
        next(run)
        body = {"page": {} if told is None else {"more": told}}
        try:
            run.send(Page([1] * rows, body))
            ended = False
        except StopIteration:
            ended = True
        assert ended is ends, kind


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ("", ""),
        ('<https://x/?page=2>; rel="next"', "https://x/?page=2"),
        ("<https://x/?page=2>; rel=next", "https://x/?page=2"),
        ('<https://x/?a=1,2>; rel="prev", <https://x/?a=2,3>; rel="next"', "https://x/?a=2,3"),
        ('<https://x/1>; rel="first prev", <https://x/3>; rel="last next"', "https://x/3"),
        ('<https://x/1>; title="rel=next, really"; rel="last"', ""),
        ('<https://x/1>; title="a, <b>; rel=next"; rel="prev", <https://x/2>; REL="NEXT"', "https://x/2"),
        ('<https://x/1>; rel="nextish"', ""),
        ('</rel?page=2> ; foo ; rel = "next"', "/rel?page=2"),
        ("<?page=2>; rel='next'", "?page=2"),
        ("< /rel?page=2 > ; rel = next", "/rel?page=2"),
        ('<https://x/2>; title=caf\xe9 x; rel="next"', "https://x/2"),
        ("<https://x/2>; title=John's; rel=\"next\"", "https://x/2"),
        ('<https://x/2>; title="never closed; rel=next', ""),
        ("nonsense", ""),
    ],
)
def test_the_link_header_is_read_as_it_is_written(header: str, link: str) -> None:
    """Several links, several relations, quoted commas, any order of parameters."""
    assert next_link(header) == link


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 3, 7])
def test_lists_are_walked_over_http(bench: Any, kind: str, count: int) -> None:
    """The same platforms on loopback, through the client, resumed in the middle: each row once."""
    pager, platform = KINDS[kind]

    async def endpoint(request: Request) -> Response:
        _, body, headers = platform(numbered(count), dict(request.query_params), 10**9)
        return JSONResponse(body, headers={key: value for key, value in headers.items() if value})

    bare = platform in (by_offset, by_page, by_page_from_zero, by_key)
    select = "" if bare else "data"
    calls = {"list": Operation("GET", "/rows", pager=pager, select=select)}
    client = bench.client(bench.serve([Route("/rows", endpoint)]), calls=calls)
    pages = list(client.pages("rows"))
    assert [row for page in pages for row in page.rows] == numbered(count)
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    if len(pages) > 1:
        rest = list(client.pages("rows", position=pages[0].next))
        assert [page.rows for page in rest if page.rows] == [page.rows for page in pages[1:] if page.rows]


# -- where a list may have more rows than were read


def telling_total(rows: list[Any], query: dict[str, str], cap: int, total: Any) -> Reply:
    page, _, _ = by_offset(rows, query, cap)
    return page, {"data": page, "total": total}, {}


def always(*pages: list[int], **body: Any) -> Platform:
    """The same pages in turn, whatever is asked for."""
    turn = iter(range(1000))

    def platform(_rows: list[Any], _query: dict[str, str], _cap: int) -> Reply:
        page = [{"id": number} for number in pages[next(turn) % len(pages)]]
        return page, {"data": page, **body}, {}

    return platform


def in_turn(*answers: tuple[list[int], Any]) -> Platform:
    """One answer after the other, the last one for ever: ids, and what else the body says; None for no body."""
    turn = iter([*answers, *[answers[-1]] * 1000])

    def platform(_rows: list[Any], _query: dict[str, str], _cap: int) -> Reply:
        ids, body = next(turn)
        return [{"id": number} for number in ids], body, {}

    return platform


OFFSET = Pager("offset", SIZE, START)
WITH_TOTAL, WITH_MORE = replace(OFFSET, total="total"), replace(OFFSET, more="more")
NUMBERED = Pager("page", SIZE, {"page": "page", "limit": "limit"})
TOKEN = KINDS["cursor"][0]
TO_B, TO_A = {"meta": {"next": "b"}}, {"meta": {"next": "a"}}


@pytest.mark.parametrize(
    ("pager", "platform", "said"),
    [
        (TOKEN, in_turn(([1], TO_B), ([2], TO_A), ([1], TO_B)), "does not end"),
        (TOKEN, in_turn(([1], TO_B), ([], None)), "without a body"),
        (TOKEN, in_turn(([1], TO_B), ([2], {"meta": {"next": None}})), ""),
        (OFFSET, always([1, 2, 3]), REPEATS),
        (NUMBERED, always([1, 2, 3]), REPEATS),
        (OFFSET, always([1, 2]), ""),  # it gives all rows at once, whatever is asked for
        (OFFSET, in_turn(([1, 2, 3], 0), ([4, 5], 0)), ""),  # the rest, again and again
        (replace(OFFSET, size=50), always([*range(10)]), REPEATS),  # ... or ten of them
        (WITH_MORE, in_turn(([1, 2, 3], {"more": True}), ([], None)), "where more were due"),
        (WITH_MORE, in_turn(([1, 2, 3], {"more": True}), ([], {"more": True})), "where more were due"),
        (WITH_MORE, in_turn(([1, 2, 3], {"more": True}), ([], {"more": False})), ""),
        (WITH_TOTAL, in_turn(([1, 2, 3], {"total": 5}), ([], {"total": 5})), "after 3 rows of 5"),
        (WITH_TOTAL, in_turn(([1, 2, 3], {"total": "5"}), ([4, 5], {"total": "5"})), ""),
        (WITH_TOTAL, in_turn(([1, 2, 3], {"total": 5}), ([5], {"total": 4})), "rows moved"),
        (WITH_TOTAL, in_turn(([1, 2, 3], {"total": 3}), ([4], {"total": 1}), ([], {"total": 0})), ""),  # a total of each page
        (OFFSET, in_turn(([1, 2, 3], 0), ([5], 0), ([], 0)), ""),
        (NUMBERED, in_turn(([1, 2, 3], 0), ([5], 0), ([], 0)), ""),
        (KINDS["keyset"][0], in_turn(([1, 2, 3], 0), ([4], 0), ([], 0)), ""),
    ],
)
def test_a_list_says_at_its_end_whether_rows_may_be_missing(pager: Pager, platform: Platform, said: str) -> None:
    """An end that is proven says nothing; a circle, a broken promise, a short total and rows that moved are named."""
    found = doubt(pager, platform, [])
    assert said in found if said else found == ""


@pytest.mark.parametrize("kind", ["offset", "page"])
@given(hidden=st.sets(st.integers(0, 39), max_size=12), count=st.integers(0, 40))
@settings(max_examples=60)
def test_rows_that_nobody_may_see_hide_no_others(kind: str, hidden: set[int], count: int) -> None:
    """A platform that takes rows out of a page after cutting it gives short pages in the middle: none is taken for the end."""
    pager, platform = KINDS[kind]

    def filtering(rows: list[Any], query: dict[str, str], cap: int) -> Reply:
        page, _, _ = platform(rows, query, cap)
        kept = [row for row in page if row["id"] not in hidden]
        return kept, kept, {}

    found = [row["id"] for _, rows in walk(replace(pager, size=6), filtering, numbered(count)) for row in rows]
    empty = any(set(range(start, start + 6)) <= hidden for start in range(35))
    assert empty or set(found) == set(range(count)) - hidden


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5) | st.floats(allow_nan=False)), min_size=1))
def test_a_page_is_known_again_by_its_rows(rows: list[dict[str, Any]]) -> None:
    """A page without ids repeats one with the same rows, in whatever order their keys stand, and no other."""
    count = Count(0)
    assert not count.repeats(Page(rows))
    count.take(Page(rows), Pager("offset", SIZE, START))
    assert count.repeats(Page([dict(reversed(row.items())) for row in rows]))
    assert not count.repeats(Page([*rows, {"": 1}]))
    assert not count.repeats(Page([{"other": 1, **rows[0], "others": 2}, *rows[1:]]))
