"""A running STEL Order emulator as the tests see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sandbox.launch import launch
from tests import loopback
from tests.emulator import emulator

Record = dict[str, Any]
PRODUCTION = "https://app.stelorder.com/app"


@dataclass(frozen=True)
class Account:
    """A running emulator and a client that knows its key."""

    http: httpx.Client
    stranger: httpx.Client  # has no key
    root: str  # without /app
    key: str
    pid: int

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        """GET under the API's base; the decoded answer."""
        answer = self.http.get(path, params={k.replace("_", "-"): v for k, v in params.items()})
        assert answer.status_code == status, answer.text
        return answer.json()

    def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Record:
        """A write; the one record (or error) in the answer."""
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        (found,) = answer.json()
        return dict(found)

    def everything(self, collection: str, page: int = 500, /, **params: Any) -> list[Record]:
        """All pages of a list, the first asked without start."""
        rows: list[Record] = []
        while True:
            where = {"start": len(rows)} if rows else {}
            found = self.get(collection, limit=page, **where, **params)
            rows += found
            if len(found) < page:
                return rows

    def code(self, path: str = "rates") -> str:
        """What one call gets: "200", or the error code in its array."""
        answer = self.http.get(path)
        return "200" if answer.status_code == 200 else str(answer.json()[0]["error-code"])

    def file(self, link: str, **headers: str) -> httpx.Response:
        """A public link fetched from here instead of from production, without the key."""
        assert link.startswith(PRODUCTION + "/ControladorPublico?token=")
        return self.stranger.get(link.replace(PRODUCTION, f"{self.root}/app"), headers=headers)

    def control(self, what: str, body: Any = None) -> httpx.Response:
        """A call to the sandbox's own routes."""
        url = f"{self.root}/__sandbox__/{what}"
        answer = self.http.get(url) if body is None else self.http.post(url, json=body)
        return answer.raise_for_status()

    def wait(self, seconds: float) -> float:
        """Let the account's clock run; what it shows then."""
        return float(self.control("clock", {"advance": seconds}).json()["now"])


@contextmanager
def account(
    *options: str, plan: str = "unlimited", data: Path | None = None, alone: bool = False
) -> Iterator[Account]:
    """An emulator of its own: in this process, but `alone` in one, or with a file, which it leaves to the next."""
    own = alone or data is not None
    started = (
        launch("stel_order", plan=plan, data=data, extra_args=options)
        if own
        else emulator("stel_order", plan=plan, extra_args=options)
    )
    with (
        started as running,
        loopback.client(
            base_url=running.base_url, headers={"APIKEY": running.key}, timeout=10
        ) as http,
        loopback.client() as stranger,
    ):
        root = running.base_url.removesuffix("/app")
        yield Account(http, stranger, root, running.key, running.pid)
