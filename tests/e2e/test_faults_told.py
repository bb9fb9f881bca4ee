"""Whatever is wrong ends with one clear message on stderr and its exit code, never with a traceback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests import loopback
from tests.e2e.driving import (
    OWNER,
    SPEC,
    Done,
    Pair,
    checkout,
    edit,
    etl,
    etl_here,
    pair,
    serve,
)

LIVE = ("STEL_ORDER_BASE_URL", "STEL_ORDER_API_KEY", "PIPEDRIVE_BASE_URL", "PIPEDRIVE_API_TOKEN")


@pytest.fixture(scope="module")
def accounts() -> Iterator[Pair]:
    """Both emulators; nothing in this module writes to them."""
    with pair(size=300) as found:
        yield found


@pytest.fixture
def at(tmp_path: Path) -> Path:
    """A checkout of its own."""
    return checkout(tmp_path / "copy")


def told(done: Done, code: int, *words: str) -> None:
    """One message with these words on stderr, nothing on stdout, and the code."""
    assert done.code == code, f"{done.code}\n{done.err}"
    assert done.out == ""
    assert "Traceback" not in done.err and "internal error in etl" not in done.err
    for word in words:
        assert word in done.err, done.err


def test_a_misspelt_key(at: Path) -> None:
    """File, line and column, the path, what is wrong and what was probably meant; all mistakes in one go."""
    edit(at / SPEC, ("    label: Clients and pot", "    lable: Clients and pot"), ("on_miss: skip", "on_mis: skip"))
    done = etl("run", SPEC, "--sample", at=at)
    lines = (at / SPEC).read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "lable" in text)
    told(done, 2, f"{SPEC}:{line}:5:", "objects.organizations.lable", "'label'", "[unknown-key]")
    assert done.err.count("'on_miss'") == sum("on_mis:" in text for text in lines)


def test_validate_tells_the_same(at: Path) -> None:
    """`etl validate` lists every mistake without an account, and says that a good spec is good."""
    assert "good" in etl("validate", SPEC, at=at, code=0).out
    edit(at / SPEC, ("lookup: users, by: agent-path}", "lookup: user, by: agent-path}"))
    told(etl("validate", SPEC, at=at), 2, "'user'", "'users'", "[unknown-object]")


@pytest.mark.parametrize("missing", [LIVE, LIVE[1:2], LIVE[2:4]], ids=len)
def test_missing_variables_are_named(at: Path, accounts: Pair, missing: tuple[str, ...]) -> None:
    """Exactly those that are missing, all of them, and where to set them."""
    env = {name: value for name, value in accounts.env.items() if name not in missing}
    done = etl_here("run", SPEC, "--sample", "--env", "live", at=at, env=env)
    told(done, 2, *missing, ".env")
    assert [name for name in LIVE if name in done.err] == list(missing)


def test_variables_may_stand_in_a_file(at: Path, accounts: Pair) -> None:
    """`.env` in the folder serves as well; the environment goes before it."""
    lines = [f"{name}={value}" for name, value in accounts.env.items() if name != "PIPEDRIVE_API_TOKEN"]
    (at / ".env").write_text("\n".join([*lines, "PIPEDRIVE_API_TOKEN=wrong"]), encoding="utf-8")
    key = {"PIPEDRIVE_API_TOKEN": accounts.destination.key}
    etl("audit", SPEC, "--env", "live", at=at, env=key, code=0)
    told(etl("audit", SPEC, "--env", "live", at=at), 3, "Pipedrive refuses the key", "check PIPEDRIVE_API_TOKEN")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("side", ["STEL_ORDER_BASE_URL", "PIPEDRIVE_BASE_URL"])
def test_a_dead_server(at: Path, accounts: Pair, side: str) -> None:
    """Nobody answers: which platform, and that it is worth trying again."""
    env = accounts.env | {side: f"http://127.0.0.1:{free_port()}"}
    name = "STEL Order" if side.startswith("STEL") else "Pipedrive"
    told(etl_here("run", SPEC, "--sample", "--env", "live", at=at, env=env), 3, name, "try again")


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_refused_key(at: Path, accounts: Pair, status: str) -> None:
    """Whichever status the platform uses for it; the key itself is not repeated."""
    with serve("stel_order", "--size", "300", "--set", f"bad_key_status={status}") as strict:
        env = accounts.env | {"STEL_ORDER_BASE_URL": strict.base_url, "STEL_ORDER_API_KEY": "not-the-key-0123456789"}
        done = etl_here("run", SPEC, "--sample", "--env", "live", at=at, env=env)
    told(done, 3, "STEL Order refuses the key", "check STEL_ORDER_API_KEY")
    assert "not-the-key" not in done.err


def test_an_address_without_https(at: Path, accounts: Pair) -> None:
    """A key does not travel unencrypted to another machine."""
    env = accounts.env | {"PIPEDRIVE_BASE_URL": "http://pipedrive.example.com"}
    told(etl_here("audit", SPEC, "--env", "live", at=at, env=env), 2, "PIPEDRIVE_BASE_URL is not https")


def test_an_owner_who_is_nobody(at: Path, accounts: Pair) -> None:
    """Without an active fallback owner nothing is written."""
    env = accounts.env | {"FALLBACK_OWNER_EMAIL": "nobody@example.com"}
    told(etl_here("run", SPEC, "--sample", "--env", "live", at=at, env=env), 4, "nobody@example.com", "FALLBACK_OWNER_EMAIL")
    assert "STEL key" not in [row["field_name"] for row in accounts.destination.dump()["deal_fields"]]


def without(accounts: Pair, field: str) -> Callable[[Request], Response]:
    """An endpoint that hands on what the source says, with one field taken out of every row."""

    def forward(request: Request) -> Response:
        headers = {"APIKEY": request.headers.get("apikey", "")}
        answer = loopback.get(f"{accounts.source.origin}{request.url.path}?{request.url.query}", headers=headers, timeout=60)
        rows = answer.json()
        for row in rows if isinstance(rows, list) else []:
            row.pop(field, None)
        return Response(json.dumps(rows), answer.status_code, media_type="application/json")

    return forward


@contextmanager
def proxy(endpoint: Callable[[Request], Response]) -> Iterator[str]:
    """The endpoint as a server of its own."""
    app = Starlette(routes=[Route("/{path:path}", endpoint)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=free_port(), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.02)
        yield f"http://127.0.0.1:{server.config.port}/app"
    finally:
        server.should_exit = True
        thread.join(10)


def test_a_field_that_vanished(at: Path, accounts: Pair) -> None:
    """The source renamed a field that the spec reads: refused before it is blanked everywhere, and named."""
    with proxy(without(accounts, "legal-name")) as address:
        env = accounts.env | {"STEL_ORDER_BASE_URL": address}
        done = etl_here("run", SPEC, "--sample", "--env", "live", at=at, env=env)
    told(done, 4, "clients.legal-name", "--refresh")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00", ("[unreadable-file]",)),
        (b"migration: [", ("[bad-syntax]",)),
        (b"a: 1\na: 2\n", ("[duplicate-key]",)),
        (b"", ("[wrong-type]",)),
        (b"x: &x [*x]\n", ("[unsafe-yaml]",)),
    ],
)
def test_an_unreadable_spec(at: Path, content: bytes, words: tuple[str, ...]) -> None:
    """Not text, not YAML, a key twice, empty, an alias inside itself: the file and the place."""
    (at / "specs/other.yaml").write_bytes(content)
    told(etl_here("run", "specs/other.yaml", "--sample", at=at), 2, "specs/other.yaml", *words)


@pytest.mark.parametrize("path", ["specs/nothing.yaml", "specs"])
def test_a_spec_that_is_not_there(at: Path, path: str) -> None:
    """A path that leads nowhere, or to a folder."""
    told(etl_here("run", path, "--sample", at=at), 2, path, "check the path")


def test_a_connector_that_is_not_there(at: Path) -> None:
    """Told where the spec names it."""
    (at / "connectors/pipedrive.yaml").unlink()
    told(etl_here("validate", SPEC, at=at), 2, "destination.connector", "connectors/pipedrive.yaml", "check the path")


@pytest.mark.parametrize("store", ["notes.txt/store.sqlite", "notes.txt", "nonsense://host/base"])
def test_a_store_that_cannot_be_written(at: Path, store: str) -> None:
    """Under a file, a file of another kind, a database nobody knows."""
    (at / "notes.txt").write_text("not a database, " * 100, encoding="utf-8")
    told(etl_here("run", SPEC, "--sample", "--store", store, at=at), 5, "store", store.partition(":")[0].partition("/")[0])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("run", SPEC, "--sample", "0"), ("--sample '0'",)),
        (("run", SPEC, "--sample", "many"), ("--sample 'many'",)),
        (("run", SPEC, "--sample", "--delta"), ("exclude each other",)),
        (("run", SPEC, "--failed", "--delta"), ("exclude each other",)),
        (("run", SPEC, "--every", "15m"), ("--delta",)),
        (("run", SPEC, "--deletions"), ("--delta",)),
        (("run", SPEC, "--delta", "--until", "2030-01-01"), ("--until", "--every")),
        (("run", SPEC, "--delta", "--every", "often"), ("'often'", "15m")),
        (("run", SPEC, "--env", "moon"), ("--env", "'moon'")),
        (("run", SPEC, "--smaple"), ("--smaple", "--sample")),
        (("rnu", SPEC), ("rnu",)),
        (("run",), ("SPEC",)),
        (("export", SPEC), ("--out",)),
    ],
    ids=lambda value: " ".join(value[:1] + value[2:]) if isinstance(value, tuple) and SPEC in value else None,
)
def test_wrong_usage(at: Path, args: tuple[str, ...], words: tuple[str, ...]) -> None:
    """Options that contradict each other or make no sense: refused before anything is touched."""
    told(etl_here(*args, at=at), 2, *words)


@pytest.mark.parametrize("command", [("status",), ("export", "--out", "x"), ("verify",)], ids=lambda c: c[0])
def test_nothing_was_migrated_yet(at: Path, accounts: Pair, command: tuple[str, ...]) -> None:
    """Commands that look at a migration say how to begin one."""
    done = etl_here(command[0], SPEC, *command[1:], "--env", "live", at=at, env=accounts.env)
    told(done, 2, "start with: etl run")


def test_the_owner_of_the_sandbox_is_the_default(at: Path) -> None:
    """Without FALLBACK_OWNER_EMAIL the shipped spec names somebody the sandbox has."""
    assert f"FALLBACK_OWNER_EMAIL:-{OWNER}" in (at / SPEC).read_text(encoding="utf-8")
