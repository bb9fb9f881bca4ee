"""The store's tables and how a store is opened: SQLAlchemy Core, so SQLite and PostgreSQL are
one code.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from engine.errors import StoreError
from engine.store.migrations import MIGRATIONS, bring_up
from engine.values import batches, storable

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

# a store of an older version is brought up to this one when it is opened
VERSION = len(MIGRATIONS) + 1

_SCHEMA = re.compile("[a-z_][a-z0-9_]{0,62}")
_CUT = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "tcp_user_timeout": "30000",
}
LEASE = "lease"  # the name in `meta` of who is at work on a store

metadata = sa.MetaData()


class Words(sa.types.TypeDecorator[str]):
    """Text that every database takes: halves of surrogate pairs and NUL are replaced."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(
        self,
        value: str | None,
        dialect: sa.Dialect,  # noqa: ARG002
    ) -> str | None:
        """The text as it is stored, and as it is looked for."""
        return _kept(value)

    def bind_processor(
        self,
        dialect: sa.Dialect,  # noqa: ARG002
    ) -> Callable[[str | None], str | None]:
        """The same without a call in between: it is asked for every value that is stored."""
        return _kept


def _kept(value: str | None) -> str | None:
    return None if value is None else storable(value)


# SQLite counts rows only in a column that is exactly INTEGER; its integers are 64 bits wide anyway.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def as_text(value: Any) -> str:
    """JSON as it is stored. Half a character cannot be stored as itself; its escape can, and
    reads back the same.
    """
    try:
        return _AS_TEXT(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))


_AS_TEXT = msgspec.json.Encoder().encode


def from_text(text: str) -> Any:
    """The value of a JSON text that was stored."""
    try:
        return _FROM_TEXT(text)
    except msgspec.DecodeError:  # an escaped half of a character
        return json.loads(text)


_FROM_TEXT = msgspec.json.Decoder().decode


def _table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, metadata, *parts)


def _key(name: str, kind: Any = Words, **more: Any) -> sa.Column[Any]:
    """A column by which a row is known."""
    return sa.Column(name, kind, primary_key=True, **more)


def _held(name: str, kind: Any = Words, **more: Any) -> sa.Column[Any]:
    """A column that always holds something."""
    return sa.Column(name, kind, nullable=False, **more)


meta = _table(
    "meta",
    _key("name"),
    _held("value"),
)

runs = _table(
    "runs",
    _key("id", BIG),
    _held("command"),
    _held("started", sa.Double),
    sa.Column("ended", sa.Double),
    _held("outcome", default="running"),
    _held("spec_digest", default=""),
)

records = _table(
    "records",
    _key("seq", BIG, autoincrement=True),
    _held("collection"),
    _held("key"),  # "collection/id"
    _held("digest"),
    _held("body"),
    _held("read_at", sa.Double),
    _held("gone", sa.Boolean, default=False),
    # listed anew since its details were read by themselves
    _held("unread", sa.Boolean, server_default=sa.false()),
    sa.UniqueConstraint("collection", "key"),
    sa.Index("records_in_order", "collection", "seq"),
)

refs = _table(
    "refs",
    _key("collection"),
    _key("field"),
    _key("target"),
    _key("key"),
    _held("seq", BIG),
    sa.Index("refs_by_record", "collection", "field", "key"),
)

cursors = _table(
    "cursors",
    _key("collection"),
    # JSON: where the next page starts
    _held("position", default=""),
    _held("complete", sa.Boolean, default=False),
    _held("rows", sa.Integer, default=0),
    _held("started", sa.Double),
    _held("read_at", sa.Double),
    # JSON: fields entered in refs
    _held("indexed", default="[]"),
    _held("absent", default=""),  # why it could not be read
)

# How many rows collections have that were counted, not read; -1 where that is not allowed.
counted = _table(
    "counted",
    _key("collection"),
    _held("rows", sa.Integer),
)

samples = _table(
    "samples",
    _key("key"),
    _held("collection"),
    _held("ordinal", sa.Integer),
    _held("why"),
)

drafts = _table(
    "drafts",
    _key("object"),
    _key("key"),
    _held("seq", BIG),
    _held("record"),  # the record it was made of
    _held("digest"),
    _held("body"),
    _held("state"),  # ready, skipped, failed
    _held("reason", default=""),
    sa.Index("drafts_in_order", "object", "seq", "key"),
)

# What drafts were last made of: records, and (`=object`) keys that had a draft or a row.
seen = _table(
    "seen",
    _key("place"),
    _key("key"),
    _held("digest"),  # "" where it is gone
    _held("seq", BIG),  # the record's then
    _held("mark", BIG),  # of the comparison that found it changed
    sa.Index("seen_by_mark", "place", "mark"),
)

