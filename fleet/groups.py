"""Programs that whoever operates a fleet has named: each is a group, and ended as a whole."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from fleet.waits import LINGERS


async def killed(process: asyncio.subprocess.Process) -> None:
    """With what it has started, which would keep others waiting for as long as it likes; what has
    left its group, or is another user's, is not waited for.
    """
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), LINGERS)
