"""Custom fields, options and objects whose names change in the account or in the spec, over real loopback HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine import pipeline
from engine.destination.definitions import known_fields
from engine.errors import UnsafePlan
from engine.plan.renames import carry_over
from engine.rollback.undo import rollback
from engine.store.links import (
    Finding,
    all_findings,
    count_links,
    links_of,
    stream_drafts,
)
from engine.values import links_in
from tests.connector.conftest import Bench, bench
from tests.connector.desk import Desk
from workbench.live import check_live

__all__ = ["bench"]

HEAD = """\
connector: {name}
connection:
  base_url: {{env: ACME_BASE_URL, production: https://api.acme.example}}
  auth: {{kind: none}}
  check: {{get: /ok}}
  reconcile_after: 0
  concurrency: 1
plans: [any]
limits: {{day: {{unit: calls, per: 86400, window: calendar, amount: {{"*": 100000}}}}}}
message: [error]
errors:
  - {{when: {{status: 404}}, then: missing}}
pagers:
  all: {{kind: single}}
"""
SOURCE = HEAD.format(name="source") + """\
resources:
  people:
    fields: {id: integer, name: text, tier: text, boss: ref people}
    list: {get: /people, pager: all}
    read: {get: "/people/{id}"}
"""
DESTINATION = HEAD.format(name="destination") + """\
custom_fields:
  container: custom
  code: code
  name: name
  type: type
  options: options
  types: {text: varchar, number: double, enum: enum}
resources:
  companies:
    fields: {id: {type: integer, writable: false}, name: {type: text, required: true}}
    list: {get: /companies, pager: all}
    read: {get: "/companies/{id}"}
    create: {post: /companies}
    update: {patch: "/companies/{id}"}
    delete: {delete: "/companies/{id}"}
    custom_fields: companyFields
  notes:
    fields: {id: {type: integer, writable: false}, text: text, company_id: ref companies}
    recognise: [text]
    list: {get: /notes, pager: all}
    read: {get: "/notes/{id}"}
    create: {post: /notes}
    update: {patch: "/notes/{id}"}
    delete: {delete: "/notes/{id}"}
  companyFields:
    id: code
    fields: {code: {type: text, writable: false}, name: text, type: text, options: list}
    list: {get: /companyFields, pager: all}
    read: {get: "/companyFields/{id}"}
    create: {post: /companyFields}
    update: {patch: "/companyFields/{id}"}
    delete: {delete: "/companyFields/{id}"}
    add_options: {post: "/companyFields/{id}/options"}
    remove_options: {delete: "/companyFields/{id}/options"}
"""
SPEC = """\
migration: people
source: {connector: source.yaml, plan: any}
destination: {connector: destination.yaml, plan: any}
guards: {updates: 1}
custom_fields:
  companies:
    source_key: {name: Key, type: text, key: true}
    nick: {name: Nick, type: text}
    tier: {name: Tier, type: enum, options: [Gold, Silver]}
objects:
  companies:
    from: people
    to: companies
    fields: {name: name, custom.source_key: $key, custom.nick: name, custom.tier: tier}
  notes:
    from: people
    to: notes
    fields: {text: name, company_id: {lookup: companies, by: $key}}
"""


class Platform:
    """People to be read, companies and notes to be made of them, and fields of companies that people may change."""

    def __init__(self) -> None:
        self.people = [{"id": n, "name": f"Person {n}", "tier": "Gold" if n < 3 else "Silver"} for n in (1, 2, 3)]
        self.tables: dict[str, dict[str, dict[str, Any]]] = {"companies": {}, "notes": {}, "companyFields": {}}
        self.made = 0
        self.lose = ""  # the method and path of a call that is executed, but not answered
        self.hidden: set[str] = set()  # definitions that the list does not show yet
        self.routes = [
            Route("/ok", self.ok),
            Route("/people", self.source),
            Route("/companyFields/{id}/options", self.options, methods=["POST", "DELETE"]),
            Route("/{table}", self.table, methods=["GET", "POST"]),
            Route("/{table}/{id}", self.one, methods=["GET", "PATCH", "DELETE"]),
        ]

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        """Definitions by their names."""
        return {row["name"]: row for row in self.tables["companyFields"].values()}

    def values(self, name: str) -> list[Any]:
        """What the companies hold in a custom field."""
        return [row["custom"].get(self.fields[name]["code"]) for row in self.tables["companies"].values()]

    def labels(self, name: str = "Tier") -> list[str]:
        """The options of a field."""
        return [option["label"] for option in self.fields[name]["options"]]

    def drop_field(self, name: str) -> None:
        """Play the people who delete a field, with all its values."""
        code = self.fields[name]["code"]
        del self.tables["companyFields"][code]
        for row in self.tables["companies"].values():
            row["custom"].pop(code, None)

    async def ok(self, _: Request) -> Response:
        return JSONResponse({})

    async def source(self, _: Request) -> Response:
        return JSONResponse(self.people)

    def answer(self, request: Request, body: Any, status: int = 200) -> Response:
        if self.lose == f"{request.method} {request.url.path}":
            self.lose = ""
            return Response(status_code=502)
        return JSONResponse(body, status)

    async def table(self, request: Request) -> Response:
        name = request.path_params["table"]
        rows = self.tables[name]
        if request.method == "GET":
            return JSONResponse([row for row in rows.values() if row.get("code") not in self.hidden])
        row = await request.json()
        if self.unknown(row):
            return JSONResponse({"error": "no such field"}, 422)
        self.made += 1
        if name == "companyFields":
            row |= {"code": f"f{self.made}", "options": [self.option(item["label"]) for item in row.get("options", [])]}
        else:
            row |= {"id": self.made, "custom": row.get("custom", {})}
        rows[str(row.get("code") or row["id"])] = row
        return self.answer(request, row, 201)

    def unknown(self, body: dict[str, Any]) -> set[str]:
        """Codes of fields that are not there."""
        return set(body.get("custom", {})) - set(self.tables["companyFields"])

    def option(self, label: str) -> dict[str, Any]:
        self.made += 1
        return {"id": self.made, "label": label}

    async def one(self, request: Request) -> Response:
        rows = self.tables[request.path_params["table"]]
        row = rows.get(request.path_params["id"])
        if row is None:
            return JSONResponse({"error": "no such row"}, 404)
        if request.method == "PATCH":
            body = await request.json()
            if self.unknown(body):
                return JSONResponse({"error": "no such field"}, 422)
            row["custom"] = row.get("custom", {}) | body.pop("custom", {})
            row.update(body)
        if request.method == "DELETE":
            del rows[request.path_params["id"]]
        return self.answer(request, row)

    async def options(self, request: Request) -> Response:
        row, body = self.tables["companyFields"][request.path_params["id"]], await request.json()
        if request.method == "POST":
            row["options"] += [self.option(item["label"]) for item in body]
        else:
            gone = {item["id"] for item in body}
            row["options"] = [item for item in row["options"] if item["id"] not in gone]
        return self.answer(request, row["options"])


@pytest.fixture
def small(bench: Bench, tmp_path: Path) -> Desk:
    """A migration that has run once."""
    desk = Desk(bench, tmp_path, Platform(), SOURCE, DESTINATION, SPEC)
    pipeline.migrate(desk.run(), None)
    assert desk.platform.values("Nick") == ["Person 1", "Person 2", "Person 3"]
    return desk


def again(desk: Desk, **options: Any) -> tuple[list[str], dict[str, int]]:
    """Read the source anew and run; the notices, and how many rows were written of each object."""
    run = desk.run()
    result = pipeline.delta(run, **options)
    return run.notices, {item.object: item.created + item.updated for item in result.loaded}


def findings(desk: Desk) -> list[Finding]:
    """What is known about definitions."""
    with desk.store.begin() as connection:
        return [item for item in all_findings(connection) if item.stage == "provision"]


def edited(*pairs: tuple[str, str]) -> str:
    """The spec with some texts replaced by others."""
    text = SPEC
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


NOTHING = {"companies": 0, "notes": 0}


# -- fields


def test_a_field_renamed_by_people_is_used_and_said_once(small: Desk) -> None:
    """No second field is made, values go where they went, and only the first run says so."""
    small.platform.fields["Nick"]["name"] = "Alias"
    small.platform.people.append({"id": 4, "name": "Person 4", "tier": "Gold"})
    assert again(small) == (["companies.nick: the account calls it 'Alias', the spec 'Nick'; it is used as it is"], {"companies": 1, "notes": 1})
    assert again(small) == ([], NOTHING)
    assert sorted(small.platform.fields) == ["Alias", "Key", "Tier"]
    assert small.platform.values("Alias")[-1] == "Person 4"
    assert findings(small) == []  # it was said; a finding would say it in every report


def test_a_field_of_ours_is_renamed_with_the_spec_and_back_by_a_rollback(small: Desk) -> None:
    """The account takes the new name through the journal; where the field stays, a rollback gives it the old one."""
    code = small.platform.fields["Nick"]["code"]
    small.become(edited(("name: Nick", "name: Alias")))
    notices, written = again(small)
    assert (notices, written) == (["companies.nick: the account's field 'Nick' is renamed to 'Alias', as the spec calls it now"], NOTHING)
    assert small.platform.fields["Alias"]["code"] == code
    assert again(small) == ([], NOTHING)
    small.platform.tables["companies"]["people"] = {"id": 900, "name": "Theirs", "custom": {code: "by hand"}}
    rollback(small.run())
    assert sorted(small.platform.fields) == ["Nick"]
    assert small.platform.fields["Nick"]["code"] == code


def test_a_rollback_of_one_run_renames_back(small: Desk) -> None:
    """The run that only renamed is taken back alone, and a later run renames once more."""
    small.become(edited(("name: Nick", "name: Alias")))
    run = small.run()
    pipeline.delta(run)
    rollback(small.run(), of_run=run.id)
    assert sorted(small.platform.fields) == ["Key", "Nick", "Tier"]
    again(small)
    assert sorted(small.platform.fields) == ["Alias", "Key", "Tier"]


def test_a_renaming_without_an_answer_is_settled(small: Desk) -> None:
    """A renaming that was executed and not answered is found, not sent again."""
    small.platform.lose = f"PATCH /companyFields/{small.platform.fields['Nick']['code']}"
    small.become(edited(("name: Nick", "name: Alias")))
    again(small)
    assert small.platform.lose == ""
    assert sorted(small.platform.fields) == ["Alias", "Key", "Tier"]
    assert again(small) == ([], NOTHING)


def test_a_new_name_in_the_spec_is_offered_where_the_account_has_its_own(small: Desk) -> None:
    """A field that people renamed is not renamed by us; no second field is made beside it."""
    small.platform.fields["Nick"]["name"] = "Alias"
    small.become(edited(("name: Nick", "name: Short name")))
    assert again(small)[0] == ["companies.nick: the account calls it 'Alias', the spec 'Short name'; rename it there or keep"]
    assert sorted(small.platform.fields) == ["Alias", "Key", "Tier"]
    assert again(small)[0] == []


def test_names_handed_on_between_fields_do_not_mix_values(small: Desk) -> None:
    """A new field that takes the old name of another does not take its values: each has a definition of its own."""
    small.become(edited(
        ("    nick: {name: Nick, type: text}\n", "    nick: {name: Alias, type: text}\n    other: {name: Nick, type: text}\n"),
        ("custom.nick: name,", "custom.nick: name, custom.other: tier,"),
    ))  # fmt: skip
    again(small)
    assert small.platform.values("Alias") == ["Person 1", "Person 2", "Person 3"]
    assert small.platform.values("Nick") == ["Gold", "Gold", "Silver"]


def test_another_type_in_the_spec_is_refused_before_anything_is_written(small: Desk) -> None:
    """The refusal names the field and every way out; neither plan nor run goes on."""
    small.become(edited(("name: Nick, type: text", "name: Nick, type: number")))
    small.platform.people.append({"id": 4, "name": "Person 4", "tier": "Gold"})
    for command in (pipeline.delta, lambda run: pipeline.preview(run, None)):
        with pytest.raises(UnsafePlan, match=r"companies\.nick.*put the type back.*--remake-fields"):
            command(small.run())  # type: ignore[operator]
    assert len(small.platform.tables["companies"]) == 3


def test_a_deleted_field_is_reported_until_it_is_made_anew_and_refilled(small: Desk) -> None:
    """Runs go on without it and say so each time; on request it is made and exactly its values are written again."""
    small.platform.drop_field("Nick")
    small.platform.people.append({"id": 4, "name": "Person 4", "tier": "Gold"})
    for _ in range(2):
        notices, _ = again(small)
        assert len(small.platform.tables["companies"]) == 4
        assert len(notices) == 1 and "companies.nick: people deleted this field" in notices[0]
        assert [(item.key, item.severity) for item in findings(small)] == [("companies.custom.nick", "attention")]
    assert sorted(small.platform.fields) == ["Key", "Tier"]
    small.platform.tables["companies"]["people"] = {"id": 900, "name": "Theirs", "custom": {}}
    before = [dict(row) for row in small.platform.tables["notes"].values()]
    assert again(small, remake=True)[1] == {"companies": 4, "notes": 0}
    assert small.platform.values("Nick") == ["Person 1", "Person 2", "Person 3", "Person 4", None]
    assert [dict(row) for row in small.platform.tables["notes"].values()] == before
    assert again(small) == ([], NOTHING)
    assert findings(small) == []


def test_a_field_made_by_hand_instead_is_refilled(small: Desk) -> None:
    """Where people have made one of the same name and type since, that one is filled and no other is made."""
    small.platform.drop_field("Nick")
    small.platform.tables["companyFields"]["hand"] = {"code": "hand", "name": "Nick", "type": "varchar", "options": []}
    assert "to use the one that was made since" in again(small)[0][0]
    again(small, remake=True)
    assert sorted(small.platform.fields) == ["Key", "Nick", "Tier"]
    assert small.platform.values("Nick") == ["Person 1", "Person 2", "Person 3"]


def test_refilling_leaves_what_people_changed(small: Desk) -> None:
    """Only the field that is made anew is written; an edit of another field stays."""
    small.platform.drop_field("Nick")
    row = next(iter(small.platform.tables["companies"].values()))
    row["name"] = "Edited"
    again(small, remake=True)
    assert row["name"] == "Edited"
    assert small.platform.values("Nick") == ["Person 1", "Person 2", "Person 3"]


def test_nothing_is_written_without_the_field_that_carries_the_keys(small: Desk) -> None:
    """A deleted key field stops the run; made anew, it holds every key again."""
    small.platform.drop_field("Key")
    with pytest.raises(UnsafePlan, match=r"companies\.source_key.*--remake-fields"):
        again(small)
    again(small, remake=True)
    assert small.platform.values("Key") == ["people/1", "people/2", "people/3"]


def test_a_field_that_the_list_does_not_show_yet_is_not_taken_for_deleted(small: Desk) -> None:
    """Lists lag behind: the field is read by itself before it counts as deleted."""
    small.platform.hidden = {small.platform.fields["Nick"]["code"]}
    assert again(small) == ([], NOTHING)
    assert len(small.platform.tables["companyFields"]) == 3


LIVE: dict[str, tuple[Callable[[Platform], Any], tuple[str, str], str]] = {
    "as it was": (lambda _: None, ("name: Nick", "name: Nick"), ""),
    "renamed by people": (
        lambda platform: platform.fields["Nick"].update(name="Alias"), ("name: Nick", "name: Nick"),
        "warning: custom_fields.companies.nick.name: the account calls this field 'Alias'; it is used as it is",
    ),
    "renamed in the spec": (
        lambda _: None, ("name: Nick", "name: Alias"),
        "warning: custom_fields.companies.nick.name: the next run renames the account's field 'Nick'",
    ),
    "another type in the spec": (
        lambda _: None, ("name: Nick, type: text", "name: Nick, type: number"),
        "custom_fields.companies.nick.type: the account's field is of type text, which cannot be changed",
    ),
    "deleted by people": (
        lambda platform: platform.drop_field("Nick"), ("name: Nick", "name: Nick"),
        "warning: custom_fields.companies.nick: people deleted this field in the account; its values are left out",
    ),
    "option renamed by people": (
        lambda platform: platform.fields["Tier"]["options"][0].update(label="Premium"), ("name: Nick", "name: Nick"), ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LIVE)
def test_the_live_check_knows_definitions_by_code(small: Desk, case: str) -> None:
    """What was renamed is not told as missing, and what the next run does about a field is said at its line."""
    play, edit, expected = LIVE[case]
    play(small.platform)
    small.become(edited(edit))
    told = [str(item) for item in check_live(small.run())]
    assert len(told) == bool(expected), told
    assert all(expected in text for text in told)


# -- options


def test_an_option_renamed_by_people_keeps_its_meaning(small: Desk) -> None:
    """New rows get the option that old ones have, nothing is added beside it, and it is said once."""
    gold = small.platform.fields["Tier"]["options"][0]
    gold["label"] = "Premium"
    small.platform.people.append({"id": 4, "name": "Person 4", "tier": "Gold"})
    small.platform.people[2]["tier"] = "Gold"
    notices, written = again(small)
    assert notices == ["companies.tier: the account calls the option 'Gold' 'Premium'; it is used as it is"]
    assert written == {"companies": 2, "notes": 1}
    assert small.platform.labels() == ["Premium", "Silver"]
    assert small.platform.values("Tier") == [gold["id"]] * 4
    assert again(small) == ([], NOTHING)


def test_an_option_renamed_in_the_spec_stays_one_option(small: Desk) -> None:
    """`was` gives the new label the option of the old one; no row is written for it."""
    silver = small.platform.fields["Tier"]["options"][1]["id"]
    small.become(edited(("[Gold, Silver]", "[Gold, {was: Silver, label: Argent}]"), ("custom.tier: tier",
                        "custom.tier: {from: tier, map: {Gold: Gold, Silver: Argent}, else: omit}")))  # fmt: skip
    notices, written = again(small)
    assert written == NOTHING
    assert notices == ["companies.tier: the account calls the option 'Argent' 'Silver'; it is used as it is"]
    assert small.platform.labels() == ["Gold", "Silver"]
    assert small.platform.values("Tier")[2] == silver


# -- keys of the spec


def test_a_custom_field_under_another_key_goes_on_with_was(small: Desk) -> None:
    """The definition and what was written into it are carried over; no row is written, and a rollback still works."""
    small.become(edited(("    nick: {name: Nick", "    alias: {was: nick, name: Nick"), ("custom.nick", "custom.alias")))
    assert again(small) == ([], NOTHING)
    with small.store.begin() as connection:
        assert sorted(known_fields(connection, "companies")) == ["alias", "source_key", "tier"]
        assert all("custom.alias" in link.written for link in links_of(connection, "companies").values())
    small.platform.people[0]["name"] = "Changed"
    assert again(small)[1] == {"companies": 1, "notes": 1}
    assert small.platform.values("Nick")[0] == "Changed"
    rollback(small.run())
    assert small.platform.tables == {"companies": {}, "notes": {}, "companyFields": {}}


RENAMED = (("  companies:\n    from: people", "  firms:\n    was: companies\n    from: people"), ("lookup: companies", "lookup: firms"))


def test_an_object_under_another_name_goes_on_with_was(small: Desk) -> None:
    """Links, drafts, journal and symbols follow the name: nothing is made twice, and all of it can be taken back."""
    small.become(edited(*RENAMED))
    assert again(small) == ([], {"firms": 0, "notes": 0})
    with small.store.begin() as connection:
        assert {name for name in count_links(connection) if not name.startswith("$")} == {"firms", "notes"}
        written = [link.written for link in links_of(connection, "notes").values()]
    drafts = [draft.body for batch in stream_drafts(small.store, "notes") for draft in batch]
    assert {name for body in (*written, *drafts) for name, _ in links_in(body)} == {"firms"}
    result = pipeline.verify(small.run(), pipeline.Result())
    assert (result.tally.lost_in_arrived, result.tally.record_states()["arrived"]) == (0, 6)
    rollback(small.run())
    assert small.platform.tables == {"companies": {}, "notes": {}, "companyFields": {}}


def test_a_rollback_right_after_a_renaming_takes_everything_back(small: Desk) -> None:
    """The command carries the names over itself: an untouched row goes, one that people edited stays."""
    small.become(edited(*RENAMED))
    edit = next(iter(small.platform.tables["companies"].values()))
    edit["name"] = "Edited"
    run = small.run()
    carry_over(run)
    kept = rollback(run).kept
    assert [row["name"] for row in small.platform.tables["companies"].values()] == ["Edited"]
    assert ("firms", "people/1", "people changed name") in kept


def test_an_object_under_another_name_is_refused_without_was(small: Desk) -> None:
    """A spec that would make every row again under another name is refused, by plan and by every run."""
    small.become(edited(("  notes:\n", "  memos:\n")))
    commands: list[Callable[..., Any]] = [pipeline.delta, lambda run: pipeline.preview(run, None), pipeline.retry_failed]
    for command in commands:
        with pytest.raises(UnsafePlan, match=r"'notes'.*`was: notes` into objects\.memos.*`enabled: false`"):
            command(small.run())
    assert len(small.platform.tables["notes"]) == 3


def test_two_objects_of_the_same_rows_may_be_meant(small: Desk) -> None:
    """With the first object still in the spec, switched off, the second makes rows of its own."""
    before = "  notes:\n    from: people\n    to: notes\n    enabled: false\n    fields: {text: name}\n"
    small.become(edited(("  notes:\n", f"{before}  memos:\n")))
    assert again(small)[1] == {"companies": 0, "memos": 3}


def test_another_object_of_other_records_is_no_renaming(small: Desk) -> None:
    """An object that goes while one of other records comes is left alone: its rows stay as they are."""
    small.become(edited(("  notes:\n    from: people", "  memos:\n    rows: [{id: 1, name: Hello}]"),
                        ("company_id: {lookup: companies, by: $key}", "company_id: {value: null}")))  # fmt: skip
    assert again(small)[1] == {"companies": 0, "memos": 1}
    assert len(small.platform.tables["notes"]) == 4


def test_rows_under_both_names_are_not_mixed(small: Desk) -> None:
    """Where rows were made under both names, `was` is refused and the store stays as it is."""
    small.become(edited(("  notes:\n", "  others:\n    from: people\n    to: notes\n    fields: {text: tier}\n  notes:\n")))
    again(small)
    small.become(edited(("  notes:\n", "  others:\n    was: notes\n")))
    with pytest.raises(UnsafePlan, match="rows that were made as 'others' too"):
        again(small)
    with small.store.begin() as connection:
        assert count_links(connection)["notes"] == 3
