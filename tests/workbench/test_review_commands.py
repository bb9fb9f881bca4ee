"""`etl validate`, `etl diff` and `etl test` as they are called."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import Code, Diagnostic, Place
from engine.language.compile import load_migration
from engine.language.model import Const
from engine.pipeline import Result, migrate
from engine.report.document import build, write_json
from engine.store.links import all_findings
from tests.replacing import replace
from tests.stages.conftest import SPEC, Desk
from workbench.commands.validate import together
from workbench.diff.differences import Difference, differences
from workbench.diff.effect import Effect, Example
from workbench.diff.text import Compared, as_data, as_lines, as_markdown
from workbench.excerpt import excerpts
from workbench.live import check_live
from workbench.meaning import parts

Etl = Callable[..., tuple[int, str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The shipped project in a git repository of its own."""
    for name in ("connectors", "templates", "specs"):
        shutil.copytree(SPEC.parents[1] / name, tmp_path / name)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path / "specs" / SPEC.name


def test_problem_is_shown_with_its_line_and_a_caret(project: Path, run_etl: Etl) -> None:
    """The line stands below the problem, the caret below the word; a template's own line follows."""
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace("custom.discount: discount-percentage", "custom.discount: discount", 1), encoding="utf-8")
    template = project.parents[1] / "templates" / "notes" / "asset.html.j2"
    template.write_text(template.read_text(encoding="utf-8").replace("identifier }}", "identifire }}"), encoding="utf-8")
    code, told = run_etl("validate", str(project))
    lines = told.splitlines()
    at = next(n for n, line in enumerate(lines) if "custom.discount: discount" in line and "|" in line)
    assert code == 2
    assert lines[at + 1].index("^") == lines[at].index("custom.discount")
    inside = next(n for n, line in enumerate(lines) if "{{ identifire }}" in line)
    assert lines[inside + 1].index("^") == lines[inside].index("identifire")
    code, told = run_etl("validate", str(project), "--json")
    problems = json.loads(told)["problems"]
    assert code == 2 and any(item.get("template", {}).get("line") == 5 for item in problems)


def test_exit_code_says_whether_data_would_change(project: Path, run_etl: Etl) -> None:
    """0 for nothing and for what touches no data, 1 where data would change, 2 for an error; only when asked for."""
    text = project.read_text(encoding="utf-8")
    assert run_etl("diff", "--exit-code", "--git", "HEAD", str(project))[0] == 0
    project.write_text(text.replace("records: 200,", "records: 201,", 1), encoding="utf-8")
    assert run_etl("diff", "--exit-code", "--git", "HEAD", str(project))[0] == 0
    project.write_text(text.replace("En curso: open, Aceptada", "En curso: won, Aceptada"), encoding="utf-8")
    assert run_etl("diff", "--git", "HEAD", str(project))[0] == 0
    assert run_etl("diff", "--exit-code", "--git", "HEAD", str(project))[0] == 1
    assert run_etl("diff", "--exit-code", "--git", "no-such-branch", str(project))[0] == 2


def test_format_json_is_json(project: Path, run_etl: Etl) -> None:
    """`--format json` prints what `--json` prints, in the commands of the engine and of the workbench."""
    for words in (("validate", str(project)), ("diff", "--git", "HEAD", str(project)), ("status", str(project))):
        code, told = run_etl(*words, "--format", "json")
        assert (code, told) == run_etl(*words, "--json")
        assert code == 2 or json.loads(told)


def test_diff_against_a_revision_checks_nothing_out(project: Path, run_etl: Etl) -> None:
    """The old spec, its connectors and templates come out of git; the working tree stays as it is."""
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace("En curso: open, Aceptada", "En curso: won, Aceptada"), encoding="utf-8")
    template = project.parents[1] / "templates" / "notes" / "asset.html.j2"
    template.write_text(template.read_text(encoding="utf-8").replace("Serial number", "Serial no."), encoding="utf-8")
    before = subprocess.run(["git", "status", "--short"], cwd=project.parent, capture_output=True, check=True).stdout
    code, told = run_etl("diff", "--git", "HEAD", str(project))
    assert code == 0
    assert "quotes: status" in told and "map.En curso: open → won" in told
    assert "asset_notes: content" in told and "- <li>{{ 'Serial number' }}" in told and "+ <li>{{ 'Serial no.' }}" in told
    assert subprocess.run(["git", "status", "--short"], cwd=project.parent, capture_output=True, check=True).stdout == before
    code, told = run_etl("diff", "--git", "HEAD", str(project), "--json")
    assert {item["category"] for item in json.loads(told)["differences"]} == {"rewrites records"}


