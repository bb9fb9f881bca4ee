"""What holds for the page of every scheduler, and for what its tests lean on; no scheduler is needed."""

from __future__ import annotations

import pytest

from tests.orchestrators.pages import codes, wait_for_a_day

NOON = 43_200.0  # of a day, in seconds
MIDNIGHT = 86_400.0


@pytest.mark.parametrize("page", ["airflow.md", "cron.md", "dagster.md"])
def test_every_exit_code_is_explained(page: str) -> None:
    """The page's table has the codes that the command line has."""
    assert codes(f"orchestrators/{page}") == codes("cli.md")


@pytest.mark.parametrize(
    ("now", "waited"),
    [(NOON, 0.0), (MIDNIGHT, 0.0), (MIDNIGHT - 300, 0.0), (MIDNIGHT - 299, 300.0), (7 * MIDNIGHT - 1, 2.0)],
)
def test_a_day_that_is_nearly_over_is_waited_out(now: float, waited: float) -> None:
    """Less than the time that is needed before midnight UTC is waited out, to a second after it; nothing else is."""
    assert wait_for_a_day(now, 300) == waited
