"""`etl review`, and the files that call it on GitHub and on GitLab, as they are written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.language.compile import load_migration
from tests.e2e.driving import (
    AS_INSTALLED,
    BIN,
    INSTALLED,
    environment,
    etl_here,
)
from tests.loopback import serving
from tests.workbench.discussions import Service, job
from workbench.approval import approval_path
from workbench.meaning import digest_of, parts
from workbench.project import example
from workbench.review.comment import MARKER

ROOT = Path(__file__).resolve().parents[2]
SPEC = Path("specs/stel_order_to_pipedrive.yaml")
JOINED = ('"stores[*].name", using: [text.distinct, {text.join: ", "}]', '"stores[*].name", using: [text.distinct, {text.join: " / "}]')
CASES = SPEC.with_name(f"{SPEC.stem}.test.yaml")
Edit = Callable[[str], str]

CHANGES: dict[str, tuple[Path, Edit, int, str]] = {
    "a mapping": (SPEC, lambda text: text.replace(*JOINED), 0, "custom.warehouse"),
    "a case": (CASES, lambda text: text.replace("Talleres  Ruiz SL", "Talleres  Paz SL", 1), 1, "FAILED a client in full"),
    "a mistake": (SPEC, lambda text: text.replace("using: text.squash", "using: text.sqash", 1), 2, "[unknown-step]"),
}


def git(folder: Path, *words: str) -> str:
    """A command of git, as somebody."""
    who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one's own, as `etl init` makes it, with its first commit pushed."""
    origin, folder = tmp_path_factory.mktemp("origin"), tmp_path_factory.mktemp("project")
    for name, text in example("stel_order_to_pipedrive").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    git(origin, "init", "-q", "--bare", "-b", "main")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", str(origin))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Begin")
    git(folder, "push", "-q", "origin", "main")
    return folder


@pytest.fixture
def project(begun: Path, tmp_path: Path) -> Path:
    """A branch of it, while somebody else's change has gone into main."""
    folder = tmp_path / "project"
    git(tmp_path, "clone", "-q", str(begun), str(folder))
    git(folder, "checkout", "-q", "-b", "change")
    git(begun, "checkout", "-q", "main")
    return folder


