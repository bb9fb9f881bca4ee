"""Steps of a project: found beside its specs, checked, run, told and approved like the shipped ones, and never found elsewhere."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import transforms.folder
import transforms.isolated
import transforms.packages
from engine.errors import SpecError
from engine.language.compile import load_migration
from tests.e2e.driving import ETL, etl_here
from transforms import STEPS
from transforms.found import SHIPPED
from transforms.own import steps_of
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
        ("cars.py", "def other(value):\n    return value", "def other(value):\n    return 3", True),
        ("cars.py", "BLANK =", "# why\n\nBLANK =", False),
    ],
)
def test_an_approval_covers_the_code(project: Path, file: str, old: str, new: str, counts: bool) -> None:
    """The whole file of a used step counts, and the files that it imports; comments and docstrings do not."""
    before = meaning(project)
    path = project / "transforms" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert (meaning(project) != before) is counts
    path.write_text(text)
    assert meaning(project) == before


CLEAN = "def fix(value):\n    return value\n"
REACHED = {
    "a re-export": {"cars": "from ._a import fix\n\n\ndef plate(value, country=''):\n    return fix(value)\n", "_a": "from ._b import fix\n", "_b": CLEAN},
    "a fall-back": {
        "cars": "try:\n    from nobody_has_this import fix\nexcept ImportError:\n    from ._b import fix\n\n\ndef plate(value, country=''):\n    return fix(value)\n",
        "_b": CLEAN,
    },
    "an alias": {"cars": "from . import _b\n\nrules = _b\n\n\ndef plate(value, country=''):\n    return rules.fix(value)\n", "_b": CLEAN},
    "getattr": {"cars": "from . import _b\n\n\ndef plate(value, country=''):\n    return getattr(_b, 'f' + 'ix')(value)\n", "_b": CLEAN},
    "an effect": {
        "cars": "from . import _a, _patch\n\n\ndef plate(value, country=''):\n    return _a.fix(value)\n",
        "_a": CLEAN,
        "_patch": "from . import _a, _b\n\n_a.fix = _b.fix\n",
        "_b": CLEAN,
    },
    "in a function": {"cars": "def plate(value, country=''):\n    from ._b import fix\n\n    return fix(value)\n", "_b": CLEAN},
    "no statement": {
        "cars": "import importlib\n\n_b = importlib.import_module('._' + 'b', __package__)\n\n\ndef plate(value, country=''):\n    return _b.fix(value)\n",
        "_b": CLEAN,
    },
    "a loop": {"cars": "from ._b import MARK\n\n\ndef plate(value, country=''):\n    return MARK\n", "_b": "for MARK in 'value':\n    pass\n"},
    "a walrus": {"cars": "from ._b import MARK\n\n\ndef plate(value, country=''):\n    return MARK\n", "_b": "(MARK := 'value')\n"},
}


@pytest.mark.parametrize("way", REACHED)
def test_an_approval_is_fooled_by_no_name(project: Path, way: str) -> None:
    """By whichever way code is reached, a change of it changes the mapping's digest."""
    for name, text in REACHED[way].items():
        (project / f"transforms/{name}.py").write_text(text)
    before = meaning(project)
    path = project / "transforms/_b.py"
    path.write_text(path.read_text().replace("value\n", "'-'\n").replace("'value'", "'other'"))
    assert meaning(project) != before


def test_what_a_file_does_not_name_it_cannot_import(project: Path) -> None:
    """A file that hides what it imports finds nothing: its package holds what its digest covers."""
    (project / "transforms/cars.py").write_text("import re\n\ngetattr(re, 'en' + 'um').sys\n_i = __builtins__\n")
    hidden = "_find = vars(re)['en' + 'um'].__dict__['s' + 'ys'].modules['import' + 'lib'].import_module\n_find('._words', __package__)\n"
    (project / "transforms/cars.py").write_text(f"import re\n\n{hidden}")
    assert problems(project) == [("cars.py", 4, "bad-step")]