# What an object's drafts of a record looked at besides the record.
dependencies = _table(
    "dependencies",
    _key("object"),
    _key("record"),
    # JSON: keys of records, `?collection field value`, `=object key`
    _held("found"),
)

links = _table(
    "links",
    _key("object"),
    _key("key"),
    _held("resource"),
    _held("dest_id"),
    _held("digest"),
    # the draft as last written, links as symbols
    _held("written"),
    _held("origin"),  # created, adopted, matched
    _held("extra", default="{}"),
    _held("run", sa.Integer),
    _held("at", sa.Double),
    # JSON: target field -> what the destination made of our value
    _held("stored", server_default="{}"),
    # JSON: target field -> {"why": "conflict" | "stuck" | "lost" | "altered", ...}
    _held("held", server_default="{}"),
    sa.Index("links_by_destination", "resource", "dest_id"),
)

changes = _table(
    "changes",
    _key("object"),
    _key("key"),
    _held("seq", BIG),
    _held("kind"),
    _held("dest_id", server_default=""),
    _held("send", server_default="{}"),
    _held("before", server_default="{}"),
    _held("conflicts", server_default="[]"),
    _held("stuck", server_default="[]"),
    _held("version", server_default="{}"),
    # digest of the draft it was planned from
    _held("draft", server_default=""),
    _held("reason", server_default=""),
    _held("cost", sa.Double, server_default=sa.text("0")),
    sa.Index("changes_in_order", "object", "seq", "key"),
    sa.Index("changes_by_kind", "object", "kind"),
    sa.Index("changes_by_row", "object", "dest_id"),
)

# Scratch: the destination's rows among which ours are looked for.
candidates = _table(
    "candidates",
    _key("resource"),
    _key("token"),  # what the row can be looked up by
    _key("dest_id"),
    _held("body"),
)

journal = _table(
    "journal",
    _key("id", BIG, autoincrement=True),
    _held("run", sa.Integer),
    _held("object"),
    _held("key"),
    _held("resource"),
    _held("action"),  # create, update, delete, options
    # intent, doubt, done, adopted, failed, void, undone, kept
    _held("state"),
    _held("body"),  # what was sent
    _held("draft"),  # the same with links as symbols
    # the destination's values before an update
    _held("before", default=""),
    _held("dest_id", default=""),
    _held("reason", default=""),
    _held("calls", sa.Integer, default=0),
    _held("cost", sa.Double, default=0),
    _held("at", sa.Double),
    sa.Column("settled", sa.Double),
    sa.Index("journal_by_state", "state"),
    sa.Index("journal_by_record", "object", "key"),
)

verified = _table(
    "verified",
    _key("object"),
    _key("key"),
)

findings = _table(
    "findings",
    _key("id", BIG, autoincrement=True),
    _held("object"),
    _held("key"),
    _held("stage"),
    _held("field", default=""),
    _held("severity"),  # attention, note
    _held("text"),
    sa.Index("findings_by_record", "object", "key", "stage"),
)

quota = _table(
    "quota",
    _key("account"),
    _key("name"),
    _key("slot", BIG),
    _held("spent", sa.Double),
)

tokens = _table(
    "tokens",
    _key("account"),
    # the environment variable that held the first one
    _key("name"),
    _held("value"),
)


class Store(msgspec.Struct, frozen=True):
    """An open store; `begin()` is one transaction."""

    engine: sa.Engine
    durable: sa.Engine  # the same database; its commits survive a power cut
    folder: Path  # where files that belong to the store lie
    # the number of the lease that this process works under; 0 for none
    fence: int = 0
    # seconds that a database server which restarts is waited for
    patience: float = 60.0

    @contextmanager
    def begin(self, durable: bool = False) -> Iterator[sa.Connection]:
        """A transaction: committed at the end, rolled back on any exception.

        Every commit survives a killed process. A `durable` one also survives a power cut, at the
        price of waiting for the disk: intents of writes need it, what can be read again does not.
        Raises StoreError where another process has taken over the lease of this one.
        """
        try:
            with (
                _connected(
                    self.durable if durable else self.engine, self.patience
                ) as connection,
                connection.begin(),
            ):
                if self.fence:
                    _check_fence(connection, self.fence, durable)
                yield connection
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise StoreError(
                f"the store failed: {_reason(error)} – check the disk and that nothing"
                " else holds it"
            ) from error

    def close(self) -> None:
        """Give the file or the connections back."""
        self.engine.dispose()
        self.durable.dispose()


