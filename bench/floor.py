"""What a record costs us beside bare HTTP: processor seconds of the client alone, and records a second.

    python bench/floor.py [--records 5000] [--times 3] [--threads 8] [--only ours]

A source is read, each record becomes one POST, the destination is read back. `ours` is `etl run` with its journal
and its comparison; `aiohttp` is the same calls and nothing else. The server is a process of its own, the same one
for both. `begun` is what starting costs, measured with a few records: the second ratio is without it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FEW = 20  # records of the run that shows what starting costs
PAGE = 500
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spent:
    """What one client process took."""

    cpu: float
    seconds: float


def main() -> None:
    """The medians of both clients, and the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--only", choices=["ours", "aiohttp"])
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve is not None:
        asyncio.run(serve(chosen.serve))
    elif chosen.bare:
        asyncio.run(bare(chosen.bare, chosen.threads))
    else:
        report(chosen)


def report(chosen: argparse.Namespace) -> None:
    """Measure the clients in turn, so that a busy machine is busy for both."""
    names = [chosen.only] if chosen.only else ["aiohttp", "ours"]
    found: dict[str, list[Spent]] = {name: [] for name in names}
    begun: dict[str, list[Spent]] = {name: [] for name in names}
    for name in names:
        measure(name, FEW, chosen.threads)  # compiles what is not compiled yet
    for _ in range(chosen.times):
        for name in names:
            begun[name].append(measure(name, FEW, chosen.threads))
            found[name].append(measure(name, chosen.records, chosen.threads))

    print(f"{'client':<10}{'CPU s':>8}{'begun':>8}{'wall s':>8}{'records/s':>11}{'ratio':>8}{'without starting':>18}")
    floor: tuple[float, float] | None = None
    for name in names:
        cpu, start = median(one.cpu for one in found[name]), median(one.cpu for one in begun[name])
        wall = median(one.seconds for one in found[name])
        pace = (chosen.records - FEW) / (wall - median(one.seconds for one in begun[name]))
        floor = floor or (cpu, cpu - start)
        ratios = f"{cpu / floor[0]:>8.2f}{(cpu - start) / floor[1]:>18.2f}"
        print(f"{name:<10}{cpu:>8.2f}{start:>8.2f}{wall:>8.2f}{pace:>11,.0f}{ratios}", flush=True)


def measure(name: str, records: int, threads: int) -> Spent:
    """One client on a fresh server."""
    with served(records) as url, tempfile.TemporaryDirectory() as folder:
        if name == "ours":
            spent = timed(ours(Path(folder), url, threads), Path(folder))
        else:
            spent = timed([sys.executable, __file__, "--bare", url, "--threads", str(threads)], Path(folder))
        with_all = count_rows(url)
        assert with_all == records, f"{name} wrote {with_all} of {records}"
    return spent


def timed(command: Sequence[str], folder: Path) -> Spent:
    """Run a client to its end; its processor time as the kernel counted it."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    compiled = {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "etl-floor"), "PYTHONDONTWRITEBYTECODE": ""}
    env = {**os.environ, **compiled, "PYTHONPATH": path}  # an installed program is compiled once
    with (folder / "said.txt").open("wb") as said:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (folder / "said.txt").read_text()[-3000:]
    return Spent(used.ru_utime + used.ru_stime, time.monotonic() - began)


# -- ours


def ours(folder: Path, url: str, threads: int) -> list[str]:
    """A migration in a folder, and the command that runs it."""
    from tests.chaos.harness import ETL

    write_project(folder, threads)
    os.environ |= {"SOURCE_URL": url, "DESTINATION_URL": url}
    return [*ETL, "run", "spec.yaml", "--env", "live", "--yes"]


def write_project(folder: Path, threads: int) -> None:
    """Two connectors and a spec with a field of each plain kind."""
    from tests.platforms.project import (
        connector,
        mapped,
        migration,
        readable,
        writable,
    )

    texts = dict.fromkeys(("name", "email", "city", "phone", "note"), "text")
    source = {"people": readable("people", **texts, age="integer", active="boolean")}
    destination = {
        "contacts": writable("contacts", ["name"], **texts, age="integer", active="boolean", source_key="text")
    }
    spec = migration(
        {
            "contacts": mapped(
                "people",
                "contacts",
                {
                    "name": {"from": "name", "using": "text.strip"},
                    "email": "email",
                    "city": "city",
                    "phone": "phone",
                    "note": "note",
                    "age": "age",
                    "active": "active",
                    "source_key": "$key",
                },
            )
        }
    )
    for name, resources in (("source", source), ("destination", destination)):
        made = connector(name, resources, {"concurrency": threads})
        made["limits"] = {
            "burst": {"unit": "calls", "per": 2, "window": "rolling", "amount": {"*": 10_000_000}},
            "day": {"unit": "calls", "per": 86_400, "window": "calendar", "amount": {"*": 1_000_000_000}},
        }
        made["pagers"]["rows"]["size"] = PAGE
        (folder / f"{name}.yaml").write_text(json.dumps(made), encoding="utf-8")
    (folder / "spec.yaml").write_text(json.dumps(spec), encoding="utf-8")


# -- bare aiohttp


async def bare(url: str, at_once: int) -> None:
    """The same calls: pages of the source, a POST for each row, pages of the destination."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

        async def pages(table: str) -> list[Row]:
            rows: list[Row] = []
            while True:
                async with session.get(f"{url}/{table}", params={"offset": len(rows), "limit": PAGE}) as answer:
                    page = await answer.json()
                rows += page
                if len(page) < PAGE:
                    return rows

        people = iter(await pages("people"))

        async def work() -> None:
            for row in people:
                body = {name: value for name, value in row.items() if name != "id"} | {"source_key": f"people/{row['id']}"}
                async with session.post(f"{url}/contacts", json=body) as answer:
                    assert answer.status == 201
                    await answer.json()

        await asyncio.gather(*(work() for _ in range(at_once)))
        await pages("contacts")


