"""How a migration comes into a fleet with its files, and how it goes."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from engine.errors import UsageError
from fleet.bundle import Bundle
from fleet.records.database import SCHEMA
from fleet.records.members import RESTING, Member, has_turn, locked, resting
from fleet.records.tables import (
    bundles,
    migrations,
    occupied,
    report_files,
    turn_rows,
)

REGISTERED = ("bundle", "version", "secrets", "settings")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def check_name(name: str) -> None:
    """Raise UsageError where a migration cannot have this name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a migration – write small letters, digits and _,"
            " at most 40, a letter first"
        )


def register(
    engine: sa.Engine,
    name: str,
    bundle: Bundle,
    instead_of: Member | None = None,
    **said: str,
) -> str:
    """Enter a migration or replace its files; the digest of those before, or "".

    Raises UsageError where it is not registered as it is to be replaced, `instead_of`, or another
    version of etl has it in its queue.
    """
    kept = {
        "digest": bundle.digest,
        "spec": bundle.spec,
        "archive": bundle.archive,
    }
    row = {"name": name, "bundle": bundle.digest, **said}
    with engine.begin() as connection:
        _hold_files(connection)
        connection.execute(
            insert(bundles).values(kept).on_conflict_do_nothing()
        )
        known = locked(connection, name)
        if (
            known
            and known.version != said["version"]
            and known.state not in RESTING
        ):
            raise UsageError(
                f"{name} is {known.state} in etl {known.version} – stop it before it is registered"
                f" in etl {said['version']}: etl fleet stop {name}"
            )
        before = known.bundle if known else ""
        if instead_of and not _is_as_before(known, instead_of):
            raise UsageError(
                f"{name} was registered anew meanwhile – look at it again"
            )
        connection.execute(
            insert(migrations)
            .values(row)
            .on_conflict_do_update(index_elements=["name"], set_=row)
        )
        _forget_files(connection)
    return before


def _is_as_before(known: Member | None, before: Member) -> bool:
    """Whether nobody has registered a migration anew since it was looked at."""
    return known is not None and all(
        getattr(known, name) == getattr(before, name) for name in REGISTERED
    )


def remove(engine: sa.Engine, name: str) -> None:
    """Forget a migration; its store stays, for it knows what was written where.

    Raises UsageError where it has something to do, or a process of it may still be at work.
    """
    with engine.begin() as connection:
        _hold_files(connection)
        resting(connection, name)
        busy = sa.select(occupied.c.name).where(occupied.c.name == name)
        if (
            has_turn(connection, turn_rows.c.name == name)
            or connection.execute(busy).first()
        ):
            raise UsageError(
                f"a turn of {name} is just ending – try again in a minute"
            )
        for table in (report_files, turn_rows, migrations):
            connection.execute(table.delete().where(table.c.name == name))
        _forget_files(connection)


def bundle_of(engine: sa.Engine, name: str) -> Bundle:
    """The files of a migration, as they are registered now; raises UsageError where it has been
    removed.
    """
    return taken(engine, name)[0]


def taken(engine: sa.Engine, name: str) -> tuple[Bundle, str]:
    """The files of a migration and whose secrets go with them, by one look: they may be registered
    anew at any time, and new files are not for the accounts of the old ones.
    """
    own = sa.select(bundles, migrations.c.secrets).join(migrations)
    with engine.connect() as connection:
        row = connection.execute(own.where(migrations.c.name == name)).first()
    if row is None:
        raise UsageError(f"{name} has been removed")
    return Bundle(row.digest, row.spec, bytes(row.archive)), row.secrets


def _hold_files(connection: sa.Connection) -> None:
    """Let nobody else register or forget files until the transaction ends."""
    connection.execute(
        sa.text(f"lock table {SCHEMA}.bundles in share row exclusive mode")
    )


def _forget_files(connection: sa.Connection) -> None:
    """Take out what no migration is made of any more."""
    used = sa.select(migrations.c.name).where(
        migrations.c.bundle == bundles.c.digest
    )
    connection.execute(bundles.delete().where(~used.exists()))
