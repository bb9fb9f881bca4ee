"""How many records were skipped is one number on one store, whichever command is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer
from tests.platforms.project import Done, Project
from tests.platforms.trials import firms_and_people

LOOKED_UP = {"lookup": "companies", "by": "firm", "on_miss": "skip"}


def start(serve: Serve, folder: Path) -> Project:
    """Four contacts, of which two name a firm that is not there, and are skipped."""
    trial = firms_and_people(serve, folder, 4)
    spec = trial.spec()
    spec["objects"]["contacts"]["fields"]["company"] = LOOKED_UP
    trial.write_spec(spec)
    for person in trial.platform.tables["people"][:2]:
        person["firm"] = 99
    return trial


def told(trial: Project, *words: str) -> int:
    """How many records a command says were skipped, in its summary and in its document."""
    plain, data = (trial.etl(*words, *more).out for more in ((), ("--json",)))
    number = int(Done(0, data, "").data()["verdict"]["skipped"])
    assert (f"{number} skipped" in plain) == bool(number), plain
    return number


def status(trial: Project) -> int:
    """How many `etl status` says were skipped."""
    found: dict[str, Any] = trial.etl("status", "--json").data()
    number = int(found["skipped"])
    assert (f"{number} skipped" in trial.etl("status").out) == bool(number)
    return number


COMMANDS = [("run",), ("run", "--delta"), ("verify",), ("run", "--failed")]


def everywhere(trial: Project) -> list[int]:
    """The number by every command, status last."""
    return [*(told(trial, *words) for words in COMMANDS), status(trial)]


def test_every_command_says_the_same(serve: Serve, tmp_path: Path) -> None:
    """A run, a delta with nothing to do, a verification, another try of what failed, and the status."""
    trial = start(serve, tmp_path)
    trial.full(code=None)
    assert everywhere(trial) == [2, 2, 2, 2, 2]
    assert "Nothing had changed" in trial.etl("run", "--delta").out


def test_a_delta_does_not_count_what_it_left_alone_as_looked_at(serve: Serve, tmp_path: Path) -> None:
    """A delta that writes one row says that one of one arrived, and how many are skipped in all."""
    trial = start(serve, tmp_path)
    trial.full(code=None)
    trial.platform.tables["people"][3]["name"] = "Person 4 changed"
    out = trial.etl("run", "--delta").out
    assert "1 of 1 records arrived" in out and "2 skipped" in out


@pytest.mark.parametrize("fresh", [("--refresh",), ("--sample", "--refresh")], ids=["whole", "sample"])
def test_what_only_a_plan_skips_is_not_counted(fresh: tuple[str, ...], serve: Serve, tmp_path: Path) -> None:
    """After a plan of a source that has two more records, of which one is skipped, the number is still that
    of the run; the next run counts the other, too.
    """
    trial = start(serve, tmp_path)
    trial.full(code=None)
    more = [{"id": 5, "name": "Person 5", "firm": 98}, {"id": 6, "name": "Person 6", "firm": 1}]
    trial.platform.tables["people"] += more
    trial.etl("plan", *fresh)
    assert [told(trial, "verify"), status(trial)] == [2, 2]
    assert everywhere(trial) == [3, 3, 3, 3, 3]


def test_a_rollback_leaves_none(serve: Serve, tmp_path: Path) -> None:
    """Nothing was skipped where nothing is left; a sample after it counts its own."""
    trial = start(serve, tmp_path)
    trial.full(code=None)
    trial.rollback(code=0)
    assert status(trial) == 0
    trial.run("--sample")
    assert [told(trial, "verify"), status(trial)] == [2, 2]


def under_another_name(trial: Project) -> None:
    """The spec calls its contacts persons."""
    spec = trial.spec()
    contacts = spec["objects"].pop("contacts")
    spec["objects"]["persons"] = {**contacts, "was": "contacts"}
    trial.write_spec(spec)


def test_a_new_name_takes_along_what_was_skipped(serve: Serve, tmp_path: Path) -> None:
    """What was skipped of an object is so under its new name."""
    trial = start(serve, tmp_path)
    trial.full(code=None)
    under_another_name(trial)
    trial.etl("plan")
    assert [told(trial, "verify"), status(trial)] == [2, 2]
    assert everywhere(trial) == [2, 2, 2, 2, 2]


def test_a_new_name_takes_along_what_failed(serve: Serve, tmp_path: Path) -> None:
    """A record that a run failed without a call is failed under the new name of its object."""
    trial = start(serve, tmp_path)
    spec = trial.spec()
    spec["objects"]["contacts"]["fields"]["company"] = {**LOOKED_UP, "on_miss": "fail"}
    trial.write_spec(spec)
    trial.full(code=None)
    before = trial.verify()["verdict"]["failed"]
    under_another_name(trial)
    trial.etl("plan")
    assert [before, trial.verify()["verdict"]["failed"]] == [2, 2]


def test_what_fails_before_it_is_sent_is_judged_after_a_plan(serve: Serve, tmp_path: Path) -> None:
    """A record that a run failed without a call is as failed in a verification after a plan as before."""
    trial = start(serve, tmp_path)
    spec = trial.spec()
    spec["objects"]["contacts"]["fields"]["company"] = {**LOOKED_UP, "on_miss": "fail"}
    trial.write_spec(spec)
    trial.full(code=None)
    before = trial.verify()["verdict"]
    trial.etl("plan")
    after = trial.verify()["verdict"]
    assert (before["failed"], after["failed"], after["skipped"]) == (2, 2, 0)


@pytest.mark.parametrize(("policy", "counted"), [("skip", (2, 1)), ("fail", (0, 3))])
def test_what_leans_on_a_refused_row_is_judged_after_a_plan(
    policy: str, counted: tuple[int, int], serve: Serve, tmp_path: Path
) -> None:
    """A record that could not be written after all, for the row that it names was refused, is as skipped or as failed after a plan."""
    trial = firms_and_people(serve, tmp_path, 4)
    spec = trial.spec()
    spec["objects"]["contacts"]["fields"]["company"] = {**LOOKED_UP, "on_miss": policy}
    trial.write_spec(spec)
    for person, firm in zip(trial.platform.tables["people"], (1, 1, 2, 2), strict=True):
        person["firm"] = firm
    refused = trial.platform.tables["firms"][0]["name"]
    trial.platform.before.append(
        lambda _, one: Answer(422, {"error": "no"}) if one.creates("companies") and one.body["name"] == refused else None
    )
    trial.full(code=1)
    before = trial.verify()["verdict"]
    trial.etl("plan")
    after = trial.verify()["verdict"]
    assert [(said["skipped"], said["failed"], said["missing"]) for said in (before, after)] == [(*counted, 0)] * 2
    assert status(trial) == counted[0]


def bereft(serve: Serve, tmp_path: Path) -> Project:
    """All contacts have arrived, and one has lost its firm since."""
    trial = start(serve, tmp_path)
    for person in trial.platform.tables["people"]:
        person["firm"] = 1
    trial.full()
    trial.platform.tables["people"][0]["firm"] = 99
    trial.delta()
    return trial


def test_a_record_whose_row_is_there_is_not_counted(serve: Serve, tmp_path: Path) -> None:
    """A contact that has arrived, and is skipped since its firm left, has arrived: by every command, and by the status."""
    trial = bereft(serve, tmp_path)
    assert [told(trial, "verify"), status(trial)] == [0, 0]


def test_a_record_whose_row_was_taken_back_is_counted_again(serve: Serve, tmp_path: Path) -> None:
    """It has no row any more: what the plan says of one that has is not kept, and the next run skips it."""
    trial = bereft(serve, tmp_path)
    trial.rollback(code=0)
    trial.run()
    assert [told(trial, "verify"), status(trial)] == [1, 1]


def in_the_table(report: dict[str, Any], word: str) -> int:
    """What a column of the table of objects comes to."""
    return sum(int(row.get(word, 0)) for row in report["objects"])


def test_the_headline_agrees_with_the_table(serve: Serve, tmp_path: Path) -> None:
    """Records that are skipped now and whose rows stand from before are counted apart from those without a row, by a delta and by a run."""
    trial = start(serve, tmp_path)
    trial.full(code=None)
    trial.platform.tables["people"][3]["firm"] = 99
    for command in (("run", "--delta"), ("run",)):
        report = trial.etl(*command, "--json").data()
        verdict = report["verdict"]
        assert (verdict["skipped"], verdict["skipped_standing"], in_the_table(report, "skipped")) == (2, 1, 3), command
        assert "2 skipped, 1 skipped whose row stands from before" in trial.etl(*command).out


def test_what_fails_before_it_is_sent_is_failed_in_a_delta(serve: Serve, tmp_path: Path) -> None:
    """The headline of a delta has as many failed as the table, though no call was made for them."""
    trial = start(serve, tmp_path)
    spec = trial.spec()
    spec["objects"]["contacts"]["fields"]["company"] = {**LOOKED_UP, "on_miss": "fail"}
    trial.write_spec(spec)
    trial.full(code=None)
    trial.platform.tables["people"][3]["name"] = "Person 4 changed"
    for command, headline in (("--delta", "1 of 3 records arrived"), ("--delta", "Nothing had changed in the source")):
        done = trial.etl("run", command)
        report = trial.etl("report", "--json").data()
        assert (report["verdict"]["failed"], in_the_table(report, "failed")) == (2, 2), command
        assert headline in done.out and "2 failed" in done.out
