"""Steps of a project: found beside its specs, checked, run, told and approved like the shipped ones, and never found elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import transforms.own
from engine.errors import SpecError
from engine.language.compile import load_migration
from tests.e2e.driving import ETL, etl_here
from transforms import STEPS
from transforms.own import SHIPPED, steps_of
from workbench.meaning import digest_of, parts

CONNECTORS = Path(__file__).parent / "connectors"
PLATE = '''"""Cars."""

import re

from . import _words

BLANK = re.compile(" ")


def plate(value: str | None, country: str = "ES") -> str | None:
    """Write a number plate after its country."""
    return f"{country}{_words.MARK}{BLANK.sub('', value)}" if value else None


def other(value):
    return value


def _hidden(value):
    return value
'''
SPEC = """\
migration: cars
source: {{connector: {folder}/erp.yaml, plan: business}}
destination: {{connector: {folder}/crm.yaml, plan: pro}}
objects:
  people:
    from: clients
    to: contacts
    fields:
      name: {using}
"""
USING = "{from: name, using: {cars.plate: {country: PT}}}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two steps of its own, one of which its spec uses."""
    for name in ("specs", "transforms"):
        (tmp_path / name).mkdir()
    (tmp_path / "transforms/cars.py").write_text(PLATE)
    (tmp_path / "transforms/_words.py").write_text('MARK = "-"\n')
    written(tmp_path, USING)
    return tmp_path


def written(project: Path, using: str) -> Path:
    """The spec, with this expression for a name."""
    spec = project / "specs/cars.yaml"
    spec.write_text(SPEC.format(folder=CONNECTORS, using=using))
    return spec


def meaning(project: Path) -> str:
    """The digest that an approval is given for."""
    return digest_of(parts(load_migration(project / "specs/cars.yaml", {})))


def problems(project: Path) -> list[tuple[str, int, str]]:
    """What is wrong with the spec: file, line and code."""
    with pytest.raises(SpecError) as stop:
        load_migration(project / "specs/cars.yaml", {})
    return [(Path(item.where.file).name, item.where.line, item.code) for item in stop.value.diagnostics if item.where]


def test_a_file_and_its_function_are_a_step(project: Path) -> None:
    """It has its type hints and its docstring; names that begin with _ are none."""
    steps, faults = steps_of(project)
    assert faults == () and steps.functions.keys() - STEPS.keys() == {"cars.plate", "cars.other"}
    assert steps.functions["cars.plate"]("12 AB", country="PT") == "PT-12AB"
    assert load_migration(project / "specs/cars.yaml", {}).steps.code.keys() == {"cars.plate", "cars.other"}


@pytest.mark.parametrize(
    ("using", "found"),
    [
        ("{from: name, using: cars.plat}", "unknown-step"),
        ("{from: name, using: {cars.plate: {land: PT}}}", "bad-argument"),
        ("{from: name, using: {cars.plate: {country: 3}}}", "bad-argument"),
        ("{from: name, using: cars._hidden}", "bad-format"),
        ("{from: name, using: ../cars.plate}", "bad-format"),
        ('{template: "{{ name | cars_plate(land=3) }}"}', "bad-argument"),
        ('{template: "{{ name | cars_plat }}"}', "bad-template"),
    ],
)
def test_a_wrong_use_is_told_where_it_stands(project: Path, using: str, found: str) -> None:
    """An unknown step, an unknown argument and one of the wrong type, as of shipped steps."""
    written(project, using)
    assert [(name, code) for name, _, code in problems(project)] == [("cars.yaml", found)]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("x = 1\ndef plate(value:\n", 2, "bad-step"),
        ("import re\nimport nobody_has_this\n", 2, "bad-step"),
        ("def f():\n    return 1 / 0\n\nX = f()\n", 2, "bad-step"),
        ("raise SystemExit(3)\n", 1, "bad-step"),
        ("\ndef plate():\n    return 1\n", 2, "bad-step"),
        ("def plate(value, *more):\n    return 1\n", 1, "bad-step"),
        ("async def plate(value):\n    return 1\n", 1, "bad-step"),
        ("def plate(value, x: Nowhere = 1):\n    return 1\n", 1, "bad-step"),
        ("from ._words import *\n", 1, "bad-step"),
        ("plate = lambda value: value\n", 1, "bad-step"),
        ("from .. import engine\n", 1, "bad-step"),
        ("from .missing import x\n", 1, "bad-step"),
    ],
)
def test_a_file_that_is_no_good_is_told_with_its_line(project: Path, text: str, line: int, found: str) -> None:
    """What cannot be imported, and functions that cannot be steps; the uses of its steps are not reported on top."""
    (project / "transforms/cars.py").write_text(text)
    assert problems(project) == [("cars.py", line, found)]


