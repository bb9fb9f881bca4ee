"""docs/orchestrators/dagster.md does what it says, with Dagster itself."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engine
from tests.e2e.driving import SPEC
from tests.orchestrators.pages import (
    NEW_NAME,
    Move,
    blocks,
    moving,
    started,
    typed,
)

PAGE = "dagster.md"
(CODE,) = blocks(PAGE, "python")
POOLS, LOGS = blocks(PAGE, "yaml")
(APPROVAL,) = blocks(PAGE, "shell")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("dagster") is None,
        reason="Dagster is not installed here; .ci/run installs it into an environment of its own and runs this there",
    ),
]

# What follows a page's code in a program of the tests: jobs are named, run in this process, and told.
JOBS = """
import json, sys

with dg.DagsterInstance.get() as instance:
    for name in sys.argv[1:]:
        done = defs.get_job_def(name).execute_in_process(instance=instance, raise_on_error=False)
        told = {}
        for event in done.all_events:
            if event.event_type == dg.DagsterEventType.STEP_OUTPUT:
                told |= {key: value.value for key, value in event.step_output_data.metadata.items()}
            if event.event_type == dg.DagsterEventType.STEP_FAILURE:
                told |= {key: value.value for key, value in event.step_failure_data.user_failure_data.metadata.items()}
                told["failure"] = event.step_failure_data.user_failure_data.description
            if event.event_type == dg.DagsterEventType.STEP_RESTARTED:
                told["restarted"] = True
        print(json.dumps({"success": done.success, **told}))
"""
# An op called by itself: how it wants to be retried.
RETRY = """
import json

try:
    globals()[sys.argv[1]](dg.build_op_context())
except dg.RetryRequested as retry:
    print(json.dumps([retry.seconds_to_wait, time.time(), str(retry.__cause__)]))
"""
# The schedules, asked for moments; first with nobody at work, then with a run that was begun and has not ended.
TICKS = """
import json

def asked(schedule, at):
    with dg.DagsterInstance.get() as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        return type(schedule(context)).__name__ == "RunRequest"

half = timedelta(minutes=30)
deltas = [asked(while_people_work, at) for at in (BEGIN - half, BEGIN, END - half, END)]
mornings = [END.replace(hour=6) + timedelta(days=days) for days in (-1, 0, 1)]
verified = [asked(in_the_end, at) for at in mornings]
with dg.DagsterInstance.get() as instance:
    instance.create_run_for_job(delta, status=dg.DagsterRunStatus.STARTED)
print(json.dumps([deltas, verified, asked(while_people_work, BEGIN), (END - BEGIN).total_seconds() / 3600]))
"""


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    """The folder as the page wants it, and an instance of Dagster with the page's settings."""
    with moving(tmp_path / "move") as made:
        (made.folder / "definitions.py").write_text(CODE, encoding="utf-8")
        (made.folder / "dagster.yaml").write_text(f"{POOLS}{LOGS}telemetry: {{enabled: false}}\n", encoding="utf-8")
        yield made


def ran(move: Move, after: str, *words: str) -> list[Any]:
    """Lines of JSON that a program prints: the page's code, and something after it."""
    path = move.folder / "trial.py"
    path.write_text(CODE + "import sys\n" + after, encoding="utf-8")
    env = {**move.accounts.env, "DAGSTER_HOME": str(move.folder)}
    done = started([sys.executable, str(path), *words], move.folder, env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert move.accounts.source.key not in done.stdout + done.stderr
    with (move.folder / "told.log").open("a", encoding="utf-8") as log:
        log.write(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]


def approve(move: Move) -> None:
    """What the page has a person type."""
    done = started(["sh", "-c", typed(move.placed(APPROVAL))], move.folder, move.accounts.env)
    assert done.returncode == 0, done.stderr


def test_the_move_from_sample_to_verify(move: Move) -> None:
    """Refused without an approval; then run, delta and verify, a success each, with figures, a report, the log and no key in any file."""
    sample, refused = ran(move, JOBS, "sample", "run")
    assert sample["success"] and sample["written"] > 20
    assert not refused["success"] and refused["exit_code"] == 4 and "not approved" in refused["failure"]
    assert "restarted" not in refused
    approve(move)
    everything = ran(move, JOBS, "run")[0]
    assert everything["success"] and everything["missing"] == 0 and everything["arrived"] > sample["arrived"]
    before = move.names_of_the_client()
    move.rename_a_client()
    delta, verified = ran(move, JOBS, "delta", "verify")
    assert NEW_NAME not in before and move.names_of_the_client() == [NEW_NAME]
    assert delta["success"] and delta["written"] >= 1
    assert verified["success"] and (verified["missing"], verified["written"]) == (0, 0)
    reports = {found["report"] for found in (sample, everything, delta, verified)}
    assert len(reports) == 4 and all("<html" in Path(path).read_text(encoding="utf-8") for path in reports)
    assert "stage begins: load" in (move.folder / "told.log").read_text(encoding="utf-8")
    assert move.holding_a_key() == []


@pytest.mark.usefixtures("within_a_day")
def test_a_pause_is_waited_for(move: Move) -> None:
    """Where the day's quota is spent, the op asks to be retried at the moment that etl names, after midnight UTC."""
    ran(move, JOBS, "sample")
    approve(move)
    move.leave_little_of_the_day()
    ((wait, now, told),) = ran(move, RETRY, "move_everything")
    named = told.rpartition("from ")[2]
    assert named.endswith("UTC") and "quota is spent" in told
    assert 0 < wait <= 86_401
    at = subprocess.run(["date", "-u", "-d", f"@{now + wait:.0f}", "+%Y-%m-%d %H:%M"], capture_output=True, text=True, check=True)
    assert named.startswith(at.stdout.strip())
    move.begin_another_day()
    assert ran(move, JOBS, "delta", "verify")[1]["missing"] == 0


def test_a_second_writer_is_retried_later(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else holds the store nothing is moved, the message says so, and the op comes back in five minutes."""
    monkeypatch.chdir(move.folder)
    with engine.open(SPEC, environment="live", env=move.accounts.env):
        ((wait, _, told),) = ran(move, RETRY, "move_sample")
    assert wait == 300 and "another etl command is using this store" in told


def test_the_schedules_fill_the_window(move: Move) -> None:
    """Deltas from BEGIN until before END, one or two days, none beside another; one verification, on the morning after."""
    ((deltas, verified, beside, hours),) = ran(move, TICKS)
    assert deltas == [False, True, True, False]
    assert verified == [False, True, False]
    assert beside is False and 24 <= hours <= 48
