"""A declarative migration engine: it interprets specs and connectors and knows no platform by
name.

    with engine.open("specs/mine.yaml") as migration:
        result = migration.run(sample=200)

Everything that programs need has its name here (docs/embedding.md); it is read when it is used.
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
    "engine.connector.auth": ("Account",),
    "engine.connector.rate_limit": ("Clock",),
    "engine.errors": ("EtlError",),
    "engine.library.gate": ("Gate",),
    "engine.library.migration": ("OpenMigration", "open"),
    "engine.library.results": (
        "Kept",
        "ObjectResult",
        "RollbackResult",
        "RunResult",
    ),
    "engine.plan.cost": ("LimitUse", "Plan", "Step"),
    "engine.session": ("Accounts", "Event"),
    "engine.store.links": ("Finding",),
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
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
