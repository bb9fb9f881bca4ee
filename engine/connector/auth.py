"""Signing in, and keeping what was used to sign in out of every text."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.connector.model import Connection


@dataclass(frozen=True, slots=True)
class Signature:
    """What signing in adds to each request."""

    headers: Mapping[str, str]
    params: Mapping[str, str]


def header(auth: Mapping[str, Any], secret: str) -> Signature:
    """A key in a header, with an optional word before it."""
    return Signature({auth["name"]: f"{auth.get('prefix', '')}{secret}"}, {})


def query(auth: Mapping[str, Any], secret: str) -> Signature:
    """A key in the query."""
    return Signature({}, {auth["name"]: secret})


def bearer(auth: Mapping[str, Any], secret: str) -> Signature:
    """`Authorization: Bearer …`."""
    return Signature({"Authorization": f"Bearer {secret}"}, {})


def basic(auth: Mapping[str, Any], secret: str) -> Signature:
    """`Authorization: Basic …` of `user:secret`."""
    text = base64.b64encode(f"{auth.get('user', '')}:{secret}".encode()).decode()
    return Signature({"Authorization": f"Basic {text}"}, {})


def none(auth: Mapping[str, Any], secret: str) -> Signature:
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
    """What this connection's requests carry."""
    return AUTHS[connection.auth["kind"]](connection.auth, secret)


_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"')]*")


def redactor(secrets: tuple[str, ...]) -> Callable[[str], str]:
    """A function that takes secrets, and the queries of addresses (links are capabilities), out of a text."""
    known = [secret for secret in secrets if len(secret) >= 4]

    def redact(text: str) -> str:
        for secret in known:
            text = text.replace(secret, "***")
        return _QUERY.sub(r"\1?***", text)

    return redact
