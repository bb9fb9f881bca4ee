"""The HTTP face of the emulator: routes, key, errors, public files."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.options import Options
from sandbox.stel_order.account import StelAccount
from sandbox.stel_order.errors import (
    BAD_BODY,
    BAD_KEY,
    NO_PERMISSION,
    Refusal,
    error_codes,
    to_json,
)
from sandbox.stel_order.layout import DOCUMENTS
from sandbox.stel_order.public import public_file
from sandbox.stel_order.query import read_query
from sandbox.stel_order.records import COLLECTIONS
from sandbox.stel_order.writing import WRITABLE

Handler = Callable[[StelAccount, Request], Awaitable[Response]]
_ID = re.compile(r"-?[0-9]{1,15}")
_JSON = "application/json; charset=utf-8"


def create(options: Options) -> Starlette:
    """The emulator as an ASGI application; `app.state.account` answers the control routes."""
    account = StelAccount(options)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        account.overlay.close()

    routes = [
        _route("/app/ControladorPublico", account, public_file, ["GET"]),
        _route("/app/sendDocument/{ident}", account, _send_document, ["PUT"]),
        _route("/app/{collection}", account, _collection, ["GET", "POST"]),
        _route("/app/{collection}/{ident}", account, _single, ["GET", "PUT", "DELETE"]),
    ]
    app = Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _off_the_map}
    )
    app.state.account = account
    app.state.refusal = partial(_planned_refusal, account)
    return app


def _route(path: str, account: StelAccount, handler: Handler, methods: list[str]) -> Route:
    async def endpoint(request: Request) -> Response:
        account.requests[_operation(request)] += 1
        try:
            answer = await handler(account, request)
        except Refusal as refusal:
            answer = Response(refusal.body, refusal.status, refusal.headers, _JSON)
        account.answers[str(answer.status_code)] += 1
        return answer

    return Route(path, endpoint, methods=methods)


async def _off_the_map(_: Request, problem: Exception) -> Response:
    """A path or a verb no route answers."""
    refusal = Refusal(getattr(problem, "status_code", 404))
    return Response(refusal.body, refusal.status, media_type=_JSON)


def _operation(request: Request) -> str:
    parts = request.url.path.split("/app/", 1)[-1].split("/")
    return f"{request.method} {parts[0]}" + ("/{id}" if len(parts) > 1 else "")


def _planned_refusal(account: StelAccount, kind: str) -> tuple[int, dict[str, str], bytes]:
    """A 429 or 500 as the service would word it, for faults made on purpose."""
    refusal = account.quota.refusal() if kind == "429" else Refusal(int(kind))
    return refusal.status, {"Content-Type": _JSON} | refusal.headers, refusal.body


async def _admit(account: StelAccount, request: Request, collection: str) -> None:
    """Key first, then the collection's name, then the budget, then the permission."""
    given = [request.headers.get("APIKEY"), request.query_params.get("APIKEY")]
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        await request.body()  # kept, so that it can be read again: as a body it is no JSON
        given.append(str((await request.form()).get("APIKEY")))
    if account.key not in given:
        raise Refusal(int(account.switches["bad_key_status"]), BAD_KEY)
    if collection not in COLLECTIONS:
        raise Refusal(404, detail=f"no collection {collection!r}")
    account.quota.spend()
    if collection in account.forbidden:
        raise Refusal(403, NO_PERMISSION)


def _answer(records: Any) -> Response:
    return Response(to_json(records), media_type=_JSON)


async def _collection(account: StelAccount, request: Request) -> Response:
    collection = request.path_params["collection"]
    if collection == "errorCodes":
        return _answer(error_codes())  # answers whatever the key
    await _admit(account, request, collection)
    if request.method == "POST":
        _check_writable(collection)
        return _answer([account.writer.create(collection, await _body(request))])
    sample = account.rows.listed(collection, 0)
    query = read_query(collection, request.query_params.multi_items(), sample, account.switches)
    return _answer(account.rows.page(collection, query))


async def _single(account: StelAccount, request: Request) -> Response:
    collection = request.path_params["collection"]
    await _admit(account, request, collection)
    index = _index(account, collection, request.path_params["ident"])
    if request.method == "GET":
        if collection == "workOrders" and account.switches["work_order_by_id"] == "fail":
            raise Refusal(400)
        found = account.rows.get(collection, index)
        if found.get("deleted") and account.switches["read_deleted"] == "404":
            raise Refusal(404, detail=f"no {collection} with id {request.path_params['ident']}")
        return _answer(found if account.switches["single_shape"] == "object" else [found])
    _check_writable(collection)
    if request.method == "DELETE":
        return _answer([account.writer.delete(collection, index)])
    return _answer([account.writer.update(collection, index, await _body(request))])


async def _send_document(account: StelAccount, request: Request) -> Response:
    """Mails nothing; only checks that the document exists somewhere."""
    await _admit(account, request, DOCUMENTS[0])
    ident = request.path_params["ident"]
    if not _ID.fullmatch(ident) or all(
        account.rows.find(collection, int(ident)) is None for collection in DOCUMENTS
    ):
        raise Refusal(404, detail=f"no document {ident}")
    await _body(request)
    return _answer([])


def _index(account: StelAccount, collection: str, ident: str) -> int:
    index = account.rows.find(collection, int(ident)) if _ID.fullmatch(ident) else None
    if index is None:
        raise Refusal(404, detail=f"no {collection} with id {ident}")
    return index


def _check_writable(collection: str) -> None:
    if collection not in WRITABLE:
        raise Refusal(405, detail=f"{collection} cannot be written")


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError):
        raise Refusal(400, BAD_BODY) from None
