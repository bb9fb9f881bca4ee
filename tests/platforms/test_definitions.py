"""Custom fields and options belong to the account: they are used by id, and made once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.fields import (
    CONTAINERS,
    TABLE,
    TAX,
    TIER,
    custom_of,
    delete_field,
    field,
    members,
    option,
    person,
    spec,
    values,
)
from tests.platforms.platform import Answer, Platform, Request, Row
from tests.platforms.project import attention, texts

EVERYWHERE = pytest.mark.parametrize("container", CONTAINERS, ids=["flat", "plain", "dotted"])
TAXES = {"Person 1": "B1", "Person 2": "B2", "Person 3": "B3"}
TIERS = {"Person 1": "Gold", "Person 2": "Silver", "Person 3": "Gold"}
ON_REQUEST = "--remake-fields"  # with which a run makes anew what people have deleted
THEIR_TAX = {"id": "f_7", "label": "Tax id", "kind": "string", "choices": []}


def labels(platform: Platform) -> list[str]:
    """What people see of the account's fields."""
    return sorted(row["label"] for row in platform.tables[TABLE])


def said(report: Any) -> str:
    """All that a run says beside the records."""
    return "\n".join([*report["notices"], texts(report)])


@EVERYWHERE
def test_values_arrive_wherever_they_stand(container: str, serve: Serve, tmp_path: Path) -> None:
    """Fields are made once, values stand under their codes, a delta changes one, a rollback takes
    all back.
    """
    trial = members(serve, tmp_path, container)
    platform = trial.platform
    trial.full(code=0)
    assert labels(platform) == ["Tax id", "Tier"]
    assert values(platform, "Tax id", container) == TAXES
    assert values(platform, "Tier", container) == TIERS

    platform.tables["people"][0].update(tax="B9", tier="Silver")
    assert trial.delta(code=0)["verdict"]["updated"] == 1
    assert values(platform, "Tax id", container) == TAXES | {"Person 1": "B9"}
    assert values(platform, "Tier", container) == TIERS | {"Person 1": "Silver"}
    trial.verify(code=0)
    trial.rollback(code=0)
    assert not platform.tables["contacts"] and not platform.tables[TABLE]


# -- what people do to definitions


@EVERYWHERE
def test_a_field_that_people_renamed_is_used(container: str, serve: Serve, tmp_path: Path) -> None:
    """It is the same field under another name: said once, filled in for new and changed records,
    and kept so.
    """
    trial = members(serve, tmp_path, container)
    platform = trial.platform
    trial.full(code=0)
    field(platform, "Tax id")["label"] = "VAT number"
    platform.tables["people"][0]["tax"] = "B9"
    platform.tables["people"].append(person(4, "Gold"))
    report = trial.delta()
    assert said(report).count("VAT number") == 1
    assert labels(platform) == ["Tier", "VAT number"]
    assert values(platform, "VAT number", container) == TAXES | {"Person 1": "B9", "Person 4": "B4"}
    assert trial.delta(code=0)["verdict"]["updated"] == 0
    trial.verify(code=0)


@EVERYWHERE
def test_an_option_that_people_renamed_is_used(
    container: str, serve: Serve, tmp_path: Path
) -> None:
    """Records that want it get it by its id; no second option is made, and no record is in
    conflict.
    """
    trial = members(serve, tmp_path, container)
    platform = trial.platform
    trial.full(code=0)
    option(platform, "Tier", "Gold")["text"] = "Premium"
    platform.tables["people"][1]["tier"] = "Gold"
    platform.tables["people"][2]["tier"] = "Silver"
    platform.tables["people"].append(person(4, "Gold"))
    trial.delta()
    assert [one["text"] for one in field(platform, "Tier")["choices"]] == ["Premium", "Silver"]
    assert values(platform, "Tier", container) == {
        "Person 1": "Premium",
        "Person 2": "Premium",
        "Person 3": "Silver",
        "Person 4": "Premium",
    }
    assert attention(trial.delta(code=0)) == set()
    trial.verify(code=0)


def test_a_report_says_what_fields_and_options_cost(serve: Serve, tmp_path: Path) -> None:
    """What is told for writing is of records; the calls that make fields and options are told beside it, and both are all that was written."""
    trial = members(serve, tmp_path)
    report = trial.full(code=0)
    rows = sum(item["cost"] for item in report["objects"])
    assert (report["provisioned"]["cost"], rows) == (2, 3) and trial.platform.count_writes() == 5
    assert "calls for custom fields and options: 2\n  calls for writing: 3;" in trial.etl("report").out
    assert trial.delta(code=0)["provisioned"]["cost"] == 0


