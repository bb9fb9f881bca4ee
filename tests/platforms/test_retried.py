"""`run --failed` retries what failed before it was sent as well, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request
from tests.platforms.project import UNGATED, Project, counting, texts
from tests.platforms.test_skipped import LOOKED_UP
from tests.platforms.trials import firms_and_people

FAIL = {**LOOKED_UP, "on_miss": "fail"}


def start(serve: Serve, folder: Path, company: object = FAIL) -> Project:
    """Four contacts, two of each firm; without their company they fail."""
    trial = firms_and_people(serve, folder, 4)
    with_company(trial, company)
    return trial


def with_company(trial: Project, company: object) -> None:
    """The spec says this of the company of a contact."""
    spec = trial.spec()
    spec["objects"]["contacts"]["fields"]["company"] = company
    trial.write_spec(spec)


def retried(trial: Project, writes: int) -> None:
    """Another try of what failed sends so many rows, and leaves nothing to look at; a second one sends none."""
    for many in (writes, 0):
        with counting(trial.platform) as made:
            verdict = trial.run("--failed", code=0)["verdict"]
        assert (made[0], verdict["failed"]) == (many, 0)


def test_what_leans_on_a_refused_row_is_retried_with_it(serve: Serve, tmp_path: Path) -> None:
    """Contacts that failed unsent, for their company was refused, are made once it is."""
    trial = start(serve, tmp_path)
    trial.platform.before.append(odd.refusing("POST", "companies", name="Firm 1"))
    trial.full(code=1)
    trial.platform.before.clear()
    retried(trial, 3)


def test_what_failed_in_the_plan_is_retried(serve: Serve, tmp_path: Path) -> None:
    """Contacts of a firm that is nowhere are made once the spec lets them be; a plan of that in between changes nothing."""
    trial = start(serve, tmp_path)
    for person in trial.platform.tables["people"][:2]:
        person["firm"] = 99
    assert trial.full(code=1)["verdict"]["failed"] == 2
    assert trial.run("--failed", code=1)["verdict"]["failed"] == 2
    with_company(trial, {**LOOKED_UP, "on_miss": "omit"})
    trial.etl("plan")
    retried(trial, 2)


def test_an_update_that_failed_in_the_plan_is_retried(serve: Serve, tmp_path: Path) -> None:
    """A changed record whose row was removed fails unsent; it is updated once people have restored the row."""
    trial = start(serve, tmp_path)
    trial.full(code=0)
    row = trial.platform.tables["contacts"].pop(0)
    trial.platform.tables["people"][0]["name"] = "Person 1 changed"
    trial.delta(code=1)
    trial.platform.tables["contacts"].insert(0, row)
    retried(trial, 1)
    assert trial.platform.tables["contacts"][0]["name"] == "Person 1 changed"


def test_what_is_skipped_is_not_retried(serve: Serve, tmp_path: Path) -> None:
    """Only what failed is planned once more."""
    trial = start(serve, tmp_path, LOOKED_UP)
    trial.platform.tables["people"][0]["firm"] = 99
    trial.full(code=None)
    report = trial.run("--failed")
    assert [item["skipped"] for item in report["objects"]] == [0, 0]


def test_after_a_sample_nothing_beyond_it_is_looked_at(serve: Serve, tmp_path: Path) -> None:
    """What a retry of a sample's failures says, and a verification after it, is about the sample's records alone."""
    trial = firms_and_people(serve, tmp_path, 60)
    with_company(trial, LOOKED_UP)
    for number, person in enumerate(trial.platform.tables["people"]):
        person["firm"] = 99 if number % 2 else person["firm"]  # half of them are skipped
    trial.platform.before.append(odd.refusing("POST", "companies", name="Firm 1"))
    (tmp_path / UNGATED).touch()
    first = trial.run("--sample", "6", code=1)["verdict"]
    trial.platform.before.clear()
    again = trial.run("--failed", code=1)
    verified = trial.etl("verify", "--json", code=1).data()["verdict"]
    assert 0 < first["skipped"] == again["verdict"]["skipped"] == verified["skipped"] < 6
    keys = {item["key"] for item in again["findings"]}
    assert len(keys) <= 6 and verified["missing"] == 0 and again["verdict"]["created"] >= 1


def test_after_several_samples_all_failures_are_retried(serve: Serve, tmp_path: Path) -> None:
    """Which records an earlier sample chose is not kept: what failed in it is retried too."""
    trial = firms_and_people(serve, tmp_path, 60)
    trial.platform.before.append(odd.refusing("POST", "contacts", name="Person 40"))
    (tmp_path / UNGATED).touch()
    assert trial.run("--sample", "200", code=1)["verdict"]["failed"] == 1
    trial.run("--sample", "6", code=1)
    trial.platform.before.clear()
    retried(trial, 1)


def test_what_was_taken_for_another_record_is_retried_when_somebody_asks(serve: Serve, tmp_path: Path) -> None:
    """The platform answers a creation with another record's row: no usual run sends it once more, `run --failed` does."""
    trial = start(serve, tmp_path)

    def merging(platform: Platform, request: Request) -> Answer | None:
        if request.writes("contacts") and request.body.get("name") == "Person 2":
            return Answer(200, dict(platform.one("contacts", name="Person 1")))
        return None

    trial.platform.before.append(merging)
    report = trial.full(code=1)
    assert "it takes the two for one" in texts(report)
    for words, calls in ((), 0), (("--failed",), 1):
        with counting(trial.platform) as made:
            assert trial.run(*words, code=1)["verdict"]["failed"] == 1
        assert made[0] == calls

    trial.platform.before.clear()
    retried(trial, 1)
    assert trial.platform.one("contacts", name="Person 2")
