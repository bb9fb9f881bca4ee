"""Custom fields that the destination's plan has no room for become lines of notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.platforms.conftest import Serve
from tests.platforms.fields import (
    TABLE,
    TAX,
    TIER,
    checking,
    connector,
    defining,
    field,
    values,
)
from tests.platforms.platform import Platform
from tests.platforms.project import (
    Project,
    call,
    mapped,
    migration,
    project,
    readable,
    writable,
)

TEXTS = dict.fromkeys(("name", "tier", "tax", "memo", "Large"), "text")
PEOPLE = [
    {"id": 1, "name": "Ana", "tier": "Gold", "tax": "B1", "memo": "<script>x</script>"},
    {"id": 2, "name": "Bea", "tier": "Silver", "tax": "B2", "memo": ""},
    {"id": 3, "name": "Cid", "tier": "", "tax": "B3", "memo": "one\ntwo", "Large": "by the path Large"},
]
CUSTOM = {"tier": TIER, "tax": TAX, "memo": {"name": "Memo", "type": "text"}}
NOTE = {"to": "notes", "text": "content", "about": {"contacts": "contact_id"}}


def trial(serve: Serve, folder: Path, **rules: Any) -> Project:
    """Three people with three custom fields, and an account that takes one."""
    platform = serve(people=[dict(row) for row in PEOPLE], contacts=[], notes=[], **{TABLE: []})
    platform.before += [defining(), checking("")]
    destination = dict(connector(""))
    destination["custom_fields"] = {**destination["custom_fields"], "most": {"*": 1}}
    notes = writable("notes", ["contact_id", "content"], content="html", contact_id="ref contacts")
    destination["resources"] = {**destination["resources"], "notes": notes}
    return project(folder, platform, {"people": readable("people", **TEXTS)}, destination, spec(**rules))


def spec(**rules: Any) -> Any:
    """The migration, with rules for what is beyond the plan where there are any."""
    fields = {"name": "name", **{f"custom.{name}": name for name in CUSTOM}}
    keys = {"beyond_plan": {"note": NOTE, **rules}} if rules.pop("asked", True) else {}
    return migration({"contacts": mapped("people", "contacts", fields)}, custom_fields={"contacts": CUSTOM}, **keys)


def notes(platform: Platform) -> dict[str, str]:
    """By the name of each contact the note about it."""
    names = {row["id"]: row["name"] for row in platform.tables["contacts"]}
    return {names[row["contact_id"]]: row["content"] for row in platform.tables["notes"]}


def test_without_a_word_about_it_nothing_is_made(serve: Serve, tmp_path: Path) -> None:
    """Three fields where one fits: the run is refused with the counts, before a field or a row is made."""
    found = trial(serve, tmp_path, asked=False)
    (tmp_path / "ungated").touch()
    done = found.etl("run", "--yes", code=4)
    assert "3 more are to be made" in done.err and "allows 1" in done.err and "beyond_plan" in done.err
    assert not found.platform.tables[TABLE] and not found.platform.tables["contacts"]


def test_the_first_fields_are_made_and_the_others_are_lines(serve: Serve, tmp_path: Path) -> None:
    """What comes first is a field, the rest lines of a note without markup of its own; a record with nothing for it has no note."""
    found = trial(serve, tmp_path, first=["contacts.tax"])
    report = found.full(code=0)
    assert [row["label"] for row in found.platform.tables[TABLE]] == [TAX["name"]]
    assert values(found.platform, TAX["name"]) == {"Ana": "B1", "Bea": "B2", "Cid": "B3"}
    assert notes(found.platform) == {
        "Ana": "<b>Tier:</b> Gold<br><b>Memo:</b> &lt;script&gt;x&lt;/script&gt;",
        "Bea": "<b>Tier:</b> Silver",
        "Cid": "<b>Memo:</b> one<br>two",
    }
    assert any("3 custom fields, of which 1 fit; 2 become lines of notes" in notice for notice in report["notices"])


def test_options_in_notes_are_in_the_language(serve: Serve, tmp_path: Path) -> None:
    """A field that is an option says the same in a note as in the field, however it is mapped; its paths,
    its conditions, what its steps are given and what is no option stay as they are.
    """
    found = trial(serve, tmp_path, first=["contacts.tax"])
    written = found.spec()
    tiers = {"name": "Tier", "type": "enum", "options": ["Gold", "Silver", {"was": "None", "label": "No tier"}]}
    sizes = {"name": "Size", "type": "set", "options": ["Gold", "Large"]}
    written["custom_fields"]["contacts"] |= {"tier": tiers, "size": sizes, "more": {**sizes, "name": "More"}}
    written["objects"]["contacts"]["fields"] |= {
        "custom.tier": {"from": "tier", "map": {"Gold": "Gold", "Silver": "Silver"}, "else": "No tier"},
        "custom.size": {
            "cases": [{"when": {"name": "Ana"}, "value": ["Gold", "Large"]}, {"when": {"tier": "Silver"}, "value": "Large"}],
            "else": {"from": "Large"},
        },
        "custom.more": {
            "cases": [{"when": {"name": "Ana"}, "from": ["Large", {"value": "Large"}]}],
            "else": ["Large", {"from": "memo", "using": {"text.default": {"value": "Large"}}}],
        },
        "custom.memo": {"from": [{"value": "Gold"}]},
    }
    written |= {"languages": {"en": "", "es": "es.yaml"}, "settings": {"language": "es"}}
    words = {"Tier": "Nivel", "Size": "Talla", "More": "Otro", "Memo": "Nota", "Tax id": "NIF", "Gold": "Oro", "Silver": "Plata", "No tier": "Sin nivel", "Large": "Grande"}
    (tmp_path / "es.yaml").write_text(json.dumps(words), encoding="utf-8")
    found.write_spec(written)
    found.full(code=0)
    assert notes(found.platform) == {
        "Ana": "<b>Nivel:</b> Oro<br><b>Nota:</b> Gold<br><b>Talla:</b> Oro, Grande<br><b>Otro:</b> Grande",
        "Bea": "<b>Nivel:</b> Plata<br><b>Nota:</b> Gold<br><b>Talla:</b> Grande<br><b>Otro:</b> Large",
        "Cid": "<b>Nivel:</b> Sin nivel<br><b>Nota:</b> Gold<br><b>Talla:</b> by the path Large<br><b>Otro:</b> by the path Large",
    }
    del words["No tier"]
    (tmp_path / "es.yaml").write_text(json.dumps(words), encoding="utf-8")
    done = call(tmp_path, found.env, "validate", "spec.yaml")
    assert done.code == 2 and "'No tier' has no translation into 'es'" in done.out + done.err


def test_the_notes_follow_the_records(serve: Serve, tmp_path: Path) -> None:
    """A second run changes nothing, a delta writes a changed value into its note, a rollback takes all back."""
    found = trial(serve, tmp_path, first=["contacts.tax"])
    found.full(code=0)
    again = found.run(code=0)["verdict"]
    assert (again["created"], again["updated"]) == (0, 0)

    found.platform.tables["people"][1]["tier"] = "Gold"
    found.delta(code=0)
    assert notes(found.platform)["Bea"] == "<b>Tier:</b> Gold"

    found.rollback(code=0)
    assert not any(found.platform.tables[name] for name in ("contacts", "notes", TABLE))


def test_people_may_need_some_of_the_room(serve: Serve, tmp_path: Path) -> None:
    """With room for none, no field is made, and every value stands in a note."""
    found = trial(serve, tmp_path, room=0)
    found.full(code=0)
    assert not found.platform.tables[TABLE]
    assert notes(found.platform)["Bea"] == "<b>Tier:</b> Silver<br><b>Tax id:</b> B2"
    told = found.etl("plan", "--json", code=0).data()["notices"]
    assert any("of which 0 are made, as `room` says" in text for text in told)


def test_a_larger_plan_brings_the_fields(serve: Serve, tmp_path: Path) -> None:
    """When there is room later, the fields are made and filled; the notes stay, which is told, and nothing is made twice."""
    found = trial(serve, tmp_path, first=["contacts.tax"])
    found.full(code=0)
    before = notes(found.platform)
    file = tmp_path / "destination.yaml"
    known = json.loads(file.read_text())
    known["custom_fields"]["most"] = {"*": 9}
    file.write_text(json.dumps(known))
    told = json.dumps(found.run("--yes", code=0)["notices"])
    assert f"{len(before)} rows are no longer kept up" in told
    assert field(found.platform, TIER["name"])
    assert values(found.platform, TIER["name"])["Bea"] == "Silver"
    assert notes(found.platform) == before
    assert len(found.platform.tables["contacts"]) == 3
