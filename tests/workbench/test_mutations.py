"""Every mistake people make is refused at its place, and none of them ends in a traceback."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.connector.load import load_connector
from engine.errors import Diagnostic, SpecError
from engine.language.compile import load_migration
from tests.workbench.mutations import ROOT, SPEC, Mutation, everything
from workbench.cli import etl
from workbench.excerpt import excerpt, places

MUTATIONS = everything()
KINDS = sorted({item.kind for item in MUTATIONS})

SOME = 2  # of a kind, spread over the files, with the other tests; -m chaos tries all

Told = Mapping[str, object]


def of(kind: str) -> list[Mutation]:
    """The mutations of a kind."""
    return [item for item in MUTATIONS if item.kind == kind]


def some(mutations: list[Mutation]) -> list[Mutation]:
    """A few of them, from the first to the last file."""
    return mutations[:: -(-len(mutations) // SOME)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the spec, its connectors and its templates."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("connectors", "templates", "specs"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def problems(project: Path, mutation: Mutation) -> list[tuple[Diagnostic, Told, list[str]]]:
    """What loading says about a mutated file, each with its places and its excerpt; the file is as it was afterwards."""
    path, folder = project / mutation.file, (project / SPEC).parent
    path.write_bytes(mutation.text)
    try:
        if mutation.file.startswith("connectors/"):
            load_connector(path)
        else:
            load_migration(project / SPEC, {})
    except SpecError as error:
        return [(item, places(item, folder), list(excerpt(item, folder))) for item in error.diagnostics]
    finally:
        shutil.copyfile(ROOT / mutation.file, path)
    return []


def told_at(problem: Diagnostic, told: Told, mutation: Mutation) -> bool:
    """Whether a problem is told where the mistake is; inside a value, the value's own key will do."""
    if mutation.file.endswith(".j2"):
        inside = told.get("template")
        at = (Path(mutation.file).name, mutation.line, mutation.col)
        return isinstance(inside, dict) and (Path(inside["file"]).name, inside["line"], inside["col"]) == at
    where = problem.where
    if where is None or not where.file.endswith(Path(mutation.file).name):
        return False
    return where.line == mutation.line and where.col in (mutation.col, mutation.key)


@pytest.mark.parametrize("kind", KINDS)
def test_mistake_is_told_at_its_place(project: Path, kind: str) -> None:
    """Some mutations of this kind give a problem at their line and column, with a caret that can be drawn."""
    all_are_told(some(of(kind)), project)


@pytest.mark.chaos
@pytest.mark.parametrize("kind", KINDS)
def test_every_mistake_is_told_at_its_place(project: Path, kind: str) -> None:
    """The same for each mutation of this kind."""
    all_are_told(of(kind), project)


def all_are_told(mutations: list[Mutation], project: Path) -> None:
    """Each is told where it is."""
    missed = []
    for mutation in mutations:
        found = problems(project, mutation)
        if not any(told_at(problem, told, mutation) for problem, told, _ in found):
            missed.append(f"{mutation.name}: " + ("; ".join(str(problem) for problem, *_ in found[:3]) or "accepted"))
        assert all(line.isprintable() for _, _, lines in found for line in lines)
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_ends_with_two(project: Path, kind: str) -> None:
    """`etl validate` refuses one of each kind with code 2 and a message, never with a traceback."""
    mutation = next(item for item in MUTATIONS if item.kind == kind)
    path = project / mutation.file
    path.write_bytes(mutation.text)
    try:
        done = CliRunner().invoke(etl(), ["validate", str(project / SPEC)])
    finally:
        shutil.copyfile(ROOT / mutation.file, path)
    assert (done.exit_code, type(done.exception)) == (2, SystemExit), done.output
    assert f"{Path(mutation.file).name}:" in done.output


def test_there_are_enough_of_them() -> None:
    """There are at least 200 mutations, and of each file some."""
    assert len(MUTATIONS) >= 200
    assert {item.file for item in MUTATIONS} >= {SPEC, "connectors/stel_order.yaml", "connectors/pipedrive.yaml"}
