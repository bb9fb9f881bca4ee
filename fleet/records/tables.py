"""The tables of a fleet, in a schema of their own."""

from __future__ import annotations

import sqlalchemy as sa

from engine.errors import StoreError
from fleet.records.database import SCHEMA, shown

metadata = sa.MetaData(schema=SCHEMA)
bundles = sa.Table(
    "bundles",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("archive", sa.LargeBinary, nullable=False),
)
migrations = sa.Table(
    "migrations",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column(
        "bundle", sa.Text, sa.ForeignKey(bundles.c.digest), nullable=False
    ),
    sa.Column(
        "version", sa.Text, nullable=False
    ),  # of etl, for other versions leave it alone
    sa.Column("secrets", sa.Text, nullable=False),  # a name, never a secret
    sa.Column(
        "approved", sa.Text, nullable=False, server_default=""
    ),  # by whom
    sa.Column("goal", sa.Text, nullable=False, server_default=""),
    sa.Column("state", sa.Text, nullable=False, server_default="idle"),
    sa.Column("at", sa.Double, nullable=False, server_default="0"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("job", sa.BigInteger, nullable=False, server_default="0"),
    # JSON: what `add --set` has changed
    sa.Column("settings", sa.Text, nullable=False, server_default="{}"),
)
turn_rows = sa.Table(
    "turns",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("began", sa.Double, nullable=False),
    sa.Column("ended", sa.Double, nullable=False, server_default="0"),
    sa.Column("code", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column(
        "now", sa.Text, nullable=False, server_default="{}"
    ),  # how far it is
    sa.Column("verdict", sa.Text, nullable=False, server_default="{}"),
)
# an account that a turn works on; a turn that has not ended keeps others away by this key alone
occupied = sa.Table(
    "occupied",
    metadata,
    sa.Column(
        "account", sa.Text, primary_key=True
    ),  # a digest of address and key
    sa.Column("name", sa.Text, nullable=False),
)
# which version a worker is of, and when it gave its last sign of life
crew = sa.Table(
    "crew",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),  # by the database's clock
)
report_files = sa.Table(
    "reports",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("file", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
_SETTINGS = (
    f"alter table {SCHEMA}.migrations"
    " add column if not exists settings text not null default '{}'"
)


def make_tables(engine: sa.Engine) -> None:
    """Make the schema, and the tables and columns that are not there yet."""
    with engine.begin() as connection:
        connection.execute(sa.text(f"create schema if not exists {SCHEMA}"))
        metadata.create_all(connection)
        connection.execute(sa.text(_SETTINGS))


def check(engine: sa.Engine) -> None:
    """Raise StoreError where the database is not a fleet's, or an older one's."""
    where = shown(engine)
    with engine.connect() as connection:
        there = sa.inspect(connection).get_table_names(schema=SCHEMA)
    if "migrations" not in there:
        raise StoreError(
            f"the database {where} has no fleet yet – etl fleet init makes one"
        )
    if not {table.name for table in metadata.sorted_tables} <= {*there}:
        raise StoreError(
            f"the fleet in {where} is of an older etl – etl fleet init brings it up to date"
        )
