"""A declarative migration engine: it interprets specs and connectors and knows no platform by
name.

    with declared_etl.open("specs/mine.yaml") as migration:
        result = migration.run(sample=200)

What programs need has its name here, and they have it from `declared_etl` (docs/embedding.md); it
is read when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.connector.auth import Account, Accounts
    from engine.connector.rate_limit import Clock
    from engine.errors import EtlError
    from engine.library.gate import Gate
    from engine.library.migration import OpenMigration, open  # noqa: A004
    from engine.library.results import (
        Kept,
        ObjectResult,
        RollbackResult,
        RunResult,
    )
    from engine.plan.cost import LimitUse, Plan, Step
    from engine.session import Event
    from engine.store.links import Finding

_PLACES = {
    ".connector.auth": ("Account",),
    ".connector.rate_limit": ("Clock",),
    ".errors": ("EtlError",),
    ".library.gate": ("Gate",),
    ".library.migration": ("OpenMigration", "open"),
    ".library.results": (
        "Kept",
        "ObjectResult",
        "RollbackResult",
        "RunResult",
    ),
    ".plan.cost": ("LimitUse", "Plan", "Step"),
    ".session": ("Accounts", "Event"),
    ".store.links": ("Finding",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Account",
    "Accounts",
    "Clock",
    "EtlError",
    "Event",
    "Finding",
    "Gate",
    "Kept",
    "LimitUse",
    "ObjectResult",
    "OpenMigration",
    "Plan",
    "RollbackResult",
    "RunResult",
    "Step",
    "open",
]


def __getattr__(name: str) -> Any:
    """A public name, from the module that has it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)
