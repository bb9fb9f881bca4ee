"""One comment on a change under review, written anew at every push: on GitHub and on GitLab.

GitHub: https://docs.github.com/en/rest/issues/comments; GitLab:
https://docs.gitlab.com/api/notes/#merge-requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from engine.errors import UsageError

MARKER = "<!-- etl review -->"  # how our comment begins
LONGEST = 60_000  # characters; GitHub takes 65,536
PAGES = 50  # of comments that are looked at
PER_PAGE = 100
TIMEOUT = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Discussion:
    """The comments of one change: where they are listed and made, and how one is changed."""

    comments: str
    one: str  # with {id}
    method: str
    headers: Mapping[str, str]


class Comment(msgspec.Struct, frozen=True):
    """What is read of a comment."""

    id: int
    body: str | None = ""


def discussion(env: Mapping[str, str]) -> Discussion:
    """The change that this job runs for, by the variables that GitHub or GitLab sets.

    Raises UsageError where it is neither, or no change under review.
    """
    if env.get("GITHUB_ACTIONS"):
        return _on_github(env)
    if env.get("GITLAB_CI"):
        return _on_gitlab(env)
    raise UsageError(
        "this is no job of GitHub or GitLab: there is no change to comment on – leave"
        " out --comment, and write the text to a file with --out"
    )


def _on_github(env: Mapping[str, str]) -> Discussion:
    given = _needed(
        env,
        ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN"),
        "set GITHUB_TOKEN to ${{ github.token }}, with `pull-requests: write`",
    )
    request = _event(env).get("pull_request")
    number = request.get("number") if isinstance(request, dict) else None
    if not isinstance(number, int):
        raise UsageError(
            "this job does not run for a pull request – start it `on: pull_request`"
        )
    issues = f"{given[0]}/repos/{given[1]}/issues"
    return Discussion(
        f"{issues}/{number}/comments",
        issues + "/comments/{id}",
        "PATCH",
        {
            "authorization": f"Bearer {given[2]}",
            "accept": "application/vnd.github+json",
        },
    )


def _event(env: Mapping[str, str]) -> dict[str, Any]:
    """What has started the job."""
    try:
        text = Path(env["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8")
        found = json.loads(text)
    except (KeyError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _on_gitlab(env: Mapping[str, str]) -> Discussion:
    names = (
        "CI_API_V4_URL",
        "CI_PROJECT_ID",
        "CI_MERGE_REQUEST_IID",
        "ETL_REVIEW_TOKEN",
    )
    url, project, number, token = _needed(
        env,
        names,
        "run it in a merge request's pipeline, with a project access token (scope"
        " `api`) in ETL_REVIEW_TOKEN",
    )
    notes = f"{url}/projects/{project}/merge_requests/{number}/notes"
    return Discussion(notes, notes + "/{id}", "PUT", {"private-token": token})


def _needed(
    env: Mapping[str, str], names: tuple[str, ...], advice: str
) -> list[str]:
    """The values of variables, all of which must be set."""
    missing = [name for name in names if not env.get(name)]
    if missing:
        raise UsageError(f"{', '.join(missing)} is not set – {advice}")
    found = [env[name].strip() for name in names]
    for name, value in zip(names, found, strict=True):
        if not (value.isascii() and value.isprintable()):
            raise UsageError(
                f"{name} holds what no request can carry – set it anew"
            )
    return found


def write(text: str, where: Discussion) -> str:
    """Put the text in the place of our last comment, or make one; what was done, in words.

    Raises UsageError where the platform refuses or cannot be reached.
    """
    body = {"body": fitting(f"{MARKER}\n{text}")}
    try:
        with httpx.Client(timeout=TIMEOUT, headers=where.headers) as client:
            known = max(_ours(client, where), default=None)
            if known is None:
                _answered(client.post(where.comments, json=body))
                return "made a comment"
            address = where.one.format(id=known)
            _answered(client.request(where.method, address, json=body))
            return "updated the comment"
    except httpx.HTTPError as error:
        # its text may hold a header, and so the token
        reason = type(error).__name__
        raise UsageError(
            f"the comment was not written ({reason}): {httpx.URL(where.comments).host}"
            " cannot be reached – start the job once more"
        ) from None


def _ours(client: httpx.Client, where: Discussion) -> Iterator[int]:
    """The ids of comments that begin as ours do."""
    for page in range(1, PAGES + 1):
        asked = {"per_page": PER_PAGE, "page": page}
        answer = _answered(client.get(where.comments, params=asked))
        try:
            found = msgspec.json.decode(answer.content, type=list[Comment])
        except msgspec.MsgspecError:
            raise UsageError(
                f"{answer.url.host} answers with something else than comments – check"
                " the address of its API"
            ) from None
        for comment in found:
            if (comment.body or "").startswith(MARKER):
                yield comment.id
        if len(found) < PER_PAGE:
            return


def _answered(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    path = answer.request.url.path
    advice = "check the token and what it may do"
    if answer.status_code not in (401, 403, 404):
        advice = "start the job once more"
    raise UsageError(
        f"the comment was not written: {answer.request.method} {path} is answered"
        f" {answer.status_code} – {advice}"
    )


def fitting(text: str) -> str:
    """The text, cut at a line's end where it is longer than a comment may be."""
    if len(text) <= LONGEST:
        return text
    kept = text[:LONGEST].rpartition("\n")[0]
    closed = "\n```" if kept.count("```") % 2 else ""
    return f"{kept}{closed}\n\n… cut here: the job's log has all of it"
