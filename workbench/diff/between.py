"""Two specs compared: what differs in meaning, and what that does to the staged records."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from engine.cli.environment import variables
from engine.language.compile import load_migration
from engine.store.journal import all_runs
from engine.store.records import all_cursors
from engine.store.tables import Store
from workbench.diff.differences import Difference, differences
from workbench.diff.effect import effect
from workbench.diff.renamed import in_old_names, renamed
from workbench.diff.revision import at_revision
from workbench.diff.text import Compared
from workbench.meaning import STEPS_FOLDER, parts
from workbench.staged import runs, staged


def with_revision(spec: Path, revision: str, store: str) -> Compared:
    """A spec compared with itself as it stood at a revision; raises UsageError without one."""
    with tempfile.TemporaryDirectory() as folder:
        # a folder in it, for nothing beside the files of the revision is read
        old, steps = at_revision(spec, revision, Path(folder) / "revision")
        name = f"{revision}:{spec.name}"
        return _between((name, old, steps), spec, store)


def with_file(old: Path, new: Path, store: str) -> Compared:
    """A spec compared with another one."""
    return _between((old.name, old, STEPS_FOLDER), new, store)


def _between(
    before: tuple[str, Path, Path], after: Path, store: str
) -> Compared:
    """Load both specs, compare them, and map what is staged under both."""
    name, path, steps = before
    env = variables()
    old, new = load_migration(path, env), load_migration(after, env)
    names = renamed(old.spec, new.spec)
    new = in_old_names(new, names)
    found = differences(parts(old, steps), parts(new))
    differing = [*names.in_new_names(found), *names.differences()]
    with staged(new, store) as kept:
        if kept is None:
            return Compared(name, after.name, differing, None)
        with runs(kept, old, new) as (first, second):
            effects = names.effects_in_new_names(effect(first, second, found))
            return Compared(
                name, after.name, differing, effects, _notes(kept, found)
            )


def _notes(store: Store, found: Sequence[Difference]) -> list[str]:
    """What limits the numbers."""
    with store.begin() as connection:
        cursors = [
            item
            for item in all_cursors(connection).values()
            if not item.complete and not item.absent
        ]
        last = [
            row["command"]
            for row in all_runs(connection)
            if row["command"].startswith("run")
        ]
    notes = []
    partly = [
        item.collection
        for item in cursors
        if not item.collection.startswith(("#", "$"))
    ]
    if partly:
        notes.append(
            f"{', '.join(partly)}: only partly read; the numbers cover what is staged"
        )
    if last and last[-1] == "run --sample":
        notes.append(
            "so far only a sample was written; the next full run writes the rest"
        )
    if any(item.area == "users" for item in found):
        notes.append(
            "the people are matched anew by the next run: whom a changed fallback"
            " replaces is not in the numbers"
        )
    return notes
