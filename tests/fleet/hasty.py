"""`python -m tests.fleet.hasty SECONDS --secrets DIR --work DIR`: a worker of one place whose turns make room after so many seconds."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from fleet.records import database
from fleet.secrets import Secrets
from fleet.worker import Worker, work

if __name__ == "__main__":
    seconds, _, secrets, _, place = sys.argv[1:]
    engine = database.connect(os.environ["ETL_FLEET_DB"])
    asyncio.run(work(Worker(engine, Path(place).absolute(), Secrets(Path(secrets)), 1, print, slice=float(seconds))))
