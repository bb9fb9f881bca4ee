"""Commands of a fleet, in the process of the tests."""

from __future__ import annotations

from fleet.cli import fleet_group


def typed(url: str, *words: str) -> None:
    """A command; raises what it fails with."""
    fleet_group.main([words[0], "--db", url, *words[1:]], standalone_mode=False)
