"""The client over real loopback HTTP: what an answer means, what is repeated, and what is never repeated."""

from __future__ import annotations

import json
import ssl
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.connector.door import Door
from engine.connector.model import ErrorRule, Limit, Operation, Pager
from engine.errors import (
    Accepted,
    ApiError,
    AuthError,
    ClientBlocked,
    EtlError,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    QuotaExhausted,
    RequestRejected,
    Unavailable,
    UsageError,
)

VERBS = ["GET", "POST", "PATCH", "PUT", "DELETE"]


class Script:
    """A server that gives these answers in turn, the last one for ever, and keeps what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: Request) -> Response:
        target = request.scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else "")
        self.asked.append((request.method, target, await request.body()))
        self.headers.append(dict(request.headers))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]

    @property
    def routes(self) -> list[Route]:
        async def endpoint(request: Request) -> Response:
            return await self(request)

        return [Route("/{path:path}", endpoint, methods=VERBS)]


def answer(status: int = 200, body: Any = None, headers: dict[str, str] | None = None, kind: str = "") -> Response:
    if isinstance(body, bytes):
        return Response(body, status, headers, kind or "application/json")
    return JSONResponse(body, status, headers)


OK = answer(body={"id": 7})


# -- rules


READ: Callable[[Any], Any] = lambda client: client.read("rows", "7")  # noqa: E731
CREATE: Callable[[Any], Any] = lambda client: client.write("rows", "create", {"name": "x"})  # noqa: E731


@pytest.mark.parametrize(
    ("given", "on_read", "on_write"),
    [
        (answer(400, {"error": "no"}), RequestRejected, RequestRejected),
        (answer(418, {"error": "no"}), RequestRejected, RequestRejected),
        (answer(401, {"error": "no"}), AuthError, AuthError),
        (answer(403, b"<h1>no</h1>", kind="text/html; charset=UTF-8"), ClientBlocked, ClientBlocked),
        (answer(403, {"error": "no"}), RequestRejected, RequestRejected),
        (answer(404, {"error": "no"}), None, NotFound),
        (answer(500, {"error": "no"}), Unavailable, OutcomeUnknown),
        (answer(503, b"<h1>gateway</h1>", kind="text/html"), Unavailable, OutcomeUnknown),
        (answer(599, b""), Unavailable, OutcomeUnknown),
        (answer(408, b""), Unavailable, OutcomeUnknown),
        (answer(200, b"<h1>login</h1>", kind="text/html"), Unavailable, OutcomeUnknown),
        (answer(200, b'{"id": 7'), Unavailable, OutcomeUnknown),
        (answer(200, b'{"id": 7, "value": NaN}'), Unavailable, OutcomeUnknown),
        (answer(200, b"\xff\xfe\x00"), Unavailable, OutcomeUnknown),
        (answer(302, b"", {"location": "https://elsewhere.example/"}), ApiError, OutcomeUnknown),
        (answer(301, b"", {"location": "/rows/"}), ApiError, RequestRejected),  # to be made elsewhere: not carried out
        (answer(307, b"", {"location": "/rows/"}), ApiError, RequestRejected),
        (answer(201, {"ok": True}), dict, Accepted),  # created, but which row?
        (answer(204, b""), None, Accepted),
    ],
)  # fmt: skip
def test_what_an_answer_means(bench: Any, given: Response, on_read: Any, on_write: Any) -> None:
    """Each kind of answer to a read and to a write; an answer that leaves doubt is never taken for yes or no."""
    for call, expected in ((READ, on_read), (CREATE, on_write)):
        script = Script(given)
        client = bench.client(bench.serve(script.routes))
        if expected is None or expected is dict:
            assert isinstance(call(client), expected or type(None))
            continue
        with pytest.raises(ApiError) as caught:
            call(client)
        assert type(caught.value) is expected
        assert len(script.asked) == (3 if expected is Unavailable else 1)
        assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("rule", "given", "hit"),
    [
        (ErrorRule("forbid", (403,)), answer(403, {}), True),
        (ErrorRule("forbid", (403,)), answer(400, {}), False),
        (ErrorRule("forbid", (402, 403)), answer(402, {}), True),
        (ErrorRule("forbid", headers={"x-why": "rights"}), answer(400, {}, {"X-Why": "rights"}), True),
        (ErrorRule("forbid", headers={"x-why": "rights"}), answer(400, {}, {"X-Why": "other"}), False),
        (ErrorRule("forbid", headers={"x-why": "rights"}), answer(400, {}), False),
        (ErrorRule("forbid", (400,), content_type="text/html"), answer(400, b"<p>", kind="Text/HTML; charset=x"), True),
        (ErrorRule("forbid", (400,), content_type="text/html"), answer(400, b"<p>", kind="application/json;x=text/html"), False),
        (ErrorRule("forbid", body={"0.code": "E6"}), answer(400, [{"code": "E6"}]), True),
        (ErrorRule("forbid", body={"0.code": ["E5", "E6"]}), answer(400, [{"code": "E6"}]), True),
        (ErrorRule("forbid", body={"0.code": "E6"}), answer(400, [{"code": "E7"}]), False),
        (ErrorRule("forbid", body={"0.code": "E6"}), answer(400, []), False),
        (ErrorRule("forbid", body={"code": "E6"}), answer(400, b"<code>E6</code>", kind="text/html"), False),
        (ErrorRule("forbid", body={"ok": False}), answer(400, {"ok": 0}), False),
        (ErrorRule("forbid", body={"ok": None}), answer(400, {}), True),
        # A good answer may hold the very words of an error: such a rule has to name the status.
        (ErrorRule("forbid", body={"id": 7}), answer(200, {"id": 7}), False),
        (ErrorRule("forbid", headers={"x-why": "rights"}), answer(200, {"id": 7}, {"x-why": "rights"}), False),
        (ErrorRule("forbid", (200,), body={"success": False}), answer(200, {"success": False, "id": 7}), True),
        (ErrorRule("forbid", (200,), body={"success": False}), answer(200, {"success": True, "id": 7}), False),
    ],
)  # fmt: skip
def test_a_rule_matches_when_all_of_it_does(bench: Any, rule: ErrorRule, given: Response, hit: bool) -> None:
    """Status, headers, content type and body decide together; without a status only errors are looked at."""
    client = bench.client(bench.serve(Script(given).routes), errors=(rule, ErrorRule("reject", (400, 402, 403))))
    try:
        client.write("rows", "create", {})
        outcome: Any = "good"
    except RequestRejected as error:
        outcome = type(error)
    assert (outcome is Forbidden) is hit


def test_the_first_rule_that_matches_decides(bench: Any) -> None:
    """Rules are read in order, so that an exception can stand before what it is excepted from."""
    errors = (ErrorRule("missing", (400,), body={"error": "gone"}), ErrorRule("reject", (400,)))
    script = Script(answer(400, {"error": "gone"}), answer(400, {"error": "bad"}))
    client = bench.client(bench.serve(script.routes), errors=errors)
    assert client.read("rows", "7") is None
    with pytest.raises(RequestRejected) as caught:
        client.read("rows", "7")
    assert (caught.value.status, str(caught.value)) == (400, "Acme refuses GET /rows/{id}: 400 bad")


def test_a_refused_key_names_its_variable(bench: Any) -> None:
    """Who reads "401" wants to know which of the keys in .env is meant."""
    client = bench.client(bench.serve(Script(answer(401, {"error": "who?"})).routes))
    with pytest.raises(AuthError, match=r"Acme refuses the key: 401 who\? – check ACME_KEY$"):
        client.check()


def test_a_redirect_is_not_followed(bench: Any) -> None:
    """A key is not carried to wherever an answer points."""
    script = Script(OK)
    other = bench.serve(script.routes)
    client = bench.client(bench.serve(Script(answer(307, b"", {"location": f"{other}/rows"})).routes))
    with pytest.raises(ApiError, match="check ACME_BASE_URL"):
        client.read("rows", "7")
    with pytest.raises(RequestRejected, match=f"from another place: 307 {other}/rows"):
        client.write("rows", "create", {})
    assert script.asked == []


# -- repeating


def test_reads_are_repeated_with_growing_waits(bench: Any) -> None:
    """A read that failed twice succeeds the third time; the waits double."""
    script = Script(answer(500, {}), answer(200, b"<html>"), OK)
    client = bench.client(bench.serve(script.routes), tries=3)
    assert client.read("rows", "7") == {"id": 7}
    assert bench.time.naps == [0.5, 1.0]
    client.calls.random = lambda: 1.0
    script.asked.clear()
    client.read("rows", "7")
    assert bench.time.naps[2:] == [0.75, 1.5]


def test_being_refused_for_the_rate_uses_up_no_try(bench: Any) -> None:
    """A read that is told to wait often and fails once between still succeeds."""
    script = Script(*[answer(429, {})] * 5, answer(500, {}), *[answer(429, {})] * 5, OK)
    client = bench.client(bench.serve(script.routes), tries=1)
    assert client.read("rows", "7") == {"id": 7}
    assert sum(bench.time.naps) == 10 * 2.0 + 0.5


def test_a_write_is_repeated_only_after_wait(bench: Any) -> None:
    """A 429 says that nothing was executed: the same write goes out again, once for each refusal."""
    script = Script(answer(429, {}), answer(429, {}), answer(201, {"id": 7}))
    client = bench.client(bench.serve(script.routes))
    assert client.write("rows", "create", {"name": "x"}).id == "7"
    assert len(script.asked) == 3 and len({body for _, _, body in script.asked}) == 1


def test_a_rate_refused_for_ever_ends(bench: Any) -> None:
    """A platform that goes on refusing is not asked for ever."""
    script = Script(answer(429, {}))
    client = bench.client(bench.serve(script.routes))
    for call in (READ, CREATE):
        script.asked.clear()
        with pytest.raises(Unavailable, match="still rate limited"):
            call(client)
        assert len(script.asked) == 50


NOW = 1_767_268_800.0
LATER = format_datetime(datetime.fromtimestamp(NOW + 30, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 2.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": LATER}, 30.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 -0000"}, 2.0),
        ({"retry-after": "soon"}, 2.0),
        ({"retry-after": "nan"}, 2.0),
        ({"retry-after": "inf"}, 2.0),
        ({"retry-after": "-5"}, 2.0),
        ({"x-reset": "9"}, 9.0),
        ({"x-reset": str(NOW + 12)}, 12.0),
        ({"x-reset": "9", "retry-after": "3"}, 3.0),
    ],
)
def test_how_long_a_refusal_lasts(bench: Any, headers: dict[str, str], seconds: float) -> None:
    """`Retry-After` in both forms, then the limit's reset header, then the rule's own time."""
    limit = Limit("burst", "calls", {"*": 100.0}, 2.0, "rolling", headers={"reset": "x-reset"})
    client = bench.client(bench.serve(Script(answer(429, {}, headers), OK).routes), limits=(limit,))
    client.read("rows", "7")
    assert bench.time.naps == [pytest.approx(seconds)]


def test_a_wait_that_makes_no_sense_is_noticed_early(bench: Any) -> None:
    """The pauses grow while the header says nonsense, and after some minutes the call fails with it in the message."""
    script = Script(answer(429, {}, {"retry-after": "soon"}))
    client = bench.client(bench.serve(script.routes))
    with pytest.raises(Unavailable, match="'retry-after: soon', which is no time to wait for"):
        client.read("rows", "7")
    assert len(script.asked) == 9
    assert bench.time.naps == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


DAY = Limit("day", "calls", {"*": 100.0}, 86_400.0, "calendar")
SPENT = (ErrorRule("pause", (429,), body={"error": "day"}, limit="day"), ErrorRule("wait", (429,), limit="day"))


@pytest.mark.parametrize("call", [READ, CREATE])
def test_a_spent_day_pauses_the_run(bench: Any, call: Callable[[Any], Any]) -> None:
    """The platform says that the day is spent: exit code 75, with its name and the end of the day."""
    script = Script(answer(429, {"error": "day"}, {"retry-after": "5"}))
    client = bench.client(bench.serve(script.routes), errors=SPENT, limits=(DAY,))
    with pytest.raises(QuotaExhausted) as caught:
        call(client)
    assert (caught.value.limit, caught.value.until) == ("Acme day", 1_767_312_000.0)
    assert len(script.asked) == 1


@pytest.mark.parametrize("call", [READ, CREATE])
def test_a_spent_day_can_be_waited_for(bench: Any, call: Callable[[Any], Any]) -> None:
    """With `wait_for_day` the very call that was refused goes out again after midnight."""
    script = Script(answer(429, {"error": "day"}), OK)
    client = bench.client(bench.serve(script.routes), errors=SPENT, limits=(DAY,), wait_for_day=True)
    call(client)
    assert bench.time.now >= 1_767_312_000.0
    assert len(script.asked) == 2


# -- when no answer comes


CUT = [
    pytest.param(None, id="nothing"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", id="half a head"),
    pytest.param(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"id"', id="half a body"),
    pytest.param(b"not http at all\r\n\r\n", id="another protocol"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd", id="broken compression"),
]


@pytest.mark.parametrize("cut", CUT)
def test_a_write_without_a_whole_answer_is_a_doubt(bench: Any, cut: bytes | None) -> None:
    """Once the request has left, a broken answer means that it may have happened: asked once, never repeated."""
    base_url, asked = bench.script(cut)
    client = bench.client(base_url)
    for verb, body in (("create", {"name": "x"}), ("update", {"name": "y"}), ("delete", None)):
        asked.clear()
        with pytest.raises(OutcomeUnknown):
            client.write("rows", verb, body, "" if verb == "create" else "7")
        assert len(asked) == 1


@pytest.mark.parametrize("cut", CUT)
def test_a_read_without_a_whole_answer_is_repeated(bench: Any, cut: bytes | None) -> None:
    """The second answer of a read is as good as the first."""
    good = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{"id":7}'
    base_url, asked = bench.script(cut, good)
    assert bench.client(base_url).read("rows", "7") == {"id": 7}
    assert len(asked) == 2


def test_a_slow_answer_to_a_write_is_a_doubt(bench: Any) -> None:
    """A timeout says nothing about what the platform did."""

    async def slow(request: Request) -> Response:
        import asyncio

        await asyncio.sleep(0.6)
        return OK

    client = bench.client(bench.serve([Route("/rows", slow, methods=["POST"])]), timeout=0.2)
    with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
        client.write("rows", "create", {})


def test_a_dead_server_is_told_clearly(bench: Any, closed_port: str) -> None:
    """Nothing listens: a read gives up after its tries, a write at once and without doubt; exit code 3."""
    client = bench.client(closed_port)
    with pytest.raises(Unavailable, match=r"Acme gave no usable answer to GET /me: ConnectError at 127.0.0.1") as caught:
        client.check()
    assert caught.value.exit_code == 3 and "ACME_BASE_URL" in str(caught.value)
    with pytest.raises(Unavailable, match="Acme cannot be reached: ConnectError"):
        client.write("rows", "create", {})


@pytest.mark.parametrize("error", [httpx.ConnectTimeout, httpx.PoolTimeout])
def test_a_request_that_never_left_is_no_doubt(bench: Any, error: type[Exception]) -> None:
    """No connection was had, so nothing can have happened."""

    class Shut(Door):
        def open(self, request: httpx.Request) -> Any:
            raise error("no")

    client = bench.client("http://127.0.0.1:1")
    client.calls.door = Shut(1.0, 1.0, 1.0, 1, ssl.create_default_context())
    with pytest.raises(Unavailable):
        client.write("rows", "create", {})


def test_idle_connections_are_dropped_before_servers_drop_them(bench: Any) -> None:
    """A connection idle for longer than servers keep theirs is not used for a write: that would be a doubt."""
    client = bench.client(bench.serve(Script(OK).routes))
    assert client.calls.door.keep_for < 5


# -- secrets


AUTH = [
    {"kind": "header", "name": "x-key", "secret": "ACME_KEY", "prefix": "Token "},
    {"kind": "query", "name": "api_key", "secret": "ACME_KEY"},
    {"kind": "bearer", "secret": "ACME_KEY"},
    {"kind": "basic", "user": "me", "secret": "ACME_KEY"},
]


def echo(status: int) -> Callable[[Request], Any]:
    """An answer that repeats everything it was sent, as debugging pages do."""

    async def endpoint(request: Request) -> Response:
        said = f"{request.url} {dict(request.headers)} {request.query_params}"
        return JSONResponse({"error": "x" * 240 + said}, status)

    return endpoint


@pytest.mark.parametrize("auth", AUTH, ids=lambda auth: auth["kind"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_the_key_shows_in_no_text(bench: Any, canary: str, auth: dict[str, str], status: int) -> None:
    """However an answer echoes the request, no exception, cause, repr or traceback holds the key or a part of it."""
    client = bench.client(bench.serve([Route("/{p:path}", echo(status), methods=VERBS)]), auth=auth)
    texts = [repr(client), repr(client.account), str(client.account), client.account.id]
    for call in (READ, CREATE, lambda it: list(it.rows("rows")), lambda it: it.check()):
        try:
            call(client)
        except EtlError as error:
            texts.append("".join(traceback.format_exception(error)))
    signature = client.calls.session.signature()
    carried = [*signature.headers.values(), *signature.params.values()]
    secrets = [canary, "canary-Key", *(value.rpartition(" ")[2] for value in carried)]
    assert len(texts) > 4 or status == 404
    for text in texts:
        assert not any(secret in text for secret in secrets), text


def test_a_key_on_the_edge_of_a_long_message_does_not_show(bench: Any, canary: str) -> None:
    """Messages are cut only after the key is out: no piece of it is left where the cut goes through it."""
    script = Script(*[answer(400, {"error": "x" * before + canary}) for before in range(280, 300)])
    client = bench.client(bench.serve(script.routes))
    for _ in range(20):
        with pytest.raises(RequestRejected) as caught:
            client.read("rows", "7")
        assert canary[:3] not in str(caught.value)


@pytest.mark.parametrize("auth", AUTH, ids=lambda auth: auth["kind"])
def test_the_key_shows_in_no_text_of_a_broken_connection(bench: Any, canary: str, closed_port: str, auth: dict[str, str]) -> None:
    """httpx's own errors name addresses, and with some APIs the key is in the address."""
    cut, _ = bench.script(None)
    for base_url in (closed_port, cut):
        client = bench.client(base_url, auth=auth)
        for call in (READ, CREATE):
            with pytest.raises(EtlError) as caught:
                call(client)
            assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("auth", AUTH, ids=lambda auth: auth["kind"])
