"""What becomes what: which source collection becomes which destination resource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.connector.model import Connector
from workbench.propose.profile import Rows, business, columns
from workbench.propose.scene import Outline
from workbench.propose.words import Meaning, has, likeness, meaning, slug, words

# a collection with fewer fields that say something is a list of labels
MODEST = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """A collection and the resource it seems to be."""

    collection: str
    resource: str
    confidence: float
    reasons: tuple[str, ...]


def pairs(source: Connector, destination: Connector, rows: Rows) -> list[Pair]:
    """The best resource for each collection that resembles one; parents first."""
    targets = list(_targets(destination))
    found = []
    for name, resource in source.resources.items():
        if "list" in resource.operations and (
            best := _best(source, name, targets, rows)
        ):
            found.append(best)
    return sorted(
        found,
        key=lambda pair: (
            _depth(destination, pair.resource),
            targets.index(pair.resource),
        ),
    )


def _targets(destination: Connector) -> Iterator[str]:
    """Resources that records can become; not the ones that only shape the others."""
    set_up = {
        item.custom.resource
        for item in destination.resources.values()
        if item.custom
    }
    if destination.pipelines:
        set_up |= {destination.pipelines.resource, destination.pipelines.stages}
    for name, resource in destination.resources.items():
        if "create" in resource.operations and name not in set_up:
            yield name


def _best(
    source: Connector, name: str, targets: Iterable[str], rows: Rows
) -> Pair | None:
    of = meaning(name)
    least = len(of) if _is_between(source, name) else 0
    scored = [
        (_score(of, meaning(target)), target)
        for target in targets
        if len(meaning(target)) >= least
    ]
    score, target = max(scored, key=lambda item: item[0], default=(0.0, ""))
    if score < 0.3:
        return None
    reasons = [
        (
            f"{name} are {target} by their name"
            if score > 0.95
            else f"{name} usually become {target}"
        )
    ]
    found = business(
        source.resources[name], (name,), columns(source, (name,), rows)
    )
    if len(found) < MODEST:
        score *= 0.6
        reasons.append("but hold little more than a name")
    if has(of, "purchase", "supplier"):
        score *= 0.4
        reasons.append("but are about buying, not selling")
    if name in rows:
        reasons.append(f"{len(rows[name])} records looked at")
    return Pair(name, target, round(score, 2), tuple(reasons))


def _is_between(source: Connector, name: str) -> bool:
    """Whether rows of a collection name what they are called after, and so are something else:
    `deal_products` name a product, and are none.
    """
    noun = meaning(name)[-1:]
    return any(
        other != name and meaning(other)[-1:] == noun
        for field_type in source.resources[name].fields.values()
        for other in field_type.to
    )


def _score(of: Meaning, target: Meaning) -> float:
    """By the noun that says what a collection holds (the last word), or by what such things
    usually become.
    """
    if not of or not target:
        return 0.0
    best = 0.0
    for concept in of[-1]:
        for wider, share in (
            (concept, 1.0),
            *words().broader.get(concept, {}).items(),
        ):
            if wider in target[-1]:
                best = max(
                    best,
                    share
                    * (
                        0.75
                        + 0.25
                        * likeness((*of[:-1], frozenset([wider])), target)
                    ),
                )
    return best


def _depth(
    destination: Connector, name: str, above: tuple[str, ...] = ()
) -> int:
    """How many resources must stand before this one, because its rows point at theirs."""
    resource = destination.resources[name]
    to = {
        other
        for field_type in resource.fields.values()
        if field_type.writable
        for other in field_type.to
    }
    inner = to - {name, *above} & set(destination.resources)
    return 1 + max(
        (_depth(destination, other, (*above, name)) for other in inner),
        default=0,
    )


def outlined(found: Iterable[Pair]) -> list[Outline]:
    """An object for each pair."""
    return [
        Outline(slug(pair.collection), (pair.collection,), pair.resource)
        for pair in found
    ]
