"""The whole journey on a platform that is odd in every way at once, with a judge of its own.

Faults do not end the journey: each is written down with its step, so that one run shows all of them.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.driving import ETL, environment
from tests.strangers.journey import PROJECTS
from tests.strangers.odd import declared, seeds
from tests.strangers.odd.crm import PLAIN, Switches
from tests.strangers.odd.dialect import plain_key
from tests.strangers.odd.judge import (
    Case,
    Difference,
    Fault,
    There,
    Told,
    Wanted,
    deleted_by_people,
    judge,
    taken_back,
    told,
    wanted,
)
from tests.strangers.odd.server import KEY, switches
from tests.strangers.servers import (
    HTTP,
    Account,
    Dump,
    Row,
    Stranger,
    answered,
    running,
)

ROOT = Path(__file__).resolve().parents[3]
SPEC = "specs/odd.yaml"
PATIENCE_S = 150.0  # of one command
CODES = (0, 1)
AGAIN = (3, 75)  # the platform did not answer, or the day is spent: the same command goes on later
TRIES = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """How the journey goes."""

    lag: float = 5.0  # seconds that lists are behind
    switches: tuple[str, ...] = ()  # of the destination, as in tidy=off
    seed: int = 1
    kills: tuple[int, ...] = (11, 3, 3, 2, 1)  # full run, delta, rollback, run again, rollback by force
    own_ids: bool = True  # notes have ids of their own; False: ids joined of the company's and the note's
    desk: tuple[str, ...] = ()  # switches of the source, as in zone=-6

    @property
    def source_is(self) -> Switches:
        """What is odd about the source."""
        return switches(self.desk, PLAIN)

    @property
    def destination_is(self) -> Switches:
        """What is odd about the destination."""
        return switches((f"lag={self.lag}", f"seed={self.seed}", *self.switches), Switches())


@dataclass(slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def data(self) -> Row:
        """What `--json` printed; nothing where it printed something else."""
        try:
            found: Row = json.loads(self.out)
        except ValueError:
            return {}
        return found


@dataclass(slots=True)
class Step:
    """One step: what it took and what was wrong."""

    name: str
    seconds: float = 0.0
    writes: int = 0
    kills: int = 0
    reruns: int = 0  # commands that ended early and were started again
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class Journey:
    """What the steps share."""

    settings: Settings
    folder: Path
    source: Account
    destination: Account
    luck: random.Random
    steps: list[Step] = field(default_factory=list)
    before: Dump = field(default_factory=dict)
    seen: int = 0  # entries of the destination's journal that were made before anything
    edits: dict[tuple[str, str], Row] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    remembered: dict[str, str] = field(default_factory=dict)  # key -> its row, as the judge saw it last
    owed: int = 0  # kills that are still to come
    known: frozenset[Difference] = frozenset()  # differences that were reported once and have not changed since
    last: Mapping[str, Wanted] = field(default_factory=dict)  # what the judge wanted last
    gone: frozenset[str] = frozenset()  # keys of records whose rows people deleted or merged away
    counted: Row = field(default_factory=dict)  # what the destination has counted in the end
    asked: Row = field(default_factory=dict)  # and the source

    # -- commands

    def etl(self, command: str, *more: str, live: bool = True, good: Sequence[int] = CODES) -> Done:
        """`etl COMMAND SPEC …` to its end, started again where it says so; another exit code in the end is a fault."""
        said = ""
        for turn in range(TRIES):
            before, done = said, self._ended(self._started(command, *more, live=live))
            said = done.err
            self.step.reruns += turn > 0
            if done.code not in AGAIN or said == before:
                break
        if done.code not in good:
            lines = (done.err or done.out).strip().splitlines() or [""]
            self.fault("exit code", f"etl {command} {' '.join(more)}", f"{done.code}: {lines[-1][:300]}")
        return done

    def _started(self, command: str, *more: str, live: bool = True) -> subprocess.Popen[str]:
        words = [str(ETL), command, SPEC, *more, *(("--env", "live") if live else ())]
        extra = {**self.source.variables, **self.destination.variables, "COLUMNS": "200"}
        return subprocess.Popen(
            words, cwd=self.folder, env=environment(extra), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _ended(self, process: subprocess.Popen[str]) -> Done:
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fault("hangs", " ".join(process.args[1:]), f"killed after {PATIENCE_S:.0f} s")  # type: ignore[index, union-attr]
        if "Traceback" in err:
            self.fault("crash", " ".join(process.args[1:]), err.strip().splitlines()[-1][:300])  # type: ignore[index, union-attr]
        return Done(process.returncode, out, err)

    def killed(self, times: int, reach: int, command: str, *more: str) -> Done:
        """The command, killed at so many moments, one start after the other, then run to its end.

        Each moment is at most `reach` writes after the start; a kill that found none is left to the next step.
        """
        self.owed += times
        for turn in range(self.owed):
            process = self._started(command, *more)
            writes = turn % 2 == 0
            strike = {
                "pid": process.pid, "left": self.luck.randint(1, reach) if writes else self.luck.randint(2, 2 * reach),
                "early": self.luck.random() < 0.5, "writes": writes, "struck": False,
            }  # fmt: skip
            self._own("POST", "/__strike__", strike)
            done = self._ended(process)
            self.step.kills += done.code == -9
            self.owed -= done.code == -9
            self.step.reruns += done.code in AGAIN
            if done.code in CODES:  # there was no such moment any more
                break
        self._own("POST", "/__strike__", {})
        return self.etl(command, *more)

    # -- looking

    @property
    def plain(self) -> Callable[[str], str]:
        """A record's key with the number of its row."""
        return plain_key if self.settings.source_is.ids else str

    @property
    def step(self) -> Step:
        """The step that is under way."""
        return self.steps[-1]

    def fault(self, kind: str, where: str, what: str = "") -> None:
        """Write a fault down."""
        self.step.faults.append(Fault(kind, where, what))

    def _own(self, method: str, path: str, body: Any = None) -> Any:
        return answered(HTTP.request(method, f"{self.destination.url}{path}", json=body))

    def stats(self) -> Row:
        """What the destination has counted."""
        found: Row = self._own("GET", "/__stats__")
        return found

    def there(self) -> There:
        """The destination, past the API."""
        return There(self.destination.read(), self._own("GET", "/__journal__"), self.labels, plain=self.plain)

    def said(self, done: Done | None) -> Told:
        """What a command said, with what the status says."""
        status = self._ended(self._started("status", "--json"))
        return told(done.data() if done else None, status.data(), done.code if done else 0, self.plain)

    def case(self, done: Done | None, only: frozenset[str] | None = None) -> Case:
        """What a judge needs."""
        case = Case(self.source.read(), self.there(), self.before, self.edits, self.said(done), only)
        case.rows_of.update({key: row_id for key, row_id in self.remembered.items() if key.startswith("remarks/")})
        case.known, case.last = self.known, self.last
        case.gone = self.gone = self.gone | deleted_by_people(case.there.journal, self.remembered)
        return case

    def judged(self, done: Done, only: frozenset[str] | None = None, changes: bool = False) -> None:
        """Judge the destination as it is now."""
        case = self.case(done, only)
        case.changes = changes
        self.step.faults += judge(case)
        self.remembered, self.known, self.last = dict(case.rows_of), case.known, wanted(case.source)


