"""`etl test`: cases beside a spec, their coverage, and cases captured from staged records."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config.document import read
from engine.connector.references import any_key
from engine.errors import SpecError
from engine.language.compile import load_migration
from engine.pipeline import draft, extract_and_audit
from tests.stages.conftest import SPEC, Desk
from workbench.cases.capture import captured
from workbench.cases.coverage import coverage
from workbench.cases.disguise import Disguise
from workbench.cases.run import CaseRun, load_cases, run_cases
from workbench.cases.text import as_lines
from workbench.writing import append

MIGRATION = load_migration(SPEC, {})
ABSENT = "    expect: {quotes: {a/1: {state: absent}}}\n"
SHIPPED = SPEC.with_name(f"{SPEC.stem}.test.yaml")


def run(path: Path, text: str) -> CaseRun:
    """Run cases written as text."""
    path.write_text(text, encoding="utf-8")
    return run_cases(*load_cases(path, MIGRATION))


def test_shipped_cases_pass_and_cover_the_spec() -> None:
    """The shipped cases pass and look at every object, field, template and miss, and all but unreachable map entries."""
    tested = run_cases(*load_cases(SHIPPED, MIGRATION))
    assert tested.failures == ()
    missing = {item.kind: item.missing for item in coverage(MIGRATION.spec, tested.seen) if item.missing}
    assert missing == {"value map entries": ("organizations.custom.account_type: else",)}


def test_failure_is_told_field_by_field(tmp_path: Path) -> None:
    """A wrong expectation names its line, what was expected, what came, and from what."""
    text = (
        "cases:\n  - case: wrong\n    records: {services: [{id: 1, name: ' A ', inactive: false}]}\n    expect:\n      services:\n"
        "        services/1:\n          fields:\n            name: B\n            code: null\n            custom.inactive: 'Yes'\n"
    )
    tested = run(tmp_path / "a.test.yaml", text)
    found = [(item.field, item.expected, item.found, item.where.line, item.where.col) for item in tested.failures]
    assert found == [("name", "B", "A", 8, 13), ("custom.inactive", "Yes", "No", 10, 13)]
    told = "\n".join(as_lines(tested, []))
    assert "a.test.yaml:8:13" in told and "expected: 'B'" in told and "text.squash" in told


@pytest.mark.parametrize(
    ("expectation", "fails"),
    [
        ("{state: failed, reason: no organizations}", False),
        ("{state: failed, reason: something else}", True),
        ("{state: skipped}", True),
        ("{state: absent}", True),
        ("{fields: {name: X}}", True),
    ],
)
def test_diagnostics_can_be_expected(tmp_path: Path, expectation: str, fails: bool) -> None:
    """A record that cannot be written is expected by its state and a part of its reason."""
    text = (
        "cases:\n  - case: one\n    links: {organizations: []}\n    records: {clients: [{id: 1, name: X, email: a@b.example}]}\n"
        f"    expect: {{account_persons: {{clients/1: {expectation}}}}}\n"
    )
    assert bool(run(tmp_path / "a.test.yaml", text).failures) is fails


@pytest.mark.parametrize(
    ("text", "line", "code", "word"),
    [
        ("cases:\n  - case: a\n    expekt: {}\n", 3, "unknown-key", "expekt"),
        ("cases:\n  - case: a\n    expect: {qotes: {a/1: {state: absent}}}\n", 3, "unknown-object", "qotes"),
        ("cases:\n  - case: a\n    expect: {quotes: {a/1: {fields: {titel: x}}}}\n", 3, "unknown-field", "titel"),
        (f"cases:\n  - case: a\n    records: {{client: []}}\n{ABSENT}", 3, "unknown-collection", "client"),
        (f"cases:\n  - case: a\n    records: {{clients: [{{name: x}}]}}\n{ABSENT}", 3, "missing-key", "id"),
    ],
)
def test_bad_files_are_refused_at_their_place(tmp_path: Path, text: str, line: int, code: str, word: str) -> None:
    """A name that nothing knows is told with its line."""
    with pytest.raises(SpecError) as stop:
        run(tmp_path / "a.test.yaml", text)
    found = stop.value.diagnostics[0]
    assert (found.where and found.where.line, found.code) == (line, code) and word in found.problem


def test_captured_cases_pass_and_name_nobody(desk: Desk, tmp_path: Path) -> None:
    """Cases captured from staged records pass as they are, and hold nothing of the people in them."""
    work = desk.run()
    result = extract_and_audit(work, 60)
    draft(work, result)
    assert result.sample is not None
    path = tmp_path / "captured.test.yaml"
    names = {mapping.sources[0]: mapping.name for mapping in reversed(work.spec.active()) if mapping.keys[:1] == ("objects",)}
    chosen = {key.partition("/")[0]: key for key in result.sample.chosen}
    bodies = []
    for collection, key in chosen.items():
        if collection in names:
            append(path, "cases", [captured(work, names[collection], key)], "# kept\n")
            bodies.append(key)
    tested = run_cases(*load_cases(path, MIGRATION))
    assert len(bodies) > 5 and tested.failures == ()
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# kept\n")
    with work.store.begin() as connection:
        query = "SELECT json_extract(body, '$.email'), json_extract(body, '$.\"legal-name\"') FROM records"
        rows = connection.exec_driver_sql(query).all()
    assert not [value for row in rows for value in row if value and len(value) > 5 and value in text]


def test_disguise_keeps_shape_and_what_decides() -> None:
    """Names, addresses, numbers and free text change and keep their form; dates, links, amounts and the spec's words stay."""
    disguise = Disguise(frozenset({"Pendiente"}), "host/{collection}/{id}")
    record = {
        "name": "María López", "email": "maria@lopez.es", "phone": "+34 600 123 456", "tax": "B-12345678",
        "comments": "Llamar a Ana", "state": "Pendiente", "date": "2024-01-02T03:04:05+0000", "path": "host/clients/12",
        "amount": 12.5, "type": "ITEM", "empty": " ", "day": "31/12/2024",
    }  # fmt: skip
    found = disguise.record(record)
    kept = {"state", "date", "day", "path", "amount", "type", "empty"}
    assert {name for name in record if found[name] == record[name]} == kept
    assert disguise.record(record) == found
    for name in record.keys() - kept:
        assert shape(str(found[name])) == shape(str(record[name]))
    assert any_key(found["path"], "host/{collection}/{id}") == "clients/12"
    assert found["phone"].startswith("+34 6")


