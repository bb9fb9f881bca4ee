"""Which workers live, and of which version of etl they are."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from fleet.records.tables import crew
from fleet.waits import DEAD


def seen(engine: sa.Engine, name: str, version: str) -> None:
    """Enter that a worker lives, and forget those that have not been seen for a day."""
    clock = sa.func.extract("epoch", sa.func.now())
    row = {"name": name, "version": version, "seen": clock}
    with engine.begin() as connection:
        connection.execute(
            insert(crew)
            .values(row)
            .on_conflict_do_update(index_elements=["name"], set_=row)
        )
        connection.execute(crew.delete().where(crew.c.seen < clock - 86_400))


def gone(engine: sa.Engine, name: str) -> None:
    """Enter that a worker has ended."""
    with engine.begin() as connection:
        connection.execute(crew.delete().where(crew.c.name == name))


def workers(engine: sa.Engine, seconds: float = DEAD) -> Counter[str]:
    """How many workers of each version were seen lately."""
    clock = sa.func.extract("epoch", sa.func.now())
    lately = sa.select(crew.c.version).where(crew.c.seen > clock - seconds)
    with engine.connect() as connection:
        return Counter(connection.execute(lately).scalars())
