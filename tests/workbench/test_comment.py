"""The comment on a change under review, against servers that answer as GitHub and GitLab do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import UsageError
from tests.loopback import serving
from tests.workbench.discussions import Service, job
from workbench.review.comment import LONGEST, MARKER, discussion, fitting, write


@pytest.fixture(params=["github", "gitlab"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    server = Service(request.param)
    with serving(server):
        yield server


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


def test_a_token_is_never_shown(service: Service, tmp_path: Path) -> None:
    """A line's end around it is taken off; what no header can carry is refused without it, and so is a dead address."""
    assert write("first", discussion(job(service, tmp_path, token="sesame\n"))) == "made a comment"
    with pytest.raises(UsageError) as found:
        discussion(job(service, tmp_path, token="ghp-\u00f1-secret"))
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_token_is_not_in_what_is_said_of_a_dead_address(kind: str, tmp_path: Path) -> None:
    """Nobody listens there any more."""
    service = Service(kind)
    with serving(service):
        where = discussion(job(service, tmp_path, token="ghp-secret"))
    with pytest.raises(UsageError, match="cannot be reached") as found:
        write("second", where)
    assert "secret" not in str(found.value)


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