def test_the_key_shows_in_no_log(bench: Any, caplog: pytest.LogCaptureFixture, auth: dict[str, str]) -> None:
    """httpx logs addresses at INFO; whoever turns logging on must not write keys to disk."""
    caplog.set_level("INFO")
    client = bench.client(bench.serve(Script(OK).routes), auth=auth)
    client.read("rows", "7")
    assert "canary" not in caplog.text


@pytest.mark.parametrize("secret", ["abc\n", " abc", "abc ", "ab\ncd", "clé-secrète", "ab\x00cd"])
def test_a_key_no_request_can_carry_is_refused_at_the_start(bench: Any, secret: str) -> None:
    """A line break copied with the key is told by the variable's name, not by its value."""
    with pytest.raises(UsageError, match="ACME_KEY") as caught:
        bench.client("http://127.0.0.1:1", secret=secret)
    assert secret.strip() not in str(caught.value)


# -- what is sent and what comes back


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Ñandú & Søn 株式会社 🚀", "n": 1.1, "t": True, "z": None, "big": 12345678901234567890},
        {"text": "tab\t, quote \", back\\slash, nul \x00, line\u2028separator"},
        {"deep": [{"a": [1, {"b": "ç"}]}]},
    ],
)  # fmt: skip
def test_a_body_arrives_as_it_was(bench: Any, body: dict[str, Any]) -> None:
    """JSON in, the same JSON out, in UTF-8."""
    script = Script(answer(201, {"id": 7, **body}))
    data = bench.client(bench.serve(script.routes)).write("rows", "create", body).data
    assert json.loads(script.asked[0][2]) == body
    assert {key: data[key] for key in body} == body
    assert script.headers[0]["content-type"] == "application/json"


