"""Look before anything is written: both accounts, people, unmapped collections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import structs

from engine.connector.model import Users
from engine.connector.titles import at_place, first_word
from engine.errors import RequestRejected, UnsafePlan
from engine.language.dependencies import by_source, needed
from engine.session import Run
from engine.store.links import (
    Finding,
    Link,
    clear_findings,
    drop_link,
    links_of,
    save_findings,
    save_link,
)
from engine.store.records import (
    all_counts,
    count,
    not_taken,
    save_count,
    stream,
)
from engine.values import Row, dig, folded, grouped, is_yes, segments

STANDS_IN = "the fallback owner stands in"

PersonState = Literal["matched", "unmatched", "ambiguous", "inactive"]


class Person(msgspec.Struct, frozen=True):
    """One person of the source and what became of the search for them."""

    key: str
    name: str
    email: str
    state: PersonState
    user: str = ""


class Unmapped(msgspec.Struct, frozen=True):
    """A collection the spec does not migrate, or rows of one it does that no object takes."""

    collection: str
    rows: int
    reason: str
    read_for_links: bool = False
    not_taken: bool = False


class Audit(msgspec.Struct, frozen=True):
    """What an audit found."""

    people: tuple[Person, ...] = ()
    fallback: str = ""
    unmapped: tuple[Unmapped, ...] = ()


def match_people(run: Run) -> Audit:
    """Find every person of the source among the destination's users by e-mail, ignoring case;
    whose e-mail no user has, or several, by name where the spec says so.

    Raises UnsafePlan where the fallback owner is not an active user: records would have no owner.
    """
    match, rules = run.spec.users, run.migration.destination.users
    if match is None or rules is None:
        return Audit()
    users = list(run.destination.rows(rules.resource))
    by_email = grouped(
        (_text(user, rules.email).casefold(), user) for user in users
    )
    fallback = [
        user
        for user in by_email.get(match.fallback.strip().casefold(), [])
        if _active(user, rules)
    ]
    if not fallback:
        raise UnsafePlan(
            f"the fallback owner {match.fallback!r} is not an active user of"
            f" {run.migration.destination.title} – set FALLBACK_OWNER_EMAIL (or"
            " users.fallback in the spec) to somebody who is"
        )
    place, people = segments(match.source_email), []
    for batch in stream(run.store, match.source):
        for record in batch:
            email = str(dig(record.body, place) or "").strip()
            found = by_email.get(email.casefold(), []) if email else []
            state, user_id = _match(run, found, rules)
            name = _name(run, match.source, record.body)
            people.append(Person(record.key, name, email, state, user_id))
    if match.by_name:
        people = _by_name(run, people, users, rules)
    _save(run, people, _user_id(run, fallback[0], rules), rules)
    owner = f"{_joined(fallback[0], rules.name)} <{match.fallback}>".strip()
    return Audit(tuple(people), owner)


def _by_name(
    run: Run,
    people: list[Person],
    users: Sequence[Row],
    rules: Users,
) -> list[Person]:
    """The people; those whose e-mail no user has, or several, found by a name that nobody else
    has.
    """
    owners = grouped((_bare(_joined(user, rules.name)), user) for user in users)
    alike = grouped((_bare(one.name), one) for one in people)
    found = []
    for one in people:
        name = _bare(one.name)
        unclear = one.state in ("unmatched", "ambiguous")
        if unclear and name and len(alike[name]) == 1:
            state, user = _match(run, owners.get(name, []), rules)
            if user:
                one = structs.replace(one, state=state, user=user)
        found.append(one)
    return found


def _bare(name: str) -> str:
    """A name as names are compared: capitals, accents and the number of blanks do not count."""
    return " ".join(str(folded(name, ("case", "accents"))).split())


def _match(
    run: Run, found: Sequence[Row], rules: Users
) -> tuple[PersonState, str]:
    """What the users with a person's e-mail make of the search, and the id of the one that was
    found.
    """
    active = [user for user in found if _active(user, rules)]
    if len(active) == 1:
        return "matched", _user_id(run, active[0], rules)
    if active:
        return "ambiguous", ""
    return ("inactive" if found else "unmatched"), ""


def _user_id(run: Run, user: Row, rules: Users) -> str:
    """What rows of the destination hold to name a user. Raises UnsafePlan where the user has no
    id.
    """
    resource = run.resource(rules.resource)
    found = resource.reference_id_of(user)
    if not found:
        title = run.migration.destination.title
        raise UnsafePlan(
            f"a user of {title} has no {resource.id} – check `id` of {rules.resource} in"
            " the connector"
        )
    return found


def _name(run: Run, collection: str, body: Row) -> str:
    """A person's name: where the source's connector says, else what any row of the collection is
    called by.
    """
    users = run.migration.source.users
    if users and users.resource == collection:
        name = _joined(body, users.name)
        if name:
            return name
    return first_word(body, run.collection(collection).called)


def _joined(row: Row, places: Iterable[str]) -> str:
    return " ".join(filter(None, (_text(row, place) for place in places)))


def _active(user: Row, rules: Users) -> bool:
    return not rules.active or is_yes(at_place(user, rules.active))


def _text(row: Row, place: str) -> str:
    return str(at_place(row, place) or "").strip()


def _save(run: Run, people: list[Person], fallback: str, rules: Users) -> None:
    now = run.clock.now()

    def linked(key: str, user: str) -> Link:
        return Link(
            "users", key, rules.resource, user, "", {}, "matched", run.id, now
        )

    with run.store.begin() as connection:
        clear_findings(connection, "audit", "users")
        for key in links_of(connection, "users"):
            drop_link(connection, "users", key)
        save_link(connection, linked("$fallback", fallback))
        for person in people:
            if person.state == "matched":
                save_link(connection, linked(person.key, person.user))
        save_findings(
            connection,
            [_unmatched(one) for one in people if one.state != "matched"],
        )


def _unmatched(person: Person) -> Finding:
    who = f"{person.name} <{person.email or 'no e-mail'}>"
    text = f"{person.state}: {who}; {STANDS_IN}"
    return Finding("users", person.key, "audit", "", "note", text)


def unmapped_collections(run: Run) -> list[Unmapped]:
    """Every collection of the source that becomes no record of the destination, with its row
    count.
    """
    mapped = set(by_source(run.spec.active()))
    if run.spec.users:
        mapped.add(run.spec.users.source)
    reads = needed(run.spec)
    with run.store.begin() as connection:
        known = all_counts(connection)
    found = []
    rest = [
        name for name in run.migration.source.resources if name not in mapped
    ]
    for name in run.each("counting unmapped collections", rest):
        rows = _rows(run, name, name in reads, known.get(name))
        unsaid = "read for links; no reason given" if name in reads else ""
        reason = run.spec.left_behind.get(name, "") or unsaid
        found.append(Unmapped(name, rows, reason, name in reads))
    return found


def taken_by_none(run: Run) -> list[Unmapped]:
    """The mapped collections of which some records make nothing: no object's conditions take
    them.
    """
    found = []
    with run.store.begin() as connection:
        for name, mappings in by_source(run.spec.active()).items():
            if name.startswith("$"):
                continue
            some = [mapping.name for mapping in mappings]
            rows, first = not_taken(connection, name, some)
            if rows:
                reason = (
                    f"{', '.join(some)} do not take them, by a condition or a mark, such as"
                    f" {', '.join(first)}"
                )
                found.append(Unmapped(name, rows, reason, not_taken=True))
    return found


def _rows(run: Run, name: str, staged: bool, known: int | None) -> int:
    """Row count from the store where it is known; -1 where the key may not look."""
    if staged:
        with run.store.begin() as connection:
            return count(connection, name)
    if known is not None:
        return known
    try:
        rows = count_rows(run, name)
    except RequestRejected as error:
        run.notice(f"{name} cannot be counted: {error}")
        rows = -1
    with run.store.begin() as connection:
        save_count(connection, name, rows)
    return rows


def count_rows(run: Run, collection: str) -> int:
    """How many rows a collection has, without reading all of it: its last page is found by
    doubling and halving.
    """
    walk = run.source.pages(collection, doubts=True)
    first = next(walk)
    if first.last:
        return len(first.rows)
    operation = run.collection(collection).listing
    size = len(first.rows)
    if (
        operation.pager is None
        or operation.pager.kind != "offset"
        or operation.parent
    ):
        return size + sum(len(page.rows) for page in walk)
    full, other = 0, 1  # the last page known to be full, and one behind it
    while (rows := _rows_of_page(run, collection, other, size)) == size:
        full, other = other, other * 2
    while not rows and other > full + 1:
        middle = (full + other) // 2
        found = _rows_of_page(run, collection, middle, size)
        if found == size:
            full = middle
        else:
            other, rows = middle, found
    return other * size + rows


def _rows_of_page(run: Run, collection: str, number: int, size: int) -> int:
    pager = run.collection(collection).listing.pager
    assert pager is not None
    params = {pager.params["start"]: number * size}
    if "limit" in pager.params:
        params[pager.params["limit"]] = size
    return len(next(run.source.pages(collection, params, doubts=True)).rows)
