"""The comment on a change under review, against servers that answer as GitHub and GitLab do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from engine.errors import UsageError
from workbench.review.comment import LONGEST, MARKER, discussion, fitting, write


class Service(ThreadingHTTPServer):
    """A service with the comments of one change; what each platform asks for is asked for."""

    def __init__(self, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.kind, self.comments, self.calls = kind, list[dict[str, Any]](), list[str]()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, body: str) -> dict[str, Any]:
        """A comment."""
        self.comments.append({"id": len(self.comments) + 1, "body": body})
        return self.comments[-1]


class Answers(BaseHTTPRequestHandler):
    """The four calls that there are."""

    server: Service

    def do_GET(self) -> None:
        """A page of comments, the oldest first."""
        query = dict(parse_qsl(urlsplit(self.path).query))
        size, page = int(query["per_page"]), int(query["page"])
        self.answer(200, self.server.comments[(page - 1) * size : page * size])

    def do_POST(self) -> None:
        """One more."""
        if self.path.endswith(self.listed()):
            self.answer(201, self.server.add(self.sent()["body"]))
        else:
            self.answer(404, {})

    def change(self) -> None:
        """Another text for one."""
        number = int(self.path.rpartition("/")[2])
        self.server.comments[number - 1]["body"] = self.sent()["body"]
        self.answer(200, self.server.comments[number - 1])

    def do_PATCH(self) -> None:
        """Only GitHub."""
        self.change() if self.server.kind == "github" else self.answer(405, {})

    def do_PUT(self) -> None:
        """Only GitLab."""
        self.change() if self.server.kind == "gitlab" else self.answer(405, {})

    def listed(self) -> str:
        """Where comments are."""
        return "/issues/7/comments" if self.server.kind == "github" else "/merge_requests/7/notes"

    def sent(self) -> dict[str, Any]:
        """The body."""
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        return found

    def answer(self, status: int, body: Any) -> None:
        """Answer whoever has the key."""
        github = self.headers.get("authorization") == "Bearer sesame"
        known = github if self.server.kind == "github" else self.headers.get("private-token") == "sesame"
        status, body = (status, body) if known else (401, {})
        self.server.calls.append(f"{self.command} {status}")
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture(params=["github", "gitlab"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service(request.param) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def job(service: Service, folder: Path, token: str = "sesame") -> dict[str, str]:
    """The variables of a job for change 7."""
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}), encoding="utf-8")
    if service.kind == "github":
        return {"GITHUB_ACTIONS": "true", "GITHUB_API_URL": service.address, "GITHUB_REPOSITORY": "acme/move",
                "GITHUB_TOKEN": token, "GITHUB_EVENT_PATH": str(event)}
    return {"GITLAB_CI": "true", "CI_API_V4_URL": service.address, "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "7",
            "ETL_REVIEW_TOKEN": token}


def test_one_comment_is_written_anew(service: Service, tmp_path: Path) -> None:
    """The first push makes a comment, the next ones change it; those of others stay, however many there are."""
    where = discussion(job(service, tmp_path))
    for number in range(120):
        service.add(f"remark {number}")
    assert write("first", where) == "made a comment"
    service.add("thanks")
    assert write("second", where) == "updated the comment"
    ours = [one["body"] for one in service.comments if one["body"].startswith(MARKER)]
    assert ours == [f"{MARKER}\nsecond"]
    assert len(service.comments) == 122


def test_a_refusal_names_what_to_do(service: Service, tmp_path: Path) -> None:
    """A wrong token is one line without the token, and nothing is written."""
    where = discussion(job(service, tmp_path, token="secret-of-another"))
    with pytest.raises(UsageError, match=r"answered 401 – check the token") as found:
        write("first", where)
    assert "secret-of-another" not in str(found.value)
    assert service.comments == []


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "no job of GitHub or GitLab"),
        ({"GITLAB_CI": "true"}, "ETL_REVIEW_TOKEN is not set"),
        ({"GITHUB_ACTIONS": "true"}, "GITHUB_TOKEN is not set"),
        (
            {"GITHUB_ACTIONS": "1", "GITHUB_API_URL": "x", "GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": "t"},
            "does not run for a pull request",
        ),
    ],
)
def test_where_there_is_no_change_it_says_so(env: dict[str, str], said: str) -> None:
    """Without a change under review, or without a key, one line says what is missing."""
    with pytest.raises(UsageError, match=said):
        discussion(env)


def test_a_long_text_is_cut_at_a_line() -> None:
    """A comment is never refused for its length, and a code block that is cut is closed."""
    text = "```text\n" + "one line of a difference\n" * 4_000
    cut = fitting(text)
    assert len(cut) <= LONGEST + 100
    assert cut.count("```") == 2
    assert cut.endswith("the job's log has all of it")
    assert fitting("short") == "short"
