"""What the compiler of specs finds once their shape is right: every case file is one mistake, told at its place."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.config.document import Document, parse, read, scalar
from engine.config.suggestions import suggest
from engine.errors import Diagnostic, SpecError, in_order
from engine.language.compile import Migration, load_migration
from tests.spec.expected import described
from workbench.idle import idle

HERE = Path(__file__).parent
CASES = sorted((HERE / "checks").glob("*.yaml"))


def project(folder: Path, text: str, files: dict[str, str] | None = None) -> Path:
    """A project with the two small connectors, the spec and further files; the path of the spec."""
    shutil.copytree(HERE / "connectors", folder / "connectors")
    spec = folder / "specs" / "demo.yaml"
    for path, content in {"specs/demo.yaml": text, **(files or {})}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    return spec


def told(spec: Path, env: dict[str, str] | None = None) -> tuple[Diagnostic, ...]:
    """The errors of a spec, or else its warnings."""
    try:
        migration = load_migration(spec, env or {})
        return tuple(in_order([*migration.warnings, *idle(migration)]))
    except SpecError as error:
        return error.diagnostics


def good(folder: Path, text: str, env: dict[str, str] | None = None, files: dict[str, str] | None = None) -> Migration:
    """A spec that must have nothing wrong with it."""
    return load_migration(project(folder, text, files), env or {})


HEAD = """\
migration: demo
source: {connector: ../connectors/erp.yaml, plan: basic}
destination: {connector: ../connectors/crm.yaml, plan: pro}
"""
PLAIN = HEAD + "objects: {people: {from: clients, to: contacts, fields: {name: name}}}\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_mistake_is_told_once_at_its_place(path: Path, tmp_path: Path) -> None:
    """A spec with one mistake gives exactly the expected problems, in order, with place, code and severity."""
    case = read(path).data
    assert case.keys() <= {"spec", "files", "env", "expect"}
    found = told(project(tmp_path / "project", case["spec"], case.get("files")), case.get("env"))
    listed = "\n".join(map(str, found))
    assert len(found) == len(case["expect"]), listed
    assert [described(*pair) for pair in zip(found, case["expect"], strict=True)] == case["expect"], listed


def test_the_shipped_catalogue_is_whole_and_holds_nothing_else(tmp_path: Path) -> None:
    """In Spanish the shipped spec has nothing wrong with it, and each translation is of a text that is there."""
    root = HERE.parents[1]
    for folder in ("connectors", "specs", "templates"):
        shutil.copytree(root / folder, tmp_path / folder)
    spec = tmp_path / "specs/stel_order_to_pipedrive.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("  language: en\n", "  language: es\n"), encoding="utf-8")
    assert told(spec) == ()
    catalogue = tmp_path / "templates/language/es.yaml"
    words = read(catalogue).data
    catalogue.write_text("Nothing: nada\n", encoding="utf-8")
    missing = {re.match(r"(['\"])(.*)\1 has no translation", item.problem)[2] for item in told(spec) if " has no translation" in item.problem}  # type: ignore[index]
    assert missing == set(words)


def test_there_are_cases_enough() -> None:
    """The case files are found, and both kinds of finding are among them."""
    severities = {item.get("severity", "error") for path in CASES for item in read(path).data["expect"]}
    assert len(CASES) >= 80
    assert severities == {"error", "warning"}


def test_all_problems_come_at_once_and_in_order(tmp_path: Path) -> None:
    """Mistakes in every part of a spec are told together, sorted by their place."""
    text = HEAD.replace("plan: basic", "plan: bsic") + (
        "settings: {spare: 1}\n"
        "users: {from: peple, email: email, fallback: '${OWNER}'}\n"
        "objects:\n"
        "  people:\n"
        "    from: clients\n"
        "    to: contacts\n"
        "    fields: {name: nmae, company_id: {lookup: companies, by: $key}, emails: {from: email, using: text.emials}}\n"
        "left_behind: {lgos: not asked for}\n"
    )
    found = told(project(tmp_path / "project", text))
    places = [(item.where.line, item.where.col) for item in found if item.where]
    assert [item.code for item in found] == [
        "unknown-name",
        "unknown-collection",
        "missing-variable",
        "unknown-field",
        "unknown-object",
        "unknown-step",
        "unknown-collection",
    ]
    assert places == sorted(places)
    assert {item.severity for item in found} == {"error"}


def test_warnings_do_not_block(tmp_path: Path) -> None:
    """A spec with nothing but warnings is compiled, and the warnings come with it."""
    migration = good(tmp_path / "project", HEAD + "settings: {spare: 1}\n" + PLAIN.removeprefix(HEAD))
    (warning,) = migration.warnings
    assert (warning.severity, warning.code) == ("warning", "unused")
    assert re.search(r"demo.yaml:4:12: warning: settings.spare: .+ – .+ \[unused\]$", str(warning))


def test_a_connector_s_mistakes_come_with_the_spec_s(tmp_path: Path) -> None:
    """A broken connector, a missing one and a missing variable are told in one go."""
    text = PLAIN.replace("crm.yaml", "crn.yaml").replace("objects:", "settings: {x: '${X}'}\nobjects:")
    spec = project(tmp_path / "project", text)
    broken = tmp_path / "project" / "connectors" / "erp.yaml"
    broken.write_text(broken.read_text("utf-8").replace("plans:", "plnas:"), encoding="utf-8")
    assert {item.code for item in told(spec)} == {"unreadable-file", "missing-variable", "unknown-key"}


@pytest.mark.parametrize(
    ("written", "env", "seats", "flag"),
    [
        ("${N}", {"N": "5"}, 5, False),
        ("${N:-7}", {}, 7, False),
        ("${N:-7}", {"N": ""}, 7, False),
        ("${N:-7}", {"FLAG": "true"}, 7, True),
    ],
)
def test_a_whole_variable_is_read_as_yaml(tmp_path: Path, written: str, env: dict[str, str], seats: int, flag: bool) -> None:
    """Where a value is one variable and nothing else, numbers, true and false are what YAML makes of them."""
    text = PLAIN.replace("plan: pro", f'plan: pro, seats: "{written}"')
    text = text.replace("to: contacts", "to: contacts, enabled: $settings.flag")
    migration = good(tmp_path / "project", text.replace("objects:", "settings:\n  flag: ${FLAG:-false}\nobjects:"), env)
    assert migration.spec.destination.seats == seats
    assert migration.spec.settings == {"flag": flag}
    assert migration.spec.objects["people"].enabled is flag


def test_a_variable_inside_a_text_is_text(tmp_path: Path) -> None:
    """Inside a longer text a variable stays text, and an environment's own ${...} is not looked into."""
    text = PLAIN.replace("objects:", "settings: {label: 'no. ${N}', other: '${M}'}\nobjects:").replace(
        "name: name", "name: {template: '{{ settings.label }}{{ settings.other }}'}"
    )
    migration = good(tmp_path / "project", text, {"N": "5", "M": "${N}"})
    assert migration.spec.settings == {"label": "no. 5", "other": "${N}"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("5", 5), ("-1.5", -1.5), ("1e3", 1000.0), ("0034", "0034"), ("NO", "NO"),
        ("12:30", "12:30"), ("", ""), ("null", "null"), ("1e999", "1e999"), ("9" * 5000, "9" * 5000), ("[1]", "[1]"),
    ],
)  # fmt: skip
def test_scalars_of_variables(text: str, value: Any) -> None:
    """A variable's text is a YAML 1.2 scalar: nothing is guessed that YAML 1.2 does not say."""
    found = scalar(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["a: 1e999", "a: !!int x", "a: !!bool maybe", "a: !!null x", "a: !!float ''", "a: " + "9" * 5000])
