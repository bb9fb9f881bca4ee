"""The steps a spec may name: pure functions from a JSON value to a JSON value, by topic."""

from collections.abc import Callable
from typing import Any

from . import address, dates, ids, money, phone, text

__all__ = ["STEPS"]

STEPS: dict[str, Callable[..., Any]] = {
    f"{topic.__name__.rpartition('.')[2]}.{name}": getattr(topic, name)
    for topic in (text, phone, money, dates, address, ids)
    for name in topic.__all__
}
