"""A small server that does what acme.yaml says, and that can be told to do otherwise in one way at a time."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "canary-acme-key/1"
MOST = 5


def _stamped(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "changed": f"2026-01-{number:02}T10:00:00Z", "made": f"2025-01-{number:02}T10:00:00Z", **more}


def seeded() -> dict[str, list[dict[str, Any]]]:
    """The rows of a fresh account."""
    return {
        "contacts": [
            _stamped(n, name=f"Ana {n}", remark="calls", age=30 + n, born="1990-02-03", state="open" if n % 2 else "closed",
                     phones=[{"value": "+34 600 000 001", "main": True}], owner_id=n % 3 + 1, more={"a1": "blue"} if n == 1 else {})
            for n in range(1, 13)
        ],
        "notes": [_stamped(n, text=f"note {n}", remark="x", contact_id=n) for n in range(1, 8)],
        "orders": [_stamped(n, title=f"order {n}", version=1, site={"value": "here", "main": True}) for n in range(1, 8)],
        "lines": [{"id": n, "order_id": order, "product": f"P{n}"} for order in (1, 2, 3) for n in range(1, 2 + 2 * order)],
        "users": [{"id": n, "name": f"User {n}", "email": f"u{n}@acme.example", "active": True} for n in (1, 2, 3)],
        "visits": [_stamped(n, place="here") for n in range(1, 8)],
        "contactFields": [{"code": "a1", "label": "Colour", "type": "string", "options": [{"id": 1, "label": "blue"}]}],
    }  # fmt: skip


@dataclass
class Acme:
    """The server's rows, and the ways in which it misbehaves."""

    wrong: frozenset[str] = frozenset()
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=seeded)
    calls: list[str] = field(default_factory=list)
    after: Any = None  # called with each request that changes something, once it is done

    def app(self) -> Starlette:
        """The server."""
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])])

    async def answer(self, request: Request) -> Response:
        """Any request."""
        self.calls.append(f"{request.method} {request.url.path}")
        body = await request.json() if request.method in ("POST", "PUT", "PATCH") else None
        response = self.refused(request) or self.routed(request, request.url.path.strip("/").split("/"), body)
        if "no_left" not in self.wrong:
            response.headers["x-left"] = "4000"
        response.headers["x-limit"] = "777" if "other_limit" in self.wrong else "5000"
        if self.after and request.method != "GET":
            self.after(request.method, request.url.path)
        return response

    def refused(self, request: Request) -> Response | None:
        if request.headers.get("x-key") == KEY or ("any_key" in self.wrong and request.url.path == "/me"):
            return None
        return self.error(403 if "key_403" in self.wrong else 401, "the key is not good")

    def error(self, status: int, text: str) -> Response:
        return JSONResponse({"error": {"detail" if "other_message" in self.wrong else "text": text}}, status)

    def routed(self, request: Request, path: list[str], body: Any) -> Response:
        if path == ["me"]:
            return self.error(404, "no such page") if "no_me" in self.wrong else JSONResponse({"id": 1})
        name, shown = path[0], list(self.rows.get(path[0], []))
        if path[0] == "orders" and len(path) > 2:
            name, shown = "lines", [row for row in self.rows["lines"] if str(row["order_id"]) == path[1]]
            path = path[2:]
        if (name == "contacts" and "no_contacts" in self.wrong) or name not in self.rows:
            return self.error(404, "no such page")
        if name == "contacts" and "hostile" in self.wrong:
            return JSONResponse({"error": {"text": f"\x1b[31m[bold]{KEY}[/bold] \u202egnorw"}, f"\x1b[2J{KEY}": 1}, 400)
        if request.method == "POST":
            return self.create(name, body)
        return self.list(request, name, shown) if len(path) == 1 else self.one(request, name, shown, path[1], body)

    # -- lists

    def list(self, request: Request, name: str, shown: list[dict[str, Any]]) -> Response:
        asked, wrong = dict(request.query_params), self.wrong
        if name == "contacts" and "good_error" in wrong:
            return self.error(200, "boom")
        if "ids" in asked and "ids_refused" in wrong:
            return self.error(400, "unknown parameter ids")
        shown = self.chosen(asked, shown)
        if name == "users" and "active" in asked:
            shown = shown[:1]
        if asked.get("sort") == "-made" and "unsorted" not in wrong:
            shown.sort(key=lambda row: row["made"], reverse=True)
        if name in ("users", "contactFields"):
            inner = "person" if "other_each" in wrong else "user"
            rows = [self.shown(name, row) for row in shown]
            return JSONResponse({"data": [{inner: row} for row in rows] if name == "users" else rows})
        start, size, headers = self.window(name, asked)
        page, more = shown[start : start + size], start + size < len(shown)
        if name == "visits" and more:
            onward = 1 if "linked_overlap" in wrong else size
            headers["link"] = f'</visits?offset={start + onward}>; rel="next"'
        place = "items" if name == "contacts" and "other_select" in wrong else "data"
        answer: dict[str, Any] = {place: [self.shown(name, row) for row in page]}
        if name == "notes":
            token = f"t{start + size}" if more else None
            answer |= {"paging": {"next": token}} if "other_next" in wrong else {"next": token}
        return JSONResponse(answer, headers=headers)

    def chosen(self, asked: dict[str, str], shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wrong = self.wrong
        if "since" in asked and "since_ignored" not in wrong:
            key = "made" if "since_made" in wrong else "changed"
            shown = [row for row in shown if row[key] >= asked["since"]]
            shown = shown if asked["since"] > "2001" or "since_cut" not in wrong else shown[:2]
        if "ids" in asked and "ids_ignored" not in wrong:
            shown = [row for row in shown if str(row["id"]) in asked["ids"].split(",")]
        for name in {"owner_id", "name"} & asked.keys() if "filter_ignored" not in wrong else ():
            shown = [row for row in shown if str(row[name]) == asked[name]]
        return shown

    def window(self, name: str, asked: dict[str, str]) -> tuple[int, int, dict[str, str]]:
        """Where a page begins and how long it is."""
        wrong = self.wrong
        size = min(int(asked.get("limit", MOST)), 3 if "capped" in wrong else 100 if "limit_ignored" in wrong else MOST)
        size = 100 if "limit_ignored" in wrong else size
        start = int(asked.get("offset", 0))
        if name == "contacts" and start:
            start = 0 if "offset_ignored" in wrong else start - ("overlap" in wrong) + ("gap" in wrong)
        if name == "notes":
            start = int(asked.get("cursor", "t0")[1:]) * ("cursor_ignored" not in wrong)
        if name == "orders":
            start = max(0, int(asked.get("page", 1)) - ("page_zero" not in wrong)) * size
        return start, size, {}

    def shown(self, name: str, row: dict[str, Any]) -> dict[str, Any]:
        """A row as it is answered."""
        row, wrong = copy.deepcopy(row), self.wrong
        changes: dict[str, Any] = {
            "age_words": {"age": "thirty"},
            "age_text": {"age": str(row.get("age"))},
            "bad_date": {"born": "3 of February"},
            "bad_state": {"state": "lost"},
            "long_name": {"name": "x" * 41},
            "phones_text": {"phones": ["+34 600 000 001"]},
            "phone_number": {"phones": [{"value": 34600, "main": True}]},
            "strange_owner": {"owner_id": f"9{row.get('id')}"},
            "same_id": {"id": 1},
            "bad_stamp": {"made": "yesterday"},
        }
        for word, change in changes.items():
            row |= change if word in wrong and name == "contacts" else {}
        moved = {"other_id": ("id", "uuid"), "other_changed": ("changed", "moved_at"), "other_more": ("more", "extra")}
        for word, (old, new) in moved.items():
            if word in wrong and name == "contacts":
                row[new] = row.pop(old)
        if name == "users" and "other_email" in wrong:
            row["mail"] = row.pop("email")
        if name == "contactFields" and "other_code" in wrong:
            row["key"] = row["code"]
            row["code"] = "zz"
        return row

    # -- single rows

    def one(self, request: Request, name: str, shown: list[dict[str, Any]], row_id: str, body: Any) -> Response:
        row = next((row for row in shown if str(row["id"]) == row_id), None)
        if row is None:
            return JSONResponse({"data": self.rows[name][0]}) if "any_row" in self.wrong else self.missing()
        if request.method == "GET":
            other = self.rows[name][0] if "other_row" in self.wrong else row
            answer = {"row" if "other_read" in self.wrong else "data": self.shown(name, other)}
            tag = {"etag": f'"{row.get("version", 1)}"'} if "no_etag" not in self.wrong else {}
            return JSONResponse(answer, headers=tag)
        if request.method == "DELETE":
            if "undeleted" not in self.wrong:
                self.rows[name].remove(row)
            return Response(status_code=204)
        return self.update(request.method, row, body)

    def missing(self) -> Response:
        return self.error(400 if "missing_400" in self.wrong else 404, "there is no such row")

    def create(self, name: str, body: dict[str, Any]) -> Response:
        if "unwritable" in self.wrong:
            return self.error(422, "not like this")
        number = max(row["id"] for row in self.rows[name]) + 1
        lost = {"remark"} if "lost_field" in self.wrong else set()
        kept = {key: value for key, value in body.items() if key not in lost}
        row = {**_stamped(28), "id": number, **({"version": 1} if name == "orders" else {}), **kept}
        self.rows[name].append(row)
        if "made_and_lost" in self.wrong:
            return self.error(500, "nobody knows")
        if "new_id_elsewhere" in self.wrong:
            return JSONResponse({"result": {"key": number}}, 201)
        return JSONResponse({"data": {**row, "id": 1} if "other_new_id" in self.wrong else row}, 201)

    def update(self, method: str, row: dict[str, Any], body: dict[str, Any]) -> Response:
        if "no_update" in self.wrong:
            return self.error(422, "not like this")
        if "version" in row and "unlocked" not in self.wrong and body.get("version") != row["version"]:
            return self.error(409, "changed meanwhile")
        empties = (method == "PUT" and "put_keeps" not in self.wrong) or "patch_empties" in self.wrong
        if empties:
            row |= dict.fromkeys([name for name in ("remark", "text", "name", "title", "contact_id") if name in row])
        row |= body | ({"version": row["version"] + 1} if "version" in row else {})
        return JSONResponse({"data": row})
