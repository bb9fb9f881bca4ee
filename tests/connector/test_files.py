"""Files behind links: which hosts are asked, what is followed, and what is left of a transfer that broke off."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from engine.connector.downloads import allowed, is_home
from engine.connector.model import Connection, Operation
from engine.errors import RequestRejected

CONTENT = bytes(range(256)) * 400
HOSTS = ("api.acme.example", "files.acme.example", "files.acme.example:8443", "127.0.0.1")
CONNECTION = Connection("U", "https://api.acme.example", {"kind": "none"}, "", Operation("GET", "/me"), file_hosts=HOSTS)


@pytest.mark.parametrize(
    ("link", "asked"),
    [
        ("https://files.acme.example/a/b.pdf?sig=1", "https://files.acme.example/a/b.pdf?sig=1"),
        ("files.acme.example/a", "https://files.acme.example/a"),
        ("//files.acme.example/a", "https://files.acme.example/a"),
        ("https://FILES.acme.Example/a", "https://files.acme.example/a"),
        ("https://files.acme.example:443/a", "https://files.acme.example/a"),
        ("https://files.acme.example:8443/a", "https://files.acme.example:8443/a"),
        ("files.acme.example/a?back=https://evil.example/", "https://files.acme.example/a?back=https://evil.example/"),
        # The production host stands for the account's own, whatever scheme the link has.
        ("https://api.acme.example/f/1", "http://127.0.0.1:9999/f/1"),
        ("http://api.acme.example/f/1?x=y", "http://127.0.0.1:9999/f/1?x=y"),
    ],
)
def test_links_to_named_hosts_are_asked(link: str, asked: str) -> None:
    """With or without scheme, in any case; the production host is replaced by the account's."""
    assert str(allowed(link, CONNECTION, "http://127.0.0.1:9999/app")) == asked


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/a", "https://files.acme.example@evil.example/a", "https://api.acme.example:x@evil.example/",
        "https://user:pw@files.acme.example/a", "https://evil\\@files.acme.example/a", "https://files.acme.example\\.evil.example/",
        "https://files.acme.example./a", "https://files.acme.example.evil.example/", "https://evilfiles.acme.example/",
        "https://files.acme.example:8444/a", "https://api.acme.example:8080/", "https://[::1]/a", "https://[::ffff:7f00:1]/a",
        "https://2130706433/a", "https://0x7f.1/a", "https://127.1/a", "https://localhost/a", "https://169.254.169.254/meta",
        "file:///etc/passwd", "ftp://files.acme.example/a", "data:text/plain,x", "javascript://files.acme.example/%0aalert(1)",
        "/files/3", "", " ", "https://", "https:///a", "https://files.acme.example:99999/a", "https://[broken/a", "http://\x00/a",
        "https://ｆiles.acme.example.evil.example/a", "https://files。acme。example。evil/a", "https://files.acme.example\t.evil.example/",
    ],
)  # fmt: skip
def test_every_other_link_is_refused(link: str) -> None:
    """User names, other ports, other spellings of hosts, other schemes: refused as a record's problem, not asked."""
    with pytest.raises(RequestRejected):
        allowed(link, CONNECTION, "http://127.0.0.1:9999/app")


def test_a_refused_link_is_not_repeated_in_the_message() -> None:
    """A link is a capability; only its host is told."""
    with pytest.raises(RequestRejected) as caught:
        allowed("https://evil.example/private?token=hunter2", CONNECTION, "http://127.0.0.1")
    assert str(caught.value).startswith("the link points to evil.example, which the connector does not allow")
    assert "hunter2" not in str(caught.value)


def fetch(bench: Any, into: Path, *routes: Route, path: str = "/f", **connection: Any) -> tuple[int, str, str]:
    """Download from a server with these routes, whose host is allowed."""
    base = bench.serve(list(routes))
    client = bench.client(base, file_hosts=("api.acme.example",), **connection)
    found: tuple[int, str, str] = client.download(f"https://api.acme.example{path}", into)
    return found


def static(response: Response) -> Route:
    async def endpoint(request: Request) -> Response:
        assert "x-key" not in request.headers
        return response

    return Route("/f", endpoint)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("**/*") if path.is_file() and "store.sqlite" not in path.name)


def test_a_file_is_fetched_whole_and_private(bench: Any, tmp_path: Path) -> None:
    """Size, checksum and type are told; the key does not go along; nobody else may read the file."""
    into = tmp_path / "files" / "x.pdf"
    found = fetch(bench, into, static(Response(CONTENT, media_type="application/pdf; charset=x")))
    assert found == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "application/pdf")
    assert into.read_bytes() == CONTENT
    assert stat.S_IMODE(into.stat().st_mode) == 0o600
    assert stat.S_IMODE(into.parent.stat().st_mode) == 0o700
    assert left(tmp_path) == ["x.pdf"]