def shape(text: str) -> list[tuple[bool, bool, bool]]:
    """What kind of character stands where."""
    return [(char.isdigit(), char.isupper(), char.isalpha()) for char in text]


def test_append_keeps_comments_and_says_the_same(tmp_path: Path) -> None:
    """Adding a case leaves comments where they are, and texts that look like numbers stay texts."""
    path = tmp_path / "a.yaml"
    path.write_text("# head\ncases: # list\n  - {case: a} # first\n", encoding="utf-8")
    append(path, "cases", [{"case": "NO", "code": "0034600", "time": "12:30", "yes": "on", "n": 5}])
    text = path.read_text(encoding="utf-8")
    assert "# head" in text and "# list" in text and "# first" in text
    assert read(path).data["cases"][1] == {"case": "NO", "code": "0034600", "time": "12:30", "yes": "on", "n": 5}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"settings: {{visible_to: 9}}\ncases:\n  - case: a\n{ABSENT}", 1),
        (f"cases:\n  - case: a\n{ABSENT}  - case: b\n    settings: {{visible_to: 9}}\n{ABSENT}", 5),
    ],
    ids=["of all cases", "of one case"],
)
def test_a_mistake_in_the_settings_of_a_case_is_told_where_it_stands(tmp_path: Path, text: str, line: int) -> None:
    """The line is that of the file of cases, and the message says which part of the spec does not take the settings."""
    folder = tmp_path / "specs"
    shutil.copytree(SPEC.parent, folder)
    for name in ("connectors", "templates"):
        shutil.copytree(SPEC.parent.parent / name, tmp_path / name)
    file = folder / SHIPPED.name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_cases(file, load_migration(folder / SPEC.name, {}))
    for item in caught.value.diagnostics:
        assert item.where is not None and item.where.file.endswith(SHIPPED.name) and item.where.line == line
        assert item.problem == "with these settings, settings.visible_to: 9 is not one of 1, 3 on the plan growth"


def test_what_is_no_spec_is_said_to_be_none(quick_etl: Callable[..., tuple[int, str]]) -> None:
    """A file of cases is passed over with a word, so that `specs/*.yaml` can be validated; a folder is a mistake that names what to write."""
    code, told = quick_etl("validate", str(SPEC), str(SHIPPED))
    assert code == 0 and "cases, and no spec" in told and "good" in told
    code, told = quick_etl("validate", str(SPEC.parent))
    assert code == 2 and f"is a folder – name the specs in it: {SPEC.parent}/*.yaml" in told
