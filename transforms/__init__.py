"""The steps a spec may name: pure functions from a JSON value to a JSON value, by topic."""

from collections.abc import Callable
from typing import Any

from . import address, dates, html, ids, money, phone, text

__all__ = ["CHECKS", "FORMS", "MARKUP", "PASSING", "STEPS", "Step"]

Step = Callable[..., Any]

# What an argument that a spec gives must be besides its type; the step itself refuses the rest.
CHECKS: dict[str, Callable[[str], None]] = {"currency": money.check_currency}

# Steps that give what they take, in other letters at most: a date stays one, a word becomes none.
PASSING = (
    "text.lower",
    "text.squash",
    "text.strip",
    "text.title",
    "text.upper",
    "text.without_control",
)

# Steps that make HTML of plain text: what they are given must not be escaped before.
MARKUP = (
    "html.clean",
    "text.html_escape",
    "text.labelled_html",
    "text.paragraphs",
)

# What the texts are that a step gives, where they are no mere texts.
FORMS = {
    "dates.date": "date",
    "dates.next_from": "date",
    "dates.utc_date": "date",
    "dates.time": "time",
    "dates.duration": "duration",
    "dates.minutes": "duration",
    "dates.to_utc": "datetime",
}

STEPS: dict[str, Step] = {
    f"{topic.__name__.rpartition('.')[2]}.{name}": getattr(topic, name)
    for topic in (text, html, phone, money, dates, address, ids)
    for name in topic.__all__
}
