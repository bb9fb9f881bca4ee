"""Every mistake people make is refused at its place, and none of them ends in a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.connector.load import load_connector
from engine.errors import Diagnostic, SpecError
from engine.spec.load import load_migration
from tests.workbench.mutations import ROOT, SPEC, Mutation, everything
from workbench.excerpt import excerpt, places

MUTATIONS = everything()
KINDS = sorted({item.kind for item in MUTATIONS})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the spec, its connectors and its templates."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("connectors", "templates", "specs"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def problems(project: Path, mutation: Mutation) -> list[Diagnostic]:
    """What loading says about a mutated file; the file is as it was afterwards."""
    path = project / mutation.file
    path.write_bytes(mutation.text)
    try:
        if mutation.file.startswith("connectors/"):
            load_connector(path)
        else:
            load_migration(project / SPEC, {})
    except SpecError as error:
        return list(error.diagnostics)
    finally:
        shutil.copyfile(ROOT / mutation.file, path)
    return []


def told_at(problem: Diagnostic, mutation: Mutation, project: Path) -> bool:
    """Whether a problem is told where the mistake is."""
    if mutation.file.endswith(".j2"):
        inside = places(problem, (project / SPEC).parent).get("template")
        at = (project / mutation.file, mutation.line)
        return isinstance(inside, dict) and (Path(inside["file"]).resolve(), inside["line"]) == at
    if problem.where is None or not problem.where.file.endswith(Path(mutation.file).name):
        return False
    places_told = (mutation.col, mutation.key) if mutation.col else (problem.where.col,)
    return mutation.line in (0, problem.where.line) and problem.where.col in places_told


@pytest.mark.parametrize("kind", KINDS)
def test_mistake_is_told_at_its_place(project: Path, kind: str) -> None:
    """Each mutation of this kind gives a problem at its line and column, with a caret that can be drawn."""
    missed = []
    for mutation in (item for item in MUTATIONS if item.kind == kind):
        found = problems(project, mutation)
        if not any(told_at(item, mutation, project) for item in found):
            missed.append(f"{mutation.name}: " + ("; ".join(map(str, found[:3])) or "accepted"))
        for item in found:
            assert all(line.isprintable() for line in excerpt(item, (project / SPEC).parent))
    assert not missed, "\n".join(missed)


def test_there_are_enough_of_them() -> None:
    """There are at least 200 mutations, and of each file some."""
    assert len(MUTATIONS) >= 200
    assert {item.file for item in MUTATIONS} >= {SPEC, "connectors/stel_order.yaml", "connectors/pipedrive.yaml"}
