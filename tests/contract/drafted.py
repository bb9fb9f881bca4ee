"""A draft made of the published documents, held against the connector that was written by hand.

Print the figures with `python -m tests.contract.drafted`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from engine.connector.load import load_connector
from engine.connector.model import Connector, FieldType, Operation, Resource
from tests.contract.published import FILES, FOLDER
from workbench.openapi.draft import Draft, Wish, draft
from workbench.openapi.fetch import document
from workbench.openapi.reading import opened

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).parent / "draft_differences.yaml"


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that both say, or that the draft should say; `aspect` is what kind of thing it is."""

    aspect: str
    where: str
    hand: str
    drafted: str

    @property
    def same(self) -> bool:
        """Whether both say the same."""
        return self.hand == self.drafted


@cache
def drafts() -> Mapping[str, Draft]:
    """The drafts of both documents, by the prefix of their paths in the connector."""
    documents = {prefix: opened(document(str(FOLDER / name)), name) for prefix, name in FILES.items()}
    return {prefix: draft(api, Wish(FILES[prefix], "pipedrive")) for prefix, api in documents.items()}


def compared() -> list[Compared]:
    """Everything compared, the connection first."""
    hand = load_connector(ROOT / "connectors" / "pipedrive.yaml")
    made = {prefix: one.connector for prefix, one in drafts().items()}
    found = list(_connection(hand, made))
    for name, resource in hand.resources.items():
        first = resource.operations["list"]
        prefix = next(one for one in FILES if first.path.startswith(one))
        found += _resource(hand, name, resource, made[prefix])
    return found


def _one(aspect: str, where: str, hand: Any, drafted: Any) -> Compared:
    return Compared(aspect, where, str(hand), str(drafted))


def _said(aspect: str, where: str, hand: Any, drafted: Any, default: Any) -> Iterator[Compared]:
    """A thing that only counts where one of the two says it."""
    if (hand, drafted) != (default, default):
        yield _one(aspect, where, hand, drafted)


def _connection(hand: Connector, made: Mapping[str, Connector]) -> Iterator[Compared]:
    for prefix, other in made.items():
        mine, theirs = hand.connection, other.connection
        yield _one("auth", f"{prefix} auth", dict(mine.auth), dict(theirs.auth))
        yield _one("auth", f"{prefix} base_url.env", mine.base_url_env, theirs.base_url_env)
        yield _one("name", f"{prefix} title", hand.title, other.title)
        yield _one("message", f"{prefix} message", hand.message, other.message)
        meant = _meanings(other)
        for status, then in _meanings(hand).items():
            if status in meant:
                yield _one("errors", f"{prefix} errors {status}", then, meant[status])
        for part in ("users", "pipelines"):
            if getattr(other, part):
                yield _one("special", f"{prefix} {part}", getattr(hand, part), getattr(other, part))
    check = made["/api/v1"].connection
    yield _one("check", "check", hand.connection.base_url + hand.connection.check.path, check.base_url + check.check.path)
    yield _one("check", "check cost", hand.connection.check.cost, check.check.cost)


def _meanings(connector: Connector) -> dict[int, str]:
    """What a bare status means: the first rule that wants nothing else."""
    found: dict[int, str] = {}
    for rule in connector.errors:
        if not rule.headers and not rule.content_type and not rule.body:
            for status in rule.status:
                found.setdefault(status, rule.then)
    return found


def _resource(hand: Connector, name: str, mine: Resource, other: Connector) -> Iterator[Compared]:
    theirs = other.resources.get(name)
    yield _one("resources", name, "there", "there" if theirs else "missing")
    if theirs is None:
        return
    yield _one("ids", f"{name}.id", mine.id, theirs.id)
    for stamp in ("modified", "created"):
        if getattr(mine, stamp) in mine.fields:
            yield _one("stamps", f"{name}.{stamp}", getattr(mine, stamp), getattr(theirs, stamp))
    yield from _said("bodies", f"{name}.file", mine.file, theirs.file, None)
    yield from _said("bodies", f"{name}.json_api", mine.json_api, theirs.json_api, None)
    for verb, operation in mine.operations.items():
        yield _one("operations", f"{name}.{verb}", "there", "there" if verb in theirs.operations else "missing")
        if verb in theirs.operations:
            yield from _operation(f"{name}.{verb}", operation, hand, theirs.operations[verb], other)
    yield from _fields(name, mine.fields, theirs.fields, {"create", "update"} & set(mine.operations))


