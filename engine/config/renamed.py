"""Keys of specs and connectors that have another name now (docs/upgrading.md)."""

from __future__ import annotations

import msgspec


class Renamed(msgspec.Struct, frozen=True):
    """A key with a new name since a version; the old one is read until a later one, at least.

    `above` is a pattern for the dotted path of the mapping that holds it, and so says as well in
    which kind of file that is.
    """

    above: str
    old: str
    new: str
    since: str
    until: str


RENAMED = (
    Renamed("connection", "settle_after", "reconcile_after", "0.2.0", "0.4.0"),
)