def keys(bench: Any, seen: dict[str, str | None], **routes: str) -> str:
    """A server whose paths lead on to an address, or give the file where there is none; which key came is noted."""

    def route(name: str, onward: str) -> Route:
        async def endpoint(request: Request) -> Response:
            seen[name] = request.headers.get("x-key") or request.query_params.get("x-key")
            return RedirectResponse(onward) if onward else Response(CONTENT)

        return Route(f"/{name}", endpoint)

    address: str = bench.serve([route(name, onward) for name, onward in routes.items()])
    return address


@pytest.mark.parametrize("kind", ["header", "query"])
def test_a_file_that_needs_the_key_gets_it_on_the_accounts_own_server_only(bench: Any, tmp_path: Path, kind: str) -> None:
    """At each step of the way anew: a storage that the way leads to is asked without the key."""
    seen: dict[str, str | None] = {}
    storage = keys(bench, seen, stored="")
    home = keys(bench, seen, f="/g", g=f"{storage}/stored?x=1")
    hosts = ("api.acme.example", storage.removeprefix("http://"))
    auth = {"kind": kind, "name": "x-key", "secret": "ACME_KEY"}
    client = bench.client(home, file_hosts=hosts, file_signed=True, auth=auth, secret="key-of-acme")
    assert client.download("https://api.acme.example/f?v=2", tmp_path / "x")[0] == len(CONTENT)
    assert seen == {"f": "key-of-acme", "g": "key-of-acme", "stored": None}


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("https://acme.example/a", True), ("https://ACME.example:443/a", True), ("http://acme.example/a", False),
        ("https://acme.example:8443/a", False), ("https://files.acme.example/a", False), ("https://acme.example.evil.example/", False),
    ],
)  # fmt: skip
def test_the_accounts_own_server_is_told_by_scheme_host_and_port(address: str, own: bool) -> None:
    """A key that travels encrypted to one port does not travel in the clear, nor to another."""
    assert is_home(httpx.URL(address), "https://acme.example/api") is own


def test_an_empty_file_without_a_type_is_a_file(bench: Any, tmp_path: Path) -> None:
    """Nothing in it, and called what it is."""
    response = Response(b"")
    assert fetch(bench, tmp_path / "x", static(response)) == (0, hashlib.sha256(b"").hexdigest(), "application/octet-stream")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_dead_link_is_told_at_once(bench: Any, tmp_path: Path, status: int) -> None:
    """A record's problem, with the host and the status, and nothing left on disk."""
    with pytest.raises(RequestRejected, match=f"the link is dead: 127.0.0.1 answered {status}") as caught:
        fetch(bench, tmp_path / "x", static(Response(b"gone", status)))
    assert caught.value.status == status
    assert bench.time.naps == [] and left(tmp_path) == []


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_busy_host_is_asked_again(bench: Any, tmp_path: Path, status: int) -> None:
    """As often as a read, then the record is told to have failed."""
    with pytest.raises(RequestRejected, match=f"answered {status}"):
        fetch(bench, tmp_path / "x", static(Response(b"", status)))
    assert bench.time.naps == [0.5, 1.0] and left(tmp_path) == []


def chunks(content: bytes, **headers: str) -> Response:
    """Without a length, so that only counting finds out how large it is."""
    from starlette.responses import StreamingResponse

    async def parts() -> Any:
        for start in range(0, len(content), 10_000):
            yield content[start : start + 10_000]

    return StreamingResponse(parts(), headers=headers)


@pytest.mark.parametrize("make", [lambda: Response(CONTENT), lambda: chunks(CONTENT)])
def test_a_file_over_the_limit_is_refused(bench: Any, tmp_path: Path, make: Any) -> None:
    """Whether the size is told or only found out; nothing is left of it."""
    with pytest.raises(RequestRejected, match="larger than 50,000 bytes"):
        fetch(bench, tmp_path / "x", static(make()), file_max_bytes=50_000)
    assert left(tmp_path) == []
    assert fetch(bench, tmp_path / "x", static(make()), file_max_bytes=len(CONTENT))[0] == len(CONTENT)


# -- redirects


def test_redirects_are_followed_among_allowed_hosts_only(bench: Any, tmp_path: Path) -> None:
    """A relative one and one to the production host are; one to another host is not asked."""
    asked: list[str] = []

    async def thief(request: Request) -> Response:
        asked.append(str(request.url))
        return Response(b"stolen")

    evil = bench.serve([Route("/{p:path}", thief)])

    async def hop(request: Request) -> Response:
        step = request.path_params["step"]
        return RedirectResponse({"1": "/hop/2", "2": "https://api.acme.example/f", "3": f"{evil}/x", "4": "ftp://x/", "5": "http://[x"}[step])

    routes = (static(Response(CONTENT)), Route("/hop/{step}", hop))
    assert fetch(bench, tmp_path / "x", *routes, path="/hop/1")[0] == len(CONTENT)
    for step in ("3", "4", "5"):
        with pytest.raises(RequestRejected, match=r"does not allow|not an address"):
            fetch(bench, tmp_path / "y", *routes, path=f"/hop/{step}")
    assert asked == []


