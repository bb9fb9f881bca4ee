"""What an answer says is no proof: rows are looked for where it may be wrong, and what stays unclear is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import oddities as odd
from tests.platforms.conftest import Serve
from tests.platforms.platform import (
    Answer,
    Before,
    Platform,
    Request,
    Row,
    page,
)
from tests.platforms.project import (
    UNGATED,
    Project,
    attention,
    mapped,
    migration,
    project,
    readable,
    texts,
    writable,
)
from tests.platforms.test_below_parents import notes
from tests.platforms.test_merges import keyed
from tests.platforms.test_whose_row import contacts, person
from tests.platforms.trials import NAME, addresses

THEIRS = {"id": 77, "name": "Person Three, VIP", "email": "P3@example.com", "phone": "600"}

OLD = {"id": 7, "name": "Person 1", "email": "p1@example.com (old)", "phone": "1", "created": "2019-01-01T10:00:00Z"}

# -- a creation in doubt whose row holds something else

ALTERED: dict[str, Callable[[Row], Row]] = {
    "name-cut": lambda row: row | {"name": row["name"][:5]},
    "name-first-word": lambda row: row | {"name": row["name"].split()[0]},
    "name-without-signs": lambda row: row | {"name": row["name"].encode("ascii", "replace").decode()},
    "email-with-scheme": lambda row: row | {"email": f"mailto:{row['email']}"},
    "email-gone-and-name-cut": lambda row: row | {"email": None, "name": row["name"].split()[0]},
}


def losing_first_answers(alter: Callable[[Row], Row]) -> Before:
    """Each row is made, altered, and the first answer about it is a gateway's."""
    tries: dict[str, int] = {}

    def hook(platform: Platform, request: Request) -> Answer | None:
        if not request.creates("contacts"):
            return None
        phone = request.body["phone"]
        tries[phone] = tries.get(phone, 0) + 1
        row = alter(request.body | {"id": platform.next_id})
        platform.next_id += 1
        platform.tables["contacts"].append(row)
        return Answer(502, {"error": "bad gateway"}) if tries[phone] == 1 else Answer(201, row)

    return hook


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED.keys())
def test_a_row_in_doubt_that_was_altered_is_not_made_twice(
    alter: Callable[[Row], Row], serve: Serve, tmp_path: Path
) -> None:
    """The record fails with the row that may be its own, and no run sends it anew; it is linked once people have
    given that row its values, and sent once they have removed it.
    """
    trial = addresses(serve, tmp_path)
    for row in trial.platform.tables["people"]:
        row["name"] = f"José {row['name']}"
    trial.platform.before.append(losing_first_answers(alter))
    report = trial.full(code=1)
    rows = trial.platform.tables["contacts"]
    assert len(rows) == 3
    assert attention(report) == {("contacts", f"people/{n}") for n in (1, 2, 3)}
    assert "may be there with other values: 1001" in texts(report)

    assert "`etl run SPEC --failed --yes` sends it once more" in texts(report)

    for words in ((), ("--failed",)):
        trial.run(*words, code=1)
        assert len(rows) == 3
    people = trial.platform.tables["people"]
    first = next(row for row in rows if row["phone"] == people[0]["phone"])
    first |= {name: people[0][name] for name in ("name", "email")}
    rows.remove(next(row for row in rows if row["phone"] == people[1]["phone"]))
    trial.run(code=1)
    assert len(rows) == 3 and set(trial.links("contacts")) >= {"people/1", "people/2"}
    trial.run("--failed", "--yes", code=None)
    assert len(rows) == 4 and len(trial.links("contacts")) == 3


@pytest.mark.parametrize("words", [(), ("--failed",)], ids=["run", "failed"])
def test_a_row_that_is_given_its_values_is_linked(words: tuple[str, ...], serve: Serve, tmp_path: Path) -> None:
    """Whether people run everything or just what failed: the row that they mended is looked for first."""
    trial = addresses(serve, tmp_path)
    trial.platform.before.append(losing_first_answers(ALTERED["email-with-scheme"]))
    trial.full(code=1)
    for row in trial.platform.tables["contacts"]:
        row["email"] = row["email"].removeprefix("mailto:")
    trial.run(*words, code=0)
    assert len(trial.platform.tables["contacts"]) == len(trial.links("contacts")) == 3


