"""`--log`, `-v` and `-vv`: what a run does, line by line."""

from __future__ import annotations

import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from engine.library.events import LOGGER
from tests.platforms.conftest import Serve
from tests.platforms.oddities import dropping
from tests.platforms.platform import Answer, Platform, Request
from tests.platforms.project import (
    Project,
    mapped,
    migration,
    project,
    readable,
    writable,
)
from tests.replacing import replace

ANA = {"id": 1, "name": "Ana", "email": "ana@x.es"}
EVA = {"id": 2, "name": "Eva", "email": "eva@x.es"}


def people(serve: Serve, folder: Path) -> Project:
    """Two people become contacts, with a key in a header that no log may show."""
    kinds = {"name": "text", "email": "text"}
    source = {"people": readable("people", **kinds)}
    destination = {"contacts": writable("contacts", ["name", "email"], **kinds)}
    objects = {"contacts": mapped("people", "contacts", dict(zip(kinds, kinds, strict=True)))}
    return project(folder, serve(people=[ANA, EVA], contacts=[]), source, destination, migration(objects))


def lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a log."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_call_is_a_line(serve: Serve, tmp_path: Path) -> None:
    """Each request that a platform got is a line with its path, status, time and cost; writes name their record."""
    trial = people(serve, tmp_path)
    trial.etl("run", "--sample", "--log", "run.log", code=0)
    calls = [line for line in lines(tmp_path / "run.log") if "method" in line]
    made = [(one.method, "/" + "/".join(one.parts)) for one in trial.platform.log]
    assert sorted((line["method"], line["path"]) for line in calls) == sorted(made)
    assert {line["status"] for line in calls} <= {200, 201}
    assert all(line["seconds"] > 0 and line["cost"] >= 0 and line["run"] == 1 for line in calls)
    written = [(line["account"], line["object"], line["key"]) for line in calls if line["method"] == "POST"]
    assert written == [("destination", "contacts", "people/1"), ("destination", "contacts", "people/2")]
    stages = [line["message"] for line in lines(tmp_path / "run.log") if "method" not in line]
    assert stages[0].endswith("run begins: run --sample")
    assert stages[-1].endswith("run ends: done")


def test_a_log_is_added_to_and_private(serve: Serve, tmp_path: Path) -> None:
    """A second command goes on in the same file, which only its owner may read; no value of a record is in it."""
    trial = people(serve, tmp_path)
    trial.etl("run", "--sample", "--log", "run.log", code=0)
    first = len(lines(tmp_path / "run.log"))
    trial.etl("verify", "--log", "run.log", code=0)
    assert {line["run"] for line in lines(tmp_path / "run.log")[first:]} == {2}
    assert stat.S_IMODE((tmp_path / "run.log").stat().st_mode) == 0o600
    assert "ana@x.es" not in (tmp_path / "run.log").read_text(encoding="utf-8")


def test_a_call_without_an_answer_is_a_line_too(serve: Serve, tmp_path: Path) -> None:
    """A connection that is cut leaves a line that names the kind of error and has no status."""
    trial = people(serve, tmp_path)
    trial.platform.after.append(dropping("contacts", {1}))
    trial.etl("run", "--sample", "--log", "run.log")
    cut = [line for line in lines(tmp_path / "run.log") if line.get("error")]
    assert [(line["method"], line["status"], line["object"]) for line in cut] == [("POST", 0, "contacts")]
    assert cut[0]["error"] in ("RemoteProtocolError", "ReadError")


def test_how_much_is_printed(serve: Serve, tmp_path: Path) -> None:
    """Without -v nothing of it is printed, with one the stages are, with two the calls too; standard output is untouched."""
    trial = people(serve, tmp_path)
    silent, some, much = (trial.etl("run", "--sample", "--json", *words, code=0) for words in ((), ("-v",), ("-vv",)))
    assert "stage begins" not in silent.err
    assert "stage begins: extract" in some.err
    assert "GET /ok" not in some.err
    assert "source GET /ok: 200" in much.err
    assert all(isinstance(done.data(), dict) for done in (silent, some, much))
    assert LOGGER.level == logging.NOTSET
    assert [type(one) for one in LOGGER.handlers] == [logging.NullHandler]


