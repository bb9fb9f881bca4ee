"""Proposals as lines of a spec: what a person wrote is kept, what is uncertain commented out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.connector.model import Connector
from engine.language.model import Each, Path
from engine.values import segments
from workbench.propose.draft import Drafted
from workbench.propose.pair import Pair
from workbench.propose.profile import Rows, columns
from workbench.propose.scene import HIGH, LOW, Outline, Proposal
from workbench.propose.words import has, slug
from workbench.writing import Insertion, written

FALLBACK = "${FALLBACK_OWNER_EMAIL:-owner@example.com}"
_WORD = re.compile(r"[a-z_][a-z0-9_]*")


def outlines_of(data: Mapping[str, Any]) -> list[Outline]:
    """The objects a person has begun."""
    found = []
    for name, item in (data.get("objects") or {}).items():
        sources = item.get("from")
        if not sources or "to" not in item:
            continue
        each = item.get("each")
        found.append(
            Outline(
                name,
                (sources,) if isinstance(sources, str) else tuple(sources),
                item["to"],
                (
                    Each(
                        each["name"],
                        Path(each["path"], segments(each["path"])),
                        each["key"],
                    )
                    if each
                    else None
                ),
                {
                    alias: row["by"]
                    for alias, row in (item.get("related") or {}).items()
                },
                frozenset(_mentioned(item)),
                bool(item.get("fields")),
            )
        )
    return found


def _mentioned(item: Mapping[str, Any]) -> Iterator[str]:
    """Source paths that an object's fields read, its templates name, or it ignores."""
    yield from (item.get("ignore") or {})
    yield from (row["by"] for row in (item.get("related") or {}).values())
    pending: list[Any] = [item.get("fields") or {}, item.get("when") or {}]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending += [*value.values(), *value]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str):
            yield value
            if "{{" in value or "{%" in value:
                yield from (
                    word.replace("_", "-") for word in _WORD.findall(value)
                )
                yield from _WORD.findall(value)


def insertions(
    data: Mapping[str, Any],
    made: Sequence[Pair],
    drafted: Sequence[Drafted],
    *,
    source: Connector,
    rows: Rows,
    people: tuple[str, str],
) -> list[Insertion]:
    """Everything to add to a spec, in the order a reader meets it."""
    wanted = list(_objects(data, made, drafted))
    live = [item for item in wanted if item.live]
    return [
        *settings_of(data, live, source, rows),
        *_users(data, people),
        *wanted,
        *_rest(made, live, source),
    ]


def _rest(
    made: Sequence[Pair], live: Sequence[Insertion], source: Connector
) -> Iterator[Insertion]:
    """Collections that become nothing: a person says why."""
    text = " ".join(written(item.value) for item in live)
    mentioned = set(re.findall(r"[^\s,{}\[\]:]+", text))
    for name in source.resources if made else ():
        if name not in mentioned:
            yield Insertion(("left_behind", name), "DECIDE: why", live=False)


def _objects(
    data: Mapping[str, Any], made: Sequence[Pair], drafted: Sequence[Drafted]
) -> Iterator[Insertion]:
    by_name = {slug(pair.collection): pair for pair in made}
    wanted = [
        (item, proposal)
        for item in drafted
        for proposal in item.proposals
        if _wanted(data, item.outline, proposal)
    ]
    yield from _declared(wanted)
    for item in drafted:
        name = item.outline.name
        mine = [proposal for other, proposal in wanted if other is item]
        if name in by_name:
            pair, live = (
                by_name[name],
                any(is_live(item.outline, proposal) for proposal in mine),
            )
            yield Insertion(
                ("objects", name, "from"),
                pair.collection,
                _remark(pair.confidence, pair.reasons),
                live,
            )
            yield Insertion(("objects", name, "to"), pair.resource, live=live)
        yield from _related(item.outline, mine)
        for proposal in mine:
            remark = _remark(proposal.confidence, proposal.reasons)
            yield Insertion(
                ("objects", name, "fields", proposal.target),
                proposal.written,
                remark,
                is_live(item.outline, proposal),
            )


def is_live(outline: Outline, proposal: Proposal) -> bool:
    """Whether a proposal is written as part of the mapping, not commented out.

    Where a person has mapped fields already, only what is sure joins them.
    """
    if outline.begun:
        return proposal.confidence >= HIGH
    return proposal.confidence >= LOW or proposal.reasons[0].startswith(
        "DECIDE"
    )


