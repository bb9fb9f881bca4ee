"""Writes in doubt: did a write take effect whose answer never came? Asked of lists, not of a search
index that lags.

Which row a creation in doubt made is asked of the matcher, among the rows changed since that no
link stands for. Links whose row no answer has shown are matched along, for the platform may have
named the wrong row. No mark is left in a text that people read (docs/decisions/0006).
"""

from __future__ import annotations

import math
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)

import msgspec
import sqlalchemy as sa
from msgspec import structs

from engine.connector.model import Resource
from engine.destination.match import (
    RECOGNISE,
    Wanted,
    all_sent,
    by_key,
    by_own_id,
    fields_of,
    match,
    nearly,
    rows_beside,
    told_apart,
)
from engine.destination.natural_key import defining, wanted_of_entry
from engine.destination.rows import Row, RowCodec, codec_now
from engine.destination.written import bodies_written
from engine.extract.records import (
    LAG,
    can_look,
    recent,
    rows_below,
    rows_now,
)
from engine.load.files import drop_file, kept_file, never_left
from engine.load.identity import STAMPED, age_at
from engine.load.outcomes import (
    ACCEPTED,
    close,
    link_after,
    report_held,
)
from engine.load.summaries import Summaries
from engine.load.writes import Answer, Outcome, Write
from engine.plan.doubt import ASTRAY, NEAR, ONCE_MORE, is_in_doubt
from engine.plan.merges import gone_among
from engine.session import Run
from engine.store.journal import (
    OPEN,
    Entry,
    Settled,
    creations,
    entries,
    failed_creations,
    last_settled,
    made_since,
    mark,
    settle,
)
from engine.store.links import (
    MERGED,
    Link,
    clear_findings,
    drop_link,
    link_of,
    links_to_rows,
    save_link,
    unconfirmed_links,
)
from engine.store.records import many
from engine.store.tables import recall_in
from engine.values import grouped, is_empty, leaves, links_in, without

MARGIN = 600.0  # seconds our clock and the platform's may differ
FEW = 3  # rows that a reason names
# waits for a list that lags, in times of what the connector says
LAGS = (1, 2, 4)
BY_HAND = (
    "if it is, give it the record's values, or remove it, and run again; if it is not,"
    f" {ONCE_MORE}"
)

# entry id -> the row as it is now; {} where it is gone
Committed = dict[int, Row]
Held = dict[int, str]  # entry id -> why the creation is not sent again


class Reconciled(msgspec.Struct):
    """What became of the writes in doubt, by their entries in the journal."""

    committed: Committed = {}
    not_committed: set[int] = set()
    held: Held = {}

    def counts(self) -> dict[str, int]:
        """How many took effect and how many did not."""
        return {
            "committed": len(self.committed),
            "not committed": len(self.not_committed),
        }


def reconcile(run: Run) -> Reconciled:
    """Find out about every write whose outcome is not known, and record it.

    Whoever looks at the destination afterwards finds in its lists what was written last.
    """
    with run.store.begin() as connection:
        doubtful = entries(connection, OPEN)
        # people may have mended or removed the row that was in the way
        doubtful += failed_creations(connection, NEAR)
        ago = run.clock.now() - last_settled(connection)

    result = Reconciled()
    lag = run.destination.connector.connection.reconcile_after
    if not doubtful:
        if 0 <= ago < lag:
            run.clock.sleep(lag - ago)
        return result

    run.clock.sleep(lag)
    groups = grouped(
        ((entry.resource, entry.action), entry) for entry in doubtful
    )

    label = "reconciling writes in doubt"
    for (name, action), group in run.each(label, groups.items()):
        look = _looking(run, name)
        held: Held = {}
        if action == "create":
            committed, held = _created_late(look, group)
        else:
            committed = _LOOKERS[action](look, group)
        for entry in group:
            _record(
                look, entry, committed.get(entry.id), held.get(entry.id, "")
            )
        result.committed |= committed
        result.held |= held
        known = committed.keys() | held.keys()
        result.not_committed |= {entry.id for entry in group} - known
    return result


