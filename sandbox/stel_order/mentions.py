"""Which rows name which, and what they look like once the row they name is gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.stel_order.rows import Rows

Record = dict[str, Any]
# A row is part of what it names by these, and goes with it; by the others it only points there.
_PART_OF = {"delete": ("account", "original-element"), "unlink": ("original-element",)}
_SHOWN = 10  # ids a refusal lists of each collection


@dataclass(frozen=True, slots=True)
class Mention:
    """One row that names another, and by which of its links."""

    collection: str
    index: int
    link: str  # "account" for account-id and account-path; "assets" and "lines" hold several

    def goes_along(self, cascade: str) -> bool:
        """Whether the row is deleted with the one it names."""
        return self.link in _PART_OF[cascade]


def mentions(rows: Rows, collections: Sequence[str]) -> Mapping[str, list[Mention]]:
    """Every live row of these collections that names others, by the path it names."""
    found: defaultdict[str, list[Mention]] = defaultdict(list)
    for collection in collections:
        for index in rows.live(collection):
            for link, path in _links(rows.get(collection, index)):
                found[path].append(Mention(collection, index, link))
    return found


def _links(record: Record) -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        if name.endswith("-path") and isinstance(value, str):
            yield name.removesuffix("-path"), value
    for asset in record.get("assets") or ():
        yield "assets", asset["path"]
    for line in record.get("lines") or ():
        if line["item-path"] and not line["deleted"]:
            yield "lines", line["item-path"]


def emptied(record: Record, link: str, path: str) -> Record:
    """The row without this link; a line of a document keeps its product, as a copy of the sale."""
    if link == "assets":
        return record | {"assets": [one for one in record["assets"] if one["path"] != path]}
    names = (f"{link}-id", f"{link}-path")
    return record | {name: None for name in names if name in record}


def listed(rows: Rows, named: Sequence[Mention]) -> str:
    """The rows of some mentions, collection by collection, for a message."""
    ids: dict[str, list[int]] = {}
    for one in named:
        known = ids.setdefault(one.collection, [])
        ident = rows.get(one.collection, one.index)["id"]
        if ident not in known:
            known.append(ident)
    return "; ".join(f"{collection} {_cut(known)}" for collection, known in ids.items())


def _cut(ids: Sequence[int]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(map(str, ids[:_SHOWN])) + more
