"""Signing in with a call: when a token is asked for, when it is renewed, and where it never shows."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.cli.environment import live
from engine.connector.auth import Account
from engine.connector.client import Client
from engine.connector.rate_limit import RateLimiter
from engine.errors import AuthError, Unavailable, UsageError
from engine.language.compile import load_migration
from engine.store.tables import open_store
from engine.store.tokens import newest

LOGIN = {"kind": "login", "post": "/login", "secrets": {"password": "ACME_KEY"}}
CREDENTIALS = {"kind": "client_credentials", "post": "/login", "client_id": "ACME_ID", "client_secret": "ACME_KEY"}
ROTATING = {"kind": "refresh_token", "post": "/login", "client_id": "ACME_ID", "refresh_token": "ACME_KEY"}


class Platform:
    """Gives numbered tokens, takes the newest only, and counts; with `rotates`, a refresh token is good once."""

    def __init__(self, first: str = "", answer: dict[str, Any] | None = None, status: int = 200) -> None:
        self.tokens, self.calls, self.logins = 0, 0, 0
        self.refresh = first
        self.rotates = bool(first)
        self.answer, self.status = answer, status
        self.bodies: list[bytes] = []
        self.revoked: set[str] = set()

    async def login(self, request: Request) -> Response:
        self.logins += 1
        if self.rotates and (await request.form())["refresh_token"] != self.refresh:
            self.refresh = "the family is revoked"
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.tokens += 1
        self.refresh = f"refresh-{self.tokens}"
        more = {"refresh_token": self.refresh} if self.rotates else {}
        return JSONResponse({"access_token": f"canary-token-{self.tokens}", **more, **(self.answer or {})}, self.status)

    async def rows(self, request: Request) -> Response:
        self.calls += 1
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token.startswith("canary-token-") or token in self.revoked:
            return JSONResponse({"error": f"the token {token} is not good"}, 401)
        self.bodies.append(await request.body())
        return JSONResponse({"id": 7}, 201 if request.method == "POST" else 200)

    @property
    def routes(self) -> list[Route]:
        rows = ["GET", "POST", "PATCH"]
        return [Route("/login", self.login, methods=["POST"]), Route("/{p:path}", self.rows, methods=rows)]


def test_one_token_serves_many_calls_and_threads(bench: Any) -> None:
    """Whoever comes first signs in; the others wait for it instead of signing in too."""
    platform = Platform()
    client = bench.client(bench.serve(platform.routes), auth=LOGIN)
    with ThreadPoolExecutor(8) as pool:
        assert {row["id"] for row in pool.map(lambda _: client.read("rows", "7"), range(32))} == {7}
    assert (platform.logins, platform.calls) == (1, 32)


@pytest.mark.parametrize(
    ("told", "unit", "before", "after"),
    [
        (3600, "seconds", 3569, 3571),
        ("3600", "seconds", 3569, 3571),
        (900_000, "milliseconds", 869, 871),
        (100, "seconds", 89, 91),
        (1_767_268_800 + 600, "seconds", 569, 571),
        ((1_767_268_800 + 600) * 1000, "milliseconds", 569, 571),
        ("2026-01-01T12:10:00Z", "seconds", 569, 571),
        ("2026-01-01 12:10:00", "seconds", 569, 571),
    ],
)
def test_a_token_is_renewed_before_its_end(bench: Any, told: Any, unit: str, before: float, after: float) -> None:
    """Seconds, milliseconds, an epoch or a written moment; shortly before it no call goes out with the old one."""
    platform = Platform(answer={"expires_in": told})
    client = bench.client(bench.serve(platform.routes), auth={**CREDENTIALS, "expires_unit": unit})
    start = bench.time.now
    client.read("rows", "7")
    bench.time.now = start + before
    client.read("rows", "7")
    assert platform.logins == 1
    bench.time.now = start + after
    client.read("rows", "7")
    assert platform.logins == 2


@pytest.mark.parametrize("told", [None, 0, -5, "soon", "nan", [], 1])
def test_an_end_that_makes_no_sense_is_none(bench: Any, told: Any) -> None:
    """Then a refusal tells; no call signs in anew each time, except where a token really lives a second."""
    platform = Platform(answer={"expires_in": told})
    client = bench.client(bench.serve(platform.routes), auth=LOGIN)
    for _ in range(3):
        client.read("rows", "7")
    assert platform.logins == 1


def test_a_refused_token_is_renewed_once_and_the_write_goes_out_again(bench: Any) -> None:
    """A 401 says that nothing was done: the same body is sent with the new token, and executed once."""
    platform = Platform()
    client = bench.client(bench.serve(platform.routes), auth=LOGIN)
    client.read("rows", "7")
    platform.bodies.clear()
    platform.revoked = {"canary-token-1"}
    assert client.write("rows", "create", {"name": "x"}).id == "7"
    assert (platform.bodies, platform.logins) == ([b'{"name":"x"}'], 2)
    platform.revoked = {f"canary-token-{number}" for number in range(99)}
    calls = platform.calls
    with pytest.raises(AuthError, match=r"Acme refuses the key: 401 the token \*\*\* is not good – check ACME_KEY"):
        client.write("rows", "create", {"name": "y"})
    assert platform.calls - calls == 2 and len(platform.bodies) == 1


def test_a_write_in_doubt_is_not_sent_again_with_a_new_token(bench: Any) -> None:
    """Only a refusal renews: an error of the server leaves the doubt to settling."""
    from engine.errors import OutcomeUnknown

    def fail(request: Request) -> Response:
        seen.append(request.method)
        return JSONResponse({}, 500)

    seen: list[str] = []
    platform = Platform()
    client = bench.client(bench.serve([platform.routes[0], Route("/rows", fail, methods=["POST"])]), auth=LOGIN)
    with pytest.raises(OutcomeUnknown):
        client.write("rows", "create", {})
    assert (seen, platform.logins) == (["POST"], 1)


def test_many_threads_with_a_refused_token_sign_in_once(bench: Any) -> None:
    """Who finds the token renewed already uses the new one."""
    platform = Platform()
    client = bench.client(bench.serve(platform.routes), auth=LOGIN)
    client.read("rows", "7")
    platform.revoked = {"canary-token-1"}
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: client.read("rows", "7"), range(16)))
    assert platform.logins == 2


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        ({"access_token": None}, 200, AuthError),
        ({"access_token": ""}, 200, AuthError),
        ({"access_token": {"a": 1}}, 200, AuthError),
        ({"access_token": "two\nlines"}, 200, AuthError),
        ({"error_description": "who are you"}, 400, AuthError),
        ({}, 401, AuthError),
        ({}, 404, AuthError),
        ({}, 302, AuthError),
        ({}, 500, Unavailable),
    ],
)
def test_signing_in_that_fails_sends_nothing(bench: Any, answer: dict[str, Any], status: int, error: type[Exception]) -> None:
    """Refused, or an answer without a token: no call goes out, a write is not in doubt, and the variable is named."""
    platform = Platform(answer=answer, status=status)
    client = bench.client(bench.serve(platform.routes), auth=LOGIN)
    for call in (lambda: client.read("rows", "7"), lambda: client.write("rows", "create", {})):
        with pytest.raises(error) as caught:
            call()
        assert type(caught.value) is error and "canary" not in "".join(traceback.format_exception(caught.value))
    assert platform.calls == 0
    assert "who are you" not in answer or "who are you" in str(caught.value)


def test_an_exchanged_refresh_token_outlives_the_process(bench: Any, canary: str) -> None:
    """The next process goes on with the newest token, which lies in the store and in no text; the first is spent."""
    platform = Platform(first=canary)
    base = bench.serve(platform.routes)
    first, second = (bench.client(base, auth=ROTATING) for _ in range(2))
    first.read("rows", "7")
    second.read("rows", "7")
    assert platform.logins == 2
    assert newest(bench.store, "acme", "ACME_KEY") == "refresh-2"
    assert first.redact("canary-token-1 refresh-1") == "*** ***"
    assert "refresh-" not in repr(second) and "canary" not in repr(second)


def test_two_processes_exchange_one_after_the_other(bench: Any, tmp_path: Path, canary: str) -> None:
    """The platform revokes everything when a spent refresh token comes back: it never does, whoever asks when."""
    platform = Platform(first=canary, answer={"expires_in": 1})
    base = bench.serve(platform.routes)
    model = bench.client(base, auth=ROTATING)

    def process(number: int) -> int:
        store = open_store(str(tmp_path / "store.sqlite"))
        try:
            for _ in range(5):
                client = Client(model.connector, Account(base, canary), RateLimiter(store, "acme", (), "any", 1))
                client.read("rows", str(number))
                client.close()
            return number
        finally:
            store.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(process, range(4))) == [0, 1, 2, 3]
    assert platform.logins == 20
    assert (tmp_path / "store.sqlite.tokens.lock").stat().st_mode & 0o077 == 0


def test_another_consent_takes_the_place_of_the_kept_token() -> None:
    """The account's name follows from every variable, so a new first token starts a chain of its own."""
    one, two = (Account("https://a.example", "id", secrets={"ID": "id", "REFRESH": token}) for token in ("old", "new"))
    assert one.id != two.id
    assert Account("https://a.example", "k").id == Account("https://a.example", "k", secrets={"KEY": "k"}).id


