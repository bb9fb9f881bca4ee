"""Whose value a field holds: ours, in whatever form the platform keeps it, or people's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Before, Platform, Request, Row
from tests.platforms.project import (
    Project,
    attention,
    counting,
    mapped,
    migration,
    project,
    readable,
    texts,
    writable,
    writes,
)
from tests.platforms.trials import addresses, firms_and_people
from tests.replacing import replace

# -- what the platform made of our value


@dataclass(frozen=True, slots=True)
class Tidied:
    """A form that a platform gives to what it is sent; `alone` where only this field tells rows
    apart.
    """

    name: str
    kind: str  # the field's type in the destination
    tidy: Callable[[Any], Any]
    first: Any  # of person 1
    later: Any  # of person 1, changed in the source
    other: Any  # of person 2
    alone: bool = False


def clean_html(text: str) -> str:
    """HTML as an editor rewrites it: closed tags, no attributes it does not know, a line's end."""
    text = text.replace("<br>", "<br />").replace("&nbsp;", "\u00a0")
    return re.sub(r' (?:style|class)="[^"]*"', "", text) + "\n"


def with_scheme(url: str) -> str:
    """A URL as a browser would complete it."""
    url = url if "://" in url else f"https://{url}"
    return url if url.count("/") > 2 else f"{url}/"


def collapsed(text: str) -> str:
    """Outer blanks gone, inner ones single."""
    return " ".join(text.split())


TIDIED = (
    Tidied(
        "small-letters", "text", str.lower, "P1@Example.com", "New1@Example.com", "P2@Example.com"
    ),
    Tidied("trimmed", "text", str.strip, "  One ", "  One more ", "Two  "),
    Tidied(
        "blanks-collapsed", "text", collapsed, " The  first", "The  first  changed", "A  second"
    ),
    Tidied("capitals", "text", str.title, "ana garcía", "eva garcía", "luis pérez"),
    Tidied(
        "html-cleaned",
        "html",
        clean_html,
        '<p class="a">One<br>line</p>',
        "<p>Other<br>line</p>",
        "<p>Two</p>",
    ),
    Tidied(
        "html-to-text",
        "text",
        lambda text: re.sub("<[^>]+>", "", text),
        "<b>One</b>",
        "<b>Other</b>",
        "<b>Two</b>",
    ),
    Tidied("rounded", "number", lambda number: round(number, 2), 10.12345, 20.98765, 30.55555),
    Tidied("number-as-text", "number", str, 10.5, 20.25, 30.75),
    Tidied("money-as-text", "text", lambda text: f"{float(text):.2f}", "10.5", "20.25", "7"),
    Tidied(
        "phone-without-blanks",
        "text",
        lambda text: text.replace(" ", ""),
        "+34 600 000 001",
        "+34 600 000 091",
        "+34 600 000 002",
    ),
    Tidied(
        "phone-with-blanks",
        "text",
        lambda text: f"{text[:3]} {text[3:]}",
        "+34600000001",
        "+34600000091",
        "+34600000002",
    ),
    Tidied(
        "phone-without-country",
        "text",
        lambda text: text.removeprefix("+34"),
        "+34600000001",
        "+34600000091",
        "+34600000002",
    ),
    Tidied(
        "url-completed", "text", with_scheme, "example.com/1", "example.com/new1", "example.com"
    ),
    Tidied(
        "date-with-a-time",
        "text",
        lambda text: f"{text}T00:00:00Z",
        "2026-01-02",
        "2026-02-03",
        "2026-03-04",
    ),
    Tidied(
        "date-turned-round",
        "text",
        lambda text: "/".join(reversed(text.split("-"))),
        "2026-01-02",
        "2026-02-03",
        "2026-03-04",
    ),
    Tidied("true-as-one", "boolean", int, True, False, True),
    Tidied(
        "alone-small-letters",
        "text",
        str.lower,
        "P1@Example.com",
        "New1@Example.com",
        "P2@Example.com",
        alone=True,
    ),
    Tidied("alone-trimmed", "text", str.strip, "  One ", "  One more ", "Two  ", alone=True),
    Tidied(
        "alone-html-cleaned",
        "html",
        clean_html,
        "<p>One<br>line</p>",
        "<p>Other<br>line</p>",
        "<p>Two</p>",
        alone=True,
    ),
)
TIDY = pytest.mark.parametrize("case", TIDIED, ids=[case.name for case in TIDIED])


