"""The one HTTP client: a connector's operations as calls, paced, classified and retried."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from engine.connector.auth import Signature, redactor, sign
from engine.connector.model import Connector, ErrorRule, Operation, Resource, Verb
from engine.connector.pacing import Clock, Pacer
from engine.connector.pagers import PAGERS, Page, path_of
from engine.errors import ApiError, AuthError, Blocked, Forbidden, NotFound, OutcomeUnknown, Paused, Rejected, Unavailable
from engine.values import dig

BACKOFF = 0.5  # seconds; doubled for each try of a read, with up to half of it at random on top
MESSAGE = 300  # characters of a platform's message that are kept


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one platform: where it is and the key to it."""

    base_url: str
    secret: str
    name: str = ""  # set where the address changes from run to run, as the sandbox's does

    @property
    def id(self) -> str:
        """A name for the account that does not tell the key."""
        return hashlib.sha256(f"{self.name or self.base_url}\n{self.secret}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Answer:
    """A usable answer."""

    data: Any
    body: Any
    status: int


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
    _signature: Signature = field(init=False)

    def __post_init__(self) -> None:
        connection = self.connector.connection
        limits = httpx.Limits(max_connections=connection.concurrency * 2, max_keepalive_connections=connection.concurrency)
        self.http = httpx.Client(timeout=connection.timeout, limits=limits, follow_redirects=False, trust_env=False)
        self._signature = sign(connection, self.account.secret)
        self.redact = redactor((self.account.secret,))

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    # -- what the stages use

    def check(self) -> Any:
        """Prove that the platform answers and takes the key; raises ApiError."""
        check = self.connector.connection.check
        return self._read(check, {}, check.params).data

    def pages(self, resource: str, params: Mapping[str, Any] | None = None, position: Any = None, newest_first: bool = False) -> Iterator[Rows]:
        """A list, page by page, from a position an earlier page named."""
        kind = self.connector.resources[resource]
        operation = kind.operations["list"]
        if operation.pager is None:
            raise ApiError(f"the connector {self.connector.name} says no pager for the list of {resource}")
        order = operation.newest_first if newest_first else {}
        walk = PAGERS[operation.pager.kind](operation.pager, position)
        ask = next(walk)
        while True:
            answer, headers = self._fetch(operation, {}, {**operation.params, **order, **ask.params, **(params or {})}, ask.url)
            rows = _rows(answer.data)
            try:
                ask = walk.send(Page(rows, answer.body, headers))
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
        operation = self.connector.resources[resource].operations.get("list")
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
        operation = self.connector.resources[resource].operations["read"]
        try:
            data = self._read(operation, {"id": row_id}, dict(operation.params)).data
        except NotFound:
            return None
        return data if isinstance(data, dict) else None

    def write(self, resource: str, verb: Verb, body: Any, row_id: str = "", file: Path | None = None) -> tuple[str, dict[str, Any]]:
        """Create, update or delete; the row's id and what the platform answered.

        Raises Rejected (not done, and why) or OutcomeUnknown (perhaps done).
        """
        kind = self.connector.resources[resource]
        operation = kind.operations[verb]
        places = {"id": row_id}
        if isinstance(body, dict):
            names = _placeholders(operation.path)
            places |= {name: str(body[name]) for name in names if name in body}
            body = {key: value for key, value in body.items() if key not in names and key not in operation.omit}
        answer = self._send(operation, places, body, kind, file)
        data = answer.data if isinstance(answer.data, dict) else {}
        found = data.get(kind.id, row_id)
        if verb == "create" and found in ("", None):
            raise OutcomeUnknown(f"{self.connector.title} answered the creation of {resource} without an id")
        return str(found), data

    def download(self, url: str, into: Path) -> tuple[int, str, str]:
        """Stream a file from a link in a record; its size in bytes, SHA-256 and content type.

        Only hosts the connector names; raises Rejected for a dead link, another host or a file
        over the limit.
        """
        connection = self.connector.connection
        address = self._file_address(url)
        into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = into.with_suffix(".part")
        size, checksum = 0, hashlib.sha256()
        try:
            with self.http.stream("GET", address) as response:
                if response.status_code != 200:
                    raise Rejected(f"the link is dead: {self._host(address)} answered {response.status_code}", response.status_code)
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                    for chunk in response.iter_bytes():
                        size += len(chunk)
                        if size > connection.file_max_bytes:
                            raise Rejected(f"the file is larger than {connection.file_max_bytes:,} bytes")
                        checksum.update(chunk)
                        out.write(chunk)
                kind = response.headers.get("content-type", "application/octet-stream")
        except httpx.HTTPError as error:
            part.unlink(missing_ok=True)
            raise Rejected(f"the file cannot be fetched from {self._host(address)}: {type(error).__name__}") from None
        except Rejected:
            part.unlink(missing_ok=True)
            raise
        part.replace(into)
        return size, checksum.hexdigest(), kind.partition(";")[0]

    def _file_address(self, url: str) -> str:
        """The link with the production host replaced by the account's; refuses foreign hosts."""
        connection = self.connector.connection
        address = url if "://" in url else f"https://{url}"
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or parts.hostname not in connection.file_hosts:
            raise Rejected(f"the link points to {parts.hostname or 'no host'}, which the connector does not allow")
        if parts.hostname == urlsplit(connection.base_url).hostname:
            home = urlsplit(self.account.base_url)
            return parts._replace(scheme=home.scheme, netloc=home.netloc).geturl()
        return address

    @staticmethod
    def _host(address: str) -> str:
        return urlsplit(address).hostname or "?"

    # -- one call

    def _read(self, operation: Operation, places: Mapping[str, str], params: Mapping[str, Any]) -> Answer:
        return self._fetch(operation, places, params)[0]

    def _fetch(self, operation: Operation, places: Mapping[str, str], params: Mapping[str, Any], url: str = "") -> tuple[Answer, Mapping[str, str]]:
        """A read, repeated while there is hope."""
        problem = ""
        for attempt in range(self.connector.tries + 1):
            if attempt:
                self.clock.sleep(BACKOFF * 2 ** (attempt - 1) * (1 + self.random() / 2))
            self.pacer.acquire(operation.cost, operation.limits)
            try:
                response = self.http.request(
                    operation.method, url or self._url(operation, places), params={**params, **self._signature.params} or None,
                    headers=self._signature.headers,
                )  # fmt: skip
            except httpx.HTTPError as error:
                problem = self._unreachable(error)
                continue
            body, rule = self._judge(response)
            if rule is None:
                return Answer(self._select(body, operation.select), body, response.status_code), response.headers
            if rule.then == "wait":
                self._wait(rule, response)
            elif rule.then != "unsure":
                raise self._failure(rule, response, body, operation)
            problem = self._describe(response, body)
        raise Unavailable(f"{self.connector.title} gave no usable answer to {operation.method} {operation.path}: {problem} – try again later")

    def _send(self, operation: Operation, places: Mapping[str, str], body: Any, kind: Resource, file: Path | None) -> Answer:
        """A write: repeated only when the platform said that it was not executed."""
        for _ in range(50):
            self.pacer.acquire(operation.cost, operation.limits)
            try:
                response = self._request(operation, places, body, kind, file)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                raise Unavailable(f"{self.connector.title} cannot be reached: {self._unreachable(error)}") from None
            except httpx.HTTPError as error:
                raise OutcomeUnknown(f"no answer to {operation.method} {operation.path}: {type(error).__name__}") from None
            answer, rule = self._judge(response)
            if rule is None:
                return Answer(self._select(answer, operation.select), answer, response.status_code)
            if rule.then != "wait":
                raise self._failure(rule, response, answer, operation)
            self._wait(rule, response)
        raise Unavailable(f"{self.connector.title} goes on refusing {operation.method} {operation.path} for its rate")

    def _request(self, operation: Operation, places: Mapping[str, str], body: Any, kind: Resource, file: Path | None) -> httpx.Response:
        url, headers, params = self._url(operation, places), self._signature.headers, self._signature.params or None
        if operation.method == "DELETE":
            return self.http.request("DELETE", url, headers=headers, params=params, json=body if isinstance(body, list) else None)
        if operation.body == "multipart" and file is not None and kind.file:
            with file.open("rb") as content:
                return self.http.request(
                    operation.method, url, headers=headers, params=params, data={k: str(v) for k, v in body.items() if k != kind.file[0]},
                    files={kind.file[0]: (body[kind.file[0]]["name"], content, body[kind.file[0]].get("type", ""))},
                )  # fmt: skip
        if operation.body == "form":
            return self.http.request(operation.method, url, headers=headers, params=params, data=body)
        return self.http.request(operation.method, url, headers=headers, params=params, json=body)

    def _url(self, operation: Operation, places: Mapping[str, str]) -> str:
        path = operation.path
        for name, value in places.items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        return self.account.base_url.rstrip("/") + path

    def _judge(self, response: httpx.Response) -> tuple[Any, ErrorRule | None]:
        """The body, and the rule that says what is wrong with the answer, if any."""
        self.pacer.observe(response.headers)
        try:
            body = response.json() if response.content else None
        except ValueError:
            body = _GARBAGE
        for rule in self.connector.errors:
            if _matches(rule, response, body):
                return body, rule
        if response.status_code >= 500 or 300 <= response.status_code < 400:
            return body, ErrorRule("unsure")
        if response.status_code >= 400:
            return body, ErrorRule("reject")
        return body, ErrorRule("unsure") if body is _GARBAGE else None

    def _wait(self, rule: ErrorRule, response: httpx.Response) -> None:
        seconds = rule.after or 1.0
        told = response.headers.get("retry-after")
        if told:
            seconds = _seconds(told, self.clock.now()) or seconds
        else:
            limit = next((item for item in self.connector.limits if item.name == rule.limit), None)
            reset = response.headers.get(limit.headers.get("reset", "")) if limit else None
            seconds = (_seconds(reset, self.clock.now()) or seconds) if reset else seconds
        self.pacer.refused(rule.limit, seconds)

    def _failure(self, rule: ErrorRule, response: httpx.Response, body: Any, operation: Operation) -> ApiError | Paused:
        said = self._describe(response, body)
        title, call = self.connector.title, f"{operation.method} {operation.path}"
        if rule.then == "pause":
            limit = next(item for item in self.connector.limits if item.name == rule.limit)
            self.pacer.refused(limit.name, 0)
            return Paused(f"{title} {limit.name}", self.pacer.reset_time(limit))
        if rule.then == "refuse":
            return AuthError(f"{title} refuses the key: {said} – check {self.connector.connection.secret_env}")
        if rule.then == "stop":
            return Blocked(f"{title} has shut this client out: {said} – wait some minutes and lower the pace")
        kinds = {"missing": NotFound, "forbid": Forbidden, "reject": Rejected}
        if rule.then in kinds:
            return kinds[rule.then](f"{title} refuses {call}: {said}", response.status_code)
        return OutcomeUnknown(f"{title} answered {call} with {said}")

    def _describe(self, response: httpx.Response, body: Any) -> str:
        """What an answer says is wrong, in a line, without secrets."""
        if body is _GARBAGE:
            return f"{response.status_code}, not JSON"
        found = [dig(body, path_of(path)) for path in self.connector.message]
        text = "; ".join(str(item) for item in found if item)
        return self.redact(f"{response.status_code} {text}"[:MESSAGE].strip())

    def _unreachable(self, error: httpx.HTTPError) -> str:
        return self.redact(f"{type(error).__name__} at {self._host(self.account.base_url)}")

    @staticmethod
    def _select(body: Any, select: str) -> Any:
        """The rows or the row inside an answer; a single row in an array is unwrapped either way."""
        if select == "0":
            return body[0] if isinstance(body, list) and body else body
        return dig(body, path_of(select)) if select else body


_GARBAGE = object()


def _rows(data: Any) -> list[dict[str, Any]]:
    if data is None:
        return []
    if isinstance(data, dict):
        return [data]
    if not isinstance(data, list):
        raise Unavailable(f"a list was expected, the platform sent {type(data).__name__}")
    return [row for row in data if isinstance(row, dict)]


def _placeholders(path: str) -> set[str]:
    return {part[1:-1] for part in path.split("/") if part.startswith("{")} - {"id"}


def _matches(rule: ErrorRule, response: httpx.Response, body: Any) -> bool:
    if rule.status and response.status_code not in rule.status:
        return False
    if not rule.status and response.status_code < 400:
        return False  # a good answer may hold the very words of an error; rules for those name the status
    if rule.content_type and rule.content_type not in response.headers.get("content-type", ""):
        return False
    if any(response.headers.get(name) != value for name, value in rule.headers.items()):
        return False
    for path, wanted in rule.body.items():
        found = dig(body, path_of(path)) if body is not _GARBAGE else None
        if found not in (wanted if isinstance(wanted, list) else [wanted]) or found is None:
            return False
    return True


def _seconds(text: str, now: float) -> float | None:
    """`Retry-After` in either form: seconds or a date."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None


def as_json(value: Any) -> str:
    """A value as the platform is sent it."""
    return json.dumps(value, ensure_ascii=False)
