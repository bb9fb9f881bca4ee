"""A store belongs to one migration and to the two accounts that it was begun with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Before, Platform, Request
from tests.platforms.project import (
    Done,
    Project,
    call,
    mapped,
    migration,
    project,
    readable,
    writable,
)

PEOPLE = [{"id": number, "name": f"Name {number}"} for number in range(1, 6)]
KEYED = {"kind": "header", "name": "x-key", "secret": "THE_KEY"}


@pytest.fixture
def platform(serve: Serve) -> Platform:
    """People to move, and nobody moved yet."""
    return serve(people=PEOPLE, contacts=[])


@pytest.fixture
def other(serve: Serve) -> Platform:
    """Another account, with as much in it."""
    return serve(people=PEOPLE, contacts=[])


def trial(folder: Path, platform: Platform, **connection: Any) -> Project:
    """People become contacts."""
    source = {"people": readable("people", name="text")}
    destination = {"contacts": writable("contacts", ["name"], name="text", key="text")}
    spec = migration({"people": mapped("people", "contacts", {"name": "name", "key": "$key"})})
    return project(folder, platform, source, destination, spec, **connection)


def elsewhere(at: Project, *words: str, **env: str) -> Done:
    """A command under an environment in which something is another."""
    return call(at.folder, at.env | env, words[0], "spec.yaml", *words[1:], "--env", "live")


def named(name: str) -> Before:
    """The answer to the connector's check names the account."""
    return lambda _, request: Answer(200, {"company": {"id": name}}) if request.parts == ["ok"] else None


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("run", "--sample"), ("audit",), ("plan", "--sample"), ("verify",), ("rollback", "--yes"), ("rollback", "--dry-run"),
)  # fmt: skip


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_another_account_is_refused(
    tmp_path: Path, platform: Platform, other: Platform, side: str, words: tuple[str, ...]
) -> None:
    """An environment that names another account on either side ends every command with code 4, before any call to it."""
    at = trial(tmp_path, platform)
    at.etl("run", "--sample", code=0)
    calls = len(platform.log)
    done = elsewhere(at, *words, **{f"{side.upper()}_URL": other.base_url})
    assert done.code == 4, done
    assert f"begun with the {side} account {platform.base_url}, not with {other.base_url}" in done.err
    assert "--store" in done.err and "--rebind" in done.err
    assert other.log == [] and len(platform.log) == calls
    at.etl("run", "--sample", code=0)


def test_another_key_is_another_account(tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """At one address the key decides whose account it is, unless the platform says who it is."""
    monkeypatch.setenv("THE_KEY", "first-key")
    at = trial(tmp_path, platform, auth=KEYED)
    at.etl("run", "--sample", code=0)
    done = elsewhere(at, "run", "--sample", THE_KEY="second-key")
    assert done.code == 4 and "another key" in done.err
    assert "second-key" not in done.err and "first-key" not in done.err


def test_an_account_that_names_itself_may_change_its_key(
    tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`account` in the connector: the same name under another key, or at another address, is the same account."""
    monkeypatch.setenv("THE_KEY", "first-key")
    platform.before.append(named("acme"))
    at = trial(tmp_path, platform, auth=KEYED, account="company.id")
    at.etl("run", "--sample", code=0)
    assert elsewhere(at, "run", "--sample", THE_KEY="second-key").code == 0
    there = platform.base_url.replace("127.0.0.1", "localhost")
    assert elsewhere(at, "verify", THE_KEY="third-key", DESTINATION_URL=there).code == 0


@pytest.mark.parametrize("words", [("run", "--sample"), ("rollback", "--yes")], ids=" ".join)
def test_an_account_that_names_itself_is_known_by_that(
    tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Another name is another account, and nothing is written to it."""
    monkeypatch.setenv("THE_KEY", "first-key")
    platform.before.append(named("acme"))
    at = trial(tmp_path, platform, auth=KEYED, account="company.id")
    at.etl("run", "--sample", code=0)
    platform.before[-1] = named("umbrella")
    writes = platform.count_writes()
    done = elsewhere(at, *words, THE_KEY="second-key")
    assert done.code == 4 and "acme" in done.err and "umbrella" in done.err
    assert platform.count_writes() == writes


def rename(at: Project) -> None:
    """Give the migration another name."""
    at.write_spec(at.spec() | {"migration": "another"})


@pytest.mark.parametrize("words", [*COMMANDS, ("status",)], ids=" ".join)
def test_another_migration_is_refused(tmp_path: Path, platform: Platform, words: tuple[str, ...]) -> None:
    """A second migration in one store would take the first one's rows for its own; it is told the way out."""
    at = trial(tmp_path, platform)
    at.etl("run", "--sample", code=0)
    rename(at)
    writes = platform.count_writes()
    done = at.etl(*words, "--store", "var/trial.live.sqlite", code=4)
    assert "belongs to the migration trial, not to another" in done.err and "schema=" in done.err
    assert platform.count_writes() == writes


@pytest.mark.parametrize("change", [rename, lambda at: None], ids=["migration", "address"])
def test_what_is_the_same_after_all_is_said_once(
    tmp_path: Path, platform: Platform, change: Callable[[Project], None]
) -> None:
    """`etl audit --rebind` gives the store to these accounts and this migration; nothing is made twice."""
    at = trial(tmp_path, platform)
    at.etl("run", "--sample", code=0)
    change(at)
    env = {"DESTINATION_URL": platform.base_url.replace("127.0.0.1", "localhost")}
    store = ("--store", "var/trial.live.sqlite")
    assert elsewhere(at, "run", "--sample", *store, **env).code == 4
    assert elsewhere(at, "audit", "--rebind", *store, **env).code == 0
    assert elsewhere(at, "run", "--sample", *store, **env).code == 0
    assert len(platform.tables["contacts"]) == len(PEOPLE)


def test_a_key_that_is_refused_owns_nothing(tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first run with a wrong key leaves the store to the right one."""
    monkeypatch.setenv("THE_KEY", "wrong-key")

    def refuse(_: Platform, request: Request) -> Answer | None:
        return Answer(401, {"error": "who?"}) if request.parts == ["ok"] else None

    at = trial(tmp_path, platform, auth=KEYED)
    platform.before.append(refuse)
    assert at.etl("run", "--sample").code != 0
    platform.before.clear()
    assert elsewhere(at, "run", "--sample", THE_KEY="right-key").code == 0


@pytest.mark.parametrize("words", [("--sample", "1001"), ("--sample",)], ids=" ".join)
def test_a_sample_of_everything_is_no_sample(tmp_path: Path, platform: Platform, words: tuple[str, ...]) -> None:
    """On live accounts a sample has an upper bound, whether the command or the spec says its size."""
    at = trial(tmp_path, platform)
    at.write_spec(at.spec() | {"sample": {"records": 1_000_000}})
    done = at.etl("run", *words, code=4)
    assert "at most 1,000 records" in done.err and "etl approve" in done.err
    assert platform.count_writes() == 0
    at.etl("run", "--sample", "1000", code=0)
