"""The steps a spec may name: pure functions from a JSON value to a JSON value, by topic."""

from collections.abc import Callable
from typing import Any

from . import address, dates, ids, money, phone, text

__all__ = ["CHECKS", "STEPS", "Step"]

Step = Callable[..., Any]

# What an argument that a spec gives must be besides its type; the step itself refuses the rest.
CHECKS: dict[str, Callable[[str], None]] = {"currency": money.check_currency}

STEPS: dict[str, Step] = {
    f"{topic.__name__.rpartition('.')[2]}.{name}": getattr(topic, name)
    for topic in (text, phone, money, dates, address, ids)
    for name in topic.__all__
}
