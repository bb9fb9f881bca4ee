"""Which accounts a migration works on, as names that tell nothing about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from engine.cli.environment import live
from engine.connector.auth import Account
from engine.language.compile import Migration, load_migration


def occupied_by(spec: Path, env: Mapping[str, str]) -> list[str]:
    """The accounts of a spec's two sides, sorted; raises UsageError and SpecError.

    An address of one's own is the account, whoever signs in. Where all customers of a platform
    have one address, it is the key.
    """
    migration = load_migration(spec, env)
    both = live(migration, env)
    usual = _usual(migration)
    return sorted(
        {_named(account, usual) for account in (both.source, both.destination)}
    )


def _usual(migration: Migration) -> set[str]:
    sides = (migration.source, migration.destination)
    return {side.connection.base_url.rstrip("/") for side in sides}


def _named(account: Account, usual: set[str]) -> str:
    shared = account.base_url in usual
    text = f"{account.base_url}\n{account.secret if shared else ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
