"""A migration in a folder of its own, and `etl` run on it in this process.

What a report, a rollback and a status are taken to look like stands here and nowhere else:
`Done.report()`, `attention`, `counts`, `links`.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import main as start
from engine.library.gate import Gate
from engine.store.tables import open_store
from tests.platforms.platform import Platform, Row
from workbench.cli import etl, main

Spec = Mapping[str, Any]
STORE = "var/trial.live.sqlite"
UNGATED = "ungated"  # a file in the folder of a project whose mapping needs no approval


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def data(self) -> Any:
        """What `--json` printed."""
        assert self.out, f"exit code {self.code}, nothing printed: {self.err}"
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"exit code {self.code}\n{_short(self.out)}\n{self.err[-3000:]}"


def _short(out: str) -> str:
    """The parts of a JSON document that say what went wrong; other output as it is."""
    if not out.startswith("{"):
        return out[-3000:]
    found = json.loads(out)
    telling = ("verdict", "findings", "notices", "attention", "undone", "kept", "failed")
    return json.dumps({name: found[name] for name in telling if name in found}, indent=1)


@dataclass(frozen=True, slots=True)
class Project:
    """Connectors and a spec in a folder, on one platform that is source and destination."""

    folder: Path
    platform: Platform

    def etl(self, command: str, *words: str, code: int | None = None, said: str = "") -> Done:
        """Run a command with `--env live`; with `code`, insist on that exit code."""
        program = ungated if (self.folder / UNGATED).exists() else main
        words = (command, "spec.yaml", *words, "--env", "live")
        done = call(self.folder, self.env, *words, program=program, said=said)
        assert done.code != 70, done.err + crash(self.folder)
        if code is not None:
            assert done.code == code, str(done)
        return done

    def run(self, *words: str, code: int | None = None) -> Any:
        """The report of `etl run`."""
        return self.etl("run", *words, "--json", code=code).data()

    def delta(self, *words: str, code: int | None = None) -> Any:
        """The report of `etl run --delta`."""
        return self.run("--delta", *words, code=code)

    def verify(self, code: int | None = None) -> Any:
        """The report of `etl verify`."""
        return self.etl("verify", "--json", code=code).data()

    def rollback(self, code: int | None = None) -> Any:
        """What `etl rollback --yes` says."""
        return self.etl("rollback", "--yes", "--json", code=code).data()

    def approve(self) -> None:
        """A person looks at a sample of the spec as it is now, and approves it."""
        self.etl("run", "--sample")
        self.etl("approve", "--by", "tester", code=0)

    def full(self, code: int | None = 0) -> Any:
        """The report of a first full run, after which nobody is asked for an approval.

        People approve a sample first (`approve`, then `run`), which takes twice as long.
        """
        (self.folder / UNGATED).touch()
        return self.run(code=code)

    def waiting(self) -> set[tuple[str, str]]:
        """Object and key of what `etl status` says needs attention."""
        found = self.etl("status", "--json", code=0).data()["attention"]
        return {(item["object"], item["key"]) for item in found}

    def links(self, name: str) -> dict[str, str]:
        """Which destination row each record of an object is linked to."""
        store = open_store(str(self.folder / STORE))
        try:
            with store.begin() as connection:
                query = "SELECT key, dest_id FROM links WHERE object = ?"
                rows = connection.exec_driver_sql(query, (name,)).all()
            return {str(key): str(row_id) for key, row_id in rows}
        finally:
            store.close()

    def spec(self) -> dict[str, Any]:
        """The spec as it is, to be edited."""
        found: dict[str, Any] = json.loads((self.folder / "spec.yaml").read_text(encoding="utf-8"))
        return found

    def write_spec(self, spec: Spec) -> None:
        """Put another spec in the place of the one there is."""
        (self.folder / "spec.yaml").write_text(json.dumps(spec, indent=1), encoding="utf-8")

    @property
    def env(self) -> dict[str, str]:
        """What `--env live` reads, and a terminal wide enough."""
        url = self.platform.base_url
        return {
            "SOURCE_URL": url,
            "DESTINATION_URL": url,
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }


def call(
    folder: Path,
    env: Mapping[str, str],
    *words: str,
    program: Callable[[], None] = main,
    said: str = "",
) -> Done:
    """`etl WORDS` as the installed program starts it, in this process and in a folder; `said` is what
    people type.
    """
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["etl", *words])
        patch.setattr(sys, "stdin", io.StringIO(said))
        for name, value in env.items():
            patch.setenv(name, value)
        try:
            program()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def ungated() -> None:
    """Start `etl` with a gate that lets every mapping through."""
    start(etl(), Gate(lambda *_: None, lambda *_: None))


def crash(folder: Path) -> str:
    """The traceback that an internal error leaves."""
    return "".join(path.read_text(encoding="utf-8") for path in folder.glob("var/crash.*"))


# -- the files of a project


def project(
    folder: Path, platform: Platform, source: Spec, destination: Spec, spec: Spec, **connection: Any
) -> Project:
    """Write both connectors and the spec; JSON is YAML.

    Calls are made one after the other, so that a test knows which came first, and nothing is waited
    for; `concurrency` and `reconcile_after` change that.
    """
    made = Project(folder, platform)
    for name, resources in (("source", source), ("destination", destination)):
        path, written = folder / f"{name}.yaml", connector(name, resources, connection)
        path.write_text(json.dumps(written, indent=1), encoding="utf-8")
    made.write_spec(spec)
    return made


def connector(name: str, parts: Spec, connection: Spec) -> Spec:
    """A connector: `parts` are its resources or, with `resources` among them, other keys too."""
    parts = parts if "resources" in parts else {"resources": parts}
    unlimited = {"unit": "calls", "per": 10, "window": "rolling", "amount": {"*": 100_000}}
    return {
        "connector": name,
        "connection": {
            "base_url": {"env": f"{name.upper()}_URL", "production": "https://api.example.com"},
            "auth": {"kind": "none"},
            "check": {"get": "/ok"},
            "reconcile_after": 0,
            "concurrency": 1,
            **connection,
        },
        "plans": ["any"],
        "limits": {"burst": unlimited},
        "message": ["error"],
        "errors": [
            {"when": {"status": 404}, "then": "missing"},
            {"when": {"status": [400, 405, 409, 422]}, "then": "reject"},
        ],
        "pagers": {
            "rows": {"kind": "offset", "start": "offset", "limit": "limit", "size": 10},
            "pages": {"kind": "page", "page": "page", "limit": "size", "size": 10},
        },
        **parts,
    }


def readable(table: str, **fields: Any) -> dict[str, Any]:
    """A resource of a source."""
    return {
        "fields": {"id": "integer", **fields},
        "list": {"get": f"/{table}", "pager": "rows"},
        "read": {"get": f"/{table}/{{id}}"},
    }


def writable(table: str, recognise: list[str], **fields: Any) -> dict[str, Any]:
    """A resource of a destination."""
    return {
        "fields": {"id": {"type": "integer", "writable": False}, **fields},
        "recognise": recognise,
        "list": {"get": f"/{table}", "pager": "rows"},
        "read": {"get": f"/{table}/{{id}}"},
        "create": {"post": f"/{table}"},
        "update": {"patch": f"/{table}/{{id}}"},
        "delete": {"delete": f"/{table}/{{id}}"},
    }


def mapped(origin: Any, to: str, fields: Spec, **more: Any) -> Spec:
    """An object of a spec."""
    return {"from": origin, "to": to, "fields": dict(fields), **more}


def migration(objects: Spec, **more: Any) -> Spec:
    """A spec."""
    side = {"plan": "any"}
    return {
        "migration": "trial",
        "source": {"connector": "source.yaml", **side},
        "destination": {"connector": "destination.yaml", **side},
        "objects": objects,
        **more,
    }


# -- what commands say


def attention(report: Any) -> set[tuple[str, str]]:
    """Object and key of everything that a report asks a person to look at."""
    found = {
        (one["object"], one["key"]) for one in report["findings"] if one["severity"] == "attention"
    }
    return found | {(row["object"], row["key"]) for row in report["records"] if _troubled(row)}


def _troubled(row: Row) -> bool:
    if row["state"] in ("missing", "failed"):
        return True
    return row["state"] == "arrived" and any(one["state"] in ("lost", "changed_by_people") for one in row["fields"])


def texts(report: Any) -> str:
    """All that a report's findings say."""
    return "\n".join(f"{one['key']} {one['field']}: {one['text']}" for one in report["findings"])


def counts(report: Any, name: str) -> Row:
    """An object's line of a report: created, updated, adopted, unchanged, skipped, failed."""
    found: Row = next(one for one in report["objects"] if one["object"] == name)
    return found


def writes(report: Any) -> int:
    """How many rows a run says that it made or changed."""
    verdict = report["verdict"]
    return int(verdict["created"] + verdict["updated"])


@contextmanager
def counting(platform: Platform) -> Iterator[list[int]]:
    """Counts the requests in the block that were meant to change something."""
    before, found = platform.count_writes(), [0]
    yield found
    found[0] = platform.count_writes() - before