def test_steps_in_templates_count_too(project: Path) -> None:
    """A step is a filter, and what it does there is approved as well, also where its name is given to `map`."""
    path = project / "transforms/_words.py"
    written(project, """{template: "{{ [name] | map('cars_plate') | join }}"}""")
    before = meaning(project)
    path.write_text('MARK = "+"\n')
    assert meaning(project) != before
    spec = written(project, """{template: "{{ name | cars_plate(country='PT') }}"}""")
    before = meaning(project)
    path.write_text('MARK = "/"\n')
    assert meaning(project) != before
    cases = spec.with_name("cars.test.yaml")
    cases.write_text(json.dumps({"cases": [{"case": "one", "records": {"clients": [{"id": 1, "name": "1 2"}]},
                                            "expect": {"people": {"clients/1": {"fields": {"name": "PT/12"}}}}}]}))  # fmt: skip
    etl_here("test", "specs/cars.yaml", at=project, code=0)


def test_a_step_may_refuse_an_empty_value(project: Path) -> None:
    """It is called with none: neither when the spec is read nor for a record without a value, which has another's place taken by the default."""
    (project / "transforms/cars.py").write_text(
        'def plate(value: str, country: str = "ES") -> str:\n    if not value:\n        raise ValueError("there is no plate")\n    return country + value\n'
    )
    written(project, "{from: name, using: {cars.plate: {country: PT}}, default: none}")
    (project / "specs/cars.test.yaml").write_text(json.dumps({"cases": [
        {"case": name or "empty", "records": {"clients": [{"id": 1, "name": name}]}, "expect": {"people": {"clients/1": {"fields": {"name": becomes}}}}}
        for name, becomes in (("12", "PT12"), (None, "none"), (" ", "none"))
    ]}))  # fmt: skip
    etl_here("validate", "specs/cars.yaml", at=project, code=0)
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
    for path in transforms.folder.SHIPPED_FILES.glob("*.py"):
        (tmp_path / "transforms" / path.name).write_bytes(path.read_bytes())
    assert steps_of(tmp_path) == (SHIPPED, ())


@pytest.mark.parametrize("folder", ["job", "job/specs/eu", "."])
def test_a_spec_somewhere_runs_no_code_of_a_folder_that_nobody_named(tmp_path: Path, folder: str) -> None:
    """`/tmp/job/spec.yaml` does not execute `/tmp/transforms/*.py`; the message says where steps of one's own stand."""
    marker = tmp_path / "ran"
    at = tmp_path / "shared" / folder
    at.mkdir(parents=True)
    for above in (at, at.parent, at.parent.parent):
        (above / "transforms").mkdir(exist_ok=True)
        (above / "transforms/cars.py").write_text(f"open({str(marker)!r}, 'w')\n")
    for using in (USING, """{template: "{{ name | cars_plate }}"}"""):
        (at / "cars.yaml").write_text(SPEC.format(folder=CONNECTORS, using=using))
        with pytest.raises(SpecError) as stop:
            load_migration(at / "cars.yaml", {})
        assert "transforms/ beside specs/" in str(stop.value)
    assert not marker.exists()