def test_an_old_row_of_people_holds_nothing(serve: Serve, tmp_path: Path) -> None:
    """A row that says it was made long before is nobody's but people's: the creation is sent again."""
    trial = contacts(tmp_path, serve(people=[person(1)], contacts=[]))
    trial.platform.tables["contacts"].append(dict(OLD))
    trial.platform.before.append(losing_without_effect())
    trial.full(code=0)
    assert len(trial.platform.tables["contacts"]) == 2


ALTERED_KEYS: dict[str, Callable[[str], str | None]] = {
    "dropped": lambda key: None,
    "capitals": str.upper,
    "cut": lambda key: key[:4],
    "blanks": lambda key: f" {key} ",
}


@pytest.mark.parametrize("altered", ALTERED_KEYS.values(), ids=ALTERED_KEYS)
def test_a_row_in_doubt_that_lost_its_key_is_not_made_twice(
    altered: Callable[[str], str | None], serve: Serve, tmp_path: Path
) -> None:
    """Where the platform dropped or altered what the field for our keys holds, the record fails with the row's id, and
    no run of everything sends it anew; what was not made is sent, though rows with other records' keys are there.
    """
    trial = keyed(serve, tmp_path)
    lost: list[str] = []

    def hook(platform: Platform, request: Request) -> Answer | None:
        name = request.body["name"] if request.creates("contacts") else ""
        if name not in ("P2", "P3") or name in lost:
            return None
        lost.append(name)
        if name == "P3":  # P2 is not made
            (code,) = (one for one in request.body if one.startswith("f_"))
            row = {"id": 500, "name": name, code: altered(request.body[code])}
            platform.tables["contacts"].append(row)
        return Answer(502, {"error": "bad gateway"})

    trial.platform.before.append(hook)
    report = trial.full(code=1)
    assert ("contacts", "people/3") in attention(report) and "may be there with other values: 500" in texts(report)
    trial.run(code=1)
    assert sorted(row["name"] for row in trial.platform.tables["contacts"]) == ["P1", "P2", "P3", "P4", "P5"]
    undone = trial.etl("rollback", "--yes", "--json", code=1).data()
    assert ("contacts", "people/3") in {(name, key) for name, key, _ in undone["kept"]}
    assert [row["id"] for row in trial.platform.tables["contacts"]] == [500]


def losing_once(trial: Project, effect: Callable[[Row], bool]) -> None:
    """The first answer about each creation is a gateway's; those with `effect` are made all the same."""
    lost: set[str] = set()

    def hook(platform: Platform, request: Request) -> Answer | None:
        if not request.creates("contacts"):
            return None
        mark = str(request.body)
        if mark in lost:
            return None
        lost.add(mark)
        if effect(request.body):
            platform.tables["contacts"].append(request.body | {"id": 500 + len(lost)})
        return Answer(502, {"error": "bad gateway"})

    trial.platform.before.append(hook)


def test_a_row_with_another_record_s_key_holds_nothing(serve: Serve, tmp_path: Path) -> None:
    """Of two people of one name, both without an answer, one was made: the other is sent once more."""
    trial = keyed(serve, tmp_path)
    for one in trial.platform.tables["people"][:2]:
        one["name"] = "Ana"
    losing_once(trial, lambda body: "people/1" in body.values())
    trial.full(code=0)
    names = sorted(row["name"] for row in trial.platform.tables["contacts"])
    assert names == ["Ana", "Ana", "P3", "P4", "P5"]


def test_an_old_row_without_our_key_holds_nothing(serve: Serve, tmp_path: Path) -> None:
    """A row that holds what was sent, and says that it was made long before, is people's: the creation is sent once more."""
    trial = keyed(serve, tmp_path)
    path = tmp_path / "destination.yaml"
    destination = json.loads(path.read_text(encoding="utf-8"))
    resource = destination["resources"]["contacts"]
    resource["fields"]["made"] = {"type": "datetime", "writable": False}
    resource["created"] = "made"
    path.write_text(json.dumps(destination), encoding="utf-8")
    trial.platform.tables["contacts"].append({"id": 7, "name": "P2", "made": "2019-01-01T10:00:00Z"})
    losing_once(trial, lambda body: body["name"] != "P2")
    trial.full(code=0)
    names = sorted(row["name"] for row in trial.platform.tables["contacts"])
    assert names == ["P1", "P2", "P2", "P3", "P4", "P5"]


