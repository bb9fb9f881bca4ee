"""Everything that can go wrong, as values (diagnostics) or as exceptions with an exit code.

    EtlError
    ├── UsageError      2  the command, the environment or a file is wrong
    │   └── SpecError   2  a spec or connector has mistakes, all of them listed
    ├── ApiError        3  a platform cannot be reached or refuses us
    │   ├── AuthError       the key is refused
    │   ├── ClientBlocked   the platform has shut us out; asking again makes it worse
    │   ├── Unavailable     no usable answer to a read after several tries
    │   ├── RequestRejected this one request is refused; others may pass (record-level)
    │   │   ├── NotFound    there is no such row
    │   │   ├── Forbidden   the key has no right to this collection
    │   │   └── VersionConflict  the row was changed since it was read
    │   └── OutcomeUnknown  a write got no usable answer: it may have happened
    ├── UnsafePlan      4  refused until a person says yes
    ├── StoreError      5  the store cannot be read or written
    └── QuotaExhausted 75  the day's quota is spent; continue later

Spec and record problems are `Diagnostic` values and are collected; an exception means that the
run, the request or the record at hand cannot go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

DONE = 0
ATTENTION = 1


class Place(msgspec.Struct, frozen=True, order=True):
    """A position in a file; line and column count from 1."""

    file: str
    line: int
    col: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"


Severity = Literal["error", "warning"]

# Every kind of mistake, by what a reader would do about it; docs/mistakes.md explains each.
Code = Literal[
    # the text of a file
    "bad-syntax",
    "stray-character",
    "needs-quotes",
    "duplicate-key",
    "unsafe-yaml",
    "too-large",
    "unreadable-file",
    # its shape
    "unknown-key",
    "missing-key",
    "renamed-key",
    "conflicting-keys",
    "wrong-type",
    "bad-format",
    "not-an-option",
    "out-of-range",
    "duplicate-value",
    # the names in it
    "unknown-name",
    "unknown-collection",
    "unknown-resource",
    "unknown-field",
    "unknown-object",
    "unknown-step",
    "bad-step",
    "bad-argument",
    "missing-variable",
    "taken-name",
    # values, templates and lookups
    "bad-expression",
    "bad-template",
    "markup",
    "unsafe-html",
    "needs-lookup",
    "misplaced-lookup",
    "wrong-link",
    "lookup-order",
    "bad-fallback",
    # a spec as a whole, and what its platforms can do
    "required-field",
    "read-only",
    "unsupported",
    "key-field",
    "bad-rename",
    "overlapping-objects",
    "overwrites-rows",
    "never-matches",
    "unreachable",
    "unused",
    # a connector or an API document
    "unbound-parameter",
    "bad-reference",
    "contradicted",
    # the accounts
    "account-differs",
    "account-full",
    "no-access",
]


class Diagnostic(msgspec.Struct, frozen=True):
    """One problem: where, of which kind, what, and what to do about it."""

    where: Place | None
    path: str
    code: Code
    problem: str
    advice: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        path = f"{self.path}: " if self.path else ""
        mark = "warning: " if self.severity == "warning" else ""
        advice = f" – {self.advice}" if self.advice else ""
        return f"{place}{mark}{path}{self.problem}{advice} [{self.code}]"

    def data(self) -> dict[str, Any]:
        """The same as plain data, for --json."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def in_order(problems: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by place; a mistake behind a YAML alias is reported once."""
    once: dict[tuple[Place | None, str], Diagnostic] = {}
    for item in problems:
        once.setdefault((item.where, item.problem), item)
    return sorted(once.values(), key=lambda item: item.where or Place("", 0, 0))


class EtlError(Exception):
    """Root of all expected failures; the CLI prints the message and ends with `exit_code`."""

    exit_code = 70  # one without a code of its own is an internal error


class UsageError(EtlError):
    """The command line, the environment or a named file is wrong."""

    exit_code = 2


class SpecError(UsageError):
    """A spec or connector cannot be used; carries every problem found."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(item) for item in self.diagnostics))


class ApiError(EtlError):
    """A platform cannot be used as asked."""

    exit_code = 3


class AuthError(ApiError):
    """The key is refused."""


class ClientBlocked(ApiError):
    """The platform has shut this client out; repeating the request would make it worse."""


class Unavailable(ApiError):
    """No usable answer to a read, after the tries the connector allows."""


class RequestRejected(ApiError):
    """The platform refuses this request; other requests may pass."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class NotFound(RequestRejected):
    """There is no such row."""


class Forbidden(RequestRejected):
    """The key has no right to this collection or operation."""


class VersionConflict(RequestRejected):
    """The row was changed since it was read: nothing was written, and it has to be looked at
    again.
    """


class OutcomeUnknown(ApiError):
    """A write got no usable answer: it may or may not have happened."""


class Accepted(OutcomeUnknown):
    """A write was accepted, but the answer does not say which row it made: it is not repeated."""


class UnsafePlan(EtlError):
    """Refused until a person says yes."""

    exit_code = 4


class StoreError(EtlError):
    """The store cannot be read or written."""

    exit_code = 5


class QuotaExhausted(EtlError):
    """A quota that lasts longer than a run may wait is spent.

    `until` is UTC epoch seconds: the moment from which it makes sense to go on.
    """

    exit_code = 75

    def __init__(self, limit: str, until: float, spent: bool = True) -> None:
        self.limit = limit
        self.until = until
        try:
            moment = datetime.fromtimestamp(until, UTC).strftime(
                "%Y-%m-%d %H:%M:%S UTC"
            )
        except (ValueError, OverflowError, OSError):
            moment = "a day that no calendar holds"
        super().__init__(
            f"{f'the {limit} quota is spent' if spent else f'{limit} asks to wait'};"
            " everything done so far is saved – run the same command again from"
            f" {moment}"
        )
