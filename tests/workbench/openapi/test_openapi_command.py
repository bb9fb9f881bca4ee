"""`etl connector new`: files and addresses in, a file out that is never another's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.connector.load import load_connector
from engine.errors import UsageError
from tests.loopback import serving
from tests.workbench.openapi.test_openapi_cases import BARE
from workbench.openapi.fetch import document

DOCUMENT = json.dumps(BARE)
Etl = Callable[..., tuple[int, str]]


class Answers(BaseHTTPRequestHandler):
    """What a server of documents may do."""

    def do_GET(self) -> None:
        """Answer by the path."""
        path = self.path.partition("?")[0]
        if path == "/away":
            self.send_response(302)
            self.send_header("location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()
            return
        self.send_response(200 if path in ("/openapi.json", "/endless") else 404)
        self.end_headers()
        try:
            self.wfile.write(json.dumps({**BARE, "servers": [{"url": "../v2"}]}).encode())
            while path == "/endless":
                self.wfile.write(b" " * 100_000)
        except OSError:
            pass  # the reader has had enough

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server on this machine; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running, serving(running):
        yield f"http://127.0.0.1:{running.server_port}"


def test_a_file_becomes_a_connector_that_loads(tmp_path: Path, run_etl: Etl) -> None:
    """The draft goes to connectors/NAME.yaml, the engine reads it, and the terminal says what was inferred, asked, and comes next."""
    (tmp_path / "acme.json").write_text(DOCUMENT, encoding="utf-8")
    code, said = run_etl("connector", "new", "--openapi", "acme.json")
    assert code == 0, said
    assert load_connector(tmp_path / "connectors/acme_crm.yaml").name == "acme_crm"
    assert "connectors/acme_crm.yaml: 1 resource, 1 call, 1 field" in said
    assert "inferred: " in said and "ask: " in said and "etl connector check acme_crm --env .env" in said


def test_nothing_is_overwritten(tmp_path: Path, run_etl: Etl) -> None:
    """A file or a dead link that stands there stays; -o and --name lead elsewhere."""
    (tmp_path / "acme.json").write_text(DOCUMENT, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("mine\n", encoding="utf-8")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    for out in ("mine.yaml", "link.yaml"):
        code, said = run_etl("connector", "new", "--openapi", "acme.json", "-o", out)
        assert code == 2 and "exists and is not overwritten – choose another file with -o" in said
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == "mine\n" and not (tmp_path / "elsewhere.yaml").exists()
    code, said = run_etl("connector", "new", "--openapi", "acme.json", "--name", "other")
    assert code == 0 and load_connector(tmp_path / "connectors/other.yaml").connection.base_url_env == "OTHER_BASE_URL"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--openapi", "none.yaml"], "none.yaml: cannot be read: No such file or directory – check the path"),
        (["--openapi", "acme.json", "--name", "../x"], "'../x' is not a name for a connector"),
        (["--openapi", "acme.json", "--only", "people"], "--only: the document has no 'people' – known: contacts"),
        (["--openapi", "http://api.acme.example/openapi.json"], "is not https – only documents on this machine are read over http"),
        (["--openapi", "ftp://127.0.0.1/openapi.json"], "is not https"),
        (["--openapi", "https://user:secret@api.acme.example/openapi.json"], "the address holds a name or password"),
        (["--openapi", "http://127.0.0.1.evil.example/openapi.json"], "is not https"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(words: list[str], says: str, tmp_path: Path, quick_etl: Etl) -> None:
    """Exit code 2, one line, no traceback, nothing written."""
    (tmp_path / "acme.json").write_text(DOCUMENT, encoding="utf-8")
    code, said = quick_etl("connector", "new", *words)
    assert code == 2 and says in said and "Traceback" not in said and "secret" not in said
    assert not (tmp_path / "connectors").exists()


def test_a_document_from_this_machine(server: str) -> None:
    """http is good enough on loopback."""
    assert json.loads(document(f"{server}/openapi.json"))["paths"] == BARE["paths"]


def test_no_redirect_is_followed(server: str) -> None:
    """A server cannot lead to an address that was not asked for; the message names it without the query."""
    with pytest.raises(UsageError, match=r"/away redirects to http://169\.254\.169\.254/latest/meta-data, which is not followed"):
        document(f"{server}/away?key=canary")
    with pytest.raises(UsageError, match=r"/none answers 404 – check the address") as caught:
        document(f"{server}/none?key=canary")
    assert "canary" not in str(caught.value)


def test_what_never_ends_is_cut_off(server: str) -> None:
    """More bytes than a document may have, or more time, is an error and not a wait."""
    with pytest.raises(UsageError, match="holds more than 300,000 bytes"):
        document(f"{server}/endless", most=300_000)
    with pytest.raises(UsageError, match="takes longer than 0 seconds"):
        document(f"{server}/endless", longest=0)


def test_an_address_that_nobody_answers(server: str) -> None:
    """Told in one line."""
    with pytest.raises(UsageError, match=r"cannot be reached: .* – check the address"):
        document("http://127.0.0.1:9/openapi.json")


def test_addresses_are_relative_to_where_the_document_came_from(server: str, tmp_path: Path, quick_etl: Etl) -> None:
    """A server named by its path alone is the document's; the query of the address, which may hold a key, is written nowhere."""
    code, said = quick_etl("connector", "new", "--openapi", f"{server}/openapi.json?key=canary", "-o", "a.yaml")
    text = (tmp_path / "a.yaml").read_text(encoding="utf-8")
    assert code == 0 and "canary" not in said + text and f"{server}/openapi.json" in text
    assert load_connector(tmp_path / "a.yaml").connection.base_url == f"{server}/v2"
