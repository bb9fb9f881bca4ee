"""The front door: keys, quotas, routes; one transaction per request; headers of every answer."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from sandbox.pipedrive.call import Answer, Call, Operation
from sandbox.pipedrive.desk import OWNER_ID, Desk
from sandbox.pipedrive.moments import with_milliseconds
from sandbox.pipedrive.refusals import (
    BLOCKED_PAGE,
    ERROR_INFO,
    UNAUTHORIZED,
    Refused,
    invalid,
)

_PREFIXES = (("/api/v2", "v2"), ("/api/v1", "v1"), ("/v1", "v1"))
_PARAM = re.compile(r"\{(\w+)\}")
_UUID = r"[0-9A-Za-z-]+"
_PATTERNS = {"field_code": r"\w+", "uuid": _UUID, "conversion": _UUID}
JSON = "application/json"


def _first(path: str) -> str:
    """`deals` of `/deals/{id}`."""
    return path.split("/", 2)[1] if "/" in path else ""


@cache
def _pattern(path: str) -> re.Pattern[str]:
    """What fits an operation's path: compiled when somebody first asks for its like."""

    def group(found: re.Match[str]) -> str:
        return f"(?P<{found[1]}>{_PATTERNS.get(found[1], '[0-9]+')})"

    return re.compile(_PARAM.sub(group, path))


class Gateway:
    """ASGI application for everything the platform's host answers."""

    def __init__(self, desk: Desk, operations: list[Operation]) -> None:
        self.desk = desk
        # by version and first word of the path, then by path: each with what may be done there
        self._routes: dict[tuple[str, str], dict[str, dict[str, Operation]]] = {}
        for operation in operations:
            area = self._routes.setdefault((operation.version, _first(operation.path)), {})
            area.setdefault(operation.path, {})[operation.verb] = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        now = self.desk.epoch()
        answer = self._gate(request, now)
        if answer is None:
            answer = await self._perform(request, now)
        if answer.status == 401:
            limits: dict[str, str] = {}
        else:
            limits = dict(self.desk.quota.headers(now))
            if self.desk.quota.is_write(request.method) and not _bearer(request):
                limits["x-daily-requests-left"] = str(self.desk.quota.writes_left(now))
        self.desk.store.count(f"answer {answer.status}", 1)
        await _send(send, answer, limits)

    def _gate(self, request: Request, now: float) -> Answer | None:
        """401, 429 or the front gate's page; None lets the request in."""
        if _token(request) != self.desk.key:
            return Answer(UNAUTHORIZED, 401, headers={"x-401-by-gw": "true"})
        path = request.url.path
        search = path.endswith("/search") or "/itemSearch" in path
        verdict = self.desk.quota.admit(now, request.method, search=search)
        if verdict.allowed:
            return None
        if verdict.blocked:
            return Answer(BLOCKED_PAGE, 403, "text/html; charset=UTF-8")
        return too_many(verdict.retry_after)

    async def _perform(self, request: Request, now: float) -> Answer:
        try:
            operation, path = self._route(request)
        except Refused as refusal:
            return Answer(refusal.answer(), refusal.status)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        form: FormData | None = None
        raw = b""
        try:
            if operation.form and media_type != JSON:
                form = await request.form()
            else:
                raw = await request.body()
        except HTTPException as problem:
            return Answer(Refused(400, str(problem.detail)).answer(), 400)
        query = {key: value for key, value in request.query_params.items() if key != "api_token"}
        origin = f"{request.url.scheme}://{request.url.netloc}"
        call = Call(self.desk, path, query, raw, media_type, origin, OWNER_ID, form)
        try:
            return self._settle(operation, call, now)
        finally:
            if form is not None:
                await form.close()

    def _route(self, request: Request) -> tuple[Operation, dict[str, str]]:
        path = request.url.path
        for prefix, version in _PREFIXES:
            if path.startswith(prefix + "/"):
                rest = path[len(prefix) :].rstrip("/")
                for known, verbs in self._routes.get((version, _first(rest)), {}).items():
                    found = _pattern(known).fullmatch(rest)
                    if found and request.method in verbs:
                        return verbs[request.method], found.groupdict()
                    if found:
                        raise Refused(405, "Method not allowed")
        raise Refused(404, "Unknown method.")

    def _settle(self, operation: Operation, call: Call, now: float) -> Answer:
        """Run the handler and charge for it: both are written, or neither."""
        db = self.desk.store.db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("SAVEPOINT handler")
            charged = True
            try:
                _check_query(operation, call)
                answer = operation.act(call)
            except Refused as refusal:
                answer = Answer(refusal.answer(), refusal.status)
            except OverflowError:  # an integer no column can hold
                answer = Answer(invalid("", "Value is out of range").answer(), 400)
            if self.desk.switches.stamps == "milliseconds" and operation.fine_stamps:
                answer = replace(answer, body=with_milliseconds(answer.body))
            if answer.status >= 400:
                if not answer.kept:
                    db.execute("ROLLBACK TO handler")
                    self.desk.forget_fields()
                charged = self.desk.switches.charge_failed == "on"
            tokens = operation.tokens if charged else 0
            self.desk.quota.charge(now, operation.verb, operation.name, tokens)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            self.desk.forget_fields()
            raise
        return answer

    def refusal(self, kind: str) -> tuple[int, dict[str, str], bytes]:
        """What the platform sends for a refusal made up by the fault wrapper."""
        if kind == "429":
            answer = too_many(1)
        else:
            answer = Answer(Refused(int(kind), "Internal server error").answer(), int(kind))
        headers = dict(self.desk.quota.headers(self.desk.epoch()))
        if kind == "429":
            headers["x-ratelimit-remaining"] = "0"
        return answer.status, {**headers, **_own(answer)}, _encode(answer)


def too_many(retry_after: int) -> Answer:
    """The 429 answer; its body is not documented, its headers are what clients read."""
    body = {
        "success": False,
        "error": "request over limit",
        "errorCode": 429,
        "error_info": ERROR_INFO,
        "data": None,
        "additional_data": None,
    }
    return Answer(body, 429, headers={"retry-after": str(retry_after)})


def _token(request: Request) -> str | None:
    headers = request.headers
    if "x-api-token" in headers:
        return headers["x-api-token"]
    return _bearer(request) or request.query_params.get("api_token")


def _bearer(request: Request) -> str:
    """The token of an app, where no API token is sent; empty without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    is_app = scheme.lower() == "bearer" and "x-api-token" not in request.headers
    return token.strip() if is_app else ""


def _check_query(operation: Operation, call: Call) -> None:
    """v2 refuses parameters it does not know; v1 ignores them."""
    if operation.version == "v2":
        for name in call.query:
            if name not in operation.query:
                raise Refused(400, f"Parameter '{name}' is not allowed")


def _encode(answer: Answer) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body
    return json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).encode()


def _own(answer: Answer) -> dict[str, str]:
    return {
        "content-type": answer.media_type,
        "x-correlation-id": str(uuid.uuid4()),
        **answer.headers,
    }


async def _send(send: Send, answer: Answer, limits: Mapping[str, str]) -> None:
    body = _encode(answer)
    headers = {**limits, **_own(answer), "content-length": str(len(body))}
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": answer.status,
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
