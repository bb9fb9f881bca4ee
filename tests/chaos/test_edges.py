"""Whatever stands in a file, an option or an answer: no code 70, no traceback, no more than five seconds or 500 MB.

A few of each with the other tests; thousands with `-m chaos`.
"""

from __future__ import annotations

import random
import resource
import time
from pathlib import Path

import pytest

from tests.platforms.hostile import files_of, hostile, mutated, options
from tests.platforms.platform import Platform, served
from tests.platforms.project import (
    Done,
    Project,
    call,
    crash,
    mapped,
    migration,
    project,
    readable,
    writable,
)

CODES = (0, 1, 2, 3, 4, 5, 75)
SECONDS = 5.0
MEGABYTES = 500
TEMPLATE = "{% for tag in tags %}{{ tag | upper }}{% endfor %} {{ name | text_squash | truncate(20) }}\n"
SHARE = 50  # mutations, or servers, of one test


def trial_in(folder: Path, platform: Platform) -> Project:
    """A small migration with a template, a setting, a step with an argument, and an .env file."""
    kinds = {"name": "text", "email": "text", "tags": "list"}
    source = {"people": readable("people", **kinds)}
    destination = {"contacts": writable("contacts", ["name"], name="text", email="text")}
    fields = {"name": {"template": "name.j2"}, "email": {"from": "email", "using": {"text.truncate": "$settings.most"}}}
    made = project(folder, platform, source, destination, migration({"contacts": mapped("people", "contacts", fields)}))
    made.write_spec({**made.spec(), "settings": {"most": 200}})
    (folder / "name.j2").write_text(TEMPLATE, encoding="utf-8")
    (folder / ".env").write_text("FOO=caf\u00e9\nSOME_KEY='canary-1234567890'\n", encoding="utf-8")
    return made


def most_memory() -> float:
    """Megabytes that this process has ever had at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def judged(trial: Project, *words: str) -> None:
    """Run a command; it ends as commands end, in time, and says nothing that moves a cursor."""
    begun, before = time.thread_time(), most_memory()
    done: Done = call(trial.folder, trial.env, *words)
    assert done.code in CODES, f"{words}\n{done}\n{crash(trial.folder)}"
    assert "Traceback" not in done.err + done.out, str(done)
    assert "\x1b" not in done.err
    assert time.thread_time() - begun < SECONDS, words
    # what other tests of this process took stands in it already
    assert most_memory() < max(before + 50, MEGABYTES)


@pytest.fixture
def trial(tmp_path: Path) -> Project:
    """The migration on a platform that nobody asks."""
    return trial_in(tmp_path, Platform({"people": [], "contacts": []}))


def mutate(trial: Project, seed: int) -> None:
    """Validate the project with one file of it mutated, or start a command with options that make no sense."""
    rng = random.Random(seed)
    before = files_of(trial.folder)
    name = rng.choice(["options", "spec.yaml", "spec.yaml", "source.yaml", "destination.yaml", "name.j2", ".env"])
    if name == "options":
        judged(trial, rng.choice(("status", "validate", "export", "rollback", "run", "plan")), "spec.yaml", *options(rng))
        return
    (trial.folder / name).write_bytes(mutated(rng, before[name]))
    try:
        judged(trial, "validate", "spec.yaml", *rng.choice(([], ["--json"])))
    finally:
        (trial.folder / name).write_bytes(before[name])


def serve_strangely(folder: Path, seed: int) -> None:
    """A sample, and an export of it, from and to a server that answers something odd."""
    rng = random.Random(seed)
    people = [{"id": at, "name": f"Person {at}", "email": f"p{at}@x.es", "tags": ["a"]} for at in (1, 2)]
    platform = Platform({"people": people, "contacts": []}, before=[hostile(rng)])
    with served(platform):
        made = trial_in(folder, platform)
        for name in ("source.yaml", "destination.yaml"):
            path = folder / name
            path.write_text(path.read_text().replace('"reconcile_after": 0', '"reconcile_after": 0, "timeout": 5'), encoding="utf-8")
        judged(made, "run", "spec.yaml", "--sample", "--env", "live")
        judged(made, "export", "spec.yaml", "--env", "live", "--out", "tables")


def test_a_few_mutations(trial: Project) -> None:
    """Sixty of them, with the other tests."""
    for seed in range(60):
        mutate(trial, seed)


@pytest.mark.chaos
@pytest.mark.parametrize("part", range(100))
def test_mutations(trial: Project, part: int) -> None:
    """Five thousand mutated specs, connectors, templates, .env files and options."""
    for seed in range(part * SHARE, (part + 1) * SHARE):
        mutate(trial, seed)


@pytest.mark.parametrize("seed", range(8))
def test_a_few_hostile_servers(tmp_path: Path, seed: int) -> None:
    """Eight of them, with the other tests."""
    serve_strangely(tmp_path, seed)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(100))
def test_hostile_servers(tmp_path: Path, seed: int) -> None:
    """A hundred servers that answer what no platform should."""
    serve_strangely(tmp_path, seed)
