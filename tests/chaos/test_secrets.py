"""A canary key and token: nothing a run leaves behind or says holds them, whatever goes wrong."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.launch import launch
from tests.chaos.harness import FAULTS, Kill, World, control, project, until
from tests.replacing import replace

KEY, TOKEN = "canary-key-7f3a9c21d4", "canary-token-51be08f7aa2c"
LATE = {"calls": 60}
OURS = ("pipedrive.db", "stel.db")  # the emulated platforms know their own keys


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both accounts behind canary keys."""
    folder = tmp_path_factory.mktemp("secrets")
    fast = ["--speed", "20", "--set", "index_delay=0", "--key", TOKEN]
    with (
        launch("stel_order", data=folder / "stel.db", plan="unlimited", extra_args=["--size", "120", "--key", KEY]) as source,
        launch("pipedrive", data=folder / "pipedrive.db", plan="ultimate", seats=5000, extra_args=fast) as destination,
    ):
        yield World(project(folder / "project"), source, destination)


def told(world: World) -> Iterator[tuple[str, bytes]]:
    """Everything that a run wrote: store with its log, reports, files, crash notes, what it said."""
    for path in sorted(world.folder.rglob("*")):
        if path.is_file() and not path.name.startswith(OURS):
            yield str(path.relative_to(world.folder)), path.read_bytes()


def leaks(world: World, *said: str) -> list[str]:
    """Places that hold a canary, plainly or as base64."""
    forms = [form for secret in (KEY, TOKEN) for form in (secret.encode(), base64.b64encode(secret.encode()))]
    places = [*told(world), *((f"output {number}", text.encode()) for number, text in enumerate(said))]
    return [place for place, content in places if any(form in content for form in forms)]


def test_canaries_are_seen(world: World, tmp_path: Path) -> None:
    """The search itself works: a canary put down is found."""
    (tmp_path / "note.txt").write_bytes(b"..." + base64.b64encode(TOKEN.encode()))
    assert leaks(replace(world, folder=tmp_path)) == ["note.txt"]
    assert leaks(replace(world, folder=tmp_path / "none"), f"key={KEY}") == ["output 0"]


@pytest.mark.journeys
def test_no_secret_is_left_anywhere(world: World) -> None:
    """Full run among faults with a kill, then every command: neither key nor token is anywhere."""
    for account in (world.source, world.destination):
        control(account, "faults", FAULTS)
    until(world, ("run", "--yes"), Kill(**LATE))
    assert any(place.endswith("-wal") for place, _ in told(world))
    assert leaks(world) == []
    said = [world.etl("run", "--yes", good=(0, 1, 3))]
    for account in (world.source, world.destination):
        control(account, "faults", {})
    commands = (("run", "--json"), ("run", "--delta"), ("verify",), ("status", "--json"), ("plan", "--json"), ("export", "--out", "out"))
    said += [world.etl(*words) for words in (*commands, ("rollback", "--dry-run", "--json"))]
    assert {"report.html", "report.json", "report.csv"} <= {Path(place).name for place, _ in told(world)}
    assert leaks(world, *(text for done in said for text in (done.out, done.err))) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"PIPEDRIVE_API_TOKEN": TOKEN + "-wrong"}, 3),
        ({"STEL_ORDER_API_KEY": KEY + "-wrong"}, 3),
        ({"PIPEDRIVE_BASE_URL": f"http://127.0.0.1:9/{TOKEN}"}, 3),
        ({"STEL_ORDER_BASE_URL": f"http://user:{KEY}@127.0.0.1:9"}, 3),
        ({"PIPEDRIVE_BASE_URL": f"ftp://{TOKEN}.example"}, 2),
    ],
)
def test_no_failure_tells_a_secret(world: World, change: dict[str, str], code: int) -> None:
    """Refused keys and wrong addresses are told without the key, even one that stands in the address."""
    store = f"var/store-{abs(hash(tuple(change.items())))}.sqlite"  # one that no account has been met with
    done = replace(world, extra=change).etl("run", "--sample", "--store", store, good=(code,))
    assert done.err
    assert leaks(world, done.out, done.err) == []


def test_a_shut_out_tells_no_secret(world: World) -> None:
    """The page of a service that has shut us out is told without the key."""
    control(world.destination, "faults", {"html-403": 1.0})
    done = world.etl("run", good=(3,))
    control(world.destination, "faults", {})
    assert "shut this client out" in done.err
    assert leaks(world, done.out, done.err) == []