# -- the server


@contextmanager
def served(records: int) -> Iterator[str]:
    """A fresh server with so many people, and no contacts."""
    command = [sys.executable, __file__, "--serve", str(records)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def count_rows(url: str) -> int:
    """How many contacts there are."""
    import urllib.request

    with urllib.request.urlopen(f"{url}/count") as answer:
        return int(json.load(answer))


async def serve(records: int) -> None:
    """Answer until killed; the port is printed."""
    tables: dict[str, list[Row]] = {"people": [person(number) for number in range(1, records + 1)], "contacts": []}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Wire(tables), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def person(number: int) -> Row:
    """One row of the source."""
    return {
        "id": number,
        "name": f"Person {number} of the Company",
        "email": f"person.{number}@example.com",
        "city": ("Madrid", "Barcelona", "Sevilla", "Bilbao")[number % 4],
        "phone": f"+34 600 {number:06}",
        "note": f"Called on day {number}. " * 3,
        "age": 20 + number % 50,
        "active": number % 3 > 0,
    }


class Wire(asyncio.Protocol):
    """HTTP/1.1 as our two clients speak it, with as little work as possible."""

    def __init__(self, tables: dict[str, list[Row]]) -> None:
        self.tables = tables
        self.waiting = b""
        self.stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self.waiting += data
        while True:
            head, found, rest = self.waiting.partition(b"\r\n\r\n")
            if not found:
                return
            length = 0
            for line in head.split(b"\r\n")[1:]:
                if line[:15].lower() == b"content-length:":
                    length = int(line[15:])
            if len(rest) < length:
                return
            self.waiting = rest[length:]
            method, address, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            status, body = self.answer(method, address, rest[:length])
            said = f"HTTP/1.1 {status}\r\ndate: {self.stamp}\r\ncontent-type: application/json\r\n"
            said += f"content-length: {len(body)}\r\n\r\n"
            self.transport.write(said.encode() + body)

    def answer(self, method: str, address: str, body: bytes) -> tuple[str, bytes]:
        """Lists, rows and new rows."""
        url = urlsplit(address)
        table, _, row_id = url.path.strip("/").partition("/")
        if table == "ok":
            return "200 OK", b'{"ok": true}'
        if table == "count":
            return "200 OK", str(len(self.tables["contacts"])).encode()
        rows = self.tables[table]
        if method == "POST":
            row = {**json.loads(body), "id": len(rows) + 1}
            rows.append(row)
            return "201 Created", json.dumps(row).encode()
        if row_id:
            return "200 OK", json.dumps(rows[int(row_id) - 1]).encode()
        query = dict(parse_qsl(url.query))
        start = int(query.get("offset", 0))
        return "200 OK", json.dumps(rows[start : start + int(query.get("limit", 100))]).encode()


if __name__ == "__main__":
    main()