def test_a_diff_of_a_spec_at_the_root_of_a_repository_runs_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the folder above the repository nor the one for temporary files is taken for a project."""
    marker = tmp_path / "ran"
    repository, temporary = tmp_path / "repository", tmp_path / "specs"
    for folder in (tmp_path, repository, temporary):
        (folder / "transforms").mkdir(parents=True)
        (folder / "transforms/cars.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (repository / "cars.yaml").write_text(SPEC.format(folder=CONNECTORS, using="name"))
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm begin"):
        subprocess.run(["git", *words.split()], cwd=repository, check=True)
    monkeypatch.setenv("TMPDIR", str(temporary))
    etl_here("diff", "--git", "HEAD", "cars.yaml", at=repository, code=0)
    assert not marker.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes and owners of POSIX")
@pytest.mark.parametrize("part", ["transforms", "transforms/cars.py"])
@pytest.mark.parametrize("how", ["mode", "owner"])
def test_code_that_others_can_change_is_not_run(project: Path, part: str, how: str) -> None:
    """A file or folder that is world-writable, or of another user than the one running or root, is refused before it runs."""
    (project / "transforms/cars.py").write_text(f"open({str(project / 'ran')!r}, 'w')\n")
    if how == "mode":
        (project / part).chmod(0o777)
    elif os.geteuid():
        pytest.skip("only root gives a file away")
    else:
        os.chown(project / part, 12_345, -1)
    assert problems(project) == [(Path(part).name, 1, "bad-step")]
    assert not (project / "ran").exists()


ODD = {
    "a class": "class Plate:\n    def __init__(self, value):\n        pass\n",
    "a function that wraps a class": "import functools\n\n\nclass _C:\n    pass\n\n\n@functools.wraps(_C)\ndef plate(value):\n    return value\n",
    "one that wraps a class of others": "import functools\n\n\n@functools.wraps(str)\ndef plate(value):\n    return value\n",
    "a partial": "import functools\n\nplate = functools.partial(max, 3)\n",
    "a lambda": "plate = lambda value: value\n",
    "asynchronous": "async def plate(value):\n    return value\n",
    "an asynchronous generator": "async def plate(value):\n    yield value\n",
    "a cached asynchronous one": "import functools\n\n\n@functools.cache\nasync def plate(value):\n    return value\n",
    "a generator": "def plate(value):\n    yield value\n",
    "a callable object": "class _C:\n    def __call__(self, value):\n        return value\n\n\nplate = _C()\n",
    "an object that lies": "class _C:\n    def __call__(self, value):\n        return value\n\n    def __getattr__(self, name):\n        return self\n\n\nplate = _C()\n",
    "an object that raises": "class _C:\n    def __getattr__(self, name):\n        raise RuntimeError\n\n    __call__ = 3\n\n\n@lambda f: _C()\ndef plate(value):\n    pass\n",
    "decorated away": "@lambda function: None\ndef plate(value):\n    return value\n",
    "a property": "@property\ndef plate(value):\n    return value\n",
    "sys.exit": "import sys\n\nsys.exit()\n",
    "an exception of its own": "class _E(BaseException):\n    def __str__(self):\n        raise ValueError\n\n\nraise _E\n",
    "GeneratorExit": "raise GeneratorExit\n",
    "RecursionError": "def f(value):\n    return f(value)\n\n\nf(1)\n",
    "too deep": f"X = {'(' * 5000}{')' * 5000}\n",
    "deep enough": f"X = {'-' * 3000}1\n",
    "NUL": "X = '\0'\n",
    "a circle": "from ._words import MARK\n",
    "a hint that names nothing": "def plate(value, x: 'Nowhere[' = 1):\n    return value\n",
    "a hint that raises": "from __future__ import annotations\n\n\ndef plate(value, x: 1 / 0 = 1):\n    return value\n",
    "a signature that lies": "def plate(value):\n    return value\n\n\nplate.__signature__ = 3\n",
    "a wrapper of itself": "def plate(value):\n    return value\n\n\nplate.__wrapped__ = plate\n",
    "a surrogate": "raise ValueError('\\ud800')\n",
    "no name": "del __name__\n\n\ndef plate(value, country=''):\n    return value\n\n\nraise ValueError\n",
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_file_is_a_mistake_and_no_crash(project: Path, kind: str) -> None:
    """Whatever a file holds, its mistake is told with the file, and the command ends with 2."""
    (project / "transforms/cars.py").write_text(ODD[kind])
    if kind == "a circle":
        (project / "transforms/_words.py").write_text("from .cars import MARK\n")
    assert {name for name, *_ in problems(project)} <= {"cars.py", "_words.py"}
    assert "bad-step" in etl_here("validate", "specs/cars.yaml", at=project, code=2).err


def test_an_interruption_in_a_file_is_one(project: Path) -> None:
    """What a person presses while a file is imported ends the command as everywhere, and is no mistake of the file."""
    (project / "transforms/cars.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_migration(project / "specs/cars.yaml", {})
    done = subprocess.run([str(ETL), "validate", "specs/cars.yaml"], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"# -*- coding: latin-1 -*-\nX = '\xe9'\n", "unreadable-file"),
        (b"\xff\xfeX\0", "unreadable-file"),
        (b"#" * 2_000_000, "too-large"),
        (None, "unreadable-file"),
        ("pipe", "unreadable-file"),
        ("nowhere.py", "unreadable-file"),
        ("cars.py", "unreadable-file"),
    ],
    ids=["latin-1", "utf-16", "huge", "folder", "pipe", "nowhere", "circle"],
)
def test_what_is_no_text_is_told(project: Path, data: bytes | str | None, code: str) -> None:
    """A file in another encoding or too large, a folder, a pipe and a link to nothing are no Python files."""
    path = project / "transforms/cars.py"
    path.unlink()
    if data is None:
        path.mkdir()
    elif isinstance(data, bytes):
        path.write_bytes(data)
    elif data == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.with_name(data))
    assert problems(project) == [("cars.py", 1, code)]


@pytest.mark.parametrize("does", ["raise KeyError(value)", "raise SystemExit(3)", "return value + 1", "return {1}", "return float('nan')", "return plate(value)", "return b''"])
def test_a_step_that_fails_leaves_its_field_out(project: Path, does: str) -> None:
    """Whatever it raises or gives is said of the record; that it cannot work with nothing is no mistake of a spec."""
    (project / "transforms/cars.py").write_text(f"def plate(value, country=''):\n    {does}\n")
    cases = project / "specs/cars.test.yaml"
    cases.write_text(json.dumps({"cases": [{"case": "one", "records": {"clients": [{"id": 1, "name": "1 2"}]},
                                            "expect": {"people": {"clients/1": {"fields": {"name": None}}}}}]}))  # fmt: skip
    etl_here("validate", "specs/cars.yaml", at=project, code=0)
    assert "Traceback" not in etl_here("test", "specs/cars.yaml", at=project).out


def test_a_step_changes_no_list_of_others(project: Path) -> None:
    """What a step does to a list that it is handed is seen by nobody else."""
    (project / "transforms/cars.py").write_text("def plate(value, country=''):\n    value.sort()\n    value[0]['n'] = 'X'\n    return value[0]['n']\n")
    given = [{"n": "b"}]
    assert load_migration(project / "specs/cars.yaml", {}).steps.functions["cars.plate"](given) == "X"
    assert given == [{"n": "b"}]


def test_a_decorated_step_is_a_step(project: Path) -> None:
    """One that is cached does not vanish: it is what it wraps, with its arguments."""
    (project / "transforms/cars.py").write_text(f"import functools\n\n{PLATE.replace('def plate', '@functools.lru_cache' + chr(10) + 'def plate')}")
    assert load_migration(project / "specs/cars.yaml", {}).steps.functions["cars.plate"]("1 2") == "ES-12"
    written(project, "{from: name, using: {cars.plate: {land: PT}}}")
    assert [code for *_, code in problems(project)] == ["bad-argument"]


def test_another_step_does_not_touch_the_templates(project: Path) -> None:
    """What a template is made of are the steps that it uses; kept drafts of the others stay."""
    written(project, """{template: "{{ name | text_upper }}"}""")
    told = []
    for text in (CLEAN, CLEAN.replace("value\n", "'-'\n")):
        (project / "transforms/cars.py").write_text(text)
        told.append(repr(load_migration(project / "specs/cars.yaml", {}).spec.objects["people"].fields))
    assert told[0] == told[1]


def test_versions_of_steps_are_let_go(project: Path) -> None:
    """A program that edits its steps does not hold all versions; one that is used can still import what it imports late."""
    late = "def plate(value, country=''):\n    from ._words import MARK\n\n    return MARK"
    written(project, """{template: "{{ name | cars_plate }}"}""")
    first = None
    for number in range(50):
        (project / "transforms/cars.py").write_text(f"{late} + '{number}'\n")
        migration = load_migration(project / "specs/cars.yaml", {})
        first = first or migration
    gc.collect()
    known = transforms.isolated._Texts.known
    held = [name for name, files in known.items() if str(project / "transforms/cars.py") in dict(files.values())]
    assert len(held) <= 17
    assert {name.partition(".")[0] for name in sys.modules if name.startswith("_steps_of_a_project_")} <= known.keys()
    assert first and first.steps.functions["cars.plate"]("x") == "-0"


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
    transforms.packages.of_package.cache_clear()
    yield place
    transforms.packages.of_package.cache_clear()
    for name in [name for name in sys.modules if name.startswith("acme_cars")]:
        del sys.modules[name]


def test_packages_share_steps(project: Path, shared: Path) -> None:
    """By an entry point whose name is the first part of the steps' names; an approval covers their code."""
    written(project, "{from: name, using: {acme.wheel: 3}}")
    migration = load_migration(project / "specs/cars.yaml", {})
    assert migration.steps.functions["acme.wheel"]("a", count=3) == "a3" and migration.steps.code["acme.wheel"]
    written(project, "{from: name, using: {acme.wheel: x}}")
    assert [code for *_, code in problems(project)] == ["bad-argument"]