def _operation(where: str, mine: Operation, hand: Connector, theirs: Operation, other: Connector) -> Iterator[Compared]:
    yield _one("methods", f"{where} method", mine.method, theirs.method)
    yield _one("paths", f"{where} path", hand.connection.base_url + mine.path, other.connection.base_url + theirs.path)
    yield _one("costs", f"{where} cost", mine.cost, theirs.cost)
    if mine.method != "DELETE":
        yield _one("selects", f"{where} select", mine.select, theirs.select)
    for part, default in (("body", "json"), ("wrap", ""), ("each", ""), ("whole", False), ("id_at", ""), ("id_header", "")):
        yield from _said("bodies", f"{where} {part}", getattr(mine, part), getattr(theirs, part), default)
    if where.endswith((".create", ".update")):
        yield from _said("bodies", f"{where} omit", sorted(mine.omit), sorted(set(theirs.omit) & _known(hand, where)), [])
    if mine.pager and theirs.pager:
        for part in ("kind", "params", "size", "next", "more"):
            yield from _said("pagers", f"{where} pager {part}", getattr(mine.pager, part), getattr(theirs.pager, part), "")
    for part in ("ids", "ids_of", "ids_max", "since", "since_style", "parent"):
        if getattr(mine, part):
            yield _one("asking", f"{where} {part}", getattr(mine, part), getattr(theirs, part))
    for name in mine.filters:
        yield _one("asking", f"{where} filter {name}", "there", "there" if name in theirs.filters else "missing")


def _known(hand: Connector, where: str) -> set[str]:
    return set(hand.resources[where.partition(".")[0]].fields)


def _fields(where: str, mine: Mapping[str, FieldType], theirs: Mapping[str, FieldType], writes: set[str]) -> Iterator[Compared]:
    for name, one in mine.items():
        other, here = theirs.get(name), f"{where}.{name}"
        yield _one("fields", here, "there", "there" if other else "missing")
        if other is None:
            continue
        yield _one("types", f"{here} type", _kind(one), _kind(other))
        if writes:
            for part, default in (("required", False), ("writable", True), ("max", None), ("empty", "never"), ("one_of", ())):
                yield from _said("rights", f"{here} {part}", getattr(one, part), getattr(other, part), default)
        if one.shape and other.shape:
            yield from _fields(here, one.shape, other.shape, set())


def _kind(one: FieldType) -> str:
    return f"ref {'|'.join(one.to)}" if one.kind == "reference" else one.kind


@dataclass(frozen=True, slots=True)
class Known:
    """One entry of the list: `*` stands for anything in `where`, and in what the two say."""

    where: tuple[str, ...]
    hand: str
    drafted: str
    why: str

    def covering(self, one: Compared) -> Iterator[str]:
        """The places of this entry that cover a difference."""
        if fnmatchcase(one.hand, self.hand) and fnmatchcase(one.drafted, self.drafted):
            yield from (place for place in self.where if fnmatchcase(one.where, place))


def load(path: Path = LIST) -> list[Known]:
    """Read the list; ValueError for an entry that is not complete."""
    entries = []
    for raw in yaml.safe_load(path.read_text(encoding="utf-8")):
        if set(raw) != {"where", "hand", "drafted", "why"}:
            raise ValueError(f"an entry needs exactly where, hand, drafted and why: {raw}")
        places = raw["where"] if isinstance(raw["where"], list) else [raw["where"]]
        entries.append(Known(tuple(map(str, places)), str(raw["hand"]), str(raw["drafted"]), raw["why"]))
    return entries


def figures(found: list[Compared]) -> dict[str, tuple[int, int]]:
    """How many of each aspect agree, and how many there are."""
    result: dict[str, tuple[int, int]] = {}
    for one in found:
        same, of = result.get(one.aspect, (0, 0))
        result[one.aspect] = same + one.same, of + 1
    return result


if __name__ == "__main__":
    every = compared()
    for one in every:
        if not one.same:
            print(f"{one.aspect}: {one.where}: by hand {one.hand}, drafted {one.drafted}")
    for aspect, (same, of) in figures(every).items():
        print(f"{aspect:12} {same:4} of {of:4}  {same / of:.1%}")
    print(f"{'all':12} {sum(one.same for one in every):4} of {len(every):4}  {sum(one.same for one in every) / len(every):.1%}")
