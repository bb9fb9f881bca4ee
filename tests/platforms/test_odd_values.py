"""Values that no program holds easily: they arrive as they are, or are told; nothing ends in code 70."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request, Row
from tests.platforms.project import (
    Project,
    attention,
    mapped,
    migration,
    project,
    readable,
    writable,
)

HALVES = ("\ud800", "\udfff")
ODD_IDS = (
    "A-1", "C#-3", "#", "a+b", "a/b", "/", "a b", "%", "%23", "%25", "%2523", "50%#", "a?b", "a&b=c", "ñ", "日本", "😀",
    *HALVES, "a\0b", "a\nb", "..", "'\"", "{id}", "%ud800", "%00", "x" * 900, "[0]", "$key",
)  # fmt: skip
ODD_TEXTS = ("\x1b[2J\x1b]0;T\x07", "a\x0bb", "a\x00b", "\ud800 half", "=1+1", "\u202egnp.exe", "x" * 40_000, "[red]x[/red]", "a\ufffeb\uffff")


def rows_of(values: tuple[str, ...]) -> list[Row]:
    return [{"id": number, "name": value, "email": f"p{number}@example.com"} for number, value in enumerate(values, 1)]


def people(folder: Path, platform: Platform, *amount: str, **more: Any) -> Project:
    """People become contacts."""
    kinds = {"name": "text", "email": "text", **dict.fromkeys(amount, "number")}
    source = {"people": readable("people", **kinds)}
    destination = {"contacts": writable("contacts", ["name", "email"], **kinds)}
    objects = {"contacts": mapped("people", "contacts", dict(zip(kinds, kinds, strict=True)), **more)}
    return project(folder, platform, source, destination, migration(objects))


def by_quoted_id(platform: Platform, request: Request) -> Answer | None:
    """A platform that decodes the id in a path."""
    if len(request.parts) != 2 or request.method != "GET" or request.parts[0] != "people":
        return None
    row = platform.find("people", unquote(request.parts[1]))
    return Answer(200, row) if row else Answer(404, {"error": "no such row"})


def test_every_id_is_a_record_of_its_own(serve: Serve, tmp_path: Path) -> None:
    """Whatever stands in an id: one row each, found again by the next run, looked up by others, taken back."""
    people_rows = [{"id": one, "name": f"Person {at}"} for at, one in enumerate(ODD_IDS)]
    notes = [{"id": at, "person": one, "text": f"Note {at}"} for at, one in enumerate(ODD_IDS)]
    platform = serve(people=people_rows, notes=notes, contacts=[], comments=[])
    platform.before.append(by_quoted_id)
    ids = {"id": "text"}
    source = {
        "people": readable("people", name="text") | {"fields": {**ids, "name": "text"}},
        "notes": readable("notes", person="ref people", text="text"),
    }
    destination = {
        "contacts": writable("contacts", ["name"], name="text"),
        "comments": writable("comments", ["text"], contact="ref contacts", text="text"),
    }
    objects = {
        "contacts": mapped("people", "contacts", {"name": "name"}),
        "comments": mapped(
            "notes", "comments", {"text": "text", "contact": {"lookup": "contacts", "by": "person", "on_miss": "report"}}
        ),
    }
    trial = project(tmp_path, platform, source, destination, migration(objects))
    trial.full(code=1)  # what names half a character names nobody
    assert sorted(row["name"] for row in platform.tables["contacts"]) == sorted(row["name"] for row in people_rows)
    named = {row["id"]: row["name"] for row in platform.tables["contacts"]}
    found = {row["text"]: named.get(row.get("contact")) for row in platform.tables["comments"]}
    wanted = {f"Note {at}": None if one in HALVES else f"Person {at}" for at, one in enumerate(ODD_IDS)}
    assert found == wanted
    again = trial.run(code=1)
    assert (again["verdict"]["created"], again["verdict"]["updated"]) == (0, 0)
    trial.delta(code=1)
    trial.rollback(code=0)
    assert platform.tables["contacts"] == [] and platform.tables["comments"] == []


NUMBERS = {
    "1e999": "1e999",
    "-1e999": "-1e999",
    "1e-999": "1e-999",
    "12345678901234.5678": "12345678901234.5678",
    "9007199254740993": 9007199254740993,
    "123456789012345678901234567890": 123456789012345678901234567890,
    "0.30000000000000004": 0.30000000000000004,
    "0.1000000000000000055511151231257827": 0.1,
    "1.10": 1.1,
}


@pytest.mark.parametrize(("written", "arrives"), NUMBERS.items(), ids=[text[:30] for text in NUMBERS])
def test_a_number_is_kept_to_the_last_digit(serve: Serve, tmp_path: Path, written: str, arrives: Any) -> None:
    """A number that no float is arrives as its digits; the record beside it arrives too."""
    body = '[{"id": 1, "name": "a", "email": "a@x.es", "amount": %s}, {"id": 2, "name": "b", "email": "b@x.es", "amount": 2}]'
    platform = serve(people=[], contacts=[])
    platform.before.append(only("people", (body % written).encode()))
    people(tmp_path, platform, "amount").run("--sample")
    assert {row["name"]: row["amount"] for row in platform.tables["contacts"]} == {"a": arrives, "b": 2}


def test_a_number_of_thousands_of_digits_is_told(serve: Serve, tmp_path: Path) -> None:
    """It is no number that a field can hold: it stays out of its record, which says so; the other record arrives whole."""
    body = '[{"id": 1, "name": "a", "email": "a@x.es", "amount": %s}, {"id": 2, "name": "b", "email": "b@x.es", "amount": 2}]'
    platform = serve(people=[], contacts=[])
    platform.before.append(only("people", (body % ("9" * 5000)).encode()))
    report = people(tmp_path, platform, "amount").run("--sample", code=1)
    assert attention(report) == {("contacts", "people/1")}
    assert {row["name"]: row.get("amount") for row in platform.tables["contacts"]} == {"a": None, "b": 2}


@pytest.mark.parametrize("levels", [101, 900, 20_000])
def test_a_value_too_deep_is_kept_as_its_text(serve: Serve, tmp_path: Path, levels: int) -> None:
    """A field hundreds of lists deep stops neither its own record nor the others; no run is needed to keep it."""
    deep = "[" * levels + '"]"' + "]" * levels
    body = f'[{{"id": 1, "name": "a", "email": "a@x.es", "extra": {deep}}}, {{"id": 2, "name": "b", "email": "b@x.es"}}]'
    platform = serve(people=[], contacts=[])
    platform.before.append(only("people", body.encode()))
    report = people(tmp_path, platform).run("--sample", code=0)
    assert report["verdict"]["arrived"] == 2


def only(table: str, raw: bytes) -> Callable[[Platform, Request], Answer | None]:
    """A list that is answered with these bytes."""
    return lambda _, request: Answer(200, raw=raw) if request.reads(table) else None


@pytest.mark.parametrize("row_id", [None, "", " ", [1], {"a": 1}, True], ids=json.dumps)
def test_a_row_without_a_plain_id_is_told(serve: Serve, tmp_path: Path, row_id: Any) -> None:
    """What cannot be told apart is refused before anything is written."""
    platform = serve(people=[{"id": row_id, "name": "a", "email": "a@x.es"}], contacts=[])
    done = people(tmp_path, platform).etl("run", "--sample", code=4)
    assert "have no id" in done.err and platform.count_writes() == 0


@pytest.mark.parametrize(("forms", "code"), [(("7", "7.0"), 0), (("7", '"7"'), 1)])
def test_two_forms_of_a_number_are_one_id(
    forms: tuple[str, ...], code: int, serve: Serve, tmp_path: Path
) -> None:
    """A platform that writes 7 in one place and 7.0 in the next has one row; a text is reported as another body."""
    platform = serve(people=[], contacts=[])
    rows = ", ".join(f'{{"id": {one}, "name": "a", "email": "b"}}' for one in forms)
    platform.before.append(only("people", f"[{rows}]".encode()))
    people(tmp_path, platform).run("--sample", code=code)
    assert len(platform.tables["contacts"]) == 1


# -- export


@pytest.fixture
def exported(serve: Serve, tmp_path: Path) -> Path:
    """What `etl export` writes of odd texts."""
    trial = people(tmp_path, serve(people=rows_of(ODD_TEXTS), contacts=[]))
    spec = trial.spec()
    longest = "contacts_of_everybody_who_has_a_name"  # longer than a sheet's name may be
    columns = {"object": "contacts", "columns": {"Name\x0b": "name"}}
    trial.write_spec({**spec, "exports": {f"{longest}_one": columns, f"{longest}_two": columns}})
    trial.run("--sample")
    trial.etl("export", "--out", "tables", code=0)
    return tmp_path / "tables"


def test_tables_hold_whatever_a_text_is(exported: Path) -> None:
    """The CSV holds each text whole, but for half characters; a formula is text."""
    with (exported / "contacts.csv").open(encoding="utf-8-sig", newline="") as file:
        names = {row["source"]: row["name"] for row in csv.DictReader(file)}
    assert names["people/2"] == "a\x0bb"
    assert names["people/4"] == "? half"
    assert names["people/5"] == "'=1+1"
    assert len(names["people/7"]) == 40_000


def test_a_workbook_is_whole(exported: Path) -> None:
    """Control characters and what XML forbids are shown, a text cut short says so, two long names are two sheets; nothing unfinished is left."""
    import openpyxl

    assert zipfile.is_zipfile(exported / "trial.xlsx")
    book = openpyxl.load_workbook(exported / "trial.xlsx", read_only=True)
    cells = [cell for row in book["contacts"].iter_rows(values_only=True) for cell in row]
    assert "a\\u000bb" in cells
    assert "a\\ufffeb\\uffff" in cells
    long = max((cell for cell in cells if isinstance(cell, str)), key=len)
    assert len(long) == 32_767 and long.endswith("the whole text is in the CSV file")
    assert len([name for name in book.sheetnames if name.startswith("contacts_of_everybody")]) == 2
    assert not list(exported.glob("*.part*"))


def test_an_export_to_no_place_is_told(serve: Serve, tmp_path: Path) -> None:
    """A folder that cannot be made is a mistake of the command line."""
    trial = people(tmp_path, serve(people=rows_of(("a",)), contacts=[]))
    trial.run("--sample", code=0)
    (tmp_path / "taken").write_text("")
    done = trial.etl("export", "--out", "taken/tables", code=2)
    assert "taken" in done.err and "cannot be used" in done.err


# -- rows that are there already


@pytest.mark.parametrize(
    ("ignoring", "there", "adopted"),
    [
        ((), "P1@Example.com", 0),
        (("case",), "P1@Example.com", 1),
        (("case",), "p1@example.cóm", 0),
        (("case", "accents"), "P1@éxample.com", 1),
    ],
)
def test_match_ignores_what_it_is_told_to(
    serve: Serve, tmp_path: Path, ignoring: tuple[str, ...], there: str, adopted: int
) -> None:
    """A person that the destination has under another spelling is adopted where the spec says that it does not count."""
    platform = serve(people=rows_of(("Ana", "Bob")), contacts=[{"id": 77, "name": "Ana", "email": there}])
    match: Any = {"fields": ["email"], **({"ignoring": list(ignoring)} if ignoring else {})}
    report = people(tmp_path, platform, match=match).run("--sample")
    assert report["verdict"]["adopted"] == adopted
    assert len(platform.tables["contacts"]) == 3 - adopted
    assert platform.find("contacts", 77) == {"id": 77, "name": "Ana", "email": there}
