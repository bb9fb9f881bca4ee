"""Lists below a parent: every row once, wherever a reading is gone on with."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.connector.model import Operation, Pager, Resource
from tests.replacing import replace

PARENTS = Pager("page", 2, {"page": "page", "limit": "limit"}, first=True)
CHILDREN = Pager("cursor", 2, {"cursor": "after", "limit": "limit"}, "next")
LIST = {"list": Operation("GET", "/orders/{order_id}/lines", pager=CHILDREN, select="rows", parent="orders", parent_id="order_id")}


class Platform:
    """Orders by page, their lines by cursor."""

    def __init__(self, *lines: int) -> None:
        self.orders = {number: list(range(many)) for number, many in enumerate(lines, 1)}
        self.asked = 0

    async def parents(self, request: Request) -> Response:
        self.asked += 1
        start = (int(request.query_params["page"]) - 1) * 2
        return JSONResponse([{"id": number} for number in sorted(self.orders)][start : start + 2])

    async def children(self, request: Request) -> Response:
        self.asked += 1
        start = int(request.query_params.get("after", 0))
        lines = self.orders.get(int(request.path_params["order"]))
        if lines is None:
            return Response(status_code=404)
        more = {"next": start + 2} if start + 2 < len(lines) else {}
        return JSONResponse({"rows": [{"id": line} for line in lines[start : start + 2]], **more})

    @property
    def routes(self) -> list[Route]:
        return [Route("/orders", self.parents), Route("/orders/{order}/lines", self.children)]

    @property
    def every(self) -> list[tuple[str, int]]:
        return [(str(number), line) for number, lines in self.orders.items() for line in lines]


def client_of(bench: Any, platform: Platform) -> Any:
    client = bench.client(bench.serve(platform.routes), calls=LIST)
    orders = Resource(name="orders", operations={"list": Operation("GET", "/orders", pager=PARENTS)}, fields={})
    client.connector = replace(client.connector, resources={**client.connector.resources, "orders": orders})
    return client


def seen(page: Any) -> list[tuple[str, int]]:
    return [(row["order_id"], row["id"]) for row in page.rows]


@pytest.mark.parametrize("lines", [(), (0,), (3,), (5, 0, 1), (2, 2, 2, 2), (0, 0, 3, 1, 0)])
def test_a_reading_below_parents_goes_on_from_any_position(bench: Any, lines: tuple[int, ...]) -> None:
    """All rows come once and in order; from each position the rest does, with none lost and none twice."""
    platform = Platform(*lines)
    client = client_of(bench, platform)
    pages = list(client.pages("rows"))
    assert [row for page in pages for row in seen(page)] == platform.every
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    for number, page in enumerate(pages[:-1]):
        rest = [row for later in client.pages("rows", position=page.next) for row in seen(later)]
        assert rest == [row for later in pages[number + 1 :] for row in seen(later)]


def test_a_parent_that_is_gone_loses_no_other(bench: Any) -> None:
    """Between two processes a parent was deleted: the rows of those after it are read, one list at most again."""
    platform = Platform(4, 1, 4, 1)
    client = client_of(bench, platform)
    stopped = next(page.next for page in client.pages("rows"))
    del platform.orders[1]
    platform.orders = dict(platform.orders)
    rest = [row for page in client.pages("rows", position=stopped) for row in seen(page)]
    assert rest == platform.every


def test_a_parent_that_goes_while_it_is_read_has_no_rows(bench: Any) -> None:
    """Listed a moment ago and missing now: the reading goes on."""
    platform = Platform(1, 3)
    rows = []
    for page in client_of(bench, platform).pages("rows"):
        rows += seen(page)
        platform.orders.pop(2, None)
    assert rows == platform.every == [("1", 0)]


def test_a_row_that_holds_its_parent_keeps_its_own_word(bench: Any) -> None:
    """The id put in never replaces what the platform says."""

    async def children(_: Request) -> Response:
        return JSONResponse({"rows": [{"id": 1, "order_id": 1}]})

    platform = Platform(1)
    client = client_of(bench, platform)
    other = bench.client(bench.serve([platform.routes[0], Route("/orders/{order}/lines", children)]), calls=LIST)
    other.connector = client.connector
    assert [row["order_id"] for row in other.rows("rows")] == [1]