# -- the steps


def looks(at: Journey) -> None:
    """The spec is good, and nothing is written."""
    at.before = at.destination.read()
    at.seen = len(at.there().journal)
    at.etl("validate", live=False, good=(0,))
    at.etl("plan", "--json")
    _no_writes(at)


def samples(at: Journey) -> None:
    """A sample."""
    done = at.etl("run", "--sample", "--json")
    only = frozenset(at.plain(row["key"]) for row in done.data().get("records", []))
    at.judged(done, only)
    at.etl("approve", "--by", "Ana Ruiz", good=(0,))


def runs(at: Journey) -> None:
    """The full run, killed on its way."""
    at.judged(at.killed(at.settings.kills[0], 30, "run", "--yes", "--json"))


def runs_again(at: Journey) -> None:
    """A second run writes nothing."""
    at.judged(at.etl("run", "--yes", "--json"))
    _no_writes(at)


def idles(at: Journey) -> None:
    """A delta after no change writes nothing."""
    at.judged(at.etl("run", "--delta", "--deletions", "--yes", "--json"), changes=True)
    _no_writes(at)


def follows(at: Journey) -> None:
    """A delta after people have worked on both sides."""
    seeds.in_source(at.source)
    at.edits = seeds.in_destination(at.destination, at.remembered.get)
    seeds.renames(at.destination)
    at.labels = dict(seeds.RENAMED)
    at.before = _peoples(at)
    time.sleep(at.settings.lag)  # nobody can know of a row before a list shows it
    at.judged(at.killed(at.settings.kills[1], 8, "run", "--delta", "--deletions", "--yes", "--json"), changes=True)


