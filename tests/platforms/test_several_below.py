"""Rows of one parent in one call, where that is cheaper than a call for each: another platform, by YAML alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    Project,
    attention,
    counts,
    mapped,
    migration,
    project,
    readable,
    texts,
    writable,
)
from tests.platforms.trials import NAME

PLACE = re.compile(r"/carts/(\d+)/items(/bulk|/\d+)?")
SIZES = {1: 1, 2: 5, 3: 6, 4: 10, 5: 13, 6: 21}  # orders and how many lines each has
MOST, SINGLE, TOGETHER = 10, 5, 25


def priced(lines: int) -> tuple[int, int]:
    """Calls and cost of so many lines of one order: full bulks, and the rest one by one up to five."""
    full, rest = divmod(lines, MOST)
    if rest > 5:
        full, rest = full + 1, 0
    return full + rest, full * TOGETHER + rest * SINGLE


def carts(each: bool = False, bad: str = "") -> Before:
    """Items are made below their cart, one by one or `MOST` at a time; `bad` is a text that is refused.

    A bulk with a refused item makes nothing, or, with `each`, answers with those it made.
    """

    def hook(platform: Platform, request: Request) -> Answer | None:
        found = PLACE.fullmatch(request.path)
        if not found:
            return None
        cart = int(found[1])
        rows = [row for row in platform.tables["items"] if row["cart"] == cart]
        if found[2] == "/bulk":
            return bulk(platform, request, cart)
        if found[2]:
            row = next(row for row in rows if row["id"] == int(found[2][1:]))
            if request.method == "DELETE":
                platform.tables["items"].remove(row)
                return Answer(204)
            row.update(request.body)
            return Answer(200, dict(row))
        if request.method == "GET":
            return Answer(200, page(rows, request.query))
        if request.body["text"] == bad:
            return Answer(422, {"error": f"{bad} is not sold"})
        return Answer(201, platform.add("items", {**request.body, "cart": cart}))

    def bulk(platform: Platform, request: Request, cart: int) -> Answer:
        sent: list[Row] = request.body["items"]
        assert "cart" not in sent[0]
        fine = [row for row in sent if row["text"] != bad]
        if len(sent) > MOST or (len(fine) < len(sent) and not each):
            return Answer(422, {"error": "one of them is not sold, or they are too many"})
        return Answer(201, {"made": [platform.add("items", {**row, "cart": cart}) for row in fine]})

    return hook


def trial(serve: Serve, folder: Path, hook: Before, shuffled: bool = False, **bulk: Any) -> Project:
    """Orders become carts and their lines items below them; `shuffled` lines are a collection of their own."""
    orders = [{"id": n, "name": f"Order {n}"} for n in SIZES]
    lines = [{"text": f"Line {n}.{m}", "order": n} for n, many in SIZES.items() for m in range(many)]
    if shuffled:
        lines.sort(key=lambda row: row["text"][::-1])
    lines = [{"id": number, **row} for number, row in enumerate(lines, 1)]
    platform = serve(orders=orders, lines=lines, carts=[], items=[])
    platform.before.append(hook)
    below = "/carts/{cart}/items"
    item = {
        **writable("items", ["text", "cart"], text={"type": "text", "required": True}, many="integer", cart="ref carts"),
        "list": {"get": below, "pager": "rows", "parent": "carts", "parent_id": "cart"},
        "read": "none",
        "create": {
            "post": below,
            "cost": SINGLE,
            "bulk": {"post": f"{below}/bulk", "cost": TOGETHER, "most": MOST, "rows": "items", "answers": "made", **bulk},
        },
        "update": {"patch": f"{below}/{{id}}"},
        "delete": {"delete": f"{below}/{{id}}"},
    }
    source = {"orders": readable("orders", name="text"), "lines": readable("lines", text="text", many="integer", order="ref orders")}
    destination = {"carts": writable("carts", ["name"], name=NAME), "items": item}
    cart = {"lookup": "carts", "by": "order", "on_miss": "fail"}
    objects = {
        "carts": mapped("orders", "carts", {"name": "name"}),
        "items": mapped("lines", "items", {"cart": cart, "text": "text"}),
    }
    return project(folder, platform, source, destination, migration(objects), concurrency=4)


def made(platform: Platform) -> list[tuple[str, str]]:
    """The items: the name of the cart, and what each says."""
    names = {row["id"]: row["name"] for row in platform.tables["carts"]}
    return sorted((names[row["cart"]], row["text"]) for row in platform.tables["items"])


WANTED = sorted((f"Order {n}", f"Line {n}.{m}") for n, many in SIZES.items() for m in range(many))


def creations(platform: Platform) -> Counter[int]:
    """How many rows travelled in each call that makes items."""
    posts = [one for one in platform.log if one.method == "POST" and PLACE.fullmatch(one.path)]
    return Counter(len(one.body["items"]) if one.path.endswith("/bulk") else 0 for one in posts)


def test_rows_of_a_parent_travel_together_where_it_is_cheaper(serve: Serve, tmp_path: Path) -> None:
    """Up to five lines go alone, more in one call; plan, report and journal say what it takes."""
    case = trial(serve, tmp_path, carts())
    plan = case.etl("plan", "--json").data()
    step = next(one for one in plan["plan"]["steps"] if one["object"] == "items")
    calls, cost = (sum(priced(many)[at] for many in SIZES.values()) for at in (0, 1))
    assert (step["create"], step["calls"], step["cost"]) == (56, calls, cost)
    report = case.full()
    assert made(case.platform) == WANTED
    assert creations(case.platform) == {0: 1 + 5 + 3 + 1, 6: 1, 10: 4}
    assert sum(creations(case.platform).values()) == calls
    assert (report["verdict"]["arrived"], report["verdict"]["missing"]) == (62, 0)
    again = case.run(code=0)
    assert (again["verdict"]["created"], again["verdict"]["updated"]) == (0, 0)
    case.rollback(code=0)
    assert case.platform.tables["items"] == case.platform.tables["carts"] == []


def test_rows_of_many_parents_in_any_order_reach_their_own(serve: Serve, tmp_path: Path) -> None:
    """Lines that do not follow each other below one parent go alone, and the plan knows it."""
    case = trial(serve, tmp_path, carts(), shuffled=True)
    plan = case.etl("plan", "--json").data()
    case.full()
    assert made(case.platform) == WANTED
    step = next(one for one in plan["plan"]["steps"] if one["object"] == "items")
    assert step["calls"] == sum(creations(case.platform).values())


@pytest.mark.parametrize("each", [False, True], ids=["all or none", "each"])
def test_one_refused_row_is_told_and_the_others_arrive(serve: Serve, tmp_path: Path, each: bool) -> None:
    """Whether the platform makes nothing of the call or all the rest: nothing twice, and its own words for the refused row."""
    case = trial(serve, tmp_path, carts(each, "Line 4.3"))
    report = case.full(code=1)
    assert made(case.platform) == [row for row in WANTED if row[1] != "Line 4.3"]
    assert counts(report, "items")["failed"] == 1
    assert len(attention(report)) == 1 and "Line 4.3 is not sold" in texts(report)
    again = case.run()
    assert made(case.platform) == [row for row in WANTED if row[1] != "Line 4.3"]
    assert again["verdict"]["created"] == 0


def test_a_bulk_that_is_refused_half_way_doubles_nothing(serve: Serve, tmp_path: Path) -> None:
    """Where a platform makes the rows before the one that it refuses, these are found below their parent."""
    rest = carts(False, "Line 4.3")

    def half(platform: Platform, request: Request) -> Answer | None:
        found = PLACE.fullmatch(request.path)
        if not found or found[2] != "/bulk" or "Line 4.3" not in json.dumps(request.body):
            return rest(platform, request)
        for row in request.body["items"]:
            if row["text"] == "Line 4.3":
                break
            platform.add("items", {**row, "cart": int(found[1])})
        return Answer(422, {"error": "Line 4.3 is not sold"})

    case = trial(serve, tmp_path, half)
    report = case.full(code=1)
    assert set(Counter(made(case.platform)).values()) == {1}
    assert len(made(case.platform)) == len(WANTED) - 1
    assert report["verdict"]["failed"] == 1


def test_rows_that_are_answered_in_another_order_are_told_apart(serve: Serve, tmp_path: Path) -> None:
    """No order of the answer is taken on trust: each line is linked to the row that holds it, and none is made again."""
    case = trial(serve, tmp_path, carts())

    def backwards(_: Platform, request: Request, answer: Answer) -> Answer:
        made_rows = answer.body["made"][::-1] if request.path.endswith("/bulk") else []
        return Answer(answer.status, {"made": made_rows}) if made_rows else answer

    case.platform.after.append(backwards)
    report = case.full(code=0)
    assert made(case.platform) == WANTED
    assert report["verdict"]["arrived"] == 62
    rows = {f"{row['cart']}+{row['id']}": row["text"] for row in case.platform.tables["items"]}
    texts_of = {f"lines/{row['id']}": row["text"] for row in case.platform.tables["lines"]}
    assert {key: rows[row_id] for key, row_id in case.links("items").items()} == texts_of


@pytest.mark.parametrize("every", [True, False], ids=["each row tidied", "one row tidied"])
def test_rows_that_the_platform_tidies_are_told_apart_too(serve: Serve, tmp_path: Path, every: bool) -> None:
    """In another order, without the parent and in capitals: each link leads to the row of its line, and nothing is made twice."""
    case = trial(serve, tmp_path, carts())

    def tidied(platform: Platform, request: Request, answer: Answer) -> Answer:
        if not request.path.endswith("/bulk") or answer.status != 201:
            return answer
        rows = answer.body["made"][::-1]
        for row in rows if every else rows[:1]:
            platform.tables["items"][platform.tables["items"].index(row)]["text"] = row["text"].upper()
        return Answer(201, {"made": [{"id": row["id"], "text": row["text"].upper() if every or row is rows[0] else row["text"]} for row in rows]})

    case.platform.after.append(tidied)
    case.full(code=None)
    assert len(case.platform.tables["items"]) == len(WANTED)
    rows = {f"{row['cart']}+{row['id']}": row["text"].casefold() for row in case.platform.tables["items"]}
    texts_of = {f"lines/{row['id']}": row["text"].casefold() for row in case.platform.tables["lines"]}
    assert {key: rows[row_id] for key, row_id in case.links("items").items()} == texts_of


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_a_call_without_an_answer_is_looked_up_below_its_parent(serve: Serve, tmp_path: Path, done: bool) -> None:
    """Each bulk loses its first answer: rows that are there are not made again, others are, together."""
    case = trial(serve, tmp_path, carts())
    lost: set[str] = set()

    def before(_: Platform, request: Request) -> Answer | None:
        key = json.dumps(request.body)
        if done or not request.path.endswith("/bulk") or key in lost:
            return None
        lost.add(key)
        return Answer(500, cut=True)

    def after(_: Platform, request: Request, answer: Answer) -> Answer:
        key = json.dumps(request.body)
        if not done or not request.path.endswith("/bulk") or key in lost:
            return answer
        lost.add(key)
        return Answer(answer.status, answer.body, cut=True)

    case.platform.before.insert(0, before)
    case.platform.after.append(after)
    report = case.full(code=0)
    assert len(lost) == 5
    assert made(case.platform) == WANTED
    assert report["verdict"]["missing"] == 0
    assert creations(case.platform)[0] == 10
    links: Any = case.links("items")
    ids = {f"{row['cart']}+{row['id']}" for row in case.platform.tables["items"]}
    assert set(links.values()) == ids


# -- answers that do not show whose each of their rows is

After = Callable[[Platform, Request, Answer], Answer]


def answering(row: Callable[[Row], Row], backwards: bool = True, alter: Callable[[str], str] = str) -> After:
    """Each bulk answers with this of its rows, the last one first; the platform keeps texts as `alter` makes them."""

    def hook(platform: Platform, request: Request, answer: Answer) -> Answer:
        if not request.path.endswith("/bulk") or answer.status != 201:
            return answer
        ids = [one["id"] for one in answer.body["made"]]
        rows = [next(one for one in platform.tables["items"] if one["id"] == row_id) for row_id in ids]
        for one in rows:
            one["text"] = alter(one["text"])
        return Answer(201, {"made": [row(one) for one in (rows[::-1] if backwards else rows)]})

    return hook


def id_only(row: Row) -> Row:
    """Nothing but the id."""
    return {"id": row["id"]}


def linked(case: Project) -> dict[str, str]:
    """What the row says that each line is linked to."""
    rows = {f"{row['cart']}+{row['id']}": row["text"] for row in case.platform.tables["items"]}
    return {key: rows[row_id] for key, row_id in case.links("items").items()}


def said(case: Project) -> dict[str, str]:
    """What each line says in the source."""
    return {f"lines/{row['id']}": row["text"] for row in case.platform.tables["lines"]}


def test_ids_alone_in_another_order_are_looked_up(serve: Serve, tmp_path: Path) -> None:
    """An answer of ids alone says nothing of whose they are: rows are read back, each link leads to its own, none is made again."""
    case = trial(serve, tmp_path, carts())
    case.platform.after.append(answering(id_only))
    case.full(code=0)
    assert made(case.platform) == WANTED
    assert linked(case) == said(case)
    case.platform.tables["lines"][20]["text"] = "Line changed"
    case.delta(code=0)
    assert linked(case) == said(case)


def test_ids_alone_are_believed_where_the_order_is_kept(serve: Serve, tmp_path: Path) -> None:
    """Where the connector says that answers keep the order, ids alone are enough: nothing is read back."""
    case = trial(serve, tmp_path, carts(), order="kept")
    case.platform.after.append(answering(id_only, backwards=False))
    reads: list[int] = []

    def before(platform: Platform, request: Request) -> Answer | None:
        made_so_far = len(platform.tables["items"])
        if request.method == "GET" and PLACE.fullmatch(request.path) and made_so_far < len(WANTED):
            reads.append(made_so_far)
        return None

    case.platform.before.insert(0, before)
    case.full(code=0)
    assert linked(case) == said(case)
    assert reads == []


def test_lines_that_differ_in_what_no_answer_shows_do_not_cross(serve: Serve, tmp_path: Path) -> None:
    """Lines of one text are told apart by what else was sent, be it only in the list: no link leads to the other's row."""
    case = trial(serve, tmp_path, carts())
    for row in case.platform.tables["lines"]:
        row["text"], row["many"] = "The same", row["id"]
    spec = case.spec()
    spec["objects"]["items"]["fields"]["many"] = "many"
    case.write_spec(spec)
    case.platform.after.append(answering(lambda row: {"id": row["id"], "text": row["text"]}))
    case.full(code=0)
    rows = {f"{row['cart']}+{row['id']}": row["many"] for row in case.platform.tables["items"]}
    assert len(rows) == len(WANTED)
    numbers = {f"lines/{row['id']}": row["id"] for row in case.platform.tables["lines"]}
    assert {key: rows[row_id] for key, row_id in case.links("items").items()} == numbers