@pytest.mark.parametrize("words", [("diff",), ("diff", "a.yaml"), ("diff", "--git", "no-such-revision", str(SPEC)), ("diff", "--git", "--all", str(SPEC))])
def test_wrong_usage_ends_with_two(quick_etl: Etl, words: tuple[str, ...]) -> None:
    """One file without a revision, or a revision that is none, is a usage error."""
    assert quick_etl(*words)[0] == 2


def test_every_change_has_its_category(project: Path) -> None:
    """No effect, rewrites, custom fields, and identity or order are told apart."""
    old = parts(load_migration(project, {}))
    text = project.read_text(encoding="utf-8")
    for before, after in (
        ("    label: Contacts\n", "    label: Contact people\n"),
        ("unit: $settings.product_unit", "unit: {value: pcs}"),
        ("    fax: {name: Fax, type: text}\n", ""),
        ("      custom.fax: {from: fax, using: text.squash}\n", ""),
        ("when: {comments: {filled: true}}", "when: {position: {filled: true}}"),
    ):
        text = text.replace(before, after, 1)
    project.write_text(text, encoding="utf-8")
    found = {item.title: item.category for item in differences(old, parts(load_migration(project, {})))}
    assert found == {
        "contact_comments: when": "changes identity or order: take a fresh sample",
        "custom_fields: organizations.fax": "creates or drops a custom field",
        "organizations: custom.fax": "rewrites records",
        "products: unit": "rewrites records",
        "settings: product_unit": "rewrites records",
        "contacts: label": "no effect on data",
        "contacts_beyond_plan: label": "no effect on data",
    }


def test_markdown_takes_nothing_of_a_record_for_markup(project: Path) -> None:
    """Bars, backticks, tags and line breaks in values stay inside their cell."""
    hostile = "a|b `c` <script>\n| d |"
    effect = Effect("quotes", "<b>Quotes</b>", 1, 1, 1, fields=Counter({"title": 1}), examples=[Example("quotes/1", "title", hostile, None)])
    compared = Compared("old", "new", differences((), parts(load_migration(project, {})))[:1], [effect])
    told = list(as_markdown(compared))
    row = next(line for line in told if "quotes/1" in line)
    assert row.replace("\\|", "").count("|") == 5 and "\n" not in row
    assert "<b>" not in "\n".join(told)
    assert list(as_lines(compared))
    assert json.loads(json.dumps(as_data(compared)))["effects"][0]["fields"] == {"title": 1}


def test_cases_end_with_their_code(project: Path, run_etl: Etl) -> None:
    """Passing cases end with 0, failing ones with 1, a broken file with 2."""
    assert run_etl("test", str(project))[0] == 0
    cases = project.with_name(f"{project.stem}.test.yaml")
    cases.write_text(cases.read_text(encoding="utf-8").replace("status: won", "status: lost", 1), encoding="utf-8")
    code, told = run_etl("test", str(project), "--json")
    assert code == 1 and [item["field"] for item in json.loads(told)["failures"]] == ["status"]
    cases.write_text("cases: 5\n", encoding="utf-8")
    assert run_etl("test", str(project))[0] == 2


HERE, BESIDE = Place("a.yaml", 3, 5), Place("a.yaml", 4, 5)


