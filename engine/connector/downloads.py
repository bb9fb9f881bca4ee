"""Files behind links in records: fetched from hosts the connector names, and continued after a
cut.

The key does not go along, unless the connector says that files need it; then it goes where every
call goes, and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from engine.connector.auth import Signature
from engine.connector.model import Connection
from engine.connector.packing import unpacked
from engine.connector.urls import url_of
from engine.errors import RequestRejected

HOPS = 5  # redirects followed, each to an allowed host only
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class _CutError(Exception):
    """The transfer broke off or the host is busy: worth another try."""


class _Part(msgspec.Struct, frozen=True):
    """What has come of a file so far, and the mark by which the host knows that version."""

    path: Path
    mark: Path

    def resumable(self) -> tuple[int, str]:
        """The size to go on from and the version's mark; (0, "") where the file starts anew."""
        try:
            mark = self.mark.read_text(encoding="latin-1")
            return (self.path.stat().st_size, mark) if mark else (0, "")
        except OSError:
            return 0, ""

    def start(self, response: httpx.Response) -> None:
        """Begin a version; without a strong mark it cannot be continued."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.drop()
        os.close(
            os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        )
        tag = response.headers.get("etag", "")
        strong = tag and not tag.startswith("W/")
        mark = tag if strong else response.headers.get("last-modified", "")
        if mark and "content-encoding" not in response.headers:
            self.mark.write_text(mark, encoding="latin-1")

    def drop(self) -> None:
        """Forget what came."""
        self.path.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)

    def finish(self, into: Path) -> tuple[int, str]:
        """Put the file in its place; its size and SHA-256."""
        with self.path.open("rb") as content:
            checksum = hashlib.file_digest(content, "sha256").hexdigest()
        size = self.path.stat().st_size
        self.path.replace(into)
        self.mark.unlink(missing_ok=True)
        return size, checksum


class FileSource(msgspec.Struct, frozen=True):
    """Where the files of one account are fetched, and with what."""

    http: httpx.Client
    connection: Connection
    base_url: str
    sign: Callable[[], Signature]  # what every call carries

    def download(
        self, url: str, into: Path, tries: Iterator[None]
    ) -> tuple[int, str, str]:
        """Stream a file; its size in bytes, SHA-256 and content type.

        Each of `tries` is one attempt; between two of them the iterator waits. Raises
        RequestRejected for a dead link, a host that is not allowed or a file over the limit.
        """
        address = allowed(url, self.connection, self.base_url)
        part = _Part(
            into.with_name(f"{into.name}.part"),
            into.with_name(f"{into.name}.part.mark"),
        )
        problem = ""
        try:
            for _ in tries:
                try:
                    content_type = self._attempt(address, part)
                    return *part.finish(into), content_type
                except UnicodeError:
                    part.drop()  # its mark cannot be sent back: the file starts anew
                    problem = "its version is marked with letters that no request can carry"
                except _CutError as error:
                    problem = str(error)
                except httpx.HTTPError as error:
                    problem = type(error).__name__
        except RequestRejected:
            part.drop()
            raise
        if not part.resumable()[0]:
            part.drop()
        raise RequestRejected(
            f"the file cannot be fetched from {address.host}: {problem}"
        )

    def _attempt(self, address: httpx.URL, part: _Part) -> str:
        """One try; the content type. Raises RequestRejected where another try is of no use."""
        have, mark = part.resumable()
        headers = {"accept-encoding": "identity"}
        if have:
            headers |= {"range": f"bytes={have}-", "if-range": mark}
        with self._opened(address, headers) as response:
            total = _begin(response, part, have)
            _take(response, part, total, self.connection.file_max_bytes)
            content_type, _, _ = response.headers.get(
                "content-type", ""
            ).partition(";")
            return content_type.strip() or "application/octet-stream"

    @contextmanager
    def _opened(
        self, address: httpx.URL, headers: dict[str, str]
    ) -> Iterator[httpx.Response]:
        """The answer after redirects; no request goes to a host that is not allowed."""
        for _ in range(HOPS + 1):
            signature = Signature({}, {})
            if self.connection.file_signed and is_home(address, self.base_url):
                signature = self.sign()
            url = address
            if signature.params:
                url = address.copy_merge_params(signature.params)
            with self.http.stream(
                "GET", url, headers={**headers, **signature.headers}
            ) as response:
                if not response.has_redirect_location:
                    yield response
                    return
                target = response.headers["location"]
                address = allowed(
                    target, self.connection, self.base_url, address
                )
        raise RequestRejected(
            f"the link is dead: {address.host} redirects for ever"
        )


def allowed(
    url: str,
    connection: Connection,
    base_url: str,
    page: httpx.URL | None = None,
) -> httpx.URL:
    """The address to ask, the production host replaced by the account's; raises
    RequestRejected for other hosts.

    A link that is relative leads on from `page`, where it was found in an answer.
    """
    written = (
        url
        if _SCHEME.match(url) or page
        else f"https://{url.removeprefix('//')}"
    )
    try:
        address = url_of(written, page)
    except ValueError:
        raise RequestRejected("the link is not an address") from None

    place, home = _place(address), httpx.URL(base_url)
    production = _place(httpx.URL(connection.base_url))
    hosts = set(connection.file_hosts)
    if production in hosts:
        hosts.add(_place(home))

    web = address.scheme in ("http", "https") and not address.userinfo
    if not web or place not in hosts:
        raise RequestRejected(
            f"the link points to {place or 'no host'}, which the connector does not allow"
            " – if files are kept there, add it to `files: {hosts: […]}` of the connector"
        )
    if place != production:
        return address
    return address.copy_with(scheme=home.scheme, host=home.host, port=home.port)


def is_home(address: httpx.URL, base_url: str) -> bool:
    """Whether an address is on the account's own server, reached as every call reaches it:
    scheme, host and port.
    """
    home = httpx.URL(base_url)
    same_server = (address.scheme, address.host) == (home.scheme, home.host)
    return same_server and address.port == home.port


def _place(address: httpx.URL) -> str:
    return (
        address.host
        if address.port is None
        else f"{address.host}:{address.port}"
    )


def _begin(response: httpx.Response, part: _Part, have: int) -> int | None:
    """Check how the answer starts; the whole file's size, where it is stated."""
    status = response.status_code
    length = response.headers.get("content-length", "")
    if status == 206:
        found = _RANGE.match(response.headers.get("content-range", ""))
        if found and int(found[1]) == have:
            return int(found[2])
    elif status == 200:
        part.start(response)
        packed = "content-encoding" in response.headers
        return int(length) if length.isdecimal() and not packed else None
    elif status not in (408, 416, 429) and status < 500:
        raise RequestRejected(
            f"the link is dead: {response.url.host} answered {status}", status
        )
    if status in (206, 416):
        part.drop()  # what is there cannot be continued
    raise _CutError(f"it answered {status}")


def _take(
    response: httpx.Response, part: _Part, total: int | None, most: int
) -> None:
    size = part.path.stat().st_size
    coding = response.headers.get("content-encoding", "").strip().lower()
    if (total or 0) <= most:
        with part.path.open("ab") as out:
            for chunk in unpacked(response.iter_raw(), coding):
                size += len(chunk)
                if size > most:
                    break
                out.write(chunk)
    if max(size, total or 0) > most:
        raise RequestRejected(f"the file is larger than {most:,} bytes")
    if total is not None and size != total:
        if size > total:
            part.drop()
        raise _CutError(f"{size:,} of {total:,} bytes came")
