"""A declarative migration engine: move a company's records between SaaS platforms, as a YAML spec
says.

    import declared_etl

    with declared_etl.open("specs/mine.yaml") as migration:
        result = migration.run(sample=200)

Everything that programs need has its name here, in a checkout and from a wheel alike
(docs/embedding.md); it is read when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine import (
        Account,
        Accounts,
        Clock,
        EtlError,
        Event,
        Finding,
        Gate,
        Kept,
        LimitUse,
        ObjectResult,
        OpenMigration,
        Plan,
        RollbackResult,
        RunResult,
        Step,
        open,  # noqa: A004
    )
    from engine.errors import (
        ApiError,
        AuthError,
        ClientBlocked,
        Diagnostic,
        QuotaExhausted,
        SpecError,
        StoreError,
        Unavailable,
        UnsafePlan,
        UsageError,
    )
    from workbench.approval import APPROVALS

__all__ = [
    "APPROVALS",
    "Account",
    "Accounts",
    "ApiError",
    "AuthError",
    "ClientBlocked",
    "Clock",
    "Diagnostic",
    "EtlError",
    "Event",
    "Finding",
    "Gate",
    "Kept",
    "LimitUse",
    "ObjectResult",
    "OpenMigration",
    "Plan",
    "QuotaExhausted",
    "RollbackResult",
    "RunResult",
    "SpecError",
    "Step",
    "StoreError",
    "Unavailable",
    "UnsafePlan",
    "UsageError",
    "open",
]


def __getattr__(name: str) -> Any:
    """A public name, from the module that has it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import engine
    from engine import errors

    if name == "APPROVALS":
        from workbench.approval import APPROVALS

        return APPROVALS
    return getattr(engine if name in engine.__all__ else errors, name)
