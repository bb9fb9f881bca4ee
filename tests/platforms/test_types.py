"""The declared type of a field is how it is read: in conditions, value maps, lists and emptiness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.platforms.conftest import Serve
from tests.platforms.platform import Platform, Row
from tests.platforms.project import (
    Project,
    attention,
    mapped,
    migration,
    project,
    readable,
    texts,
    writable,
)
from tests.platforms.trials import NAME

YES: list[Any] = [True, 1, "1", "true", "Y", " yes "]
NO: list[Any] = [False, 0, "0", "false", "N", "no"]
LIVE = {"active": {"equals": True}}
FIELDS = {
    "name": "text",
    "active": "boolean",
    "rate": "number",
    "email": "text",
    "lines": "list line",
}
SHAPES = {"line": {"id": "integer", "text": "text", "paid": "boolean"}}


def people(
    serve: Serve, folder: Path, rows: list[Row], objects: dict[str, Any], **keys: Any
) -> Project:
    """People with flags, numbers and lines; `keys` are the source connector's."""
    platform = serve(people=rows, contacts=[], others=[])
    source = {"resources": {"people": readable("people", **FIELDS)}, "shapes": SHAPES, **keys}
    fields = {"name": NAME, "email": {"type": "text", "empty": "as_null"}, "text": "text"}
    there = {name: writable(name, ["name"], **fields) for name in ("contacts", "others")}
    destination = {"resources": there, **keys}
    return project(folder, platform, source, destination, migration(objects))


def names(platform: Platform, table: str) -> list[str]:
    """The names in a table, in order."""
    return sorted(str(row["name"]) for row in platform.tables[table])


def test_a_condition_reads_flags_in_any_form(serve: Serve, tmp_path: Path) -> None:
    """Whoever is active goes to one table, whoever is not to the other, however the flag is written."""
    flags = [*YES, *NO]
    rows = [
        {"id": n, "name": f"{'yes' if n <= len(YES) else 'no'} {n}", "active": flag}
        for n, flag in enumerate(flags, 1)
    ]
    objects = {
        "contacts": mapped("people", "contacts", {"name": "name"}, when=LIVE),
        "others": mapped("people", "others", {"name": "name"}, when={"active": {"equals": False}}),
    }
    trial = people(serve, tmp_path, rows, objects)
    trial.full()
    assert {name.split()[0] for name in names(trial.platform, "contacts")} == {"yes"}
    assert {name.split()[0] for name in names(trial.platform, "others")} == {"no"}
    assert len(names(trial.platform, "contacts")) == len(YES)
    assert len(names(trial.platform, "others")) == len(NO)


@pytest.mark.parametrize(
    ("kind", "values", "condition", "taken"),
    [
        ("number", ["5.00", 7, " 4.5 ", 10.0, "1e1"], {"gte": "5"}, ["5.00", 7, 10.0, "1e1"]),
        ("integer", ["10", 9, "9"], {"lt": "10", "gt": 8}, [9, "9"]),
        (
            "datetime",
            ["2024-01-05T00:30:00+02:00", "2024-01-04T22:30:00Z", "2024-01-04 22:31:00"],
            {"equals": "2024-01-04T22:30:00Z"},
            ["2024-01-05T00:30:00+02:00", "2024-01-04T22:30:00Z"],
        ),
        (
            "datetime",
            ["2024-01-05T00:30:00+02:00", "2024-01-04T23:30:00Z"],
            {"gt": "2024-01-04T23:00:00Z"},
            ["2024-01-04T23:30:00Z"],
        ),
        ("date", ["2024-01-05", "2024-01-04"], {"gte": "2024-01-05"}, ["2024-01-05"]),
        ("text", ["10:30", "9:30"], {"equals": "10:30"}, ["10:30"]),
    ],
)
def test_numbers_and_moments_are_compared_as_such(
    kind: str, values: list[Any], condition: Any, taken: list[Any], serve: Serve, tmp_path: Path
) -> None:
    """Whether the spec quotes a number, and whichever zone a moment is written in."""
    rows = [{"id": n, "name": f"p{n}", "size": value} for n, value in enumerate(values, 1)]
    platform = serve(people=[*rows, {"id": 99, "name": "other"}], contacts=[], others=[])
    source = {"people": readable("people", name="text", size=kind)}
    there = {name: writable(name, ["name"], name=NAME) for name in ("contacts", "others")}
    objects = {
        "contacts": mapped("people", "contacts", {"name": "name"}, when={"size": condition}),
        "others": mapped("people", "others", {"name": "name"}, when={"name": "other"}),
    }
    project(tmp_path, platform, source, there, migration(objects)).run("--sample")
    found = [values[int(name[1:]) - 1] for name in names(platform, "contacts")]
    assert found == taken