def test_names_of_shipped_steps_are_taken(project: Path) -> None:
    """A function with a shipped step's name is refused at its line; others in a file of a shipped topic's name are not."""
    (project / "transforms/text.py").write_text("def shout(value):\n    return value\n\n\ndef squash(value):\n    return value\n")
    assert problems(project) == [("text.py", 5, "taken-name")]


def test_a_name_that_no_spec_can_write_is_refused(project: Path) -> None:
    """A file's name is the first part of a step's."""
    (project / "transforms/my-cars.py").write_text("")
    assert problems(project) == [("my-cars.py", 1, "bad-step")]


@pytest.mark.parametrize("linked", ["cars.py", "."])
def test_nothing_outside_of_the_project_is_imported(project: Path, tmp_path_factory: pytest.TempPathFactory, linked: str) -> None:
    """Neither a link to a file elsewhere nor a folder that is one is followed."""
    outside = tmp_path_factory.mktemp("outside")
    marker = outside / "ran"
    (outside / "cars.py").write_text(f"open({str(marker)!r}, 'w')\n")
    target = project / "transforms"
    for path in target.iterdir():
        path.unlink()
    if linked == ".":
        target.rmdir()
        target.symlink_to(outside)
    else:
        (target / linked).symlink_to(outside / linked)
    assert [code for _, _, code in problems(project)] == ["unreadable-file"]
    assert not marker.exists()


def test_packages_beside_the_files_are_not_imported(project: Path) -> None:
    """A folder in the folder of steps is no module: its code would be covered by no approval."""
    (project / "transforms/deep").mkdir()
    (project / "transforms/deep/__init__.py").write_text("X = 1\n")
    (project / "transforms/cars.py").write_text("from . import deep\n\n\ndef plate(value, country='x'):\n    return value\n")
    assert problems(project) == [("cars.py", 1, "bad-step")]


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("cars.py", "{country}{", "{country}:{", True),
        ("cars.py", 'compile(" ")', 'compile(".")', True),
        ("cars.py", '"ES"', '"IT"', True),
        ("cars.py", "import re\n", "import re\nfrom os import sep\n", True),
        ("_words.py", '"-"', '"_"', True),
        ("_words.py", '"-"', '"-"\nMARK += "!"', True),
        ("cars.py", "Write a number", "Put a number", False),
        ("cars.py", "def other(value):\n    return value", "def other(value):\n    return 3", False),
        ("cars.py", "BLANK =", "# why\n\nBLANK =", False),
    ],
)
def test_an_approval_covers_the_code(project: Path, file: str, old: str, new: str, counts: bool) -> None:
    """Whatever the used step reaches counts, in other files too; comments, docstrings and other steps do not."""
    before = meaning(project)
    path = project / "transforms" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert (meaning(project) != before) is counts
    path.write_text(text)
    assert meaning(project) == before


def test_steps_in_templates_count_too(project: Path) -> None:
    """A step is a filter, and what it does there is approved as well."""
    spec = written(project, """{template: "{{ name | cars_plate(country='PT') }}"}""")
    before = meaning(project)
    path = project / "transforms/_words.py"
    path.write_text('MARK = "/"\n')
    assert meaning(project) != before
    cases = spec.with_name("cars.test.yaml")
    cases.write_text(json.dumps({"cases": [{"case": "one", "records": {"clients": [{"id": 1, "name": "1 2"}]},
                                            "expect": {"people": {"clients/1": {"fields": {"name": "PT/12"}}}}}]}))  # fmt: skip
    etl_here("test", "specs/cars.yaml", at=project, code=0)


def test_drafts_are_made_anew_when_a_step_changes(project: Path) -> None:
    """The code is part of what a kept draft was made of, in a field and in a template."""
    for using in (USING, """{template: "{{ name | cars_plate }}"}"""):
        written(project, using)
        told = []
        for mark in ("1", "2"):
            (project / "transforms/_words.py").write_text(f"MARK = '{mark}'\n")
            told.append(repr(load_migration(project / "specs/cars.yaml", {}).spec.objects["people"].fields))
        assert told[0] != told[1]