def test_half_a_character_does_not_stop_a_run(bench: Any) -> None:
    """A platform that cut an emoji in two gives text no database or request can hold; it travels as U+FFFD or ?."""
    script = Script(answer(400, b'{"error": "bad \\ud83d"}'), answer(201, {"id": 7}))
    client = bench.client(bench.serve(script.routes))
    with pytest.raises(RequestRejected) as caught:
        client.write("rows", "create", {"name": "x"})
    str(caught.value).encode()
    client.write("rows", "create", {"name": "cut \ud83d"})
    assert json.loads(script.asked[1][2]) == {"name": "cut ?"}
    assert client.read("rows", "\ud83d") == {"id": 7}


@pytest.mark.parametrize(
    ("select", "given", "row"),
    [
        ("", {"id": 7}, {"id": 7}),
        ("data", {"data": {"id": 7}}, {"id": 7}),
        ("data", {"data": [{"id": 7}]}, {"id": 7}),
        ("0", [{"id": 7}], {"id": 7}),
        ("0", {"id": 7}, {"id": 7}),
        ("0", [], None),
        ("", [{"id": 7}], {"id": 7}),
        ("data", {"data": None}, None),
    ],
)
def test_a_row_is_found_in_its_answer(bench: Any, select: str, given: Any, row: Any) -> None:
    """Bare, under a key or alone in an array; null and an empty array are no row."""
    calls = {"read": Operation("GET", "/rows/{id}", select=select)}
    assert bench.client(bench.serve(Script(answer(body=given)).routes), calls=calls).read("rows", "7") == row


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ([{"id": 1}, {"id": 2}], 2),
        ([], 0),
        (None, 0),
        ({"id": 1}, 1),
        ([1, 2], Unavailable),
        ([{"id": 1}, None], Unavailable),
        ("text", Unavailable),
        (7, Unavailable),
    ],
)
def test_a_list_holds_rows_and_nothing_else(bench: Any, given: Any, rows: Any) -> None:
    """A list with things that are no rows stops the reading: passing over them would lose them."""
    client = bench.client(bench.serve(Script(answer(body=given)).routes))
    if rows is Unavailable:
        with pytest.raises(Unavailable):
            list(client.rows("rows"))
    else:
        assert len(list(client.rows("rows"))) == rows


