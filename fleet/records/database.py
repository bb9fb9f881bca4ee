"""Where a fleet is: its database, and the store of each migration in it."""

from __future__ import annotations

import sqlalchemy as sa

from engine.errors import UsageError
from fleet.waits import CONNECTS, GLANCE, IDLE, LOCKED, UNANSWERED

SCHEMA = "fleet"
# A connection that leads nowhere is noticed within half a minute, and what a machine that is gone
# had begun in the database stands in nobody's way: transactions here are short.
LINK = {
    "options": f"-csearch_path={SCHEMA}"  # the queue's triggers name its tables bare
    f" -cidle_in_transaction_session_timeout={IDLE * 1000:.0f}"
    f" -clock_timeout={LOCKED * 1000:.0f}",
    "connect_timeout": int(CONNECTS),
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(UNANSWERED * 1000),
}
# of a database that restarts, or cannot be reached
AWAY = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.InternalError,
    sa.exc.TimeoutError,
)


def connect(url: str, password: str = "") -> sa.Engine:
    """The database, over connections that are looked at before they are used; raises UsageError
    where the address is none of PostgreSQL. A password that stands beside the address may hold
    any character.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: a port like 5432x
        raise UsageError(
            "--db is no address – write postgresql://HOST:PORT/DATABASE"
        ) from None
    if parsed.drivername == "postgres":
        parsed = parsed.set(drivername="postgresql")
    if parsed.get_backend_name() != "postgresql":
        raise UsageError(
            f"--db names a database of {parsed.get_backend_name()} – a fleet needs PostgreSQL:"
            " postgresql://HOST/DATABASE"
        )
    if password:
        parsed = _with_password(parsed, password)
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        connect_args=LINK,
    )


def _with_password(url: sa.URL, password: str) -> sa.URL:
    """An address with a password, unless it has its own. Where it names no user, libpq knows who,
    and a password can stand in its query only.
    """
    if url.password or "password" in url.query:
        return url
    if url.username:
        return url.set(password=password)
    return url.update_query_dict({"password": password})


def store_of(engine: sa.Engine, name: str, waits: float = 0.0) -> str:
    """The URL of a migration's own store: a schema of the fleet's database; with `waits`, one that
    waits for locks no longer than that.
    """
    schema = schema_of(name)
    said = {"schema": schema, "application_name": schema}
    if waits:
        own = str(engine.url.query.get("options", ""))
        said["options"] = f"{own} -clock_timeout={waits * 1000:.0f}".strip()
    return engine.url.update_query_dict(said).render_as_string(
        hide_password=False
    )


def schema_of(name: str) -> str:
    """The schema of a migration's own store, and what its sessions are called."""
    return f"etl_{name}"


def has_store(engine: sa.Engine, name: str) -> bool:
    """Whether there is a store already of a migration that would have this name."""
    return schema_of(name) in sa.inspect(engine).get_schema_names()


def shown(engine: sa.Engine) -> str:
    """The database's address as an operator writes it, without a password, which may stand in its
    query as well.
    """
    written = engine.url.set(drivername="postgresql", query={})
    return written.render_as_string(hide_password=True)


def hurry(connection: sa.Connection) -> None:
    """Wait for no lock longer than a glance until the transaction ends: what stands in the way of
    one migration holds up no other.
    """
    milliseconds = f"{GLANCE * 1000:.0f}"
    connection.execute(
        sa.select(sa.func.set_config("lock_timeout", milliseconds, True))
    )


def said(error: Exception) -> str:
    """What a driver says of an error, as one line."""
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