def _wanted(
    data: Mapping[str, Any], outline: Outline, proposal: Proposal
) -> bool:
    """Whether a person has not decided it already."""
    fields = ((data.get("objects") or {}).get(outline.name) or {}).get(
        "fields"
    ) or {}
    if proposal.target in fields:
        return False
    if not proposal.target.startswith("custom.") or not fields:
        return True
    if proposal.paths == ("$key",):
        return "$key" not in [
            value
            for name, value in fields.items()
            if name.startswith("custom.")
        ]
    own = {str(row["by"]) for row in proposal.related.values()} | {
        path
        for path in proposal.paths
        if path.split(".")[0] not in proposal.related
    }
    return (
        not (own - {"$settings.currency"} <= outline.used)
        and proposal.paths[0] not in outline.used
    )


def _declared(
    wanted: Sequence[tuple[Drafted, Proposal]],
) -> Iterator[Insertion]:
    """Custom fields, pipelines and options that proposals need, once each."""
    customs: dict[tuple[str, str], tuple[dict[str, Any], bool]] = {}
    for item, proposal in wanted:
        if proposal.custom:
            key = (
                item.outline.resource,
                proposal.target.removeprefix("custom."),
            )
            known, live = customs.get(key, (dict(proposal.custom), False))
            customs[key] = (
                _joined(known, proposal.custom),
                live or is_live(item.outline, proposal),
            )
    for (resource, name), (declared, live) in customs.items():
        yield Insertion(("custom_fields", resource, name), declared, live=live)
    for item, proposal in wanted:
        if proposal.options:
            target = f"{item.outline.resource}.{proposal.target}"
            yield Insertion(
                ("native_options", target),
                dict(proposal.options),
                live=is_live(item.outline, proposal),
            )
        for name, pipeline in proposal.pipeline.items():
            yield Insertion(
                ("pipelines", name),
                pipeline,
                live=is_live(item.outline, proposal),
            )


def _joined(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """One declaration that serves both; text where they differ in type."""
    if one["type"] != other["type"]:
        return {"name": one["name"], "type": "text"}
    mine, theirs = one.get("options"), other.get("options")
    if isinstance(mine, list) and isinstance(theirs, list):
        return one | {"options": list(dict.fromkeys([*mine, *theirs]))}
    return one


def _related(
    outline: Outline, proposals: Sequence[Proposal]
) -> Iterator[Insertion]:
    found: dict[str, tuple[Mapping[str, Any], bool]] = {}
    for proposal in proposals:
        for alias, row in proposal.related.items():
            found[alias] = (
                row,
                found.get(alias, (row, False))[1] or is_live(outline, proposal),
            )
    for alias, (row, live) in found.items():
        yield Insertion(
            ("objects", outline.name, "related", alias), dict(row), live=live
        )


def _users(
    data: Mapping[str, Any], people: tuple[str, str]
) -> Iterator[Insertion]:
    if people[0] and "users" not in data:
        value = {"from": people[0], "email": people[1], "fallback": FALLBACK}
        yield Insertion(
            ("users",),
            value,
            f"{people[0]} are people by their name, and {people[1]} is their e-mail address",
        )


def settings_of(
    data: Mapping[str, Any],
    live: Sequence[Insertion],
    source: Connector,
    rows: Rows,
) -> Iterator[Insertion]:
    """The settings that insertions read and a spec lacks."""
    text = " ".join(written(item.value) for item in live)
    guessed = {
        "timezone": (
            "UTC",
            "DECIDE: the time zone of the source account's clock, e.g. Europe/Madrid",
        )
    }
    guessed["currency"] = _most(source, rows, "currency", 3, "EUR")
    guessed["phone_region"] = _most(source, rows, "country", 2, "ES")
    for name, (value, remark) in guessed.items():
        if f"$settings.{name}" in text and name not in (
            data.get("settings") or {}
        ):
            yield Insertion(("settings", name), value, remark)


def _most(
    source: Connector, rows: Rows, concept: str, letters: int, otherwise: str
) -> tuple[str, str]:
    """The code that stands most often in the records."""
    counted: Counter[str] = Counter()
    for name in rows:
        for column in (
            columns(source, (name,), rows) if name in source.resources else ()
        ):
            if has(column.meaning, concept):
                counted.update(
                    {
                        value: many
                        for value, many in column.values.items()
                        if len(value) == letters and value.isupper()
                    }
                )
    best = counted.most_common(1)
    return (
        (best[0][0], f"the commonest in {counted.total()} values")
        if best
        else (otherwise, f"DECIDE: the account's {concept}")
    )


def _remark(confidence: float, reasons: Sequence[str]) -> str:
    return f"{confidence:.2f} {'; '.join(reasons)}"
