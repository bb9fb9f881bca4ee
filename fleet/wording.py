"""What the engine says of a migration, with the next steps that an operator of a fleet has.

It names a spec's file and commands that take it. In a fleet that file is somewhere in a worker's
folder for the time of a turn, and nobody can call these commands.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# what is said of which error, and what is said instead; SPEC is the spec's file, or the word
STEPS = (
    # not approved, or another mapping was
    (
        "etl approve SPEC --env live --by NAME",
        "etl fleet approve NAME --by WHO",
    ),
    # nothing to approve, to verify or to take back yet
    (
        "check --store and --env, or start with: etl run SPEC --sample --env live",
        "start with: etl fleet start NAME sample",
    ),
    ("etl run SPEC --sample --env live", "etl fleet start NAME sample"),
    # cases that fail
    (
        "see why: etl test SPEC; correct the mapping or the cases, or say",
        "see why, in the project: etl test SPEC; correct the mapping or the cases and add it"
        " again, or say",
    ),
    # variables that are missing
    (
        "set it in the environment or in .env",
        "add it to REF.env of the workers' secrets",
    ),
    (
        "set them in the environment or in .env",
        "add them to REF.env of the workers' secrets",
    ),
    # another account or another address
    (
        "give it a store of its own with --store, such as another file, or ?schema=NAME behind"
        " the address of a database",
        "register another account under another name: etl fleet add",
    ),
    ("etl audit SPEC --rebind", "etl fleet start NAME rebind --yes"),
    # a plan that a person has to say yes to, or a destination that refuses all
    (
        "see why with `etl plan SPEC --records`; correct the spec, or add"
        " --yes to go on all the same",
        "correct the spec and add it again, or go on all the same: etl fleet start NAME STAGE"
        " --yes",
    ),
    (
        "see `etl status`, correct the spec, or add --yes to go on without them",
        "correct the spec and add it again, or go on without them: etl fleet start NAME STAGE"
        " --yes",
    ),
    (
        "migrate with: etl run SPEC, or repeat with --yes",
        "migrate with: etl fleet start NAME run, or say yes: etl fleet start NAME STAGE --yes",
    ),
    (
        "is this the right account? If so, add --yes",
        "is this the right account? If so: etl fleet start NAME STAGE --yes",
    ),
    # fields that people have deleted, and a source that has to be read again
    (
        "run with --remake-fields",
        "go on with: etl fleet start NAME WRITES --remake-fields",
    ),
    (
        "run again with --refresh",
        "add it again, and go on with: etl fleet start NAME READS --refresh",
    ),
    # a day's quota is spent
    (
        "everything done so far is saved – run the same command again from",
        "everything done so far is saved – it goes on by itself from",
    ),
    # the database was away, or somebody has the store
    (
        " – check the disk and that nothing else holds it",
        " – it is in the fleet's database",
    ),
    (
        "another etl command has taken over this store, for this one was not heard of – run it"
        " again",
        "this turn was not heard of, and another one has taken over its store",
    ),
    (
        "another etl command is using this store – wait until it has ended, or see what it is"
        " doing: etl status SPEC --env live",
        "a turn that was taken for dead, or somebody's command, still holds the store",
    ),
)

# what has changed since an approval: in a reason it would hide the next step
CHANGED = re.compile(
    r"(the mapping is not the one that [^\n]*):\n.*\n(?=run a new sample)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Told:
    """What an operator knows a migration by."""

    name: str
    secrets: str
    stage: str = "run"
    more: str = ""  # said to this turn, and to be said again


def worded(text: str, spec: Path, told: Told) -> str:
    """A message about an unpacked spec, with the files' names in their project and with commands
    that are to be had; what has changed in a mapping is left out.
    """
    text = CHANGED.sub(r"\1 – ", text)
    for said, instead in STEPS:
        text = re.sub(_pattern(said, spec), _filled(instead, told), text)
    root = spec.parent.parent
    # as seen from anywhere, from the worker's folder and from the turn's; the longer one first: the
    # others may be its end
    for folder in (str(root), os.path.relpath(root), root.name):
        text = text.replace(f"{folder}{os.sep}", "")
    return text


def _pattern(said: str, spec: Path) -> str:
    in_turn = str(spec.relative_to(spec.parents[2]))
    names = (str(spec), os.path.relpath(spec), in_turn, "SPEC")
    files = "|".join(map(re.escape, names))
    return re.escape(said).replace("SPEC", f"(?P<file>{files})")


def _filled(instead: str, told: Told) -> str:
    words = {
        "NAME": told.name,
        "REF": told.secrets,
        "STAGE": f"{told.stage} {told.more}".rstrip(),
        "WRITES": told.stage if told.stage in ("sample", "delta") else "run",
        "READS": told.stage if told.stage in ("plan", "sample") else "run",
        "SPEC": r"\g<file>",
    }
    return re.sub("|".join(words), lambda word: words[word[0]], instead)