def _connected(engine: sa.Engine, patience: float) -> sa.Connection:
    """A connection; a server that restarts or fails over is waited for."""
    end = time.monotonic() + patience
    while True:
        try:
            return engine.connect()
        except sa.exc.OperationalError:
            if engine.dialect.name == "sqlite" or time.monotonic() >= end:
                raise
            time.sleep(0.5)


def _check_fence(connection: sa.Connection, fence: int, keep: bool) -> None:
    """Whether this process still holds the store; with `keep`, nobody can take it over before
    the transaction ends.
    """
    found = connection.execute(
        _HELD if keep else _RECALL, {"name": LEASE}
    ).scalar()
    if json.loads(found or "{}").get("number") != fence:
        raise StoreError(
            "another etl command has taken over this store, for this one was not heard"
            " of – run it again"
        )


def hold(connection: sa.Connection, what: str, account: str) -> None:
    """Keep other processes from something of an account, such as its quota, until the
    transaction ends.

    SQLite's transactions exclude each other anyway.
    """
    if connection.dialect.name == "postgresql":
        names = (sa.func.hashtext(name) for name in (what, account))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(*names)))


def open_store(url: str) -> Store:
    """Open a store, make it if it is new, bring it up to date if it is old; raises StoreError.

    `url` is an SQLAlchemy URL or a path of an SQLite file. SQLite files are private to the user.
    """
    shown = url.partition("://")[0] if "://" in url else url
    engines = list[sa.Engine]()
    try:
        parsed = _parsed(url)
        shown = parsed.set(query={}).render_as_string(hide_password=True)
        path = (
            Path(parsed.database or "")
            if parsed.get_backend_name() == "sqlite"
            else None
        )
        if path is not None:
            _private(path)
        for level in ("NORMAL", "FULL"):
            engines.append(_engine(parsed, level))
        if parsed.query.get("schema"):
            _make_schema(engines[0], str(parsed.query["schema"]))
        bring_up(engines[0], _make_tables)
    except (
        sa.exc.SQLAlchemyError,
        OSError,
        ValueError,
        ImportError,
        StoreError,
    ) as error:
        for engine in engines:
            engine.dispose()
        reason = _without_secrets(_reason(error), url)
        raise StoreError(
            f"the store {shown} cannot be opened: {reason}{_remedy(error)}"
        ) from None
    return Store(engines[0], engines[1], path.parent if path else Path("var"))


def _remedy(error: Exception) -> str:
    """What to do about a store that cannot be opened, where that is known."""
    if isinstance(error, ImportError):
        return " – install etl with its extra: pip install 'declared-etl[postgres]'"
    if "not a database" in str(error):
        return " – name a store, or a file that is not there yet, with --store"
    return ""


_SECRET = re.compile(r"://[^/@:]*:(.*)@|[?&]\w*pass\w*=([^&]*)")


def _without_secrets(reason: str, url: str) -> str:
    """A reason without the passwords of the address: drivers and parsers repeat them."""
    for found in _SECRET.finditer(url):
        secret = found[1] or found[2] or ""
        for form in {secret, unquote(secret)} - {""}:
            reason = reason.replace(form, "***")
    return reason


def _parsed(url: str) -> sa.URL:
    """The address; a path is an SQLite file, and PostgreSQL is spoken to through psycopg."""
    parsed = (
        sa.make_url(url)
        if "://" in url
        else sa.URL.create("sqlite", database=url)
    )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (
        None,
        "",
        ":memory:",
    ):
        raise ValueError("a store is a file, for it has to outlive the run")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError("a store is an SQLite file or a PostgreSQL database")
    return (
        parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername == "postgresql"
        else parsed
    )


def _engine(url: sa.URL, level: str) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        # A connection that leads nowhere any more is noticed before it is used, or after half a
        # minute.
        return sa.create_engine(
            _in_schema(url.update_query_dict(_CUT | dict(url.query))),
            pool_pre_ping=True,
        )

    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _tuner(level))
    sa.event.listen(engine, "begin", _begin_immediate)
    sa.event.listen(engine, "handle_error", _keep_after_interrupt)
    return engine


def _in_schema(url: sa.URL) -> sa.URL:
    """`?schema=NAME` keeps a store apart from others in its database."""
    name = url.query.get("schema")
    if name is None:
        return url
    if not _SCHEMA.fullmatch(str(name)):
        raise ValueError(
            f"{name!r} is not a schema's name – take small letters, digits and _"
        )
    options = " ".join(
        filter(
            None, (str(url.query.get("options", "")), f"-csearch_path={name}")
        )
    )
    return url.difference_update_query(["schema"]).update_query_dict(
        {"options": options}
    )


