"""One command at a time on a store: two runs side by side would write the same records twice.

An SQLite file is locked for as long as the process lives; the system sees to that. A session of
PostgreSQL can be cut while its process goes on, so there the lease is a row: a number that grows
with every holder, and the time until which it holds. `Store.begin` refuses a process whose number
is no longer the row's, so one that was taken for dead books no intent and makes no call any more.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import lock_descriptor
from msgspec import structs

from engine.errors import StoreError
from engine.store.tables import LEASE, Store, meta, remember_in, upsert

GLANCE = 8  # times 50 ms
# seconds without a renewal; longer than a call to a platform takes
HOLDS = 90.0
RENEWALS = 6  # in that time
_NOW = sa.select(
    sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)
)
_ROW = sa.select(meta.c.value).where(meta.c.name == LEASE)


@contextmanager
def lease(
    store: Store, holds: float = HOLDS, spec: str = "SPEC"
) -> Iterator[Store]:
    """The store, held while the block runs; raises StoreError when another process holds it, with
    what to call `etl status` with.

    It is free again when the process ends, however it ends. Only where the machine is gone too, a
    lease in PostgreSQL has to run out first.
    """
    if store.engine.dialect.name == "postgresql":
        with _row(store, holds, spec) as held:
            yield held
        return
    path = store.engine.url.database
    if not path or path == ":memory:":
        yield store
        return
    with _locked(Path(f"{path}.lock"), spec):
        yield store


def at_work(store: Store) -> bool:
    """Whether another process holds the store."""
    if store.engine.dialect.name == "postgresql":
        with store.begin() as connection:
            return (
                _is_held(
                    connection,
                    json.loads(connection.execute(_ROW).scalar() or "{}"),
                )
                != ""
            )
    try:
        with lease(store):
            return False
    except StoreError:
        return True


# -- a locked file


@contextmanager
def _locked(path: Path, spec: str) -> Iterator[None]:
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(held, spec)
        yield
    finally:
        os.close(held)


def _lock(held: int, spec: str) -> None:
    """Try for a moment: `etl status` holds the store just to see whether somebody does."""
    for _ in range(GLANCE):
        if lock_descriptor(held, blocking=False):
            return
        time.sleep(0.05)
    raise StoreError(_busy(spec))


def _busy(spec: str, until: str = "") -> str:
    return (
        "another etl command is using this store – wait until it has ended, or see what"
        f" it is doing: etl status {spec}{until}"
    )


# -- a row


@contextmanager
def _row(store: Store, holds: float, spec: str) -> Iterator[Store]:
    """Take the row, renew it in the background, and give it back.

    A locked file tells others on this machine that the process lives: they need not wait where
    it was killed.
    """
    file, place = tempfile.mkstemp(prefix="etl-", suffix=".lock")
    try:
        lock_descriptor(file)
        held = structs.replace(store, fence=_take(store, place, holds, spec))
        with _renewed(structs.replace(held, patience=0.0), place, holds):
            yield held
    finally:
        os.close(file)
        _remove(place)


@contextmanager
def _renewed(held: Store, place: str, holds: float) -> Iterator[None]:
    """Renew the row every now and then, until it is given back."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(holds / RENEWALS):
            # one that was taken for dead is told by its next transaction
            _hold(held, place, holds)

    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        _hold(held, "", 0.0)


def _hold(held: Store, place: str, seconds: float) -> None:
    with suppress(StoreError), held.begin(durable=True) as connection:
        _write(connection, held.fence, place, seconds)


def _take(store: Store, place: str, holds: float, spec: str) -> int:
    """The next number; raises StoreError where somebody may still be at work under the last one."""
    with store.begin(durable=True) as connection:
        upsert(
            connection,
            meta,
            [{"name": LEASE, "value": "{}"}],
            ["name"],
            keep=("value",),
        )
        found = connection.execute(
            _ROW.with_for_update(skip_locked=True)
        ).scalar()
        if found is None:  # its holder is just booking
            raise StoreError(_busy(spec))

        last = json.loads(found)
        held = _is_held(connection, last, spec)
        if held:
            raise StoreError(held)

        number = int(last.get("number", 0)) + 1
        _write(connection, number, place, holds)
    _remove(str(last.get("place", "")))
    return number


def _is_held(
    connection: sa.Connection, last: Mapping[str, Any], spec: str = ""
) -> str:
    """What to say of who may still be at work; "" where nobody is."""
    alive = _is_alive(str(last.get("place", "")))
    if alive is not None:
        return _busy(spec) if alive else ""

    left = float(last.get("until", 0.0) - connection.execute(_NOW).scalar_one())
    return (
        _busy(
            spec, f"; if its machine is gone, the store is free in {left:.0f} s"
        )
        if left > 0
        else ""
    )


def _is_alive(place: str) -> bool | None:
    """Whether a holder on this machine lives, suspended or not; None where its file is not seen."""
    try:
        file = os.open(place, os.O_RDWR)
    except OSError:
        return None
    try:
        return not lock_descriptor(file, blocking=False)
    finally:
        os.close(file)


def _write(
    connection: sa.Connection, number: int, place: str, seconds: float
) -> None:
    until = connection.execute(_NOW).scalar_one() + seconds
    remember_in(
        connection,
        LEASE,
        json.dumps({"number": number, "place": place, "until": until}),
    )


def _remove(place: str) -> None:
    with suppress(OSError):
        Path(place).unlink()
