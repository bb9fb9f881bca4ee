"""One request on its way through a handler, the handler's answer, and how handlers are listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.pipedrive.refusals import Refused, invalid

if TYPE_CHECKING:
    from starlette.datastructures import FormData

    from sandbox.pipedrive.desk import Desk


@dataclass(frozen=True, slots=True)
class Answer:
    """A handler's result: a JSON document, or bytes with their type."""

    body: Any
    status: int = 200
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: bool = False  # a refusal that takes nothing back of what was written before it


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler knows of the request."""

    desk: Desk
    path: dict[str, str]
    query: dict[str, str]
    raw: bytes
    media_type: str
    origin: str  # scheme and host the client used
    user_id: int
    form: FormData | None = None

    @property
    def now(self) -> str:
        """The moment of this request as v2 writes it."""
        return self.desk.now()

    def key(self, name: str = "id") -> int:
        """A numeric path part."""
        try:
            return int(self.path[name])
        except ValueError:
            raise invalid(name, "Expected a valid integer") from None

    def json(self) -> Any:
        """The request body as JSON, strictly read."""
        if self.media_type != "application/json":
            raise Refused(400, "Request body must be application/json")
        try:
            body = json.loads(self.raw, parse_constant=_no_constant)
            if b"\\ud" in self.raw.lower():  # an escaped half of a character is no text
                json.dumps(body, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise Refused(400, "Request body is not valid JSON") from None
        return body

    def object(self) -> dict[str, Any]:
        """The request body as a JSON object."""
        body = self.json()
        if not isinstance(body, dict):
            raise invalid("", "Expected a valid object")
        return body


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True)
class Operation:
    """One documented verb and path."""

    name: str
    version: str  # "v1" | "v2"
    verb: str
    path: str  # "/deals/{id}"
    tokens: int
    act: Callable[[Call], Answer]
    query: frozenset[str] = frozenset()
    form: bool = False  # multipart or urlencoded body
    search: bool = False  # counts against the search burst limit as well
    iso: bool = False  # a v1 operation that writes moments as v2 does

    @property
    def fine_stamps(self) -> bool:
        """Whether moments of its answers follow the switch `stamps`."""
        return self.version == "v2" or self.iso


def data(record: Any, status: int = 200) -> Answer:
    """The usual envelope around one record."""
    return Answer({"success": True, "data": record}, status)


def page(records: list[Any], next_cursor: str | None) -> Answer:
    """The v2 list envelope."""
    return Answer(
        {"success": True, "data": records, "additional_data": {"next_cursor": next_cursor}}
    )
