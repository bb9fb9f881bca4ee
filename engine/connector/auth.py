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

from engine.errors import UsageError


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one platform: where it is and the key to it."""

    base_url: str
    secret: str = field(repr=False)
    name: str = ""  # set where the address changes from run to run, as the sandbox's does
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # every variable that signing in takes

    def reveal(self, variable: str) -> str:
        """The value of one of the variables; the key where nothing else is known."""
        return self.secrets.get(variable, self.secret)

    @property
    def id(self) -> str:
        """A name for the account that does not tell the key."""
        keys = "\n".join(dict.fromkeys([self.secret, *self.secrets.values()]))
        return hashlib.sha256(f"{self.name or self.base_url}\n{keys}".encode()).hexdigest()[:16]


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


def parts(auth: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A way of signing in, and those it is made of."""
    yield auth
    for part in (*auth.get("all", ()), *([auth["signed_by"]] if "signed_by" in auth else ())):
        yield from parts(part)


def variables(auth: Mapping[str, Any], secret: bool = False) -> Iterator[str]:
    """The environment variables that signing in takes; with `secret`, those that must show in no text."""
    for part in parts(auth):
        yield from (part[key] for key in ("secret", "refresh_token", "client_secret") if key in part)
        yield from part.get("secrets", {}).values()
        if not secret:
            yield from (part[key] for key in ("client_id", "user_env") if key in part)
            yield from part.get("variables", {}).values()


def addresses(auth: Mapping[str, Any]) -> Iterator[str]:
    """The environment variables that can name another place to sign in at."""
    yield from (part["post"]["env"] for part in parts(auth) if isinstance(part.get("post"), Mapping))


def sign(auth: Mapping[str, Any], reveal: Callable[[str], str]) -> Signature:
    """What requests carry with a key that stays; raises UsageError for a key that no request can carry."""
    if "user_env" in auth:
        auth = {**auth, "user": reveal(auth["user_env"])}
    signature = AUTHS[auth["kind"]](auth, reveal(auth.get("secret", "")))
    if not carries(signature):
        raise UsageError(
            f"{auth['secret']} holds a blank, a line break or a letter that no key has – "
            "copy the key again, without anything before or after it"
        )
    return signature


def carries(signature: Signature) -> bool:
    """Whether a request can carry these headers."""
    return all(value.isascii() and value.isprintable() and value == value.strip() for value in signature.headers.values())


def joined(signatures: Iterable[Signature]) -> Signature:
    """Several ways of signing in, all of them in each request."""
    parts = list(signatures)
    return Signature(
        {name: value for part in parts for name, value in part.headers.items()},
        {name: value for part in parts for name, value in part.params.items()},
    )


_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"')]*")
_USERINFO = re.compile(r"(https?://)[^\s/@\"']+@")


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that takes secrets, and the queries of addresses (links are capabilities), out of a text."""
    known = {form for secret in secrets if len(secret) >= 4 for form in _forms(secret)}
    longest_first = sorted(known, key=lambda form: (-len(form), form))

    def redact(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, "***")
        return _USERINFO.sub(r"\1***@", _QUERY.sub(r"\1?***", text))

    return redact


def _forms(secret: str) -> set[str]:
    """The secret as it may stand in an address, in JSON or in a quoted text."""
    return {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
