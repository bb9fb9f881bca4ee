"""Signing in with a call: tokens are asked for, carried until they end or are refused, and
renewed.

A kind is one function that makes the request for a token. A refresh token that the platform
exchanges is the only thing kept in the store; everything else lives as long as the process.
"""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.connector.auth import (
    AUTHS,
    Signature,
    carries,
    joined,
    parts,
    redactor,
    sign,
)
from engine.connector.classify import Classified
from engine.connector.pagination import path_of
from engine.connector.rate_limit import RateLimiter
from engine.connector.times import moment
from engine.errors import AuthError
from engine.store.tokens import exchanging, keep, newest
from engine.values import dig

# seconds; a larger figure is the moment when a token ends, not how long it is good for
EPOCH = 1e9
EARLY = 30.0  # seconds before its end that a token is renewed ...
SHARE = 0.1  # ... and for one that is short-lived the share of its life

Reveal = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Grant:
    """The request that asks for a token; what it holds stays out of tracebacks."""

    address: str
    body: Mapping[str, Any] = field(repr=False)
    form: bool
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def client_credentials(auth: Mapping[str, Any], reveal: Reveal) -> Grant:
    """OAuth2: the program's own id and secret for a token."""
    return _oauth(auth, reveal, {"grant_type": "client_credentials"})


def refresh_token(auth: Mapping[str, Any], reveal: Reveal) -> Grant:
    """OAuth2: a refresh token for an access token, and often for the next refresh token."""
    return _oauth(
        auth,
        reveal,
        {
            "grant_type": "refresh_token",
            "refresh_token": reveal(auth["refresh_token"]),
        },
    )


def login(auth: Mapping[str, Any], reveal: Reveal) -> Grant:
    """Names and passwords in a body for a token."""
    body: dict[str, Any] = dict(auth.get("body", {}))
    for place, variable in {
        **auth.get("variables", {}),
        **auth.get("secrets", {}),
    }.items():
        *above, last = place.split(".")
        holder = body
        for key in above:
            holder[key] = holder = dict(holder.get(key, {}))
        holder[last] = reveal(variable)
    return Grant(_address(auth, reveal), body, auth.get("send") == "form")


def _oauth(
    auth: Mapping[str, Any], reveal: Reveal, body: dict[str, Any]
) -> Grant:
    who, secret = (
        reveal(auth[key]) if key in auth else ""
        for key in ("client_id", "client_secret")
    )
    body |= {
        **({"scope": auth["scope"]} if "scope" in auth else {}),
        **auth.get("body", {}),
    }
    if auth.get("client_in") == "header":
        mark = base64.b64encode(f"{who}:{secret}".encode()).decode()
        return Grant(
            _address(auth, reveal),
            body,
            True,
            {"Authorization": f"Basic {mark}"},
        )
    body |= {
        key: value
        for key, value in (("client_id", who), ("client_secret", secret))
        if value
    }
    return Grant(
        _address(auth, reveal), body, auth.get("send", "form") == "form"
    )


def _address(auth: Mapping[str, Any], reveal: Reveal) -> str:
    where = auth["post"]
    if isinstance(where, str):
        return where
    address = reveal(where["env"])
    return address if address.startswith("http") else str(where["production"])


def _values(headers: Mapping[str, str]) -> list[str]:
    """What headers carry, without the word before it."""
    return [value.rpartition(" ")[2] for value in headers.values()]


GRANTS: Mapping[str, Callable[[Mapping[str, Any], Reveal], Grant]] = {
    "client_credentials": client_credentials,
    "refresh_token": refresh_token,
    "login": login,
}


class Signed(msgspec.Struct, frozen=True):
    """A signature and when it ends."""

    signature: Signature
    until: float = math.inf


