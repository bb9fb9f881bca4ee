"""Rows on their way into the store."""

from __future__ import annotations

import pytest

from engine.errors import UnsafePlan
from engine.reading import as_record, reaches, stamp
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
    assert reaches([{"changed": text} if text is not None else {} for text in stamps], "changed", MOMENT) is there


def test_an_id_that_cannot_be_told_from_a_part_is_refused(desk: Desk) -> None:
    """A row whose id holds the mark between a record and its parts stops the reading with its collection."""
    with pytest.raises(UnsafePlan, match="clients has an id with '#'"):
        as_record(desk.run(), "clients", {"id": "12#3"})