class _Look(msgspec.Struct, frozen=True):
    """A look at the rows of one resource."""

    run: Run
    codec: RowCodec
    summaries: Summaries
    is_last: bool = False  # a list that lags is not waited for any more

    @property
    def resource(self) -> Resource:
        return self.codec.resource

    def live(self, group: Iterable[Entry]) -> Mapping[str, Row]:
        """The rows these entries are about, by id."""
        return live_rows(self.run, self.resource.name, group)


def _looking(run: Run, name: str) -> _Look:
    codec = codec_now(run, name)
    return _Look(run, codec, Summaries(run, codec))


def live_rows(run: Run, name: str, found: Iterable[Entry]) -> Mapping[str, Row]:
    """The rows that entries are about as they are now, by id."""
    resource = run.resource(name)
    return rows_now(
        run.destination,
        resource,
        {entry.dest_id: entry.body for entry in found},
    )


# -- what is recorded


def _record(look: _Look, entry: Entry, row: Row | None, held: str) -> None:
    """The outcome and the link that an answer would have left; `held` is why it fails."""
    write = _as_write(entry)
    outcome = Outcome(write, "done", extra=kept_file(look.run, write))
    with look.run.store.begin() as connection:
        if (
            row is None
            and entry.run == look.run.id
            and entry.reason.startswith(ACCEPTED)
        ):
            return
        if row is None and held:
            close(look.run, connection, write, "failed", held)
        elif row is None:
            why, now = "it had not happened", look.run.clock.now()
            mark(connection, entry.id, "void", why, now)
        else:
            _commit(
                look,
                connection,
                entry,
                structs.replace(outcome, answer=Answer(row, shown=bool(row))),
            )
    drop_file(look.run, write)


def _as_write(entry: Entry) -> Write:
    return Write(
        entry.object,
        entry.key,
        entry.resource,
        entry.action,  # type: ignore[arg-type]
        entry.body,
        entry.draft,
        entry=entry.id,
    )


def _commit(
    look: _Look, connection: sa.Connection, entry: Entry, outcome: Outcome
) -> None:
    row = outcome.answer.row
    cost = look.resource.operations[entry.action].cost  # type: ignore[index]
    row_id = look.resource.id_of(row) or entry.dest_id
    uncounted = not entry.calls
    settle(
        connection,
        [
            Settled(
                entry.id,
                "done",
                look.run.clock.now(),
                dest_id=row_id,
                reason="found after an unknown outcome",
                calls=1 if uncounted else 0,
                cost=cost if uncounted else 0,
            )
        ],
    )

    clear_findings(connection, "write", entry.object, [entry.key])
    link = link_of(connection, entry.object, entry.key)
    if entry.action == "delete":
        drop_link(connection, entry.object, entry.key, entry.dest_id)
    elif entry.action == "create":
        made = link_after(
            look.run, structs.replace(outcome, dest_id=row_id), look.codec
        )
        if any(held.get("why") == "altered" for held in made.held.values()):
            # The answer was never seen: whoever made something else of a value may be people, and
            # what people have edited no rollback takes away.
            made = structs.replace(made, extra=made.extra | {"touched": True})
        save_link(connection, structs.replace(made, run=entry.run))
        report_held(connection, made)
    elif entry.action == "update" and link and entry.draft:
        _commit_update(look, connection, link, outcome)


def _commit_update(
    look: _Look, connection: sa.Connection, link: Link, outcome: Outcome
) -> None:
    write = structs.replace(
        outcome.write,
        dest_id=link.dest_id,
        origin=link.origin,
        extra=link.extra,
        stored=link.stored,
        held=link.held,
    )
    made = link_after(
        look.run, structs.replace(outcome, write=write), look.codec
    )
    save_link(connection, structs.replace(made, run=link.run))


# -- deletions, updates, options


def _deleted(look: _Look, group: Sequence[Entry]) -> Committed:
    live = look.live(group)
    return {entry.id: {} for entry in group if entry.dest_id not in live}