def test_an_empty_answer_is_an_empty_list(bench: Any) -> None:
    """204 and no body at all."""
    assert list(bench.client(bench.serve(Script(answer(204, b"")).routes)).rows("rows")) == []


@pytest.mark.parametrize("given", [{"rows": []}, {"error": "none"}, {}, [], "text"])
def test_an_answer_without_the_place_of_its_rows_is_not_an_empty_list(bench: Any, given: Any) -> None:
    """A collection is not taken for empty because the answer has another shape than declared."""
    calls = {"list": Operation("GET", "/rows", select="data", pager=Pager("single"))}
    client = bench.client(bench.serve(Script(answer(body=given)).routes), calls=calls, tries=0)
    with pytest.raises(Unavailable, match="there is no data in it"):
        list(client.rows("rows"))


def test_an_object_is_no_page_of_a_paged_list(bench: Any) -> None:
    """An error object with status 200 does not become a record."""
    calls = {"list": Operation("GET", "/rows", pager=Pager("offset", 10, {"start": "start", "limit": "limit"}))}
    client = bench.client(bench.serve(Script(answer(body={"message": "sorry"})).routes), calls=calls)
    with pytest.raises(Unavailable):
        list(client.rows("rows"))


def test_places_in_a_path_are_filled_and_guarded(bench: Any) -> None:
    """A field named in the path leaves the body; what is odd is quoted; what is missing is never sent."""
    calls = {
        "create": Operation("POST", "/parents/{parent}/rows", omit=("secret",)),
        "delete": Operation("DELETE", "/parents/{parent}/rows/{id}"),
    }
    script = Script(OK)
    client = bench.client(bench.serve(script.routes), calls=calls)
    client.write("rows", "create", {"parent": "a/b?c", "name": "x", "secret": 1})
    client.write("rows", "delete", {"parent": 3}, "7")
    assert [(method, target) for method, target, _ in script.asked] == [
        ("POST", "/parents/a%2Fb%3Fc/rows"),
        ("DELETE", "/parents/3/rows/7"),
    ]
    assert json.loads(script.asked[0][2]) == {"name": "x"}
    assert script.asked[1][2] == b""
    script.asked.clear()
    with pytest.raises(RequestRejected, match="needs parent"):
        client.write("rows", "delete", None, "7")
    for row_id in ("", ".", ".."):
        with pytest.raises(RequestRejected, match="needs id"):
            client.write("rows", "delete", {"parent": 3}, row_id)
    assert script.asked == []


