"""The store's tables and how a store is opened: SQLAlchemy Core, so SQLite and PostgreSQL are one code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from engine.errors import StoreError

VERSION = 1

metadata = sa.MetaData()

meta = sa.Table(
    "meta", metadata, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("outcome", sa.Text, nullable=False, default="running"),
    sa.Column("spec_digest", sa.Text, nullable=False, default=""),
)

records = sa.Table(
    "records",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),  # "collection/id"
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("read_at", sa.Float, nullable=False),
    sa.Column("gone", sa.Boolean, nullable=False, default=False),
    sa.UniqueConstraint("collection", "key"),
)

refs = sa.Table(
    "refs",
    metadata,
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
)

cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("position", sa.Text, nullable=False, default=""),  # JSON: where the next page starts
    sa.Column("complete", sa.Boolean, nullable=False, default=False),
    sa.Column("rows", sa.Integer, nullable=False, default=0),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("read_at", sa.Float, nullable=False),
    sa.Column("indexed", sa.Text, nullable=False, default="[]"),  # JSON: fields entered in refs
    sa.Column("absent", sa.Text, nullable=False, default=""),  # why it could not be read
)

samples = sa.Table(
    "samples",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("collection", sa.Text, nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)

drafts = sa.Table(
    "drafts",
    metadata,
    sa.Column("object", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("record", sa.Text, nullable=False),  # the record it was made of
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # ready, skipped, failed
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Index("drafts_in_order", "object", "seq", "key"),
)

links = sa.Table(
    "links",
    metadata,
    sa.Column("object", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("dest_id", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("written", sa.Text, nullable=False),  # the draft as last written, links as symbols
    sa.Column("origin", sa.Text, nullable=False),  # created, adopted, matched
    sa.Column("extra", sa.Text, nullable=False, default="{}"),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("links_by_destination", "resource", "dest_id"),
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),  # create, update, delete, options
    sa.Column("state", sa.Text, nullable=False),  # intent, doubt, done, failed, void, undone, kept
    sa.Column("body", sa.Text, nullable=False),  # what was sent
    sa.Column("draft", sa.Text, nullable=False),  # the same with links as symbols
    sa.Column("before", sa.Text, nullable=False, default=""),  # the destination's values before an update
    sa.Column("dest_id", sa.Text, nullable=False, default=""),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("calls", sa.Integer, nullable=False, default=0),
    sa.Column("cost", sa.Float, nullable=False, default=0),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("settled", sa.Float),
    sa.Index("journal_by_state", "state"),
    sa.Index("journal_by_record", "object", "key"),
)

verified = sa.Table(
    "verified",
    metadata,
    sa.Column("object", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("field", sa.Text, nullable=False, default=""),
    sa.Column("severity", sa.Text, nullable=False),  # attention, note
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("findings_by_record", "object", "key", "stage"),
)

quota = sa.Table(
    "quota",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    sa.Column("spent", sa.Float, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Store:
    """An open store; `begin()` is one transaction."""

    engine: sa.Engine
    durable: sa.Engine  # the same database; its commits survive a power cut
    folder: Path  # where files that belong to the store lie

    @contextmanager
    def begin(self, durable: bool = False) -> Iterator[sa.Connection]:
        """A transaction: committed at the end, rolled back on any exception.

        Every commit survives a killed process. A `durable` one also survives a power cut, at the
        price of waiting for the disk: intents of writes need it, what can be read again does not.
        """
        try:
            with (self.durable if durable else self.engine).begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreError(f"the store failed: {error.orig} – check the disk and that nothing else holds it") from error

    def close(self) -> None:
        """Give the file or the connections back."""
        self.engine.dispose()
        self.durable.dispose()


def open_store(url: str) -> Store:
    """Open (and if new, make) a store; raises StoreError.

    `url` is an SQLAlchemy URL or a path of an SQLite file. SQLite files are private to the user.
    """
    path: Path | None = None
    try:
        if "://" not in url:
            url = f"sqlite:///{url}"
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            path = Path(parsed.database)
            _private(path)
        engine, durable = sa.create_engine(parsed), sa.create_engine(parsed)
        if path:
            for each, level in ((engine, "NORMAL"), (durable, "FULL")):
                sa.event.listen(each, "connect", _tuner(level))
                sa.event.listen(each, "begin", _begin_immediate)
        with engine.begin() as connection:
            metadata.create_all(connection)
            found = connection.execute(sa.select(meta.c.value).where(meta.c.name == "version")).scalar()
            if found is None:
                connection.execute(meta.insert().values(name="version", value=str(VERSION)))
            elif int(found) != VERSION:
                raise StoreError(f"the store is of version {found}, this program needs {VERSION} – use another --store")
    except (sa.exc.SQLAlchemyError, OSError, ValueError) as error:
        reason = getattr(error, "orig", None) or error
        raise StoreError(f"the store {url!r} cannot be opened: {reason} – check the path and its rights") from None
    return Store(engine, durable, path.parent if path else Path("var"))


def _private(path: Path) -> None:
    """Create the file for this user only before SQLite does it for everybody."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def _tuner(level: str) -> Callable[[Any, Any], None]:
    def tune(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's begin event starts transactions, not the driver
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", f"synchronous={level}", "busy_timeout=30000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return tune


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def upsert(
    connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], keys: list[str], keep: tuple[str, ...] = ()
) -> None:
    """Insert rows or replace those that agree in `keys`; columns in `keep` stay as they were."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys and name not in keep}
    if changed:
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)
    else:
        connection.execute(statement.on_conflict_do_nothing(index_elements=keys), rows)