def test_a_value_map_reads_flags_and_numbers(serve: Serve, tmp_path: Path) -> None:
    """`"1"` and `true` have one entry, and `"21.00"` has the entry of 21."""
    rows = [
        {"id": 1, "name": "a", "active": "1", "rate": "21.00"},
        {"id": 2, "name": "b", "active": 0, "rate": 10},
        {"id": 3, "name": "c", "active": True, "rate": "10"},
    ]
    rates = {"21": "normal", "10": "low"}
    fields = {
        "name": "name",
        "email": {"from": "active", "map": {"true": "on", "false": "off"}, "else": "report"},
        "text": {"from": "rate", "map": rates, "else": "report"},
    }
    trial = people(serve, tmp_path, rows, {"contacts": mapped("people", "contacts", fields)})
    trial.full()
    found = [(row["email"], row["text"]) for row in trial.platform.tables["contacts"]]
    assert sorted(found) == [("off", "low"), ("on", "low"), ("on", "normal")]


def test_a_list_is_narrowed_by_flags_in_any_form(serve: Serve, tmp_path: Path) -> None:
    """`each.where` takes the elements whose flag says so."""
    lines = [
        {"id": n, "text": f"line {n}", "paid": flag}
        for n, flag in enumerate(["1", "0", "Y", False], 1)
    ]
    rows = [{"id": 1, "name": "a", "lines": lines}]
    where = {"line.paid": {"equals": True}}
    each = {"name": "line", "path": "lines", "key": "id", "where": where}
    trial = people(
        serve,
        tmp_path,
        rows,
        {"contacts": mapped("people", "contacts", {"name": "line.text"}, each=each)},
    )
    trial.full()
    assert names(trial.platform, "contacts") == ["line 1", "line 3"]


def test_a_value_that_does_not_fit_is_named(serve: Serve, tmp_path: Path) -> None:
    """It is left out with its place; a record whose condition reads it is not silently passed over."""
    rows = [
        {"id": 1, "name": "a", "active": True, "email": False},
        {"id": 2, "name": "b", "active": "perhaps", "email": "b@example.com"},
    ]
    fields = {"name": "name", "email": "email"}
    trial = people(
        serve, tmp_path, rows, {"contacts": mapped("people", "contacts", fields, when=LIVE)}
    )
    report = trial.run("--sample", code=1)
    assert names(trial.platform, "contacts") == ["a"]
    assert "email" not in trial.platform.one("contacts", name="a")
    assert attention(report) == {("contacts", "people/1"), ("contacts", "people/2")}
    assert "email is left out: False is no text" in texts(report)
    assert "its condition cannot be judged: active 'perhaps' is neither yes nor no" in texts(report)


@pytest.mark.parametrize("nothing", [False, "0000-00-00", 0, "N/A", {"null": True}])
def test_what_a_platform_writes_for_empty_is_empty(
    nothing: Any, serve: Serve, tmp_path: Path
) -> None:
    """It is carried over as nothing, and read back as nothing: a later run writes nothing."""
    rows = [
        {"id": 1, "name": "a", "email": nothing},
        {"id": 2, "name": "b", "email": "b@example.com"},
    ]
    fields = {"name": "name", "email": "email"}
    trial = people(
        serve,
        tmp_path,
        rows,
        {"contacts": mapped("people", "contacts", fields)},
        empty_values=[nothing],
    )
    report = trial.full()
    platform = trial.platform
    assert report["findings"] == []
    assert "email" not in platform.one("contacts", name="a")

    platform.one("contacts", name="a")["email"] = nothing
    platform.tables["people"][1]["email"] = nothing
    report = trial.delta(code=0)
    assert report["verdict"]["updated"] == 1
    assert platform.one("contacts", name="b")["email"] is None
    trial.verify(code=0)


