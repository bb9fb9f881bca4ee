"""Signing in, and keeping what was used to sign in out of every text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from engine.errors import UsageError


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one platform: where it is and the key to it."""

    base_url: str
    secret: str = field(repr=False)
    # set where the address changes from run to run, as the sandbox's does
    name: str = ""
    # every variable that signing in takes
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def reveal(self, variable: str) -> str:
        """The value of one of the variables; the key where nothing else is known."""
        return self.secrets.get(variable, self.secret)

    @property
    def id(self) -> str:
        """A name for the account that does not reveal the key."""
        keys = "\n".join(dict.fromkeys([self.secret, *self.secrets.values()]))
        return hashlib.sha256(
            f"{self.name or self.base_url}\n{keys}".encode()
        ).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Signature:
    """What signing in adds to each request; its values stay out of tracebacks."""

    headers: Mapping[str, str] = field(repr=False)
    params: Mapping[str, str] = field(repr=False)


def header(auth: Mapping[str, Any], secret: str) -> Signature:
    """A key in a header, with an optional word before it."""
    return Signature({auth["name"]: f"{auth.get('prefix', '')}{secret}"}, {})


def query(auth: Mapping[str, Any], secret: str) -> Signature:
    """A key in the query."""
    return Signature({}, {auth["name"]: secret})


def bearer(_auth: Mapping[str, Any], secret: str) -> Signature:
    """`Authorization: Bearer …`."""
    return Signature({"Authorization": f"Bearer {secret}"}, {})


def basic(auth: Mapping[str, Any], secret: str) -> Signature:
    """`Authorization: Basic …` of `user:secret`."""
    text = base64.b64encode(
        f"{auth.get('user', '')}:{secret}".encode()
    ).decode()
    return Signature({"Authorization": f"Basic {text}"}, {})


def none(_auth: Mapping[str, Any], _secret: str) -> Signature:
    """No signing in."""
    return Signature({}, {})


AUTHS: Mapping[str, Callable[[Mapping[str, Any], str], Signature]] = {
    "header": header,
    "query": query,
    "bearer": bearer,
    "basic": basic,
    "none": none,
}


def parts(auth: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A way of signing in, and those it is made of."""
    yield auth
    for part in filter(None, (*auth.get("all", ()), auth.get("signed_by"))):
        yield from parts(part)


def variables(auth: Mapping[str, Any], secret: bool = False) -> Iterator[str]:
    """The environment variables that signing in takes; with `secret`, those that must show in no
    text.
    """
    for part in parts(auth):
        yield from (
            part[key]
            for key in ("secret", "refresh_token", "client_secret")
            if key in part
        )
        yield from part.get("secrets", {}).values()
        if not secret:
            yield from (
                part[key] for key in ("client_id", "user_env") if key in part
            )
            yield from part.get("variables", {}).values()


def addresses(auth: Mapping[str, Any]) -> Iterator[str]:
    """The environment variables that can name another place to sign in at."""
    yield from (
        part["post"]["env"]
        for part in parts(auth)
        if isinstance(part.get("post"), Mapping)
    )


def sign(auth: Mapping[str, Any], reveal: Callable[[str], str]) -> Signature:
    """What requests carry with a key that stays; raises UsageError for a key that no request can
    carry.
    """
    if "user_env" in auth:
        auth = {**auth, "user": reveal(auth["user_env"])}
    signature = AUTHS[auth["kind"]](auth, reveal(auth.get("secret", "")))
    if not carries(signature):
        raise UsageError(
            f"{auth['secret']} holds a blank, a line break or a letter that no key has"
            " – copy the key again, without anything before or after it"
        )
    return signature


def carries(signature: Signature) -> bool:
    """Whether a request can carry these headers."""
    return all(
        value.isascii() and value.isprintable() and value == value.strip()
        for value in signature.headers.values()
    )


def joined(signatures: Iterable[Signature]) -> Signature:
    """Several ways of signing in, all of them in each request."""
    parts = list(signatures)
    return Signature(
        {name: value for part in parts for name, value in part.headers.items()},
        {name: value for part in parts for name, value in part.params.items()},
    )


# characters of a secret whose pieces are recognised; a shorter one only as a whole
LONG = 12
PIECE = 8  # characters of a piece that says too much
ANCHOR = 4
_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"')]*")
_USERINFO = re.compile(r"(https?://)[^\s/@\"']+@")


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that takes secrets, and the queries of addresses (links are capabilities), out
    of a text.
    """
    known = {
        form
        for secret in secrets
        if len(secret) >= 4
        for form in _forms(secret)
    }
    longest_first = sorted(known, key=lambda form: (-len(form), form))
    long = [form.lower() for form in longest_first if len(form) >= LONG]

    def redact(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, "***")
        for form in long:
            text = _without_pieces(text, form)
        return _USERINFO.sub(r"\1***@", _QUERY.sub(r"\1?***", text))

    return redact


def _forms(secret: str) -> set[str]:
    """The secret as it may stand in an address, in JSON or in a quoted text, turned round, in base
    64, behind a user as well, or in hexadecimal.
    """
    raw = secret.encode(errors="replace")
    shifted = {_base64(raw, before) for before in range(3)}
    plain = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }
    return (
        {*plain, *shifted, secret[::-1], raw.hex()}
        if len(secret) >= LONG
        else plain
    )


def _base64(secret: bytes, before: int) -> str:
    """What stands of a secret in base 64 behind so many other bytes, without the signs that it
    shares with its neighbours.
    """
    found = base64.b64encode(bytes(before) + secret).decode()
    padding = found.count("=")
    end = len(found) - padding - (padding > 0)
    return found[before + (before > 0) : end]


def _without_pieces(text: str, form: str) -> str:
    """The text without any piece of a long secret, in any capitals: platforms echo a key cut
    short.

    Every piece of PIECE characters holds one of the form's anchors, short texts at equal
    distances; only where one of those is found is looked closer.
    """
    low = text.lower()
    # a letter whose small form is longer: places would not agree
    if len(low) != len(text):
        low = text
    spans = [
        span
        for at in range(0, len(form) - ANCHOR + 1, PIECE - ANCHOR + 1)
        if form[at : at + ANCHOR] in low
        for found in re.finditer(re.escape(form[at : at + ANCHOR]), low)
        if (span := _grown(low, found.start(), form, at))
    ]
    for begin, end in reversed(_merged(spans)):
        text = text[:begin] + "***" + text[end:]
    return text


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that overlap made one."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            begin, end = found[-1][0], max(found.pop()[1], end)
        found.append((begin, end))
    return found


def _grown(text: str, begin: int, form: str, at: int) -> tuple[int, int] | None:
    """The whole piece of the form around a place where text and form agree; None for one that
    is too short.
    """
    end, until = begin, at
    while begin and at and text[begin - 1] == form[at - 1]:
        begin, at = begin - 1, at - 1
    while end < len(text) and until < len(form) and text[end] == form[until]:
        end, until = end + 1, until + 1
    return (begin, end) if end - begin >= PIECE else None


class Accounts(msgspec.Struct, frozen=True):
    """The two accounts of a run."""

    source: Account
    destination: Account