def test_rows_that_are_altered_beyond_likeness_are_told_and_not_made_again(serve: Serve, tmp_path: Path) -> None:
    """Rows that nothing tells apart are linked to nothing: each of their records is told, and no later run makes one again."""
    case = trial(serve, tmp_path, carts())
    case.platform.after.append(answering(dict, alter=lambda text: f"No. {len(text) * 7919 % 1000}"))
    report = case.full(code=1)
    alone = 10
    assert len(case.platform.tables["items"]) == len(WANTED)
    assert len(case.links("items")) == alone
    assert counts(report, "items")["failed"] == len(WANTED) - alone
    assert "does not say which of its rows" in texts(report)
    for _ in range(2):
        case.run(code=1)
        assert len(case.platform.tables["items"]) == len(WANTED)
    case.platform.tables["lines"][-1]["text"] = "Line changed"
    case.delta()
    assert len(case.platform.tables["items"]) == len(WANTED)


def test_a_refused_row_of_an_answer_in_another_order_is_its_own_line(serve: Serve, tmp_path: Path) -> None:
    """Where each row has an outcome of its own and none promises their order, the refused line is the one that is told."""
    case = trial(serve, tmp_path, carts(), failed="error")

    def each(platform: Platform, request: Request) -> Answer | None:
        found = PLACE.fullmatch(request.path)
        if not found or found[2] != "/bulk":
            return None
        told = [
            {"error": "not sold"} if row["text"] == "Line 4.3" else platform.add("items", {**row, "cart": int(found[1])})
            for row in request.body["items"]
        ]
        return Answer(201, {"made": told[::-1]})

    case.platform.before.insert(0, each)
    report = case.full(code=1)
    assert made(case.platform) == [row for row in WANTED if row[1] != "Line 4.3"]
    assert {key for name, key in attention(report) if name == "items"} == {key for key, text in said(case).items() if text == "Line 4.3"}
    assert linked(case) == {key: text for key, text in said(case).items() if text != "Line 4.3"}