def test_redirects_in_a_circle_end(bench: Any, tmp_path: Path) -> None:
    """Six requests, then the link is dead."""
    count = []

    async def again(request: Request) -> Response:
        count.append(1)
        return RedirectResponse("/f")

    with pytest.raises(RequestRejected, match="redirects for ever"):
        fetch(bench, tmp_path / "x", Route("/f", again))
    assert len(count) == 6


# -- transfers that break off


def head(status: str, length: int, **more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {length}", *(f"{k.replace('_', '-')}: {v}" for k, v in more.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def client_of(bench: Any, *answers: bytes | None) -> tuple[Any, list[bytes]]:
    base, asked = bench.script(*answers)
    return bench.client(base, file_hosts=("api.acme.example",)), asked


URL = "https://api.acme.example/f"
WHOLE = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("mark", [{"etag": '"v1"'}, {"last_modified": "Thu, 01 Jan 2026 00:00:00 GMT"}])
def test_a_cut_transfer_is_gone_on_with(bench: Any, tmp_path: Path, mark: dict[str, str]) -> None:
    """The second request asks for the rest of the same version; size and checksum are of the whole."""
    total = len(CONTENT)
    client, asked = client_of(
        bench,
        head("200 OK", total, **mark) + CONTENT[:60_000],
        head("206 Partial Content", total - 60_000, content_range=f"bytes 60000-{total - 1}/{total}") + CONTENT[60_000:],
    )
    assert client.download(URL, tmp_path / "x")[:2] == (total, WHOLE)
    assert b"range: bytes=60000-" in asked[1].lower()
    assert f"if-range: {next(iter(mark.values()))}".encode().lower() in asked[1].lower()
    assert left(tmp_path) == ["x"]


def test_a_transfer_is_gone_on_with_by_the_next_run(bench: Any, tmp_path: Path) -> None:
    """What came before every try failed stays, with its mark, and the next run takes only the rest."""
    total = len(CONTENT)
    client, _ = client_of(bench, head("200 OK", total, etag='"v1"') + CONTENT[:60_000], None)
    with pytest.raises(RequestRejected, match=r"cannot be fetched from 127\.0\.0\.1"):
        client.download(URL, tmp_path / "x")
    assert left(tmp_path) == ["x.part", "x.part.mark"]
    client, asked = client_of(
        bench, head("206 Partial Content", total - 60_000, content_range=f"bytes 60000-{total - 1}/{total}") + CONTENT[60_000:]
    )
    assert client.download(URL, tmp_path / "x")[:2] == (total, WHOLE)
    assert len(asked) == 1 and left(tmp_path) == ["x"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(bench: Any, tmp_path: Path) -> None:
    """The host answers 200 instead of 206: half of the old and half of the new is never put together."""
    client, _ = client_of(
        bench, head("200 OK", 9, etag='"v1"') + b"old", head("200 OK", 7, etag='"v2"') + b"new one"
    )
    assert client.download(URL, tmp_path / "x")[0] == 7
    assert (tmp_path / "x").read_bytes() == b"new one"


@pytest.mark.parametrize("mark", [{}, {"etag": 'W/"v1"'}, {"etag": '"v1"', "content_encoding": "identity"}])
def test_without_a_strong_mark_a_transfer_starts_anew(bench: Any, tmp_path: Path, mark: dict[str, str]) -> None:
    """A version that cannot be told apart is not gone on with, and nothing is kept of it."""
    client, asked = client_of(bench, head("200 OK", 9, **mark) + b"abc", head("200 OK", 9) + b"abcdefghi")
    assert client.download(URL, tmp_path / "x")[0] == 9
    assert b"range" not in asked[1].lower()
    client, _ = client_of(bench, head("200 OK", 9, **mark) + b"abc")
    with pytest.raises(RequestRejected):
        client.download(URL, tmp_path / "y")
    assert left(tmp_path) == ["x"]


@pytest.mark.parametrize(
    "answer",
    [
        head("206 Partial Content", 6, content_range="bytes 0-5/9") + b"abcdef",
        head("206 Partial Content", 3) + b"xyz",
        head("416 Range Not Satisfiable", 0),
    ],
)
def test_a_part_that_does_not_fit_is_dropped(bench: Any, tmp_path: Path, answer: bytes) -> None:
    """An answer with another stretch than asked for is not appended; the file starts anew."""
    client, _ = client_of(bench, head("200 OK", 9, etag='"v1"') + b"abc", answer, head("200 OK", 9) + b"abcdefghi")
    client.download(URL, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abcdefghi"


def test_two_files_that_differ_in_their_ending_do_not_share_a_part(bench: Any, tmp_path: Path) -> None:
    """`a.pdf` and `a.png` are two files while they come, too."""
    client, _ = client_of(bench, head("200 OK", 9, etag='"v1"') + b"abc", None)
    for name in ("a.pdf", "a.png"):
        with pytest.raises(RequestRejected):
            client.download(URL, tmp_path / name)
    assert "a.pdf.part" in left(tmp_path)