def idles_again(at: Journey) -> None:
    """A delta after that one writes nothing."""
    idles(at)


def verifies(at: Journey) -> None:
    """`verify` says the same as the judge."""
    at.judged(at.etl("verify", "--json"))
    _no_writes(at)


def takes_back(at: Journey) -> None:
    """The rollback, killed on its way: what people touched or need stays, all else goes."""
    _take_back(at, at.settings.kills[2])


def runs_anew(at: Journey) -> None:
    """The whole again: rows that stayed are known again."""
    at.judged(at.killed(at.settings.kills[3], 30, "run", "--yes", "--json"))


def takes_all_back(at: Journey) -> None:
    """The second rollback, by force: people's own rows are all that is left."""
    _take_back(at, at.settings.kills[4], "--force")


STEPS: Sequence[Callable[[Journey], None]] = (
    looks, samples, runs, runs_again, idles, follows, idles_again, verifies, takes_back, runs_anew, takes_all_back,
)  # fmt: skip


def _no_writes(at: Journey) -> None:
    done = at.stats().get("writes", 0) - at.step.writes
    if done:
        at.fault("writes again", f"{done} writing calls")


def _take_back(at: Journey, kills: int, *more: str) -> None:
    done = at.killed(kills, 25, "rollback", "--yes", "--json", *more)
    case = at.case(None)
    kept = [at.plain(key) for _, key, _ in done.data().get("kept", [])]
    at.step.faults += taken_back(case, kept, force=bool(more))


def _peoples(at: Journey) -> Dump:
    """Rows that people made, as they have left them: before the migration, and since."""
    there = at.there()
    found: Dump = {name: dict(rows) for name, rows in at.before.items()}
    for (name, row_id), who in there.own.items():
        if who == "people" and row_id in there.rows[name] and row_id not in at.before.get(name, {}):
            found.setdefault(name, {})[row_id] = there.rows[name][row_id]
    return found


# -- the way


_START = """import sys
sys.path.insert(0, sys.argv.pop(1))
from tests.strangers.odd.server import main
main(sys.argv[1:])
"""  # its folder is not the checkout


def server(kind: str, *words: str) -> Stranger:
    """The account's process."""

    def command(programs: Path, folder: Path, port: int) -> list[str]:
        more = [word for one in words for word in ("--set", one)]
        return [str(programs), "-c", _START, str(ROOT), kind, "--port", str(port), *more]

    return Stranger(kind, lambda: Path(sys.executable), command, "/__stats__")


@contextmanager
def accounts(settings: Settings, folder: Path) -> Iterator[tuple[Account, Account]]:
    """Both accounts, filled."""
    odd = (f"lag={settings.lag}", f"seed={settings.seed}", *settings.switches)
    with running(server("desk", *settings.desk), folder / "desk") as desk, running(server("crm", *odd), folder / "crm") as crm:
        source, destination = _account(desk, "ODD_DESK_URL"), _account(crm, "ODD_CRM_URL")
        seeds.fill(source, destination)
        yield source, destination


def _account(origin: str, variable: str) -> Account:
    def read() -> Dump:
        found: Dump = answered(HTTP.get(f"{origin}/__dump__"))
        return found

    def call(method: str, path: str, body: Any = None) -> Any:
        return answered(HTTP.request(method, f"{origin}/__people__{path}", json=body))

    return Account(origin, variable, {"ODD_KEY": KEY}, read, call)


