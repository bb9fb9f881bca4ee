"""Which of the times of a fleet depend on one another: each test is a reason."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path

import pytest

from fleet import waits
from fleet.ending import (
    AFTER_CRASH,
    AFTER_REFUSAL,
    AFTER_STORE,
    HEALTHY,
    SOUND,
)
from fleet.records.database import LINK

ROOT = Path(__file__).resolve().parents[2]
MINUTE = 60.0
SEVERAL = 3  # that may be lost, or come late


def test_a_lost_word_is_no_death() -> None:
    """Several signs of life may be lost before anybody acts: a worker's to the database, and its words to a turn."""
    assert SEVERAL * waits.HEARTBEAT < waits.DEAD
    assert SEVERAL * waits.LOOKS < waits.SILENCE


def test_a_turn_ends_before_others_have_its_migration() -> None:
    """A turn whose worker is frozen begins to end before that worker is taken for dead."""
    assert waits.SILENCE < waits.DEAD


def test_a_worker_that_waits_for_its_turns_is_not_dead() -> None:
    """Stopped, a worker gives no sign of life more: its last one lasts until its turns have ended or were killed."""
    assert waits.HEARTBEAT + waits.ENDS < waits.DEAD


def test_another_machine_goes_on_within_a_minute() -> None:
    """Wherever in the time of a look a worker is found dead, a try falls into the time between the end of its lease and a minute; no person is needed."""
    starts = 1.0  # seconds of a process
    for found in range(int(waits.DEAD), int(waits.DEAD + waits.HEARTBEAT + waits.POLLS) + 1):
        tries = [found + starts + after for after in accumulate((0.0, *AFTER_STORE))]
        assert any(at >= waits.HOLDS and at + waits.POLLS < MINUTE for at in tries), found
        assert tries[-1] > waits.HOLDS


def test_files_of_a_turn_stay_until_it_has_ended() -> None:
    """A turn whose worker was killed or is frozen has its folder until it is over."""
    assert waits.SILENCE + waits.ENDS < waits.PARTING


def test_no_time_is_none() -> None:
    """None is so short that a server or a library takes it for no limit at all."""
    times = {name: value for name, value in vars(waits).items() if isinstance(value, float)}
    assert len(times) > 20 and min(times.values()) > 0
    assert min(waits.GLANCE, waits.IDLE, waits.LOCKED, waits.UNANSWERED) >= 0.001 and waits.CONNECTS >= 1


def test_who_made_room_comes_second() -> None:
    """The migration that waits for an account asks before the one that left it does, however late it is taken from the queue."""
    assert waits.ROOM > waits.POLLS and waits.ROOM + waits.BUSY < waits.SLICE


def test_a_lock_outlasts_who_holds_it_in_silence() -> None:
    """A session that does nothing within its transaction is ended before those that wait for its locks give up; nothing of that takes until death."""
    assert waits.GLANCE < waits.HEARTBEAT
    assert waits.IDLE < waits.LOCKED < waits.UNANSWERED < waits.DEAD
    alive = int(str(LINK["keepalives_idle"])) + int(str(LINK["keepalives_interval"])) * int(str(LINK["keepalives_count"]))
    assert alive <= waits.UNANSWERED and LINK["tcp_user_timeout"] == waits.UNANSWERED * 1000
    assert f"{waits.IDLE * 1000:.0f}" in str(LINK["options"]) and f"{waits.LOCKED * 1000:.0f}" in str(LINK["options"])


def test_failures_in_a_row_are_told_from_work() -> None:
    """What counts as work that ends a count is longer than what a count itself may wait, or a count would never end in a person."""
    assert max(*AFTER_REFUSAL, *AFTER_STORE, *AFTER_CRASH) <= HEALTHY and max(AFTER_STORE) < SOUND < waits.SLICE


@pytest.mark.parametrize(("file", "says"), [("docs/fleet.md", r"TimeoutStopSec=(\d+)"), ("compose.yaml", r"stop_grace_period: (\d+)s")])
def test_who_stops_a_worker_waits_for_it(file: str, says: str) -> None:
    """The turns' calls in flight are recorded, and the last news are told, before the machine kills the worker."""
    found = re.search(says, (ROOT / file).read_text(encoding="utf-8"))
    assert found and float(found[1]) > waits.ENDS + waits.TOLD


def test_the_page_says_the_times_that_are() -> None:
    """What an operator reads about waiting is what the fleet does."""
    page = (ROOT / "docs/fleet.md").read_text(encoding="utf-8")
    for text in (
        f"taken for dead after {waits.DEAD:.0f} s",
        f"runs out {waits.HOLDS:.0f} s after its last sign of life, or {waits.BEYOND:.0f} s later",
        f"after {waits.SILENCE:.0f} s without a word",
        f"(at most {waits.ENDS:.0f} s)",
        f"as its last word, and has {waits.TAKES:.0f} s",
    ):
        assert text in page
