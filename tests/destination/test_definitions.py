"""Which definition of an account is which of the spec, row by row of the table of decisions."""

from __future__ import annotations

from typing import Any

import pytest

from engine.connector.model import CustomFields
from engine.destination.definitions import (
    Decision,
    Deleted,
    Found,
    Make,
    Remembered,
    Rename,
    Renamed,
    Retyped,
    decide,
    made_for,
    match_options,
    memory,
    remembered,
)
from engine.language.model import CustomField
from engine.store.links import Link
from tests.replacing import replace

CUSTOM = CustomFields(
    "fields", "code", "name", "type", {"text": "varchar", "phone": "varchar", "number": "double", "enum": "enum"}, options="options"
)


def field(label: str = "Tax id", kind: str = "text") -> CustomField:
    """The custom field of a spec."""
    return CustomField("companies", "tax", label, kind)


def row(name: str = "Tax id", kind: str = "varchar", code: str = "c1") -> dict[str, Any]:
    """A definition of the account."""
    return {"code": code, "name": name, "type": kind}


def known(label: str = "Tax id", wanted: str = "Tax id", kind: str = "text", ours: bool = True) -> Remembered:
    """What the store knows."""
    return Remembered("c1", ours, label, wanted, kind, {}, {}, frozenset())


TABLE: dict[str, tuple[CustomField, Remembered | None, list[dict[str, Any]], Decision]] = {
    "never seen, not there": (field(), None, [row("Other")], Make()),
    "never seen, there by name and type": (field(), None, [row(code="c7")], Found(row(code="c7"))),
    "never seen, there by name with another type": (field(), None, [row(kind="double")], Make()),
    "never seen, the only one of its name is another field's": (field(), None, [row(code="taken")], Make()),
    "there under its name": (field(), known(), [row()], Found(row())),
    "another of its name is listed first": (field(), known(), [row(code="c0"), row()], Found(row())),
    "renamed by people": (field(), known(), [row("NIF")], Renamed(row("NIF"), "NIF", news=True)),
    "renamed by people, one of the old name made beside it": (
        field(), known(), [row(code="c0"), row("NIF")], Renamed(row("NIF"), "NIF", news=True)
    ),
    "renamed by people, said before": (field(), known(label="NIF"), [row("NIF")], Renamed(row("NIF"), "NIF", news=False)),
    "renamed by people again": (field(), known(label="NIF"), [row("CIF")], Renamed(row("CIF"), "CIF", news=True)),
    "renamed by people to what the spec says by now": (field("NIF"), known(), [row("NIF")], Found(row("NIF"))),
    "renamed in the spec, ours": (field("NIF"), known(), [row()], Rename(row(), "Tax id")),
    "renamed in the spec, people's": (
        field("NIF"), known(ours=False), [row()], Renamed(row(), "Tax id", news=True, by_spec=True)
    ),
    "renamed in the spec and by people": (
        field("NIF"), known(), [row("CIF")], Renamed(row("CIF"), "CIF", news=True, by_spec=True)
    ),
    "renamed by people, later in the spec to a third name": (
        field("VAT"), known(label="NIF"), [row("NIF")], Renamed(row("NIF"), "NIF", news=True, by_spec=True)
    ),
    "renamed in the spec, offered before": (field("NIF"), known(wanted="NIF"), [row()], Renamed(row(), "Tax id", news=False)),
    "another type in the spec": (field(kind="number"), known(), [row()], Retyped(row(), "text")),
    "another word for the same type of the platform": (field(kind="phone"), known(), [row()], Found(row())),
    "deleted by people": (field(), known(), [row(code="c9", name="Other")], Deleted()),
    "deleted by people, another type in the spec": (field(kind="number"), known(), [], Deleted()),
    "deleted by people and made by hand": (field(), known(), [row(code="c9")], Deleted(row(code="c9"))),
    "known to an older store": (field(), known(label="", wanted="", kind=""), [row()], Found(row())),
    "known to an older store, another name": (
        field(), known(label="", wanted="", kind=""), [row("NIF")], Renamed(row("NIF"), "NIF", news=True)
    ),
    "known to an older store, another type": (
        field(kind="number"), known(label="", wanted="", kind=""), [row()], Retyped(row(), "varchar")
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_a_field_is_told_by_its_code_and_only_then_by_its_name(case: str) -> None:
    """Each row of the table of decisions holds."""
    item, before, rows, expected = TABLE[case]
    assert decide(item, CUSTOM, before, rows, taken=frozenset({"taken"}), can_rename=True) == expected


@pytest.mark.parametrize("before", [None, known()], ids=["never seen", "taken for ours by an older etl"])
@pytest.mark.parametrize("made", [False, True], ids=["the platform's alone", "people's beside it"])
def test_a_field_that_the_platform_has_of_itself_is_never_ours(before: Remembered | None, made: bool) -> None:
    """What nobody made is found by no name and no code; one that people made beside it is."""
    custom = replace(CUSTOM, own="made.by_people")
    people = row(code="c2") | {"made": {"by_people": True}}
    rows = [row() | {"made": {"by_people": False}}, *([people] if made else [])]
    assert decide(field(), custom, before, rows) == (Found(people) if made else Make())


@pytest.mark.parametrize("said", [{}, {"ours": None}, {"ours": ""}, {"ours": True}, {"ours": 1}, {"ours": "yes"}, {"ours": "2026-11-29"}], ids=str)
@pytest.mark.parametrize("before", [None, known()], ids=["never seen", "known"])
def test_silence_does_not_make_a_field_the_platforms_own(before: Remembered | None, said: dict[str, Any]) -> None:
    """A definition that does not say who made it is found, and no second one is made beside it in every run."""
    there = row() | said
    assert decide(field(), replace(CUSTOM, own="ours"), before, [there]) == Found(there)


@pytest.mark.parametrize("said", [False, 0, "0", "no", "false", "N"], ids=repr)
@pytest.mark.parametrize("before", [None, known()], ids=["never seen", "known"])
def test_an_explicit_no_in_any_form_makes_a_field_the_platforms_own(before: Remembered | None, said: Any) -> None:
    """A flag that says no, as platforms write it, keeps the definition out of the spec's fields."""
    assert decide(field(), replace(CUSTOM, own="ours"), before, [row() | {"ours": said}]) == Make()


def test_a_field_is_not_renamed_where_the_platform_cannot() -> None:
    """Without a way to update definitions, a new name in the spec is offered."""
    assert decide(field("NIF"), CUSTOM, known(), [row()]) == Renamed(row(), "Tax id", news=True, by_spec=True)


def with_options(**options: int) -> dict[str, Any]:
    """A definition of the account with options by label."""
    return row(kind="enum") | {"options": [{"id": found, "label": label} for label, found in options.items()]}


def after(labels: list[str], **options: int) -> Remembered:
    """What the store knows after a run that wanted these labels of an account that had these options."""
    found = with_options(**options)
    extra = memory("Tax id", "enum", CUSTOM, found, match_options(labels, (), CUSTOM, None, found))
    told = remembered(Link("", "companies.custom.tax", "fields", "c1", "", {}, "created", extra=extra))
    assert told is not None
    return told


OPTIONS: dict[str, tuple[Remembered | None, list[str], dict[str, str], dict[str, int], dict[str, int], set[str], set[tuple[str, str]]]]
OPTIONS = {
    "first time": (None, ["Gold", "Silver"], {}, {"Gold": 1}, {"Gold": 1}, {"Silver"}, set()),
    "as before": (after(["Gold"], Gold=1), ["Gold"], {}, {"Gold": 1}, {"Gold": 1}, set(), set()),
    "renamed by people": (
        after(["Gold"], Gold=1), ["Gold"], {}, {"Premium": 1}, {"Premium": 1, "Gold": 1}, set(), {("Gold", "Premium")}
    ),
    "two that people gave each other's names": (
        after(["Gold", "Silver"], Gold=1, Silver=2), ["Gold", "Silver"], {}, {"Silver": 1, "Gold": 2}, {"Gold": 1, "Silver": 2},
        set(), {("Gold", "Silver"), ("Silver", "Gold")},
    ),
    "deleted by people": (after(["Gold"], Gold=1), ["Gold"], {}, {"Silver": 2}, {"Silver": 2}, {"Gold"}, set()),
    "deleted by people and made by hand": (after(["Gold"], Gold=1), ["Gold"], {}, {"Gold": 5}, {"Gold": 5}, set(), set()),
    "one of people's that nobody asked for, renamed": (
        after(["Gold"], Gold=1, Other=3), ["Gold", "Other"], {}, {"Gold": 1, "More": 3}, {"Gold": 1, "More": 3}, {"Other"}, set()
    ),
    "no longer in the spec, but written once": (
        after(["Gold", "Silver"], Gold=1, Silver=2), ["Gold"], {}, {"Gold": 1, "Argent": 2},
        {"Gold": 1, "Argent": 2, "Silver": 2}, set(), set(),
    ),
    "renamed in the spec": (
        after(["Lead"], Lead=1), ["Prospect"], {"Prospect": "Lead"}, {"Lead": 1}, {"Lead": 1, "Prospect": 1}, set(),
        {("Prospect", "Lead")},
    ),
    "renamed in the spec before it was ever made": (
        None, ["Prospect"], {"Prospect": "Lead"}, {"Other": 1}, {"Other": 1}, {"Prospect"}, set()
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS)
def test_a_label_of_ours_keeps_meaning_its_option(case: str) -> None:
    """An option is told by its id as long as it is there, then by its label; what is neither is missing."""
    before, labels, were, account, ids, missing, renamed = OPTIONS[case]
    found = match_options(labels, tuple(were.items()), CUSTOM, before, with_options(**account))
    assert (found.ids, set(found.missing), set(found.renamed)) == (ids, missing, renamed)


def test_an_option_that_was_renamed_is_news_once() -> None:
    """What has been remembered under its new name is no news any more."""
    found = with_options(Premium=1)
    first = match_options(["Gold"], (), CUSTOM, after(["Gold"], Gold=1), found)
    link = Link("", "companies.custom.tax", "fields", "c1", "", {}, "created", extra=memory("Tax id", "enum", CUSTOM, found, first))
    second = match_options(["Gold"], (), CUSTOM, remembered(link), found)
    assert (first.news, second.news, second.renamed) == ((("Gold", "Premium"),), (), (("Gold", "Premium"),))


def test_an_option_with_other_blanks_is_ours_unless_there_are_two() -> None:
    """Two options that differ from a label by blanks alone are told apart by nobody: the label is missing."""
    one = match_options(["Gold rush"], (), CUSTOM, None, with_options(**{"Gold  rush": 1}))
    two = match_options(["Gold rush"], (), CUSTOM, None, with_options(**{"Gold  rush": 1, "Gold   rush": 2}))
    assert (one.missing, one.ids["Gold rush"]) == ((), 1)
    assert two.missing == ("Gold rush",)


MADE: dict[str, tuple[list[str], list[str], dict[str, int]]] = {
    "as they are": (["Gold", "Silver"], ["Gold", "Silver"], {}),
    "cut": (["Golden days", "Silver"], ["Golden", "Silver"], {"Golden days": 1}),
    "one left out, another shown by its beginning": (["Gold rush", "Gold leaf"], ["Gold"], {}),
    "both shown by one beginning": (["Gold rush", "Gold leaf"], ["Gold", "Gold"], {"Gold rush": 1, "Gold leaf": 2}),
    "one is the beginning of the other": (["Gold", "Gold rush"], ["Gold", "Gold r"], {"Gold rush": 2}),
    "two may be it": (["Gold rush"], ["Gold", "Gold r"], {}),
    "folded": (["gold", "silver"], ["GOLD", "SILVER"], {"gold": 1, "silver": 2}),
    "called otherwise": (["Gold", "Silver"], ["Gold", "Option 2"], {"Silver": 2}),
    "one cut, the other called otherwise": (["Golden days", "Silver"], ["Golden", "Option 2"], {"Golden days": 1, "Silver": 2}),
    "one left out, and people added one of a name of ours": (["Gold", "Silver"], ["Gold", "Gold", "Theirs"], {}),
    "called otherwise, and people added one": (["Gold"], ["Option 2", "Theirs"], {}),
}


@pytest.mark.parametrize("case", MADE)
def test_a_label_has_the_option_that_was_made_for_it_or_none(case: str) -> None:
    """Options that the account calls otherwise are told apart by their form, and where that fits several, by nobody."""
    labels, shown, expected = MADE[case]
    custom = replace(CUSTOM, option_id="id", option_label="label")
    there = [{"id": 90, "label": "Gold, of old"}]
    fresh = [{"id": number, "label": text} for number, text in enumerate(shown, 1)]
    assert made_for(labels, custom, {"options": there}, {"options": there + fresh}) == expected
