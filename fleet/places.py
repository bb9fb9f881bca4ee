"""Where a worker unpacks files: in a folder of its own, which goes with it, however it ends."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from engine.errors import UsageError
from fleet.waits import PARTING

PREFIX = "worker-"
ALIVE = "alive"  # a file that a worker has locked while it lives


@contextmanager
def own_place(folder: Path, parting: float = PARTING) -> Iterator[Path]:
    """A folder of this worker's own in one that several may share; what killed ones have left
    there is removed a little later, when their turns have ended too. Raises UsageError where
    nothing can be written there.
    """
    left = sorted(folder.glob(f"{PREFIX}*"))
    place = _made(folder)
    later = threading.Timer(parting, _remove, (left,))
    later.daemon = True
    later.start()
    held = os.open(place / ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock_descriptor(held)
        yield place
    finally:
        later.cancel()
        os.close(held)
        shutil.rmtree(place, ignore_errors=True)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Path(tempfile.mkdtemp(dir=folder, prefix=PREFIX)).absolute()
    except OSError as error:
        raise UsageError(
            f"--work {folder} cannot be written: {error.strerror}"
        ) from None


def _remove(left: Sequence[Path]) -> None:
    for place in left:
        if not _is_alive(place):
            shutil.rmtree(place, ignore_errors=True)


def _is_alive(place: Path) -> bool:
    with suppress(FileNotFoundError):
        held = os.open(place / ALIVE, os.O_RDWR)
        try:
            return not lock_descriptor(held, blocking=False)
        finally:
            os.close(held)
    return False