def _updated(look: _Look, group: Sequence[Entry]) -> Committed:
    """An update took effect where a field holds what was sent and no longer what was before.

    One that restores has no before-image of its own: whether it took effect, rollback sees itself.
    """
    live = look.live([entry for entry in group if entry.before])
    found = {}
    for entry in group:
        row = live.get(entry.dest_id)
        if row and any(
            _took_effect(look.codec, entry, row, target)
            for target in entry.before
        ):
            found[entry.id] = row
    return found


def _took_effect(codec: RowCodec, entry: Entry, row: Row, target: str) -> bool:
    sent, live = codec.get(entry.body, target), codec.get(row, target)
    before = entry.before[target]
    return codec.alike(target, sent, live) and not codec.equal(
        target, before, live
    )


def _options_there(look: _Look, group: Sequence[Entry]) -> Committed:
    """Options were added where the definition has them all: an intent names only new ones."""
    key = defining(look.run.migration.destination, look.resource).option_label
    return _by_options(look, group, key, lambda wanted, there: wanted <= there)


def _options_gone(look: _Look, group: Sequence[Entry]) -> Committed:
    key = defining(look.run.migration.destination, look.resource).option_id
    return _by_options(
        look, group, key, lambda wanted, there: not wanted & there
    )


def _by_options(
    look: _Look,
    group: Sequence[Entry],
    key: str,
    done: Callable[[set[str], set[str]], bool],
) -> Committed:
    """Entries whose definitions show that the call was executed, by this key of their options."""
    live, found = look.live(group), {}
    options = defining(look.run.migration.destination, look.resource).options
    for entry in group:
        row = live.get(entry.dest_id, {})
        wanted = {str(option.get(key)) for option in entry.body[""]}
        if done(
            wanted, {str(option.get(key)) for option in row.get(options) or []}
        ):
            found[entry.id] = row
    return found


# -- creations


class _Lagging(Exception):
    """A list does not show yet what else was made lately."""


def _created_late(
    look: _Look, group: Sequence[Entry]
) -> tuple[Committed, Held]:
    """The same as `_created`, looked at until the list is no longer behind, or for long enough."""
    lag = look.run.destination.connector.connection.reconcile_after
    for times in LAGS:
        try:
            return _created(look, group)
        except _Lagging:
            look.run.clock.sleep(lag * times)
            look = _looking(look.run, look.resource.name)
    return _created(structs.replace(look, is_last=True), group)


def _created(look: _Look, group: Sequence[Entry]) -> tuple[Committed, Held]:
    """Match the rows that appeared since with the creations in doubt; a creation that may have
    made a row, though none shows it, is held.
    """
    waiting = [
        entry for entry in group if not never_left(look.run, _as_write(entry))
    ]
    key = _key_target(look)
    if key and waiting:
        found, near = _by_key(look, waiting, key)
    else:
        found, near = _by_values(look, waiting)

    lost = [entry for entry in group if entry.id not in found]
    untold = {
        entry.id: entry.reason
        for entry in lost
        if is_in_doubt(entry.reason) and NEAR not in entry.reason
    }
    astray = dict.fromkeys(_astray(look, lost), ASTRAY)
    return found, near | untold | astray


def _by_values(look: _Look, group: Sequence[Entry]) -> tuple[Committed, Held]:
    id_of = look.resource.id_of
    own = [entry for entry in group if id_of(entry.body)]
    rest = [entry for entry in group if not id_of(entry.body)]
    found, near = _by_content(look, rest)
    return _by_own_id(look, own) | found, near


def _key_target(look: _Look) -> str:
    """The custom field that carries our key, where it is known in the account."""
    fields = look.run.spec.custom_fields.values()
    name = next(
        (
            item.name
            for item in fields
            if item.resource == look.resource.name and item.key
        ),
        "",
    )
    target = f"custom.{name}"
    return target if name and look.codec.code(target) else ""


