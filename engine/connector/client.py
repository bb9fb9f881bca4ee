"""The one HTTP client: a connector's operations as calls, paced, classified and retried."""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from engine.connector.answers import MESSAGE, Verdict, as_json, delay, described, judge, lacks, selected, well_formed
from engine.connector.auth import Signature, redactor, sign
from engine.connector.files import download
from engine.connector.model import Connector, Operation, Resource, Verb
from engine.connector.pacing import Booking, Clock, Pacer
from engine.connector.pagers import PAGERS, Page
from engine.errors import (
    ApiError,
    AuthError,
    Blocked,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    Paused,
    Rejected,
    Unavailable,
    UsageError,
)

BACKOFF = 0.5  # seconds; doubled for each try of a read, with up to half of it at random on top
CONNECT = 10.0  # seconds to wait for a connection
KEEP = 3.0  # seconds an idle connection is kept; servers close theirs after 5, and a write on a closed one is a doubt
WAITS = 50  # times one call is repeated because the platform refused it for its rate
NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_PLACE = re.compile(r"\{(\w+)\}")

for _name in ("httpx", "httpcore"):  # at INFO they log addresses, and with some APIs the key is in the address
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one platform: where it is and the key to it."""

    base_url: str
    secret: str = field(repr=False)
    name: str = ""  # set where the address changes from run to run, as the sandbox's does

    @property
    def id(self) -> str:
        """A name for the account that does not tell the key."""
        return hashlib.sha256(f"{self.name or self.base_url}\n{self.secret}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Rows:
    """One list page; `next` is the position of the following one, None after the last."""

    rows: list[dict[str, Any]]
    next: Any
    last: bool


@dataclass(slots=True)
class Client:
    """Calls one account. Threads may share it."""

    connector: Connector
    account: Account
    pacer: Pacer
    clock: Clock = field(default_factory=Clock)
    random: Callable[[], float] = random.random
    http: httpx.Client = field(init=False)
    redact: Callable[[str], str] = field(init=False)
    _signature: Signature = field(init=False, repr=False)
    _home: httpx.URL = field(init=False)

    def __post_init__(self) -> None:
        connection = self.connector.connection
        try:
            self._home = httpx.URL(self.account.base_url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise UsageError(f"{connection.base_url_env} is not an address: {error}") from None
        room = connection.concurrency
        self.http = httpx.Client(
            timeout=httpx.Timeout(connection.timeout, connect=min(CONNECT, connection.timeout)),
            limits=httpx.Limits(max_connections=room * 2, max_keepalive_connections=room, keepalive_expiry=KEEP),
            follow_redirects=False,
            trust_env=False,
        )
        self._signature = sign(connection, self.account.secret)
        self.redact = redactor((self.account.secret,), self._signature)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    # -- what the stages use

    def check(self) -> None:
        """Prove that the platform answers and takes the key; raises ApiError."""
        check = self.connector.connection.check
        self._read(check, self._url(check, {}), check.params, tries=1)

    def pages(
        self, resource: str, params: Mapping[str, Any] | None = None, position: Any = None, newest_first: bool = False
    ) -> Iterator[Rows]:
        """A list, page by page, from a position an earlier page named."""
        operation = self._operation(resource, "list")
        if operation.pager is None:
            raise ApiError(f"the connector {self.connector.name} says no pager for the list of {resource}")
        order = operation.newest_first if newest_first else {}
        walk = PAGERS[operation.pager.kind](operation.pager, position)
        ask = next(walk)
        while True:
            if ask.url:  # it says everything that was asked for, the filters too
                answer = self._read(operation, self._home.join(self._local(self._home, ask.url)), {})
            else:
                answer = self._read(
                    operation, self._url(operation, {}), {**operation.params, **order, **ask.params, **(params or {})}
                )
            rows = self._rows(answer, operation)
            response = answer.response
            page = Page(rows, answer.body, response.headers, lambda link, at=response.url: self._local(at, link))  # type: ignore[misc]
            try:
                ask = walk.send(page)
            except StopIteration:
                yield Rows(rows, None, True)
                return
            yield Rows(rows, ask.position, False)

    def rows(self, resource: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every row of a list."""
        for page in self.pages(resource, params):
            yield from page.rows

    def by_ids(self, resource: str, ids: list[str]) -> Iterator[dict[str, Any]]:
        """Rows with these ids, as many a call as the list takes; single reads where it takes none."""
        operation = self._resource(resource).operations.get("list")
        if operation is None or not operation.ids:
            for one in ids:
                found = self.read(resource, one)
                if found is not None:
                    yield found
            return
        for start in range(0, len(ids), operation.ids_max):
            yield from self.rows(resource, {operation.ids: ",".join(ids[start : start + operation.ids_max])})

    def read(self, resource: str, row_id: str) -> dict[str, Any] | None:
        """One row by id; None when there is none."""
        operation = self._operation(resource, "read")
        try:
            answer = self._read(operation, self._url(operation, {"id": row_id}), operation.params)
        except NotFound:
            return None
        return _row(answer, operation) or None

    def write(
        self, resource: str, verb: Verb, body: Any, row_id: str = "", file: Path | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Create, update or delete; the row's id and what the platform answered.

        Raises Rejected (not done, and why) or OutcomeUnknown (perhaps done).
        """
        kind, operation = self._resource(resource), self._operation(resource, verb)
        places = {"id": row_id}
        if isinstance(body, dict):
            names = set(_PLACE.findall(operation.path)) - {"id"}
            places |= {name: str(body[name]) for name in names if name in body}
            body = {key: value for key, value in body.items() if key not in names and key not in operation.omit}
        data = _row(self._send(operation, self._url(operation, places), body, kind, file), operation)
        found = data.get(kind.id, row_id)
        if verb == "create" and found in ("", None):
            raise OutcomeUnknown(f"{self.connector.title} answered the creation of {resource} without an id")
        return str(found), data

    def download(self, url: str, into: Path) -> tuple[int, str, str]:
        """Stream a file from a link in a record; its size in bytes, SHA-256 and content type.

        Only hosts the connector names; raises Rejected for a dead link, another host or a file
        over the limit.
        """
        return download(self.http, url, into, self.connector.connection, self.account.base_url, tries=self._tries())

    # -- one call

    def _resource(self, name: str) -> Resource:
        try:
            return self.connector.resources[name]
        except KeyError:
            raise ApiError(f"the connector {self.connector.name} has no resource {name}") from None

    def _operation(self, resource: str, verb: Verb) -> Operation:
        try:
            return self._resource(resource).operations[verb]
        except KeyError:
            raise ApiError(f"the connector {self.connector.name} says no way to {verb} {resource}") from None

    def _url(self, operation: Operation, places: Mapping[str, str]) -> httpx.URL:
        """The operation's address. Raises Rejected where its path needs a value that is not there."""
        path = operation.path
        for name in _PLACE.findall(operation.path):
            value = str(places.get(name, ""))
            if value in ("", ".", ".."):
                raise Rejected(f"{operation.method} {operation.path} needs {name}, and there is none")
            path = path.replace(f"{{{name}}}", quote(well_formed(value), safe=""))
        return httpx.URL(f"{self._home}{path}")

    def _local(self, page: httpx.URL, link: str) -> str:
        """A link found in a page as an address below the platform's host, without the key.

        Raises ApiError for other hosts: the key that goes with every call must not go there.
        """
        try:
            url = page.join(link)
        except httpx.InvalidURL:
            raise ApiError(f"{self.connector.title} names a next page that is not an address") from None
        home = {_origin(self._home), _origin(httpx.URL(self.connector.connection.base_url))}
        if url.scheme not in ("http", "https") or _origin(url) not in home:
            raise ApiError(f"{self.connector.title} names a next page on another host, {url.host} – it was not asked")
        for name in self._signature.params:
            url = url.copy_remove_param(name) if name in url.params else url
        return url.raw_path.decode("ascii")

    def _tries(self, most: int | None = None) -> Iterator[None]:
        """One item for each try of a read, with a growing wait between them."""
        for attempt in range((self.connector.tries if most is None else most) + 1):
            if attempt:
                self.clock.sleep(BACKOFF * 2 ** (attempt - 1) * (1 + self.random() / 2))
            yield

    def _read(self, operation: Operation, url: httpx.URL, params: Mapping[str, Any], tries: int | None = None) -> Verdict:
        """A read, repeated while there is hope."""
        problem = ""
        url = url.copy_merge_params({**params, **self._signature.params}) if params or self._signature.params else url

        def ask() -> httpx.Response:
            return self.http.request(operation.method, url, headers=self._signature.headers)

        for _ in self._tries(tries):
            try:
                verdict = self._call(operation, ask)
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__} at {self._home.host}"
                continue
            if verdict.rule is None and not lacks(verdict.body, operation.select):
                return verdict
            if verdict.rule is not None and verdict.rule.then != "unsure":
                raise self._failure(verdict, operation)
            problem = self._described(verdict) if verdict.rule else f"there is no {operation.select} in it"
        raise Unavailable(
            f"{self.connector.title} gave no usable answer to {operation.method} {operation.path}: {problem} – "
            f"try again later, or check {self.connector.connection.base_url_env}"
        )

    def _send(self, operation: Operation, url: httpx.URL, body: Any, kind: Resource, file: Path | None) -> Verdict:
        """A write: repeated only when the platform said that it was not executed."""
        call = f"{operation.method} {operation.path}"
        url = url.copy_merge_params(self._signature.params) if self._signature.params else url
        try:
            verdict = self._call(operation, lambda: self._request(operation, url, body, kind, file))
        except NEVER_LEFT as error:
            raise Unavailable(f"{self.connector.title} cannot be reached: {type(error).__name__} at {self._home.host}") from None
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"no answer to {call}: {type(error).__name__}") from None
        if verdict.rule is not None:
            raise self._failure(verdict, operation)
        return verdict

    def _call(self, operation: Operation, send: Callable[[], httpx.Response]) -> Verdict:
        """One call, paced; repeated as long as the platform says that it did not execute it for its rate."""
        for _ in range(WAITS):
            booking = self._acquire(operation)
            response = send()
            self.pacer.observe(response.headers, booking)
            verdict = judge(self.connector, response)
            if verdict.rule is None or verdict.rule.then not in ("wait", "pause"):
                return verdict
            limit = next((item for item in self.connector.limits if item.name == verdict.rule.limit), None)
            self.pacer.refused(verdict.rule.limit, delay(verdict.rule, limit, response.headers, self.clock.now()))
        raise Unavailable(f"{self.connector.title} goes on refusing {operation.method} {operation.path} for its rate")

    def _acquire(self, operation: Operation) -> Booking:
        try:
            return self.pacer.acquire(operation.cost, operation.limits)
        except Paused as pause:
            raise Paused(f"{self.connector.title} {pause.limit}".strip(), pause.until) from None

    def _request(self, operation: Operation, url: httpx.URL, body: Any, kind: Resource, file: Path | None) -> httpx.Response:
        headers = dict(self._signature.headers)
        if body is None or (operation.method == "DELETE" and isinstance(body, dict)):
            return self.http.request(operation.method, url, headers=headers)
        if operation.body == "multipart" and file is not None and kind.file:
            name, sent = kind.file[0], body[kind.file[0]]
            with file.open("rb") as content:
                part = (sent["name"], content, sent.get("type") or "application/octet-stream")
                fields = {key: value for key, value in body.items() if key != name}
                return self.http.request(operation.method, url, headers=headers, data=_form(fields), files={name: part})
        if operation.body == "form":
            return self.http.request(operation.method, url, headers=headers, data=_form(body))
        headers["content-type"] = "application/json"
        return self.http.request(operation.method, url, headers=headers, content=as_json(body))

    def _rows(self, answer: Verdict, operation: Operation) -> list[dict[str, Any]]:
        """The rows of a list; a thing that is no row stops the reading, for passing over it would lose it."""
        data = selected(answer.body, operation.select)
        if data is None:
            return []
        if isinstance(data, dict) and operation.pager and operation.pager.kind == "single":
            return [data]
        if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
            raise Unavailable(
                f"{self.connector.title} answered {operation.method} {operation.path} with something other than a list of rows – "
                "check `select` in the connector"
            )
        return data

    def _failure(self, verdict: Verdict, operation: Operation) -> ApiError:
        assert verdict.rule is not None
        said, connection = self._described(verdict), self.connector.connection
        title, call = self.connector.title, f"{operation.method} {operation.path}"
        match verdict.rule.then:
            case "refuse":
                return AuthError(f"{title} refuses the key: {said} – check {connection.secret_env or 'the account'}")
            case "stop":
                return Blocked(f"{title} has shut this client out: {said} – wait some minutes and lower the pace")
            case "moved" if operation.method == "GET":
                return ApiError(f"{title} answers {call} from another place: {said} – check {connection.base_url_env}")
            case "missing":
                return NotFound(f"{title} refuses {call}: {said}", verdict.response.status_code)
            case "forbid":
                return Forbidden(f"{title} refuses {call}: {said}", verdict.response.status_code)
            case "reject":
                return Rejected(f"{title} refuses {call}: {said}", verdict.response.status_code)
        return OutcomeUnknown(f"{title} answered {call} with {said}")

    def _described(self, verdict: Verdict) -> str:
        """What an answer says is wrong, in a line, without secrets; cut only after they are out."""
        return self.redact(described(self.connector, verdict))[:MESSAGE].strip()


def _origin(url: httpx.URL) -> tuple[str, int | None]:
    return url.host.lower(), url.port


def _row(answer: Verdict, operation: Operation) -> dict[str, Any]:
    """The row of an answer, bare or alone in a list; {} where there is none."""
    data = selected(answer.body, operation.select)
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return data if isinstance(data, dict) else {}


def _form(body: Mapping[str, Any]) -> dict[str, str]:
    """Form fields: text as it is, everything else as JSON writes it."""
    return {key: value if isinstance(value, str) else as_json(value).decode() for key, value in body.items() if value is not None}