def _make_schema(engine: sa.Engine, name: str) -> None:
    with engine.begin() as connection:
        if not sa.inspect(connection).has_schema(name):
            connection.execute(sa.schema.CreateSchema(name, if_not_exists=True))


def _make_tables(connection: sa.Connection) -> None:
    """The tables of a new store, and its version."""
    metadata.create_all(connection)
    upsert(
        connection, meta, [{"name": "version", "value": str(VERSION)}], ["name"]
    )


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} – check the path and its rights"
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _private(path: Path) -> None:
    """Create the file for this user only before SQLite does it for everybody; a device keeps its
    rights.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError("a store is a file, and this is none")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def _tuner(level: str) -> Callable[[Any, Any], None]:
    def tune(connection: Any, _: Any) -> None:
        # SQLAlchemy's begin event starts transactions, not the driver
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "busy_timeout=30000",
            "journal_mode=WAL",
            f"synchronous={level}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return tune


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _keep_after_interrupt(context: sa.engine.ExceptionContext) -> None:
    """Let a transaction that an interrupt cuts off be rolled back. A connection that is thrown away
    instead holds the file for as long as anybody looks at the traceback.
    """
    if not isinstance(context.original_exception, Exception):
        context.is_disconnect = False


def row_of(item: msgspec.Struct, *texts: str) -> dict[str, Any]:
    """A record of the store as a row of its table; the fields named in `texts` as JSON."""
    row = msgspec.structs.asdict(item)
    for name in texts:
        row[name] = as_text(row[name])
    return row


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: list[dict[str, Any]],
    keys: list[str],
    keep: tuple[str, ...] = (),
) -> None:
    """Insert rows or replace those that agree in `keys`; columns in `keep` stay as they were."""
    if rows:
        dialect, columns = connection.dialect.name, tuple(rows[0])
        write_rows(
            connection,
            _upsert(dialect, table, columns, tuple(keys), keep),
            rows,
        )


def insert_into(
    table: sa.Table, dialect: str
) -> sqlite.Insert | postgresql.Insert:
    """An insertion that may say what to do about rows that are there."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    # it imports the drivers of the whole dialect, which few stores need
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


@cache
def _upsert(
    dialect: str,
    table: sa.Table,
    columns: tuple[str, ...],
    keys: tuple[str, ...],
    keep: tuple[str, ...],
) -> sa.Insert:
    """The statement, built once: building one costs more than running it."""
    statement = insert_into(table, dialect)
    changed = {
        name: statement.excluded[name]
        for name in columns
        if name not in keys and name not in keep
    }
    if changed:
        return statement.on_conflict_do_update(
            index_elements=keys, set_=changed
        )
    return statement.on_conflict_do_nothing(index_elements=keys)


