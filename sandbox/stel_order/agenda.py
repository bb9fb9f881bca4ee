"""Events of the calendar: wall times of the account under a false +0000."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.links import account_of, event_target
from sandbox.stel_order.oddities import odd_values
from sandbox.stel_order.staff import AGENTS
from sandbox.stel_order.stamps import DAY, at, stamp, wall
from sandbox.stel_order.words import VISIT
from sandbox.stel_order.world import World, put_link, put_row

Record = dict[str, Any]
STATES = ("PENDING", "COMPLETED", "REFUSED")
_LINKS = ("account", "incident", "asset", "document")
# Start, end and whether all day, of the events that test a calendar.
_ODD_TIMES = {
    0: (
        "2025-03-30 01:30",
        "2025-03-30 03:30",
        False,
    ),  # 02:00 to 03:00 did not exist in Spain that day
    1: ("2025-10-26 02:30", "2025-10-26 03:00", False),  # 02:30 came twice
    2: ("2025-06-12", "2025-06-12 23:59", True),
    4: ("2025-08-04", "2025-08-15 23:59", True),  # several days
    7: ("2024-12-31 22:00", "2025-01-01 02:00", False),  # crosses midnight and the year
    8: ("2025-02-03 09:00", "2025-02-03 09:00", False),  # no length
    10: ("2025-09-09 09:15", "2025-09-12 18:00", False),  # several days with times
    17: ("2025-03-30 02:30", "2025-03-30 02:45", False),  # wholly inside the missing hour
    18: ("2025-05-05", "2025-05-06", True),  # all day, ending at the next midnight
}


def event_times(world: World, index: int) -> tuple[int, int, bool]:
    """Start and end on the account's wall clock, as if it were UTC, and whether it is all day."""
    odd = _ODD_TIMES.get(index)
    if odd:
        return at(odd[0]), at(odd[1]), odd[2]
    drawn = world.draw("events", index, 4)
    start = wall(world.created("events", index)) // 900 * 900 + drawn % 14 * DAY + 3_600
    if drawn % 12 == 0:
        return start // DAY * DAY, start // DAY * DAY + DAY - 60, True
    return start, start + (drawn >> 8) % 12 * 900 + 900, False


def event(world: World, collection: str, index: int) -> Record:
    """One event, linked to an account, an incident, an asset, a document or nothing."""
    drawn = world.draw(collection, index)
    start, end, all_day = event_times(world, index)
    record = world.common(collection, index)
    record |= {
        "subject": VISIT[drawn % 6],
        "description": "Llevar escalera." if drawn % 4 == 0 else None,
        "location": "València" if drawn % 5 == 0 else None,
        "start-date": stamp(start),
        "end-date": stamp(end),
        "all-day": all_day,
        "event-state": STATES[index % 3 if index < 6 else (0, 1, 1, 1, 2)[(drawn >> 8) % 5]],
    }
    put_link(record, "calendar", "calendars", 142_000 + (drawn >> 12) % 4)
    put_link(record, "event-type", "eventTypes", 16_800 + (index if index < 8 else drawn >> 16) % 4)
    put_link(record, "creator", "employees", AGENTS[(drawn >> 20) % 6])
    for name in _LINKS:
        put_row(record, name, None)
    put_row(record, "account", account_of(world, collection, index))
    target = event_target(world, index)
    if target:
        names = {"incidents": "incident", "assets": "asset"}
        put_row(record, names.get(target[0], "document"), target)
    record |= odd_values(collection, index)
    return record
