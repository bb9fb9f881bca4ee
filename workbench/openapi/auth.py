"""Signing in and the address, out of the document's security schemes and servers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from workbench.openapi.calls import Call
from workbench.openapi.names import key, one_line, usable, variable
from workbench.openapi.reading import Api, Node

_KEYS = re.compile(
    r"apikey|apitoken|accesstoken|authtoken|accesskey|^token$|^authorization$|^key$"
    r"|secretkey|accounttoken|servertoken"
)
_FLOWS = {  # of those that a document names, the first
    "clientCredentials": "client",
    "application": "client",
    "authorizationCode": "code",
    "accessCode": "code",
    "password": "password",
}
_WORD = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
)  # what a header may be called


@dataclass(frozen=True, slots=True)
class SignIn:
    """How requests are signed, why it is that, and what is not known."""

    auth: Any
    why: str
    asks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API is."""

    url: str
    why: str
    asks: tuple[str, ...] = ()


def sign_in(api: Api, calls: Sequence[Call], name: str) -> SignIn:
    """The way of signing in that most calls take; of equals the one that needs least of people."""
    held = (
        api.root.at("securityDefinitions")
        if api.swagger
        else api.root.at("components", "securitySchemes")
    )
    schemes = {one: held.at(one) for one in held.names()}
    used = Counter(
        choice
        for call in calls
        for choice in set(_choices(api, call))
        if choice and set(choice) <= set(schemes)
    )
    used = used or Counter((one,) for one in schemes)
    ways = [
        (choice, _ways(choice, schemes, name), count)
        for choice, count in used.items()
    ]
    able = [(choice, way, count) for choice, way, count in ways if way]
    by_hand = _parameter(calls, name) if not able else None
    if by_hand is not None:
        return by_hand
    if not able:
        ask = (
            "the document names no way of signing in that connectors support;"
            " write `auth` by hand, as schemas/connector.schema.json explains it"
        )
        return SignIn({"kind": "none"}, "", (ask,))
    most = max(count for _, _, count in able)
    choice, parts, _ = min(
        (one for one in able if 2 * one[2] >= most),
        key=lambda one: (sum(part[0] for part in one[1]), one[0]),
    )
    auth = (
        parts[0][1].auth
        if len(parts) == 1
        else [part[1].auth for part in parts]
    )
    others = sorted(
        {other for held, _, _ in ways for other in held} - set(choice)
    )
    ask = (
        f"the document also names {one_line(', '.join(others), 60)}: is"
        f" {one_line(', '.join(choice), 40)} the right one?"
    )
    more = (ask,) if others else ()
    asks = tuple(ask for _, part in parts for ask in part.asks)
    return SignIn(
        auth, " and ".join(part.why for _, part in parts), (*asks, *more)
    )


def _parameter(calls: Sequence[Call], name: str) -> SignIn | None:
    """A key among the parameters of most calls, where the document names no scheme for it."""
    used = Counter(
        (one.place, one.name)
        for call in calls
        for one in call.parameters
        if one.place in ("header", "query")
        and _KEYS.search(key(one.name))
        and usable(one.name)
    )
    (place, word), many = used.most_common(1)[0] if used else (("", ""), 0)
    if (
        not many
        or 2 * many < len(calls)
        or (place == "header" and not _WORD.fullmatch(word))
    ):
        return None
    secret = _secret(name, word)
    why = f"{place} parameter {word} of {many} calls"
    return SignIn(
        {"kind": place, "name": word, "secret": secret},
        why,
        (f"is {one_line(word, 40)} the key, whole as it is?",),
    )


def _secret(name: str, word: str) -> str:
    """The variable with the key that a parameter or a header takes."""
    return variable(name, "api token" if "token" in word.lower() else "api key")


def _choices(api: Api, call: Call) -> Iterator[tuple[str, ...]]:
    """The sets of schemes that a call takes, one of which is enough."""
    given = (
        call.node.at("security")
        if isinstance(call.node.raw("security").value, list)
        else api.root.at("security")
    )
    for one in given.each():
        yield tuple(sorted(one.names()))


def _ways(
    choice: tuple[str, ...], schemes: Mapping[str, Node], name: str
) -> list[tuple[int, SignIn]]:
    """Each scheme of a set with how much it asks of people; empty where one of them cannot be
    said.
    """
    found = [
        _way(
            schemes[one],
            name,
            f"security scheme {one_line(one, 40)}",
            len(choice),
        )
        for one in choice
    ]
    return [one for one in found if one is not None] if all(found) else []


def _way(node: Node, name: str, why: str, of: int) -> tuple[int, SignIn] | None:
    kind, scheme = node.text("type"), node.text("scheme").lower()
    if kind == "apiKey":
        return _key(node, name, why, of)
    if kind == "basic" or (kind == "http" and scheme == "basic"):
        ask = (
            (
                "which value is the user name, and which the password? Some platforms"
                " take the key as one of them"
            ),
        )
        return 4, SignIn(
            {
                "kind": "basic",
                "user_env": variable(name, "user"),
                "secret": variable(name, "password"),
            },
            why,
            ask,
        )
    if kind == "http" and scheme == "bearer":
        return 2, SignIn(
            {"kind": "bearer", "secret": variable(name, "token")}, why
        )
    return _oauth(node, name, why) if kind == "oauth2" else None


