"""One client from beginning to end: an account of its own, the client's run, and what was found."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml

from sandbox.launch import launch
from tests.clients.clients import Client
from tests.clients.judging import Judged, named, same
from tests.clients.seeding import Account, Dump, Row, seed
from tests.clients.watch import Seen, Watch, watch

FINDINGS = Path(__file__).parent / "findings.yaml"
MOST_S = 240
# How clients say that they were answered 404 or 405.
NOWHERE = re.compile(r"Unknown method|Method not allowed|\b404\b|^[A-Z][a-z ]+ not found$")
ENTITIES = ("deal", "person", "organization", "product")
# Streams that read what changed within the last month, instead of a list.
RECENT = {
    "airbyte_source": ("deals", "files", "filters", "notes", "activities", "persons", "pipelines", "products", "stages", "users"),
    "dlt_verified": tuple(
        f"v1 {kind}"
        for kind in ("activities", "activity_types", "deals", "files", "filters", "notes", "persons", "organizations", "pipelines",
                     "products", "stages", "users")
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """What a client said, what the emulator was asked, and what does not agree."""

    client: Client
    lines: list[dict[str, Any]]
    calls: list[Seen]
    judged: Judged
    writes: int

    @property
    def unknown(self) -> set[str]:
        """Operations that the emulator does not serve."""
        return {operation(one) for one in self.calls if one.unknown}

    @property
    def refused(self) -> set[str]:
        """Other refusals, but for those of a full burst window, which clients wait for."""
        return {f"{operation(one)} {one.status}" for one in self.calls if one.status >= 400 and one.status != 429 and not one.unknown}

    @property
    def failed(self) -> set[str]:
        """What the client itself says that it could not do, but for what is not served or not there: `unknown` and `refused` have that."""
        bad = [one for one in self.lines if one.get("outcome", "answered") != "answered"]
        return {one["call"] for one in bad if not NOWHERE.search(one["outcome"])}

    @property
    def row(self) -> str:
        """A row of the table in docs/sandbox.md."""
        lists = sum("rows" in one for one in self.lines)
        served = {operation(one) for one in self.calls if one.status < 300}
        return (
            f"| {self.client.version} | {self.client.pointed} | {lists} | {self.judged.rows} | {self.judged.values} | {self.writes} |"
            f" {len(self.calls)} | {len(served)} | {len(self.unknown)} |"
        )


def operation(seen: Seen) -> str:
    """The verb and the path with its ids left out."""
    path = re.sub(r"^/v1/", "/api/v1/", seen.path)
    path = re.sub(r"/(\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{40})(?=/|$)", "/{}", path)
    path = re.sub(r"(Fields)/[a-z_]+", r"\1/{}", path)
    return f"{seen.verb} {path}"


@cache
def findings() -> dict[str, Any]:
    """What is known of the clients and not served."""
    return dict(yaml.safe_load(FINDINGS.read_text(encoding="utf-8")))


def run(client: Client, folder: Path) -> Told:
    """Let a client do what it is for. Raises Absent."""
    command = client.command()
    extra = ["--set", "index_delay=0"]
    for switch in client.switches:
        extra += ["--set", switch]
    with (
        launch("pipedrive", plan="ultimate", seats=100, extra_args=extra) as served,
        httpx.Client(timeout=30, trust_env=False) as http,
        watch(served.base_url, folder / "watch") as watched,
    ):
        account = Account(served.base_url, served.key, http)
        seed(account)
        before = account.dump()
        lines = _drive(command, folder, served.key, watched)
        after = account.dump()
    return Told(client, lines, watched.calls, _judge(client, lines, before, after), sum("kept" in one for one in lines))


def _drive(command: Any, folder: Path, key: str, watched: Watch) -> list[dict[str, Any]]:
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    env = {**plain, **watched.environment, "PIPEDRIVE_API_TOKEN": key, "PIPEDRIVE_ORIGIN": watched.origin, "HOME": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MOST_S, check=False
    )
    assert done.returncode == 0, f"{command[1]}:\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _judge(client: Client, lines: list[dict[str, Any]], before: Dump, after: Dump) -> Judged:
    judged = Judged()
    _declared(judged, lines, before)
    month = (datetime.now(UTC) - timedelta(days=31)).strftime("%Y-%m-%d %H:%M:%S")
    for line in lines:
        if "rows" in line:
            recent = "recent " if line["rows"] in RECENT.get(client.name, ()) else ""
            judged.list_of(f"{recent}{line['rows']}", line["got"], before, month)
        elif "one" in line and not line["one"].endswith("_fields"):
            judged.one(line["one"], line["got"], _found(before, line["one"], line["got"]["id"]) or {})
        elif "kept" in line:
            _kept(judged, line, _found(after, line["kept"], line["id"]))
        elif "deleted" in line and _found(after, line["deleted"], line["id"]) is not None:
            judged.faults.append(f"{line['deleted']} {line['id']} was deleted and is still there")
    return judged


def _declared(judged: Judged, lines: list[dict[str, Any]], before: Dump) -> None:
    """What a client found out about kinds of rows, and how many rows it says it loaded."""
    read = {line["rows"]: len(line["got"]) for line in lines if "rows" in line}
    for line in lines:
        for entity in ENTITIES if "discovered" in line else ():
            left = before[f"{entity}_fields"].keys() - set(line["discovered"][f"{entity}s"])
            judged.faults += [f"{entity}: the field {code} was not discovered" for code in left]
        for name, number in line.get("got", {}).items() if "loaded" in line else ():
            key = f"{line['loaded']} {name}"
            if read.get(key, number) != number:
                judged.faults.append(f"{name}: {number} rows were loaded, {read[key]} read")


def _found(dump: Dump, table: str, key: Any) -> Row | None:
    rows = {one.get("uuid") or one["id"]: one for one in dump.get(named(table)[0], {}).values()}
    return rows.get(key)


def _kept(judged: Judged, line: dict[str, Any], record: Row | None) -> None:
    if record is None:
        judged.faults.append(f"{line['kept']} {line['id']} was made and is not there")
        return
    judged.faults += [
        f"{line['kept']} {line['id']}: {name} {value!r} was sent, {record.get(name)!r} is kept"
        for name, value in line["sent"].items()
        if not same(record.get(name), value)
    ]


def counted(told: Told) -> Counter[str]:
    """How many rows came of each list."""
    return Counter({one["rows"]: len(one["got"]) for one in told.lines if "rows" in one})