def test_deleting_several_things_sends_them(bench: Any) -> None:
    """A deletion with a list carries it; one with a mapping only fills the path from it."""
    script = Script(answer(204, b""))
    client = bench.client(bench.serve(script.routes))
    assert client.write("rows", "delete", [{"id": 1}], "7").id == "7"
    assert json.loads(script.asked[0][2]) == [{"id": 1}]


def test_a_file_is_sent_whole_and_again_after_a_wait(bench: Any, tmp_path: Path) -> None:
    """Multipart with the other fields as text; a repeated upload starts at the beginning of the file."""
    bodies: list[tuple[dict[str, Any], bytes, str]] = []

    async def take(request: Request) -> Response:
        async with request.form() as form:
            upload: Any = form["file"]
            bodies.append(({k: v for k, v in form.items() if k != "file"}, await upload.read(), upload.filename))
        return answer(429, {}) if len(bodies) == 1 else answer(201, {"id": 7})

    path = tmp_path / "f"
    path.write_bytes(b"\x00\xff" * 50_000)
    client = bench.client(
        bench.serve([Route("/rows", take, methods=["POST"])]),
        calls={"create": Operation("POST", "/rows", body="multipart")},
        resource={"file": ("file", "name", "size")},
    )
    body = {"file": {"name": 'señal "1".pdf', "type": ""}, "deal_id": 5, "open": True, "note": "ñ", "none": None}
    assert client.write("rows", "create", body, file=path).id == "7"
    fields, content, _ = bodies[1]
    assert fields == {"deal_id": "5", "open": "true", "note": "ñ"}
    assert content == path.read_bytes()
    assert bodies[0][1] == content


