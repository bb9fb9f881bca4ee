"""Mistakes in the engine's core, one at a time, each of which the fast tests must catch.

`python -m tests.mutations` makes every change in a copy of the checkout, runs the tests on it and
prints which were caught; words of a description choose some. It ends with 1 if one survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("tests/destination", "tests/plan", "tests/load", "tests/store/test_durable.py")
PATIENCE = 300.0  # seconds after which tests that do not end have noticed something


@dataclass(frozen=True, slots=True)
class Change:
    """One mistake: a text that stands once in a file, and what it becomes."""

    says: str
    file: str
    old: str
    new: str
    near: str = ""  # the tests that come first; those of the file's own folder where nothing is said

    @property
    def tests(self) -> list[str]:
        """All tests, the nearest first."""
        near = self.near or f"tests/{Path(self.file).parent.name}"
        return sorted(TESTS, key=lambda path: path != near)


CHANGES = (
    Change(
        "people's edits are overwritten",
        "engine/destination/compare.py",
        'if ownership(view, same) is Ownership.THEIRS and policy == "keep":',
        'if ownership(view, same) is Ownership.NOBODY and policy == "keep":',
    ),
    Change(
        "rows that hold exactly what was sent have no tier of their own",
        "engine/destination/match.py",
        '    Rule("exactly as sent", exactly),\n',
        "",
    ),
    Change(
        "rows that the platform filled go before exact ones",
        "engine/destination/match.py",
        '    Rule("exactly as sent", exactly),\n',
        '    Rule("as sent, other fields filled by the platform", as_sent),\n    Rule("exactly as sent", exactly),\n',
    ),
    Change(
        "intents do not wait for the disk",
        "engine/load/deliver.py",
        "with run.store.begin(durable=True) as connection:",
        "with run.store.begin() as connection:",
        near="tests/store/test_durable.py",
    ),
    Change(
        "a fingerprint ignores flat custom fields",
        "engine/destination/rows.py",
        "                for code, value in values.items()\n                if not is_empty(value)\n",
        "                for code, value in values.items()\n                if not is_empty(value) and self.resource.custom.container\n",
    ),
    Change(
        "an object that stands for a reference is not unwrapped",
        "engine/destination/rows.py",
        "                return self._id_in(value[name], field_type)\n",
        "                return value\n",
    ),
    Change(
        "a merge takes what is alike for equal",
        "engine/plan/diff.py",
        "partial(codec.equal, target)",
        "partial(codec.alike, target)",
    ),
    Change(
        "a value that nobody has reported is nothing",
        "engine/plan/diff.py",
        "link.stored.get(target, UNKNOWN)",
        "link.stored.get(target)",
    ),
    Change(
        "a field that cannot be emptied is sent",
        "engine/destination/compare.py",
        "        return Action.STUCK\n",
        "        return Action.SEND\n",
    ),
    Change(
        "the policy of a conflict is ignored",
        "engine/plan/diff.py",
        'item.on_conflict if item else "keep"',
        '"keep"',
    ),
    Change(
        "one row stands for two records",
        "engine/destination/match.py",
        "            taken.add(id(hit))\n",
        "",
    ),
    Change(
        "parents are not compared",
        "engine/destination/match.py",
        '    return tuple(word(values.get(name)) for name in parents)\n',
        '    return ()\n',
    ),
    Change(
        "a record is linked to a row that stands for another",
        "engine/load/identity.py",
        "    taken = [link for link in others if link.object == write.object]\n",
        "    taken: list[Link] = []\n",
    ),
    Change(
        "200 after 201 is believed",
        "engine/load/identity.py",
        "    return answer.status == FOUND and fresh is not None and not answer.repeated\n",
        "    return answer.status == FOUND and fresh is not None and answer.repeated\n",
    ),
    Change(
        "reconciling voids what took effect",
        "engine/load/reconcile.py",
        "        committed = _LOOKERS[action](look, group)\n",
        "        committed = {key: row for key, row in _LOOKERS[action](look, group).items() if not row}\n",
    ),
    Change(
        "what took effect is sent again",
        "engine/load/deliver.py",
        "        row = found.committed.get(entry)\n",
        "        row = found.committed.get(entry) if outcome.claimed else None\n",
    ),
    Change(
        "a write is sent without end",
        "engine/load/deliver.py",
        "if outcome.claimed or tried >= (TRIES_ALONE if alone else TRIES):",
        "if outcome.claimed:",
    ),
    Change(
        "no number of deletions is asked about",
        "engine/plan/guards.py",
        "    if step.delete > FEW and step.delete > share * have:\n",
        "    if step.delete > FEW and step.delete > have:\n",
    ),
    Change(
        "what was held back is not looked at again",
        "engine/plan/diff.py",
        "    as_written = link.digest == draft.digest and not link.held\n",
        "    as_written = link.digest == draft.digest\n",
    ),
    Change(
        "a lost value is never sent again",
        "engine/plan/diff.py",
        'held.get("why") == "lost" and held.get("tries", 0) >= LOST_TRIES',
        'held.get("why") == "lost"',
    ),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What the tests made of a checkout: the first test that failed, or ""; and how long it took."""

    failed: str
    seconds: float


def main(words: Sequence[str]) -> int:
    """Try the changes whose description has one of the words, or all."""
    chosen = [change for change in CHANGES if not words or any(word in change.says for word in words)]
    survived = 0
    with copied() as folder:
        sound = tried(folder, TESTS)
        if sound.failed:
            print(f"the tests fail without any change: {sound.failed}")
            return 1

        print(f"{'':9}{sound.seconds:6.1f} s  without any change", flush=True)
        for change in chosen:
            with changed(folder, change):
                found = tried(folder, change.tests)
            survived += not found.failed
            verdict = "caught" if found.failed else "SURVIVED"
            print(f"{verdict:9}{found.seconds:6.1f} s  {change.says:64} {found.failed}", flush=True)

    print(f"{len(chosen) - survived} of {len(chosen)} caught")
    return int(survived > 0)


@contextmanager
def copied() -> Iterator[Path]:
    """The files of the checkout that git knows, in a folder of their own."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path in filter(None, listed.split("\0")):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target)
        yield folder


@contextmanager
def changed(folder: Path, change: Change) -> Iterator[None]:
    """The copy with one mistake in it; put right again in the end."""
    path = folder / change.file
    sound = path.read_text("utf-8")
    if sound.count(change.old) != 1:
        raise SystemExit(f"{change.file}: the text of {change.says!r} stands there {sound.count(change.old)} times, not once")

    path.write_text(sound.replace(change.old, change.new), "utf-8")
    try:
        yield
    finally:
        path.write_text(sound, "utf-8")


def tried(folder: Path, tests: Sequence[str]) -> Trial:
    """Run the tests up to the first that fails; the copy goes before any engine that is installed."""
    begun = time.monotonic()
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "--tb=no", *tests]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        failed = _first_failure(done.stdout + done.stderr) if done.returncode else ""
    except subprocess.TimeoutExpired:
        failed = "the tests did not end"
    return Trial(failed, time.monotonic() - begun)


def _first_failure(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return lines[0].split(" ", 1)[1] if lines else said.strip()[-200:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