def project(settings: Settings, folder: Path) -> Path:
    """What an analyst would have; the connector knows how far lists are behind."""
    shutil.copytree(PROJECTS / "connectors", folder / "connectors", dirs_exist_ok=True)
    shutil.copytree(PROJECTS / "odd", folder, dirs_exist_ok=True)
    _declare(folder / "connectors" / "odd_desk.yaml", declared.source, settings.source_is)
    _declare(folder / SPEC, declared.spec, settings.source_is)
    path = folder / "connectors" / "odd_crm.yaml"
    _declare(path, declared.connector, settings.destination_is)
    text = path.read_text(encoding="utf-8")
    assert "reconcile_after: 6" in text
    text = text.replace("reconcile_after: 6", f"reconcile_after: {settings.lag + 0.5:g}")
    if not settings.own_ids:
        text = text.replace("  notes: # listed", "  notes:\n    id: company_id+id # listed")
    path.write_text(text, encoding="utf-8")
    return folder


def _declare(path: Path, how: Callable[[str, Switches], str], on: Switches) -> None:
    path.write_text(how(path.read_text(encoding="utf-8"), on), encoding="utf-8")


def travel(settings: Settings, folder: Path, steps: Sequence[Callable[[Journey], None]] = STEPS) -> Journey:
    """All steps; what each came to."""
    with accounts(settings, folder / "servers") as (source, destination):
        luck = random.Random(settings.seed)
        at = Journey(settings, project(settings, folder / "project"), source, destination, luck)
        time.sleep(settings.lag)  # what people had is in every list by now
        for step in steps:
            began, writes = time.monotonic(), at.stats().get("writes", 0)
            at.steps.append(Step(step.__name__, writes=writes))
            step(at)
            at.step.seconds = time.monotonic() - began
            at.step.writes = at.stats().get("writes", 0) - writes
            many = dict(Counter(fault.kind for fault in at.step.faults))
            print(f"{step.__name__}: {at.step.seconds:.0f} s, {many or 'good'}", file=sys.stderr, flush=True)
        at.counted = at.stats()
        at.asked = answered(HTTP.get(f"{source.url}/__stats__"))
        return at


# -- figures

KINDS = (
    "lost silently", "wrong silently", "doubled", "people's row lost", "people's value lost", "left behind", "false alarm",
    "says good", "writes again", "exit code", "crash", "hangs",
)  # fmt: skip


def table(at: Journey, details: int = 12) -> str:
    """The figures of every step, and the first faults of each kind."""
    heads = ["step", "s", "writes", "kills", "reruns", *(kind.replace(" ", "-") for kind in KINDS)]
    lines = [heads, *([*_figures(step)] for step in at.steps)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    shown = ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    total, kills = sum(step.seconds for step in at.steps), sum(step.kills for step in at.steps)
    faults = sum(len(step.faults) for step in at.steps)
    shown.append(f"odd: {kills} kills, {faults} faults, {total:.1f} s")
    shown.append(f"the source {json.dumps(at.asked)}; the destination {json.dumps(at.counted)}")
    for step in at.steps:
        shown += _details(step, details)
    return "\n".join(shown)


def _details(step: Step, most: int) -> Iterator[str]:
    many = Counter(fault.kind for fault in step.faults)
    for kind, number in many.items():
        found = [one for one in step.faults if one.kind == kind]
        yield from (f"  {step.name}: {kind}: {one.where}: {one.what}" for one in found[:most])
        if number > most:
            yield f"  {step.name}: {kind}: … {number - most} more"


def _figures(step: Step) -> Iterator[str]:
    many: Mapping[str, int] = Counter(fault.kind for fault in step.faults)
    yield from (step.name, f"{step.seconds:.1f}", str(step.writes), str(step.kills), str(step.reruns))
    yield from (str(many.get(kind) or "") for kind in KINDS)


def faults(at: Journey) -> list[Fault]:
    """Every fault of every step."""
    return [fault for step in at.steps for fault in step.faults]