@dataclass(slots=True)
class Session:
    """What an account's requests carry now. Threads may share it: one of them signs in, the
    others wait.
    """

    auth: Mapping[str, Any]
    reveal: Reveal = field(repr=False)
    limiter: RateLimiter
    ask: Callable[[Grant, Signature], Classified]
    _now: Signed | None = field(default=None, repr=False)
    # everything that must show in no text
    _known: set[str] = field(default_factory=set, repr=False)
    _redact: Callable[[str], str] = field(default=str, repr=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def renewable(self) -> bool:
        """Whether signing in takes a call."""
        return any(part["kind"] in GRANTS for part in parts(self.auth))

    def signature(self) -> Signature:
        """What the next request carries; signs in first where that is needed. Raises AuthError
        or Unavailable.
        """
        with self._turn:
            if self._now is None or self._now.until <= self.limiter.clock.now():
                self._now = self._signed(self.auth)
            return self._now.signature

    def renew(self, refused: Signature) -> bool:
        """After a refusal: forget what was refused, unless another thread has done so; False
        where a key is all there is.
        """
        with self._turn:
            if self._now is not None and self._now.signature is refused:
                self._now = None
        return self.renewable

    def params(self) -> tuple[str, ...]:
        """The query parameters that signing in adds."""
        return tuple(
            part["name"] for part in parts(self.auth) if part["kind"] == "query"
        )

    def redact(self, text: str) -> str:
        """The text without anything that was ever used to sign in."""
        return self._redact(text)

    def learn(self, *secrets: str) -> None:
        """Keep these out of every text from now on."""
        if not self._known.issuperset(secrets):
            self._known |= set(secrets)
            self._redact = redactor(tuple(self._known))

    def _signed(self, auth: Mapping[str, Any]) -> Signed:
        if "all" in auth:
            every = [self._signed(part) for part in auth["all"]]
            return Signed(
                joined(part.signature for part in every),
                min(part.until for part in every),
            )
        if auth["kind"] in AUTHS:
            found = Signed(sign(auth, self.reveal))
        else:
            found = self._granted(auth)
        self.learn(*_values(found.signature.headers))
        return found

    def _granted(self, auth: Mapping[str, Any]) -> Signed:
        """A token from the platform, and the signature that carries it."""
        first = Signature({}, {})
        if "signed_by" in auth:
            first = self._signed(auth["signed_by"]).signature
        if auth["kind"] != "refresh_token":
            return self._carried(auth, self._asked(auth, self.reveal, first))

        store, account = self.limiter.store, self.limiter.account
        name = auth["refresh_token"]
        with exchanging(store, account):
            last = newest(store, account, name) or self.reveal(name)
            self.learn(last)

            def reveal(wanted: str) -> str:
                return last if wanted == name else self.reveal(wanted)

            answer = self._asked(auth, reveal, first)
            after = dig(answer.body, path_of(auth.get("next", "refresh_token")))
            if after and after != last:
                self.learn(str(after))
                keep(store, account, name, str(after))
        return self._carried(auth, answer)

    def _asked(
        self, auth: Mapping[str, Any], reveal: Reveal, first: Signature
    ) -> Classified:
        grant = GRANTS[auth["kind"]](auth, reveal)
        self.learn(*_values(grant.headers))
        return self.ask(grant, first)

    def _carried(self, auth: Mapping[str, Any], answer: Classified) -> Signed:
        name = auth.get("token_header")
        place = auth.get("token", "access_token")
        if name:
            token = answer.response.headers.get(name.lower())
        else:
            token = dig(answer.body, path_of(place))
        prefix = auth.get("prefix", "" if "name" in auth else "Bearer ")
        value = f"{prefix}{token}"
        signature = Signature({auth.get("name", "Authorization"): value}, {})
        if not isinstance(token, str) or not token or not carries(signature):
            raise AuthError(
                f"the answer to {auth['kind']} holds no token at {name or place} – check"
                f" `{'token_header' if name else 'token'}` of `auth` in the connector"
            )
        self.learn(token)
        now = self.limiter.clock.now()
        life = _life(
            dig(answer.body, path_of(auth.get("expires", "expires_in"))),
            auth.get("expires_unit"),
            now,
        )
        return Signed(signature, now + life - min(EARLY, life * SHARE))


def _life(expires: Any, unit: str | None, now: float) -> float:
    """Seconds that a token is good for, stated as seconds, milliseconds, a moment or not at all."""
    try:
        seconds = float(expires) / (1000 if unit == "milliseconds" else 1)
    except (TypeError, ValueError):
        end = moment(expires)
        if end is None:
            return math.inf
        seconds = end
    life = seconds - now if seconds > EPOCH else seconds
    return life if life > 0 else math.inf
