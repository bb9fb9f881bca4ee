"""A Pipedrive emulator of its own, as the tests of its switches see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests import loopback
from tests.emulator import emulator

Record = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """A running emulator and a client with its key."""

    http: httpx.Client

    def send(self, verb: str, path: str, body: Any = None, status: int = 200) -> Any:
        """One request; the data of its answer, or the error's text where it is refused."""
        answer = self.http.request(verb, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()["data" if status < 400 else "error"]

    def make(self, kind: str, **body: Any) -> int:
        """Make a row and return its id."""
        answer = self.http.post(_path(kind), json=body)
        assert answer.is_success, answer.text
        return int(answer.json()["data"]["id"])

    def make_lead(self, **body: Any) -> str:
        """Make a lead and return its id."""
        return str(self.send("POST", "/v1/leads", body, 201)["id"])

    def upload(self, **links: int) -> int:
        """Upload a file and return its id."""
        form = {name: str(key) for name, key in links.items()}
        answer = self.http.post("/v1/files", files={"file": ("a.txt", b"x")}, data=form)
        assert answer.is_success, answer.text
        return int(answer.json()["data"]["id"])

    def field(self, entity: str, kind: str, *labels: str) -> Record:
        """Make a custom field and return its definition."""
        body: Record = {"field_name": f"{entity} {kind}", "field_type": kind}
        if labels:
            body["options"] = [{"label": label} for label in labels]
        return dict(self.send("POST", f"/api/v2/{entity}Fields", body))

    def read(self, kind: str, key: int, status: int = 200) -> Any:
        """GET of one row."""
        return self.send("GET", f"{_path(kind)}/{key}", status=status)

    def delete(self, kind: str, key: int, status: int = 200) -> Any:
        """DELETE of one row."""
        return self.send("DELETE", f"{_path(kind)}/{key}", status=status)

    def merge(self, kind: str, gone: int, kept: Any, status: int = 200) -> Any:
        """Merge one row into another."""
        return self.send("PUT", f"/v1/{kind}/{gone}/merge", {"merge_with_id": kept}, status)

    def dump(self) -> dict[str, dict[Any, Record]]:
        """Every live row of the account, by table and id."""
        found: dict[str, dict[Any, Record]] = {}
        for line in self.http.get("/__sandbox__/dump").text.splitlines():
            entry = json.loads(line)
            found.setdefault(entry["resource"], {})[entry["id"]] = entry["record"]
        return found


def _path(kind: str) -> str:
    return f"/v1/{kind}" if kind in ("notes", "files") else f"/api/v2/{kind}"


@contextmanager
def account(*switches: str) -> Iterator[Account]:
    """An emulator with these switches, on a plan whose bursts no test reaches."""
    extra = ["--speed", "50"]
    for switch in ("index_delay=0", *switches):
        extra += ["--set", switch]
    with (
        emulator("pipedrive", plan="ultimate", seats=100, extra_args=extra) as running,
        loopback.client(
            base_url=running.base_url, headers={"x-api-token": running.key}, timeout=10
        ) as http,
    ):
        yield Account(http)
