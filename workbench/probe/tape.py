"""The requests and answers of the check, each kept just long enough to be shown; no value of
anybody's is ever shown, only its shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from engine.connector.client import Client
from engine.connector.messages import Request, Response
from engine.connector.model import Operation
from engine.errors import EtlError

HARMLESS = re.compile(
    r"[0-9]{1,6}|[0-9]{4}-[0-9]{2}-[0-9]{2}.{0,16}|true|false"
)
SHOWN = 160  # characters of a shape
KEYS = 8  # keys of an object that are shown


class Spent(EtlError):
    """As many calls as were allowed have been made."""


@dataclass(slots=True)
class Tape:
    """The last exchange, the headers and methods ever seen, how many calls may still go out."""

    most: int
    calls: int = 0
    cleaning: bool = False  # what was made is removed whatever has been spent
    query: list[tuple[str, str]] = field(default_factory=list)
    status: int = 0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    methods: set[str] = field(default_factory=set)
    limited: int = 0  # answers 429
    retry_stated: bool = False  # ... of which one said how long to wait

    def listen(self, client: Client) -> None:
        """Record every call of a client."""
        client.calls.on_request = self._asked
        client.calls.on_response = self._answered

    def _asked(self, request: Request) -> None:
        if self.calls >= self.most and not self.cleaning:
            raise Spent(
                f"{self.most} calls were made; give a higher --calls, or --only RESOURCE"
            )
        self.calls += 1
        self.methods.add(request.method)
        self.query, self.status, self.body = (
            parse_qsl(request.url.query.decode(), keep_blank_values=True),
            0,
            None,
        )

    def _answered(self, response: Response) -> None:
        self.status = response.status_code
        self.headers |= response.headers
        self.limited += self.status == 429
        self.retry_stated = self.retry_stated or (
            self.status == 429 and "retry-after" in response.headers
        )
        try:
            self.body = json.loads(response.content)
        except (ValueError, RecursionError):
            self.body = (
                None
                if not response.content.strip()
                else f"{response.headers.get('content-type', 'text')}"
            )

    def exchange(self, operation: Operation) -> str:
        """The last exchange in a line: the call, its parameters, the status and the shape of the
        answer.
        """
        declared = {
            str(value)
            for value in (
                *operation.params.values(),
                *operation.newest_first.values(),
            )
        }
        asked = "&".join(
            f"{name}={_harmless(value, declared)}" for name, value in self.query
        )
        answer = (
            f"{self.status} {shape(self.body)}" if self.status else "no answer"
        )
        return f"{operation.method} {operation.path}{'?' if asked else ''}{asked} → {answer}"


def _harmless(value: str, declared: set[str]) -> str:
    """A value of a query as it may be shown: what the file says itself, small numbers, lists of
    them, and moments.
    """
    parts = value.split(",")
    return (
        value
        if value in declared or all(HARMLESS.fullmatch(part) for part in parts)
        else "…"
    )


def shape(value: Any) -> str:
    """What a JSON value looks like, without anything that it says."""
    text = _shape(value, 0)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _shape(value: Any, depth: int) -> str:
    if isinstance(value, Mapping):
        if depth > 3:
            return "{…}"
        inner = [
            f"{key}: {_shape(item, depth + 1)}"
            for key, item in list(value.items())[:KEYS]
        ]
        return (
            "{"
            + ", ".join([*inner, *(["…"] if len(value) > KEYS else [])])
            + "}"
        )
    if isinstance(value, list):
        return (
            f"[{len(value)} x {_shape(value[0], depth + 1)}]" if value else "[]"
        )
    return kind_of(value)


def kind_of(value: Any) -> str:
    """What a JSON value is, in a few words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text of digits" if re.fullmatch(r"-?[0-9]+", value) else "text"
    return {int: "integer", float: "number", list: "list"}.get(
        type(value), "object"
    )


def lists_in(
    body: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, list[Any]]]:
    """Every list of objects in an answer, with the path that leads there."""
    if (
        isinstance(body, list)
        and body
        and all(isinstance(item, Mapping) for item in body)
    ):
        yield ".".join(path), body
    elif isinstance(body, Mapping) and len(path) < 4:
        for key, item in body.items():
            yield from lists_in(item, (*path, str(key)))


def texts_in(body: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The paths of every text in an answer."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(body, Mapping):
        items = body.items()
    elif isinstance(body, list):
        items = enumerate(body[:3])
    elif isinstance(body, str) and body.strip() and path:
        yield ".".join(path)
    for key, item in items:
        yield from texts_in(item, (*path, str(key))) if len(path) < 4 else ()
