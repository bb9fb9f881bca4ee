"""What platforms say of time, read as they mean it; nonsense is told apart and never raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connector.times import LONGEST, moment, wait

NOW = 1_767_268_800.0  # Thu, 01 Jan 2026 12:00:00 GMT


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("250ms", 0.25),
        ("1m30s", 90.0),
        ("2 h", 7200.0),
        ("1500000us", 1.5),
        (str(NOW + 12), 12.0),
        (str(int((NOW + 3) * 1e3)), 3.0),
        (str(int((NOW + 3) * 1e6)), 3.0),
        (str(int((NOW + 3) * 1e9)), 3.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("2026-01-01T12:00:30Z", 30.0),
        ("2026-01-01T13:00:30+01:00", 30.0),
        ("Thu, 01 Jan 2015 00:00:00 GMT", 0.0),
        ("-7", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e308", None),
        ("1000000000000", None),
        ("99999999999", None),
        ("999999d", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Fri, 31 Feb 99999 23:59:59 GMT", None),
        ("9" * 400, None),
        ("", None),
    ],
)
def test_how_long_a_platform_asks_to_wait(told: str, seconds: float | None) -> None:
    """Seconds, figures with a unit, and moments in every unit since 1970 or as a date; None for what is none of these."""
    assert wait(told, NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("1500", 1.5), ("0", 0.0), ("250.5", 0.2505), ("2s", 2.0), ("250ms", 0.25), (str(int(NOW + 12)), 12.0), (str(int((NOW + 3) * 1e3)), 3.0),
        ("60000000", 60000.0), ("-7", None), ("1000000000000", None), ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
    ],
)  # fmt: skip
def test_a_platform_that_counts_milliseconds(told: str, seconds: float | None) -> None:
    """A bare figure counts in the unit that the connector names; one with a unit, a moment and a date are what they were."""
    assert wait(told, NOW, 1e-3) == (None if seconds is None else pytest.approx(seconds))


@given(st.text() | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(str))
def test_no_text_makes_a_wait_without_an_end(told: str) -> None:
    """Whatever a header says, it is a wait of at most a month, or nonsense."""
    seconds = wait(told, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("2026-01-01T12:00:00Z", NOW),
        ("2026-01-01 12:00:00", NOW),
        ("2026-01-01T12:00:00+0000", NOW),
        ("2026-01-01T14:00:00+02:00", NOW),
        ("Thu, 01 Jan 2026 12:00:00 GMT", NOW),
        (NOW, NOW),
        (int(NOW * 1e3), NOW),
        (str(int(NOW * 1e6)), NOW),
        (None, None),
        (True, None),
        ("", None),
        ("yesterday", None),
        ({"at": 1}, None),
        (0, None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_what_a_stamp_says(told: Any, found: float | None) -> None:
    """A stamp is read in whichever form the platform writes it; what is none tells nothing."""
    assert moment(told) == found