def write_rows(
    connection: sa.Connection,
    statement: sa.Insert | sa.Update | sa.Delete,
    rows: Sequence[dict[str, Any]],
) -> None:
    """One statement for many rows, each of which has a value for every parameter.

    SQLite's driver is handed the rows as they are: SQLAlchemy looks at every value of each row,
    which takes longer than writing it.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(statement, rows)
        return
    text, take = _for_driver(connection.dialect, statement, tuple(rows[0]))
    values = list(map(take, rows))
    if not _are_storable(chain.from_iterable(values)):
        values = list(map(_kept_values, values))
    connection.exec_driver_sql(text, values)


@lru_cache(maxsize=512)
def _for_driver(
    dialect: sa.Dialect,
    statement: sa.Insert | sa.Update | sa.Delete,
    columns: tuple[str, ...],
) -> tuple[str, Callable[[dict[str, Any]], tuple[Any, ...]]]:
    """The text of a statement, and what takes its parameters, in their places, out of a row: its
    own values where rows have none.
    """
    keys = list(columns) if isinstance(statement, sa.Insert) else None
    compiled = statement.compile(dialect=dialect, column_keys=keys)
    names: Sequence[str] = getattr(compiled, "positiontup", None) or ()
    own = {name: compiled.params[name] for name in names if name not in columns}
    assert None not in own.values(), f"no value for {own}"
    take = itemgetter(*names)
    if not own:
        return str(compiled), take
    return str(compiled), lambda row: take(own | row)


def _are_storable(values: Iterable[Any]) -> bool:
    """Whether texts can be stored as they are, as nearly always."""
    text = "".join([value for value in values if type(value) is str])
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _kept_values(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        [_kept(value) if isinstance(value, str) else value for value in values]
    )


Among = Callable[[sa.Column[Any]], sa.ColumnElement[bool]]
Build = Callable[[Among], sa.Select[Any]]


def among(
    connection: sa.Connection, column: sa.Column[Any], values: Iterable[str]
) -> sa.ColumnElement[bool]:
    """That a column holds one of the values.

    They travel as one parameter, so that the text of a query is always the same: to write one with
    a place for each of them takes longer than to run it.
    """
    dialect = connection.dialect.name
    return _among(
        dialect, column, sa.literal(_as_one(dialect, values), _ONE[dialect])
    )


_ONE: dict[str, Any] = {"sqlite": sa.Text(), "postgresql": sa.ARRAY(sa.Text)}


def _as_one(dialect: str, values: Iterable[str]) -> str | list[str]:
    kept: Any = [_kept(value) for value in values]
    return as_text(kept) if dialect == "sqlite" else kept


def _among(
    dialect: str, column: sa.Column[Any], values: sa.ColumnElement[Any]
) -> sa.ColumnElement[bool]:
    if dialect == "postgresql":
        return column == sa.func.any(values)
    listed = sa.func.json_each(values).table_valued("value")
    return column.in_(sa.select(listed.c.value))


@lru_cache(maxsize=256)
def _built(build: Build, dialect: str) -> sa.Select[Any]:
    values = sa.bindparam("among", type_=_ONE[dialect])
    return build(lambda column: _among(dialect, column, values))


def rows_among(
    connection: sa.Connection,
    build: Build,
    values: Iterable[str],
    **parameters: str | float,
) -> Iterator[sa.Row[Any]]:
    """The rows of a query for many values of a column, some hundreds at a time.

    `build` makes the query, once for each kind of database: it is handed a function that makes the
    condition that a column is among the values.
    """
    dialect = connection.dialect.name
    statement = _built(build, dialect)
    for part in batches(values):
        one = _as_one(dialect, part)
        given = {**parameters, "among": one}
        yield from connection.execute(statement, given).all()


def rows_with(
    connection: sa.Connection,
    query: sa.Select[Any],
    column: sa.Column[Any],
    values: Iterable[str],
) -> Iterator[Any]:
    """The rows of a query in which a column holds one of many values, some hundreds at a time."""
    for part in batches(values):
        held = query.where(among(connection, column, part))
        yield from connection.execute(held).all()


def paged(
    store: Store,
    query: sa.Select[Any],
    *order: sa.ColumnElement[Any],
    batch: int = 500,
) -> Iterator[Sequence[sa.Row[Any]]]:
    """The rows of a query in the order of columns that it selects, a batch at a time; each is read
    in a transaction of its own.
    """
    page = query.order_by(*order).limit(batch)
    rest = page
    while True:
        with store.begin() as connection:
            rows = connection.execute(rest).all()
        if not rows:
            return
        last = [rows[-1]._mapping[column] for column in order]
        rest = page.where(sa.tuple_(*order) > last)
        yield rows


def count_where(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> int:
    """How many rows of a table there are for which the conditions hold."""
    query = sa.select(sa.func.count()).where(*conditions)
    return int(connection.execute(query).scalar_one())


def those_of(
    connection: sa.Connection,
    column: sa.Column[Any],
    values: Iterable[str],
    *conditions: sa.ColumnElement[bool],
) -> set[str]:
    """Those of the values that a column holds in rows for which the conditions hold."""
    query = sa.select(column).where(*conditions)
    return {row[0] for row in rows_with(connection, query, column, values)}


# -- single values worth keeping: what runs came to, what approved mappings meant


def remember(store: Store, name: str, value: str) -> None:
    """Keep a value under a name, replacing an older one."""
    with store.begin() as connection:
        remember_in(connection, name, value)


def remember_in(connection: sa.Connection, name: str, value: str) -> None:
    """Keep a value under a name, within a transaction."""
    upsert(connection, meta, [{"name": name, "value": value}], ["name"])


def recall(store: Store, name: str) -> str | None:
    """The value kept under a name, or None."""
    with store.begin() as connection:
        return recall_in(connection, name)


_RECALL = sa.select(meta.c.value).where(meta.c.name == sa.bindparam("name"))
_HELD = _RECALL.with_for_update(read=True, key_share=True)


def recall_in(connection: sa.Connection, name: str) -> str | None:
    """The value kept under a name, or None, within a transaction."""
    return connection.execute(_RECALL, {"name": name}).scalar()
