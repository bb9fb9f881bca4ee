"""What the pages' tests share beside the project."""

from __future__ import annotations

import time

import pytest

from tests.orchestrators.pages import PAUSE_TAKES, wait_for_a_day


@pytest.fixture
def within_a_day() -> None:
    """The quota's day does not turn during the test: near its end, the next one is waited for."""
    time.sleep(wait_for_a_day(time.time(), PAUSE_TAKES))
