"""Servers that answer as GitHub and GitLab do about the comments of one change."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


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


def job(service: Service, folder: Path, token: str = "sesame") -> dict[str, str]:
    """The variables of a job for change 7."""
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}), encoding="utf-8")
    if service.kind == "github":
        return {"GITHUB_ACTIONS": "true", "GITHUB_API_URL": service.address, "GITHUB_REPOSITORY": "acme/move",
                "GITHUB_TOKEN": token, "GITHUB_EVENT_PATH": str(event)}
    return {"GITLAB_CI": "true", "CI_API_V4_URL": service.address, "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "7",
            "ETL_REVIEW_TOKEN": token}
