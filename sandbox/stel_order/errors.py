"""Refusals as the service words them: an array of code and description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

MINUTE_USED_UP, DAY_USED_UP, FAILURE = "E000001", "E000002", "E000003"
BAD_KEY, BAD_BODY, NO_PERMISSION = "E000004", "E000005", "E000006"

CODES: Mapping[str, str] = MappingProxyType(
    {
        MINUTE_USED_UP: "The requests allowed per minute are used up",
        DAY_USED_UP: "The requests allowed per day are used up",
        FAILURE: "The request failed",
        BAD_KEY: "The key is not valid",
        BAD_BODY: "The body is missing or is not JSON",
        NO_PERMISSION: "No permission for this resource",
        "E000007": "The plan holds no more products",
        "E000008": "The plan holds no more services",
        "E000009": "The plan holds no more expenses and investments",
        "E000010": "The plan holds no more assets",
        "E000011": "The plan holds no more accounts",
        "E000012": "The plan holds no more contacts",
        "E000013": "The plan holds no more incidents",
        "E000014": "The plan allows no new documents",
        "E000015": "The plan allows no changes to documents",
        "E000016": "The plan holds no more delivery options",
        "E000017": "The demo is over",
        "E000018": "The trial is over",
    }
)


class Refusal(Exception):
    """An answer other than the one asked for."""

    def __init__(
        self,
        status: int,
        code: str = FAILURE,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or CODES[code])
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def body(self) -> bytes:
        """The error array."""
        text = f"{CODES[self.code]}: {self.detail}" if self.detail else CODES[self.code]
        return to_json([{"error-code": self.code, "description": text}])


def to_json(value: Any) -> bytes:
    """UTF-8 without escapes, as the service sends it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def error_codes() -> list[dict[str, str]]:
    """What GET /errorCodes lists."""
    return [{"error-code": code, "description": text} for code, text in CODES.items()]