def _by_key(
    look: _Look, group: Sequence[Entry], key: str
) -> tuple[Committed, Held]:
    """The rows that carry our key, and why others are held: a new row without one shows what was
    sent.
    """
    codec, since = look.codec, min(entry.at for entry in group) - MARGIN
    waiting = {str(codec.get(entry.body, key)): entry.id for entry in group}
    told = [
        structs.replace(
            one,
            values={**one.values, key: codec.get(entry.body, key)},
            fields=(key, *one.fields),
        )
        for entry, one in zip(group, _telling(look, group), strict=True)
    ]
    found: Committed = {}
    bare: list[Row] = []
    for page in _rows_since(look, group):
        rows = look.summaries.completed(told, _unlinked(look, page))
        keyed = by_key(codec, key, rows)
        for value in keyed.keys() & waiting.keys():
            found.setdefault(waiting[value], keyed[value])
        if len(found) == len(group):
            return found, {}
        # `_near` looks at each one's age: this is to keep no table of people's in memory
        bare += [
            row
            for row in _of_nobody(look, key, rows)
            if not age_at(codec, group[0].body, row, since)
        ]

    lost = [
        structs.replace(entry, draft=without(entry.draft, (key,)))
        for entry in group
        if entry.id not in found
    ]
    telling = {one.key: one for one in _telling(look, lost)}
    return found, _near(look, telling, lost, bare)


def _by_own_id(look: _Look, group: Sequence[Entry]) -> Committed:
    """The rows at the ids we gave."""
    if not group:
        return {}
    bodies = {look.resource.id_of(entry.body): entry.body for entry in group}
    live = rows_now(look.run.destination, look.resource, bodies)
    wanted = {}
    for entry in group:
        row_id = look.resource.id_of(entry.body)
        wanted[row_id] = _wanted(look, entry, live.get(row_id, {}))
    found = by_own_id(look.codec, wanted, live)
    return {int(key): row for key, row in found.items()}


def _wanted(look: _Look, entry: Entry, row: Row) -> Wanted:
    """What an entry sent; where the connector does not say what tells rows apart, all it shows."""
    wanted = wanted_of_entry(
        entry, look.run.migration.destination, look.codec, look.run.files
    )
    if wanted.filled:
        return wanted
    names = tuple(name for name in entry.body if name in row)
    return Wanted(
        str(entry.id),
        {name: look.codec.get(entry.body, name) for name in names},
        names,
    )


def _by_content(look: _Look, group: Sequence[Entry]) -> tuple[Committed, Held]:
    """The rows that hold what was sent, and why others are held: a row shows some of it.

    A row whose own record is found in no other was written over: it goes on standing for that one.
    """
    if not group:
        return {}, {}
    with look.run.store.begin() as connection:
        since = min(entry.at for entry in group) - MARGIN
        unsure = unconfirmed_links(connection, look.resource.name, since)
        made = _creations_of(connection, unsure)

    named = {link.dest_id for link in unsure}
    wanted, rows = _candidates(look, [*made, *group], named)
    found = _rows_of(look, [*made, *group], wanted, rows)
    _relink(look, made, found)
    kept = {entry.dest_id for entry in made if str(entry.id) not in found}
    id_of = look.resource.id_of
    committed = {
        entry.id: found[str(entry.id)]
        for entry in group
        if str(entry.id) in found and id_of(found[str(entry.id)]) not in kept
    }
    taken = kept | set(map(id_of, found.values()))
    free = [row for row in rows if id_of(row) not in taken]
    lost = [entry for entry in group if str(entry.id) not in found]
    telling = {one.key: one for one in wanted}
    return committed, _near(look, telling, lost, free)


def _candidates(
    look: _Look, sent: Sequence[Entry], named: Collection[str]
) -> tuple[list[Wanted], list[Row]]:
    """What creations sent, and the rows among which theirs must be."""
    wanted = _telling(look, sent)
    rows: list[Row] = []
    for page in _rows_since(look, sent):
        free = _unlinked(look, page, named)
        free = look.summaries.completed(wanted, free)
        rows += rows_beside(look.codec, wanted, free)
    return wanted, rows


def _of_nobody(look: _Look, key: str, rows: Sequence[Row]) -> list[Row]:
    """The rows that carry no key of a record: the platform may have altered or dropped it."""
    keys = [str(look.codec.get(row, key)) for row in rows]
    with look.run.store.begin() as connection:
        known = many(connection, keys, gone=True)
    return [
        row for row, one in zip(rows, keys, strict=True) if one not in known
    ]


