"""What the documentation shows is what happens: commands, options, steps, links, snippets."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import get_args

import click
import pytest
import yaml

from engine.errors import Code
from sandbox.launch import launch
from sandbox.pipedrive.switches import Switches
from sandbox.stel_order.switches import SWITCHES
from tests.chaos.harness import SPEED
from tests.e2e.driving import ETL, HURRIED, checkout, environment, etl_here
from transforms import STEPS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
SIZE = "60"  # records of the sandbox's source
SAMPLE = ("records: 200", "records: 20")  # so that a full run has something left to do

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(etl [^`\n]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

# Shown commands that are not run by the test: they make environments, or are this test's own caller.
SKIPPED = ("python3 -m venv ", ".venv/bin/pip install ", ".venv/bin/python -m pytest ", ".venv/bin/python -m tests.strangers", ".venv/bin/python -m tests.clients", ".ci/run", "source ")
LONGEST_DECISION = 60
UNTOLD = {"--seats", "--latency-ms", "--fault", "--set", "--speed"}  # no help in sandbox/cli.py; docs/sandbox.md tells them


@dataclass(frozen=True, slots=True)
class Shown:
    """One command of a page, and the exit code the page says it has."""

    page: str
    command: str
    code: int

    def __str__(self) -> str:
        return f"{self.page}: {self.command}"


def named(path: Path) -> str:
    """A page as messages name it."""
    return path.relative_to(ROOT).as_posix()


def commands(path: Path) -> Iterator[Shown]:
    """Every command in a page's `bash` and `console` blocks; `# exit 1` behind one says its code."""
    for language, block in FENCE.findall(path.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if language == "bash" or (language == "console" and line.startswith("$ ")):
                text, _, remark = line.removeprefix("$ ").partition("  # ")
                code = re.search(r"exit (\d+)", remark)
                parts = [part.strip() for part in text.split(" && ")]
                for position, part in enumerate(parts):
                    if part and not part.startswith("#"):
                        yield Shown(named(path), part, int(code[1]) if code and position == len(parts) - 1 else 0)


def shown() -> list[Shown]:
    """Every command of every page that can be run here."""
    return [item for page in PAGES for item in commands(page) if not item.command.startswith(SKIPPED)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a migration needs of the checkout, on plans that do not keep the test waiting."""
    folder = tmp_path_factory.mktemp("docs") / "checkout"
    checkout(folder, SAMPLE)
    for name in ("schemas", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "begin"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.mark.pages
def test_every_command_shown_works(copy: Path) -> None:
    """In the order of the pages, on one sandbox, each with the exit code its page says (1 for the README's first run)."""
    assert len(shown()) >= 8
    with launch("pipedrive", plan="ultimate", extra_args=["--speed", str(SPEED)]) as trial:  # that of docs/connectors/check.md
        lines = (f"PIPEDRIVE_BASE_URL={trial.base_url}", f"PIPEDRIVE_API_TOKEN={trial.key}")
        (copy / "trial.env").write_text("\n".join(lines), encoding="utf-8")
        shutil.copy(ROOT / "tests/workbench/probe/rows.yaml", copy / "rows.yaml")
        assert run_all(copy) == []


def run_all(copy: Path) -> list[str]:
    """Run every command that is shown; those that end otherwise than their page says.

    A command is a process where it is shown first; afterwards it runs in this one, which is quicker.
    """
    wrong, begun = [], set[str]()
    for item in shown():
        words = shlex.split(item.command.removeprefix(".venv/bin/"))
        run = ran_here if words[0] == "etl" and words[1] in begun else ran
        begun.add(words[1])
        code, told = run(words, copy)
        expected = 1 if item.command.startswith(".venv/bin/etl run") else item.code
        if code != expected:
            wrong.append(f"{item}: exit {code}, not {expected}: {told[-500:]}")
    return wrong


def ran(words: list[str], copy: Path) -> tuple[int, str]:
    """Exit code and complaints of a command that is started as a process."""
    env = environment({"PATH": f"{ETL.parent}{os.pathsep}{os.environ['PATH']}", "ETL_SANDBOX_SIZE": SIZE, **HURRIED})
    silent = subprocess.DEVNULL
    done = subprocess.run(words, cwd=copy, env=env, stdin=silent, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stderr


def ran_here(words: list[str], copy: Path) -> tuple[int, str]:
    """The same of `etl` in this process."""
    done = etl_here(*words[1:], at=copy, env={"ETL_SANDBOX_SIZE": SIZE, **HURRIED})
    return done.code, done.err


def blocks_of_python(page: Path) -> list[str]:
    """A page's Python, in its order."""
    return [block for language, block in FENCE.findall(page.read_text(encoding="utf-8")) if language == "python"]


# Programs for a scheduler need that scheduler: tests/orchestrators runs them.
PROGRAMS = [page for page in PAGES if blocks_of_python(page) and page.parent.name != "orchestrators"]


@pytest.mark.long
@pytest.mark.parametrize("page", PROGRAMS, ids=named)
def test_every_program_shown_works(copy: Path, page: Path, tmp_path: Path) -> None:
    """The Python of a page runs from its first line to its last, in a checkout in which nothing has been migrated."""
    here = shutil.copytree(copy, tmp_path / "checkout")
    shutil.rmtree(here / "var", ignore_errors=True)
    env = environment({"ETL_SANDBOX_SIZE": "60", **HURRIED})
    program = "\n".join(blocks_of_python(page))
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=here, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_what_validate_prints_is_what_the_readme_shows(copy: Path) -> None:
    """The one output of a console block that never changes with the data."""
    command = [str(ETL), "validate", "specs/stel_order_to_pipedrive.yaml"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_of_the_readme() -> None:
    """One installs and runs the sample, the other installs and passes the tests; .ci/run takes the latter from there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for language, block in FENCE.findall(readme) if language == "bash" for line in block.splitlines()]
    assert len(lines) == 2
    assert lines[0].endswith(".venv/bin/etl run specs/stel_order_to_pipedrive.yaml --sample")
    assert "pip install -q -e '.[dev]'" in lines[1] and "-m pytest" in lines[1]
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "README.md" in script and "-m pytest -q -n" not in script
    assert os.access(ROOT / ".ci/run", os.X_OK)


def generator() -> ModuleType:
    """`docs/generate.py` as a module."""
    found = util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert found is not None and found.loader is not None
    module = util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "transforms.md"])
def test_pages_made_of_the_code_are_up_to_date(page: str) -> None:
    """`python docs/generate.py` would change nothing."""
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == generator().made(page)


def test_every_command_and_option_is_told() -> None:
    """Each has a help text, and stands on docs/cli.md."""
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    for name, command in generator().all_commands():
        assert f"## `{name}" in text and command.help
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[0] in text
                assert option.help or option.opts[0] in UNTOLD, f"{name} {option.opts[0]} has no help"


def test_every_command_has_its_row() -> None:
    """The table of what each command is for, on docs/cli.md, names all of them."""
    table = re.findall(r"^\| `(etl [^`]+)` \| .", (ROOT / "docs/cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, _ in generator().all_commands() if not any(f"{row} ".startswith(f"{name} ") for row in table)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_inside_sentences_exist(page: Path) -> None:
    """What stands in backquotes as a command of `etl` names a command and options that there are."""
    known = dict(generator().all_commands())
    wrong = []
    lines = INLINE.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    for text in (part for line in lines for part in line.split(" && ") if part.startswith("etl ")):
        words = text.split()
        command = known.get(" ".join(words[:2])) or known.get(" ".join(words[:3]))
        options = {name for item in command.params for name in item.opts} if command else set()
        if command is None or not {word for word in words if re.match("--[a-z]", word)} <= options:
            wrong.append(text)
    assert wrong == []


def test_commands_stand_in_blocks_that_are_run() -> None:
    """No block of another kind begins a line with `etl`; the tutorial has a test of its own, a server never ends."""
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            run_elsewhere = page.name == "fleet.md" and language == "shell"  # tests/fleet/test_page.py
            if language not in ("bash", "console", "sh", "yaml") and not run_elsewhere and re.search(r"^\$? ?etl (?!sandbox serve)", block, re.MULTILINE):
                wrong.append(f"{named(page)}: {block.splitlines()[0]}")
            if language == "sh" and page.name != "tutorial.md":
                wrong.append(f"{named(page)}: a block of sh")
    assert wrong == []


def test_every_step_is_told() -> None:
    """Each stands on docs/transforms.md with an example and its outcome."""
    text = (ROOT / "docs/transforms.md").read_text(encoding="utf-8")
    for name, step in STEPS.items():
        assert f"### `{name}`" in text
        assert "```yaml" in (step.__doc__ or "") and "becomes" in (step.__doc__ or ""), name


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    plain = re.sub(r"[`*\[\]]|\([^)]*\)", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    return {slug(heading) for heading in HEADING.findall(page.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the checkout, and to a heading of it where they name one."""
    wrong = []
    for target in LINK.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_yaml_snippets_are_yaml(page: Path) -> None:
    """Every snippet can be read."""
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "yaml":
            yaml.safe_load(block)


def test_modules_that_pages_name_exist() -> None:
    """A path in backquotes that looks like one of ours is there."""
    ours = re.compile(r"`((?:engine|tests|schemas|connectors|sandbox|transforms)/[\w./]+\.\w+)`")
    wrong = [
        f"{named(page)}: {path}"
        for page in PAGES
        for path in ours.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / path).exists() and "NAME" not in path and "TOPIC" not in path
    ]
    assert wrong == []


NAMED = re.compile(r"\[`([A-Za-z_.]+)`\]\(((?:\.\./)+engine/[\w/]+\.py)\)")


def defined_in(path: Path) -> set[str]:
    """What a module defines, methods by the name of their class and their own."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def test_functions_that_pages_link_to_are_there() -> None:
    """A page that names a function and the file it stands in is right about both, in the glossary and everywhere else."""
    wrong = []
    for page in (path for path in PAGES if "decisions" not in path.parts):
        for name, target in NAMED.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve()
            if name != path.name and name not in defined_in(path):
                wrong.append(f"{named(page)}: {name} in {target}")
    assert wrong == []


ROW = re.compile(r"^\| (\d+) \| (?P<sentence>.+?) \| (?P<state>.+?) \| (?P<where>.+?) \| (?P<test>.+?) \|$", re.MULTILINE)
CITED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
CASE = re.compile(r"`case: ([^`]+)`")


def brief() -> str:
    """The page about the brief, without what is kept in comments."""
    return re.sub(r"<!--.*?-->", "", (ROOT / "docs/brief.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_every_sentence_of_the_brief_has_its_state_and_a_test() -> None:
    """Rows are numbered through; each holds, holds partly and says what is missing, or is not possible; each cites a test, or says that there is none."""
    rows = list(ROW.finditer(brief()))
    assert [int(row[1]) for row in rows] == list(range(1, 1 + len(re.findall(r"^\| \d", brief(), re.MULTILINE))))
    assert [row[1] for row in rows if not re.match(r"holds\b|(partly|not possible): \S", row["state"])] == []
    shown = [row for row in rows if CITED.search(row["test"]) or CASE.search(row["test"])]
    assert [row[1] for row in rows if row not in shown and row["test"] != "no test on a record"] == []
    assert [row[1] for row in rows if row not in shown and row["state"].startswith("holds")] == []


def test_tests_that_the_brief_cites_are_there() -> None:
    """Each test by its file and its name, each case of the shipped spec by what it is called."""
    cases = yaml.safe_load((ROOT / "specs/stel_order_to_pipedrive.test.yaml").read_text(encoding="utf-8"))["cases"]
    cited, named_ = CITED.findall(brief()), CASE.findall(brief())
    assert len(cited) > 80 and len(named_) > 10
    defined = {path: defined_in(ROOT / path) if (ROOT / path).exists() else set() for path, _ in cited}
    assert [f"{path}::{name}" for path, name in cited if name not in defined[path]] == []
    assert sorted(set(named_) - {case["case"] for case in cases}) == []


def test_decisions_are_short_and_numbered() -> None:
    """At most sixty lines each, numbered without a gap."""
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert [page.name for page in pages if len(page.read_text(encoding="utf-8").splitlines()) > LONGEST_DECISION] == []


def test_every_dependency_has_its_reason() -> None:
    """What pyproject.toml installs stands in the decision about dependencies."""
    text = (ROOT / "docs/decisions/0002-dependencies.md").read_text(encoding="utf-8").lower()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert [name for name in (re.split(r"[^\w.-]", item)[0].lower() for item in wanted) if name not in text] == []


def test_switches_of_the_sandbox_are_told() -> None:
    """Every behaviour nobody has confirmed stands on its platform's page, with where the connector stands."""
    source = (ROOT / "docs/connectors/stel_order.md").read_text(encoding="utf-8")
    destination = (ROOT / "docs/connectors/pipedrive.md").read_text(encoding="utf-8")
    helpers = {"token_round", "forbidden"}  # settings of a test rather than open questions
    assert [name for name in SWITCHES if f"`{name}=" not in source and name not in helpers] == []
    assert [item.name for item in fields(Switches) if f"`{item.name}=" not in destination] == []


def test_every_code_of_a_mistake_is_explained() -> None:
    """docs/mistakes.md says of each code what it means and what to do, in the order of the list, and explains no other."""
    page = (ROOT / "docs/mistakes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+(?:\\\|[^|]+)*) \| (.+) \|$", page, re.MULTILINE)
    assert [code for code, _, _ in rows] == list(get_args(Code))
    assert 25 <= len(rows) <= 51


def test_every_code_of_a_mistake_is_used() -> None:
    """A code that nothing reports would be noise on the page."""
    texts = [path.read_text(encoding="utf-8") for name in ("engine", "transforms", "workbench") for path in (ROOT / name).rglob("*.py") if path.name != "errors.py"]
    assert [code for code in get_args(Code) if not any(f'"{code}"' in text for text in texts)] == []


@pytest.mark.long
def test_the_site_has_no_dead_link(tmp_path: Path) -> None:
    """The pages make a site, every link of which leads to a page, an anchor or a file."""
    pytest.importorskip("zensical", reason="needs the extra `docs`")
    command = [sys.executable, "docs/website.py", str(tmp_path / "site")]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "; 0 dead links" in made.stdout
    assert (tmp_path / "site" / "spec" / "index.html").exists()