def edited(folder: Path, what: str) -> None:
    """A commit with one of the changes."""
    path, edit, _, _ = CHANGES[what]
    before = (folder / path).read_text(encoding="utf-8")
    assert edit(before) != before
    (folder / path).write_text(edit(before), encoding="utf-8")
    git(folder, "commit", "-qam", what)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_told_in_one_text(project: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does, which case fails, or what is wrong, with the code for it."""
    edited(project, what)
    monkeypatch.chdir(project)
    done = etl_here("review", "--base", "origin/main", at=project)
    _, _, code, said = CHANGES[what]
    assert (done.code, said in done.out) == (code, True), done.out
    assert str(SPEC) in done.out


def test_the_work_of_others_is_no_part_of_a_change(project: Path, begun: Path) -> None:
    """It is compared with where it began, not with what its branch has become since."""
    edited(begun, "a mapping")
    try:
        git(project, "fetch", "-q", "origin")
        done = etl_here("review", "--base", "origin/main", at=project)
    finally:
        git(begun, "reset", "-q", "--hard", "HEAD~1")
    assert done.code == 0
    assert "No difference in meaning" in done.out


def test_a_new_spec_is_told_as_new(project: Path) -> None:
    """There is nothing to compare it with, and nothing fails."""
    text = (project / SPEC).read_text(encoding="utf-8")
    (project / "specs" / "another.yaml").write_text(text, encoding="utf-8")
    git(project, "add", ".")
    git(project, "commit", "-qm", "Another")
    done = etl_here("review", "specs/another.yaml", "--base", "origin/main", at=project)
    assert done.code == 0
    assert "**New**" in done.out and "**No cases**" in done.out


# -- the files that call it


def commands(kind: str) -> tuple[list[str], dict[str, str]]:
    """The lines that a file runs, and the variables that it gives them."""
    if kind == "gitlab":
        read: Any = yaml.safe_load((ROOT / "workbench/frame/gitlab-ci.yml").read_text(encoding="utf-8"))
        return read["mapping"]["script"], {}
    name = "workbench/frame/mapping.yml" if kind == "github" else "action.yml"
    read = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    steps = read["jobs"]["mapping"]["steps"] if kind == "github" else read["runs"]["steps"]
    given = {key: value for step in steps for key, value in step.get("env", {}).items()}
    return [step["run"] for step in steps if "run" in step], given


@pytest.fixture(params=["github", "gitlab", "action"])
def service(request: pytest.FixtureRequest) -> Iterator[tuple[str, Service]]:
    server = Service("gitlab" if request.param == "gitlab" else "github")
    with serving(server):
        yield request.param, server


@pytest.mark.installed
@pytest.mark.xdist_group("installed")  # one installs etl anew in the environment that all of them use
def test_the_files_run_as_they_are_written(service: tuple[str, Service], project: Path, tmp_path: Path) -> None:
    """Two pushes, the first with a failing case: one comment, updated, with the text of the last; the codes tell."""
    kind, server = service
    lines, given = commands(kind)
    known = {"${{ github.token }}": "sesame", "${{ inputs.token }}": "sesame", "${{ inputs.base }}": "origin/main"}
    env = environment({
        **AS_INSTALLED,
        **{name: known[value] for name, value in given.items()},
        **job(server, tmp_path),
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_ACTION_PATH": str(sources(tmp_path)),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "PATH": os.pathsep.join((*([] if INSTALLED else [str(shims(tmp_path))]), str(BIN), os.environ["PATH"])),
    })  # fmt: skip

    def push() -> tuple[int, str]:
        script = "set -e\n" + "\n".join(lines)
        done = subprocess.run(["bash", "-c", script], cwd=project, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    edited(project, "a case")
    code, told = push()
    assert code == 1 and "FAILED a client in full" in told, told
    git(project, "revert", "--no-edit", "HEAD")
    edited(project, "a mapping")
    code, told = push()
    assert code == 0, told
    (comment,) = server.comments
    assert comment["body"].startswith(MARKER)
    assert "custom.warehouse" in comment["body"] and "FAILED" not in comment["body"]
    assert kind == "gitlab" or "custom.warehouse" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def sources(folder: Path) -> Path:
    """What the action is installed from: in an environment of the wheel, a copy of this repository, for pip leaves files behind."""
    if not INSTALLED:
        return ROOT
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in listed:
        if name and not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
            (folder / "action" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / "action" / name)
    return folder / "action"


def shims(folder: Path) -> Path:
    """A `pip` that has installed what is asked for already; with an environment of the wheel, its own is called."""
    (folder / "bin").mkdir()
    pip = folder / "bin" / "pip"
    pip.write_text('#!/bin/sh\n[ "$1" = install ]\n', encoding="utf-8")
    pip.chmod(0o755)
    return folder / "bin"


def test_an_approval_that_a_change_voids_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval beside the spec is looked at: nothing is said while it holds, and who approved what once the mapping is another."""
    monkeypatch.chdir(project)
    migration = load_migration(SPEC, {})
    made = {
        "migration": migration.spec.name,
        "digest": digest_of(parts(migration)),
        "approved": {"by": "Ana", "at": "2026-01-02 03:04:05 UTC"},
        "sample": {"run": 1, "environment": "live", "verdict": {"arrived": 1}},
        "parts": {"quotes": "01234567"},
    }
    approval_path(SPEC).write_text(json.dumps(made), encoding="utf-8")
    git(project, "add", ".")
    git(project, "commit", "-qm", "Approve")
    assert "does not hold" not in etl_here("review", "--base", "origin/main", at=project).out
    edited(project, "a mapping")
    done = etl_here("review", "--base", "origin/main", at=project, code=0)
    assert "**The approval does not hold**: what Ana approved on 2026-01-02 03:04:05 UTC is another mapping" in done.out
