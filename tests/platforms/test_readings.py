"""A reading of the source is complete or says that it is not, and time is what the source says it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from engine.extract.records import watermark
from engine.store.records import Cursor, Tally
from tests.platforms.conftest import Serve
from tests.platforms.platform import Answer, Platform, Request, Row, page
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
from tests.replacing import replace

TOKENS = {"kind": "cursor", "cursor": "cursor", "next": "next"}
PAGERS = {
    "rows": {"kind": "offset", "start": "offset", "limit": "limit", "size": 10},
    "tokens": TOKENS,
    "starts": {
        "kind": "offset", "start": "offset", "limit": "limit", "size": 10, "next": "next"
    },
    "totals": {
        "kind": "offset", "start": "offset", "limit": "limit", "size": 10, "total": "total"
    },
}  # fmt: skip


def numbered(many: int, **values: Any) -> list[Row]:
    """So many people."""
    return [{"id": n, "name": f"Person {n}", **values} for n in range(1, many + 1)]


def trial(
    serve: Serve, folder: Path, people: list[Row], pager: str = "rows", sample: int = 9,
    read: Any = None, **more: Any,
) -> Project:  # fmt: skip
    """People become contacts; `more` are keys of the list that shows them."""
    platform = serve(people=people, contacts=[])
    listed = {"get": "/people", "pager": pager, **more}
    if pager != "rows":
        listed |= {"select": "data"}
    source = {**readable("people", name="text", updated="datetime"), "list": listed}
    source |= {"read": read} if read else {}
    there = {"contacts": writable("contacts", ["name"], name=NAME)}
    spec = migration({"contacts": mapped("people", "contacts", {"name": "name"})}, sample={"pages": sample})
    parts = {"pagers": PAGERS, "resources": {"people": {**source, "modified": "updated"}}}
    return project(folder, platform, parts, there, spec)


def listing(answer: Callable[[Platform, Request], Answer | None]) -> Any:
    """A hook that answers the list of people."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        is_list = request.method == "GET" and request.parts == ["people"]
        return answer(platform, request) if is_list else None

    return hook


def names(trial: Project) -> set[str]:
    """Whom the destination has."""
    return {row["name"] for row in trial.platform.tables["contacts"]}


# -- complete, or not


