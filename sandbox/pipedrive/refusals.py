"""The ways the API says no, with the bodies its clients have seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ERROR_INFO = "Please check developers.pipedrive.com for more information about Pipedrive API."
UNAUTHORIZED = {
    "success": False,
    "error": "unauthorized access",
    "errorCode": 401,
    "error_info": "Please check developers.pipedrive.com",
}
BLOCKED_PAGE = (
    b"<!DOCTYPE html>\n<html lang='en-US'><head><title>Attention Required! | Cloudflare</title>"
    b"</head><body><h1>Sorry, you have been blocked</h1>"
    b"<p>You are unable to access pipedrive.com</p></body></html>"
)


@dataclass
class Refused(Exception):
    """Ends a request: nothing it wrote is kept, and this is answered."""

    status: int
    error: str
    code: str | None = None
    body: dict[str, Any] = field(default_factory=dict)

    def answer(self) -> dict[str, Any]:
        """The JSON body sent to the client."""
        said: dict[str, Any] = {
            "success": False,
            "error": self.error,
            "errorCode": self.status,
            "error_info": ERROR_INFO,
            "data": None,
            "additional_data": None,
        }
        if self.code is not None:
            said["code"] = self.code
        return said | self.body


def invalid(where: str, reason: str) -> Refused:
    """400: a value the schema of the request does not admit."""
    said = f"Validation failed: {where}: {reason}" if where else f"Validation failed: {reason}"
    return Refused(400, said, "ERR_SCHEMA_VALIDATION_FAILED")


def not_allowed(where: str) -> Refused:
    """400: a key that the body of this request does not know, as live answers have it."""
    return invalid(where, f"Parameter '{where}' is not allowed for this request")


def over_plan(what: str, of: str, code: str) -> Refused:
    """403: one more of these than the plan allows, in the words of the changelog of March 2022."""
    return forbidden(f"Couldn't add the {what}. {of} limit reached.", code)


def over_count(what: str, of: str) -> Refused:
    """403: one more of these than anybody may have, in the words of the changelog of November 2024.

    It carries no code.
    """
    return forbidden(f"Couldn't add {what}. You've reached the {what} per {of} limit.")


def not_found(what: str) -> Refused:
    """404: no such record, or not a visible one."""
    return Refused(404, f"{what} not found")


def forbidden(error: str, code: str | None = None) -> Refused:
    """403: not in this plan, over a limit, or not with these rights."""
    return Refused(403, error, code)
