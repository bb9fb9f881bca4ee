"""What `etl validate` warns of: a spec may say it, and hardly means it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.config.document import dotted, read
from engine.errors import SpecError
from engine.language.compile import Migration, load_migration
from engine.language.dependencies import conditions
from engine.language.model import Condition, ObjectMapping
from engine.mapping.evaluate import holds
from tests.spec.test_checks import HEAD, PLAIN, project
from tests.workbench.mutations import ROOT
from workbench.contradictions import contradiction
from workbench.contradictions import tests_of as as_tests
from workbench.doubts import conditions_of, quotes
from workbench.doubts import doubts as doubts_of

NAME = "stel_order_to_pipedrive.yaml"
STATUS = "      status: {from: state.name, using: text.strip, map: {Pendiente: open, En curso: open, Aceptada: won, Cerrada: won, Rechazada: lost}, else: open}\n"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A copy of the shipped spec with all that it needs."""
    for name in ("connectors", "templates", "specs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path / "specs" / NAME


def edited(spec: Path, old: str, new: str) -> Path:
    """The spec with one edit, the first place it fits."""
    text = spec.read_text(encoding="utf-8")
    assert old in text
    spec.write_text(text.replace(old, new, 1), encoding="utf-8")
    return spec


def doubted(spec: Path) -> list[str]:
    """The places of all warnings, as paths."""
    document = read(spec)
    return [item.path for item in (*quotes(document), *doubts_of(document, load_migration(spec, {})))]


def test_the_shipped_spec_raises_no_doubt(spec: Path) -> None:
    """A warning is for what is hardly meant."""
    assert doubted(spec) == []


@pytest.mark.parametrize("instead", ["", "      status: {value: open}\n"])
def test_a_field_without_what_it_needs_beside_it(spec: Path, instead: str) -> None:
    """`won_time` and `lost_time` are taken with their status only: nothing maps it, or it is always another."""
    expected = ["objects.quotes.fields.won_time", "objects.quotes.fields.lost_time"]
    assert doubted(edited(spec, STATUS, instead)) == expected


def test_a_condition_that_compares_with_the_name_of_a_test(spec: Path) -> None:
    """`{comments: filled}` holds of no comment but the word itself."""
    assert doubted(edited(spec, "when: {comments: {filled: true}}", "when: {comments: filled}")) == ["objects.contact_comments.when.comments"]


@pytest.mark.parametrize(
    ("test", "never"),
    [
        ("comments: {filled: true, empty: true}", True),
        ("comments: {filled: false, empty: false}", True),
        ("comments: {filled: true, empty: false}", False),
        ("comments: {filled: false, equals: a}", True),
        ("comments: {filled: true, not: a}", False),
        ("comments: {equals: a, not: a}", True),
        ("comments: {in: [a, b], not: a}", False),
        ("comments: {in: [a, b], equals: c}", True),
        ("discount-percentage: {gt: 10, lt: 5}", True),
        ("discount-percentage: {gt: 5, lt: 5}", True),
        ("discount-percentage: {gte: 5, lte: 5}", False),
        ("discount-percentage: {gt: 5, lt: 10}", False),
        ("discount-percentage: {gt: 5, equals: 3}", True),
        ("discount-percentage: {gt: 5, in: [3, '6']}", False),
        ("discount-percentage: {gt: 5, empty: true}", True),
        ("comments: {equals: ' a ', not: a}", True),
        ("comments: {empty: true, equals: '10:30'}", True),
        ("comments: {gt: b, lt: a, filled: true}", True),
        ("utc-last-modification-date: {gt: '2024-01-01T12:00:00Z', lt: '2024-01-01T11:00:00Z'}", True),
        ("utc-last-modification-date: {gt: '2024-02-01', lt: '2024-01-01'}", True),
        ("utc-last-modification-date: {gte: '2024-01-01', lt: '2024-01-02'}", False),
        ("utc-last-modification-date: {gt: '2024-01-01T10:00:00Z', lt: '2024-01-01T10:00:01Z'}", False),
        ("deleted: {equals: true, not: 'true'}", True),
        ("deleted: {not: true}", False),
        ("$collection: clients", False),
        ("$collection: client", True),
        ("$collection: {in: [products, potentialClients]}", False),
        ("$collection: {in: [products, contacts]}", True),
        ("$collection: {not: clients}", False),
    ],
)
def test_a_condition_that_never_holds(spec: Path, test: str, never: bool) -> None:
    """Tests of one field that no value passes together, or a collection that the object is not from, are told at the field."""
    anchor = "    from: [clients, potentialClients]\n    to: organizations\n"
    text = edited(spec, anchor, f"{anchor}    when: {{{test}}}\n").read_text(encoding="utf-8")
    line = next(at for at, line in enumerate(text.splitlines(), 1) if test in line)
    document = read(spec)
    told = [item for item in doubts_of(document, load_migration(spec, {})) if item.code == "never-matches"]
    assert [(item.where and item.where.line, item.path) for item in told] == [(line, f"objects.organizations.when.{test.partition(':')[0]}")] * never


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("state.name: Rechazada}", "state.name: {equals: Rechazada, empty: true}}", "objects.quotes.fields.lost_time.when.state.name"),
        ("when: {comments: {filled: true}}", "when: [{name: a}, {comments: {gt: b, lt: a}}]", "objects.contact_comments.when[1].comments"),
    ],
    ids=["of a field", "one of several"],
)
def test_a_condition_that_never_holds_is_told_where_it_stands(spec: Path, old: str, new: str, place: str) -> None:
    """In a field, and in a list of conditions, the place is that of the very test."""
    assert doubted(edited(spec, old, new)) == [place]


