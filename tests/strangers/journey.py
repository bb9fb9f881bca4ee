"""The whole journey of a migration between two servers, step by step, as an analyst takes it: with the command line.

A pair of platforms is a row of facts (`Pair`); the steps are the same for every pair. What the destination must hold is
worked out from the source by the pair's `expect`, which knows nothing of the engine, and read back by the stranger's own
reader. Rows are compared in words: by name instead of id, without the stamps that only say when something was written.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.driving import ETL, Done, environment, etl
from tests.strangers.relay import Relay, relay
from tests.strangers.servers import Account, Dump, Row

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = Path(__file__).resolve().parent / "projects"
GOOD = (0, 1)  # 1: some records need attention; each of them is expected, or the dumps would differ

Words = dict[str, dict[str, Row]]  # resource -> name -> what the row holds
Edits = Mapping[tuple[str, str], Row]  # (resource, name) -> what people wrote there


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill -9 at so many writes after the start: before the write is passed on, or after it was done and not answered."""

    writes: int
    early: bool = False


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of one pair: what is migrated, and two equal accounts to migrate it to."""

    source: Account
    calm: Account
    wild: Account


@dataclass(frozen=True, slots=True)
class Pair:
    """What there is to know about a migration between two platforms."""

    name: str  # projects/NAME, and specs/NAME.yaml in it
    open: Callable[[Path], AbstractContextManager[Accounts]]  # servers started and seeded
    expect: Callable[[Dump, Words], Words]  # source, and what people had in the destination -> what it must hold
    named: Callable[[str, Row], str]  # resource, destination row -> its name
    links: Mapping[str, Mapping[str, str]]  # resource -> field -> resource that it names by id
    stamps: Sequence[str]  # fields that say when a row was written, and its id
    writes: Callable[[str, str], bool]  # method, path -> whether the call changes the destination
    in_source: Callable[[Account], None]  # people change, add and delete records
    in_destination: Callable[[Account, Dump], Edits]  # people edit what came, and say what
    kills: Sequence[Kill]  # of the full run, one start after the other ...
    kills_back: Sequence[Kill]  # ... and of the rollback
    leans: Callable[[str, Row], Sequence[tuple[str, str]]] = lambda *_: ()  # what a row needs besides what it names
    sample: int = 30
    delta: Sequence[str] = ("--delta", "--deletions")

    @property
    def spec(self) -> str:
        """Its spec, from the project."""
        return f"specs/{self.name}.yaml"


@dataclass(slots=True)
class Told:
    """The figures of one pair."""

    pair: str
    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)

    def table(self) -> str:
        """For people."""
        facts = ", ".join(f"{name} {many:,}" for name, many in self.figures.items())
        times = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items())
        return f"{self.pair}: {facts}\n  seconds: {times}; in all {sum(self.seconds.values()):.1f}"


# -- rows in words


def words(dump: Dump, pair: Pair) -> Words:
    """Rows by name, their links by the names of what they point at. Fails on an orphan and on a name that occurs twice."""
    found: Words = {}
    for resource, rows in dump.items():
        here = found[resource] = {}
        for row in rows.values():
            name = pair.named(resource, row)
            assert name not in here, f"{resource} {name} is there twice"
            here[name] = {key: _told(dump, pair, resource, key, value) for key, value in row.items() if _says(pair, key, value)}
    return found


def _says(pair: Pair, key: str, value: Any) -> bool:
    return key not in pair.stamps and value is not None


def _told(dump: Dump, pair: Pair, resource: str, key: str, value: Any) -> Any:
    target = pair.links.get(resource, {}).get(key)
    if target is None:
        return value
    if isinstance(value, list):
        return [_told(dump, pair, resource, key, item) for item in value]
    assert str(value) in dump[target], f"{resource}: {key} leads to {target} {value}, and there is none"
    return pair.named(target, dump[target][str(value)])


def over(below: Words, edits: Edits) -> Words:
    """What must be there with what people wrote over it; an emptied field is none."""
    found = {resource: dict(rows) for resource, rows in below.items()}
    for (resource, name), values in edits.items():
        row = {**found[resource].get(name, {}), **values}
        found[resource][name] = {key: value for key, value in row.items() if value is not None}
    return found


def same(found: Words, wanted: Words, when: str) -> None:
    """Both hold the same rows; the first that differ are named."""
    lost = {f"{resource} {name}" for resource, rows in wanted.items() for name in rows.keys() - found[resource].keys()}
    extra = {f"{resource} {name}" for resource, rows in found.items() for name in rows.keys() - wanted.get(resource, {}).keys()}
    assert (lost, extra) == (set(), set()), f"{when}: lost {sorted(lost)[:9]}, too many {sorted(extra)[:9]}"
    for resource, rows in wanted.items():
        for name, row in rows.items():
            assert found[resource][name] == row, f"{when}: {resource} {name}\n  is     {found[resource][name]}\n  should {row}"


def many(rows: Mapping[str, Mapping[str, Any]]) -> int:
    """How many rows of all resources."""
    return sum(len(part) for part in rows.values())


# -- a project and its commands


@dataclass(frozen=True, slots=True)
class World:
    """One destination account with the relay before it, and the project whose commands write to it."""

    pair: Pair
    folder: Path
    source: Account
    destination: Account
    relay: Relay

    @property
    def env(self) -> dict[str, str]:
        """What the commands find in their environment."""
        return {**self.source.variables, **self.destination.variables, "COLUMNS": "200"}

    def etl(self, command: str, *more: str, good: Sequence[int] = GOOD, live: bool = True) -> Done:
        """`etl COMMAND SPEC …` to its end."""
        done = etl(command, self.pair.spec, *more, *(("--env", "live") if live else ()), at=self.folder, env=self.env)
        assert done.code in good, f"etl {command}: exit code {done.code}\n{done.out[-3000:]}\n{done.err[-3000:]}"
        return done

    def killed(self, kills: Sequence[Kill], *words: str) -> int:
        """`etl WORDS` killed at each of these moments, then run to its end; how many kills met it."""
        met = 0
        command = [str(ETL), words[0], self.pair.spec, *words[1:], "--env", "live"]
        for kill in kills:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment(self.env), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.relay.aim(kill.writes, kill.early, process.kill)
            process.wait(120)
            met += self.relay.struck.is_set()
        self.relay.due = 0
        self.etl(words[0], *words[1:])
        return met

    def words(self) -> Words:
        """The destination in words, read past the relay."""
        return words(self.destination.read(), self.pair)


def project(pair: Pair, folder: Path) -> Path:
    """What an analyst would have: connectors, a spec and templates."""
    for origin in (ROOT / "connectors", PROJECTS / "connectors"):
        shutil.copytree(origin, folder / "connectors", dirs_exist_ok=True)
    return Path(shutil.copytree(PROJECTS / pair.name, folder, dirs_exist_ok=True))


@contextmanager
def world(pair: Pair, folder: Path, source: Account, destination: Account) -> Iterator[World]:
    """A project of its own, its destination behind a relay."""
    with relay(destination.url, pair.writes) as before:
        seen = destination.through(destination.url.replace(_origin(destination.url), before.origin, 1))
        yield World(pair, project(pair, folder), source, seen, before)


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])


# -- the journey


@dataclass(slots=True)
class Journey:
    """What the steps hand on to one another."""

    pair: Pair
    calm: World
    wild: World
    told: Told
    before: Words = field(default_factory=dict)
    untouched: Dump = field(default_factory=dict)
    full: Words = field(default_factory=dict)
    edits: Edits = field(default_factory=dict)


def looks(at: Journey) -> None:
    """The spec is good, and the plan writes nothing."""
    at.untouched = at.calm.destination.read()
    at.before = at.calm.words()
    same(at.wild.words(), at.before, "before anything")
    at.calm.etl("validate", live=False, good=(0,))
    at.calm.etl("plan", "--json")
    assert at.calm.relay.writes == 0
    at.told.figures |= {"records": many(at.calm.source.read()), "people's rows": many(at.before)}


def samples(at: Journey) -> None:
    """The report of a sample shows field by field what the source holds and what the destination must hold."""
    done = at.calm.etl("run", "--sample", str(at.pair.sample), "--json")
    report, source = json.loads(done.out), at.calm.source.read()
    held, live = at.pair.expect(source, at.before), at.calm.destination.read()
    shown = [record for record in report["records"] if record["state"] == "arrived"]
    assert len(shown) >= at.pair.sample // 2, done.out[:3000]
    fields = sum(_shown_well(at.pair, record, source, live, held) for record in shown)
    at.told.figures |= {"sampled": len(shown), "fields checked": fields}


def _shown_well(pair: Pair, record: Row, source: Dump, live: Dump, held: Words) -> int:
    """Every field of a record side by side; how many were looked at."""
    row = live[record["resource"]][record["dest_id"]]
    wanted = held[record["resource"]][pair.named(record["resource"], row)]
    collection, _, row_id = record["record"].partition("/")
    for item in record["fields"]:
        target, where = item["target"], f"{record['resource']} {record['key']} {item['target']}"
        if target not in pair.stamps:
            to = pair.links.get(record["resource"], {}).get(target)
            there = _live_name(pair, to, live[to], item["live"]) if to and item["live"] else item["live"]
            assert shows(there, wanted.get(target)), f"{where}: the report shows {there!r}, must be {wanted.get(target)!r}"
        for path, value in item["sources"]:
            if path in source[collection][row_id]:
                held_there = source[collection][row_id][path]
                assert shows(value, held_there), f"{where}: the report says the source holds {value!r} in {path}, it is {held_there!r}"
    return len(record["fields"])


def _live_name(pair: Pair, resource: str, rows: Mapping[str, Row], text: str) -> str:
    """What an id in the report leads to, or several ids."""
    found = [pair.named(resource, rows[str(one)]) for one in (json.loads(text) if text.startswith("[") else [text])]
    return json.dumps(found) if text.startswith("[") else found[0]


_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"')]*")


def shows(text: str, value: Any) -> bool:
    """Whether a text of the report shows a value: nothing for null, texts as they are, the rest as JSON writes it.

    What stands behind the question mark of an address is hidden: it may be what opens a file.
    """
    if value is None or isinstance(value, str):
        return text == _QUERY.sub(r"\1?***", value or "")
    return bool(json.loads(text) == value)


def approves(at: Journey) -> None:
    """A full run is refused until somebody has approved the sample, and where its store has seen none."""
    at.calm.etl("run", good=(4,))
    at.calm.etl("approve", "--by", "Ana Ruiz", good=(0,))
    approval = at.pair.spec.replace(".yaml", ".approval.yaml")
    shutil.copy(at.calm.folder / approval, at.wild.folder / approval)
    at.wild.etl("run", good=(4,))
    at.wild.etl("run", "--sample", "1")
    at.wild.etl("rollback", "--yes")


def runs(at: Journey) -> None:
    """The full run leaves exactly what must be there, beside what people had."""
    at.calm.etl("run", "--yes")
    at.full = at.calm.words()
    same(at.full, at.pair.expect(at.calm.source.read(), at.before), "after the full run")
    at.told.figures["writing calls"] = at.calm.relay.writes


def runs_again(at: Journey) -> None:
    """A second run writes nothing: it says so, and no write reaches the server."""
    before = at.calm.relay.writes
    verdict = json.loads(at.calm.etl("run", "--json").out)["verdict"]
    assert (verdict["created"], verdict["updated"], at.calm.relay.writes - before) == (0, 0, 0)
    same(at.calm.words(), at.full, "after the second run")


def is_killed(at: Journey) -> None:
    """Killed in the middle of the full run, and gone on with, it leaves the same as the run nobody disturbed."""
    kills = at.wild.killed(at.pair.kills, "run", "--yes")
    assert kills == len(at.pair.kills)
    same(at.wild.words(), at.full, "after the killed run")
    at.told.figures |= {"kills": kills, "lost": 0, "doubled": 0, "garbled": 0}


def is_killed_in_rollback(at: Journey) -> None:
    """Killed in the middle of the rollback, and gone on with, it gives back the account as it was."""
    kills = at.wild.killed(at.pair.kills_back, "rollback", "--yes")
    assert kills == len(at.pair.kills_back)
    same(at.wild.words(), at.before, "after the killed rollback")
    at.told.figures["kills"] += kills


def follows(at: Journey) -> None:
    """A delta brings what people changed, added and deleted in the source; what they edited in the destination wins."""
    at.pair.in_source(at.calm.source)
    at.edits = at.pair.in_destination(at.calm.destination, at.calm.destination.read())
    before = at.calm.relay.writes
    at.calm.etl("run", *at.pair.delta, "--yes")
    wanted = over(at.pair.expect(at.calm.source.read(), at.before), at.edits)
    same(at.calm.words(), wanted, "after the delta")
    at.told.figures["calls of the delta"] = at.calm.relay.writes - before


def verifies(at: Journey) -> None:
    """`etl verify` finds every record in the destination."""
    verdict = json.loads(at.calm.etl("verify", "--json").out)["verdict"]
    assert verdict["missing"] == 0
    at.told.figures |= {"verified": verdict["arrived"]}


def takes_back(at: Journey) -> None:
    """The rollback keeps what people edited, as it is, with what that leans on, and nothing else; by force all is as before."""
    wanted = at.calm.words()
    at.calm.etl("rollback", "--yes")
    kept = _with_what_they_need(at, wanted)
    left = {row: wanted[row[0]][row[1]] if _came(at, row) else at.edits[row] for row in kept}
    same(at.calm.words(), over(at.before, left), "after the rollback")
    at.calm.etl("rollback", "--yes", "--force")
    theirs = {row: values for row, values in at.edits.items() if not _came(at, row)}
    same(at.calm.words(), over(at.before, theirs), "after the rollback by force")
    at.told.figures["kept until --force"] = len([row for row in kept if _came(at, row)])


def _came(at: Journey, row: tuple[str, str]) -> bool:
    """Whether a row came with the migration."""
    return row[1] in at.full[row[0]] and row[1] not in at.before[row[0]]


def _with_what_they_need(at: Journey, held: Words) -> set[tuple[str, str]]:
    """The rows people edited or made, and the rows those lean on."""
    waiting, found = list(at.edits), set()
    while waiting:
        row = waiting.pop()
        if row not in found and _came(at, row) or row in at.edits and row not in found:
            found.add(row)
            values = held[row[0]][row[1]]
            links = [(to, values[key]) for key, to in at.pair.links.get(row[0], {}).items() if key in values]
            waiting += [(to, name) for to, names in links for name in (names if isinstance(names, list) else [names])]
            waiting += at.pair.leans(row[0], values)
    return found


STEPS: Sequence[Callable[[Journey], None]] = (
    looks, samples, approves, runs, runs_again, is_killed, is_killed_in_rollback, follows, verifies, takes_back,
)  # fmt: skip


def travel(pair: Pair, folder: Path) -> Told:
    """All steps of a pair; what it came to."""
    told, began = Told(pair.name), time.monotonic()
    with (
        pair.open(folder / "servers") as accounts,
        world(pair, folder / "calm", accounts.source, accounts.calm) as calm,
        world(pair, folder / "wild", accounts.source, accounts.wild) as wild,
    ):
        told.seconds["starting"] = time.monotonic() - began
        journey = Journey(pair, calm, wild, told)
        for step in STEPS:
            began = time.monotonic()
            step(journey)
            told.seconds[step.__name__] = time.monotonic() - began
    return told
