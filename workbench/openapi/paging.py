"""How a list is walked, asked for by ids and asked for by time: out of its parameters and its
answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.openapi.calls import Call, Parameter, find
from workbench.openapi.envelopes import Found
from workbench.openapi.names import key, placeable, singular, usable
from workbench.openapi.schemas import Schema
from workbench.openapi.words import words

_SIZE = re.compile(
    r"(?:max(?:imum|\.)?(?: (?:value|number|limit|page size|is|of|allowed))*[:= ]+|"
    r"up to |at most |not exceed |no more than |between \d+ and )(\d{1,6})\b",
    re.IGNORECASE,
)
_DEEP = 5


@dataclass(frozen=True, slots=True)
class Walk:
    """A pager as the connector writes it, why it is that, and what is not known of it."""

    pager: Mapping[str, Any]
    why: str
    asks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Since:
    """The parameter for rows changed since a moment."""

    name: str
    style: str
    why: str
    sure: bool = True


def walk(call: Call, found: Found, row_id: str) -> Walk:
    """How a list is walked; `single` where the document names no way."""
    parameters = [one for one in call.query() if usable(one.name)]
    places = dict(_places(call, found))
    limit = find(iter(parameters), words("limit"))
    ways = (_by_cursor, _by_next, _by_link, _by_page, _by_offset, _by_key)
    for way in ways:
        walked = way(call, parameters, places, limit, row_id)
        if walked:
            return walked
    ask = "the document names no paging for this list: does one answer hold all rows?"
    return Walk({"kind": "single"}, "no parameter of paging", (ask,))


Places = Mapping[str, Schema]
Given = list[Parameter]


def _places(call: Call, found: Found) -> Iterator[tuple[str, Schema]]:
    """Every value of an answer outside its rows, by path, nearest first."""
    good = call.good
    if good is None or good.schema is None:
        return
    level: list[tuple[str, Schema]] = [("", good.schema)]
    for _ in range(_DEEP):
        after: list[tuple[str, Schema]] = []
        for path, schema in level:
            for name in (
                schema.properties if schema.type in ("object", "") else ()
            ):
                inner, here = (
                    schema.inner(name),
                    f"{path}.{name}" if path else name,
                )
                if inner is None or here == found.select or not placeable(name):
                    continue
                yield here, inner
                after.append((here, inner))
        level = after[:200]


def _place(
    places: Places, wanted: tuple[str, ...], types: tuple[str, ...]
) -> str:
    """The path whose last words are one of these."""
    for word in wanted:
        for path, schema in places.items():
            parts = [key(part) for part in path.split(".")]
            ends = {parts[-1], "".join(parts[-2:]), "".join(parts[-3:])}
            if word in ends and schema.type in types:
                return path
    return ""


def _is_link(schema: Schema) -> bool:
    shown = str(schema.said.get("example", ""))
    stated = re.search(
        r"\b(url|link)\b", schema.text("description"), re.IGNORECASE
    )
    return (
        schema.text("format") in ("uri", "url")
        or shown.startswith(("http", "/"))
        or bool(stated)
    )


def _size(limit: Parameter | None) -> tuple[dict[str, Any], str]:
    """The parameter of the page's size with the largest allowed; nothing where there is none."""
    if limit is None:
        return {}, ""
    stated = _SIZE.search(limit.text)
    for size, why in (
        (limit.schema.count("maximum"), "its maximum"),
        (int(stated[1]) if stated else None, "the maximum in its description"),
        (limit.schema.count("default"), "its default; no maximum is stated"),
    ):
        if size and 0 < size <= 100_000:
            return {"limit": limit.name, "size": size}, f"; size: {why}"
    return {}, ""


def _asked(
    limit: Parameter | None, size: Mapping[str, Any], why: str
) -> tuple[str, ...]:
    if limit is None:
        return ()
    if not size:
        return (
            f"how many rows may {limit.name} ask for? Add limit: {limit.name} and size",
        )
    return (
        (f"is {size['size']} the most that {limit.name} takes?",)
        if "default" in why
        else ()
    )


def _walked(
    kind: Mapping[str, Any], why: str, limit: Parameter | None, *asks: str
) -> Walk:
    size, stated = _size(limit)
    return Walk(
        {**kind, **size},
        f"{why}{stated}",
        (*asks, *_asked(limit, size, stated)),
    )


def _by_cursor(
    call: Call, given: Given, places: Places, limit: Parameter | None, _id: str
) -> Walk | None:
    cursor = find(iter(given), words("cursor"))
    if cursor is None:
        return None
    place = _place(
        places,
        (f"next{key(cursor.name)}", *words("next_token"), key(cursor.name)),
        ("string", "integer", ""),
    )
    if place and not _is_link(places[place]):
        why = f"parameter {cursor.name}, {place} in the answer"
        return _walked(
            {"kind": "cursor", "cursor": cursor.name, "next": place}, why, limit
        )
    headers = call.good.headers if call.good else {}
    header = next(
        (
            name
            for name in headers
            if ("cursor" in name or "next" in name) and usable(name)
        ),
        "",
    )
    if header:
        why = f"parameter {cursor.name}, header {header}"
        return _walked(
            {"kind": "header_cursor", "cursor": cursor.name, "next": header},
            why,
            limit,
        )
    return None