def tidied(case: Tidied, serve: Serve, folder: Path) -> Project:
    """Two people with one tidied field each become contacts."""
    people = [
        {"id": n, "name": f"Person {n}", "it": it} for n, it in ((1, case.first), (2, case.other))
    ]
    platform = serve(people=people, contacts=[])
    platform.before.append(odd.tidying("contacts", {"it": case.tidy}))
    kind = case.kind if case.kind != "html" else "text"
    source = {"people": readable("people", name="text", it=kind)}
    names = {} if case.alone else {"name": {"type": "text", "required": True}}
    there = writable("contacts", [*names, "it"], **names, it=case.kind)
    how = {"template": "{{ it | safe }}"} if case.kind == "html" else "it"
    fields = {**({} if case.alone else {"name": "name"}), "it": how}
    spec = migration({"contacts": mapped("people", "contacts", fields)})
    return project(folder, platform, source, {"contacts": there}, spec)


def held(platform: Platform) -> list[Any]:
    """What the destination holds, in the order of its ids."""
    return [row["it"] for row in sorted(platform.tables["contacts"], key=lambda row: row["id"])]


@TIDY
def test_what_the_platform_made_of_ours_is_ours(case: Tidied, serve: Serve, tmp_path: Path) -> None:
    """A tidied value is not lost, is written again by no run, and follows the source when that
    changes.
    """
    trial = tidied(case, serve, tmp_path)
    platform = trial.platform
    report = trial.full()
    assert report["verdict"]["lost_in_arrived"] == 0
    with counting(platform) as quiet:
        assert writes(trial.delta(code=0)) == 0
    assert quiet == [0]

    platform.tables["people"][0]["it"] = case.later
    report = trial.delta(code=0)
    assert held(platform) == [case.tidy(case.later), case.tidy(case.other)]
    assert report["verdict"]["updated"] == 1
    trial.verify(code=0)


@TIDY
def test_a_lost_answer_does_not_double_a_tidied_row(
    case: Tidied, serve: Serve, tmp_path: Path
) -> None:
    """The connection drops after the row was made: the row is found although it holds another form
    of the value.
    """
    trial = tidied(case, serve, tmp_path)
    trial.platform.after.append(odd.dropping("contacts", [1]))
    trial.run("--sample")
    trial.run("--sample")
    assert held(trial.platform) == [case.tidy(case.first), case.tidy(case.other)]
    assert sorted(trial.links("contacts").values()) == ["1001", "1002"]


@TIDY
def test_a_lost_answer_to_an_update_is_no_conflict(
    case: Tidied, serve: Serve, tmp_path: Path
) -> None:
    """The connection drops after a row was changed: what it holds then is ours, in the platform's
    form.
    """
    trial = tidied(case, serve, tmp_path)
    platform = trial.platform
    trial.full(code=None)
    platform.tables["people"][0]["it"] = case.later
    platform.after.append(odd.dropping("contacts", [1], method="PATCH"))
    trial.delta()
    assert attention(trial.delta(code=0)) == set()
    assert held(platform) == [case.tidy(case.later), case.tidy(case.other)]


@pytest.mark.parametrize("case", TIDIED[::5], ids=[case.name for case in TIDIED[::5]])
def test_a_rollback_takes_tidied_rows_back(case: Tidied, serve: Serve, tmp_path: Path) -> None:
    """A value in the platform's own form is no edit of people's."""
    trial = tidied(case, serve, tmp_path)
    trial.run("--sample")
    trial.rollback(code=0)
    assert trial.platform.tables["contacts"] == []


# -- what people wrote


def conflicting(trial: Project) -> Row:
    """People change a phone in the destination while it changes in the source; the destination's
    row.
    """
    trial.full()
    platform = trial.platform
    row = platform.one("contacts", name="Person 1")
    row["phone"] = "people wrote this"
    platform.tables["people"][0]["phone"] = "600000099"
    return row