def test_the_question_of_a_rollback_says_what_counts_as_a_row(serve: Serve, tmp_path: Path) -> None:
    """Where custom fields are among what goes, the question says that they are counted; of rows alone it says nothing more."""
    trial = members(serve, tmp_path)
    trial.full(code=0)
    counted = "(custom fields and stages are counted as rows)"
    assert f"to 5 rows {counted} in" in trial.etl("rollback", code=130, said="n\n").err
    trial.platform.tables["people"].append(person(4, "Gold"))
    trial.delta(code=0)
    assert "to 1 row in" in trial.etl("rollback", "--run", "2", code=130, said="n\n").err


def test_a_field_made_anew_stays_with_rows_that_stay(serve: Serve, tmp_path: Path) -> None:
    """However often a rollback is repeated: that the old field is gone says nothing of the new one."""
    trial = members(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    delete_field(platform, "Tax id")
    trial.delta(ON_REQUEST)
    for row in platform.tables["contacts"]:
        row["name"] += " (spoke to her)"
    for _ in range(3):
        trial.rollback()
        assert labels(platform) == ["Tax id", "Tier"]
        assert sorted(values(platform, "Tax id").values()) == sorted(TAXES.values())


def test_a_field_that_people_deleted_is_reported_and_not_made_anew(
    serve: Serve, tmp_path: Path
) -> None:
    """People meant it: the run says that it is gone and what to do, and makes no second one by
    itself.
    """
    trial = members(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    delete_field(platform, "Tax id")
    platform.tables["people"][0]["tax"] = "B9"
    platform.tables["people"].append(person(4, "Gold"))
    done = trial.etl("run", "--delta", "--json")
    assert done.code in (1, 4), str(done)
    assert "Tax id" in (said(done.data()) if done.code == 1 else done.err)
    assert labels(platform) == ["Tier"]
    if done.code == 1:
        assert values(platform, "Tier")["Person 4"] == "Gold"
        trial.verify(code=1)


def test_a_deleted_field_is_made_anew_on_request(serve: Serve, tmp_path: Path) -> None:
    """Asked for it, a run makes the field anew and fills it in for all records."""
    trial = members(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    delete_field(platform, "Tax id")
    platform.tables["people"][0]["tax"] = "B9"
    platform.tables["people"].append(person(4, "Gold"))
    trial.etl("run", "--delta")
    trial.delta(ON_REQUEST)
    assert labels(platform) == ["Tax id", "Tier"]
    assert values(platform, "Tax id") == TAXES | {"Person 1": "B9", "Person 4": "B4"}
    trial.delta(code=0)
    trial.verify(code=0)


# -- what an edit of the spec does to definitions


@dataclass(frozen=True, slots=True)
class Edited:
    """An edit of the spec, and what people see in the account afterwards."""

    name: str
    spec: Mapping[str, Any]
    fields: tuple[str, ...] = ("Tax id", "Tier")
    options: tuple[str, ...] = ("Gold", "Silver")
    theirs: tuple[Row, ...] = ()  # definitions that people made before
    renames: bool = True  # whether the platform can rename a field


VAT = {**TAX, "name": "VAT"}
PREMIUM = {"was": "Gold", "label": "Premium"}
RENAMED = {**TIER, "options": [PREMIUM, "Silver"]}
BRONZE = {**TIER, "options": ["Gold", "Silver", "Bronze"]}
EDITED = (
    Edited("renamed-and-ours", spec(tax=VAT), ("Tier", "VAT")),
    Edited("renamed-and-theirs", spec(tax=VAT), theirs=(THEIR_TAX,)),
    Edited("renamed-where-none-can-be", spec(tax=VAT), renames=False),
    Edited("key-with-was", spec(tax={**TAX, "was": "tax"}, tax_key="vat")),
    Edited(
        "key-and-name-with-was", spec(tax={**VAT, "was": "tax"}, tax_key="vat"), ("Tier", "VAT")
    ),
    Edited("key-without-was", spec(tax_key="vat")),
    Edited("option-added", spec(tier=BRONZE), options=("Gold", "Silver", "Bronze")),
)


@pytest.mark.parametrize("case", EDITED, ids=[case.name for case in EDITED])
def test_an_edit_of_the_spec_makes_no_second_field(
    case: Edited, serve: Serve, tmp_path: Path
) -> None:
    """A field that the spec calls otherwise is renamed where we made it, and is the same field in
    any case.
    """
    trial = members(serve, tmp_path, renames=case.renames, fields=case.theirs)
    platform = trial.platform
    trial.full(code=0)
    codes = {row["id"] for row in platform.tables[TABLE]}
    trial.write_spec(case.spec)
    report = trial.full(code=None)
    assert report["verdict"]["created"] == 0
    assert tuple(labels(platform)) == case.fields
    assert {row["id"] for row in platform.tables[TABLE]} == codes
    assert tuple(one["text"] for one in field(platform, "Tier")["choices"]) == case.options
    name = next(label for label in case.fields if label != "Tier")
    assert values(platform, name) == TAXES
    assert values(platform, "Tier") == TIERS


def test_an_option_that_the_spec_renames_stays_that_option(serve: Serve, tmp_path: Path) -> None:
    """`{was: Gold, label: Premium}`: records that want Premium get the option that was Gold; no
    other is made.
    """
    trial = members(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    gold = option(platform, "Tier", "Gold")["id"]
    trial.write_spec(spec(tier=RENAMED))
    for row in platform.tables["people"]:
        row["tier"] = "Premium" if row["tier"] == "Gold" else row["tier"]
    assert trial.run("--sample", "--refresh", code=0)["verdict"]["created"] == 0
    assert len(field(platform, "Tier")["choices"]) == 2
    code = field(platform, "Tier")["id"]
    assert platform.one("contacts", name="Person 1")[code] == gold


def test_another_type_is_refused(serve: Serve, tmp_path: Path) -> None:
    """No platform changes the type of a field: the run ends with code 4, names the field and
    changes nothing.
    """
    trial = members(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    trial.write_spec(spec(tax={**TAX, "type": "number"}))
    before = platform.count_writes()
    done = trial.etl("run", "--sample", code=4)
    assert "Tax id" in done.err and "number" in done.err
    assert platform.count_writes() == before
    assert labels(platform) == ["Tax id", "Tier"]


# -- an object under another name


def test_a_renamed_object_keeps_its_rows(serve: Serve, tmp_path: Path) -> None:
    """With `was`, the rows of the old name are the new one's: nothing is made, changed or asked."""
    trial = members(serve, tmp_path)
    platform = trial.platform
    trial.full(code=0)
    links = trial.links("contacts")
    trial.write_spec(spec(called="cards", was="contacts"))
    before = platform.count_writes()
    trial.full(code=0)
    assert platform.count_writes() == before
    assert trial.links("cards") == links
    assert len(platform.tables["contacts"]) == 3

    platform.tables["people"][0]["tax"] = "B9"
    assert trial.delta(code=0)["verdict"]["updated"] == 1
    trial.rollback(code=0)
    assert platform.tables["contacts"] == []


def renamed() -> Mapping[str, Any]:
    """The spec with its object under another name."""
    return spec(called="cards")


def split() -> Mapping[str, Any]:
    """The spec with two objects in the place of one."""
    found = dict(renamed())
    cards = found["objects"]["cards"]
    parts = {"first": {"tier": "Gold"}, "rest": {"tier": "Silver"}}
    return {**found, "objects": {name: {**cards, "when": when} for name, when in parts.items()}}


@pytest.mark.parametrize("edited", [renamed(), split()], ids=["renamed", "split"])
def test_an_object_that_is_renamed_without_a_word_is_refused(
    edited: Mapping[str, Any], serve: Serve, tmp_path: Path
) -> None:
    """Without `was` its records would be made a second time: the run names it and ends before it
    writes.
    """
    trial = members(serve, tmp_path)
    trial.full(code=0)
    trial.write_spec(edited)
    before = trial.platform.count_writes()
    done = trial.etl("run", "--sample")
    assert done.code in (2, 4), str(done)
    assert "contacts" in done.err
    assert trial.platform.count_writes() == before
    assert len(trial.platform.tables["contacts"]) == 3


def test_a_deleted_field_sends_no_creation_again(serve: Serve, tmp_path: Path) -> None:
    """A record that the destination takes for one with another is tried once after it has changed,
    not in every run.
    """
    trial = members(serve, tmp_path)
    platform = trial.platform
    platform.before.append(odd.one_for_each("contacts", "name", "left as it was", 200))
    people = platform.tables["people"]
    people.append({**person(4, "Gold"), "name": people[0]["name"]})
    trial.full(code=1)
    calls = platform.count_writes()
    trial.full(code=1)
    assert platform.count_writes() == calls
    delete_field(platform, "Tax id")
    people[3]["tier"] = "Silver"
    trial.delta(code=1)
    assert platform.count_writes() == calls + 1
    trial.delta(code=1)
    assert platform.count_writes() == calls + 1


def test_a_refusal_names_a_field_as_the_spec_does(serve: Serve, tmp_path: Path) -> None:
    """The platform knows a custom field by its code, people by the name that it has in the spec: both are shown."""

    def refuse(platform: Platform, request: Request) -> Answer | None:
        if not request.writes("contacts") or request.body["name"] != "Person 2":
            return None
        code = field(platform, "Tax id")["id"]
        return Answer(422, {"error": f"{code}: too short, not like {code}9"})

    trial = members(serve, tmp_path)
    trial.platform.before.append(refuse)
    report = trial.full(code=1)
    code = field(trial.platform, "Tax id")["id"]
    assert f"{code} (custom.tax): too short, not like {code}9" in texts(report)


FORMS: dict[str, tuple[list[str], Callable[[str], str]]] = {
    "blanks folded": (["Very  Gold", "Silver"], lambda text: " ".join(text.split())),
    "cut": (["Instalaciones de baja tension", "Mantenimiento de otras cosas"], lambda text: text[:14]),
    "cut to one name": (["Instalaciones de baja tension", "Instalaciones de alta tension"], lambda text: text[:14]),
    "capitals": (["gold members", "silver members"], str.upper),
    "renamed wholly": (["Gold"], lambda text: "Option 1"),
}


@pytest.mark.parametrize("later", [False, True], ids=["at once", "added later"])
@pytest.mark.parametrize(("words", "form"), FORMS.values(), ids=FORMS)
def test_an_option_that_the_platform_calls_otherwise_is_made_once(
    words: list[str], form: Callable[[str], str], later: bool, serve: Serve, tmp_path: Path
) -> None:
    """It stands for the label that it was made for: records have it, and no later run adds another."""
    trial = members(serve, tmp_path)
    for number, one in enumerate(trial.platform.tables["people"]):
        one["tier"] = words[number % len(words)]

    def reform(platform: Platform, request: Request) -> Answer | None:
        body = request.body if isinstance(request.body, list) else (request.body or {}).get("choices") or []
        if request.method == "POST" and request.parts[0] == TABLE:
            for choice in body:
                choice["text"] = form(choice["text"])
        return None

    trial.platform.before.insert(0, reform)
    wanted = trial.spec()
    if later:
        wanted["custom_fields"]["contacts"]["tier"]["options"] = ["First of all"]
        trial.write_spec(wanted)
        trial.run("--sample", code=None)
        words = ["First of all", *words]
    wanted["custom_fields"]["contacts"]["tier"]["options"] = words
    trial.write_spec(wanted)
    trial.run("--sample", code=None)  # what became of the names is told
    trial.run("--sample", code=None)
    assert len(field(trial.platform, "Tier")["choices"]) == len(words)
    code = field(trial.platform, "Tier")["id"]
    called = {one["id"]: one["text"] for one in field(trial.platform, "Tier")["choices"]}
    wanted_by = {one["name"]: form(one["tier"]) for one in trial.platform.tables["people"]}
    assert {row["name"]: called[row[code]] for row in trial.platform.tables["contacts"]} == wanted_by


def test_options_that_cannot_be_taken_away_are_kept(serve: Serve, tmp_path: Path) -> None:
    """A rollback says so of an option that was added to a field of people's, where the platform removes none."""
    theirs = {"id": "f_7", "label": "Tier", "kind": "choice", "choices": [{"id": 1, "text": "Gold"}]}
    trial = members(serve, tmp_path, fields=(theirs,))
    trial.full(code=0)
    assert len(field(trial.platform, "Tier")["choices"]) == 2
    undone = trial.etl("rollback", "--yes", "--json", code=1).data()
    assert ["", "contacts.custom.tier", "the destination takes no options away"] in undone["kept"]
    assert trial.platform.tables["contacts"] == []


BEFORE_ROLLBACK: dict[str, tuple[tuple[str, ...], ...]] = {"at once": (), "a delta": (("run", "--delta"),)}


@EVERYWHERE
@pytest.mark.parametrize("commands", BEFORE_ROLLBACK.values(), ids=BEFORE_ROLLBACK)
def test_a_deleted_field_keeps_no_row_in_a_rollback(
    commands: tuple[tuple[str, ...], ...], container: str, serve: Serve, tmp_path: Path
) -> None:
    """That its values went with it is no edit of the rows; an edit of another field is one."""
    trial = members(serve, tmp_path, container)
    platform = trial.platform
    trial.full(code=0)
    delete_field(platform, "Tax id")
    for words in commands:
        trial.etl(*words)
    platform.tables["contacts"][0]["name"] += " (spoke to her)"
    trial.rollback()
    assert [row["name"] for row in platform.tables["contacts"]] == ["Person 1 (spoke to her)"]


@EVERYWHERE
def test_a_deleted_field_is_known_as_the_platform_kept_its_values(container: str, serve: Serve, tmp_path: Path) -> None:
    """A field whose values the platform wrote in its own form is no edit once it is deleted, either."""
    trial = members(serve, tmp_path, container)
    platform = trial.platform

    def lowered(_: Platform, request: Request) -> None:
        if request.writes("contacts"):
            held = custom_of(request.body, container) if container else request.body
            held |= {code: held[code].lower() for code in held if held[code] in ("B1", "B2", "B3")}

    platform.before.append(lowered)
    trial.full(code=None)
    assert set(values(platform, "Tax id", container).values()) == {"b1", "b2", "b3"}
    delete_field(platform, "Tax id")
    trial.rollback(code=0)
    assert platform.tables["contacts"] == []


@EVERYWHERE
def test_an_edit_beside_a_deleted_field_is_named_by_itself(container: str, serve: Serve, tmp_path: Path) -> None:
    """The field that people changed is why a row is kept; the one that they deleted is not."""
    trial = members(serve, tmp_path, container)
    platform = trial.platform
    trial.full(code=0)
    delete_field(platform, "Tax id")
    row, code = platform.tables["contacts"][0], field(platform, "Tier")["id"]
    held = custom_of(row, container) if container else row
    held[code] = option(platform, "Tier", "Silver")["id"]
    assert ["contacts", "people/1", "people changed custom.tier"] in trial.rollback(code=1)["kept"]
    assert len(platform.tables["contacts"]) == 1


def test_an_option_that_people_added_is_not_taken_for_one_that_was_refused(serve: Serve, tmp_path: Path) -> None:
    """The platform refuses our option, and shows a new one: it is somebody else's, and no record gets it."""
    theirs = {"id": "f_7", "label": "Tier", "kind": "choice", "choices": [{"id": 1, "text": "Gold"}]}
    trial = members(serve, tmp_path, fields=(theirs,))

    def refusing(platform: Platform, request: Request) -> Answer | None:
        if request.method != "POST" or request.parts[-1] != "choices":
            return None
        field(platform, "Tier")["choices"].append({"id": 9, "text": "Silver, of old"})
        return Answer(422, {"error": "no more options"})

    trial.platform.before.insert(0, refusing)
    trial.full(code=1)
    assert {row.get("f_7") for row in trial.platform.tables["contacts"]} == {1, None}


def test_options_that_the_platform_calls_otherwise_are_taken_away(serve: Serve, tmp_path: Path) -> None:
    """A rollback knows the options that it added by their ids, whatever they are called."""
    theirs = {"id": "f_7", "label": "Tier", "kind": "choice", "choices": [{"id": 1, "text": "Gold"}]}
    trial = members(serve, tmp_path, fields=(theirs,))
    path = tmp_path / "destination.yaml"
    known = json.loads(path.read_text(encoding="utf-8"))
    known["resources"][TABLE]["remove_options"] = {"delete": f"/{TABLE}/{{id}}/choices"}
    path.write_text(json.dumps(known), encoding="utf-8")

    def choosing(platform: Platform, request: Request) -> Answer | None:
        if request.parts[-1:] != ["choices"]:
            return None
        choices = field(platform, "Tier")["choices"]
        if request.method == "POST":
            choices.append({"id": 9, "text": "Option 9"})
            return Answer(200, dict(field(platform, "Tier")))
        gone = {one["id"] for one in request.body}
        choices[:] = [one for one in choices if one["id"] not in gone]
        return Answer(200, {})

    trial.platform.before.insert(0, choosing)
    trial.full(code=None)
    assert [one["id"] for one in field(trial.platform, "Tier")["choices"]] == [1, 9]
    trial.rollback(code=0)
    assert [one["id"] for one in field(trial.platform, "Tier")["choices"]] == [1]
