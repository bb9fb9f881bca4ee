"""One command at a time on a store: two runs side by side would write the same records twice."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from engine.errors import StoreError
from engine.store.schema import Store

GLANCE = 8  # times 50 ms
_KEY = 0x65746C  # "etl"
_BUSY = "another etl command is at work on this store – wait until it has ended, or look at it with: etl status SPEC"


@contextmanager
def lease(store: Store) -> Iterator[None]:
    """Hold the store while the block runs; raises StoreError when another process holds it.

    The system gives it back when the process ends, however it ends.
    """
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect() as connection:
            if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(_KEY))).scalar_one():
                raise StoreError(_BUSY)
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_KEY)))
        return
    path = store.engine.url.database
    if not path or path == ":memory:":
        yield
        return
    with _locked(Path(f"{path}.lock")):
        yield


def at_work(store: Store) -> bool:
    """Whether another process holds the store."""
    try:
        with lease(store):
            return False
    except StoreError:
        return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(held)
        yield
    finally:
        os.close(held)


def _lock(held: int) -> None:
    """Try for a moment: `etl status` holds the store just to see whether somebody does."""
    for _ in range(GLANCE):
        with suppress(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.05)
    raise StoreError(_BUSY)