PERSON_1 = ("contacts", "people/1")


def assert_reported(trial: Project, field: str) -> None:
    """A delta, a verification and the status name person 1 and the field; nothing is written."""
    with counting(trial.platform) as quiet:
        report = trial.delta(code=1)
    assert quiet == [0]
    assert PERSON_1 in attention(report)
    assert field in texts(report)
    report = trial.verify(code=1)
    assert PERSON_1 in attention(report)
    assert PERSON_1 in trial.waiting()


def assert_settled(trial: Project) -> None:
    """A delta, a verification and the status have nothing to say any more."""
    assert attention(trial.delta(code=0)) == set()
    assert attention(trial.verify(code=0)) == set()
    assert trial.waiting() == set()


def test_a_kept_conflict_is_reported_until_it_is_gone(serve: Serve, tmp_path: Path) -> None:
    """What people changed is kept; every later run, `verify` and `status` say so."""
    trial = addresses(serve, tmp_path)
    row = conflicting(trial)
    assert PERSON_1 in attention(trial.delta(code=1))
    for _ in range(2):
        assert_reported(trial, "phone")
    assert row["phone"] == "people wrote this"


@dataclass(frozen=True, slots=True)
class Settled:
    """A way in which a conflict ends."""

    name: str
    live: str | None = None  # people give way: what they write now
    source: str | None = None  # the source gives way


SETTLED = (
    Settled("people-write-what-the-source-says", live="600000099"),
    Settled("the-source-says-what-people-wrote", source="people wrote this"),
    Settled("people-put-our-old-value-back", live="600000001"),
)


@pytest.mark.parametrize("case", SETTLED, ids=[case.name for case in SETTLED])
def test_a_conflict_ends_when_both_sides_agree(case: Settled, serve: Serve, tmp_path: Path) -> None:
    """Once people or the source give way, the field holds what the source says and nothing is
    reported.
    """
    trial = addresses(serve, tmp_path)
    row = conflicting(trial)
    trial.delta(code=1)
    row["phone"] = case.live or row["phone"]
    source = trial.platform.tables["people"][0]
    source["phone"] = case.source or source["phone"]
    trial.delta()
    assert row["phone"] == source["phone"]
    assert_settled(trial)


def test_a_conflict_survives_a_kill(serve: Serve, tmp_path: Path) -> None:
    """A delta that is killed while it writes beside a conflict leaves that to be reported."""
    trial = addresses(serve, tmp_path)
    trial.approve()  # the process asks for it
    row = conflicting(trial)
    trial.platform.tables["people"][0]["email"] = "new1@example.com"
    killed(trial, lambda request: request.method == "PATCH")
    trial.delta(code=1)
    assert (row["email"], row["phone"]) == ("new1@example.com", "people wrote this")
    assert_reported(trial, "phone")


def test_a_known_conflict_survives_a_kill(serve: Serve, tmp_path: Path) -> None:
    """A conflict that was reported is reported still after a later run was killed over another
    record.
    """
    trial = addresses(serve, tmp_path)
    trial.approve()  # the process asks for it
    conflicting(trial)
    trial.delta(code=1)
    trial.platform.tables["people"][1]["email"] = "new2@example.com"
    killed(trial, lambda request: request.method == "PATCH")
    assert PERSON_1 in trial.waiting()
    trial.delta(code=1)
    assert_reported(trial, "phone")