@pytest.mark.parametrize("flags", [NO, ["maybe"], ["N", "unknown"]], ids=["no", "other", "both"])
def test_a_deleted_flag_that_says_no_or_nothing_takes_nobody_away(
    flags: list[Any], serve: Serve, tmp_path: Path
) -> None:
    """Only yes takes a row for deleted; a word that is neither is reported with its field."""
    rows = [{"id": n, "name": f"p{n}", "active": flag} for n, flag in enumerate(flags, 1)]
    rows.append({"id": 99, "name": "gone", "active": "Y"})
    spec = {"contacts": mapped("people", "contacts", {"name": "name"})}
    trial = people(serve, tmp_path, rows, spec)
    path = tmp_path / "source.yaml"
    path.write_text(
        path.read_text("utf-8").replace('"people": {', '"people": {"deleted": "active", '), "utf-8"
    )
    odd = [flag for flag in flags if flag in ("maybe", "unknown")]
    report = trial.run("--sample", code=1 if odd else 0)
    assert names(trial.platform, "contacts") == sorted(f"p{n}" for n in range(1, len(flags) + 1))
    told = [item["text"] for item in report["findings"] if item["object"] == "people"]
    assert len(told) == len(odd) and all("neither yes nor no" in text for text in told)


def test_what_means_empty_is_empty_inside_objects_and_lists(serve: Serve, tmp_path: Path) -> None:
    """Whether its place is declared by a shape or not, no row gets the platform's word for nothing."""
    rows = [
        {"id": 1, "name": "a", "place": {"city": "N/A"}, "tags": ["N/A", "x"], "lines": [{"text": "N/A"}, {"text": "y"}]},
        {"id": 2, "name": "b", "place": {"city": "Rome"}, "tags": ["N/A"], "lines": []},
    ]
    platform = serve(people=rows, contacts=[])
    kinds = {"name": "text", "place": "object place", "tags": "list", "lines": "list line"}
    shapes = {"place": {"city": "text"}, "line": {"text": "text"}}
    source = {"resources": {"people": readable("people", **kinds)}, "shapes": shapes, "empty_values": ["N/A"]}
    there = {"contacts": writable("contacts", ["name"], name=NAME, city="text", tags="text", lines="text")}
    comma = {"text.join": ","}
    fields = {
        "name": "name",
        "city": "place.city",
        "tags": {"from": "tags", "using": comma},
        "lines": {"from": "lines[*].text", "using": comma},
    }
    trial = project(tmp_path, platform, source, there, migration({"contacts": mapped("people", "contacts", fields)}))
    trial.run("--sample", code=0)
    found = [{name: value for name, value in row.items() if name != "id"} for row in platform.tables["contacts"]]
    assert found == [{"name": "a", "tags": "x", "lines": "y"}, {"name": "b", "city": "Rome"}]


GONE_SINCE: list[Any] = ["2024-01-01 10:00:00", "2024-01-01T10:00:00+02:00", 1704103200]
NOBODY: list[Any] = ["00000000-0000-0000-0000-000000000000", {"id": None}, {"id": 0, "name": ""}, {"id": ""}]
NOT_GONE: list[Any] = ["0000-00-00 00:00:00", None, "", [], {}, 0, "0.00"]


@pytest.mark.parametrize(
    ("kind", "gone", "live", "odd"),
    [
        ("datetime", GONE_SINCE, NOT_GONE, ["9999-12-31", "soon"]),
        ("date", GONE_SINCE[:1], NOT_GONE, ["00/00/0000"]),
        ("text", [*GONE_SINCE, "yes", 1], [*NOT_GONE, "off", "00"], ["active", "-", 2]),
        ("integer", [1, "1"], [0, "0", " 0 ", "0.0"], ["x", -1]),
        ("ref people", [7, "people/7", {"id": 7}, {"name": "p"}], [*NOT_GONE, *NOBODY], [-1, {"id": -1}]),
        ("boolean", [True], [0.0, "00", "no", "off"], ["2024-01-01", [True]]),
    ],
)
def test_who_is_deleted_is_read_by_the_declared_type(
    kind: str, gone: list[Any], live: list[Any], odd: list[Any], serve: Serve, tmp_path: Path
) -> None:
    """A moment or a person says so, what means empty does not; anything else leaves the row live and is reported."""
    values = [*live, *odd, *gone]
    rows = [{"id": n, "name": f"p{n}", "gone": value} for n, value in enumerate(values, 1)]
    platform = serve(people=rows, contacts=[])
    source = {**readable("people", name="text", gone=kind), "deleted": "gone"}
    parts = {"resources": {"people": source}, "empty_values": ["0000-00-00 00:00:00"]}
    there = {"contacts": writable("contacts", ["name"], name=NAME)}
    spec = migration({"contacts": mapped("people", "contacts", {"name": "name"})})
    report = project(tmp_path, platform, parts, there, spec).run("--sample", code=1 if odd else 0)
    assert len(names(platform, "contacts")) == len(live) + len(odd)
    assert texts(report).count("neither yes nor no") == len(odd)


