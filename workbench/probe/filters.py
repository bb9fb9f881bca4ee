"""Whether a list obeys what it is asked for: changed since, newest first, these ids, these
values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import structs

from engine.connector.model import PLACE, Operation, Resource
from engine.connector.pagination import path_of
from engine.errors import RequestRejected, Unavailable
from engine.extract.records import by_change, filtered
from engine.values import dig, segments, word
from workbench.probe.found import (
    Finding,
    Tell,
    confirmed,
    contradicted,
    untried,
)
from workbench.probe.scene import Probe, Row, ids_of

PAST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
# seconds from now to a moment that nothing has been changed since, and that 32 bits hold
AHEAD = 5 * 365 * 86_400


def try_filters(probe: Probe, resource: Resource, tell: Tell) -> None:
    """Everything a list with rows can be asked for."""
    operation = resource.operations["list"]
    if operation.since:
        _obeyed(
            probe,
            resource,
            "since",
            tell,
            lambda: _since(probe, resource, operation),
        )
    if operation.newest_first:
        _obeyed(
            probe,
            resource,
            "newest_first",
            tell,
            lambda: _newest(probe, resource),
        )
    if operation.ids:
        _obeyed(
            probe,
            resource,
            "ids",
            tell,
            lambda: _ids(probe, resource, operation),
        )
    for name in operation.filters:
        _obeyed(
            probe,
            resource,
            "filters",
            tell,
            lambda name=name: _filter(probe, resource, operation, name),
        )


def narrowing(operation: Operation) -> dict[str, Any]:
    """The parameters that every call of a list sends as they are written, which may keep rows
    from it.
    """
    return {
        name: value
        for name, value in operation.params.items()
        if not PLACE.search(str(value))
    }


def try_params(probe: Probe, resource: Resource, tell: Tell) -> None:
    """Whether a list holds more rows without the parameters that it is always asked with."""
    operation, subject = resource.operations["list"], f"list {resource.name}"
    params = narrowing(operation)
    if not params or operation.pager is None:
        return
    found = probe.sample(resource.name)
    before = _total(operation, found.body)
    left = {
        name: value
        for name, value in operation.params.items()
        if name not in params
    }
    other = probe.asking(resource, structs.replace(operation, params=left))
    position = found.fullest[0] if operation.parent and found.pages else None
    try:
        rows = other.pages(resource, position=position)[0].rows
    except (RequestRejected, Unavailable) as error:
        tell(untried(subject, "params", f"it is refused without them: {error}"))
        return
    after = _total(operation, probe.tape.body)
    unseen = (
        set(ids_of(rows, resource)) - set(ids_of(found.rows, resource))
        if found.whole
        else ()
    )
    more = max(len(unseen), after - before)
    named = ", ".join(params)
    if more > 0:
        text = f"without {named} the list has at least {more} rows more, which no run would read"
        advice = "drop what narrows the list, or list the others as a resource"
        tell(_no(probe, resource, "params", text, advice))
    elif found.whole or after:
        tell(
            confirmed(
                subject, "params", f"without {named} there are no more rows"
            )
        )
    else:
        tell(
            untried(
                subject,
                "params",
                f"the list is too long to see whether {named} keeps rows from it",
            )
        )


def _total(operation: Operation, body: Any) -> int:
    """How many rows a list says that it has; 0 where it does not."""
    place = operation.pager.total if operation.pager else ""
    total = word(dig(body, path_of(place))) if place else ""
    return int(total) if total.isdecimal() else 0


def _obeyed(
    probe: Probe, resource: Resource, claim: str, tell: Tell, tried: Any
) -> None:
    """One trial; a filter that is refused is a contradiction too."""
    operation, at = (
        resource.operations["list"],
        probe.declared.call(resource.name, "list", claim),
    )
    try:
        tell(tried())
    except RequestRejected as error:
        advice = f"drop `{claim}`, or correct how it is written"
        tell(
            contradicted(
                f"list {resource.name}",
                claim,
                f"refused: {error}",
                at,
                advice,
                probe.tape.exchange(operation),
            )
        )
    except Unavailable as error:
        tell(untried(f"list {resource.name}", claim, str(error)))


def _asked(
    probe: Probe, resource: Resource, params: Row, newest_first: bool = False
) -> tuple[list[dict[str, Any]], bool]:
    """The first page of a list asked for in some way, and whether that is all; below the fullest
    parent where it has one.
    """
    found = probe.sample(resource.name)
    position = found.fullest[0] if resource.operations["list"].parent else None
    page = probe.pages(resource, params, position, newest_first=newest_first)[0]
    return page.rows, page.last


def _known(probe: Probe, resource: Resource) -> list[dict[str, Any]]:
    """The rows that a first page without a filter has."""
    found = probe.sample(resource.name)
    return (
        found.fullest if resource.operations["list"].parent else found.pages[0]
    )[1].rows


def _no(
    probe: Probe, resource: Resource, claim: str, detail: str, advice: str
) -> Finding:
    at = probe.declared.call(resource.name, "list", claim)
    return contradicted(
        f"list {resource.name}",
        claim,
        detail,
        at,
        advice,
        probe.tape.exchange(resource.operations["list"]),
    )


# -- changed since


def _since(probe: Probe, resource: Resource, operation: Operation) -> Finding:
    """Nothing has been changed since a moment to come, everything since one long ago, and a part
    since one between.
    """
    known, style = (
        _known(probe, resource),
        "see its name, `since_style` and `since_form`",
    )
    later, _ = _asked(
        probe, resource, filtered(operation, probe.client.clock.now() + AHEAD)
    )
    if later:
        text = (
            f"asked for changes since a moment to come, got {len(later)} of"
            f" {len(known)} rows: {operation.since} is not obeyed"
        )
        return _no(probe, resource, "since", text, style)
    every, _ = _asked(probe, resource, filtered(operation, PAST))
    if len(every) < len(known):
        text = f"asked for changes since the year 2000, got {len(every)} of {len(known)} rows"
        return _no(probe, resource, "since", text, style)
    return _between(probe, resource, operation, known) or confirmed(
        f"list {resource.name}",
        "since",
        f"none of {len(known)} rows since a moment to come, all since 2000; whether it is"
        " inclusive does not show",
    )


def _between(
    probe: Probe, resource: Resource, operation: Operation, known: Sequence[Row]
) -> Finding | None:
    """Rows since the stamp of one of them; None where the stamps cannot tell."""
    zone = ZoneInfo(operation.since_zone)
    moments = [instant(row.get(resource.modified), zone) for row in known]
    stamps = {
        one: at
        for one, at in zip(ids_of(known, resource), moments, strict=False)
        if at
    }
    if (
        len(stamps) < len(known)
        or len(set(stamps.values())) < 2
        or operation.since_style == "date"
    ):
        return None
    bound = sorted(set(stamps.values()))[len(set(stamps.values())) // 2]
    rows, _ = _asked(probe, resource, filtered(operation, bound))
    got = set(ids_of(rows, resource)) & set(stamps)
    # What a filter does within the second of its moment depends on fractions that are not sent.
    older = [one for one in got if stamps[one] < int(bound) - 1]
    missing = [
        one
        for one, at in stamps.items()
        if at > int(bound) + 1 and one not in got
    ]
    text = ""
    if older:
        text = f"got {len(older)} rows whose {resource.modified} is older"
    elif missing and probe.sample(resource.name).whole:
        text = f"{len(missing)} rows that are newer by {resource.modified} are not there"
    if text:
        text = f"asked for changes since the stamp of a row, {text}"
        advice = f"see that it goes by {resource.modified}, and its time zone"
        return _no(probe, resource, "since", text, advice)

    exact = [one for one, at in stamps.items() if at == bound == int(bound)]
    bounds = "inclusive" if set(exact) & got else "exclusive"
    if not exact:
        bounds = "whether it is inclusive does not show"
    return confirmed(
        f"list {resource.name}",
        "since",
        f"obeyed in the future, the past and between; {bounds}",
    )


def instant(value: Any, zone: tzinfo = UTC) -> float | None:
    """A stamp in epoch seconds, one that names no zone by the clock of `zone`; None where it is
    none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1000 if value > 1e11 else float(value)
    try:
        moment = (
            datetime.fromisoformat(value) if isinstance(value, str) else None
        )
    except ValueError:
        return None
    if moment is None:
        return None
    return (
        moment if moment.tzinfo else moment.replace(tzinfo=zone)
    ).timestamp()