def killed(trial: Project, moment: Callable[[Request], bool]) -> None:
    """A delta in a process of its own, killed as soon as the platform has done one of its
    requests.
    """
    words = ["run", "spec.yaml", "--delta", "--env", "live"]
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", *words],
        cwd=trial.folder,
        env={**os.environ, **trial.env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def kill(_: Platform, request: Request, answer: Answer) -> Answer:
        if not moment(request):
            return answer
        process.send_signal(signal.SIGKILL)
        process.wait()
        return replace(answer, cut=True)

    trial.platform.after.append(kill)
    assert process.wait(timeout=60) == -signal.SIGKILL
    trial.platform.after.remove(kill)


# -- what cannot be written


def test_a_field_that_cannot_be_emptied_is_reported_until_it_is_empty(
    serve: Serve, tmp_path: Path
) -> None:
    """A value that is gone from the source but stands in the destination is named by every run
    until it is gone.
    """
    trial = addresses(serve, tmp_path)
    trial.full()
    trial.platform.tables["people"][0]["email"] = None
    assert PERSON_1 in attention(trial.delta(code=1))
    for _ in range(2):
        assert_reported(trial, "email")
    trial.platform.one("contacts", name="Person 1")["email"] = None
    assert_settled(trial)


def test_a_field_that_can_be_emptied_is_emptied(serve: Serve, tmp_path: Path) -> None:
    """Where the connector says how, a value that is gone from the source is gone from the
    destination.
    """
    trial = addresses(serve, tmp_path, email={"type": "text", "empty": "as_null"})
    trial.full()
    trial.platform.tables["people"][0]["email"] = None
    assert trial.delta(code=0)["verdict"]["updated"] == 1
    assert trial.platform.one("contacts", name="Person 1")["email"] is None
    trial.verify(code=0)


# -- what was lost and may be written now


@dataclass(frozen=True, slots=True)
class Mended:
    """A cause for which values are lost, and the command that is run once it is mended."""

    name: str
    cause: Before
    start: Callable[[Serve, Path], Project]
    words: tuple[str, ...]


REFUSED = odd.refusing("POST", "companies", name="Firm 2")
IGNORED = odd.ignoring("contacts", "phone")
MENDED = (
    Mended("a-company-that-was-refused", REFUSED, firms_and_people, ()),
    Mended("a-company-that-was-refused-delta", REFUSED, firms_and_people, ("--delta",)),
    Mended("a-field-that-was-ignored", IGNORED, addresses, ()),
    Mended("a-field-that-was-ignored-delta", IGNORED, addresses, ("--delta",)),
)


@pytest.mark.parametrize("case", MENDED, ids=[case.name for case in MENDED])
def test_what_was_lost_is_written_once_its_cause_is_mended(
    case: Mended, serve: Serve, tmp_path: Path
) -> None:
    """A lost value is reported as long as it is lost, and the next run after the cause is gone
    writes it.
    """
    trial = case.start(serve, tmp_path)
    platform = trial.platform
    platform.before.append(case.cause)
    trial.full(code=1)
    assert attention(trial.run(*case.words, code=1))

    platform.before.remove(case.cause)
    trial.run(*case.words)
    for row in platform.tables["contacts"]:
        assert row.get("phone") or row.get("company"), row
    assert len(platform.tables["contacts"]) == 3
    assert_settled(trial)


# -- a field that comes into the mapping later


@pytest.mark.parametrize("edited", [False, True], ids=["nobody", "people"])
def test_a_field_that_the_platform_filled_in_is_written_once_it_is_mapped(
    serve: Serve, tmp_path: Path, edited: bool
) -> None:
    """What stands in a field that was never sent is the platform's own: a mapping that comes to fill it
    is no edit of people, unless they changed the row since.
    """
    trial = addresses(serve, tmp_path)

    def filled(_: Platform, request: Request) -> None:
        if request.creates("contacts"):
            request.body.setdefault("phone", "everyone")

    trial.platform.before.append(filled)
    spec = trial.spec()
    phone = spec["objects"]["contacts"]["fields"].pop("phone")
    trial.write_spec(spec)
    trial.full()
    if edited:
        trial.platform.tables["contacts"][0]["phone"] = "people's"
    spec["objects"]["contacts"]["fields"]["phone"] = phone
    trial.write_spec(spec)
    report = trial.run(code=1 if edited else 0)
    phones = [row["phone"] for row in trial.platform.tables["contacts"]]
    assert phones == ["people's" if edited else "600000001", "600000002", "600000003"]
    assert ("people changed" in texts(report)) == edited
    trial.rollback(code=1 if edited else 0)
    assert len(trial.platform.tables["contacts"]) == edited