def test_a_form_is_sent_as_a_form(bench: Any) -> None:
    """Text as it is, other values as JSON writes them."""
    script = Script(OK)
    client = bench.client(bench.serve(script.routes), calls={"create": Operation("POST", "/rows", body="form")})
    client.write("rows", "create", {"name": "a b", "on": False, "list": [1, 2]})
    assert script.asked[0][2] == b"name=a+b&on=false&list=%5B1%2C2%5D"


@pytest.mark.parametrize("auth", AUTH, ids=lambda auth: auth["kind"])
def test_every_call_is_signed(bench: Any, canary: str, auth: dict[str, str]) -> None:
    """Reads, lists and writes of every kind carry the key in its place."""
    script = Script(answer(body={"id": 7, "next": None}))
    client = bench.client(bench.serve(script.routes), auth=auth)
    client.read("rows", "7")
    client.write("rows", "create", {})
    client.write("rows", "delete", None, "7")
    list(client.rows("rows"))
    for (_, target, _), headers in zip(script.asked, script.headers, strict=True):
        if auth["kind"] == "query":
            assert dict(httpx.URL(target).params)["api_key"] == canary
        else:
            word = {"header": "Token ", "bearer": "Bearer ", "basic": "Basic "}[auth["kind"]]
            assert headers[auth.get("name", "authorization")].startswith(word)