NEVER = "{id: {filled: true, empty: true}}"  # a condition that no record meets
OBJECT = f"{HEAD}objects:\n  people:\n    from: clients\n    to: contacts\n    fields:\n      name: name\n"


def object_with(lines: str) -> str:
    """A spec of one object, with further lines."""
    return f"{OBJECT}{lines}"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (object_with("    ignore: {when: not needed, where: nor this, id: no}\n"), []),
        (object_with("      emails: {list: [{value: email, label: {from: {when: name, where: email}, using: text.first}}]}\n"), []),
        (object_with("      company_id: {lookup: companies, by: {from: id, when: NEVER}}\n").replace("objects:\n", "objects:\n  companies: {from: leads, to: companies, fields: {name: name}}\n"), ["people.fields.company_id.by.when.id"]),
        (PLAIN.replace("people:", "when:"), []),
        (PLAIN.replace("people:", "where:").replace("to: contacts", "to: contacts, when: NEVER"), ["where.when.id"]),
        (PLAIN.replace("people:", "fields:").replace("to: contacts", "to: contacts, when: NEVER"), ["fields.when.id"]),
        (PLAIN.replace("people:", "children:").replace("to: contacts", "to: contacts, when: {$collection: client}"), ["children.when.$collection"]),
        (object_with("    related: {when: {from: people, by: agent-id}, where: {from: people, by: agent-path}}\n"), []),
        (object_with("    children: {when: {from: receipts, on: account-path}}\n"), []),
        (object_with("    children: {where: {from: receipts, on: account-path, where: NEVER}}\n"), ["people.children.where.where.id"]),
        (object_with("    children: {map: {from: receipts, on: account-path, where: {$collection: nothing}}}\n"), []),
        (object_with("    each: {name: tag, path: tags, key: id, where: NEVER}\n"), ["people.each.where.id"]),
        (object_with("      emails: {from: name, using: {text.replace: {old: when, new: where}}, when: NEVER}\n"), ["people.fields.emails.when.id"]),
        (object_with("").replace("name: name\n", "name: {from: name, map: {when: a, where: b}, else: omit}\n"), []),
        (object_with("").replace("name: name\n", "name: [{from: name, when: NEVER}, {from: {from: email, when: NEVER}}, {value: x}]\n"), ["people.fields.name[0].when.id", "people.fields.name[1].from.when.id"]),
        (
            object_with("").replace("name: name\n", "name: {cases: [{when: NEVER, value: a}, {when: {vip: true}, from: name}], else: {from: email, when: NEVER}}\n"),
            ["people.fields.name.cases[0].when.id", "people.fields.name.else.when.id"],
        ),
        (object_with("      emails: {list: [{value: {from: email, when: NEVER}}]}\n"), ["people.fields.emails.list[0].value.when.id"]),
        (object_with("    enabled: false\n    when: NEVER\n"), []),
    ],
)  # fmt: skip
def test_only_conditions_are_taken_for_conditions(text: str, places: list[str], tmp_path: Path) -> None:
    """`when` and `where` may be names as well, at any place where names stand: only a condition that never holds is told."""
    spec = project(tmp_path, text.replace("NEVER", NEVER))
    migration = load_migration(spec, {})
    told = [item.path for item in doubts_of(read(spec), migration) if item.code == "never-matches"]
    assert told == [f"objects.{place}" for place in places]


STAGES = "pipelines: {people: {name: P, stages: {from: states, label: name, where: NEVER}}}\n"


def test_a_pipeline_called_like_an_object_that_is_off_is_looked_at(tmp_path: Path) -> None:
    """Switching an object off says nothing of a pipeline of the same name."""
    text = HEAD + STAGES.replace("NEVER", NEVER) + PLAIN.removeprefix(HEAD).replace("from:", "enabled: false, from:")
    spec = project(tmp_path, text)
    told = [item.path for item in doubts_of(read(spec), load_migration(spec, {})) if item.code == "never-matches"]
    assert told == ["pipelines.people.stages.where.id"]


