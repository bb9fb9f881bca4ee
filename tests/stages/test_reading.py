"""Rows on their way into the store."""

from __future__ import annotations

import pytest

from engine.connector.model import Operation, Resource
from engine.extract.records import (
    LAG,
    OVERLAP,
    by_change,
    keyed,
    reaches,
    stamp,
    watermark,
)
from engine.store.records import Cursor, Tally
from engine.values import id_in
from tests.stages.conftest import Desk

MOMENT = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


@pytest.mark.parametrize(
    ("stamps", "there"),
    [
        (["2026-09-21T15:00:00Z", "2026-09-21T14:13:21Z"], False),
        (["2026-09-21T15:00:00Z", "2026-09-21T14:13:19Z"], True),
        (["2026-09-21 15:00:00", None, "", "2026-09-21 14:20:00"], False),
        ([None, "2026-09-20 00:00:00"], True),
        ([], False),
    ],
)
def test_a_row_without_a_stamp_does_not_end_a_reading(stamps: list[str | None], there: bool) -> None:
    """Newest first, a page reaches older rows only where a row says that it is older."""
    assert stamp(MOMENT, "space") == "2026-09-21 14:13:20"
    assert reaches([{"changed": text} if text is not None else {} for text in stamps], ordered("-changed"), MOMENT) is there


def ordered(by: str) -> Resource:
    """A resource whose list has this order, newest first."""
    listed = Operation("GET", "/rows", newest_first={"sort": by})
    return Resource("rows", {"list": listed}, {}, created="made", modified="changed")


@pytest.mark.parametrize(
    ("by", "made", "changed", "there"),
    [
        ("id DESC", "2026-09-20 10:00:00", None, True),
        ("id DESC", "2026-09-20 10:00:00", "2026-09-20 10:00:00", True),
        ("id DESC", "2026-09-20 10:00:00", "2026-09-21 15:00:00", False),
        ("Changed:desc", "2026-09-20 10:00:00", None, False),
        ("Changed:desc", "2026-09-20 10:00:00", "2026-09-20 10:00:00", True),
        ("Changed:desc", "2026-09-20 10:00:00", "2026-09-21 15:00:00", False),
    ],
)
def test_an_old_row_that_people_changed_does_not_end_a_reading(by: str, made: str, changed: str | None, there: bool) -> None:
    """In an order of changes it stands before rows that were made later, and a row without a change may stand anywhere."""
    assert reaches([{"made": made, "changed": changed}], ordered(by), MOMENT) is there
    assert by_change(ordered(by)) is (by == "Changed:desc")


@pytest.mark.parametrize(
    ("date", "newest", "back"),
    [
        (MOMENT + 5000, MOMENT + 5000, -5000.0),  # our clock is behind: the server's counts
        (MOMENT, MOMENT + 3600, 0.0),  # stamps of a zone east of UTC
        (MOMENT, MOMENT - 6 * 3600, 6 * 3600.0),  # ... and west of it
        (MOMENT, MOMENT - 1e8, 1e8),  # nothing was changed for years, or the clock was ahead
        (MOMENT, None, LAG),  # rows show no stamp
        (None, MOMENT - 1e8, 1e8),  # the server does not tell its clock: its stamps do
        (None, None, LAG),
    ],
)
def test_a_window_begins_by_the_platforms_clock(date: float | None, newest: float | None, back: float) -> None:
    """The server's `Date`, set back to the newest stamp where that lies behind; our clock where it tells none."""
    cursor = Cursor("people", None, True, 1, MOMENT, MOMENT)
    assert watermark(cursor, Tally(date=date, stamp=newest)) == pytest.approx(MOMENT - OVERLAP - back)


def test_an_id_is_told_from_the_parts_of_a_record(desk: Desk) -> None:
    """The mark between a record and its parts is quoted in a row's id, and the id comes back as it was."""
    [record] = keyed(desk.run(), "clients", [{"id": "12#3"}], 0).records
    assert "#" not in record.key and id_in(record.key) == "12#3"