def _by_next(
    _call: Call,
    _given: Given,
    places: Places,
    limit: Parameter | None,
    _id: str,
) -> Walk | None:
    for word in words("next_link"):
        place = _place(places, (word,), ("string", ""))
        if place and (_is_link(places[place]) or "links" in key(place)):
            return _walked(
                {"kind": "next_url", "next": place},
                f"{place} in the answer",
                limit,
            )
    return None


def _by_link(
    call: Call,
    _given: Given,
    _places: Places,
    limit: Parameter | None,
    _id: str,
) -> Walk | None:
    if call.good is None or "link" not in call.good.headers:
        return None
    return _walked({"kind": "link_header"}, "the answer's Link header", limit)


def _by_page(
    _call: Call, given: Given, places: Places, limit: Parameter | None, _id: str
) -> Walk | None:
    page = find(iter(given), words("page"))
    if page is None or page.schema.type not in (
        "integer",
        "number",
        "string",
        "",
    ):
        return None
    zero = (
        0 in (page.schema.count("default"), page.schema.count("minimum"))
        and page.schema.count("default") != 1
    )
    more = _place(places, words("more"), ("boolean",))
    kind = {
        "kind": "page",
        "page": page.name,
        **({"first": False} if zero else {}),
        **({"more": more} if more else {}),
    }
    asks = (
        ()
        if page.schema.count("default") is not None
        or page.schema.count("minimum") is not None
        else ("is the first page 1?",)
    )
    return _walked(kind, f"parameter {page.name}", limit, *asks)


def _by_offset(
    _call: Call, given: Given, places: Places, limit: Parameter | None, _id: str
) -> Walk | None:
    start = find(iter(given), words("offset"))
    if start is None or start.schema.text("format").startswith("date"):
        return None
    more, after = (
        _place(places, words("more"), ("boolean",)),
        _place(places, words("position"), ("integer", "number", "")),
    )
    ends = {
        **({"more": more} if more else {}),
        **({"next": after} if after else {}),
    }
    walked = _walked(
        {"kind": "offset", "start": start.name},
        f"parameter {start.name}",
        limit,
    )
    # The pager wants a size. With 1, and no parameter for it, a list ends with an empty page: a
    # call more, never a row less.
    sized = (
        walked.pager if "size" in walked.pager else {**walked.pager, "size": 1}
    )
    ask = "how many rows does a page hold? 1 is a placeholder: one call more at the end"
    held = () if "size" in walked.pager or limit is not None else (ask,)
    return Walk({**sized, **ends}, walked.why, (*walked.asks, *held))


def _by_key(
    _call: Call,
    given: Given,
    _places: Places,
    limit: Parameter | None,
    row_id: str,
) -> Walk | None:
    after = find(iter(given), words("keyset"))
    if after is None or not row_id or "+" in row_id:
        return None
    ask = f"does {after.name} take the {row_id} of the last row?"
    return _walked(
        {"kind": "keyset", "key": after.name, "next": row_id},
        f"parameter {after.name}",
        limit,
        ask,
    )


def ids(call: Call, resource: str) -> tuple[Parameter, int | None] | None:
    """The parameter that takes a comma list of ids, and the most it takes."""
    called = (
        "ids",
        "id",
        f"{key(singular(resource))}ids",
        "idlist",
        "includeids",
        "filterid",
        "filterids",
    )
    for one in call.query():
        word = key(one.name)
        listed = (
            one.schema.type == "array"
            or re.search(r"comma|list of|array", one.text, re.I)
            or word == "ids"
        )
        if word in called and listed and one.joined and usable(one.name):
            stated = _SIZE.search(one.text)
            most = one.schema.count("maxItems") or (
                int(stated[1]) if stated else None
            )
            return one, most if most and most > 0 else None
    return None


def since(call: Call) -> Since | None:
    """The parameter for rows changed since a moment, and how the moment is written."""
    found = find(
        (one for one in call.query() if usable(one.name)), words("since")
    )
    if found is None:
        return None
    style, sure = _style(found)
    return Since(found.name, style, f"parameter {found.name}", sure)


def _style(parameter: Parameter) -> tuple[str, bool]:
    schema, stated = parameter.schema, parameter.text
    shown, form = (
        f"{stated} {schema.said.get('example', '')}",
        schema.text("format"),
    )
    unix = re.search(r"unix|epoch|seconds\b|\bms\b", stated, re.I)
    if schema.type in ("integer", "number") or (unix and not form):
        return (
            "epoch_ms" if re.search(r"milli|\bms\b", stated, re.I) else "epoch"
        ), bool(unix)
    if form == "date":
        return "date", True
    if (
        form == "date-time"
        or re.search(r"RFC ?3339|ISO[ -]?8601", stated, re.I)
        or re.search(r"\dT\d\d:", shown)
    ):
        return "rfc3339", True
    if re.search(r"Y{4}-MM-DD HH|\d{4}-\d\d-\d\d \d\d:", shown, re.I):
        return "space", True
    if re.search(r"Y{4}-MM-DD|\d{4}-\d\d-\d\d", shown, re.I):
        return "date", True
    return "rfc3339", False
