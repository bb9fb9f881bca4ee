"""How a platform writes what it answers: ids, flags, moments. Inside, an id is a number and a moment is UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

# What stands before the number of an id: all that means something in an address, in a key or in a joined id.
SIGNS = ("#", "+", "/", "%", " ", "%23 ", "+/#")
FLAGS = (("1", "0"), ("true", "false"), ("Y", "N"))  # yes and no, in different rows


def odd_id(number: int) -> str:
    """The id of a row as it is answered: `N#7`."""
    return f"N{SIGNS[number % len(SIGNS)]}{number}"


def number_of(written: object) -> int:
    """The row that an id means; raises ValueError for one that is none, to the letter."""
    found = re.search(r"[0-9]+$", str(written))
    number = int(found[0]) if found else 0
    if odd_id(number) != written:
        raise ValueError(f"{written!r} is no id")
    return number


def flag(yes: bool, number: int) -> str:
    """A flag as text, in one of its writings."""
    return FLAGS[number % len(FLAGS)][not yes]


def local(moment: str, hours: float) -> str:
    """A stamp by the account's clock, without a word about the zone."""
    at = _at(moment) + timedelta(hours=hours)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def wall(moment: str, hours: float) -> str:
    """A moment by the account's clock under a false `Z`."""
    return f"{_at(moment) + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def bound(written: str, hours: float) -> str:
    """The moment of a filter, which is written by the account's clock, in UTC; raises ValueError for another form."""
    at = datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return f"{at - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}"


def _at(moment: str) -> datetime:
    at = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def plain_key(key: str) -> str:
    """`firms/7` for a record whose key holds the id as it is answered, `firms/N%237`; any other key as it is."""
    name, _, written = key.partition("/")
    row_id = re.sub(r"%(23|25|00)", lambda found: chr(int(found[1], 16)), written)
    try:
        return f"{name}/{number_of(row_id)}" if _in_key(row_id) == written else key
    except ValueError:
        return key


def _in_key(row_id: str) -> str:
    """An id as a key holds it: `#` is quoted, and what would read as a quote."""
    return re.sub(r"#|%(?=23|25|00)", lambda found: "%23" if found[0] == "#" else "%25", row_id)