def test_what_is_made_among_changes_costs_what_is_planned(serve: Serve, tmp_path: Path) -> None:
    """Rows to make that do not follow each other, for others between them change, are counted and priced as they are sent; the least is what they took."""
    case = trial(serve, tmp_path, carts())
    first = counts(case.full(), "items")
    assert first["least"] == sum(priced(many)[1] for many in SIZES.values())
    lines = case.platform.tables["lines"]
    for place, row in enumerate([row for row in lines if row["order"] == 6], 1):
        row["text"] += " changed"
        fresh = [{"id": 1000 + 10 * place + n, "text": f"New {place}.{n}", "order": 6} for n in range(7)]
        at = lines.index(row)
        lines[at:at] = fresh[: 7 if place % 2 else 1]
    plan = case.etl("plan", "--refresh", "--json").data()
    step = next(one for one in plan["plan"]["steps"] if one["object"] == "items")
    case.platform.log.clear()
    report = case.run("--yes", code=0)
    sent = [one for one in case.platform.log if one.method in ("POST", "PATCH")]
    cost = sum(TOGETHER if one.path.endswith("/bulk") else SINGLE if one.method == "POST" else 1 for one in sent)
    assert step["create"] == counts(report, "items")["created"] == 11 * 7 + 10
    assert (step["calls"], counts(report, "items")["least"]) == (len(sent), cost)