def _telling(look: _Look, sent: Sequence[Entry]) -> list[Wanted]:
    """What tells the rows of creations apart."""
    connector, files = look.run.migration.destination, look.run.files
    return [
        wanted_of_entry(entry, connector, look.codec, files) for entry in sent
    ]


def check_unconfirmed(run: Run, name: str) -> None:
    """Correct the links of a resource whose rows are not there and that nothing has shown: an
    answer may name a job, or write an id in another form than lists do.
    """
    resource = run.resource(name)
    with run.store.begin() as connection:
        links = unconfirmed_links(connection, name, 0.0)
    if not links or not can_look(resource):
        return
    look = _looking(run, name)
    with run.store.begin() as connection:
        bodies = bodies_written(run, connection, look.codec, links)
    live = rows_now(run.destination, resource, bodies)
    with run.store.begin() as connection:
        gone = [link for link in links if link.dest_id not in live]
        made = _creations_of(connection, gone)
    if made:
        wanted, rows = _candidates(look, made, ())
        begun = min(entry.at for entry in made) - MARGIN
        rows = [row for row in rows if not age_at(look.codec, {}, row, begun)]
        _relink(look, made, _rows_of(look, made, wanted, rows), is_ours=False)


def _near(
    look: _Look,
    telling: Mapping[str, Wanted],
    lost: Sequence[Entry],
    rows: Sequence[Row],
) -> Held:
    """Why creations are held of which a row that is nobody's may be the one they made."""
    held, unread = {}, look.summaries.unread
    for entry in lost if rows or unread else ():
        one = telling[str(entry.id)]
        whole = all_sent(one.key, entry.body, entry.draft, look.codec)
        since = entry.at - MARGIN
        ids = [
            look.resource.id_of(row)
            for row in rows
            if not age_at(look.codec, entry.body, row, since)
            and nearly(one, whole, row, look.codec)
        ]
        ids += map(look.resource.id_of, () if ids else unread)
        if ids:
            shown = ", ".join(ids[:FEW]) + (" …" if ids[FEW:] else "")
            held[entry.id] = f"{NEAR}: {shown}; {BY_HAND}"
    return held


def _rows_of(
    look: _Look,
    found: Sequence[Entry],
    wanted: Sequence[Wanted],
    rows: Sequence[Row],
) -> dict[str, Row]:
    """The rows of creations: by all that was sent, then by what tells rows apart."""
    sent = [all_sent(str(e.id), e.body, e.draft, look.codec) for e in found]
    sure = told_apart(look.codec, sent, rows, fields_of(sent))
    taken = set(map(id, sure.values()))
    free = [row for row in rows if id(row) not in taken]
    rest = [one for one in wanted if one.key not in sure]
    return sure | match(look.codec, rest, free, RECOGNISE)


def _astray(look: _Look, lost: Sequence[Entry]) -> set[int]:
    """Creations of earlier runs that were sent with the id of a row of ours which is gone: theirs
    may name others by now, and they are not made again where no row shows them.
    """
    run = look.run
    named = {
        entry.id: (entry, set(links_in(entry.draft)))
        for entry in lost
        if entry.run < run.id and not never_left(run, _as_write(entry))
    }
    symbols = set().union(*(some for _, some in named.values()))
    gone = {
        (link.object, link.key): run.resource(link.resource).reference_to(
            link.extra.get(MERGED, link.dest_id)
        )
        for link in gone_among(run, symbols, merged=True)
    }
    return {
        found
        for found, (entry, some) in named.items()
        if {gone[one] for one in some & gone.keys()}
        & {str(value) for _, value in leaves(entry.body)}
    }


def _creations_of(
    connection: sa.Connection, links: Iterable[Link]
) -> list[Entry]:
    """The entries that made the rows of links whose row no answer has shown."""
    found = []
    for link in links:
        made = creations(connection, link.object, [link.key])
        found += [
            entry
            for place, entry in made.items()
            if place == (link.key, link.dest_id)
        ]
    return found