SEVERAL = """\
connector: {name}
connection:
  base_url: {{env: {up}_URL, production: https://api.acme.example}}
  auth:
    - {{kind: basic, user_env: {up}_USER, secret: {up}_PASSWORD}}
    - kind: login
      post: {{env: {up}_LOGIN_URL, production: https://login.acme.example}}
      variables: {{user: {up}_USER}}
      secrets: {{code: {up}_CODE}}
      name: x-session
      signed_by: {{kind: header, name: x-first, secret: {up}_FIRST}}
  check: {{get: /ok}}
plans: [any]
limits: {{}}
errors: []
resources:
  people: {{fields: {{name: text}}, list: none, create: {{post: /people}}}}
"""
SPEC = """\
migration: people
source: {connector: one.yaml, plan: any}
destination: {connector: two.yaml, plan: any}
settings: {timezone: Europe/Madrid, currency: EUR, phone_region: ES}
objects: {people: {from: people, to: people, fields: {name: name}}}
"""


def test_the_live_environment_asks_for_every_variable(tmp_path: Path) -> None:
    """However deep a way of signing in names it; another address is optional, and never without encryption."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(SEVERAL.format(name=name, up=name.upper()))
    (tmp_path / "spec.yaml").write_text(SPEC)
    migration = load_migration(tmp_path / "spec.yaml", {})
    wanted = [f"{side}_{name}" for side in ("ONE", "TWO") for name in ("URL", "PASSWORD", "USER", "CODE", "FIRST")]
    with pytest.raises(UsageError) as caught:
        live(migration, {})
    assert all(name in str(caught.value) for name in wanted) and "LOGIN" not in str(caught.value)
    env = {name: f"https://{name.lower()}.example" if name.endswith("URL") else f"value of {name}" for name in wanted}
    found = live(migration, env)
    assert (found.source.secret, found.source.reveal("ONE_CODE")) == ("value of ONE_PASSWORD", "value of ONE_CODE")
    assert "value of" not in repr(found)
    with pytest.raises(UsageError, match="TWO_LOGIN_URL is not https"):
        live(migration, {**env, "TWO_LOGIN_URL": "http://login.example"})


def test_a_sign_in_elsewhere_is_asked_there(bench: Any, canary: str) -> None:
    """Another address named by the environment gets the secret; the platform itself gets the token only."""
    platform, elsewhere = Platform(), Platform()
    place = bench.serve(elsewhere.routes) + "/login"
    auth = {**LOGIN, "post": {"env": "ACME_LOGIN", "production": "https://login.acme.example/login"}}
    client = bench.client(bench.serve(platform.routes), auth=auth)
    client.account = Account(client.account.base_url, canary, secrets={"ACME_KEY": canary, "ACME_LOGIN": place})
    client.calls.session.reveal = client.account.reveal
    assert client.read("rows", "7") == {"id": 7}
    assert (platform.logins, elsewhere.logins, platform.calls) == (0, 1, 1)
