"""The terminal summary: complete, plain, harmless and narrow."""

from __future__ import annotations

import copy
import io
import runpy
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.extract.audit import Audit
from engine.plan.cost import Plan, Step
from engine.report.attention import attention
from engine.report.screens import show_announcement, show_status
from engine.report.terminal import NAMED, show
from engine.report.words import clean

ROOT = Path(__file__).resolve().parents[2]
REPORT: dict[str, Any] = runpy.run_path(str(ROOT / "bench" / "report_page.py"))["synthetic"](40)
FINDING = {"object": "object_1", "key": "rows/1", "stage": "load", "field": "", "severity": "attention", "text": "odd"}


def report(**changes: Any) -> dict[str, Any]:
    """A report of 40 records in good order, with these parts changed."""
    made = copy.deepcopy(REPORT)
    made["records"] = [{**row, "state": "arrived", "fields": []} for row in made["records"]]
    made["verdict"] |= {"state": "good", "arrived": 40, "failed": 0, "lost_in_arrived": 0}
    return made | changes


def printed(document: dict[str, Any], terminal: bool = False, width: int = 80, **files: str) -> str:
    """What `show` prints."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None)
    show(document, console, files)
    return out.getvalue()


def finding(number: int, **changes: str) -> dict[str, str]:
    return {**FINDING, "key": f"rows/{number}", "text": f"odd {number}", **changes}


def verdict(**changes: Any) -> dict[str, Any]:
    """The verdict of such a report, with these counts changed."""
    good = {"state": "good", "arrived": 40, "failed": 0, "lost_in_arrived": 0}
    return {**REPORT["verdict"], "created": 40, **good, **changes}


def record(state: str, reason: str = "", *fields: dict[str, Any]) -> dict[str, Any]:
    return {**REPORT["records"][3], "state": state, "reason": reason, "fields": list(fields)}


LOST = {
    "target": "name",
    "label": "Name",
    "state": "lost",
    "sources": [],
    "steps": [],
    "wanted": "a",
    "live": "b",
    "reason": "held b",
}
SAID = [
    pytest.param({}, ["40 of 40 records arrived; nothing needs attention"], id="all-good"),
    pytest.param(
        {"command": "run --delta", "verdict": {**verdict(arrived=0, skipped=2), "created": 0, "updated": 0, "adopted": 0, "deleted": 0, "missing": 0}},
        ["Nothing had changed; nothing needs attention", "2 skipped"],
        id="a-delta-with-nothing-to-do",
    ),
    pytest.param(
        {"command": "run --delta", "verdict": {**verdict(arrived=0, failed=2, changed=0), "created": 0, "updated": 0, "adopted": 0, "deleted": 0, "missing": 0}},
        ["Nothing had changed in the source; ", "2 failed"],
        id="a-delta-with-nothing-to-do-but-what-failed-before",
    ),
    pytest.param(
        {"command": "run --delta", "verdict": {**verdict(arrived=0, failed=2, changed=1), "skipped": 0, "created": 0, "updated": 0, "adopted": 0, "deleted": 0, "missing": 0}},
        ["0 of 2 records arrived; "],
        id="a-delta-whose-changed-record-fails",
    ),
    pytest.param(
        {"findings": [finding(1)]},
        ["40 of 40 records arrived; 1 needs attention", "  object_1 rows/1: odd 1"],
        id="a-finding",
    ),
    pytest.param(
        {"findings": [finding(1, field="name")]}, ["  object_1 rows/1: name: odd 1"], id="a-finding-about-a-field"
    ),
    pytest.param({"findings": [finding(1, severity="note")]}, ["nothing needs attention"], id="a-note-needs-nobody"),
    pytest.param(
        {"records": [record("failed", "refused")]}, ["  object_3 rows/3: failed: refused"], id="failed-without-finding"
    ),
    pytest.param(
        {"records": [record("missing")]}, ["  object_3 rows/3: missing: no reason given"], id="missing-without-reason"
    ),
    pytest.param(
        {"records": [record("arrived", "", LOST)]}, ["  object_3 rows/3: Name is lost: held b"], id="lost-field"
    ),
    pytest.param(
        {"records": [record("skipped", "", LOST)]}, ["nothing needs attention"], id="skipped-is-told-by-findings-only"
    ),
    pytest.param(
        {"findings": [finding(n, text=f"odd {chr(97 + n)}") for n in range(NAMED + 5)]},
        ["odd t", "  and 5 more, see report"],
        id="twenty-are-named",
    ),
    pytest.param(
        {"findings": [finding(n, text="odd") for n in range(1_200)]},
        ["Needs attention (1,200)", "  object_1: odd (1,200 records, first rows/0, rows/1, rows/2)"],
        id="one-cause-of-many-is-one-line",
    ),
    pytest.param(
        {"findings": [finding(n, text=f"'v{n}' is odd") for n in range(4)]},
        ["  object_1: 'v0' is odd, or similar (4 records, first rows/0, rows/1, rows/2)"],
        id="texts-that-differ-in-values",
    ),
    pytest.param(
        {"findings": [finding(n, text=f"'v{n}' is odd") for n in range(3)]},
        ["  object_1 rows/0: 'v0' is odd", "  object_1 rows/2: 'v2' is odd"],
        id="a-few-are-each-named",
    ),
    pytest.param(
        {"money": [{"object": "a", "label": "Deals", "currency": "EUR", "wanted": 1500.5, "live": 1400.0}]},
        ["money: Deals: 1,500.50 EUR wanted, 1,400.00 live, differs by -100.50"],
        id="money-differs",
    ),
    pytest.param(
        {}, ["Olga Owner <olga@example.com> stands in for:", "  unmatched: Bob <no e-mail>"], id="people-that-fall-back"
    ),
    pytest.param(
        {"collections_left_behind": [{"collection": "rates", "rows": 4, "reason": "", "read_for_links": False}]},
        ["rates          4  NO REASON GIVEN"],
        id="left-behind-without-reason",
    ),
    pytest.param(
        {"collections_left_behind": [{"collection": "rates", "rows": -1, "reason": "closed", "read_for_links": False}]},
        ["rates       unknown  closed"],
        id="left-behind-and-not-countable",
    ),
    pytest.param(
        {}, ["tokens for writing: 220; minimum: 200 (10.0% above it)"], id="tokens-and-the-least-possible"
    ),
    pytest.param({}, ["day: 3,077 of 300,000 tokens per 86,400 s used (1.0%)"], id="limits-used"),
    pytest.param(
        {"verdict": verdict(fields={"equal": 3, "stored_as": 2, "lost": 0})},
        ["fields: 3 equal, 2 stored as"],
        id="fields-that-are-stored-otherwise",
    ),
    pytest.param(
        {"verdict": verdict(adopted=4, deleted=1_002)},
        ["40 created, 0 updated, 0 unchanged, 4 adopted, 1,002 deleted"],
        id="rows-adopted-and-deleted",
    ),
    pytest.param(
        {"objects": [{**REPORT["objects"][3], "deleted": 7}]},
        ["Object    recs  new  upd  same  skip  fail  adopt  del  tokens  least",
         "Object 3     2    2    0     0     0     0      0    7      11     10"],
        id="an-object-with-deletions",
    ),
    pytest.param({"notices": ["read this"]}, ["read this"], id="notices"),
    pytest.param(
        {"findings": [finding(1, text="[red]x[/red] :smile: [/]")]},
        ["rows/1: [red]x[/red] :smile: [/]"],
        id="rich-markup-is-text",
    ),
    pytest.param(
        {"findings": [finding(1, text="a\x1b]0;evil\x07\nb")]},
        [r"rows/1: a\u001b]0;evil\u0007 b"],
        id="control-characters",
    ),
]


@pytest.mark.parametrize(("changes", "lines"), SAID)
def test_says_what_the_report_holds(changes: dict[str, Any], lines: list[str]) -> None:
    """Each part of the report has its line."""
    text = printed(report(**changes), html="/somewhere/report.html")
    assert [line for line in lines if line not in text] == []
    assert "  html: /somewhere/report.html" in text


NOT_SAID = [
    pytest.param({}, "Needs attention", id="no-attention"),
    pytest.param({"people": []}, "People", id="nobody-to-match"),
    pytest.param(
        {"collections_left_behind": [{"collection": "rates", "rows": 0, "reason": "", "read_for_links": False}]},
        "rates",
        id="empty",
    ),
    pytest.param({}, "  del  ", id="no-deletions"),
    pytest.param({"objects": []}, "Objects", id="no-objects"),
    pytest.param({"objects": []}, "tokens for writing", id="no-tokens"),
]


@pytest.mark.parametrize(("changes", "word"), NOT_SAID)
def test_says_nothing_about_nothing(changes: dict[str, Any], word: str) -> None:
    """Parts without content leave no heading behind."""
    assert word not in printed(report(**changes))


ANNOUNCED = [
    pytest.param({}, "3 rows and 1 custom field to create, 2 rows to change: 12 tokens", id="nothing-of-theirs"),
    pytest.param(
        {"adopt": 4, "delete": 1_000},
        "3 rows and 1 custom field to create, 2 rows to change, 4 to adopt, 1,000 to delete: 12 tokens",
        id="adopted-and-deleted",
    ),
]


@pytest.mark.parametrize(("kinds", "said"), ANNOUNCED)
def test_a_run_says_beforehand_what_it_is_going_to_do(kinds: dict[str, int], said: str) -> None:
    """Rows that would be linked or deleted are announced with those to make and to change."""
    step = Step("contacts", "Contacts", "contacts", create=3, update=2, **kinds)
    plan = Plan((step,), ("contacts.key",), 6, 12.0, (), 30.0, cost_unit="tokens")
    out = io.StringIO()
    show_announcement(Audit((), "", ()), plan, Console(file=out, width=80))
    assert said in out.getvalue()


def test_a_pipe_gets_one_plain_line_for_each_thing() -> None:
    """Where nobody watches there is no colour, no frame and no broken line, so that grep finds whole facts."""
    text = printed(report(findings=[finding(1, text="long " * 60 + "end")]), terminal=False)
    assert "\x1b" not in text
    assert not set(text) & set("│─┃━┌┐└┘╭╮|")
    assert "long end" in next(line for line in text.splitlines() if "rows/1:" in line)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_verify_without_counts_of_writing_is_shown(terminal: bool) -> None:
    """A report that wrote nothing has no counts, and none is shown: its columns say what became of the records."""
    written = (
        "created",
        "updated",
        "adopted",
        "unchanged",
        "skipped",
        "failed",
        "deleted",
        "conflicts",
        "cost",
        "least",
        "reasons",
    )
    objects = [{key: value for key, value in row.items() if key not in written} for row in REPORT["objects"]]
    told = {key: value for key, value in verdict(failed=1).items() if key not in written or key == "skipped"} | {"failed": 1}
    text = printed(report(objects=objects, sample=None, provisioned=None, verdict=told), terminal=terminal)
    assert "Object 3" in text
    assert "1 failed\n" in text and "created" not in text
    heads = next(line for line in text.splitlines() if "recs" in line)
    assert "missing" in heads and not {"new", "same", "least"} & set(heads.split())


@pytest.mark.parametrize("width", [80, 120])
def test_fits_the_terminal(width: int) -> None:
    """No line of a terminal is wider than it, whatever the text."""
    text = printed(report(findings=[finding(1, text="x" * 500)]), terminal=True, width=width, html="/long" * 40)
    assert (
        max(len(Console().render_str(line).plain) if "\x1b" not in line else _width(line) for line in text.splitlines())
        <= width
    )


def _width(line: str) -> int:
    import re

    return len(re.sub(r"\x1b\[[0-9;]*m", "", line))


HARMFUL = ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u200b", "\u2028", "\u202e", "\u2066", "\ufeff", "\ud800"]


@pytest.mark.parametrize("char", HARMFUL, ids=lambda char: f"U+{ord(char):04X}")
def test_makes_harmful_characters_visible(char: str) -> None:
    """Characters that steer a terminal or hide in it are printed by their number."""
    assert clean(f"a{char}b") == f"a\\u{ord(char):04x}b"


@pytest.mark.parametrize("text", ["Ávila", "日本", "🙂", "👩\u200d🔧", "a b", "ünïcode"])
def test_leaves_other_text_alone(text: str) -> None:
    """Letters of every script and emoji stay what they are."""
    assert clean(text) == text


def test_a_record_is_named_once_with_all_its_findings() -> None:
    """Findings of one record are one entry, and its own state adds nothing to them."""
    found = attention(
        report(
            findings=[finding(3, object="object_3"), finding(3, object="object_3", text="more")],
            records=[record("failed")],
        )
    )
    assert found == [("object_3", "rows/3", ["odd 3", "more"])]


def test_a_status_says_all_that_the_last_run_with_a_verdict_found() -> None:
    """What is missing, failed or skipped, and which fields are lost or changed; nothing of what is none, and where nobody compared, nothing."""
    common = {"command": "run", "started": 0.0, "ended": 1.0, "outcome": "done"}
    fields = dict.fromkeys(REPORT["verdict"]["fields"], 0)
    counts = {"arrived": 5, "missing": 1200, "failed": 2, "skipped": 3, "lost_in_arrived": 4}
    known = {"migration": "m", "environment": "live", "rolled_back": False, "linked": {}, "skipped": 0, "journal": [], "in_doubt": 0, "attention": []}

    def told(*verdicts: dict[str, Any] | None) -> list[str]:
        out = io.StringIO()
        runs = [{**common, "id": at, "verdict": found} for at, found in enumerate(verdicts, 1)]
        show_status({**known, "runs": runs}, Console(file=out, width=200), waiting=0, about=0)
        return [text.rstrip() for text in out.getvalue().splitlines() if text.startswith("Run ") and ":" in text]

    bad = verdict(**counts, fields={**fields, "changed_by_people": 1})
    all_of_it = "1,200 missing, 2 failed, 3 skipped, 4 fields lost, 1 field changed by people: see `etl report`"
    assert told(verdict(), bad, None) == [f"Run 2, run: 5 of 1,210 records arrived; {all_of_it}"]
    assert told(bad, verdict(arrived=1, missing=0, skipped=0, fields=fields)) == ["Run 2, run: 1 of 1 records arrived"]
    assert told(None) == told() == []