def test_conditions_are_judged_with_the_values_of_variables(tmp_path: Path) -> None:
    """What stands in a spec as `${LOW}` is a number when it runs."""
    text = PLAIN.replace("to: contacts", "to: contacts, when: {score: {gt: '${LOW}', lt: '${HIGH}'}}")
    spec = project(tmp_path, text)
    for high, many in (("9", 0), ("1", 1)):
        migration = load_migration(spec, {"LOW": "5", "HIGH": high})
        told = [item for item in doubts_of(read(spec), migration) if item.code == "never-matches"]
        assert len(told) == many


def compiled(mapping: ObjectMapping) -> Iterator[Condition]:
    """Every condition of an object, as the engine has it."""
    rows = [item.where for item in mapping.children.values()]
    own = [mapping.when, mapping.each.where if mapping.each else None, *rows]
    yield from (item for item in own if item)
    for field in mapping.fields.values():
        yield from conditions(field)


def written_at(migration: Migration, keys: tuple[str | int, ...]) -> list[tuple[str, str, str]]:
    """The tests of a condition, as they are written at a place."""
    written: Any = migration.document.data
    for key in keys:
        written = written[key]
    options = written if isinstance(written, list) else [written]
    return [(test.path.text, test.op, str(test.value)) for option in options for path, wanted in option.items() for test in as_tests(path, wanted)]


@pytest.mark.parametrize("path", [path for path in sorted((ROOT / "specs").glob("*.yaml")) if ".test." not in path.name], ids=lambda path: path.stem)
def test_all_conditions_of_a_spec_are_found(path: Path) -> None:
    """What is found in the text is what the engine has compiled, test by test."""
    migration = load_migration(path, {})
    found = sorted(item for keys, _ in conditions_of(migration) for item in written_at(migration, keys))
    engine = [test for mapping in migration.spec.active() for item in compiled(mapping) for tests in item.any_of for test in tests]
    assert found == sorted((test.path.text, test.op, str(test.value)) for test in engine)
    assert all(dotted(keys).startswith(("objects.", "pipelines.")) for keys, _ in conditions_of(migration))


# -- a warning is certain

START = datetime(2024, 1, 1, 10, tzinfo=UTC)
zones = st.integers(-3, 3).map(lambda hours: timezone(timedelta(hours=hours)))
stamps = st.builds(lambda minutes, zone: (START + timedelta(minutes=minutes)).astimezone(zone).isoformat(), st.integers(-90, 90), zones)
words = st.sampled_from(["", "a", "b", "ab", "2024", "2024-01-01", "2024-01-01T10:30", "true", "no", "0", "-0", "1", "1.0", "1.50", "1e3", "007", "0.1000000000000000055511", "10:30", "Mon, 01 Jan 2024 10:00:00 GMT", "123456789012345678901234567890123"])  # fmt: skip
blanks = st.sampled_from(["", " ", "\t", "\u3000", "\n "])
texts = st.one_of(words, stamps, st.text(max_size=3))
padded = st.builds(lambda left, text, right: left + text + right, blanks, texts, blanks)
numbers = st.one_of(st.integers(-2, 3), st.sampled_from([0.1, 1.5, 1000, 1e22, 10**40, 2**53 + 1]), st.floats(-2, 2))
scalars = st.one_of(texts, padded, numbers, st.booleans(), st.none())
bounds = st.one_of(texts, numbers)
tests = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("gt", "gte", "lt", "lte"), bounds), "equals": scalars, "not": scalars,
        "in": st.lists(scalars, min_size=1, max_size=3), "filled": st.booleans(), "empty": st.booleans(),
    },
).filter(lambda wanted: 0 < len(wanted) < 4)  # fmt: skip
values = st.one_of(scalars, padded, st.sampled_from([[], {}, [0], ["a"], {"a": 1}]))


@given(tests, values)
@example({"gt": "2024-01-01T12:00:00+02:00", "lt": "2024-01-01T11:00:00+00:00"}, "2024-01-01T10:30:00Z")
@example({"empty": True, "lt": "b"}, "")
@example({"empty": True, "gt": "b"}, "\u3000")
@example({"in": ["a"], "lt": "2024"}, " a ")
@example({"in": ["2024-01-01T10:00:00Z"], "gt": "2024-01-01T11"}, "2024-01-01T12:00:00+02:00")
@example({"gt": 1, "lt": 1.0000000000000002}, "1.0000000000000001")
@example({"gt": 10**400, "lt": 10**400 + 2}, 10**400 + 1)
@example({"gte": "1.50", "lte": "1.50"}, 1.5)
@example({"gt": "1e3", "lt": "1e4"}, 2000)
@example({"equals": "true", "filled": True}, True)
@example({"equals": "1", "gt": 0}, 1)
@example({"equals": "", "empty": True}, " ")
def test_what_some_value_passes_is_never_told(wanted: Mapping[str, Any], value: Any) -> None:
    """Whatever passes the tests, a text between blanks or a moment of another zone: they are no contradiction."""
    found = as_tests("x", wanted)
    assert not (holds(Condition((found,)), lambda _: value) and contradiction(found))


