"""`python -m tests.strangers.odd.server`: an account over HTTP, for the API's key and for people.

    /companies, /companies/7, /companies/7/notes/9 …   with the key, as the connector calls them
    /__people__/companies/7, /__people__/merge/contacts  as people click
    /__dump__, /__journal__?after=N, /__stats__          for the judge
    /__strike__                                          kill a process at its N-th call from now
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.strangers.odd.crm import (
    CRM,
    DESK,
    PAGE,
    PLAIN,
    Platform,
    Refused,
    Row,
    Switches,
)

KEY = "canary-of-the-odd-platform"
WAIT_S = 0.4  # that it asks for when it refuses a call
OWN = ("__dump__", "__journal__", "__stats__", "__strike__", "__people__")


class Dropped(Exception):
    """The connection ends without an answer."""


@dataclass(slots=True)
class Strike:
    """Kill a process at a call of its own: `left` calls from now, before it is carried out or after."""

    pid: int = 0
    left: int = 0
    early: bool = False
    writes: bool = True  # count writes only
    struck: bool = False


@dataclass(slots=True)
class Desk:
    """The account behind the handler."""

    platform: Platform
    lock: threading.Lock = field(default_factory=threading.Lock)
    strike: Strike = field(default_factory=Strike)

    def dated(self) -> dict[str, str]:
        """What its clock says, where it is not ours."""
        return {"date": formatdate(self.platform.now(), usegmt=True)} if self.platform.on.clock else {}

    def asked(self, method: str, address: str, sent: bytes, key: str) -> tuple[int, Any]:
        """Status and body, of a request as it comes. Raises Refused and Dropped."""
        there = urlsplit(address)
        return self.answer(method, there.path, dict(parse_qsl(there.query)), json.loads(sent) if sent else None, key)

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, key: str) -> tuple[int, Any]:
        """Status and body. Raises Dropped."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        with self.lock:
            if parts[0] in OWN:
                return self._own(method, parts, query, body)
            if key != KEY:
                return 401, {"error": "whose key is this?"}
            return self._api(method, parts, query, body)

    # -- the connector's calls

    def _api(self, method: str, parts: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        on, counts = self.platform.on, self.platform.counts
        write = method != "GET"
        counts["writes" if write else "reads"] = counts.get("writes" if write else "reads", 0) + 1
        due = self._due(write)
        if due and self.strike.early:
            self._hit()
        if self.platform.luck.random() < on.refuses:
            self._refuse()
        if not write and self.platform.luck.random() < on.errors:
            counts["answered 500"] = counts.get("answered 500", 0) + 1
            return 500, {"error": "something went wrong"}
        found = self._carried_out(method, parts, query, body)
        if due:
            self._hit()
        if write and self.platform.luck.random() < on.drops:
            counts["dropped"] = counts.get("dropped", 0) + 1
            raise Dropped
        return found

    def _refuse(self) -> None:
        """Not carried out, for the rate: the wait in milliseconds, or when it ends in milliseconds since 1970. Raises Refused."""
        counts, later = self.platform.counts, int((self.platform.now() + WAIT_S) * 1000)
        status, headers = (
            (429, {"retry-after": f"{WAIT_S * 1000:.0f}"}), (503, {"retry-after": f"{WAIT_S * 1000:.0f}"}),
            (429, {"x-reset": str(later)}), (429, {"x-reset": f"{WAIT_S * 1000:.0f}"}),
        )[counts.get("refused", 0) % 4]  # fmt: skip
        counts["refused"] = counts.get("refused", 0) + 1
        raise Refused(status, "too many calls", headers)

    def _due(self, write: bool) -> bool:
        if not self.strike.left or (self.strike.writes and not write):
            return False
        self.strike.left -= 1
        return self.strike.left == 0

    def _hit(self) -> None:
        os.kill(self.strike.pid, signal.SIGKILL)
        self.strike.struck = True
        raise Dropped

    def _carried_out(self, method: str, parts: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        if parts == ["me"]:
            return 200, {"data": {"name": "etl"}}
        name, parent, row_id, more = _place(parts, self.platform)
        if more == "options":
            return self._options(method, name, row_id, body)
        if method == "GET":
            if not row_id:
                return 200, self._page(name, parent, query)
            return 200, {"data": self.platform.shown(name, self._held(name, parent, row_id, seen=True))}
        if method == "POST":
            above = {self.platform.kinds[name].below[1]: self.platform.shown_id(int(parent))} if parent else {}
            row, new = self.platform.create(name, {**body, **above}, "key")
            return 201 if new else 200, {"data": self.platform.shown(name, row)}
        self._held(name, parent, row_id)
        if method == "PATCH":
            return 200, {"data": self.platform.shown(name, self.platform.update(name, row_id, body, "key"))}
        self.platform.delete(name, row_id, "key")
        return 204, None

    def _held(self, name: str, parent: str, row_id: str, seen: bool = False) -> Row:
        row = (self.platform.looked_up if seen else self.platform.one)(name, row_id)
        if parent and str(row.get(self.platform.kinds[name].below[1])) != parent:
            raise Refused(404, f"no {name} {row_id} below {parent}")
        return row

    def _options(self, method: str, name: str, code: str, body: Any) -> tuple[int, Any]:
        done = self.platform.options if method == "POST" else self.platform.without_options
        return 200, {"data": done(name, code, body, "key")}

    def _page(self, name: str, parent: str, query: dict[str, str]) -> Row:
        """A page, and how many rows there are in all where the list is not below a row."""
        rows = self.platform.listed(name, query.get("updated_since", ""), parent)
        asked, start = int(query.get("limit", 50)), int(query.get("start", 0))
        on = self.platform.on
        size = min(PAGE if on.odd_pages else asked, on.cap or asked, asked)
        found = [self.platform.shown(name, row) for row in rows[start : start + size]]
        return {"data": found} if parent or on.cap else {"data": found, "total": len(rows)}

    # -- people and judges

    def _own(self, method: str, parts: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        if parts[0] == "__dump__":
            return 200, self.platform.rows
        if parts[0] == "__journal__":
            return 200, self.platform.journal[int(query.get("after", 0)) :]
        if parts[0] == "__stats__":
            return 200, {"struck": self.strike.struck, **self.platform.counts}
        if parts[0] == "__strike__":
            self.strike = Strike(**body)
            return 200, {}
        return 200, self._people(method, parts[1:], body)

    def _people(self, method: str, parts: list[str], body: Any) -> Any:
        platform = self.platform
        if parts[0] == "merge":
            return platform.merge(parts[1], str(body["from"]), str(body["into"]), "people")
        if len(parts) == 4:
            return platform.rename_option(parts[0], parts[1], parts[3], body["label"], "people")
        if method == "POST":
            return platform.create(parts[0], body, "people")[0]
        if method == "PATCH":
            return platform.update(parts[0], parts[1], body, "people")
        return platform.delete(parts[0], parts[1], "people")


def _place(parts: list[str], platform: Platform) -> tuple[str, str, str, str]:
    """Resource, parent's id, row's id, and what of the row. Raises Refused."""
    meant = platform.meant
    below = {kind.below[0]: name for name, kind in platform.kinds.items() if kind.below[0]}
    if len(parts) >= 3 and below.get(parts[0]) == parts[2]:
        parent = meant(parts[0], parts[1])
        platform.one(parts[0], parent)
        return parts[2], parent, meant(parts[2], parts[3]) if len(parts) > 3 else "", ""
    if parts[0] not in platform.kinds or platform.kinds[parts[0]].below[0]:
        raise Refused(404, f"no {parts[0]} here")
    return parts[0], "", meant(parts[0], parts[1]) if len(parts) > 1 else "", parts[2] if len(parts) > 2 else ""


def _send(asked: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], content: bytes) -> None:
    asked.send_response_only(status)
    for name, text in headers.items():
        asked.send_header(name, text)
    asked.end_headers()
    asked.wfile.write(content)
    asked.wfile.flush()


def handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    """Requests of one account."""

    class Asked(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body leave together

        def answered(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers: Mapping[str, str] = desk.dated()
            try:
                status, found = desk.asked(self.command, self.path, sent, self.headers.get("x-key", ""))
            except Refused as refused:
                status, found, headers = refused.status, {"error": str(refused)}, {**headers, **refused.headers}
            except Dropped:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = b"" if found is None and status == 204 else json.dumps(found).encode()
            _send(self, status, {"content-type": "application/json", "content-length": str(len(content)), **headers}, content)

        do_GET = do_POST = do_PATCH = do_DELETE = answered

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # whoever asked was killed
                self.close_connection = True

        def finish(self) -> None:
            try:
                super().finish()
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    return Asked


def switches(words: Sequence[str], base: Switches) -> Switches:
    """`tidy=off`, `lag=1`, `drops=0` over what is there already."""
    kinds = {one.name: type(getattr(base, one.name)) for one in fields(base)}
    found = dict(word.split("=", 1) for word in words)
    return replace(base, **{name: _switch(kinds[name], text) for name, text in found.items()})


def _switch(kind: Callable[[Any], Any], text: str) -> Any:
    return text in ("on", "true", "1") if kind is bool else kind(text)


def main(words: Sequence[str]) -> None:
    """Serve until the process is asked to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("crm", "desk"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data", type=Path, help="keeps the account between starts")
    parser.add_argument("--set", action="append", default=[], help="a switch, as in tidy=off")
    given = parser.parse_args(words)
    crm = given.kind == "crm"
    platform = Platform(CRM if crm else DESK, switches(given.set, Switches() if crm else PLAIN))
    if given.data and given.data.exists():
        platform.restore(json.loads(given.data.read_text(encoding="utf-8")))
    server = ThreadingHTTPServer(("127.0.0.1", given.port), handler(Desk(platform)))
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.1)
    if given.data:
        given.data.write_text(json.dumps(platform.state()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
