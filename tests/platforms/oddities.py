"""What real platforms do: each function makes a hook for `Platform.before` or `Platform.after`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from tests.platforms.platform import (
    After,
    Answer,
    Before,
    Platform,
    Request,
    Row,
)
from tests.replacing import replace

Tidy = Callable[[Any], Any]
Duplicate = Literal["written over", "left as it was"]
Form = Literal["id", "object", "list", "text"]


# -- what is done with values


def tidying(table: str, fields: Mapping[str, Tidy]) -> Before:
    """Values are stored in the platform's own form."""

    def hook(_: Platform, request: Request) -> None:
        if not request.writes(table):
            return
        for name, tidy in fields.items():
            if request.body.get(name) is not None:
                request.body[name] = tidy(request.body[name])

    return hook


def ignoring(table: str, *fields: str) -> Before:
    """Fields that the account's plan does not include are dropped without a word."""

    def hook(_: Platform, request: Request) -> None:
        if request.writes(table):
            for name in fields:
                request.body.pop(name, None)

    return hook


def showing(table: str, field: str, target: str, form: Form) -> After:
    """A reference is taken as an id and shown as an object, in a list or as text."""

    def shown(platform: Platform, row: Row) -> Row:
        named = platform.find(target, row.get(field))
        if named is None:
            return row
        forms = {
            "id": named["id"],
            "object": {"id": named["id"], "name": named["name"]},
            "list": [named["id"]],
            "text": str(named["id"]),
        }
        return {**row, field: forms[form]}

    def hook(platform: Platform, request: Request, answer: Answer) -> Answer:
        if request.parts[:1] != [table] or answer.status not in (200, 201):
            return answer
        rows = answer.body
        many = isinstance(rows, list)
        body = [shown(platform, row) for row in rows] if many else shown(platform, rows)
        return replace(answer, body=body)

    return hook


# -- what a create does


def now() -> str:
    """This moment as platforms write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamping(table: str) -> Before:
    """Fresh rows carry the moment they were made."""

    def hook(_: Platform, request: Request) -> None:
        if request.creates(table):
            request.body["created"] = now()

    return hook


def one_for_each(table: str, field: str, duplicate: Duplicate, status: int) -> Before:
    """A create with a value that a row has already answers with that row."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        if not request.creates(table):
            return None
        wanted = request.body[field].lower()
        row = next((r for r in platform.tables[table] if r.get(field, "").lower() == wanted), None)
        if row is None:
            return None
        if duplicate == "written over":
            row.update({key: val for key, val in request.body.items() if key != "created"})
        return Answer(status, dict(row))

    return hook


def answering_oldest(table: str) -> After:
    """A create answers with the oldest row of all."""

    def hook(platform: Platform, request: Request, answer: Answer) -> Answer:
        if request.creates(table) and answer.status == 201:
            return replace(answer, body=dict(platform.tables[table][0]))
        return answer

    return hook


def answering_id(table: str, row_id: Any) -> After:
    """A create answers with the same id every time, and no row has it."""

    def hook(_: Platform, request: Request, answer: Answer) -> Answer:
        if request.creates(table) and answer.status == 201:
            return replace(answer, body={**answer.body, "id": row_id})
        return answer

    return hook


def created_with(table: str, status: int) -> After:
    """Fresh rows get another status than 201."""

    def hook(_: Platform, request: Request, answer: Answer) -> Answer:
        created = request.creates(table) and answer.status == 201
        return replace(answer, status=status) if created else answer

    return hook


def dropping(table: str, numbers: Collection[int], method: str = "POST") -> After:
    """The connection is dropped after these writes were done, counted from 1."""
    seen = [0]

    def hook(_: Platform, request: Request, answer: Answer) -> Answer:
        if request.method != method or request.parts[:1] != [table]:
            return answer
        seen[0] += 1
        return replace(answer, cut=seen[0] in numbers)

    return hook


# -- what is refused, hidden or late


def refusing(method: str, table: str, status: int = 422, **values: Any) -> Before:
    """Requests of a kind are refused: all of them, or those whose body has these values."""

    def hook(_: Platform, request: Request) -> Answer | None:
        if request.method != method or request.parts[:1] != [table]:
            return None
        fits = not values or values.items() <= (request.body or {}).items()
        return Answer(status, {"error": "this account may not do that"}) if fits else None

    return hook


def answering_nothing(table: str, status: int) -> Before:
    """Lists and reads answer with an empty body."""

    def hook(_: Platform, request: Request) -> Answer | None:
        return Answer(status, raw=b"") if request.reads(table) else None

    return hook


def lagging(table: str, seconds: float) -> After:
    """A list shows a row only some time after it was made; the row's own read does at once."""
    born: dict[Any, float] = {}

    def hook(_: Platform, request: Request, answer: Answer) -> Answer:
        if request.creates(table) and answer.status == 201:
            born[answer.body["id"]] = time.monotonic()
        if request.reads(table) and len(request.parts) == 1:
            late = time.monotonic() - seconds
            rows = [row for row in answer.body if born.get(row["id"], 0.0) <= late]
            return replace(answer, body=rows)
        return answer

    return hook


def cascading(parent: str, child: str, field: str) -> After:
    """Deleting a parent takes the rows along that point at it."""

    def hook(platform: Platform, request: Request, answer: Answer) -> Answer:
        if request.method == "DELETE" and request.parts[:1] == [parent] and answer.status == 204:
            rows = platform.tables[child]
            rows[:] = [row for row in rows if str(row.get(field)) != request.parts[1]]
        return answer

    return hook


def guarding(parent: str, child: str, field: str) -> Before:
    """A parent is not deleted while rows point at it."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        if request.method != "DELETE" or request.parts[:1] != [parent]:
            return None
        used = any(str(row.get(field)) == request.parts[1] for row in platform.tables[child])
        return Answer(409, {"error": "it is in use"}) if used else None

    return hook


def knowing(child: str, field: str, parent: str) -> Before:
    """A row that names one which is not there is refused."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        named = request.body.get(field) if request.writes(child) else None
        if named is None or platform.find(parent, named) is not None:
            return None
        return Answer(422, {"error": f"{parent} {named} does not exist"})

    return hook


def redirecting(table: str, gone: Any, kept: Any) -> Before:
    """The id of a row that was merged leads to the one that survived, for every call."""

    def hook(platform: Platform, request: Request) -> Answer | None:
        if request.parts != [table, str(gone)]:
            return None
        return platform.plain(replace(request, path=f"/{table}/{kept}"))

    return hook


# -- what people do


def merged(platform: Platform, table: str, gone: Row, kept: Row, **pointing: str) -> None:
    """People merge a row into another, which takes what it lacks; what points at the one that goes,
    in a field of each table that is named, points at the other afterwards.
    """
    for name, field in pointing.items():
        for row in platform.tables[name]:
            if str(row.get(field)) == str(gone["id"]):
                row[field] = type(row[field])(kept["id"])
    lacked = {name: value for name, value in gone.items() if kept.get(name) in (None, "")}
    kept.update(lacked)
    platform.tables[table].remove(gone)
