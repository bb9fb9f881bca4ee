"""The pages about schedulers, taken apart: what they tell people to write down is what the tests run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import loopback
from tests.e2e.driving import (
    ETL,
    SPEC,
    Pair,
    checkout,
    custom,
    environment,
    pair,
)

ROOT = Path(__file__).resolve().parents[2]
PLACE = "/srv/move"  # where the pages have the project
SIZE = 60  # records of the source
SAMPLE = ("records: 200", "records: 20")  # so that something is left for the full run
SEATS = 5  # of the destination, as the spec says
HALF_A_RUN = 500  # tokens
NEW_NAME = "Otra Razón Social SL"
DAY = 86_400  # seconds
PAUSE_TAKES = 400  # seconds, at most, from a sample to the end of a test of a spent day


def blocks(page: str, language: str) -> list[str]:
    """A page's blocks of a language, in its order."""
    text = (ROOT / "docs" / "orchestrators" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def codes(page: str) -> set[int]:
    """The exit codes that a page explains in its table, or the command line's own page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    cells = re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE)
    return {int(code) for cell in cells for code in cell.split(",")}


def wait_for_a_day(now: float, needed: float) -> float:
    """How long to wait so that a day of UTC has so many seconds left."""
    left = DAY - now % DAY
    return 0.0 if left >= needed else left + 1


@dataclass(frozen=True, slots=True)
class Move:
    """A project in the place of `/srv/move`, and its two accounts, which are not known to be a sandbox."""

    folder: Path
    accounts: Pair

    def placed(self, text: str) -> str:
        """A text of a page with this project's folder in it."""
        return text.replace(PLACE, str(self.folder))

    def etl(self, command: str, *words: str, code: int = 0) -> str:
        """What a person types: `etl COMMAND SPEC WORDS --env live`."""
        done = started([str(ETL), command, SPEC, *words, "--env", "live"], self.folder, self.accounts.env)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def rename_a_client(self) -> None:
        """Somebody changes a client in the source meanwhile."""
        client = self._client()
        answer = loopback.request(
            "PUT", f"{self.accounts.source.base_url}/clients/{client}",
            headers={"APIKEY": self.accounts.source.key}, json={"legal-name": NEW_NAME}, timeout=30,
        )  # fmt: skip
        assert answer.is_success, answer.text

    def names_of_the_client(self) -> list[str]:
        """What the destination's rows for that client are called."""
        key, there = f"clients/{self._client()}", self.accounts.destination.dump()
        return [
            row["name"] for row in there["organizations"] if custom(there, "organizations", row, "STEL key") == key
        ]

    def _client(self) -> str:
        return str(min(row["id"] for row in self.accounts.source.dump()["clients"]))

    def leave_little_of_the_day(self) -> None:
        """The plan of the destination allows little more in a day than has been spent: a run comes half way.

        It does not say so itself, which would have the last word.
        """
        spent = sum(self.accounts.destination.stats()["tokens"]["by_operation"].values())
        self._day("headers:", "# headers:")
        self._day("ultimate: 210000", f"ultimate: {(spent + HALF_A_RUN) // SEATS}")

    def begin_another_day(self) -> None:
        """As much as there was before."""
        self._day(r"ultimate: \d+", "ultimate: 210000")

    def _day(self, old: str, new: str) -> None:
        connector = self.folder / "connectors/pipedrive.yaml"
        before, day, after = re.split(r"(?<=\n)(  day:\n(?:    .*\n)+)", connector.read_text(encoding="utf-8"))
        changed, many = re.subn(old, new, day)
        assert many == 1, day
        connector.write_text(before + changed + after, encoding="utf-8")

    def holding_a_key(self, *spared: str) -> list[str]:
        """Files of the project, but for the spared ones, in which a key of either account stands."""
        keys = [account.key.encode() for account in (self.accounts.source, self.accounts.destination)]
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        found = [path for path in files if any(key in path.read_bytes() for key in keys)]
        return sorted(path.name for path in found if path.name not in spared)


KEYS = ("--key", "k3y-0f-nobody-else-5f1c")  # the emulators' own keys are words that stand in other places, too


@contextmanager
def moving(folder: Path) -> Iterator[Move]:
    """Both accounts, and a project that nothing has been moved of."""
    with pair(source=KEYS, destination=KEYS, size=SIZE) as accounts:
        yield Move(checkout(folder, SAMPLE), accounts)


def started(
    command: Sequence[str], at: Path, extra: Mapping[str, Any], seconds: int = 120
) -> subprocess.CompletedProcess[str]:
    """A program that has ended, started in a folder; nothing leads it to the checkout."""
    silent, env = subprocess.DEVNULL, apart(extra)
    return subprocess.run(list(command), cwd=at, env=env, stdin=silent, capture_output=True, text=True, timeout=seconds, check=False)


def apart(extra: Mapping[str, Any]) -> dict[str, str]:
    """An environment in which nothing leads to the checkout."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and Path(path) != ROOT]
    return environment({"PYTHONPATH": os.pathsep.join(paths), **extra})


def says(words: str, command: Sequence[str], at: Path, extra: Mapping[str, Any], seconds: int = 180) -> bool:
    """Whether a program says something, which stops it; one that does not is stopped after so many seconds."""
    env = apart({**extra, "PYTHONUNBUFFERED": "1"})
    with subprocess.Popen(
        list(command), cwd=at, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        limit = threading.Timer(seconds, process.kill)
        limit.start()
        try:
            return any(words in line for line in process.stdout)
        finally:
            limit.cancel()
            process.kill()


def program(name: str) -> str:
    """A program of the environment that the tests run in."""
    return str(Path(sys.executable).parent / name)


def typed(command: str) -> str:
    """A command of the page, as somebody types it who has the environment active."""
    path = Path(sys.executable).parent
    return f'PATH="{path}:$PATH"; {command}'
