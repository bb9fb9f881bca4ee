"""docs/orchestrators/airflow.md does what it says, with Airflow itself."""

from __future__ import annotations

import importlib.util
import json
import re
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
    program,
    says,
    started,
    typed,
)

PAGE = "airflow.md"
(CODE,) = blocks(PAGE, "python")
APPROVAL, POOL, CONNECTIONS = blocks(PAGE, "shell")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("airflow") is None,
        reason="Airflow is not installed here; .ci/run installs it into an environment of its own and runs this there",
    ),
]

BEGINNING = """
import json, logging, sys
sys.path.insert(0, "dags")
import stel_order_to_pipedrive as page
"""
# DAGs are named, run in this process, and told.
RUNS = f"""{BEGINNING}
for name in sys.argv[1:]:
    made = getattr(page, name)
    done = made.test(logical_date=made.start_date or page.BEGIN)
    (task,) = done.get_task_instances()
    print(json.dumps({{"state": str(done.state), "tries": task.try_number, **(task.xcom_pull(task_ids=name) or {{}})}}))
"""
# What a task raises where it has to come back, and when; its callable is called as Airflow calls it.
RAISED = f"""{BEGINNING}
try:
    getattr(page, sys.argv[1]).get_task(sys.argv[1]).python_callable()
except Exception as error:
    at = getattr(error, "reschedule_date", None)
    print(json.dumps([type(error).__name__, at and at.strftime("%Y-%m-%d %H:%M"), str(error.__cause__ or error)]))
"""
# All starts that the timetables give, with what a DAG allows; and what parsing the folder came to.
TIMES = f"""{BEGINNING}
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

bag = DagBag("dags")
found = {{}}
for name in ("sample", "run", "delta", "verify"):
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(bag.dags[f"{{page.NAME}}_{{name}}"]))
    last, starts = None, []
    while len(starts) < 200:
        given = dag.next_dagrun_info(last_automated_run_info=last)
        if given is None:
            break
        starts.append(given.run_after.isoformat())
        last = given
    task = dag.get_task(name)
    found[name] = [starts, dag.max_active_runs, task.pool, task.retries]
print(json.dumps([found, bag.import_errors, page.BEGIN.isoformat(), page.END.isoformat()]))
"""


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    """The folder as the page wants it, and an Airflow that has its file of DAGs and its pool."""
    with moving(tmp_path / "move") as made:
        (made.folder / "dags").mkdir()
        (made.folder / "dags/stel_order_to_pipedrive.py").write_text(made.placed(CODE), encoding="utf-8")
        done = started([program("airflow"), "db", "migrate"], made.folder, env_of(made))
        assert done.returncode == 0, done.stderr
        done = started(["sh", "-c", typed(POOL)], made.folder, env_of(made))
        assert done.returncode == 0, done.stderr
        yield made


def env_of(move: Move) -> dict[str, str]:
    """The page's connections, to the accounts of the test, in an Airflow of its own."""
    shown = {
        "https://app.stelorder.com/app": move.accounts.source,
        "https://YOUR-COMPANY.pipedrive.com": move.accounts.destination,
    }
    connections = {}
    for line in CONNECTIONS.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        data = json.loads(value.strip("'"))
        account = shown[data["host"]]
        connections[name] = json.dumps({**data, "host": account.base_url, "password": account.key})
    home = move.folder.parent / "airflow"
    return {
        **connections,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(move.folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the other way asks a server for names
    }


def ran(move: Move, code: str, *words: str) -> list[Any]:
    """Lines of JSON that a program prints."""
    done = started([sys.executable, "-c", code, *words], move.folder, env_of(move), 180)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert move.accounts.source.key not in done.stdout + done.stderr
    with (move.folder / "told.log").open("a", encoding="utf-8") as log:
        log.write(done.stdout + done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(('{"state"', "["))]


def approve(move: Move) -> None:
    """What the page has a person type, without a variable of the accounts."""
    done = started(["sh", "-c", typed(move.placed(APPROVAL))], move.folder, {})
    assert done.returncode == 0, done.stderr


def test_the_move_from_sample_to_verify(move: Move) -> None:
    """Refused without an approval, and not retried; then run, delta and verify succeed, with figures, a report and no key in a file."""
    sample, refused = ran(move, RUNS, "sample", "run")
    assert sample["state"] == "success" and sample["written"] > 20
    assert (refused["state"], refused["tries"]) == ("failed", 1) and "report" not in refused
    assert "is not approved" in (move.folder / "told.log").read_text(encoding="utf-8")
    approve(move)
    (everything,) = ran(move, RUNS, "run")
    assert everything["state"] == "success" and everything["missing"] == 0 and everything["arrived"] > sample["arrived"]
    before = move.names_of_the_client()
    move.rename_a_client()
    delta, verified = ran(move, RUNS, "delta", "verify")
    assert NEW_NAME not in before and move.names_of_the_client() == [NEW_NAME]
    assert delta["state"] == "success" and delta["written"] >= 1
    assert verified["state"] == "success" and (verified["missing"], verified["written"]) == (0, 0)
    reports = {found["report"] for found in (sample, everything, delta, verified)}
    assert len(reports) == 4 and all("<html" in Path(path).read_text(encoding="utf-8") for path in reports)
    assert "stage begins: load" in (move.folder / "told.log").read_text(encoding="utf-8")
    assert move.holding_a_key() == []


def in_the_past(move: Move) -> None:
    """The window of the page was years ago, as it will be for whoever runs this later."""
    path = move.folder / "dags/stel_order_to_pipedrive.py"
    text, many = re.subn(r"(?m)^BEGIN = datetime\(\d+,", "BEGIN = datetime(2020,", path.read_text(encoding="utf-8"))
    assert many == 1
    path.write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("within_a_day")
def test_a_pause_and_a_second_writer_come_back(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store is held nothing is moved and the task retried; on a spent day it is rescheduled to the moment that etl names."""
    in_the_past(move)
    monkeypatch.chdir(move.folder)
    with engine.open(SPEC, environment="live", env=move.accounts.env):
        ((kind, at, told),) = ran(move, RAISED, "sample")
    assert (kind, at) == ("StoreError", None) and "another etl command is using this store" in told
    ran(move, RUNS, "sample")
    approve(move)
    move.leave_little_of_the_day()
    ((kind, at, told),) = ran(move, RAISED, "run")
    assert kind == "AirflowRescheduleException" and f"from {at}" in told
    delta = [sys.executable, "-c", RUNS, "delta"]  # it waits for that moment, and the test does not
    assert says("UP_FOR_RESCHEDULE", delta, move.folder, env_of(move))
    move.begin_another_day()
    assert [found["state"] for found in ran(move, RUNS, "delta", "verify")] == ["success", "success"]


def test_the_timetables_fill_the_window(move: Move) -> None:
    """The file is parsed; deltas from BEGIN until before END, one or two days, half an hour apart; one verification after them."""
    ((found, errors, begin, end),) = ran(move, TIMES)
    assert errors == {}
    assert [found[name][0] for name in ("sample", "run")] == [[], []]
    deltas, verified = found["delta"][0], found["verify"][0]
    assert deltas[0] == begin and 48 <= len(deltas) <= 96 and begin < deltas[-1] < end
    assert len(verified) == 1 and verified[0] >= end
    assert {tuple(rest) for _, *rest in found.values()} == {(1, "stel_order_to_pipedrive", 5)}
