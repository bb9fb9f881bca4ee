"""The one HTTP client: a connector's operations as calls, paced, classified and retried."""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from engine.connector.answers import MESSAGE, Verdict, delay, described, judge, lacks, selected, well_formed
from engine.connector.auth import Signature, variables
from engine.connector.bodies import BODIES, fields, new_id, row_of
from engine.connector.files import download
from engine.connector.model import Connector, Operation, Resource, Verb
from engine.connector.pacing import Booking, Clock, Pacer
from engine.connector.pagers import PAGERS, Page, path_of
from engine.connector.session import Grant, Session
from engine.errors import (
    ApiError,
    AuthError,
    Blocked,
    EtlError,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    Outdated,
    Paused,
    Rejected,
    Unavailable,
    UsageError,
)
from engine.values import dig

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
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # every variable that signing in takes

    def reveal(self, variable: str) -> str:
        """The value of one of the variables; the key where nothing else is known."""
        return self.secrets.get(variable, self.secret)

    @property
    def id(self) -> str:
        """A name for the account that does not tell the key."""
        keys = "\n".join(dict.fromkeys([self.secret, *self.secrets.values()]))
        return hashlib.sha256(f"{self.name or self.base_url}\n{keys}".encode()).hexdigest()[:16]


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
    _session: Session = field(init=False, repr=False)
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
        self._session = Session(connection.auth, self.account.reveal, self.pacer, self._token)
        self._session.learn(self.account.secret, *map(self.account.reveal, variables(connection.auth, secret=True)))
        if not self._session.renewable:
            self._session.signature()  # a key that no request can carry is told before anything else

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def redact(self, text: str) -> str:
        """The text without secrets: what was used to sign in, and the queries of addresses."""
        return self._session.redact(text)

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
        params = {**(operation.newest_first if newest_first else {}), **(params or {})}
        if operation.parent:
            yield from self._below(operation, self._resource(resource), params, position or {})
        else:
            yield from self._walk(operation, self._resource(resource), params, position, {})

    def _below(
        self, operation: Operation, kind: Resource, params: Mapping[str, Any], position: Mapping[str, Any]
    ) -> Iterator[Rows]:
        """The list below each row of the parent; a position names the parents' page, the row and the page below it."""
        field, parent = operation.parent_id, self._resource(operation.parent)
        above, done, at, page = (position.get(name) for name in ("above", "done", "at", "page"))
        for rows in self.pages(parent.name, position=above):
            ids = [str(row[parent.id]) for row in rows.rows]
            for one in ids[ids.index(done) + 1 if done in ids else 0 :]:
                with suppress(NotFound):  # the parent has gone since it was listed
                    for found in self._walk(operation, kind, params, page if one == at else None, {field: one}):
                        here = {"done": one} if found.last else {"done": done, "at": one, "page": found.next}
                        yield Rows([{field: one, **row} for row in found.rows], {"above": above, **here}, False)
                done = one
            above = rows.next
        yield Rows([], None, True)

    def _walk(
        self, operation: Operation, kind: Resource, params: Mapping[str, Any], position: Any, places: Mapping[str, str]
    ) -> Iterator[Rows]:
        """One list, page by page."""
        assert operation.pager is not None
        walk = PAGERS[operation.pager.kind](operation.pager, position)
        ask = next(walk)
        while True:
            if ask.url:  # it says everything that was asked for, the filters too
                answer = self._read(operation, self._home.join(self._local(self._home, ask.url)), {})
            else:
                answer = self._read(operation, self._url(operation, places), {**operation.params, **ask.params, **params})
            rows = self._rows(answer, operation, kind)
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
        single = self._resource(resource).operations.get("read")
        if operation is None or not operation.ids or (single and single.etag):
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
            answer = self._read(operation, self._url(operation, self._places(resource, row_id)), operation.params)
        except NotFound:
            return None
        row = _row(answer, operation, self._resource(resource))
        return row | ({operation.etag: answer.response.headers.get("etag")} if operation.etag and row else {}) or None

    def write(
        self, resource: str, verb: Verb, body: Any, row_id: str = "", file: Path | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Create, update or delete; the row's id and what the platform answered.

        Raises Rejected (not done, and why) or OutcomeUnknown (perhaps done).
        """
        kind, operation = self._resource(resource), self._operation(resource, verb)
        places = self._places(resource, row_id)
        if isinstance(body, dict):
            if verb == "update" and operation.whole:
                body = self._over_live(kind, body, row_id)
            names = set(_PLACE.findall(operation.path)) - ({"id"} if row_id else set())
            places |= {name: str(body[name]) for name in names if name in body}
            body = {key: value for key, value in body.items() if key not in names and key not in operation.omit}
        headers: dict[str, str] = {operation.idempotency: uuid4().hex} if operation.idempotency else {}
        if operation.lock_header and isinstance(body, dict) and operation.lock in body:
            headers[operation.lock_header] = str(body.pop(operation.lock))
        answer = self._send(operation, self._url(operation, places), body, kind, file, headers)
        data = _row(answer, operation, kind)
        if verb != "create":
            return str(data.get(kind.id, row_id)), data
        found = new_id(answer.body, answer.response.headers, data, operation, kind)
        found = places.get(kind.id) if found is None else found
        if found in ("", None):
            raise OutcomeUnknown(f"{self.connector.title} answered the creation of {resource} without an id")
        return str(found), data

    def _over_live(self, kind: Resource, body: dict[str, Any], row_id: str) -> dict[str, Any]:
        """What is to change over everything else that the row holds now. Raises NotFound."""
        live = self.read(kind.name, row_id)
        if live is None:
            raise NotFound(f"{self.connector.title} has no row {row_id} of {kind.name}", 404)
        holder = kind.custom.container if kind.custom else ""
        kept = {holder, *(name for name, field in kind.fields.items() if field.writable)} - {kind.id}
        held = {name: value for name, value in live.items() if name in kept}
        inner = {holder: {**(held.get(holder) or {}), **(body.get(holder) or {})}} if holder else {}
        return {**held, **body, **inner}

    def download(self, url: str, into: Path) -> tuple[int, str, str]:
        """Stream a file from a link in a record; its size in bytes, SHA-256 and content type.

        Only hosts the connector names; raises Rejected for a dead link, another host or a file
        over the limit.
        """
        return download(self.http, url, into, self.connector.connection, self.account.base_url, tries=self._tries())

    # -- one call

    def _places(self, resource: str, row_id: str) -> dict[str, str]:
        """What an id fills in of a path; one joined of several fields fills in each of them."""
        names, parts = self._resource(resource).id.split("+"), row_id.split("+")
        return {"id": row_id, **(dict(zip(names, parts, strict=True)) if len(names) == len(parts) > 1 else {})}

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
        for name in self._session.params():
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

        def ask(signature: Signature) -> httpx.Response:
            return self.http.request(operation.method, _with(url, {**params, **signature.params}), headers=signature.headers)

        return self._repeated(operation, ask, tries)

    def _token(self, grant: Grant, first: Signature) -> Verdict:
        """Sign in: ask for a token, signed by an earlier one where it takes two steps."""
        url = grant.address if grant.address.startswith("http") else f"{self._home}{grant.address}"
        operation = Operation("POST", grant.address)
        headers, content = {**first.headers, **grant.headers}, {"data": fields(grant.body)} if grant.form else {"json": grant.body}

        def ask(_: Signature) -> httpx.Response:
            return self.http.request("POST", _with(httpx.URL(url), first.params), headers=headers, **content)

        try:
            return self._repeated(operation, ask, signed=first)
        except (Rejected, OutcomeUnknown) as error:
            raise AuthError(f"{error} – check {self._keys()}") from None

    def _keys(self) -> str:
        return ", ".join(dict.fromkeys(variables(self.connector.connection.auth))) or "the account"

    def _repeated(
        self, operation: Operation, ask: Callable[[Signature], httpx.Response], tries: int | None = None,
        signed: Signature | None = None,
    ) -> Verdict:  # fmt: skip
        """A call that does no harm twice."""
        problem = ""
        for _ in self._tries(tries):
            try:
                verdict = self._call(operation, ask, signed)
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

    def _send(
        self, operation: Operation, url: httpx.URL, body: Any, kind: Resource, file: Path | None, mark: Mapping[str, str]
    ) -> Verdict:
        """A write: repeated only when the platform said that it was not executed, or knows a repetition by its key."""

        def send(signature: Signature) -> httpx.Response:
            return self._request(operation, url, body, kind, file, replace(signature, headers={**signature.headers, **mark}))

        problem = ""
        for _ in self._tries(None if operation.idempotency else 0):
            try:
                verdict = self._call(operation, send)
                if verdict.rule is None:
                    return verdict
                raise self._failure(verdict, operation)
            except NEVER_LEFT as error:
                failure: EtlError = Unavailable(
                    f"{self.connector.title} cannot be reached: {type(error).__name__} at {self._home.host}"
                )
            except (OutcomeUnknown, httpx.HTTPError) as error:
                call = f"{operation.method} {operation.path}"
                problem = str(error) if isinstance(error, OutcomeUnknown) else f"no answer to {call}: {type(error).__name__}"
                continue
            except EtlError as error:
                failure = error
            if not problem:
                raise failure from None
            if getattr(failure, "status", 0) != 409:  # the first try is still at work
                break
        raise OutcomeUnknown(problem)

    def _call(
        self, operation: Operation, send: Callable[[Signature], httpx.Response], signed: Signature | None = None
    ) -> Verdict:
        """One call, paced; repeated as long as the platform says that it did not execute it.

        That is: for its rate, and once because a token is no longer good.
        """
        renewed = signed is not None
        for _ in range(WAITS):
            booking = self._acquire(operation)
            signature = signed or self._session.signature()
            response = send(signature)
            self.pacer.observe(response.headers, booking)
            verdict = judge(self.connector, response)
            if not renewed and verdict.rule and (verdict.rule.then == "refuse" or verdict.response.status_code == 401):
                renewed = True
                if self._session.renew(signature):
                    continue
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

    def _request(
        self, operation: Operation, url: httpx.URL, body: Any, kind: Resource, file: Path | None, signature: Signature
    ) -> httpx.Response:
        headers, url = dict(signature.headers), _with(url, signature.params)
        if body is None or (operation.method == "DELETE" and isinstance(body, dict)):
            return self.http.request(operation.method, url, headers=headers)
        with file.open("rb") if file is not None else nullcontext() as content:
            sent = BODIES[operation.body](body, operation, kind, content)
            return self.http.request(operation.method, url, **{**sent, "headers": {**headers, **sent.get("headers", {})}})

    def _rows(self, answer: Verdict, operation: Operation, kind: Resource) -> list[dict[str, Any]]:
        """The rows of a list; a thing that is no row stops the reading, for passing over it would lose it."""
        data = selected(answer.body, operation.select)
        if data is None:
            return []
        if isinstance(data, dict) and operation.pager and operation.pager.kind == "single":
            return [row_of(data, kind)]
        if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
            raise Unavailable(
                f"{self.connector.title} answered {operation.method} {operation.path} with something other than a list of rows – "
                "check `select` in the connector"
            )
        rows = [dig(item, path_of(operation.each)) for item in data] if operation.each else data
        if not all(isinstance(row, dict) for row in rows):
            raise Unavailable(f"an item of {operation.path} has no {operation.each} – check `each` in the connector")
        return [row_of(row, kind) for row in rows]

    def _failure(self, verdict: Verdict, operation: Operation) -> ApiError:
        assert verdict.rule is not None
        said, connection = self._described(verdict), self.connector.connection
        title, call = self.connector.title, f"{operation.method} {operation.path}"
        if operation.lock and verdict.response.status_code in (409, 412):
            return Outdated(f"{title} refuses {call}, for the row was changed meanwhile: {said}", verdict.response.status_code)
        match verdict.rule.then:
            case "refuse":
                return AuthError(f"{title} refuses the key: {said} – check {self._keys()}")
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


def _with(url: httpx.URL, params: Mapping[str, Any]) -> httpx.URL:
    """An address with parameters added; one without stays as it is written."""
    return url.copy_merge_params(params) if params else url


def _origin(url: httpx.URL) -> tuple[str, int | None]:
    return url.host.lower(), url.port


def _row(answer: Verdict, operation: Operation, kind: Resource) -> dict[str, Any]:
    """The row of an answer, bare or alone in a list; {} where there is none."""
    data = selected(answer.body, operation.select)
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return row_of(data, kind) if isinstance(data, dict) else {}
