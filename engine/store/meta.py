"""Single values worth keeping: what runs came to, what approved mappings meant."""

from __future__ import annotations

import sqlalchemy as sa

from engine.store.schema import Store, meta, upsert


def remember(store: Store, name: str, value: str) -> None:
    """Keep a value under a name, replacing an older one."""
    with store.begin() as connection:
        upsert(connection, meta, [{"name": name, "value": value}], ["name"])


def recall(store: Store, name: str) -> str | None:
    """The value kept under a name, or None."""
    with store.begin() as connection:
        return connection.execute(sa.select(meta.c.value).where(meta.c.name == name)).scalar()
