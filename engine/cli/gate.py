"""What a full run against live accounts is asked before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import UnsafePlan

# the gate is there before any command is, and nothing of a run is needed for it
if TYPE_CHECKING:
    from engine.session import Run


@dataclass(frozen=True, slots=True)
class Gate:
    """What a full run against live accounts is asked before it starts, and who hears what a run
    came to.
    """

    # the spec and the store's place; raises UnsafePlan
    admit: Callable[[Path, str | None], None]
    ended: Callable[[Run, Mapping[str, Any]], None]  # the run and its verdict


def gate_of_program() -> Gate:
    """The gate that the program was started with; started without one, nothing is
    admitted.
    """
    return click.get_current_context().find_object(Gate) or Gate(_shut, lambda *_: None)


def _shut(spec: Path, _: str | None) -> None:
    raise UnsafePlan(
        "approval required, which this program cannot check – start it as: etl run"
        f" {spec} --env live"
    )
