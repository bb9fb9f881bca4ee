"""The whole proposal: people, objects in order, and every object's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.connector.model import Connector
from workbench.propose.custom import custom
from workbench.propose.native import native
from workbench.propose.profile import Rows
from workbench.propose.scene import (
    Accounts,
    Outline,
    Proposal,
    people_of,
    scene,
)


@dataclass(frozen=True, slots=True)
class Drafted:
    """One object with what is proposed for it, surest fields of the destination first in the
    destination's order.
    """

    outline: Outline
    proposals: tuple[Proposal, ...]


def draft(
    outlines: Sequence[Outline],
    source: Connector,
    destination: Connector,
    rows: Rows,
    *,
    named: Mapping[str, Mapping[str, str]] | None = None,
    people: str = "",
) -> list[Drafted]:
    """Propose the fields of every object; `named` are the fields the destination is known to
    have, by resource.
    """
    accounts = Accounts(source, destination, rows)
    people = people or people_of(source, rows)[0]
    found: list[Drafted] = []
    carried: set[str] = set()
    for outline in outlines:
        known = (named or {}).get(outline.resource, {})
        place = scene(
            outline, accounts, outlines=outlines, people=people, named=known
        )
        own = list(native(place))
        extra = list(custom(place, own, carried))
        found.append(Drafted(outline, (*own, *extra)))
        if len(extra) > 1:
            carried |= set(outline.sources)
    return found
