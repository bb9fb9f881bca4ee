"""What is found where steps are looked for: steps with a digest of their code, and faults."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from . import STEPS, Step

Kind = Literal["bad-step", "taken-name", "too-large", "unreadable-file"]

WHERE = (
    "steps of your own stand in transforms/ beside specs/, named FILE.FUNCTION"
)


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a step, or with its file."""

    file: Path
    line: int
    kind: Kind
    problem: str
    advice: str

    @property
    def told(self) -> tuple[Kind, str, str]:
        """Its kind, what is wrong and what to do."""
        return self.kind, self.problem, self.advice


@dataclass(frozen=True, eq=False)
class Found:
    """Steps of one folder or package: their functions, digests of their code, where each is
    defined, and what is wrong.

    As long as it is referred to, its modules can be imported.
    """

    functions: Mapping[str, Step] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, tuple[Path, int]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps that a spec may name, and of those that are not shipped a digest of their code."""

    functions: Mapping[str, Step]
    code: Mapping[str, str] = field(default_factory=dict)
    # groups of packages whose steps cannot be used, and why
    broken: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[Found, ...] = ()  # whose modules have to stay

    @cached_property
    def filters(self) -> Mapping[str, str]:
        """The names that steps have in templates, with those that they have in specs."""
        return {name.replace(".", "_"): name for name in self.functions}

    def digests(self, filters: Collection[str]) -> tuple[tuple[str, str], ...]:
        """The steps among some filters that are not shipped, with what their code is."""
        return tuple(
            (name, self.code[step])
            for name, step in self.filters.items()
            if name in filters and step in self.code
        )

    def advice(self, name: str, near: str) -> str:
        """What to do where no step or filter has this name: what is wrong with its package, the
        name that is near, or where steps stand.
        """
        groups = (
            why
            for group, why in self.broken.items()
            if name.startswith((f"{group}.", f"{group}_"))
        )
        return next(groups, near or WHERE)


NOTHING = Found()
SHIPPED = Steps(STEPS)
