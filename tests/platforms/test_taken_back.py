"""Whether a migration was taken back is what its journal says, whatever the words of its commands."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer
from tests.platforms.project import STORE, Project
from tests.platforms.test_command_edges import contacts
from tests.platforms.trials import firms_and_people


@pytest.fixture
def trial(serve: Serve, tmp_path: Path) -> Project:
    """Two people, who become contacts."""
    return people(serve, tmp_path, 2)


def people(serve: Serve, folder: Path, many: int) -> Project:
    """So many people, who become contacts."""
    return contacts(serve, folder, [{"id": at, "name": f"Person {at}"} for at in range(1, many + 1)])


def rolled_back(trial: Project) -> bool:
    """What `status` says."""
    return bool(trial.etl("status", "--json").data()["rolled_back"])


def there(trial: Project) -> int:
    """Contacts in the destination."""
    return len(trial.platform.tables["contacts"])


@pytest.mark.parametrize("status", [401, 500])
def test_a_run_that_wrote_nothing_lifts_no_guard(trial: Project, status: int) -> None:
    """After a rollback, a sample that fails at the source leaves a delta refused, and nothing is there to verify."""
    trial.full(code=0)
    trial.rollback(code=0)
    trial.platform.before.append(lambda _, __: Answer(status))
    assert trial.etl("run", "--sample", "--refresh").code in (2, 3)
    trial.platform.before.clear()
    assert trial.etl("run", "--delta").code == 4 and there(trial) == 0
    assert rolled_back(trial) and "was rolled back" in trial.etl("verify", code=2).err


def test_a_run_that_was_killed_before_it_wrote_lifts_no_guard(trial: Project) -> None:
    """The same of a run that could not say how it ended."""
    trial.full(code=0)
    trial.rollback(code=0)
    with sqlite3.connect(trial.folder / STORE) as db:
        db.execute("INSERT INTO runs (command, started, spec_digest, outcome) VALUES ('run', 0, 'x', 'running')")
    assert trial.etl("run", "--delta").code == 4 and there(trial) == 0


def test_a_rollback_that_came_to_nothing_is_none(trial: Project) -> None:
    """A key that is refused has taken nothing back: the sample can be approved, and a delta goes on."""
    trial.run("--sample", code=0)
    trial.platform.before.append(lambda _, __: Answer(401))
    assert trial.etl("rollback", "--yes").code == 3
    trial.platform.before.clear()
    assert not rolled_back(trial) and "Rolled back" not in trial.etl("status").out
    assert trial.etl("report").err == ""
    trial.etl("approve", "--by", "Ana", code=0)
    trial.delta(code=0)


def test_a_sample_that_was_taken_back_leaves_the_guard_of_the_rollback_before(trial: Project) -> None:
    """A rollback of everything that left a row is one, also when a later sample came and went."""
    trial.full(code=0)
    first = trial.platform.tables["contacts"][0]["id"]
    trial.platform.before.append(
        lambda _, request: Answer(422, {"error": "no"}) if request.method == "DELETE" and request.path.endswith(f"/{first}") else None
    )
    assert trial.etl("rollback", "--yes").code == 1
    trial.platform.before.clear()
    trial.run("--sample")
    trial.etl("rollback", "--run", "3", "--yes")
    assert trial.etl("run", "--delta").code == 4 and there(trial) == 1
    assert "Rolled back in part: 1 row" in trial.etl("status").out


def test_a_rollback_that_ends_halfway_is_one(serve: Serve, tmp_path: Path) -> None:
    """However it ended: what it deleted is not made again by a delta that comes by a schedule."""
    trial = firms_and_people(serve, tmp_path, 4)
    file = tmp_path / "destination.yaml"
    connector = json.loads(file.read_text(encoding="utf-8"))
    connector["limits"] = {"burst": {"unit": "cost", "per": 10, "window": "rolling", "amount": {"*": 100}}}
    for resource in connector["resources"].values():
        for name in {"list", "read", "create", "update", "delete"} & resource.keys():
            resource[name]["cost"] = 1
    file.write_text(json.dumps(connector), encoding="utf-8")
    trial.full(code=0)
    connector["resources"]["companies"]["delete"]["cost"] = 200
    file.write_text(json.dumps(connector), encoding="utf-8")
    assert "a call costs 200" in trial.etl("rollback", "--yes", code=2).err and there(trial) == 0
    assert trial.etl("run", "--delta").code == 4 and there(trial) == 0


def three(trial: Project) -> None:
    """Two people by a full run, a third by a delta, which is taken back."""
    trial.full(code=0)
    trial.platform.tables["people"].append({"id": 3, "name": "Person 3"})
    trial.delta(code=0)
    trial.etl("rollback", "--run", "2", "--yes", code=0)


def test_an_older_version_did_not_say_of_which_run_a_rollback_was(trial: Project) -> None:
    """Rows that such a rollback left are not told as left over: nobody is advised to delete them."""
    three(trial)
    with sqlite3.connect(trial.folder / STORE) as db:
        db.execute("UPDATE runs SET command='rollback' WHERE id=3")
    assert not rolled_back(trial) and "repeat it" not in trial.etl("status").out


def test_a_sample_can_be_approved_whatever_became_of_later_runs(trial: Project) -> None:
    """Its rows stand, and can be looked at."""
    trial.run("--sample", code=0)
    trial.etl("approve", "--by", "Ana", code=0)
    trial.platform.tables["people"].append({"id": 3, "name": "Person 3"})
    trial.delta(code=0)
    trial.etl("rollback", "--run", "2", "--yes", code=0)
    trial.etl("approve", "--by", "Ana", code=0)
    trial.etl("rollback", "--run", "1", "--yes", code=0)
    assert "was rolled back since" in trial.etl("approve", "--by", "Ana", code=4).err


@pytest.mark.parametrize("words", [("plan", "--sample", "5"), ("plan", "--sample", "5", "--refresh"), ("run", "--sample", "5")])
def test_a_sample_hides_no_missing_row(serve: Serve, tmp_path: Path, words: Sequence[str]) -> None:
    """A sample makes drafts of few records; what a full run wrote is verified all the same."""
    trial = people(serve, tmp_path, 40)
    trial.full(code=0)
    trial.platform.tables["contacts"].pop(30)
    trial.etl(*words)
    assert trial.etl("verify", code=1).out.splitlines()[1] == "39 of 40 records arrived; 1 needs attention"


@pytest.mark.parametrize("words", [("plan", "--sample", "5"), ("run", "--sample", "5")])
def test_a_sample_hides_no_failed_record(serve: Serve, tmp_path: Path, words: Sequence[str]) -> None:
    """What was refused in a full run, and what it failed unsent, is as failed after a sample that has few drafts of it."""
    trial = firms_and_people(serve, tmp_path, 40)
    spec = trial.spec()
    spec["objects"]["contacts"]["fields"]["company"] = {"lookup": "companies", "by": "firm", "on_miss": "fail"}
    trial.write_spec(spec)
    for person in trial.platform.tables["people"][20:30]:
        person["firm"] = 99
    trial.platform.before.append(odd.refusing("POST", "contacts", name="Person 31"))
    trial.full(code=1)
    before = trial.verify(code=1)["verdict"]
    trial.etl(*words)
    after = trial.verify(code=1)["verdict"]
    told = [(said["arrived"], said["failed"], said["missing"]) for said in (before, after)]
    assert told == [(31, 11, 0)] * 2


def test_a_sample_after_a_rollback_of_one_run_narrows_no_verification(serve: Serve, tmp_path: Path) -> None:
    """The rows of the other runs stand, and are verified."""
    trial = people(serve, tmp_path, 40)
    trial.full(code=0)
    trial.platform.tables["people"].append({"id": 43, "name": "Person 43"})
    trial.delta(code=0)
    trial.etl("rollback", "--run", "2", "--yes", code=0)
    trial.run("--sample", "5")
    trial.platform.tables["contacts"].pop(30)
    assert "39 of 40 records arrived" in trial.etl("verify", code=1).out


def test_rows_that_are_gone_have_taken_their_changes_along(trial: Project) -> None:
    """What a delta changed in a row counts no more once the run that made the row is taken back."""
    trial.full(code=0)
    trial.platform.tables["people"][0]["name"] = "Person 1 changed"
    trial.delta(code=0)
    trial.etl("rollback", "--run", "1", "--yes", code=0)
    assert there(trial) == 0 and rolled_back(trial)
    assert trial.etl("run", "--delta").code == 4 and there(trial) == 0


def test_a_run_that_retried_nothing_lifts_no_guard(trial: Project) -> None:
    """`run --failed` that had nothing to do has moved nothing."""
    trial.full(code=0)
    trial.rollback(code=0)
    trial.etl("run", "--failed")
    assert trial.etl("run", "--delta").code == 4 and there(trial) == 0


def test_a_verification_that_is_taken_back_narrows_none(trial: Project) -> None:
    """A rollback of a command that wrote nothing leaves what a verification looks at as it was."""
    trial.full(code=0)
    trial.platform.tables["contacts"].pop(0)
    trial.etl("verify", code=1)
    trial.etl("rollback", "--run", "2", "--yes")
    assert "1 of 2 records arrived" in trial.etl("verify", code=1).out