# -- newest first


def _newest(probe: Probe, resource: Resource) -> Finding:
    """The first page in that order falls by the created or modified field, or by the id."""
    rows, _ = _asked(probe, resource, {}, newest_first=True)
    names = [
        name
        for name in dict.fromkeys(
            [resource.created, resource.modified, resource.id]
        )
        if name
    ]
    columns = {
        name: [_rank(dig(row, segments(name))) for row in rows]
        for name in names
        if "+" not in name
    }
    known = {
        name: [one for one in values if one is not None]
        for name, values in columns.items()
    }
    telling = {
        name: values
        for name, values in known.items()
        if len(values) == len(rows) and len(set(values)) > 1
    }
    if not telling:
        return untried(
            f"list {resource.name}",
            "newest_first",
            "no two rows differ in a stamp or an id",
        )
    falling = [
        name
        for name, values in telling.items()
        if all(a >= b for a, b in pairwise(values))
    ]
    if not falling:
        text = f"the rows do not fall by {' or '.join(telling)}"
        return _no(
            probe,
            resource,
            "newest_first",
            text,
            "name the parameter that sorts, newest first",
        )
    kind = "changes" if by_change(resource) else "creation"
    detail = f"falls by {', '.join(falling)}; taken for an order of {kind}"
    return confirmed(f"list {resource.name}", "newest_first", detail)