def test_what_a_connector_does_not_offer_is_told(bench: Any) -> None:
    """An operation or a resource that is not there is an error in words, not a KeyError."""
    client = bench.client("http://127.0.0.1:1", calls={})
    with pytest.raises(ApiError, match="no resource cats"):
        client.read("cats", "1")
    with pytest.raises(ApiError, match="no way to add_options rows"):
        client.write("rows", "add_options", [], "1")


def test_many_ids_are_read_in_as_few_calls_as_the_list_takes(bench: Any) -> None:
    """Five ids at two a call are three calls; without such a parameter each is read by itself."""
    script = Script(answer(body=[{"id": 1}]))
    calls = {"list": Operation("GET", "/rows", pager=Pager("single"), ids="ids", ids_max=2)}
    client = bench.client(bench.serve(script.routes), calls=calls)
    assert len(list(client.by_ids("rows", ["1", "2", "3", "4", "5"]))) == 3
    assert [httpx.URL(target).params["ids"] for _, target, _ in script.asked] == ["1,2", "3,4", "5"]
    script = Script(answer(404, {}), OK)
    assert list(bench.client(bench.serve(script.routes)).by_ids("rows", ["1", "2"])) == [{"id": 7}]


# -- next pages


BY_LINK = Pager("next_url", 2, {"limit": "limit"}, "next")
LINKED = {"list": Operation("GET", "/rows", params={"state": "all"}, select="rows", pager=BY_LINK)}


