"""Bodies and new ids where the pages show no more than the good case."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.connector.encoding import BODIES
from engine.connector.model import Operation, Pager
from engine.errors import NotFound, OutcomeUnknown, RequestRejected, Unavailable


def create(**more: Any) -> dict[str, Operation]:
    return {"create": Operation("POST", "/rows", **more)}


def answering(*answers: Response) -> tuple[list[Route], list[dict[str, str]]]:
    """Routes that give these answers in turn, and the headers of what was asked."""
    left, asked = list(answers), list[dict[str, str]]()

    async def endpoint(request: Request) -> Response:
        asked.append(dict(request.headers))
        return left.pop(0)

    return [Route("/{p:path}", endpoint, methods=["GET", "POST", "PUT", "PATCH"])], asked


def test_the_schema_and_the_engine_know_the_same_bodies() -> None:
    """Each kind is a function."""
    assert {*BODIES, "multipart"} == {"json", "form", "multipart", "json_api"}


@pytest.mark.parametrize(
    ("calls", "answer", "expected"),
    [
        (create(id_at="result.id"), JSONResponse({"result": {"id": 0}}), "0"),
        (create(id_at="result.id"), JSONResponse({"id": 7}), None),
        (create(id_header="location"), Response(status_code=201, headers={"location": "/rows/a7/"}), "a7"),
        (create(id_header="location"), JSONResponse({"id": 7}, 201), "7"),
        (create(id_header="location"), Response(status_code=201), None),
        ({"create": Operation("PUT", "/rows/{id}")}, Response(status_code=204), "mine"),
    ],
)
def test_where_the_new_id_is_found(bench: Any, calls: dict[str, Operation], answer: Response, expected: str | None) -> None:
    """In the place declared, in the address of the row, or as we gave it; without one the creation is in doubt."""
    routes, _ = answering(answer)
    client = bench.client(bench.serve(routes), calls=calls)
    body = {"id": "mine"} if calls["create"].method == "PUT" else {"name": "x"}
    if expected is None:
        with pytest.raises(OutcomeUnknown, match="without an id"):
            client.write("rows", "create", body)
    else:
        assert client.write("rows", "create", body).id == expected


def test_parts_without_a_file(bench: Any) -> None:
    """Each field is a part of its own."""
    seen: list[Any] = []

    async def endpoint(request: Request) -> Response:
        seen.append((request.headers["content-type"].partition(";")[0], dict(await request.form())))
        return JSONResponse({"id": 7})

    client = bench.client(bench.serve([Route("/rows", endpoint, methods=["POST"])]), calls=create(body="multipart"))
    client.write("rows", "create", {"name": "Añ", "size": 3, "none": None})
    assert seen == [("multipart/form-data", {"name": "Añ", "size": "3"})]


def test_an_item_without_its_row_stops_the_list(bench: Any) -> None:
    """Passing over it would lose a row."""
    routes, _ = answering(JSONResponse([{"row": {"id": 1}}, {"rwo": {"id": 2}}]))
    client = bench.client(bench.serve(routes), calls={"list": Operation("GET", "/rows", pager=Pager("single"), each="row")})
    with pytest.raises(Unavailable, match="check `each`"):
        list(client.rows("rows"))


def test_a_row_that_is_gone_is_not_put_again(bench: Any) -> None:
    """A whole update of a row that is not there would make it anew."""
    routes, asked = answering(Response(status_code=404))
    client = bench.client(bench.serve(routes), calls={"update": Operation("PUT", "/rows/{id}", whole=True)})
    with pytest.raises(NotFound):
        client.write("rows", "update", {"name": "x"}, "7")
    assert len(asked) == 1


KEYED = create(idempotency="idempotency-key")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_refused_repetition_leaves_the_doubt(bench: Any, status: int) -> None:
    """The first try may have been executed, whatever the second is told; only looking settles that."""
    routes, _ = answering(Response(status_code=502), *[Response(status_code=status)] * 60)
    client = bench.client(bench.serve(routes), calls=KEYED, tries=1)
    with pytest.raises(OutcomeUnknown):
        client.write("rows", "create", {"name": "x"})


def test_a_repetition_waits_for_the_first_try(bench: Any) -> None:
    """409 to a repetition says that the first try is still at work."""
    routes, asked = answering(Response(status_code=502), Response(status_code=409), JSONResponse({"id": 7}, 201))
    client = bench.client(bench.serve(routes), calls=KEYED)
    assert client.write("rows", "create", {"name": "x"}).id == "7"
    assert len({headers["idempotency-key"] for headers in asked}) == 1


def test_a_refused_first_try_is_refused(bench: Any) -> None:
    """Without a doubt before it, a refusal is one; and each create has a key of its own."""
    routes, asked = answering(Response(status_code=409), Response(status_code=422))
    client = bench.client(bench.serve(routes), calls=KEYED)
    for _ in range(2):
        with pytest.raises(RequestRejected):
            client.write("rows", "create", {"name": "x"})
    assert len({headers["idempotency-key"] for headers in asked}) == 2
