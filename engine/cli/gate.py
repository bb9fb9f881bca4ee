"""The gate that the program was started with."""

from __future__ import annotations

import click

from engine.library.gate import SHUT, Gate


def gate_of_program() -> Gate:
    """The gate that the program was started with; started without one, nothing is
    admitted.
    """
    return click.get_current_context().find_object(Gate) or SHUT