@pytest.mark.parametrize(
    ("static", "live", "stays"),
    [
        ((HERE, "custom_fields.a.b.name", "duplicate-value"), (HERE, "custom_fields.a.b.name", "duplicate-value"), False),
        ((HERE, "custom_fields.a.c.name", "duplicate-value"), (HERE, "custom_fields.a.b.name", "duplicate-value"), True),
        ((HERE, "custom_fields.a.b.name", "stray-character"), (HERE, "custom_fields.a.b.name", "duplicate-value"), True),
        ((BESIDE, "custom_fields.a.b.name", "duplicate-value"), (HERE, "custom_fields.a.b.name", "duplicate-value"), True),
        ((None, "", "unused"), (None, "", "unused"), True),
    ],
    ids=["the same", "of another key", "of another kind", "at another place", "without a place"],
)
def test_what_the_account_shows_stands_for_its_twin_only(static: tuple[Place | None, str, Code], live: tuple[Place | None, str, Code], stays: bool) -> None:
    """Of what is told without the account, only the same thing goes when the account shows it."""
    one = Diagnostic(*static, problem="as the connector says", severity="warning")
    other = Diagnostic(*live, problem="as the account shows", severity="warning")
    assert sorted(item.problem for item in together([one], [other])) == ["as the account shows"] + ["as the connector says"] * stays


def test_live_check_of_a_fitting_account_is_quiet(desk: Desk) -> None:
    """The shipped spec fits the sandbox's accounts, before a migration and after it."""
    assert [str(item) for item in check_live(desk.run()) if item.severity == "error"] == []
    migrate(desk.run(), 60)
    assert [str(item) for item in check_live(desk.run())] == []


def test_live_check_tells_what_will_not_do(desk: Desk, changed: Callable[..., Desk]) -> None:
    """A small plan, a name too long, an option that is not there and an unknown owner are told at their lines."""

    def edit(text: str) -> str:
        text = text.replace("name: Tax id, ", f"name: {'x' * 300}, ").replace("owner@example.com", "nobody@example.com")
        return text.replace("      category: category.name\n      owner_id", "      category: {value: Nothing}\n      owner_id", 1)

    work = changed(edit).run()
    spec = replace(work.spec, destination=replace(work.spec.destination, plan="lite"))
    told = check_live(replace(work, migration=replace(work.migration, spec=spec)))
    text = "\n".join(map(str, told))
    for words in ("300 .*[out-of-range]", "nobody@example.com.*[bad-fallback]", "lite .*30.*[account-full]", "'Nothing'.*[not-an-option]"):
        assert re.search(".*".join(map(re.escape, words.split(".*"))), text), text
    assert all(item.where is not None and item.where.line > 1 for item in told)


def test_live_check_tells_a_field_of_another_type(desk: Desk) -> None:
    """A built-in field that the connector takes for a number and the account for a text is a warning at the field's line."""
    destination = desk.migration.destination
    deals = destination.resources["deals"]
    wrong = replace(deals, fields={**deals.fields, "title": replace(deals.fields["title"], kind="number")})
    other = replace(destination, resources={**destination.resources, "deals": wrong})
    run = desk.run()
    told = check_live(replace(run, migration=replace(run.migration, destination=other)))
    assert {(item.severity, item.code) for item in told} == {("warning", "account-differs")}


def test_live_check_tells_what_objects_share_once(desk: Desk, changed: Callable[..., Desk]) -> None:
    """Fields that two objects have by one YAML alias stand on one line, and so does what is wrong with them."""

    def edit(text: str) -> str:
        shared = text.replace("when: {comments: {filled: true}}\n    fields:\n", "when: {comments: {filled: true}}\n    fields: &shared\n", 1)
        twin = "  twins: {from: contacts, to: notes, when: {comments: {filled: true}}, fields: *shared}\n"
        return shared.replace("\n  asset_notes:\n", f"\n{twin}\n  asset_notes:\n", 1)

    run = changed(edit).run()
    destination = run.migration.destination
    notes = destination.resources["notes"]
    other = replace(destination, resources={**destination.resources, "notes": replace(notes, fields={**notes.fields, "add_time": replace(notes.fields["add_time"], max=2)})})
    spec = run.spec
    objects = {
        name: replace(item, fields={**item.fields, "add_time": replace(item.fields["add_time"], expr=Const("2024"))}) if name in ("twins", "contact_comments") else item
        for name, item in spec.objects.items()
    }
    told = check_live(replace(run, migration=replace(run.migration, destination=other, spec=replace(spec, objects=objects))))
    assert [item.code for item in told] == ["out-of-range"]