@pytest.mark.parametrize(
    ("target", "written", "warned"),
    [
        ("expected_close_date", "{from: title, using: text.strip}", True),  # a text, in other letters at most
        ("expected_close_date", "{from: title, using: [text.squash, text.upper]}", True),
        ("expected_close_date", "{from: title, using: {dates.read: {pattern: '%d.%m.%Y'}}}", False),
        ("expected_close_date", "{from: date, using: [text.strip, dates.date]}", False),
        ("expected_close_date", "{from: title, using: {text.replace: {old: a, new: b}}}", False),  # nobody knows
        ("expected_close_date", "{from: date, using: dates.year}", True),
        ("expected_close_date", "{from: title, using: text.strip, map: {a: '2024-01-01'}, else: omit}", False),
        ("probability", "{from: total-amount, using: [money.amount, text.strip]}", False),
        ("probability", "{from: date, using: dates.date}", True),
        ("probability", "{from: title, using: {text.split: ','}}", True),
        ("probability", "[{from: title, using: {text.split: ','}}, total-amount]", True),
        ("custom.subject", "{from: title, using: {text.split: ','}}", True),
        ("custom.subject", "{from: title, using: text.length}", False),
        ("custom.document_date", "{from: date, using: dates.duration}", False),  # a text that may be one
        ("label_ids", "{from: title, using: {text.split: ','}}", False),
    ],
)
def test_what_steps_give_is_compared_with_the_field(spec: Path, target: str, written: str, warned: bool) -> None:
    """A step between hides no type: a text stays one, and a step that says what it gives is believed."""
    text = spec.read_text(encoding="utf-8")
    at = text.index("\n      value: total-amount\n")
    rest = [line for line in text[at:].splitlines() if not line.startswith(f"      {target}: ")]
    spec.write_text(f"{text[:at]}\n      {target}: {written}{chr(10).join(rest)}\n", encoding="utf-8")
    document, migration = read(spec), load_migration(spec, {})
    told = [item for item in (*migration.warnings, *doubts_of(document, migration)) if item.code == "wrong-type"]
    assert [item.path.startswith(f"objects.quotes.fields.{target}") for item in told] == [True] * warned, told


def test_typographic_quotes_are_letters(spec: Path) -> None:
    """They would be part of a name that people see in their account."""
    assert doubted(edited(spec, 'name: "Discount %"', "name: “Discount %”")) == ["custom_fields.organizations.discount.name"]


@pytest.mark.parametrize(
    ("label", "doubts"),
    [
        ("Website", True),  # as the connector says that it is called
        (" website ", True),
        ("Visible to", True),  # as its field is called
        ("Web address", False),
        ("Product code", False),  # one of another resource
    ],
)
def test_a_custom_field_called_like_one_of_the_platform(spec: Path, label: str, doubts: bool) -> None:
    """People would see two of a name: it is told at the name, with another one to take."""
    text = edited(spec, "name: Web site,", f"name: '{label}',").read_text(encoding="utf-8")
    line = next(at for at, line in enumerate(text.splitlines(), 1) if f"name: '{label}'" in line)
    document = read(spec)
    told = [item for item in doubts_of(document, load_migration(spec, {})) if item.code == "duplicate-value"]
    assert [item.where and item.where.line for item in told] == [line] * doubts
    assert all("(STEL Order)" in item.advice for item in told)


def refused(spec: Path) -> list[str]:
    """The places of all errors, as paths."""
    with pytest.raises(SpecError) as caught:
        load_migration(spec, {})
    return [item.path for item in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [("timezone: Europe/Madrid", "timezone: Europe/Madird", "settings.timezone"), ("region: ES", "region: XX", "settings.phone_region")],
)
def test_a_setting_that_steps_cannot_use_is_told_where_it_stands(spec: Path, old: str, new: str, place: str) -> None:
    """Once, and not at every step that it goes to."""
    assert refused(edited(spec, old, new)) == [place]


def test_a_destination_that_there_is_not_is_told_without_its_fields(spec: Path) -> None:
    """What the fields of an unknown resource are, nobody knows."""
    assert not any(".fields.custom." in path for path in refused(edited(spec, "    to: deals\n", "    to: deal\n")))


def test_a_connector_that_is_not_there_is_told_with_one_advice(spec: Path) -> None:
    """The path, once."""
    with pytest.raises(SpecError) as caught:
        load_migration(edited(spec, "../connectors/pipedrive.yaml", "connectors/pipedrive.yaml"), {})
    assert str(caught.value).count("check the path") == 1
