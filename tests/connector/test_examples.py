"""Every example on the pages that teach the connector language, run against a server that answers as the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.connector.addressing import addressed
from engine.connector.auth import Account, variables
from engine.connector.client import Client
from engine.connector.load import load_connector
from engine.connector.rate_limit import Clock, RateLimiter
from engine.extract.records import filtered

PAGES = sorted(Path(__file__).resolve().parents[2].joinpath("docs/connectors").glob("*.md"))
FENCES = re.compile(r"^## (.+?)$|^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BARE: dict[str, Any] = {
    "connector": "acme",
    "connection": {
        "base_url": {"env": "ACME_BASE_URL", "production": "https://api.acme.example"},
        "auth": {"kind": "none"},
        "check": {"get": "/me"},
    },
    "plans": ["any"],
    "limits": {},
    "errors": [],
    "pagers": {"all": {"kind": "single"}},
    "defaults": {
        "list": {"get": "/{resource}", "pager": "all"},
        "read": {"get": "/{resource}/{id}"},
        "create": {"post": "/{resource}"},
        "update": {"patch": "/{resource}/{id}"},
        "delete": {"delete": "/{resource}/{id}"},
    },
    "resources": {"contacts": {"fields": {"id": "integer", "name": "text"}}},
}


@dataclass(slots=True)
class Exchange:
    """One request as the page shows it, and the answer."""

    method: str
    target: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 0
    answer: str = ""
    answered: dict[str, str] = field(default_factory=dict)
    waited: float = 0.0  # seconds after the exchange before


@dataclass(slots=True)
class Example:
    """What the engine is asked, what then travels, and what comes of it."""

    title: str
    declared: dict[str, Any]
    asked: list[str]
    exchanges: list[Exchange]
    results: list[str]


def examples() -> Iterator[Any]:
    """Every `http` block of the pages with the `yaml` block before it."""
    for page in PAGES:
        title, declared = "", {}
        for heading, language, block in FENCES.findall(page.read_text(encoding="utf-8")):
            title = heading or title
            if language == "yaml":
                declared = yaml.safe_load(block)
            elif language == "http":
                yield pytest.param(example(title, declared, block), id=f"{page.stem}: {title}")


def example(title: str, declared: dict[str, Any], block: str) -> Example:
    found = Example(title, declared, [], [], [])
    waited = 0.0
    for line in block.splitlines():
        mark, text = line[:1], line[2:]
        last = found.exchanges[-1] if found.exchanges else None
        if mark == "#":
            found.asked.append(text)
        elif mark == "=":
            found.results.append(text)
        elif mark == "~":
            waited = float(text.removesuffix(" s"))
        elif mark == ">" and (last is None or last.status):
            method, target, *body = text.split(" ", 2)
            found.exchanges.append(Exchange(method, target, body[0] if body else "", waited=waited))
            waited = 0.0
        elif last is not None and mark == "<" and not last.status:
            status, _, last.answer = text.partition(" ")
            last.status = int(status)
        elif last is not None:
            name, _, value = text.partition(": ")
            (last.headers if mark == ">" else last.answered)[name] = value
    return found


def over(below: Any, above: Any) -> Any:
    """One mapping over another."""
    if not isinstance(below, dict) or not isinstance(above, dict) or "kind" in above:
        return above
    return {**below, **{key: over(below.get(key), value) for key, value in above.items()}}


class Platform:
    """Answers as the page says and notes where a request differs from it."""

    def __init__(self, exchanges: list[Exchange], secrets: dict[str, str], now: Callable[[], float]) -> None:
        self.left, self.now = list(exchanges), now
        self.last = now()
        self.secrets = secrets
        self.wrong: list[str] = []
        self.before: dict[str, str] = {}

    def named(self, text: str) -> str:
        return re.sub(r"\$([A-Z_]+)", lambda found: self.secrets[found[1]], text)

    async def __call__(self, request: Request) -> Response:
        sent, target = (await request.body()).decode(), request.scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else "")
        if not self.left:
            self.wrong.append(f"{request.method} {target} is not on the page")
            return Response(status_code=400)
        wanted = self.left.pop(0)
        self.differ("seconds waited", round(self.now() - self.last, 1), wanted.waited)
        self.last = self.now()
        self.differ("request", (request.method, split(target)), (wanted.method, split(self.named(wanted.target))))
        kind = request.headers.get("content-type", "")
        self.differ("body", read(sent, kind), read(self.named(wanted.body), kind))
        for name, value in wanted.headers.items():
            sent_now, wanted_now = request.headers.get(name), self.named(value)
            self.differ(name, sent_now, self.before.get(name, "nothing") if value == "same" else wanted_now)
        self.before = dict(request.headers)
        return Response(wanted.answer, wanted.status, wanted.answered, "application/json")

    def differ(self, what: str, sent: Any, wanted: Any) -> None:
        if sent != wanted:
            self.wrong.append(f"{what}: sent {sent}, the page says {wanted}")


def split(target: str) -> tuple[str, list[tuple[str, str]]]:
    return urlsplit(target).path, sorted(parse_qsl(urlsplit(target).query, keep_blank_values=True))


def read(body: str, kind: str) -> Any:
    if "form-urlencoded" in kind:
        return dict(parse_qsl(body))
    return json.loads(body) if body else None


def asked(client: Client, line: str) -> Any:
    """Do what a page says the engine is asked to do."""
    verb, resource, *rest = line.split(" ", 2)
    words = rest[0] if rest else ""
    if verb == "list":
        return list(client.rows(resource, json.loads(words or "{}")))
    if verb == "since":
        operation = client.connector.resources[resource].operations["list"]
        return list(client.rows(resource, filtered(operation, client.clock.now())))
    if verb == "ids":
        return list(client.by_ids(resource, words.split()))
    if verb == "read":
        return client.read(resource, words)
    if verb == "create" and words.startswith("["):
        found = client.write_many(resource, "create", [(row, "") for row in json.loads(words)])
        return [told(one) if isinstance(one, Exception) else one.id for one in found]
    if verb == "create":
        return client.write(resource, "create", json.loads(words)).id
    if verb == "download":
        with TemporaryDirectory() as folder:
            client.download(resource, Path(folder) / "file")
            return (Path(folder) / "file").read_text(encoding="utf-8")
    row_id, _, body = words.partition(" ")
    return client.write(resource, verb, json.loads(body) if body else None, row_id).id  # type: ignore[arg-type]


def told(error: Exception) -> str:
    """A failure as a page shows it."""
    return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("shown", list(examples()))
def test_every_example_of_the_pages_works(bench: Any, tmp_path: Path, shown: Example) -> None:
    """What travels and what comes of it are what the page shows, request by request, and no secret shows in a text."""
    path = tmp_path / "connector.yaml"
    path.write_text(json.dumps(over(BARE, shown.declared)), encoding="utf-8")
    connector = addressed(load_connector(path, "page.yaml"))
    names = list(variables(connector.connection.auth))
    hidden = set(variables(connector.connection.auth, secret=True))
    secrets = {name: f"canary-{name.lower()}" if name in hidden else name.lower() for name in names}
    platform = Platform(shown.exchanges, secrets, lambda: bench.time.now)

    async def endpoint(request: Request) -> Response:
        return await platform(request)

    base = bench.serve([Route("/{path:path}", endpoint, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])])
    clock = Clock(lambda: bench.time.now, bench.time.sleep)
    account = Account(base, secrets.get(connector.connection.secret_env, ""), secrets=secrets)
    limiter = RateLimiter(bench.store, "acme", connector.limits, connector.plans[0], 1, clock=clock)
    client = Client(connector, account, limiter, clock, random=lambda: 0.0)
    bench.stack.callback(client.close)
    results: list[Any] = []
    for line in shown.asked:
        try:
            results.append(asked(client, line))
        except Exception as error:
            results.append(told(error))
    assert (platform.wrong, platform.left) == ([], []), results
    assert [str(item) if isinstance(item, str) and ": " in item else item for item in results] == [
        json.loads(text) for text in shown.results
    ]
    assert "canary" not in client.redact(repr(client) + " ".join(secrets[name] for name in hidden))