def test_numbers_that_are_none_are_refused(text: str) -> None:
    """A number beyond any range and a tag that its text does not fit are mistakes with a place, not crashes."""
    with pytest.raises(SpecError) as caught:
        parse(text, "x.yaml")
    assert str(caught.value).startswith("x.yaml:1:4: ")


def test_aliased_scalars_lead_to_their_anchor() -> None:
    """A document knows which scalars are repeated by an alias, and where they stood first."""
    document: Document = parse("a: &x one\nb: [*x, two]\nc: {d: *x}\n")
    assert document.aliases == {("b", 0): ("a",), ("c", "d"): ("a",)}


@pytest.mark.parametrize("test", ["{total: '5'}", "{total: {gt: '4.5'}}", "{paid: 'yes'}", "{paid: {not: 'N'}}", "{date: {gt: '2024-01-01'}}"])
def test_numbers_and_flags_may_be_compared_with_text(tmp_path: Path, test: str) -> None:
    """They are compared by what the text says, so there is nothing to warn of."""
    text = HEAD + f"objects: {{o: {{from: orders, to: deals, when: {test}, fields: {{title: number}}}}}}\n"
    assert good(tmp_path / "project", text).warnings == ()


def test_a_list_of_names_that_is_cut_says_how_many_more_there_are() -> None:
    """Twenty names are listed; the rest is counted."""
    names = [f"name_{number:02}" for number in range(23)]
    assert suggest("zzz", names).endswith(", name_19 and 3 more")
    assert suggest("zzz", names[:20]).endswith(", name_19")


