"""Rows of ours that people merged into another one: which row stands for their records now.

Of two rows that are merged a platform removes one, and what referred to it refers to the other. No
platform says so where we read; our own rows do, for those that referred to it are among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec
from msgspec import structs

from engine.connector.titles import first_word
from engine.destination.rows import Row, codec_now
from engine.destination.written import bodies_written
from engine.extract.records import can_look, rows_now
from engine.plan.adopt import is_record
from engine.plan.diff import Symbol
from engine.plan.moves import words_in
from engine.session import Run
from engine.store.links import (
    MERGED,
    Finding,
    Link,
    clear_findings_of,
    is_touched,
    links_of,
    save_findings,
    save_links,
    stream_links,
)
from engine.values import grouped, links_in

FEWEST = 2  # rows that show a merge whatever the two rows are called
MOST = 5  # rows that are read for one that is gone

RowId = tuple[str, str]  # resource and id
Merges = dict[Symbol, tuple[Link, Row]]
NONE: Mapping[Symbol, str] = MappingProxyType({})


class _Pointer(msgspec.Struct, frozen=True):
    """A row that was written to refer, in a field, to the row of a record."""

    link: Link
    target: str
    symbol: Symbol


def follow_merges(
    run: Run, links: Iterable[Link], carriers: Mapping[Symbol, str] = NONE
) -> Merges:
    """Link the records of rows that are gone to the rows that people merged those into; the new
    links, with the rows that they lead to. `carriers` are rows that carry the keys of records.

    A row was merged into the one that carries its record's key, or into the one that all those
    refer to now which were written to refer to it: two rows at least, or one where the names of
    both have a word in common.
    """
    gone = {
        (link.object, link.key): link
        for link in links
        if is_record(run, link.object)
    }
    held = _held(run, gone)
    keyed = {one: row for one, row in carriers.items() if row and one in gone}
    wanted = _agreed(held) | keyed
    places = {name: (gone[name].resource, row) for name, row in wanted.items()}
    there = _rows(run, {place: {} for place in places.values()})

    found: Merges = {}
    for symbol, place in places.items():
        link, row = gone[symbol], there.get(place)
        sure = symbol in keyed or len(held[symbol]) >= FEWEST
        if row is not None and (sure or _are_alike(run, link, row)):
            found[symbol] = _moved(link, place[1]), row
    _keep(run, [link for link, _ in found.values()])
    return found


def _agreed(held: Mapping[Symbol, Sequence[str]]) -> dict[Symbol, str]:
    """The row that all those refer to now which were written to refer to a record."""
    return {
        symbol: rows[0]
        for symbol, rows in held.items()
        if rows[0] and len(set(rows)) == 1
    }


def follow_named(run: Run, symbols: Iterable[Symbol]) -> Merges:
    """The same for those of these records that an earlier run wrote a row of, now gone."""
    return follow_merges(run, gone_among(run, symbols))


def gone_among(
    run: Run, symbols: Iterable[Symbol], merged: bool = False
) -> list[Link]:
    """The links of those of these records that an earlier run wrote a row of, now gone; with
    `merged`, those whose row is known to be merged into another, too.
    """
    with run.store.begin() as connection:
        links = [
            link
            for name, keys in grouped(symbols).items()
            for link in links_of(connection, name, keys).values()
            if link.run < run.id and is_record(run, name)
        ]
    there = _rows_of(run, links)
    return [
        one
        for one in links
        if (one.resource, one.dest_id) not in there
        or (merged and one.origin == MERGED)
    ]


# -- what refers to rows that are gone


def _held(run: Run, gone: Mapping[Symbol, Link]) -> dict[Symbol, list[str]]:
    """What the rows hold now that were written to refer to rows which are gone, by record."""
    pointers = list(_pointers(run, gone)) if gone else []
    there = _rows_of(run, [item.link for item in pointers])
    found: dict[Symbol, list[str]] = {}
    for item in pointers:
        row = there.get((item.link.resource, item.link.dest_id))
        if row is not None:
            codec = codec_now(run, item.link.resource)
            named = [
                row_id
                for target, to, row_id in codec.references(row)
                if (target, to) == (item.target, gone[item.symbol].resource)
            ]
            one = named[0] if len(named) == 1 else ""
            found.setdefault(item.symbol, []).append(one)
    return found


def _pointers(run: Run, gone: Mapping[Symbol, Link]) -> Iterator[_Pointer]:
    many = Counter[Symbol]()
    for mapping in run.spec.active():
        for batch in stream_links(run.store, mapping.name, naming=gone):
            for item in _pointers_of(run, batch, gone):
                many[item.symbol] += 1
                if many[item.symbol] <= MOST:
                    yield item


def _pointers_of(
    run: Run, links: Iterable[Link], gone: Mapping[Symbol, Link]
) -> Iterator[_Pointer]:
    for link in links:
        if link.origin == MERGED:
            continue
        fields = run.resource(link.resource).fields
        for target, value in link.written.items():
            named, kind = links_in(value), fields.get(target)
            refers = kind is not None and (
                kind.kind == "reference" or kind.shape
            )
            # what people were known to have changed says nothing
            theirs = target in link.held or is_touched(link, target)
            is_ours = refers and not theirs
            if len(named) == 1 and named[0] in gone and is_ours:
                yield _Pointer(link, target, named[0])


def _rows_of(run: Run, links: Iterable[Link]) -> dict[RowId, Row]:
    """The rows of links, as far as they are there."""
    by_resource = grouped((link.resource, link) for link in links)
    bodies: dict[RowId, Row] = {}
    for name, some in by_resource.items():
        codec = codec_now(run, name)
        with run.store.begin() as connection:
            written = bodies_written(run, connection, codec, some)
        bodies |= {(name, row_id): body for row_id, body in written.items()}
    return _rows(run, bodies)


def _rows(run: Run, bodies: Mapping[RowId, Row]) -> dict[RowId, Row]:
    found: dict[RowId, Row] = {}
    for name, ids in grouped(bodies).items():
        if can_look(run.resource(name)):
            wanted = {row_id: bodies[name, row_id] for row_id in ids}
            rows = rows_now(run.destination, run.resource(name), wanted)
            found |= {(name, row_id): row for row_id, row in rows.items()}
    return found


def _are_alike(run: Run, link: Link, row: Row) -> bool:
    called = run.resource(link.resource).called
    ours = words_in(first_word(link.written, called))
    return not ours.isdisjoint(words_in(first_word(row, called)))


# -- what is kept


def _moved(link: Link, row_id: str) -> Link:
    """Nothing of what the survivor holds is ours; the first row's id tells what referred to it."""
    return structs.replace(
        link,
        dest_id=row_id,
        origin=MERGED,
        extra={MERGED: link.extra.get(MERGED, link.dest_id)},
        stored={},
        held={},
    )


def merged_text(link: Link) -> str:
    """What is said of a record whose row people merged into another."""
    return f"people merged its row {link.extra[MERGED]} into {link.dest_id}"


def _keep(run: Run, links: Sequence[Link]) -> None:
    """Save the links, and say so once: what was found about the rows before is over."""
    places = [
        (stage, link.object, link.key)
        for link in links
        for stage in (MERGED, "load", "write")
    ]
    with run.store.begin() as connection:
        save_links(connection, links)
        clear_findings_of(connection, places)
        save_findings(connection, [_finding(link) for link in links])


def _finding(link: Link) -> Finding:
    text = (
        f"{merged_text(link)}; what refers to it refers to that row from now on, and what"
        " the source changes of it is no longer written"
    )
    return Finding(link.object, link.key, MERGED, "", "attention", text)