def test_problems_of_one_place_stand_above_its_line(project: Path) -> None:
    """The line and its caret are printed once."""
    place = Place(str(project), 4, 2)
    told = [Diagnostic(place, "a", "unused", "one"), Diagnostic(place, "a", "unused", "two"), Diagnostic(Place(str(project), 5, 1), "b", "unused", "three")]
    shown = [line.partition(":")[2][:3] if line.startswith("/") else line[:8] for line in excerpts(told, project.parent)]
    assert shown == ["4:2", "4:2", "    4 | ", "      | ", "5:1", "    5 | ", "      | "]


def test_live_check_tells_a_field_that_the_account_has_of_itself(desk: Desk, changed: Callable[..., Desk]) -> None:
    """A custom field called like a built-in one is told at its name, whatever the connector says; a run makes one of our own."""
    work = changed(lambda text: text.replace("name: Web site, ", "name: Website, ", 1))
    run = work.run()
    resources = run.migration.destination.resources
    silent = replace(resources["organizations"], labels={})
    other = replace(run.migration.destination, resources={**resources, "organizations": silent})
    told = check_live(replace(run, migration=replace(run.migration, destination=other)))
    assert [(item.path, item.code, item.severity) for item in told] == [("custom_fields.organizations.website.name", "duplicate-value", "warning")]
    migrate(work.run(), 20)
    with work.store.begin() as connection:
        assert [item.text for item in all_findings(connection, "attention") if "refuses" in item.text] == []
    assert check_live(work.run()) == []


def test_report_is_shown_again_without_a_run(desk: Desk, run_etl: Etl, tmp_path: Path) -> None:
    """The last run's report comes from beside the store, its page written anew; without a run the way to one is told."""
    assert run_etl("report", str(SPEC)) == (2, f"etl: there is no report in var/{SPEC.stem}.sandbox.report yet – start with: etl run {SPEC} --sample\n")
    run = desk.run()
    result = migrate(run, 20)
    report = build(run, result, "run --sample", "sandbox")
    folder = desk.store.folder / f"{SPEC.stem}.sandbox.report"
    write_json(report, folder / "report.json")
    code, told = run_etl("report", str(SPEC), "--store", str(tmp_path / "store.sqlite"))
    assert code == 0 and "records arrived" in told
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    code, told = run_etl("report", str(SPEC), "--store", str(tmp_path / "store.sqlite"), "--json")
    assert json.loads(told)["verdict"] == report["verdict"]


@pytest.mark.parametrize(
    ("opener", "screen", "opened"),
    [("", ":0", False), ("echo no method available >&2; exit 3", ":0", False), ("exit 0", "", False), ("exit 0", ":0", True)],
    ids=["no opener", "no browser", "no screen", "a browser"],
)
def test_where_no_browser_opens_the_page_is_named(
    desk: Desk, quick_etl: Etl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opener: str, screen: str, opened: bool
) -> None:
    """In one line, whatever the opener of the desktop says itself."""
    run = desk.run()
    folder = desk.store.folder / f"{SPEC.stem}.sandbox.report"
    folder.mkdir()
    write_json(build(run, Result(), "run --sample", "sandbox"), folder / "report.json")
    programs = tmp_path / "programs"
    programs.mkdir()
    if opener:
        (programs / "xdg-open").write_text(f"#!/bin/sh\n{opener}\n", encoding="utf-8")
        (programs / "xdg-open").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.setenv(name, screen)
    code, told = quick_etl("report", str(SPEC), "--store", str(tmp_path / "store.sqlite"), "--open")
    assert code == 0 and "no method" not in told
    assert ("no browser could be opened here; the page is " in told) is not opened