@pytest.mark.parametrize("where", ["{base}/rows", "/rows", "", "rows", "//{host}/rows"])
@pytest.mark.parametrize("auth", AUTH[:2], ids=lambda auth: auth["kind"])
def test_a_next_link_is_followed_as_it_stands(bench: Any, canary: str, where: str, auth: dict[str, str]) -> None:
    """Absolute or relative, its own query is kept, the key goes along and never into the position."""
    script = Script()
    base = bench.serve(script.routes)
    written = where.format(base=base, host=base.removeprefix("http://")) + "?page=2&state=all"
    written += f"&api_key={canary}" if auth["kind"] == "query" else ""
    script.answers = [answer(body={"rows": [{"id": 1}], "next": written}), answer(body={"rows": [{"id": 2}]})]
    pages = list(bench.client(base, calls=LINKED, auth=auth).pages("rows"))
    assert [page.rows for page in pages] == [[{"id": 1}], [{"id": 2}]]
    second = dict(httpx.URL(script.asked[1][1]).params)
    assert (second.pop("api_key", None) is not None) == (auth["kind"] == "query")
    assert second == {"page": "2", "state": "all"}
    assert pages[0].next == "/rows?page=2&state=all"
    script.asked.clear()
    script.answers = [answer(body={"rows": [{"id": 2}]})]
    resumed = bench.client(base, calls=LINKED, auth=auth).pages("rows", position=pages[0].next)
    assert [page.rows for page in resumed] == [[{"id": 2}]]


@pytest.mark.parametrize(
    "link", ["http://{evil}/rows?page=2", "//{evil}/rows", "http://{host}@{evil}/rows", "ftp://{host}/rows", "http://[broken"]
)
def test_a_next_link_to_another_host_is_refused(bench: Any, link: str) -> None:
    """The key that goes with every call is not sent to a host that an answer names."""
    thief, script = Script(OK), Script()
    evil = bench.serve(thief.routes).removeprefix("http://")
    base = bench.serve(script.routes)
    script.answers = [answer(body={"rows": [{"id": 1}], "next": link.format(evil=evil, host=base.removeprefix("http://"))})]
    client = bench.client(base, calls=LINKED)
    with pytest.raises(ApiError, match="next page"):
        list(client.pages("rows"))
    assert thief.asked == []
    with pytest.raises(ApiError, match="next page"):
        list(client.pages("rows", position=f"http://{evil}/rows"))
    assert thief.asked == []


def test_a_next_link_to_the_production_host_is_asked_of_the_account(bench: Any) -> None:
    """A sandbox answers with links of the real platform; they are followed in the sandbox."""
    script = Script(answer(body={"rows": [{"id": 1}], "next": "https://api.acme.example/rows?page=2"}), answer(body={"rows": []}))
    assert len(list(bench.client(bench.serve(script.routes), calls=LINKED).pages("rows"))) == 2
    assert script.asked[1][1] == "/rows?page=2"