def losing_without_effect() -> Before:
    """The first creation is answered by a gateway, and not made."""
    lost: list[int] = []

    def hook(_: Platform, request: Request) -> Answer | None:
        if not request.creates("contacts") or lost:
            return None
        lost.append(1)
        return Answer(502, {"error": "bad gateway"})

    return hook


def test_escaped_text_is_known(serve: Serve, tmp_path: Path) -> None:
    """Signs written as entities, even parts of signs, do not hide the row that a creation in doubt has made."""
    trial = addresses(serve, tmp_path)
    for row in trial.platform.tables["people"]:
        row["name"] = f"Jose\u0301 {row['name']}"
    trial.platform.before.append(
        losing_first_answers(lambda row: row | {"name": row["name"].replace("\u0301", "&#769;")})
    )
    trial.full(code=0)
    assert len(trial.platform.tables["contacts"]) == 3


def test_a_stranger_that_has_nothing_in_common_holds_nothing(serve: Serve, tmp_path: Path) -> None:
    """People's new row does not keep a creation that never took effect from being sent again."""
    trial = addresses(serve, tmp_path)
    trial.platform.before.append(odd.refusing("POST", "contacts", 503, name="Person 2"))
    trial.platform.tables["contacts"].append({"id": 5, "name": "Ann", "email": "ann@example.com", "phone": "1"})
    trial.full(code=1)
    trial.platform.before.clear()
    trial.run("--failed", code=0)
    assert len(trial.platform.tables["contacts"]) == 4


# -- an answer that names no row, or people's

NAMES: dict[str, Callable[[Any], Any]] = {
    "a job": lambda row_id: 90_000 + int(row_id),
    "another form": lambda row_id: f"Contact:{row_id}",
}


def naming(form: Callable[[Any], Any]) -> Callable[[Platform, Request, Answer], Answer]:
    """Creates are answered with an id alone, in this form."""

    def hook(_: Platform, request: Request, answer: Answer) -> Answer:
        return Answer(answer.status, {"id": form(answer.body["id"])}) if request.creates("contacts") else answer

    return hook