def with_keys(folder: Path, side: str, old: str, new: str) -> None:
    """Write something else into a connector."""
    path = folder / f"{side}.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_moment_that_means_nothing_takes_nobody_away(serve: Serve, tmp_path: Path) -> None:
    """`deleted` names a moment, and the platform writes `0000-00-00` for none: such a row is alive."""
    moments = {"a": "0000-00-00", "b": "2024-01-01", "c": None}
    rows = [{"id": n, "name": name, "email": at} for n, (name, at) in enumerate(moments.items())]
    spec = {"contacts": mapped("people", "contacts", {"name": "name"})}
    trial = people(serve, tmp_path, rows, spec, empty_values=["0000-00-00"])
    with_keys(tmp_path, "source", '"people": {', '"people": {"deleted": "email", ')
    trial.run("--sample", code=0)
    assert names(trial.platform, "contacts") == ["a", "c"]


def test_what_is_said_of_a_flag_is_said_until_it_is_read_anew(
    serve: Serve, tmp_path: Path
) -> None:
    """A later run that reads nothing still names the odd flag, once; a whole reading takes it back."""
    rows = [{"id": 1, "name": "a", "active": "maybe"}, {"id": 2, "name": "b", "active": "N"}]
    spec = {"contacts": mapped("people", "contacts", {"name": "name"})}
    trial = people(serve, tmp_path, rows, spec)
    with_keys(tmp_path, "source", '"people": {', '"people": {"deleted": "active", ')
    trial.full(code=1)
    assert texts(trial.run(code=1)).count("neither yes nor no") == 1
    assert texts(trial.delta(code=1)).count("neither yes nor no") == 1
    trial.platform.tables["people"][0]["active"] = "N"
    assert "neither" not in texts(trial.delta("--deletions", code=0))


@pytest.mark.parametrize("far", ["33.33333333333333333333", "12345678901234567890.5"])
def test_an_amount_of_many_digits_is_compared(far: str, serve: Serve, tmp_path: Path) -> None:
    """A number that no float holds is a number in a condition too."""
    rates = {"a": far, "b": "3.5", "c": "50.00", "d": "0.33333333333333333333"}
    rows = [{"id": n, "name": name, "rate": rate} for n, (name, rate) in enumerate(rates.items())]
    large = mapped("people", "contacts", {"name": "name"}, when={"rate": {"gt": 10}})
    small = mapped("people", "others", {"name": "name"}, when={"rate": {"lte": 10}})
    trial = people(serve, tmp_path, rows, {"contacts": large, "others": small})
    trial.run("--sample", code=0)
    assert names(trial.platform, "contacts") == ["a", "c"]
    assert names(trial.platform, "others") == ["b", "d"]


@pytest.mark.parametrize("no", ["0", "false", "N", 0, False])
def test_a_user_whose_flag_says_no_owns_nothing(no: Any, serve: Serve, tmp_path: Path) -> None:
    """However it is written: the fallback owner stands in for a person whose user is not active."""
    ann = {"id": 5, "name": "Ann", "email": "ann@example.com", "active": no}
    boss = {"id": 6, "name": "Boss", "email": "boss@example.com", "active": "1"}
    platform = serve(
        staff=[{"id": 1, "name": "Ann", "email": "ann@example.com"}],
        deals=[{"id": 1, "name": "Deal", "owner": 1}],
        users=[ann, boss],
        cards=[],
    )
    source = {
        "staff": readable("staff", name="text", email="text"),
        "deals": readable("deals", name="text", owner="ref staff"),
    }
    users = readable("users", name="text", email="text", active="boolean")
    destination = {
        "resources": {
            "users": users,
            "cards": writable("cards", ["name"], name=NAME, owner="ref users"),
        },
        "users": {"resource": "users", "email": "email", "name": "name", "active": "active"},
    }
    owner = {"lookup": "users", "by": "owner"}
    spec = migration(
        {"cards": mapped("deals", "cards", {"name": "name", "owner": owner})},
        users={"from": "staff", "email": "email", "fallback": "boss@example.com"},
    )
    project(tmp_path, platform, source, destination, spec).run("--sample")
    assert platform.one("cards")["owner"] == 6
