"""One account's calls: signed, paced, classified, and repeated where that does no harm."""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from msgspec import structs

from engine.connector.auth import Account, Signature, variables
from engine.connector.bulk import listed
from engine.connector.classify import (
    MESSAGE,
    Classified,
    Delay,
    classify,
    delay,
    described,
    lacks,
)
from engine.connector.door import Body, Door, Head
from engine.connector.encoding import BODIES, as_form, as_json, in_parts, nested
from engine.connector.messages import (
    Call,
    Request,
    Response,
    of_httpx,
    request,
    with_defaults,
)
from engine.connector.model import (
    PLACE,
    Connector,
    ErrorRule,
    Operation,
    Resource,
)
from engine.connector.oauth import Grant, Session
from engine.connector.packing import CODINGS, unpacked
from engine.connector.rate_limit import Clock, RateLimiter, Reservation
from engine.connector.urls import url_of
from engine.errors import (
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
    VersionConflict,
)
from engine.store.links import Finding, clear_findings, save_findings
from engine.values import well_formed

# seconds; doubled for each try of a read, with up to half of it at random on top
BACKOFF = 0.5
CONNECT = 10.0  # seconds to wait for a connection
# seconds an idle connection is kept; servers close theirs after 5, and a write on a closed one is a
# doubt
KEEP = 3.0
# the request is to be made elsewhere: it was not carried out here (RFC 9110, 15.4)
UNDONE = (301, 307, 308)
WAITS = 50  # times one call is repeated because the platform refused it for its rate
SENSELESS = 6  # ... of which one counts for so many whose answer says nonsense of the wait
LONGEST = 60.0  # seconds; for such a wait grows no longer
NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)

LIMITS = "limits"  # the stage of findings about what answers say of limits