def test_a_package_that_is_installed_meanwhile_is_found(project: Path, shared: Path) -> None:
    """A process that has looked for packages looks again once something is installed, or taken out."""
    def names() -> list[str]:
        return [name for name, _ in transforms.packages.of_packages()]

    def is_changed() -> None:
        now = shared.stat().st_mtime_ns  # file systems count in steps of milliseconds
        os.utime(shared, ns=(now, now + 10**9))

    assert names() == ["acme"]
    other = shared / "acme_vans-1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-vans\nVersion: 1\n")
    (other / "entry_points.txt").write_text("[declared_etl.transforms]\nvans = acme_cars.steps\n")
    is_changed()
    assert sorted(names()) == ["acme", "vans"]
    for path in (other / "METADATA", other / "entry_points.txt"):
        path.unlink()
    other.rmdir()
    is_changed()
    assert names() == ["acme"]


@pytest.mark.parametrize(
    ("using", "refused"),
    [("{from: name, using: acme.wheel}", "unknown-step"), ("""{template: "{{ name | acme_wheel }}"}""", "bad-template"), (USING, "")],
)
@pytest.mark.parametrize("text", ["X = 1\nimport nobody_has_this\n", "X = 1\nclass wheel:\n    pass\n", "X = (\n(\n"])
def test_a_broken_package_refuses_the_specs_that_use_it(project: Path, shared: Path, text: str, using: str, refused: str) -> None:
    """It is told with file and line where its steps are used; no other spec in the environment minds."""
    (shared / "acme_cars/steps.py").write_text(text)
    written(project, using)
    if not refused:
        load_migration(project / "specs/cars.yaml", {})
        return
    with pytest.raises(SpecError) as stop:
        load_migration(project / "specs/cars.yaml", {})
    assert [item.code for item in stop.value.diagnostics] == [refused]
    assert f"{shared / 'acme_cars/steps.py'}:2: " in str(stop.value)


