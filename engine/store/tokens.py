"""Refresh tokens that a platform exchanges at every use: the newest is the only one that is
good.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from filelock import lock_descriptor
from msgspec import structs

from engine.store.tables import Store, hold, tokens, upsert


@contextmanager
def exchanging(store: Store, account: str) -> Iterator[None]:
    """Wait until no other process exchanges a token of this store, and keep others out; the
    system frees it after a kill.
    """
    if store.engine.dialect.name == "postgresql":
        with store.begin() as connection:
            hold(connection, "tokens", account)
            yield
        return
    held = os.open(
        f"{store.engine.url.database}.tokens.lock",
        os.O_RDWR | os.O_CREAT,
        0o600,
    )
    try:
        lock_descriptor(held)
        yield
    finally:
        os.close(held)


def newest(store: Store, account: str, name: str) -> str:
    """The token kept for this account, or ""."""
    with store.begin() as connection:
        found = connection.execute(
            sa.select(tokens.c.value).where(
                tokens.c.account == account, tokens.c.name == name
            )
        )
        return str(found.scalar() or "")


def keep(store: Store, account: str, name: str, value: str) -> None:
    """Put a token in the place of the one before; a power cut does not lose it.

    Whoever holds the store by now: the one before is good for nothing any more.
    """
    with structs.replace(store, fence=0).begin(durable=True) as connection:
        upsert(
            connection,
            tokens,
            [{"account": account, "name": name, "value": value}],
            ["account", "name"],
        )