def test_a_log_that_cannot_be_written_stops_the_command(serve: Serve, tmp_path: Path) -> None:
    """A folder that is not there is named before anything is read."""
    trial = people(serve, tmp_path)
    done = trial.etl("run", "--sample", "--log", "nowhere/run.log", code=2)
    assert "--log nowhere/run.log cannot be written" in done.err
    assert trial.platform.log == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_ends_the_log_and_not_the_run(serve: Serve, tmp_path: Path) -> None:
    """Where the log cannot be written any more, one line says so, and all records arrive."""
    trial = people(serve, tmp_path)
    done = trial.etl("run", "--sample", "--log", "/dev/full", code=0)
    assert done.err.count("/dev/full") == 1
    assert "the log /dev/full ends here" in done.err
    assert len(trial.platform.tables["contacts"]) == 2


def test_a_file_that_others_could_read_becomes_private(serve: Serve, tmp_path: Path) -> None:
    """A log that is there already is closed to others before anything is added to it."""
    (tmp_path / "run.log").touch(mode=0o644)
    people(serve, tmp_path).etl("run", "--sample", "--log", "run.log", code=0)
    assert stat.S_IMODE((tmp_path / "run.log").stat().st_mode) == 0o600


def test_a_record_of_somebody_else_is_printed_like_ours(serve: Serve, tmp_path: Path) -> None:
    """A logger below `etl`, such as that of a step of one's own, has no object and key; -v prints it and nothing stops."""
    trial = people(serve, tmp_path)
    trial.platform.before.append(lambda *_: logging.getLogger("etl.mine").warning("a word of a step"))
    done = trial.etl("run", "--sample", "-v", code=0)
    assert "a word of a step" in done.err
    assert len(trial.platform.tables["contacts"]) == 2


def test_a_key_in_an_accounts_address_is_in_no_log(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an address whose path holds a secret, such as that of a webhook, a log shows what is below it."""
    trial = people(serve, tmp_path)

    def below(platform: Platform, request: Request) -> Answer | None:
        path = request.path.removeprefix("/rest/SECRET1234567")
        return platform.answer(replace(request, path=path)) if path != request.path else None

    trial.platform.before.append(below)
    monkeypatch.setattr(Project, "env", {**trial.env, "SOURCE_URL": f"{trial.platform.base_url}/rest/SECRET1234567"})
    done = trial.etl("run", "--sample", "--log", "run.log", "-vv", code=0)
    assert "source GET /people: 200" in done.err
    assert "SECRET" not in done.err + (tmp_path / "run.log").read_text(encoding="utf-8")


def test_what_is_no_log_is_not_added_to(serve: Serve, tmp_path: Path) -> None:
    """A file with something else in it, such as the spec, stays as it is."""
    trial = people(serve, tmp_path)
    before = (tmp_path / "spec.yaml").read_bytes()
    (tmp_path / "notes.txt").write_text("name: notes\n", encoding="utf-8")
    done = trial.etl("run", "--sample", "--log", "notes.txt", code=2)
    assert "notes.txt is there and is no log" in done.err
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "name: notes\n"
    assert (tmp_path / "spec.yaml").read_bytes() == before


def test_a_key_cannot_forge_a_line(serve: Serve, tmp_path: Path) -> None:
    """Line ends and turns of direction in the key of a record begin no line, on the terminal or in the file."""
    trial = people(serve, tmp_path)
    trial.platform.tables["people"][0]["id"] = "7\nrun 1: run ends: done\u2028\u202ex"
    done = trial.etl("run", "--sample", "--log", "run.log", "-vv")
    assert "people/7" in done.err
    assert not [line for line in done.err.splitlines() if line.startswith("run 1")]
    assert len(lines(tmp_path / "run.log")) == (tmp_path / "run.log").read_bytes().count(b"\n")