def _relink(
    look: _Look,
    made: Sequence[Entry],
    found: Mapping[str, Row],
    is_ours: bool = True,
) -> None:
    """Correct links to rows that turn out to be another record's; where a row may as well be one
    that people made alike, no rollback takes it away.
    """
    for entry in made:
        row = found.get(str(entry.id))
        row_id = look.resource.id_of(row) if row else entry.dest_id
        with look.run.store.begin() as connection:
            link = link_of(connection, entry.object, entry.key)
            if row is None or link is None:
                continue
            if row_id != entry.dest_id:
                now = look.run.clock.now()
                settle(
                    connection,
                    [
                        Settled(
                            entry.id,
                            "done",
                            now,
                            dest_id=row_id,
                            reason="found by content",
                        )
                    ],
                )
            extra = without(link.extra, ("touched",))  # said of another row
            extra["seen"] = look.codec.fingerprint(row)
            made_at = entry.at - MARGIN
            fresh = age_at(look.codec, entry.body, row, made_at) == 0.0
            if not (is_ours or fresh):
                extra["touched"] = True
            save_link(
                connection,
                structs.replace(link, dest_id=row_id, extra=extra),
            )


def _unlinked(
    look: _Look, rows: Sequence[Row], unsure: Collection[str] = ()
) -> list[Row]:
    """Rows that stand for no record, or whose link nothing has confirmed."""
    ids = [look.resource.id_of(row) for row in rows]
    with look.run.store.begin() as connection:
        linked = links_to_rows(connection, look.resource.name, ids)
    return [
        row
        for row, row_id in zip(rows, ids, strict=True)
        if row_id in unsure or row_id not in linked
    ]


def _rows_since(look: _Look, group: Sequence[Entry]) -> Iterator[Sequence[Row]]:
    """Rows among which the doubtful ones must be, if they are there, page by page."""
    operation = look.resource.operations["list"]
    above = operation.ids_of or (
        operation.parent_id if operation.parent else ""
    )
    if above:
        parents = {str(look.codec.get(entry.body, above)) for entry in group}
        named = sorted(
            parent
            for parent in parents
            if not is_empty(parent) and parent != "None"
        )
        yield from rows_below(look.run.destination, look.resource, named)
    else:
        since = min(entry.at for entry in group) - MARGIN - _lag(look)
        yield from _recent(look, since)


def _recent(look: _Look, since: float) -> Iterator[Sequence[Row]]:
    """The rows made since a moment; all, where what is asked for that shows none of those that are
    known: there are platforms that stamp a row once it is changed.

    Raises _Lagging at the end, where the list does not show yet what was made lately.
    """
    client, resource = look.run.destination, look.resource
    is_asked = resource.listing.since or resource.listing.newest_first
    with look.run.store.begin() as connection:
        fresh = made_since(connection, resource.name, since)
    unseen, shown = set(fresh), set[str]()
    for rows in recent(client, resource, since, proof=True):
        yield rows
        ids = set(map(resource.id_of, rows))
        unseen -= ids
        shown |= ids if is_asked else set()

    if is_asked and len(unseen) == len(fresh):
        for rows in recent(client, resource, math.inf, proof=True):
            unseen -= set(map(resource.id_of, rows))
            yield [row for row in rows if resource.id_of(row) not in shown]
    if not look.is_last and _lags(
        look, [one for one in fresh if one in unseen]
    ):
        raise _Lagging


def _lags(look: _Look, unseen: Sequence[str]) -> bool:
    """Whether a list is behind: rows of ours that it does not show can be read."""
    resource, latest = look.resource, unseen[:FEW]
    if not latest or not can_look(resource):
        return False
    bodies: dict[str, Row] = {row_id: {} for row_id in latest}
    there = rows_now(look.run.destination, resource, bodies)
    return any(not row.get(resource.deleted) for row in there.values())


def _lag(look: _Look) -> float:
    """Seconds that fresh rows may look older than they are: by wall time in the west they do."""
    with look.run.store.begin() as connection:
        return (
            0.0 if recall_in(connection, STAMPED + look.resource.name) else LAG
        )


_LOOKERS: Mapping[str, Callable[[_Look, Sequence[Entry]], Committed]] = {
    "update": _updated,
    "delete": _deleted,
    "add_options": _options_there,
    "remove_options": _options_gone,
}