def test_a_module_that_stands_alone_is_not_its_neighbours(project: Path, shared: Path) -> None:
    """Of a distribution of one module that file counts, and whatever else is installed beside it does not."""
    (shared / "acme_cars-1.dist-info/entry_points.txt").write_text("[declared_etl.transforms]\nacme = acme_cars_alone\n")
    alone = shared / "acme_cars_alone.py"
    alone.write_text("import sys\n\n\ndef wheel(value):\n    return value\n")
    (shared / "neighbour.py").write_text("def broken(:\n")
    written(project, "{from: name, using: acme.wheel}")
    before = package_meaning(project)
    (shared / "neighbour.py").write_text("X = 1\n")
    assert package_meaning(project) == before
    alone.write_text(alone.read_text().replace("return value", "return 1"))
    assert package_meaning(project) != before


@pytest.mark.parametrize("changed", ["__init__.py", "rules/__init__.py", "rules/deep.py", "steps.py"])
@pytest.mark.parametrize("imports", ["from .rules import fix", "from acme_cars.rules import fix", "import acme_cars.rules\n\nfix = acme_cars.rules.fix", "from .rules import *"])
def test_an_approval_covers_what_a_package_imports(project: Path, shared: Path, imports: str, changed: str) -> None:
    """Re-exports of a package, its `__init__` and the modules behind them count; what it does not import does not."""
    package = shared / "acme_cars"
    (package / "rules").mkdir()
    (package / "rules/__init__.py").write_text("from .deep import fix\n")
    (package / "rules/deep.py").write_text(CLEAN)
    (package / "unused.py").write_text("")
    (package / "steps.py").write_text(f"{imports}\n\n\ndef wheel(value):\n    return fix(value)\n")
    written(project, "{from: name, using: acme.wheel}")
    before = package_meaning(project)
    (package / "unused.py").write_text("X = 1\n")
    assert package_meaning(project) == before
    path = package / changed
    path.write_text(f"{path.read_text()}X = 1\n")
    assert package_meaning(project) != before


def package_meaning(project: Path) -> str:
    """The digest after the package has been installed anew."""
    transforms.packages.of_package.cache_clear()
    for name in [name for name in sys.modules if name.startswith("acme_cars")]:
        del sys.modules[name]
    return meaning(project)


def test_names_of_a_package_are_taken(project: Path, shared: Path) -> None:
    """The project's own step of the same name is told at its line."""
    (project / "transforms/acme.py").write_text("\n\ndef wheel(value):\n    return value\n")
    assert problems(project) == [("acme.py", 3, "taken-name")]