@pytest.mark.parametrize("form", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("killed", [False, True], ids=["whole", "before-reading-back"])
@pytest.mark.parametrize("stamped", [False, True], ids=["no-stamps", "stamps"])
def test_a_row_under_another_id_than_answered_is_found(
    form: Callable[[Any], Any], killed: bool, stamped: bool, serve: Serve, tmp_path: Path
) -> None:
    """It is linked by what it holds, a later run leaves it alone, and a rollback removes it where its stamp shows
    that it is new, after a killed run too; else it may be people's, and stays with a word.
    """
    trial = contacts(tmp_path, serve(people=[person(n) for n in (1, 2, 3)], contacts=[]))
    platform = trial.platform
    platform.after.append(naming(form))
    if stamped:
        platform.before.append(odd.stamping("contacts"))
    if killed:
        platform.before.insert(
            0, lambda _, request: Answer(401) if request.method == "GET" and platform.tables["contacts"] else None
        )
        (tmp_path / UNGATED).touch()
        trial.etl("run", code=3)
        platform.before.pop(0)
    else:
        report = trial.full(code=0)
        assert report["verdict"]["arrived"] == 3
        assert sorted(trial.links("contacts").values()) == ["1001", "1002", "1003"]
        trial.delta(code=0)
    said = trial.rollback(code=0 if stamped else 1)
    left = platform.tables["contacts"]
    assert len(left) == len(said["kept"]) == (0 if stamped else 3)


def test_people_whose_row_a_job_wrote_keep_it(serve: Serve, tmp_path: Path) -> None:
    """The platform writes into people's row of the same address, and answers with a job: a rollback leaves the row."""
    trial = contacts(tmp_path, serve(people=[person(n) for n in (1, 2, 3)], contacts=[]))
    trial.platform.tables["contacts"].append(dict(THEIRS))

    def hook(platform: Platform, request: Request) -> Answer | None:
        theirs = platform.tables["contacts"][0]
        if request.creates("contacts") and request.body["email"] == theirs["email"].lower():
            theirs |= request.body
            return Answer(202, {"id": 90_001})
        return None

    trial.platform.before.append(hook)
    trial.full()
    trial.rollback()
    assert [row["id"] for row in trial.platform.tables["contacts"]] == [THEIRS["id"]]


def finding_theirs(answered: Callable[[Row], Any]) -> Before:
    """A contact whose address is there already is not made: the row of it is answered."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        if request.creates("contacts"):
            same = [row for row in platform.tables["contacts"] if row["email"].lower() == request.body["email"].lower()]
            if same:
                return Answer(201, answered(same[0]))
        return None

    return hook


@pytest.mark.parametrize("answered", [lambda row: {"id": row["id"]}, dict], ids=["id", "row"])
def test_peoples_row_that_a_create_answers_with_is_no_rollbacks(
    answered: Callable[[Row], Any], serve: Serve, tmp_path: Path
) -> None:
    """Where the answer does not show that the row is another's, the reading does: it stays."""
    trial = addresses(serve, tmp_path)
    trial.platform.tables["contacts"].append(dict(THEIRS))
    trial.platform.before.append(finding_theirs(answered))
    report = trial.full(code=1)
    assert ("contacts", "people/3") in attention(report)
    trial.rollback()
    assert trial.platform.tables["contacts"] == [THEIRS]


def test_a_cut_text_is_no_sign_of_people(serve: Serve, tmp_path: Path) -> None:
    """Rows whose answers show ids alone, and whose names the platform cuts, are ours and are taken back."""
    trial = addresses(serve, tmp_path)
    trial.platform.before.append(odd.tidying("contacts", {"name": lambda name: name[:6]}))
    trial.platform.after.append(naming(lambda row_id: row_id))
    trial.full(code=1)
    trial.rollback(code=0)
    assert trial.platform.tables["contacts"] == []


# -- deletions and updates without effect


def without_effect(method: str) -> Before:
    """A call is answered as if it had been done."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        if request.method != method or request.parts[:1] != ["contacts"]:
            return None
        row = next((row for row in platform.tables["contacts"] if str(row["id"]) == request.parts[1]), {})
        return Answer(200, row | (request.body or {}))

    return hook


@pytest.mark.parametrize("many", [3, 25], ids=["read-one-by-one", "listed"])
def test_rows_that_stand_after_a_rollback_are_told(many: int, serve: Serve, tmp_path: Path) -> None:
    """A deletion that was answered as done and had no effect counts as failed; the next rollback does it."""
    trial = addresses(serve, tmp_path)
    people = trial.platform.tables["people"]
    people += [people[0] | {"id": n, "name": f"Person {n}", "email": f"p{n}@example.com"} for n in range(4, many + 1)]
    trial.full(code=0)
    trial.platform.before.append(without_effect("DELETE"))
    said = trial.rollback(code=1)
    assert len(said["failed"]) == many and said["undone"] == 0
    assert "still there" in str(said["failed"])
    assert len(trial.links("contacts")) == many

    trial.run(code=0)
    assert len(trial.platform.tables["contacts"]) == many  # linked as before: nothing is made twice
    trial.platform.before.clear()
    trial.rollback(code=0)
    assert trial.platform.tables["contacts"] == []


def test_a_rollback_that_stopped_before_its_look_is_looked_after(serve: Serve, tmp_path: Path) -> None:
    """Deletions without effect, and the list cannot be read: the next rollback looks, and deletes what stands."""
    trial = addresses(serve, tmp_path)
    trial.full(code=0)
    rows = trial.platform.tables["contacts"]
    asked: list[str] = []

    def shut(_: Platform, request: Request) -> Answer | None:
        asked.append(request.method)
        return Answer(401) if request.method == "GET" and "DELETE" in asked else None

    trial.platform.before += [shut, without_effect("DELETE")]
    trial.etl("rollback", "--yes", code=3)
    trial.platform.before.clear()
    assert len(rows) == 3
    trial.rollback(code=0)
    assert rows == []


def test_a_delta_tells_of_a_deletion_without_effect(serve: Serve, tmp_path: Path) -> None:
    """What was to be deleted and stands is a failure, and the next delta deletes it."""
    trial = addresses(serve, tmp_path)
    spec = trial.spec()
    spec["objects"]["contacts"]["on_delete"] = "delete"
    trial.write_spec(spec)
    trial.full(code=0)
    del trial.platform.tables["people"][0]
    trial.platform.before.append(without_effect("DELETE"))
    report = trial.delta("--deletions", code=1)
    assert report["verdict"]["deleted"] == 0 and ("contacts", "people/1") in attention(report)
    trial.platform.before.clear()
    assert trial.delta("--deletions", code=0)["verdict"]["deleted"] == 1
    assert len(trial.platform.tables["contacts"]) == 2


def test_an_update_without_effect_is_told_until_it_has_one(serve: Serve, tmp_path: Path) -> None:
    """A value that the answer showed and the row does not hold needs attention in every run, and none once it stands."""
    trial = addresses(serve, tmp_path)
    trial.full(code=0)
    trial.platform.before.append(without_effect("PATCH"))
    trial.platform.tables["people"][1]["name"] = "Person Two"
    for _ in range(3):
        assert attention(trial.delta(code=1)) == {("contacts", "people/2")}
    trial.verify(code=1)
    trial.platform.tables["contacts"][1]["name"] = "Person Two"
    trial.verify(code=0)
    trial.delta(code=0)


# -- lists that say less than they seem to


def lines(serve: Serve, folder: Path, on_delete: str) -> Project:
    """Two orders with a line each, that becomes a row."""
    orders = [{"id": n, "lines": [{"pos": 1, "text": f"Line of {n}"}]} for n in (1, 2)]
    platform = serve(orders=orders, contacts=[])
    source = {
        "shapes": {"line": {"pos": "integer", "text": "text"}},
        "resources": {"orders": readable("orders", lines="list line")},
    }
    each = {"name": "line", "path": "lines", "key": "pos"}
    one = mapped("orders", "contacts", {"name": "line.text"}, each=each, on_delete=on_delete)
    there = {"contacts": writable("contacts", ["name"], name=NAME)}
    return project(folder, platform, source, there, migration({"contacts": one}))


@pytest.mark.parametrize("on_delete", ["report", "delete"])
@pytest.mark.parametrize("shown", [None, "absent", {}, ""], ids=["null", "absent", "object", "text"])
def test_a_list_that_is_none_any_more_is_told(shown: Any, on_delete: str, serve: Serve, tmp_path: Path) -> None:
    """It does not say that its elements are gone, so their rows stay, and somebody is to look."""
    trial = lines(serve, tmp_path, on_delete)
    trial.full(code=0)
    order = trial.platform.tables["orders"][0]
    order["lines"] = shown
    if shown == "absent":
        del order["lines"]
    report = trial.delta(code=1)
    assert ("contacts", "orders/1#line/1") in attention(report)
    assert "shows no list" in texts(report)
    assert len(trial.platform.tables["contacts"]) == 2


@dataclass(frozen=True, slots=True)
class Below:
    """How the list of notes below a person who is there is answered; what a delta makes of it."""

    name: str
    keys: dict[str, Any]
    first: int  # exit code of a first run
    rows: int  # in the destination after a delta with deletions


BELOW = (Below("a-doubt", {}, 1, 6), Below("empty", {"missing_if_empty": True}, 0, 4))


@pytest.mark.parametrize("case", BELOW, ids=[case.name for case in BELOW])
@pytest.mark.parametrize("later", [False, True], ids=["at-first", "later"])
def test_a_list_below_a_parent_that_is_there(case: Below, later: bool, serve: Serve, tmp_path: Path) -> None:
    """It is not taken for empty where it is said to be missing, unless the connector says so: nothing is deleted for it."""
    made, missing = notes_below(serve, tmp_path, case.keys)
    missing.extend([] if later else [2])
    made.full(code=0 if later else case.first)
    assert len(made.platform.tables["contacts"]) == (6 if later else 4)
    if later:
        missing.append(2)
        report = made.delta("--deletions", code=case.first)
        assert len(made.platform.tables["contacts"]) == case.rows
        assert ("hidden below people 2" in texts(report)) is (case.first == 1)


def test_a_parent_that_is_gone_leaves_no_doubt(serve: Serve, tmp_path: Path) -> None:
    """A person who was deleted after the list of people was read has no list, and nothing is missing."""
    made, missing = notes_below(serve, tmp_path, {})
    people = made.platform.tables["people"]

    def deleting(_: Platform, request: Request) -> None:
        if request.path == "/people/2/notes" and len(people) == 3:
            del people[1]
            missing.append(2)

    made.platform.before.insert(0, deleting)
    report = made.full(code=0)
    assert len(made.platform.tables["contacts"]) == 4 and not texts(report)


def notes_below(serve: Serve, folder: Path, keys: dict[str, Any]) -> tuple[Project, list[int]]:
    """Three people with two notes each, in lists below them; the last part names people without a list."""
    people = [{"id": n, "name": f"Person {n}"} for n in (1, 2, 3)]
    platform = serve(people=people, contacts=[])
    notes = {n: [{"id": 10 * n + k, "text": f"Note {k} of {n}"} for k in (1, 2)] for n in (1, 2, 3)}
    missing: list[int] = []
    below = {"get": "/people/{person}/notes", "parent": "people", "parent_id": "person", "pager": "rows", **keys}
    source = {
        "people": readable("people", name="text"),
        "notes": {"fields": {"id": "integer", "person": "ref people", "text": "text"}, "list": below, "read": "none"},
    }

    def hook(_: Platform, request: Request) -> Answer | None:
        if request.parts[2:] != ["notes"]:
            return None
        person = int(request.parts[1])
        if person in missing:
            return Answer(404, {"error": "not found"})
        return Answer(200, page(notes[person], request.query))

    platform.before.append(hook)
    one = mapped("notes", "contacts", {"name": "text"}, on_delete="delete")
    there = {"contacts": writable("contacts", ["name"], name=NAME)}
    return project(folder, platform, source, there, migration({"contacts": one})), missing


# -- records that others speak of


@pytest.mark.parametrize("words", [("--delta", "--deletions"), ("--refresh",)], ids=["delta", "refresh"])
def test_what_others_say_of_a_deleted_record_stays(words: tuple[str, ...], serve: Serve, tmp_path: Path) -> None:
    """A firm is deleted in the source: its people's rows keep its name, with a delta and with a reading from the start."""
    firms = [{"id": n, "name": f"Firm {n}"} for n in (1, 2)]
    people = [{"id": n, "name": f"Person {n}", "firm": n} for n in (1, 2)]
    platform = serve(firms=firms, people=people, companies=[], contacts=[])
    source = {"firms": readable("firms", name="text"), "people": readable("people", name="text", firm="ref firms")}
    there = {
        "companies": writable("companies", ["name"], name=NAME),
        "contacts": writable("contacts", ["name"], name=NAME, firm="text"),
    }
    objects = {
        "companies": mapped("firms", "companies", {"name": "name"}),
        "contacts": mapped(
            "people", "contacts", {"name": "name", "firm": "employer.name"}, related={"employer": {"from": "firms", "by": "firm"}}
        ),
    }
    made = project(tmp_path, platform, source, there, migration(objects))
    made.full(code=0)
    before = [dict(row) for row in platform.tables["contacts"]]
    assert before[0]["firm"] == "Firm 1"
    del platform.tables["firms"][0]
    report = made.run(*words, code=1)
    assert ("companies", "firms/1") in attention(report)
    assert platform.tables["contacts"] == before


def test_a_platform_that_says_missing_for_none_is_taken_back(serve: Serve, tmp_path: Path) -> None:
    """Notes stand below companies, and a company without notes is answered with 404: a run and a rollback go through."""
    made = notes(serve, tmp_path)

    def none_is_missing(platform: Platform, request: Request, answer: Answer) -> Answer:
        empty = request.method == "GET" and request.parts[2:] == ["notes"] and answer.body == []
        return Answer(404, {"error": "no notes"}) if empty else answer

    made.platform.after.append(none_is_missing)
    made.full(code=0)
    made.run(code=0)
    made.rollback(code=0)
    assert made.platform.tables["notes"] == made.platform.tables["companies"] == []