def test_cases_test_them_and_a_diff_and_the_document_tell_them(project: Path) -> None:
    """`etl test`, `etl diff --git` and `etl docs` take a project's steps like the shipped ones."""
    cases = project / "specs/cars.test.yaml"
    cases.write_text(json.dumps({"cases": [{"case": "one", "records": {"clients": [{"id": 1, "name": "1 2"}]},
                                            "expect": {"people": {"clients/1": {"fields": {"name": "PT-12"}}}}}]}))  # fmt: skip
    etl_here("validate", "specs/cars.yaml", at=project, code=0)
    etl_here("test", "specs/cars.yaml", at=project, code=0)
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm begin"):
        subprocess.run(["git", *words.split()], cwd=project, check=True)
    assert "steps" not in etl_here("diff", "--git", "HEAD", "specs/cars.yaml", at=project, code=0).out
    (project / "transforms/_words.py").write_text('MARK = "+"\n')
    assert "cars.plate" in etl_here("diff", "--git", "HEAD", "specs/cars.yaml", at=project, code=0).out
    etl_here("test", "specs/cars.yaml", at=project, code=1)
    etl_here("docs", "specs/cars.yaml", "--out", "mapping.md", at=project, code=0)
    assert "Write a number plate after its country" in (project / "mapping.md").read_text().replace("write", "Write")


def test_two_versions_stand_side_by_side(project: Path) -> None:
    """A diff loads two: each has its own code, whatever was imported before."""
    first = steps_of(project)[0].functions["cars.plate"]
    (project / "transforms/_words.py").write_text('MARK = "+"\n')
    second = steps_of(project)[0].functions["cars.plate"]
    assert (first("1"), second("1")) == ("ES-1", "ES+1")
    assert not list(project.rglob("__pycache__"))


def test_copies_of_the_shipped_steps_are_no_news(tmp_path: Path) -> None:
    """In a copy of the checkout its `transforms/` is the shipped one, and nothing of it is imported again."""
    (tmp_path / "transforms").mkdir()
    for path in transforms.own.SHIPPED_FILES.glob("*.py"):
        (tmp_path / "transforms" / path.name).write_bytes(path.read_bytes())
    assert steps_of(tmp_path) == (SHIPPED, ())


def test_nothing_runs_before_a_spec_is_loaded(project: Path) -> None:
    """Help is shown, and commands without a spec run, whatever stands in the folder."""
    (project / "transforms/cars.py").write_text("open('ran', 'w')\n")
    for words in (["--help"], ["run", "--help"], ["completion", "bash"]):
        done = subprocess.run([str(ETL), *words], cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert not (project / "ran").exists()


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that shares the steps of its module `steps` under the name `acme`."""
    place = tmp_path / "site"
    (place / "acme_cars").mkdir(parents=True)
    (place / "acme_cars/__init__.py").write_text("")
    (place / "acme_cars/steps.py").write_text("def wheel(value: str | None, count: int = 4) -> str | None:\n    return f'{value}{count}'\n")
    info = place / "acme_cars-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-cars\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[declared_etl.transforms]\nacme = acme_cars.steps\n")
    monkeypatch.syspath_prepend(str(place))
    transforms.own._of_package.cache_clear()
    yield place
    transforms.own._of_package.cache_clear()
    for name in [name for name in sys.modules if name.startswith("acme_cars")]:
        del sys.modules[name]


def test_packages_share_steps(project: Path, shared: Path) -> None:
    """By an entry point whose name is the first part of the steps' names; an approval covers their code."""
    written(project, "{from: name, using: {acme.wheel: 3}}")
    migration = load_migration(project / "specs/cars.yaml", {})
    assert migration.steps.functions["acme.wheel"]("a", count=3) == "a3" and migration.steps.code["acme.wheel"]
    written(project, "{from: name, using: {acme.wheel: x}}")
    assert [code for *_, code in problems(project)] == ["bad-argument"]


def test_a_package_that_cannot_be_imported_is_told(project: Path, shared: Path) -> None:
    """With what it is called and why, as a mistake and not as a crash."""
    (shared / "acme_cars/steps.py").write_text("import nobody_has_this\n")
    with pytest.raises(SpecError) as stop:
        load_migration(project / "specs/cars.yaml", {})
    assert "nobody_has_this" in str(stop.value) and [item.code for item in stop.value.diagnostics] == ["bad-step"]


def test_names_of_a_package_are_taken(project: Path, shared: Path) -> None:
    """The project's own step of the same name is told at its line."""
    (project / "transforms/acme.py").write_text("\n\ndef wheel(value):\n    return value\n")
    assert [code for *_, code in problems(project)] == ["taken-name"]