def test_rows_under_one_id_are_counted(serve: Serve, tmp_path: Path) -> None:
    """Ids that are unique within an order only: one row of each is kept, and all others are told."""
    rows = [{"id": 1 + n % 3, "name": f"Line {n}", "order": n // 3} for n in range(30)]
    made = trial(serve, tmp_path, rows)
    report = made.full(code=1)
    assert ("people", "") in attention(report)
    assert "27 rows came under an id that another row has, the first people/1" in texts(report)
    assert made.waiting() == {("people", "")}


@pytest.mark.parametrize(("stamped", "code"), [(True, 0), (False, 1)])
def test_a_row_that_is_changed_while_it_is_read_is_no_other_row(serve: Serve, tmp_path: Path, stamped: bool, code: int) -> None:
    """A row that comes twice because people changed it meanwhile is known by its stamp; without one it is told."""
    made = trial(serve, tmp_path, numbered(12), "tokens")
    later = {"updated": "2100-01-01T00:00:00Z"} if stamped else {}

    def pages(platform: Platform, request: Request) -> Answer:
        rows = platform.tables["people"]
        if "cursor" not in request.query:
            return Answer(200, {"data": rows[:10], "next": "b"})
        return Answer(200, {"data": [*rows[10:], {"id": 1, "name": "Renamed", **later}]})

    made.platform.before.append(listing(pages))
    made.approve()
    report = made.run(code=code)
    assert ("rows came under an id" in texts(report)) is not stamped


@pytest.mark.parametrize("zone", [-6, 0, 9])
@pytest.mark.parametrize(("begun", "changed", "same"), [(3600, 0, True), (1800, 0, False), (3600, 3600, False)])
def test_rows_of_one_id_are_told_apart_in_any_zone(
    serve: Serve, tmp_path: Path, begun: int, changed: int, same: bool, zone: int
) -> None:
    """Stamps are wall time of the account: a row that is changed while it is read was made when it was made
    and has a later stamp, another one under its id has not.
    """
    there = timedelta(hours=zone)
    times = {"made": stamp(timedelta(0), there, ago=3600), "updated": stamp(timedelta(0), there, ago=3600)}
    made = trial(serve, tmp_path, numbered(12, **times), "tokens")
    path = tmp_path / "source.yaml"
    declared = '"updated": "datetime", "made": "datetime"'
    written = path.read_text("utf-8").replace('"updated": "datetime"', declared).replace('"modified":', '"created": "made", "modified":')
    path.write_text(written, "utf-8")

    def pages(platform: Platform, request: Request) -> Answer:
        rows = platform.tables["people"]
        if "cursor" not in request.query:
            return Answer(200, {"data": rows[:10], "next": "b"})
        later = times if changed else {"updated": stamp(timedelta(0), there)}
        born = times["made"] if begun == 3600 else stamp(timedelta(0), there, ago=begun)
        again = {"id": 1, "name": "Renamed", **later, "made": born}
        return Answer(200, {"data": [*rows[10:], again]})

    made.platform.before.append(listing(pages))
    report = made.run("--sample", code=0 if same else 1)
    assert ("rows came under an id" in texts(report)) is not same


@pytest.mark.parametrize("odd", [{"a": 1}, [1, 2], "", None, True])
def test_an_id_that_cannot_be_used_costs_that_row_only(serve: Serve, tmp_path: Path, odd: Any) -> None:
    """An object, a list or nothing for an id: the others arrive, and the row is counted."""
    made = trial(serve, tmp_path, [*numbered(4), {"id": odd, "name": "Odd"}])
    report = made.full(code=1)
    assert len(names(made)) == 4
    assert "1 rows have an id that cannot be used" in texts(report)


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_page_token_that_is_dead_begins_the_list_anew(serve: Serve, tmp_path: Path, status: int) -> None:
    """Between a sample and the run the server forgets its tokens: the run reads from the first page, each row once."""
    made, session = trial(serve, tmp_path, numbered(35), "tokens", sample=1), ["a"]

    def pages(platform: Platform, request: Request) -> Answer:
        mark, _, at = request.query.get("cursor", f"{session[0]}-0").partition("-")
        if mark != session[0]:
            return Answer(status, {"error": "this token is dead"})
        rows, start = platform.tables["people"], int(at)
        after = f"{mark}-{start + 10}" if start + 10 < len(rows) else None
        return Answer(200, {"data": rows[start : start + 10], "next": after})

    made.platform.before.append(listing(pages))
    made.approve()
    session[0] = "b"
    report = made.run(code=0)
    assert (len(made.platform.tables["contacts"]), texts(report)) == (35, "")


ODD_TOTALS: list[Any] = [0, -1, 10, "10", "25.0", "1,025", "9" * 5000, {"n": 25}, [25], True, "many"]
ODD_STARTS: list[Any] = ["x", "1e5", "10.0", -5, 0, {"a": 1}, [10], "9" * 5000, True]


@pytest.mark.parametrize(
    ("pager", "told"),
    [*(("totals", {"total": one}) for one in ODD_TOTALS), *(("starts", {"next": one}) for one in ODD_STARTS)],
    ids=lambda told: str(told)[:30],
)
def test_a_total_or_position_that_cannot_be_meant_ends_no_list(serve: Serve, tmp_path: Path, pager: str, told: Any) -> None:
    """Below the rows that came, of one page only, or no number at all: the list is read on to its empty page."""
    made = trial(serve, tmp_path, numbered(25), pager)
    made.platform.before.append(
        listing(lambda platform, request: Answer(200, {"data": page(platform.tables["people"], request.query), **told}))
    )
    report = made.run("--sample", code=0)
    assert (len(names(made)), texts(report)) == (25, "")


def test_an_answer_without_anything_after_a_full_page_is_told(serve: Serve, tmp_path: Path) -> None:
    """A 200 without a body does not say that there are no more rows; a 204, or an empty list, does."""
    for end, code in ((Answer(200, raw=b""), 1), (Answer(204), 0), (Answer(200, []), 0)):
        folder = tmp_path / f"{code}{end.status}"
        folder.mkdir(exist_ok=True)
        made = trial(serve, folder, numbered(10))
        made.platform.before.append(
            listing(lambda _, request, end=end: end if int(request.query.get("offset", 0)) else None)
        )
        report = made.run("--sample", code=code)
        assert ("with an answer without a body" in texts(report)) is (code == 1)


def test_a_list_below_a_parent_that_breaks_off_is_told(serve: Serve, tmp_path: Path) -> None:
    """Only a 404 on the first page means that the parent has gone; a later one leaves notes unread, and says so."""
    platform = serve(people=numbered(3), contacts=[])
    notes = {n: [{"id": 100 * n + k, "name": f"Note {k} of {n}"} for k in range(25)] for n in (1, 2)}
    notes_list = {"get": "/people/{person}/notes", "parent": "people", "parent_id": "person"}
    kind = {"fields": {"id": "integer", "person": "ref people", "name": "text"}, "read": "none"}
    source = {
        "people": readable("people", name="text"),
        "notes": {**kind, "list": {**notes_list, "pager": "tokens", "select": "data"}},
    }

    def below(_: Platform, request: Request) -> Answer | None:
        if len(request.parts) != 3:
            return None
        parent, start = int(request.parts[1]), int(request.query.get("cursor", 0))
        if parent not in notes or (parent == 2 and start):
            return Answer(404, {"error": "not found"})
        rows = notes[parent]
        after = str(start + 10) if start + 10 < len(rows) else None
        return Answer(200, {"data": rows[start : start + 10], "next": after})

    platform.before.append(below)
    spec = migration({"contacts": mapped("notes", "contacts", {"name": "name"})}, sample={"pages": 99})
    there = {"contacts": writable("contacts", ["name"], name=NAME)}
    made = project(tmp_path, platform, {"pagers": PAGERS, "resources": source}, there, spec)
    report = made.full(code=1)
    assert len(platform.tables["contacts"]) == 35
    assert attention(report) == {("notes", "")}
    assert "refused on the way" in texts(report)


def test_rows_that_slip_off_a_page_are_suspected_until_all_is_read_again(serve: Serve, tmp_path: Path) -> None:
    """A row is deleted while the list is read: the run says that rows moved, and a whole reading puts it right."""
    made, calls = trial(serve, tmp_path, numbered(25), "totals"), [0]

    def deleting(platform: Platform, request: Request) -> Answer:
        calls[0] += 1
        rows = platform.tables["people"]
        if calls[0] == 2:
            rows.pop(0)
        return Answer(200, {"data": page(rows, request.query), "total": len(rows)})

    made.platform.before.append(listing(deleting))
    report = made.full(code=1)
    assert "rows moved while the list was read" in texts(report)
    assert "Person 11" not in names(made)
    after = made.delta("--deletions")
    assert "Person 11" in names(made)
    assert attention(after) == {("contacts", "people/1")}  # the row that was deleted, and nothing else


@pytest.mark.parametrize("stable", [True, False])
def test_lists_whose_rows_may_slip_are_named(serve: Serve, tmp_path: Path, stable: bool) -> None:
    """A list of several pages is read by position: the run names it, unless the connector knows its order as stable."""
    made = trial(serve, tmp_path, numbered(25), stable=stable)
    report = made.run("--sample", code=0)
    told = [text for text in report["notices"] if text.startswith("people was read by position")]
    assert bool(told) is not stable


@pytest.mark.parametrize("deleted", [0, 4, 9])
def test_a_reading_that_goes_on_days_later_sees_that_rows_have_moved(serve: Serve, tmp_path: Path, deleted: int) -> None:
    """A sample reads the first page; people delete one of its rows; the run begins anew and misses nobody."""
    made = trial(serve, tmp_path, numbered(35), sample=1)
    made.approve()
    made.platform.tables["people"].pop(deleted)
    made.run()
    assert {row["name"] for row in made.platform.tables["people"]} <= names(made)


def test_nobody_is_taken_for_deleted_after_half_a_list(serve: Serve, tmp_path: Path) -> None:
    """Rows without a call of their own, in a list that ends before its total: nothing is deleted, and it is told."""
    made = trial(serve, tmp_path, numbered(25), "totals", read="none")
    short = [False]

    def pages(platform: Platform, request: Request) -> Answer:
        rows = platform.tables["people"]
        found = page(rows, request.query)
        if short[0] and int(request.query["offset"]):
            found = []
        return Answer(200, {"data": found, "total": len(rows)})

    made.platform.before.append(listing(pages))
    made.full(code=0)
    short[0] = True
    report = made.delta("--deletions", code=1)
    assert "after 10 rows of 25" in texts(report)
    assert report["verdict"]["deleted"] == 0
    short[0] = False
    made.delta("--deletions", code=0)


@pytest.mark.parametrize("answer", [Answer(204), Answer(403, {"error": "no longer yours"})])
def test_a_list_that_stops_showing_rows_deletes_nobody(serve: Serve, tmp_path: Path, answer: Answer) -> None:
    """Rows that were there, then a list without a body or without the right to it: told, and nobody is deleted."""
    made = trial(serve, tmp_path, numbered(5), read="none")
    path = tmp_path / "source.yaml"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["errors"].append({"when": {"status": 403}, "then": "forbid"})
    path.write_text(json.dumps(written), encoding="utf-8")
    made.full(code=0)
    made.platform.before.append(listing(lambda *_: answer))
    report = made.delta("--deletions", code=1)
    assert attention(report) == {("people", "")}
    assert report["verdict"]["deleted"] == 0


@pytest.mark.parametrize("last", ["false", "0", "no", False, None])
def test_a_word_that_there_is_no_more_is_read_as_a_flag(serve: Serve, tmp_path: Path, last: Any) -> None:
    """`"false"` and `"0"` say that a page is the last: no further page is asked for, and nothing is in doubt."""
    made = trial(serve, tmp_path, numbered(15), "totals")
    path = tmp_path / "source.yaml"
    path.write_text(path.read_text("utf-8").replace('"total": "total"', '"more": "more"'), "utf-8")

    def pages(platform: Platform, request: Request) -> Answer:
        begins = request.query.get("offset", "0") == "0"
        return Answer(200, {"data": page(platform.tables["people"], request.query), "more": "true" if begins else last})

    made.platform.before.append(listing(pages))
    made.run("--sample", code=0)
    assert len(names(made)) == 15


@pytest.mark.parametrize("place", ["next", "total"])
@pytest.mark.parametrize("said", ["abc", {"a": 1}, [3], "9" * 5000, -5, True, "\u00b2"], ids=lambda said: repr(said)[:12])
def test_a_count_that_is_none_is_passed_over(serve: Serve, tmp_path: Path, said: Any, place: str) -> None:
    """Where the next offset or the total is no number, rows are counted: all of them arrive."""
    made = trial(serve, tmp_path, numbered(15), "totals")
    path = tmp_path / "source.yaml"
    path.write_text(path.read_text("utf-8").replace('"total": "total"', f'"{place}": "{place}"'), "utf-8")
    made.platform.before.append(
        listing(lambda there, asked: Answer(200, {"data": page(there.tables["people"], asked.query), place: said}))
    )
    made.run("--sample", code=0)
    assert len(names(made)) == 15


def test_a_list_that_the_key_may_read_by_now_is_read(serve: Serve, tmp_path: Path) -> None:
    """The key has no right to a list, and is given it: the next run reads the rows, without --refresh."""
    made, shut = trial(serve, tmp_path, numbered(25)), [True]
    path = tmp_path / "source.yaml"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["errors"].append({"when": {"status": 403}, "then": "forbid"})
    path.write_text(json.dumps(written), encoding="utf-8")

    def pages(_: Platform, request: Request) -> Answer | None:
        return Answer(403, {"error": "not yours"}) if shut[0] and request.query.get("offset", "0") != "0" else None

    made.platform.before.append(listing(pages))
    assert "not yours" in texts(made.run("--sample", "100", code=1))
    shut[0] = False
    made.run("--sample", "100", code=0)
    assert len(names(made)) == 25


def test_a_page_of_nothing_but_odd_ids_ends_no_reading(serve: Serve, tmp_path: Path) -> None:
    """Ten people have ids, and the only one of the last page has none: it is counted, the others arrive."""
    made = trial(serve, tmp_path, [*numbered(10), {"id": None, "name": "Odd"}])
    report = made.run("--sample", code=1)
    assert len(names(made)) == 10
    assert "1 rows have an id that cannot be used" in texts(report)


def test_an_answer_without_a_body_is_asked_for_once_more(serve: Serve, tmp_path: Path) -> None:
    """The second page comes without a body, once: it is no end, all people arrive."""
    made, silent = trial(serve, tmp_path, numbered(25)), [True]

    def once(_: Platform, request: Request) -> Answer | None:
        if request.query.get("offset") != "10" or not silent[0]:
            return None
        silent[0] = False
        return Answer(204)

    made.platform.before.append(listing(once))
    made.run("--sample", "100", code=0)
    assert len(names(made)) == 25


@pytest.mark.parametrize("status", [400, 404])
def test_a_page_behind_the_last_may_be_refused(serve: Serve, tmp_path: Path, status: int) -> None:
    """A short page may be cut, so the next is asked for; that it is refused says that there is none."""
    made = trial(serve, tmp_path, numbered(15))

    def refuse(_: Platform, request: Request) -> Answer | None:
        return Answer(status, {"error": "no such page"}) if request.query.get("offset") == "15" else None

    made.platform.before.append(listing(refuse))
    report = made.run("--sample", "100", code=0)
    assert report["findings"] == []
    assert [one.query.get("offset") for one in made.platform.calls("GET", "people")][-1] == "15"


@pytest.mark.parametrize("status", [400, 404])
def test_a_page_refused_behind_pages_of_one_length_is_told(serve: Serve, tmp_path: Path, status: int) -> None:
    """Ten are asked for and five come each time: a third page that is refused may hold more."""
    made = trial(serve, tmp_path, numbered(45))

    def short(platform: Platform, request: Request) -> Answer:
        start = int(request.query.get("offset", 0))
        if start >= 10:
            return Answer(status, {"error": "offset too large"})
        return Answer(200, platform.tables["people"][start : start + 5])

    made.platform.before.append(listing(short))
    report = made.run("--sample", "100", code=1)
    assert "was refused after 10 rows" in texts(report)


@pytest.mark.parametrize("lengths", [[3, 5, 7], [7, 6]], ids=str)
def test_a_position_that_the_list_ignores_is_told(serve: Serve, tmp_path: Path, lengths: list[int]) -> None:
    """The first rows whatever is asked for, more or fewer of them each time, may be a part of the list."""
    made = trial(serve, tmp_path, numbered(45))
    left = [*lengths]
    made.platform.before.append(
        listing(lambda platform, _: Answer(200, platform.tables["people"][: left.pop(0) if left[1:] else left[0]]))
    )
    report = made.run("--sample", "100", code=1)
    assert "it repeats rows that were read" in texts(report)


def test_the_last_page_may_be_given_again(serve: Serve, tmp_path: Path) -> None:
    """A page shorter than those before it, which the list repeats behind its end, was the last."""
    made = trial(serve, tmp_path, numbered(25))

    def clamped(platform: Platform, request: Request) -> Answer:
        start = min(int(request.query.get("offset", 0)), 20)
        return Answer(200, platform.tables["people"][start : start + 10])

    made.platform.before.append(listing(clamped))
    report = made.run("--sample", "100", code=0)
    assert (len(names(made)), texts(report)) == (25, "")


@pytest.mark.parametrize(("people", "behind"), [(45, "rows"), (20, "none"), (20, "refused"), (20, "again")])
def test_a_round_total_is_looked_behind(serve: Serve, tmp_path: Path, people: int, behind: str) -> None:
    """A total of twenty after two full pages may be capped: one page more is asked for, whatever comes of it."""
    made = trial(serve, tmp_path, numbered(people), "totals")

    def capped(platform: Platform, request: Request) -> Answer:
        query = dict(request.query)
        if int(query["offset"]) >= 20 and behind == "refused":
            return Answer(404, {"error": "no such page"})
        if behind == "again":
            query["offset"] = str(min(int(query["offset"]), 10))
        return Answer(200, {"data": page(platform.tables["people"], query), "total": 20})

    made.platform.before.append(listing(capped))
    report = made.run("--sample", "100", code=0)
    assert (len(names(made)), texts(report)) == (people, "")


def test_a_search_that_is_refused_at_its_cap_is_told(serve: Serve, tmp_path: Path) -> None:
    """A total of a thousand and a refusal behind it are what search engines say of more rows."""
    made = trial(serve, tmp_path, numbered(1045), "totals", sample=1000)

    def capped(platform: Platform, request: Request) -> Answer:
        if int(request.query["offset"]) >= 1000:
            return Answer(400, {"error": "the window is too large"})
        return Answer(200, {"data": page(platform.tables["people"], request.query), "total": 1000})

    made.platform.before.append(listing(capped))
    report = made.run("--sample", "20", code=1)
    assert "was refused after 1,000 rows" in texts(report)


@pytest.mark.parametrize("pages", [1, 3])
def test_a_new_token_each_time_ends(serve: Serve, tmp_path: Path, pages: int) -> None:
    """Tokens that are always new, and the same pages again and again: the list ends with an error."""
    made = trial(serve, tmp_path, numbered(30), "tokens", sample=1000)
    asked: list[int] = []

    def round_and_round(platform: Platform, _: Request) -> Answer:
        asked.append(1)
        start = (len(asked) - 1) % pages * 10
        return Answer(200, {"data": platform.tables["people"][start : start + 10], "next": f"t{len(asked)}"})

    made.platform.before.append(listing(lambda *given: round_and_round(*given) if len(asked) < 300 else Answer(401)))
    report = made.run("--sample", "100", code=1)
    assert f"after {pages * 10} rows it repeats rows that were read" in texts(report)


def test_what_a_reading_counted_is_counted_anew_with_refresh(serve: Serve, tmp_path: Path) -> None:
    """27 rows come under ids of others; read once more they are 27, not 54."""
    made = trial(serve, tmp_path, [{"id": 1 + n % 3, "name": f"Line {n}"} for n in range(30)])
    made.run("--sample", code=1)
    report = made.run("--sample", "--refresh", code=1)
    assert "27 rows came under an id" in texts(report)


# -- time is the server's


def filtering(made: Project, ahead: timedelta) -> None:
    """The list filters by `since`; the server's clock is ahead of ours."""

    def pages(platform: Platform, request: Request) -> Answer:
        since = request.query.get("since", "")
        rows = [row for row in platform.tables["people"] if row["updated"] >= since]
        now = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        return Answer(200, page(rows, request.query), headers={"date": now})

    made.platform.before.append(listing(pages))


def stamp(ahead: timedelta, zone: timedelta = timedelta(0), ago: float = 0) -> str:
    """A moment as the platform writes it: wall time of its zone, by its own clock."""
    moment = datetime.now(UTC) + ahead + zone - timedelta(seconds=ago)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("hours", "zone"),
    [(-720, 0), (-720, 13), (-5, 0), (-5, -6), (0, -11), (0, -6), (0, 13), (5, 2), (720, -11)],
)
def test_a_delta_misses_nothing_whatever_clocks_and_zones_say(serve: Serve, tmp_path: Path, hours: int, zone: int) -> None:
    """Whether our clock is wrong or the account's zone is not UTC, what is new and changed arrives, and nothing twice."""
    ahead, there = timedelta(hours=hours), timedelta(hours=zone)
    people = numbered(5, updated=stamp(ahead, there, ago=86_400))
    made = trial(serve, tmp_path, people, since="since")
    filtering(made, ahead)
    made.full(code=0)
    table = made.platform.tables["people"]
    table[2] |= {"name": "Renamed", "updated": stamp(ahead, there)}
    table.append({"id": 6, "name": "New", "updated": stamp(ahead, there)})
    made.delta(code=0)
    assert {"Renamed", "New"} <= names(made)
    assert len(made.platform.tables["contacts"]) == 6


@pytest.mark.parametrize("zone", [-6, 0, 13])
def test_a_stamp_in_the_future_hides_no_zone(serve: Serve, tmp_path: Path, zone: int) -> None:
    """One row was stamped in 2099 by mistake; three deltas bring what was changed before each of them."""
    there = timedelta(hours=zone)
    people = numbered(14, updated=stamp(timedelta(0), there, ago=86_400))
    people[0]["updated"] = "2099-01-01T00:00:00Z"
    made = trial(serve, tmp_path, people, since="since")
    filtering(made, timedelta(0))
    made.full(code=0)
    for number in (3, 4, 5):
        row = made.platform.tables["people"][number]
        row |= {"name": f"Renamed {number}", "updated": stamp(timedelta(0), there)}
        made.delta(code=0)
        assert f"Renamed {number}" in names(made)


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize(("first", "later"), [(30, 0), (720, 0), (720, 720), (0, 720), (-720, 0), (5e5, 0), (-4e5, 0)])
def test_a_clock_that_is_put_right_loses_nothing(
    serve: Serve, tmp_path: Path, first: float, later: float, stamped: bool
) -> None:
    """The server's `Date` is hours off while its stamps are right, and is mended before the delta: nothing is missed or doubled."""
    now = stamp(timedelta(0), ago=7200)
    made = trial(serve, tmp_path, numbered(5, updated=now), since="since")
    ahead = [first]
    if not stamped:
        if later > 0:
            return  # nothing tells that this clock is wrong
        path = tmp_path / "source.yaml"
        path.write_text(path.read_text("utf-8").replace('"modified": "updated"', '"called": "name"'), "utf-8")

    def dated(_: Platform, __: Request, answer: Answer) -> Answer:
        date = format_datetime(datetime.now(UTC) + timedelta(hours=ahead[0]), usegmt=True)
        return replace(answer, headers={**answer.headers, "date": date})

    filtering(made, timedelta(0))
    made.platform.after.append(dated)
    made.full(code=0)
    ahead[0] = later
    table = made.platform.tables["people"]
    table[2] |= {"name": "Renamed", "updated": stamp(timedelta(0))}
    table.append({"id": 6, "name": "New", "updated": stamp(timedelta(0))})
    made.delta(code=0)
    assert {"Renamed", "New"} <= names(made)
    assert len(made.platform.tables["contacts"]) == 6


@pytest.mark.parametrize(("stamped", "back"), [(-8 * 3600, 10), (-60, 2), (9 * 3600, 2), (-900 * 3600, 902), (None, 16)])
def test_a_window_reaches_back_as_far_as_stamps_lag(stamped: float | None, back: int) -> None:
    """Two hours before the server's clock, and as far as its newest stamp lies behind; one ahead of it shortens nothing."""
    date = 1_800_000_000.0
    tally = Tally(date=date, stamp=None if stamped is None else date + stamped)
    found = watermark(Cursor("people", None, True, 1, 0.0, 0.0), tally)
    assert 0 <= date - found - back * 3600 <= 60


def test_a_delta_that_breaks_off_is_asked_for_again(serve: Serve, tmp_path: Path) -> None:
    """Of 15 changed people the second page is refused: that is told, and the next delta brings all, days later too."""
    made = trial(serve, tmp_path, numbered(15, updated=stamp(timedelta(0), ago=86_400)), since="since")
    ahead, refused = [timedelta(0)], [True]

    def pages(platform: Platform, request: Request) -> Answer:
        since = request.query.get("since", "")
        if since and refused[0] and request.query.get("offset", "0") != "0":
            return Answer(404, {"error": "no such page"})
        rows = [row for row in platform.tables["people"] if row["updated"] >= since]
        now = format_datetime(datetime.now(UTC) + ahead[0], usegmt=True)
        return Answer(200, page(rows, request.query), headers={"date": now})

    made.platform.before.append(listing(pages))
    made.full(code=0)
    for row in made.platform.tables["people"]:
        row |= {"name": f"Changed {row['id']}", "updated": stamp(timedelta(hours=24))}
    ahead[0] = timedelta(hours=48)
    made.delta("--yes", code=1)
    refused[0] = False
    made.delta("--yes", code=0)
    assert names(made) == {f"Changed {n}" for n in range(1, 16)}


def test_a_filter_names_its_zone(serve: Serve, tmp_path: Path) -> None:
    """With `since_zone` the moment is written by that zone's clock."""
    made = trial(
        serve, tmp_path, numbered(2, updated=stamp(timedelta(0))), since="since",
        since_zone="Etc/GMT-9", since_style="space",
    )  # fmt: skip
    filtering(made, timedelta(0))
    made.full(code=0)
    made.delta(code=0)  # reaches back to what is known
    made.delta(code=0)
    told = [one.query["since"] for one in made.platform.log if "since" in one.query][-1]
    moment = datetime.strptime(told, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    late = datetime.now(UTC) + timedelta(hours=9) - moment
    assert timedelta(hours=1, minutes=59) < late < timedelta(hours=2, minutes=5)


def test_a_filter_by_days_reaches_back_a_day(serve: Serve, tmp_path: Path) -> None:
    """A bound that is a day may leave that day out: what changed today is asked for by a day before."""
    made = trial(serve, tmp_path, numbered(2, updated=stamp(timedelta(0))), since="since", since_style="date")
    filtering(made, timedelta(0))
    made.full(code=0)
    made.delta(code=0)
    made.delta(code=0)
    told = [one.query["since"] for one in made.platform.log if "since" in one.query][-1]
    assert told <= f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"


def answering(answer: Answer) -> Callable[[Platform, Request], Answer | None]:
    """The third person's own read answers so."""
    return lambda _, request: answer if request.path == "/people/3" else None


UNREAD = {
    "404": Answer(404, {"error": "not in the index"}),
    "403": Answer(403, {"error": "private"}),
    "204": Answer(204),
    "an empty row": Answer(200, {}),
    "null": Answer(200, None),
    "no body": Answer(200, raw=b""),
    "no rows": Answer(200, []),
    "an error": Answer(200, {"success": False, "error": "timeout"}),
    "another row": Answer(200, {"id": 1, "name": "Person 1", "note": "Note 1"}),
}


def in_part(serve: Serve, folder: Path, count: int, nick: str = "N", filters: bool = True) -> Project:
    """People with a nickname, which the list leaves out where it is asked for what has changed, if its connector says how."""
    more = {"since": "since"} if filters else {}
    made = trial(serve, folder, numbered(count, updated=stamp(timedelta(0), ago=60), nick=nick), **more)
    path = folder / "source.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace('"name": "text"', '"name": "text", "nick": "text"', 1), encoding="utf-8")
    there = folder / "destination.yaml"
    there.write_text(there.read_text(encoding="utf-8").replace('"fields": {', '"fields": {"nick": {"type": "text", "empty": "as_null"}, ', 1), encoding="utf-8")
    spec = made.spec()
    spec["objects"]["contacts"]["fields"]["nick"] = "nick"
    made.write_spec(spec)

    def sparse(platform: Platform, request: Request) -> Answer:
        since = request.query.get("since", "")
        rows = [row for row in platform.tables["people"] if row["updated"] >= since]
        shown = [{name: row[name] for name in ("id", "name", "updated")} for row in rows]
        return Answer(200, page(shown if since else rows, request.query))

    made.platform.before.append(listing(sparse))
    made.full(code=0)
    return made


def nicks(trial: Project) -> list[str]:
    """The nicknames that the destination has."""
    return [row.get("nick") for row in trial.platform.tables["contacts"]]


def test_a_filter_that_shows_a_part_of_each_row_is_not_used(serve: Serve, tmp_path: Path) -> None:
    """Many rows that come without a field prove it: all rows are read, nothing is emptied, and the run says so."""
    made = in_part(serve, tmp_path, 22)
    made.platform.tables["people"][0] |= {"name": "Changed 1", "updated": stamp(timedelta(0))}
    report = made.delta(code=1)
    assert nicks(made) == ["N"] * 22 and "Changed 1" in names(made)
    assert "or some of their fields, such as people/" in texts(report)
    made.platform.tables["people"][1] |= {"name": "Changed 2", "updated": stamp(timedelta(0))}
    made.delta("--yes", code=1)
    assert nicks(made) == ["N"] * 22 and "Changed 2" in names(made)


def test_a_row_that_came_in_part_is_read_by_itself(serve: Serve, tmp_path: Path) -> None:
    """What a list of changes leaves out is not emptied; what the row does not show by itself is."""
    made = in_part(serve, tmp_path, 3)
    people = made.platform.tables["people"]
    people[0] |= {"name": "Changed 1", "updated": stamp(timedelta(0))}
    people[1] |= {"nick": "M", "updated": stamp(timedelta(0))}
    people[2]["updated"] = stamp(timedelta(0))
    del people[2]["nick"]
    assert made.delta(code=0)["verdict"]["updated"] == 3
    assert nicks(made) == ["N", "M", None] and "Changed 1" in names(made)
    assert made.delta(code=0)["verdict"]["updated"] == 0


def asked_alone(trial: Project) -> list[str]:
    """The people whose own row was asked for."""
    return [one.path for one in trial.platform.calls("GET", "people") if len(one.parts) > 1]


def test_rows_that_did_not_change_are_not_taken_for_changed_because_they_came_in_part(serve: Serve, tmp_path: Path) -> None:
    """With what they show by themselves they are as they were: the run counts no change."""
    made = in_part(serve, tmp_path, 3)
    assert made.delta(code=0)["verdict"]["changed"] == 0
    assert asked_alone(made) == ["/people/1", "/people/2", "/people/3"]


def test_empty_fields_that_a_list_of_changes_leaves_out_are_asked_of_no_row(serve: Serve, tmp_path: Path) -> None:
    """Nothing can be lost of a field that held nothing: no call is spent on it."""
    made = in_part(serve, tmp_path, 3, nick="")
    made.platform.tables["people"][0] |= {"name": "Changed 1", "updated": stamp(timedelta(0))}
    made.delta(code=0)
    assert "Changed 1" in names(made) and asked_alone(made) == []


def test_a_whole_list_is_believed_in_what_it_leaves_out(serve: Serve, tmp_path: Path) -> None:
    """Where a delta reads all rows as the first reading did, a field that is gone is gone: no row is asked for by itself."""
    made = in_part(serve, tmp_path, 3, filters=False)
    del made.platform.tables["people"][0]["nick"]
    made.delta(code=0)
    assert nicks(made) == [None, "N", "N"] and asked_alone(made) == []


@pytest.mark.parametrize("kind", ["404", "403", "an error", "another row"])
def test_a_row_in_part_whose_own_read_shows_something_else_is_not_taken(kind: str, serve: Serve, tmp_path: Path) -> None:
    """The list as a whole is read instead: nothing is emptied, no value is another row's, and the run says so."""
    made = in_part(serve, tmp_path, 3)
    people = made.platform.tables["people"]
    people[0]["nick"] = "A"
    people[2] |= {"name": "Changed 3", "updated": stamp(timedelta(0))}
    made.platform.before.append(answering(UNREAD[kind]))
    report = made.delta(code=1)
    assert nicks(made)[2] == "N" and "Changed 3" in names(made)
    assert "or some of their fields, such as people/" in texts(report)


def test_rows_in_part_that_cannot_be_read_by_themselves_are_read_with_all(serve: Serve, tmp_path: Path) -> None:
    """A resource without a read of its own: the list as a whole shows what is there."""
    made = in_part(serve, tmp_path, 3)
    path = tmp_path / "source.yaml"
    connector = json.loads(path.read_text(encoding="utf-8"))
    del connector["resources"]["people"]["read"]
    path.write_text(json.dumps(connector), encoding="utf-8")
    made.platform.tables["people"][0] |= {"name": "Changed 1", "updated": stamp(timedelta(0))}
    report = made.delta("--yes", code=1)
    assert nicks(made) == ["N"] * 3 and "Changed 1" in names(made)
    assert "or some of their fields, such as people/" in texts(report)


def test_rows_in_part_are_not_taken_by_a_run_that_ends_early(serve: Serve, tmp_path: Path) -> None:
    """The list as a whole cannot be read just then: the rows stay as they were until it can."""
    made = in_part(serve, tmp_path, 22)
    busy = [True]

    def whole(_: Platform, request: Request) -> Answer | None:
        return None if "since" in request.query or not busy[0] else Answer(403, {"error": "not now"})

    made.platform.before.insert(0, listing(whole))
    made.etl("run", "--delta", "--yes")
    busy[0] = False
    made.delta("--yes", code=None)
    assert nicks(made) == ["N"] * 22


def test_the_filter_of_a_delta_does_not_bind_the_first_reading(serve: Serve, tmp_path: Path) -> None:
    """A search body whose filter belongs to `since`: the first reading asks without it, and every row comes."""
    made = trial(serve, tmp_path, numbered(5))
    path = tmp_path / "source.yaml"
    written = path.read_text(encoding="utf-8").replace('"get": "/people"', '"post": "/people/search"')
    more = (
        '"params_in": "body", "since": "filters.0.value", '
        '"params": {"filters.0.field": "updated", "filters.0.value": "1970-01-01", "sorts.0": "id"},'
    )
    path.write_text(written.replace('"post":', f'{more} "post":'), encoding="utf-8")

    def search(platform: Platform, request: Request) -> Answer | None:
        if request.parts != ["people", "search"]:
            return None
        rows, asked = platform.tables["people"], request.body.get("filters", [])
        found = [row for row in rows if all(one["field"] in row for one in asked)]
        query = {name: str(request.body[name]) for name in ("offset", "limit")}
        return Answer(200, page(found, query))

    made.platform.before.append(search)
    made.full(code=0)
    assert len(names(made)) == 5
    made.delta(code=0)
    bodies = [one.body for one in made.platform.calls("POST", "people")]
    filters = [body["filters"] for body in bodies if "filters" in body]
    assert filters and all(set(one) == {"field", "value"} for (one,) in filters)


# -- waits that are told


def test_a_busy_answer_is_waited_for_as_it_says(serve: Serve, tmp_path: Path) -> None:
    """503 with a `Retry-After` far away ends the run with the time to go on, and the next run keeps to it."""
    made = trial(serve, tmp_path, numbered(2))
    made.platform.before.append(listing(lambda *_: Answer(503, {"error": "maintenance"}, headers={"retry-after": "3600"})))
    done = made.etl("run", "--sample", code=75)
    assert "asks to wait" in done.err
    asked = len(made.platform.log)
    again = made.etl("run", "--sample", code=75)
    assert again.err.rpartition("from ")[2][:16] == done.err.rpartition("from ")[2][:16]
    assert not [one for one in made.platform.log[asked:] if one.parts == ["people"]]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("told", ["99999999999", "-5", "soon", "1, 2"])
def test_a_wait_that_is_nonsense_is_told(serve: Serve, tmp_path: Path, status: int, told: str) -> None:
    """A `Retry-After` of years is no wait and no crash: the call is made again a little later, and people see it."""
    made, asked = trial(serve, tmp_path, numbered(2)), [0]

    def once(*_: Any) -> Answer | None:
        asked[0] += 1
        return Answer(status, {}, headers={"retry-after": told}) if asked[0] == 1 else None

    made.platform.before.append(listing(once))
    report = made.run("--sample", code=1)
    assert ("source", "retry-after") in attention(report)
    assert len(names(made)) == 2


# -- the filter of a delta is proven by what is known


def days(rows: list[Row]) -> list[Row]:
    """The rows, each changed a day before the one before it."""
    for age, row in enumerate(rows):
        row["updated"] = (datetime.now(UTC) - timedelta(days=age)).isoformat()
    return rows


def blind(platform: Platform, request: Request) -> Answer | None:
    """A filter that brings nothing, whatever has changed."""
    return Answer(200, []) if "since" in request.query else None


def short_sighted(platform: Platform, request: Request) -> Answer | None:
    """A filter that knows of rows with an even id only."""
    rows = [row for row in platform.tables["people"] if row["id"] % 2 == 0]
    return Answer(200, page(rows, request.query)) if "since" in request.query else None


def oldest_first(platform: Platform, request: Request) -> Answer | None:
    """A list that cannot be put in the order that is asked for."""
    rows = sorted(platform.tables["people"], key=lambda row: str(row["updated"]))
    return Answer(200, page(rows, request.query)) if "order" in request.query else None


@pytest.mark.parametrize("filter_", [blind, short_sighted, oldest_first])
def test_a_list_that_leaves_out_known_rows_is_read_as_a_whole(
    filter_: Callable[..., Any], serve: Serve, tmp_path: Path
) -> None:
    """The first delta has the list bring rows that are known; one that does not is named, and all rows are read."""
    asked_by = {"newest_first": {"order": "-updated"}} if filter_ is oldest_first else {"since": "since"}
    made = trial(serve, tmp_path, days(numbered(25)), **asked_by)
    made.platform.before.append(listing(filter_))
    made.full(code=0)
    made.platform.tables["people"][2]["name"] = "Somebody else"
    report = made.delta(code=1)
    assert "Somebody else" in names(made)
    assert attention(report) == {("people", "")}
    assert "left out" in texts(report)
    mark = "order" if filter_ is oldest_first else "since"
    asked = len([one for one in made.platform.log if mark in one.query])

    made.platform.tables["people"][4]["name"] = "Another one"
    made.delta(code=1)
    assert "Another one" in names(made)
    assert len([one for one in made.platform.log if mark in one.query]) == asked


def test_rows_without_a_change_prove_a_filter_by_when_they_were_made(serve: Serve, tmp_path: Path) -> None:
    """A platform that stamps a row once it is changed leaves new ones out of a filter: the first delta finds that it left out
    rows that are known, and reads all.
    """
    people = [row | {"made": row["updated"], "updated": None} for row in days(numbered(25))]
    made = trial(serve, tmp_path, people, since="since")
    path = tmp_path / "source.yaml"
    source = json.loads(path.read_text(encoding="utf-8"))
    source["resources"]["people"]["fields"]["made"] = "datetime"
    source["resources"]["people"]["created"] = "made"
    path.write_text(json.dumps(source), encoding="utf-8")

    def changed(platform: Platform, request: Request) -> Answer | None:
        bound = request.query.get("since", "")
        rows = [row for row in platform.tables["people"] if not bound or (row["updated"] or "") >= bound]
        return Answer(200, page(rows, request.query))

    made.platform.before.append(listing(changed))
    made.full(code=0)
    made.platform.tables["people"].append({"id": 90, "name": "A new one", "made": stamp(timedelta(0)), "updated": None})
    assert "left out" in texts(made.delta(code=1))
    assert "A new one" in names(made)


def test_an_order_of_creation_shows_no_changes(serve: Serve, tmp_path: Path) -> None:
    """A list that puts first what was made last has an old row that was changed at its end: a delta reads it as a whole."""
    made = trial(serve, tmp_path, days(numbered(25)), newest_first={"order": "-id"})

    def made_last_first(platform: Platform, request: Request) -> Answer | None:
        rows = platform.tables["people"]
        return Answer(200, page(rows[::-1] if "order" in request.query else rows, request.query))

    made.platform.before.append(listing(made_last_first))
    made.full(code=0)
    made.platform.tables["people"][2] |= {"name": "Somebody else", "updated": stamp(timedelta(0))}
    made.delta(code=0)
    assert "Somebody else" in names(made)


def test_a_filter_that_brings_what_is_known_is_trusted(serve: Serve, tmp_path: Path) -> None:
    """Rows that were deleted since the run speak against no filter; the list is not read as a whole."""
    made = trial(serve, tmp_path, days(numbered(25)), since="since", read={"get": "/people/{id}"})

    def since(platform: Platform, request: Request) -> Answer | None:
        bound = request.query.get("since")
        rows = [row for row in platform.tables["people"] if not bound or row["updated"] >= bound]
        return Answer(200, page(rows, request.query))

    made.platform.before.append(listing(since))
    made.full(code=0)
    del made.platform.tables["people"][1]
    made.platform.tables["people"][2]["name"] = "Somebody else"
    before = len(made.platform.log)
    made.delta(code=0)
    lists = [one for one in made.platform.log[before:] if one.reads("people") and one.parts == ["people"]]
    assert lists and all("since" in one.query for one in lists)
    assert "Somebody else" in names(made)


def test_the_next_page_may_be_named_inside_a_row(serve: Serve, tmp_path: Path) -> None:
    """Where rows lie under a name and the cursor lies in the first of them, every page is read."""
    rows = [{"id": number, "name": f"Person {number}"} for number in range(1, 38)]

    def listed(_: Platform, request: Request) -> Answer | None:
        if request.method != "GET" or request.parts != ["people"]:
            return None
        start = int(request.query.get("cursor", 0))
        onward = start + 10 if start + 10 < len(rows) else None
        return Answer(200, [{"person": {**row, "onward": onward}} for row in rows[start : start + 10]])

    platform = serve(people=[], contacts=[])
    platform.before.append(listed)
    pagers = {"rows": {"kind": "cursor", "cursor": "cursor", "limit": "limit", "size": 10, "next": "0.person.onward"}}
    source = {"resources": {"people": {**readable("people", name="text"), "inside": "person"}}, "pagers": pagers}
    destination = {"resources": {"contacts": writable("contacts", ["name"], name="text")}}
    objects = {"contacts": mapped("people", "contacts", {"name": "name"})}
    project(tmp_path, platform, source, destination, migration(objects)).full()
    assert len(platform.tables["contacts"]) == 37


# -- details: fields that only a row's own read holds


def detail(serve: Serve, folder: Path, many: int = 4, **more: Any) -> Project:
    """People, whose note only their own read shows, become contacts; the spec's objects may have `more`."""
    platform = serve(people=numbered(many, note="Note"), contacts=[])
    for row in platform.tables["people"]:
        row |= {"note": f"Note {row['id']}"}

    def briefly(_: Platform, request: Request, answer: Answer) -> Answer:
        if request.path != "/people":
            return answer
        return Answer(200, [{name: value for name, value in row.items() if name != "note"} for row in answer.body])

    platform.after.append(briefly)
    source = readable("people", name="text", note="text", city="text")
    source["list"]["detail"] = ["note"]
    there = {"contacts": writable("contacts", ["name"], name=NAME, note="text", city="text")}
    fields = {"name": "name", "note": "note", "city": "city"}
    return project(folder, platform, {"people": source}, there, migration({"contacts": mapped("people", "contacts", fields, **more)}))


def notes(platform: Platform) -> dict[str, Any]:
    """The note of each contact."""
    return {row["name"]: row.get("note") for row in platform.tables["contacts"]}


@pytest.mark.parametrize("answer", UNREAD.values(), ids=UNREAD)
def test_a_detail_that_is_not_read_is_told(answer: Answer, serve: Serve, tmp_path: Path) -> None:
    """Whatever a row's own read answers in its place: its record arrives without the field and is told, the others are whole."""
    trial_ = detail(serve, tmp_path)
    trial_.platform.before.append(answering(answer))
    report = trial_.run("--sample", code=1)
    whole = {f"Person {n}": f"Note {n}" for n in (1, 2, 4)}
    assert notes(trial_.platform) == whole | {"Person 3": None}
    assert attention(report) == {("contacts", "people/3")}
    assert texts(report).count("note could not be read and is missing") == 1


@pytest.mark.parametrize(
    "row", [{"id": "3"}, {"note": "Note 3"}, [{"id": 3, "note": "Note 3"}]], ids=["left out", "no id", "a list of one"]
)
def test_a_detail_in_another_form_is_read(row: Any, serve: Serve, tmp_path: Path) -> None:
    """A row that leaves out an empty field, one without its id and one alone in a list are the row itself."""
    trial_ = detail(serve, tmp_path)
    trial_.platform.before.append(answering(Answer(200, row)))
    trial_.run("--sample", code=0)
    assert notes(trial_.platform)["Person 3"] == (None if row == {"id": "3"} else "Note 3")


def test_what_only_a_row_s_own_read_shows_is_not_missed_in_a_list_of_changes(serve: Serve, tmp_path: Path) -> None:
    """A row that is read by itself for its note shows more there than its list ever does: nothing is found amiss, and each row
    that changed is read once.
    """
    trial_ = detail(serve, tmp_path)
    path = tmp_path / "source.yaml"
    written = path.read_text(encoding="utf-8").replace('"pager": "rows"', '"pager": "rows", "since": "since"', 1)
    path.write_text(written, encoding="utf-8")

    def fuller(_: Platform, request: Request, answer: Answer) -> Answer:
        if len(request.parts) != 2 or request.parts[0] != "people":
            return answer
        return Answer(200, {**answer.body, "vat": "ES1"})

    trial_.platform.after.append(fuller)
    trial_.full()
    trial_.platform.log.clear()
    trial_.platform.tables["people"][2] |= {"city": "Vigo", "note": "Another note"}
    assert attention(trial_.delta(code=0)) == set()
    assert notes(trial_.platform)["Person 3"] == "Another note"
    assert asked_alone(trial_) == ["/people/3"]


def test_a_detail_that_was_read_before_is_kept(serve: Serve, tmp_path: Path) -> None:
    """A row that changed and cannot be read by itself any more keeps its detail, told, until it is read again or gone."""
    trial_ = detail(serve, tmp_path)
    trial_.full()
    trial_.platform.before.append(answering(UNREAD["404"]))
    row = trial_.platform.tables["people"][2]
    row |= {"city": "Vigo", "note": "Another note"}
    report = trial_.delta(code=1)
    contact = trial_.platform.one("contacts", name="Person 3")
    assert (contact["city"], contact["note"]) == ("Vigo", "Note 3")
    assert attention(report) == {("contacts", "people/3")}
    assert "note could not be read and stays as it was read before" in texts(report)
    assert "$" not in str(trial_.etl("audit", "--json", code=0).data()["undeclared"])

    trial_.platform.before.clear()
    assert attention(trial_.delta(code=0)) == set()
    assert notes(trial_.platform)["Person 3"] == "Another note"


def test_a_detail_of_a_row_that_is_gone_is_told_no_more(serve: Serve, tmp_path: Path) -> None:
    """Once a deletion is known, that its row could not be read needs nobody."""
    trial_ = detail(serve, tmp_path, on_delete="delete")
    trial_.platform.before.append(answering(UNREAD["404"]))
    trial_.full(code=1)
    del trial_.platform.tables["people"][2]
    trial_.delta("--deletions", "--yes")
    assert "could not be read" not in texts(trial_.delta(code=0))


def test_a_detail_of_a_row_beside_is_told(serve: Serve, tmp_path: Path) -> None:
    """No object is made of the row: it is told under its collection."""
    trial_ = detail(serve, tmp_path)
    spec = trial_.spec()
    spec["objects"]["contacts"] |= {"from": "cards", "related": {"whom": {"from": "people", "by": "person"}}}
    spec["objects"]["contacts"]["fields"] = {"name": "name", "note": "whom.note"}
    trial_.write_spec(spec)
    cards = readable("cards", name="text", person="ref people")
    path = tmp_path / "source.yaml"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["resources"]["cards"] = cards
    path.write_text(json.dumps(written), encoding="utf-8")
    trial_.platform.tables["cards"] = [{"id": n, "name": f"Card {n}", "person": n} for n in (2, 3)]
    trial_.platform.before.append(answering(UNREAD["204"]))
    report = trial_.full(code=1)
    assert notes(trial_.platform) == {"Card 2": "Note 2", "Card 3": None}
    assert ("people", "people/3") in attention(report)
