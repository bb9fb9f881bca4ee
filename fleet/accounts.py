"""Which accounts a migration works on, as names that tell nothing about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import urlsplit

from engine.cli.environment import live
from engine.connector.auth import Account
from engine.language.compile import Migration

PORTS = {"http": 80, "https": 443}


def occupied_by(migration: Migration, env: Mapping[str, str]) -> list[str]:
    """The accounts of a migration's two sides, sorted; raises UsageError.

    An address of one's own is the account, whoever signs in and whatever the path. Where all
    customers of a platform have one address, it is what they sign in with.
    """
    both = live(migration, env)
    sides = (migration.source, migration.destination)
    usual = {_server(side.connection.base_url) for side in sides}
    return sorted(
        {_named(account, usual) for account in (both.source, both.destination)}
    )


def accounts_of(migration: Migration, env: Mapping[str, str]) -> dict[str, str]:
    """The account of each platform, by the platform's title; both where the two are one
    platform's.
    """
    title, other = migration.source.title, migration.destination.title
    both = live(migration, env)
    usual = {
        _server(side.connection.base_url)
        for side in (migration.source, migration.destination)
    }
    source, destination = (
        _named(both.source, usual),
        _named(both.destination, usual),
    )
    if title == other:
        return {title: f"{source} {destination}"}
    return {title: source, other: destination}


def _named(account: Account, usual: set[str]) -> str:
    server = _server(account.base_url)
    signs_in = (
        [account.secret, *sorted(account.secrets.values())]
        if server in usual
        else []
    )
    return hashlib.sha256("\n".join([server, *signs_in]).encode()).hexdigest()[
        :32
    ]


def _server(url: str) -> str:
    """The same for every way to write an address."""
    parts = urlsplit(url)
    port = parts.port or PORTS.get(parts.scheme, 0)
    return f"{parts.scheme} {parts.hostname} {port}"