def _key(node: Node, name: str, why: str, of: int) -> tuple[int, SignIn] | None:
    word, place = node.text("name"), node.text("in")
    if (
        place not in ("header", "query")
        or not usable(word)
        or (place == "header" and not _WORD.fullmatch(word))
    ):
        return None
    said = (
        variable(name, re.sub(r"^x-", "", word, flags=re.I)) if of > 1 else ""
    )
    secret = said or _secret(name, word)
    if place == "query":
        return 3, SignIn({"kind": "query", "name": word, "secret": secret}, why)
    if word.lower() == "authorization":
        if re.search(r"\bbearer\b", node.text("description"), re.I):
            return 2, SignIn(
                {"kind": "bearer", "secret": variable(name, "token")},
                f"{why}, its description",
            )
        ask = (
            (
                "is the key preceded by a word such as Token? Then add prefix: with"
                " that word and a space"
            ),
        )
        return 1, SignIn(
            {"kind": "header", "name": word, "secret": secret}, why, ask
        )
    return 1, SignIn({"kind": "header", "name": word, "secret": secret}, why)


def _oauth(node: Node, name: str, why: str) -> tuple[int, SignIn] | None:
    flows = (
        {node.text("flow"): node}
        if node.text("flow")
        else {one: node.at("flows", one) for one in node.at("flows").names()}
    )
    client = {
        "client_id": variable(name, "client id"),
        "client_secret": variable(name, "client secret"),
    }
    for flow, kind in _FLOWS.items():
        post = _token_url(flows[flow], name) if flow in flows else None
        if post is None:
            continue
        scopes = flows[flow].at("scopes").names()
        asks = (
            (
                f"which scope? The document names {one_line(', '.join(scopes), 80)}",
            )
            if scopes
            else ()
        )
        if kind == "client":
            return 5, SignIn(
                {"kind": "client_credentials", "post": post, **client},
                f"{why}, {flow}",
                asks,
            )
        if kind == "code":
            asks = (
                (
                    "the first refresh token comes from consent in the browser; does"
                    " the platform exchange it?"
                ),
                *asks,
            )
            first = variable(name, "refresh token")
            return 6, SignIn(
                {
                    "kind": "refresh_token",
                    "post": post,
                    "refresh_token": first,
                    **client,
                },
                f"{why}, {flow}",
                asks,
            )
        user, secret = (
            {"username": variable(name, "user")},
            {"password": variable(name, "password")},
        )
        body = {"body": {"grant_type": "password"}, "send": "form"}
        return 7, SignIn(
            {
                "kind": "login",
                "post": post,
                "variables": user,
                "secrets": secret,
                **body,
            },
            f"{why}, {flow}",
            asks,
        )
    return None


def _token_url(flow: Node, name: str) -> Any:
    told_url = flow.text("refreshUrl") or flow.text("tokenUrl")
    if (
        re.fullmatch(r"https://[^\s/?#]+[^\s?#]*", told_url)
        and told_url.isprintable()
    ):
        return {"env": variable(name, "login url"), "production": told_url}
    return (
        told_url
        if re.fullmatch(r"/[^\s?#]*", told_url)
        and told_url.isprintable()
        and "{" not in told_url
        else None
    )


def address(api: Api, came_from: str, name: str, head: str = "") -> Address:
    """The API's address, of the first server, with the head that all paths share; one that
    is not stated is asked for.
    """
    root = api.root
    if api.swagger:
        schemes = root.at("schemes").value
        plain = isinstance(schemes, list) and schemes and "https" not in schemes
        scheme = "http" if plain else "https"
        host, why = root.text("host"), "host and basePath"
        written = f"{scheme}://{host}" if host else ""
        written += root.text("basePath")
    else:
        written, why = _server(root.at("servers", 0)), "servers 0"
    written = f"{written.rstrip('/')}{head}"
    asks = (
        ("which of the servers?",)
        if len(list(root.at("servers").raws())) > 1
        else ()
    )
    if "{" in written:
        unbound = ", ".join(re.findall(r"{([^{}]*)}", written))
        asks = (*asks, f"what is {one_line(unbound, 60)} in the address?")
        written = re.sub(r"[{}]", "", written)
    url = urljoin(came_from, written) if "://" in came_from else written
    parts = (
        urlsplit(url)
        if re.fullmatch(r"https?://[^\s/?#@]+[^\s?#]*", url)
        and url.isprintable()
        else None
    )
    if parts is None:
        ask = "what is the API's address? The document does not give it in full"
        return Address(f"https://{name.replace('_', '-')}.invalid", "", (ask,))
    if parts.scheme == "http" and parts.hostname not in (
        "localhost",
        "127.0.0.1",
    ):
        asks = (
            *asks,
            "is there an address with https? Keys are not sent without",
        )
    return Address(url.rstrip("/"), why, asks)


def _server(node: Node) -> str:
    written = node.text("url")
    for one in node.at("variables").names():
        default = node.text("variables", one, "default")
        written = written.replace(f"{{{one}}}", default) if default else written
    return written
