"""Public file links: no key needed, ranges served, a dead token answered with a page."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from sandbox.stel_order.account import StelAccount
from sandbox.stel_order.files import content, read_token

_GONE = "<!DOCTYPE html><html><title>Error</title><p>El enlace no es válido.</p></html>"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def public_file(account: StelAccount, request: Request) -> Response:
    """The bytes behind a token."""
    if account.switches["files_quota"] == "on":
        account.quota.spend()
    world = account.world
    file = read_token(request.query_params.get("token", ""), world.seed, world.token_round)
    if file is None:
        return Response(_GONE, 404, media_type="text/html; charset=utf-8")
    data = content(file)
    headers = {"Accept-Ranges": "bytes", "Content-Disposition": f'inline; filename="{file.name}"'}
    part = _part(request.headers.get("range"), len(data))
    if part is None:
        return Response(data, 200, headers, file.content_type)
    first, last = part
    if first > last:
        return Response(b"", 416, headers | {"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], 206, headers, file.content_type)


def _part(asked: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte asked for; None for the whole. Beyond the end, first is after last."""
    found = _RANGE.fullmatch(asked or "")
    if not found or not any(found.groups()):
        return None
    start, end = found.groups()
    if not start:
        return max(0, size - int(end)), size - 1
    return int(start), min(int(end), size - 1) if end else size - 1
