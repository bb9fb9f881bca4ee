"""`python -m tests.strangers.odd`: the journey on a platform that is odd in every way, with its figures."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.strangers.odd.crm import STRANGE
from tests.strangers.odd.journey import STEPS, Settings, faults, table, travel

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lag", type=float, default=5.0, help="seconds that lists are behind")
    parser.add_argument("--set", action="append", default=[], help="a switch of the destination, as in tidy=off")
    parser.add_argument("--desk", action="append", default=[], help="a switch of the source, as in zone=-6")
    parser.add_argument("--strange", action="store_true", help="turn on what both platforms can do besides")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", help="of the full run, delta, rollback, run again, rollback by force: 11,3,3,2,1")
    parser.add_argument("--joined-ids", action="store_true", help="notes are known by their company's id and their own")
    parser.add_argument("--until", choices=[step.__name__ for step in STEPS], help="the last step")
    parser.add_argument("--details", type=int, default=12, help="faults shown of each kind and step")
    parser.add_argument("--keep", type=Path, help="folder for the project and its store")
    given = parser.parse_args()
    kills = tuple(map(int, given.kills.split(","))) if given.kills else Settings().kills
    names = [step.__name__ for step in STEPS]
    steps = STEPS[: names.index(given.until) + 1] if given.until else STEPS
    crm, desk = (STRANGE["crm"], STRANGE["desk"]) if given.strange else ((), ())
    settings = Settings(given.lag, (*crm, *given.set), given.seed, kills, not given.joined_ids, (*desk, *given.desk))
    with tempfile.TemporaryDirectory() as folder:
        at = travel(settings, given.keep or Path(folder), steps)
    print(table(at, given.details))
    sys.exit(1 if faults(at) else 0)