def _rank(value: Any) -> float | None:
    """What rows are put in order by: a moment or a number."""
    found = instant(value)
    return (
        float(value)
        if found is None and isinstance(value, str) and value.isdecimal()
        else found
    )


# -- ids and values


def _ids(probe: Probe, resource: Resource, operation: Operation) -> Finding:
    """Two of the rows by their ids: these and no others."""
    field = operation.ids_of
    known = list(dict.fromkeys(_values(probe, resource, field)))
    if len(known) < 2:
        return untried(
            f"list {resource.name}",
            "ids",
            f"it takes two {field or 'ids'} to tell",
        )
    wanted = [known[-1]] if len(known) == 2 else [known[1], known[-1]]
    rows, _ = _asked(probe, resource, {operation.ids: ",".join(wanted)})
    got = (
        Counter(word(row.get(field)) for row in rows)
        if field
        else Counter(ids_of(rows, resource))
    )
    asked = f"asked for {len(wanted)} {field or 'ids'}"
    others = [one for one in got if one not in wanted]
    if others:
        text = (
            f"{asked}, got {len(others)} others: {operation.ids} is not obeyed"
        )
        advice = (
            "name the parameter that takes a comma list of ids, or drop `ids`"
        )
        return _no(probe, resource, "ids", text, advice)
    missing = [one for one in wanted if one not in got]
    if missing:
        text = f"{asked}, {len(missing)} are not there"
        advice = "see that it takes a comma list, or drop `ids`"
        return _no(probe, resource, "ids", text, advice)
    return confirmed(
        f"list {resource.name}", "ids", f"just the {len(wanted)} asked for"
    )


def _values(probe: Probe, resource: Resource, field: str) -> list[str]:
    rows = probe.sample(resource.name).rows
    return (
        [word(row[field]) for row in rows if row.get(field) is not None]
        if field
        else ids_of(rows, resource)
    )


def _filter(
    probe: Probe, resource: Resource, operation: Operation, name: str
) -> Finding:
    """Rows with one value of a field: these and no others."""
    subject, known = f"list {resource.name}", _known(probe, resource)
    values = Counter(
        word(row[name])
        for row in known
        if row.get(name) is not None and not isinstance(row[name], dict | list)
    )
    if not values:
        return untried(subject, "filters", f"{name}: no row has a value")
    value, many = min(values.items(), key=lambda item: item[1])
    if many == len(known):
        return untried(
            subject, "filters", f"{name}: all rows have the same value"
        )
    rows, _ = _asked(probe, resource, {name: value})
    others = [row for row in rows if word(row.get(name)) != value]
    got = ""
    if others:
        got = f"{len(others)} rows with another: it is not obeyed"
    elif len(rows) < many:
        got = f"{len(rows)} of {many} rows that have it"
    if got:
        place = probe.declared.call(resource.name, "list", "filters")
        return contradicted(
            subject,
            "filters",
            f"{name}: asked for one value, got {got}",
            (*place, operation.filters.index(name)),
            f"drop {name} from `filters`",
            probe.tape.exchange(operation),
        )
    return confirmed(
        subject, "filters", f"{name}: just the {len(rows)} that have the value"
    )
