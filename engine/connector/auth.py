"""Signing in, and keeping what was used to sign in out of every text."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

from engine.connector.model import Connection
from engine.errors import UsageError


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
    text = base64.b64encode(f"{auth.get('user', '')}:{secret}".encode()).decode()
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


def sign(connection: Connection, secret: str) -> Signature:
    """What this connection's requests carry; raises UsageError for a key that no request can carry."""
    signature = AUTHS[connection.auth["kind"]](connection.auth, secret)
    for value in signature.headers.values():
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise UsageError(
                f"{connection.secret_env} holds a blank, a line break or a letter that no key has – "
                "copy the key again, without anything before or after it"
            )
    return signature


_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"')]*")
_USERINFO = re.compile(r"(https?://)[^\s/@\"']+@")


def redactor(secrets: tuple[str, ...], signature: Signature | None = None) -> Callable[[str], str]:
    """A function that takes secrets, and the queries of addresses (links are capabilities), out of a text."""
    carried = [value.rpartition(" ")[2] for value in signature.headers.values()] if signature else []
    known = {form for secret in (*secrets, *carried) if len(secret) >= 4 for form in _forms(secret)}
    longest_first = sorted(known, key=lambda form: (-len(form), form))

    def redact(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, "***")
        return _USERINFO.sub(r"\1***@", _QUERY.sub(r"\1?***", text))

    return redact


def _forms(secret: str) -> set[str]:
    """The secret as it may stand in an address, in JSON or in a quoted text."""
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
