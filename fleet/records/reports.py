"""The last report of each migration, where every machine can read it."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from fleet.records.members import has_turn, locked
from fleet.records.tables import report_files, turn_rows


def keep(
    engine: sa.Engine, name: str, turn: int, files: Mapping[str, bytes]
) -> None:
    """Keep the report of a turn instead of the one before, unless it was taken for dead."""
    rows = [
        {"name": name, "file": file, "content": text}
        for file, text in files.items()
    ]
    with engine.begin() as connection:
        locked(connection, name)
        if not has_turn(connection, turn_rows.c.id == turn):
            return
        connection.execute(
            report_files.delete().where(report_files.c.name == name)
        )
        if rows:
            connection.execute(report_files.insert(), rows)


def last(engine: sa.Engine, name: str) -> dict[str, bytes]:
    """The files of a migration's last report."""
    statement = sa.select(report_files.c.file, report_files.c.content).where(
        report_files.c.name == name
    )
    with engine.connect() as connection:
        return {
            file: bytes(content)
            for file, content in connection.execute(statement)
        }
