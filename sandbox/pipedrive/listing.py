"""Reading query strings and walking lists by cursor, the v2 way."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from sandbox.pipedrive.call import Call
from sandbox.pipedrive.moments import parse_rfc3339
from sandbox.pipedrive.refusals import invalid
from sandbox.pipedrive.store import Record

PAGING = frozenset({"limit", "cursor"})
SORTED = PAGING | {"sort_by", "sort_direction"}
MOST_ROWS = 500
MOST_IDS = 100


class Cut:
    """The WHERE part of a list, put together parameter by parameter."""

    def __init__(self, *conditions: str) -> None:
        self.conditions = list(conditions)
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        """One more thing every row must meet."""
        self.conditions.append(condition)
        self.values.extend(values)

    @property
    def where(self) -> str:
        """All of them."""
        return " AND ".join(self.conditions) or "1"


def whole(call: Call, name: str) -> int | None:
    """An integer parameter."""
    said = call.query.get(name)
    if said is None:
        return None
    try:
        value = int(said)
    except ValueError:
        raise invalid(name, "Expected a valid integer") from None
    if abs(value) >= 2**63:
        raise invalid(name, "Value is out of range")
    return value


def flag(call: Call, name: str) -> bool | None:
    """A boolean parameter."""
    said = call.query.get(name)
    if said is None:
        return None
    if said.lower() not in ("true", "false", "1", "0"):
        raise invalid(name, "Expected a valid boolean")
    return said.lower() in ("true", "1")


def names(call: Call, name: str, allowed: Sequence[str] = (), most: int = 0) -> list[str]:
    """A comma list of words."""
    said = call.query.get(name)
    found = [part.strip() for part in said.split(",") if part.strip()] if said else []
    if most and len(found) > most:
        raise invalid(name, f"A maximum of {most} keys is allowed")
    for one in found:
        if allowed and one not in allowed:
            raise invalid(name, f"Value must be one of {', '.join(allowed)}")
    return found


def ids(call: Call, name: str = "ids") -> list[int] | None:
    """A comma list of up to 100 ids; None when the parameter was not sent."""
    if name not in call.query:
        return None
    try:
        found = [int(part) for part in call.query[name].split(",") if part.strip()]
    except ValueError:
        raise invalid(name, "Expected a comma separated list of integers") from None
    if len(found) > MOST_IDS:
        raise invalid(name, f"A maximum of {MOST_IDS} ids is allowed")
    return [one for one in found if abs(one) < 2**63]


def limit(call: Call, most: int = MOST_ROWS, *, refuse: bool | None = None) -> int:
    """The page size: 100 when not sent."""
    wanted = whole(call, "limit")
    if wanted is None:
        return min(100, most)
    if wanted < 1:
        raise invalid("limit", "Value must be at least 1")
    if wanted > most:
        if call.desk.switches.over_max == "refuse" if refuse is None else refuse:
            raise invalid("limit", f"Value must be at most {most}")
        return most
    return wanted


def period(call: Call, cut: Cut) -> None:
    """updated_since (inclusive) and updated_until (exclusive)."""
    for name, sign in (("updated_since", ">="), ("updated_until", "<")):
        if name in call.query:
            moment = parse_rfc3339(call.query[name], fraction=False)
            if moment is None:
                raise invalid(name, "Expected a valid RFC 3339 date-time without fractions")
            cut.add(f"update_time {sign} ?", moment)


def walk(
    call: Call, kind: str, cut: Cut, sorts: Sequence[str], most: int = MOST_ROWS
) -> tuple[list[Record], str | None]:
    """One page of the rows that meet the conditions, and the cursor of the next one."""
    size = limit(call, most)
    column = _choice(call, "sort_by", ("id", *sorts), "id")
    direction = _choice(call, "sort_direction", ("asc", "desc"), "asc")
    if "cursor" in call.query:
        last = _read_cursor(call.query["cursor"], ("id", *sorts))
        column, direction = last["field"], last["sortDirection"]
        sign = ">" if direction == "asc" else "<"
        if column == "id":
            cut.add(f"id {sign} ?", last["id"])
        else:
            cut.add(f"({column}, id) {sign} (?, ?)", last["fieldValue"], last["id"])
    order = f"id {direction}" if column == "id" else f"{column} {direction}, id {direction}"
    rows = call.desk.store.find(kind, cut.where, cut.values, order, size + 1)
    if len(rows) <= size:
        return rows, None
    rows.pop()
    return rows, _write_cursor(column, direction, rows[-1])


def _choice(call: Call, name: str, allowed: Sequence[str], default: str) -> str:
    value = call.query.get(name, default)
    if value not in allowed:
        raise invalid(name, f"Value must be one of {', '.join(allowed)}")
    return value


def _write_cursor(column: str, direction: str, last: Record) -> str:
    value = last.get(column)
    marker = {
        "field": column,
        "fieldValue": "" if value is None else value,
        "sortDirection": direction,
        "id": last["id"],
    }
    packed = json.dumps(marker, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _read_cursor(text: str, columns: Sequence[str]) -> dict[str, Any]:
    try:
        padded = text + "=" * (-len(text) % 4)
        marker = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        sound = (
            marker["field"] in columns
            and marker["sortDirection"] in ("asc", "desc")
            and type(marker["id"]) is int
            and abs(marker["id"]) < 2**63
            and type(marker["fieldValue"]) in (str, int)
        )
    except (ValueError, KeyError, TypeError, binascii.Error):
        sound = False
    if not sound:
        raise invalid("cursor", "Invalid cursor")
    return dict(marker)