def test_named_parts_may_be_called_value(tmp_path: Path) -> None:
    """`from: {value: [a, b]}` is a part named value, and not a fixed value."""
    text = HEAD + (
        "custom_fields: {companies: {key: {name: K, type: text, key: true}, total: {name: T, type: money}}}\n"
        "objects: {c: {from: clients, to: companies, fields: {name: name, custom.key: $key,\n"
        "  custom.total: {from: {value: [score, id], currency: name}, using: money.with_currency}}}}\n"
    )
    head = good(tmp_path / "project", text).spec.objects["c"].fields["custom.total"].expr.head  # type: ignore[union-attr]
    assert type(head).__name__ == "Parts"
    assert list(head.values) == ["value", "currency"]


def test_rows_are_records_known_from_their_keys(tmp_path: Path) -> None:
    """An object with rows has a collection of its own, fields known from the rows, and can be looked up by id."""
    text = HEAD + (
        "objects:\n"
        "  offices: {rows: [{id: 1, title: Head office, place: {city: Elx}}, {id: 2, title: Shop}], to: contacts,\n"
        "    fields: {name: [title, place.city]}}\n"
        "  people: {from: clients, to: deals, fields: {title: name,\n"
        "    guests: {list: [{contact_id: {lookup: offices, by: {value: 1}, on_miss: {fallback: 2}}}]}}}\n"
    )
    offices = good(tmp_path / "project", text).spec.objects["offices"]
    assert offices.sources == ("$rows.offices",)
    assert [row["id"] for row in offices.rows] == [1, 2]


def test_templates_may_not_leave_the_project(tmp_path: Path) -> None:
    """A template is read below the project's folder only: no absolute path, no link out of it, no special file."""
    outside = tmp_path / "secret.j2"
    outside.write_text("secret", encoding="utf-8")
    for number, written in enumerate(["../../secret.j2", str(outside), "../templates/link.j2"]):
        folder = tmp_path / f"project{number}"
        spec = project(folder, PLAIN.replace("name: name", f"name: {{template: {written}}}"))
        (folder / "templates").mkdir()
        (folder / "templates" / "link.j2").symlink_to(outside)
        assert [(item.code, written in item.problem) for item in told(spec)] == [("unreadable-file", True)]
    folder = tmp_path / "special"
    spec = project(folder, PLAIN.replace("name: name", "name: {template: pipe.j2}"))
    os.mkfifo(folder / "specs" / "pipe.j2")
    assert told(spec)[0].code == "unreadable-file"


def test_a_huge_template_is_refused_unread(tmp_path: Path) -> None:
    """A template beyond the limit is refused by its size."""
    spec = project(tmp_path / "project", PLAIN.replace("name: name", "name: {template: huge.j2}"))
    with (tmp_path / "project" / "specs" / "huge.j2").open("wb") as file:
        file.truncate(20_000_000_000)
    assert told(spec)[0].code == "too-large"


def test_a_template_s_change_changes_the_spec_s_digest(tmp_path: Path) -> None:
    """A spec stands for its templates too: another text is another digest."""
    text = PLAIN.replace("name: name", "name: {template: t.j2}")
    digests = {
        good(tmp_path / name, text, files={"specs/t.j2": source}).spec.digest
        for name, source in [("a", "{{ name }}"), ("b", "{{ name }}!"), ("c", "{{ name }}")]
    }
    assert len(digests) == 2