def test_examples_are_shown_where_they_differ(project: Path) -> None:
    """Of two long notes that begin alike, both forms show what changes."""
    long = "alike " * 30
    example = Example("quotes/1", "title", f"{long}before{long}", f"{long}after{long}")
    effect = Effect("quotes", "Quotes", 1, 1, 1, fields=Counter({"title": 1}), examples=[example])
    compared = Compared("old", "new", differences((), parts(load_migration(project, {})))[:1], [effect])
    for told in (list(as_lines(compared)), list(as_markdown(compared))):
        row = next(line for line in told if "quotes/1" in line)
        assert "alike beforealike" in row and "alike afteralike" in row and len(row) < 220


def test_a_heading_fits_what_stands_below_it() -> None:
    """What is known to rewrite nothing has a heading of its own, and an object of which nothing differs is not listed."""
    changes = [Difference(area, "fields.title", "changed", "data", (("", "a", "b"),)) for area in ("quotes", "orders", "invoices", "works")]
    effects = [
        Effect("quotes", "Quotes", 9, 2, 2, fields=Counter({"title": 2}), differing=Counter({"title": 2})),
        Effect("orders", "Orders", 9, 3, 0, differing=Counter({"title": 3})),
        Effect("invoices", "Invoices", 9, 0, 0),
        Effect("old", "Old", gone=4),
    ]
    told = list(as_lines(Compared("old", "new", changes, effects)))
    assert [line for line in told if not line.startswith("      ")] == [
        "rewrites records:",
        "  ~ quotes: title  (rewrites 2 records)",
        "rewrites no staged record:",
        "  ~ orders: title  (maps 3 records differently, rewrites none)",
        "  ~ invoices: title",
        "  ~ works: title",
        "effect on staged records, by the next delta: 2 rewritten",
        "  Quotes: 2 of 9 records mapped differently, 2 rewritten",
        "  Orders: 3 of 9 records mapped differently, 0 rewritten",
        "  Old: 4 rows no longer mapped, kept as they are",
    ]
    comment = "\n".join(as_markdown(Compared("old", "new", changes, effects)))
    assert "Invoices:" not in comment and "| rewrites no staged record |" in comment
    assert list(as_lines(Compared("old", "new", changes[:1], None)))[:2] == ["rewrites records:", "  ~ quotes: title"]
    none = list(as_lines(Compared("old", "new", changes[2:], effects[2:3])))
    assert none[0] == "rewrites no staged record:" and none[-1].endswith("by the next delta: none is mapped differently")


def test_what_makes_records_fail_does_not_stand_among_what_rewrites_none() -> None:
    """A change for which records fail says so, with their number, whether it rewrites others or not."""
    changes = [Difference("quotes", f"fields.{name}", "changed", "data", (("", "a", "b"),)) for name in ("title", "email", "phone")]
    effects = [
        Effect("quotes", "Quotes", 9, 6, 2, failing=4, fields=Counter({"email": 2}), spoilt=Counter({"title": 3, "email": 1})),
    ]
    compared = Compared("old", "new", changes, effects)
    told = [line for line in as_lines(compared) if line.startswith(("rewrites", "makes", "  ~"))]
    assert told == [
        "makes staged records fail:",
        "  ~ quotes: title  (makes 3 records fail)",
        "rewrites records:",
        "  ~ quotes: email  (rewrites 2 records, makes 1 record fail)",
        "rewrites no staged record:",
        "  ~ quotes: phone",
    ]
    assert "| makes 3 records fail |" in "\n".join(as_markdown(compared))


@pytest.mark.parametrize(
    ("failing", "told"), [((0, 0), "1,069 rewritten"), ((12, 1_000), "1,069 rewritten, 1,012 will fail")]
)
def test_the_summary_says_how_many_records_will_fail(project: Path, failing: tuple[int, int], told: str) -> None:
    """Not only how many are rewritten: of all objects, in a terminal and in a review."""
    effects = [
        Effect(name, name, 2_000, many, rewritten=many, failing=fails)
        for name, many, fails in zip(("quotes", "orders"), (69, 1_000), failing, strict=True)
    ]
    compared = Compared("old", "new", differences((), parts(load_migration(project, {})))[:1], effects)
    assert f"effect on staged records, by the next delta: {told}" in list(as_lines(compared))
    assert f"**Records, by the next delta: {told}**" in list(as_markdown(compared))
