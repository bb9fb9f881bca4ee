"""What a full run against live accounts is asked before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UnsafePlan

# the gate is there before any command is, and nothing of a run is needed for it
if TYPE_CHECKING:
    from engine.language.compile import Migration
    from engine.session import Run

MOST = 1000  # records of a sample of live accounts, for nobody has approved it


@dataclass(frozen=True, slots=True)
class Gate:
    """What admits a full run against live accounts, and who hears how a run ended."""

    # the migration, its spec's file and the store's place; raises UnsafePlan
    admit: Callable[[Migration, Path, str | None], None]
    # the run and its verdict; the digest by which an approval would know the mapping, if any
    ended: Callable[[Run, Mapping[str, Any]], str | None]


def _shut(_: Migration, spec: Path, __: str | None) -> None:
    raise UnsafePlan(
        "a full run against live accounts needs an approval – run it with: etl run"
        f" {spec} --env live; a program calls declared_etl.open(SPEC,"
        " gate=declared_etl.APPROVALS)"
    )


# nobody can admit anything
SHUT = Gate(_shut, lambda *_: None)


def keep_small(spec: Path, environment: str, size: int | None) -> None:
    """A sample that moves everything would be a full run without approval; raises UnsafePlan."""
    if environment == "live" and size is not None and size > MOST:
        raise UnsafePlan(
            f"a sample of live accounts has at most {MOST:,} records, not {size:,} –"
            f" choose a smaller one, review it, then: etl approve {spec} --env"
            " live --by NAME, and run everything"
        )