class EndlessError(httpx.HTTPError):
    """An answer is too large, or takes too long in all; `retriable`: another try may do better."""

    def __init__(self, message: str, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable


# at INFO they log addresses, and with some APIs the key is in the address
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that servers are held against, read once and only where a server needs
    them: that takes as long as many a call.
    """
    return httpx.create_ssl_context(trust_env=False)


def ignore(_: object) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Calls:
    """Calls one account. Threads may share it."""

    connector: Connector
    account: Account
    limiter: RateLimiter
    clock: Clock = field(default_factory=Clock)
    random: Callable[[], float] = random.random
    door: Door = field(init=False, repr=False)
    http: httpx.Client = field(init=False)  # the same door, for files
    session: Session = field(init=False, repr=False)
    home: httpx.URL = field(init=False)
    # who hears of every request before it goes out, and of every answer
    on_request: Callable[[Request], None] = ignore
    on_response: Callable[[Response], None] = ignore
    # who keeps a log of the calls
    on_call: Callable[[Call], None] | None = None
    # seconds by which the server's clock is ahead of ours, as its last answer told
    ahead: float = 0.0

    def __post_init__(self) -> None:
        connection = self.connector.connection
        try:
            self.home = url_of(self.account.base_url.rstrip("/"))
        except ValueError as error:
            raise UsageError(
                f"{connection.base_url_env} is not an address: {error}"
            ) from None
        if self.home.scheme == "https":
            _trusted()  # what cannot be read is told at once
        self.door = Door(
            min(CONNECT, connection.timeout),
            connection.timeout,
            KEEP,
            connection.concurrency,
            _trusted,
        )
        self.http = httpx.Client(
            transport=self.door, follow_redirects=False, trust_env=False
        )
        self.session = Session(
            connection.auth, self.account.reveal, self.limiter, self._token
        )
        self.session.learn(
            self.account.secret,
            *map(self.account.reveal, variables(connection.auth, secret=True)),
        )
        if not self.session.renewable:
            # a key that no request can carry is told before anything else
            self.session.signature()

    def now(self) -> float:
        """The server's clock, as far as its answers tell it; epoch seconds."""
        return self.clock.now() + self.ahead

    def url(self, operation: Operation, places: Mapping[str, str]) -> httpx.URL:
        """The operation's address. Raises RequestRejected where its path needs a value that is not
        there.
        """

        def filled(text: str, safe: str | None) -> str:
            for name in PLACE.findall(text):
                value = well_formed(str(places.get(name, "")))
                if value in ("", ".", ".."):
                    raise RequestRejected(
                        f"{operation.method} {operation.path} needs {name}, and there"
                        " is none"
                    )
                text = text.replace(
                    f"{{{name}}}",
                    value if safe is None else quote(value, safe=safe),
                )
            return text

        sent = {} if operation.params_in == "body" else operation.params
        params = {
            name: filled(value, None) if isinstance(value, str) else value
            for name, value in sent.items()
        }
        path = filled(operation.path, "")
        try:
            return _with(url_of(f"{self.home}{path}"), params)
        except (ValueError, httpx.InvalidURL):
            raise RequestRejected(
                f"{operation.method} {operation.path} makes no address of"
                f" {path[:100]!r}"
            ) from None

    def local(self, page: httpx.URL, link: str) -> str:
        """A link found in a page as an address below the platform's host, without the key.

        Raises ApiError for other hosts: the key that goes with every call must not go there.
        """
        try:
            url = url_of(link, page)
        except ValueError:
            raise ApiError(
                f"{self.connector.title} names a next page that is not an address"
            ) from None
        home = {
            _origin(self.home),
            _origin(httpx.URL(self.connector.connection.base_url)),
        }
        if url.scheme not in ("http", "https") or _origin(url) not in home:
            raise ApiError(
                f"{self.connector.title} names a next page on another host, {url.host}"
                " – it was not asked"
            )
        for name in self.session.params():
            url = url.copy_remove_param(name) if name in url.params else url
        return url.raw_path.decode("ascii")

    def tries(self, most: int | None = None) -> Iterator[None]:
        """One item for each try of a read, with a growing wait between them."""
        for attempt in range(
            (self.connector.tries if most is None else most) + 1
        ):
            if attempt:
                self.clock.sleep(
                    BACKOFF * 2 ** (attempt - 1) * (1 + self.random() / 2)
                )
            yield

    def read(
        self,
        operation: Operation,
        url: httpx.URL,
        params: Mapping[str, Any],
        tries: int | None = None,
    ) -> Classified:
        """A read, repeated while there is hope."""

        def ask(signature: Signature) -> Response:
            headers = self._headers(operation, signature)
            if operation.params_in == "body":
                sent = as_json(nested({**operation.params, **params}))
                headers = {**sent.headers, **headers}
                asked = _with(url, signature.params)
                return self._asked("POST", asked, headers, sent.content)
            asked = _with(url, {**params, **signature.params})
            return self._asked(operation.method, asked, headers)

        return self._repeated(operation, ask, tries)

    def _token(self, grant: Grant, first: Signature) -> Classified:
        """Sign in: ask for a token, signed by an earlier one where it takes two steps."""
        try:
            url = _with(
                url_of(
                    grant.address
                    if grant.address.startswith("http")
                    else f"{self.home}{grant.address}"
                ),
                first.params,
            )
        except ValueError as error:
            raise AuthError(
                f"the address to sign in at is none: {error} – check the connector"
            ) from None
        operation = Operation("POST", grant.address, quiet=True)
        sent = as_form(grant.body) if grant.form else as_json(grant.body)
        headers = {**sent.headers, **first.headers, **grant.headers}

        def ask(_: Signature) -> Response:
            return self._asked("POST", url, headers, sent.content)

        try:
            return self._repeated(operation, ask, signed=first)
        except (RequestRejected, OutcomeUnknown) as error:
            raise AuthError(f"{error} – check {self._keys()}") from None

    def _keys(self) -> str:
        return (
            ", ".join(dict.fromkeys(variables(self.connector.connection.auth)))
            or "the account"
        )

    def _repeated(
        self,
        operation: Operation,
        ask: Callable[[Signature], Response],
        tries: int | None = None,
        signed: Signature | None = None,
    ) -> Classified:
        """A call that does no harm twice."""
        problem = ""
        for _ in self.tries(tries):
            try:
                verdict = self._call(operation, ask, signed)
            except EndlessError as error:
                hopeless, problem = (
                    not error.retriable or problem == str(error),
                    str(error),
                )
                if hopeless:
                    break
                continue
            except httpx.HTTPError as error:
                problem = (
                    f"{type(error).__name__} at {self.home.netloc.decode()}"
                )
                continue
            if verdict.rule is None and not lacks(
                verdict.body, operation.select
            ):
                return verdict
            if verdict.rule is not None and verdict.rule.then != "unsure":
                raise self.failure(verdict, operation)
            problem = (
                self._described(verdict, operation)
                if verdict.rule
                else f"there is no {operation.select} in it"
            )
        raise Unavailable(
            f"{self.connector.title} gave no usable answer to {operation.method}"
            f" {operation.path}: {problem} – try again later, or check"
            f" {self.connector.connection.base_url_env}"
        )

    def send(  # noqa: PLR0913
        self,
        operation: Operation,
        url: httpx.URL,
        body: Any,
        kind: Resource,
        file: Path | None = None,
        mark: Mapping[str, str] | None = None,
        again: bool = False,
    ) -> Classified:
        """A write: repeated only when the platform said that it was not executed, or with
        `again`: it knows a repetition.
        """

        def send(signature: Signature) -> Response:
            marked = (
                replace(signature, headers={**signature.headers, **mark})
                if mark
                else signature
            )
            return self._request(operation, url, body, kind, file, marked)

        problem = ""
        for _ in self.tries(None if again else 0):
            try:
                verdict = self._call(operation, send)
                if not _is_accepted(verdict, operation):
                    raise self.failure(verdict, operation)
                return structs.replace(verdict, repeated=bool(problem))
            except NEVER_LEFT as error:
                failure: EtlError = Unavailable(
                    f"{self.connector.title} cannot be reached: {type(error).__name__}"
                    f" at {self.home.netloc.decode()}"
                )
            except (OutcomeUnknown, httpx.HTTPError) as error:
                problem = _no_answer(error, operation)
                continue
            except EtlError as error:
                failure = error
            if not problem:
                raise failure from None
            # the first try is still at work
            if not (
                operation.idempotency and getattr(failure, "status", 0) == 409
            ):
                break
        raise OutcomeUnknown(problem)

    def _call(
        self,
        operation: Operation,
        send: Callable[[Signature], Response],
        signed: Signature | None = None,
    ) -> Classified:
        """One call, paced; repeated as long as the platform says that it did not execute it.

        That is: for its rate, and once because a token is no longer good.
        """
        renewed, left, odd, growth = signed is not None, WAITS, "", 1
        while left > 0:
            booking = self._acquire(operation)
            signature = signed or self.session.signature()
            response = self._answer(operation, partial(send, signature))
            self.limiter.observe(response.headers, booking)
            verdict = classify(self.connector, response)
            if (date := verdict.date) is not None:
                self.ahead = date - self.clock.now()
            if (
                not renewed
                and verdict.rule
                and (
                    verdict.rule.then == "refuse"
                    or verdict.response.status_code == 401
                )
            ):
                renewed = True
                if self.session.renew(signature):
                    continue
            wait = verdict.rule and self._waits(verdict, verdict.rule, growth)
            if not wait:
                return verdict
            odd = self.session.redact(wait.odd)
            left -= SENSELESS if odd else 1
            growth *= 2
        why = (
            f"answers {odd!r}, which is no time to wait for"
            if odd
            else f"is still rate limited after {WAITS} attempts"
        )
        raise Unavailable(
            f"{self.connector.title}: {operation.method} {operation.path} {why} –"
            " lower the pace in `limits`, or try later"
        )

    def _answer(
        self, operation: Operation, send: Callable[[], Response]
    ) -> Response:
        """Send one request and report it to the log of calls."""
        began, error = time.monotonic(), ""
        answer: Response | None = None
        try:
            answer = send()
            return answer
        # a cursor, a version or a mark out of an answer
        except (
            httpx.InvalidURL,
            httpx.LocalProtocolError,
            UnicodeError,
        ) as failure:
            error = type(failure).__name__
            raise RequestRejected(
                f"{operation.method} {operation.path} holds what no request can carry:"
                f" {failure}"
            ) from None
        except Exception as failure:
            error = type(failure).__name__
            raise
        finally:
            if self.on_call:
                path = answer.url.path if answer else operation.path
                self.on_call(
                    Call(
                        self.connector.name,
                        operation.method,
                        self.session.redact(self._below(path)),
                        answer.status_code if answer else 0,
                        time.monotonic() - began,
                        operation.cost,
                        error,
                    )
                )

    def _below(self, path: str) -> str:
        """A path without the account's own, which holds a key on some platforms."""
        return path.removeprefix(self.home.path.rstrip("/"))

    def _waits(
        self, verdict: Classified, rule: ErrorRule, growth: int
    ) -> Delay | None:
        """Keep to the wait that an answer asks for, or to a growing one where that makes no sense;
        None where the call may have been executed and is not to be repeated.
        """
        limit = next(
            (item for item in self.connector.limits if item.name == rule.limit),
            None,
        )
        in_ms = self.connector.connection.wait_unit == "milliseconds"
        unit, headers = 1e-3 if in_ms else 1.0, verdict.response.headers
        found = delay(rule, limit, headers, self.clock.now(), unit)
        refused = rule.then in ("wait", "pause")
        if refused or (rule.then == "unsure" and found.stated):
            seconds = found.seconds
            if found.odd:
                seconds = min(seconds * growth, max(seconds, LONGEST))
            self.limiter.refused(rule.limit, seconds, found.stated)
        if found.odd and (refused or rule.then == "unsure"):
            self._tell(found.odd)
        return found if refused else None

    def _tell(self, odd: str) -> None:
        """Nonsense in a header, for people to see."""
        name, _, said = self.session.redact(odd).partition(": ")
        text = (
            f"{self.connector.title} answered {said!r}, which is no time to wait for –"
            " it was asked again a little later"
        )
        with self.limiter.store.begin() as connection:
            clear_findings(connection, LIMITS, self.connector.name, [name])
            save_findings(
                connection,
                [
                    Finding(
                        self.connector.name, name, LIMITS, "", "attention", text
                    )
                ],
            )

    def _asked(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> Response:
        """A request with a body in one piece, or without one, and its whole answer."""
        if url.userinfo or self.http.cookies:
            headers = {**headers, **self._of_account(method, url)}
        return self._exchange(request(method, url, headers, content))

    def _of_account(self, method: str, url: httpx.URL) -> dict[str, str]:
        """The headers that say what the address and earlier answers gave us to say."""
        sent = httpx.Request(method, url)
        if url.userinfo:
            flow = httpx.BasicAuth(url.username, url.password).auth_flow(sent)
            sent = next(flow)
        if self.http.cookies:
            self.http.cookies.set_cookie_header(sent)
        said = {
            name: sent.headers.get(name) for name in ("authorization", "cookie")
        }
        return {name: value for name, value in said.items() if value}

    def _exchange(self, sent: Request) -> Response:
        """One request and its whole answer, within the limits of size and time. Raises
        EndlessError beyond them.
        """
        self.on_request(sent)
        connection = self.connector.connection
        seconds = connection.answer_seconds or 4 * connection.timeout
        until = time.monotonic() + seconds
        head, body = self.door.open(sent)
        try:
            content = b"".join(self._parts(head, body, seconds, until))
        finally:
            body.close()

        whole = Response(head.status, head.headers, content, sent.url)
        if "set-cookie" in whole.headers:
            self._keep_cookies(head, sent)
        self.on_response(whole)
        return whole

    def _parts(
        self, head: Head, body: Body, seconds: float, until: float
    ) -> Iterator[bytes]:
        """The body of an answer, unpacked, part by part."""
        most, size = self.connector.connection.answer_max_bytes, 0
        coding = ", ".join(head.values("content-encoding"))
        if coding not in CODINGS:
            raise EndlessError(
                "the answer is packed in a way that was not asked for"
            )
        for part in unpacked(body, coding):
            yield part
            size += len(part)
            if size > most:
                raise EndlessError(
                    f"the answer is larger than {most:,} bytes, `answer_max_bytes`"
                    " of the connector"
                )
            if time.monotonic() > until:
                raise EndlessError(
                    f"the answer was not whole after {seconds:g} s,"
                    " `answer_seconds` of the connector",
                    True,
                )

    def _keep_cookies(self, head: Head, sent: Request) -> None:
        asked = httpx.Request(sent.method, sent.url)
        answer = httpx.Response(head.status, headers=head.raw, request=asked)
        self.http.cookies.extract_cookies(answer)

    def _headers(
        self, operation: Operation, signature: Signature
    ) -> dict[str, str]:
        return {
            **self.connector.connection.headers,
            **operation.headers,
            **signature.headers,
        }

    def _acquire(self, operation: Operation) -> Reservation:
        try:
            return self.limiter.acquire(operation.cost, operation.limits)
        except QuotaExhausted as pause:
            raise QuotaExhausted(
                f"{self.connector.title} {pause.limit}".strip(),
                pause.until,
                pause.limit != "",
            ) from None

    def _request(
        self,
        operation: Operation,
        url: httpx.URL,
        body: Any,
        kind: Resource,
        file: Path | None,
        signature: Signature,
    ) -> Response:
        headers = self._headers(operation, signature)
        url = _with(url, signature.params)
        # what a row held says nothing to who deletes it; the rows of a bulk are named in the body
        if body is None or (
            operation.method == "DELETE"
            and isinstance(body, dict)
            and not operation.bulk
        ):
            return self._asked(operation.method, url, headers)
        if operation.body == "multipart":
            return self._in_parts(operation, url, body, kind, file, headers)
        sent = BODIES[operation.body](body, operation, kind)
        headers |= sent.headers
        return self._asked(operation.method, url, headers, sent.content)

    def _in_parts(
        self,
        operation: Operation,
        url: httpx.URL,
        body: Any,
        kind: Resource,
        file: Path | None,
        headers: Mapping[str, str],
    ) -> Response:
        """A body of several parts, one of which may be a file; httpx knows how to write it."""
        with file.open("rb") if file is not None else nullcontext() as content:
            parts = in_parts(body, operation, kind, content)
            said = parts.pop("headers", {})
            own = self._of_account(operation.method, url)
            headers = with_defaults({**headers, **own, **said})
            sent = httpx.Request(
                operation.method, url, headers=headers, **parts
            )
            return self._exchange(of_httpx(sent))

    def failure(self, verdict: Classified, operation: Operation) -> ApiError:  # noqa: PLR0911
        assert verdict.rule is not None
        said = self._described(verdict, operation)
        connection = self.connector.connection
        title = self.connector.title
        call = f"{operation.method} {operation.path}"
        if operation.lock and verdict.response.status_code in (409, 412):
            return VersionConflict(
                f"{title} refuses {call}, for the row was changed meanwhile: {said}",
                verdict.response.status_code,
            )
        match verdict.rule.then:
            case "refuse":
                return AuthError(
                    f"{title} refuses the key: {said} – check {self._keys()}"
                )
            case "stop":
                return ClientBlocked(
                    f"{title} has shut this client out: {said} – wait some minutes and"
                    " lower the pace"
                )
            case "moved" if operation.method == "GET":
                return ApiError(
                    f"{title} answers {call} from another place: {said} – check"
                    f" {connection.base_url_env}"
                )
            case "moved" if verdict.response.status_code in UNDONE:
                said += (
                    " "
                    + self.session.redact(
                        verdict.response.headers.get("location", "")
                    )[:MESSAGE]
                )
                advice = f"check {connection.base_url_env} and the path in the connector"
                return RequestRejected(
                    f"{title} answers {call} from another place: {said} – {advice}"
                )
            case "missing":
                return NotFound(
                    f"{title} refuses {call}: {said}",
                    verdict.response.status_code,
                )
            case "forbid":
                return Forbidden(
                    f"{title} refuses {call}: {said}",
                    verdict.response.status_code,
                )
            case "reject":
                return RequestRejected(
                    f"{title} refuses {call}: {said}",
                    verdict.response.status_code,
                )
        return OutcomeUnknown(f"{title} answered {call} with {said}")

    def _described(self, verdict: Classified, operation: Operation) -> str:
        """What an answer says is wrong, in a line, without secrets; cut only after they are out."""
        return self.session.redact(
            described(self.connector, verdict, operation.quiet)
        )[:MESSAGE].strip()


def _is_accepted(verdict: Classified, operation: Operation) -> bool:
    """Whether an answer says that a write was done, or of each of its rows what became of it."""
    if verdict.rule is None or not operation.bulk:
        return verdict.rule is None
    return listed(operation.bulk, verdict.body) is not None


def _no_answer(
    error: OutcomeUnknown | httpx.HTTPError, operation: Operation
) -> str:
    """Why it is not known whether a write was done."""
    if isinstance(error, OutcomeUnknown):
        return str(error)
    kind = (
        str(error) if isinstance(error, EndlessError) else type(error).__name__
    )
    return f"no answer to {operation.method} {operation.path}: {kind}"


def _with(url: httpx.URL, params: Mapping[str, Any]) -> httpx.URL:
    """An address with parameters added; one without stays as it is written."""
    return url.copy_merge_params(params) if params else url


def _origin(url: httpx.URL) -> tuple[str, int | None]:
    return url.host.lower(), url.port
