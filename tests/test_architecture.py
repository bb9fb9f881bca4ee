"""The shape of the code: who may import whom, which library stands where, how large things may be."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from engine.connector.load import load_connector
from tests.mutations import CHANGES

ROOT = Path(__file__).resolve().parent.parent
OURS = ("declared_etl", "engine", "fleet", "transforms", "sandbox", "workbench")

# The rooms of the engine, in the order of their imports: a room uses rooms above its own, never one below. The modules of
# one room may use each other. Four files stand in the root. A new room, or a new module of the workbench, is entered here.
LAYERS: tuple[tuple[str, bool], ...] = (
    ("engine.errors engine.values", False),
    ("engine.config.*", True),
    ("engine.store.*", True),
    ("engine.connector.*", True),
    ("engine.language.*", True),
    ("engine.session", False),
    ("engine.extract.*", True),
    ("engine.mapping.*", True),
    ("engine.sampling.*", True),
    ("engine.destination.*", True),
    ("engine.plan.*", True),
    ("engine.load.*", True),
    ("engine.verify.*", True),
    ("engine.rollback.*", True),
    ("engine.pipeline", False),
    ("engine.report.*", True),
    ("engine.cli.environment", False),
    ("engine.library.*", True),
    ("workbench.contradictions workbench.given workbench.idle", False),
    ("workbench.export workbench.writing workbench.doubts workbench.editors workbench.meaning workbench.excerpt "
     "workbench.live workbench.staged workbench.beside workbench.connectors", False),
    ("workbench.upgrading", False),
    ("workbench.problems", False),
    ("workbench.diff.*", True),
    ("workbench.cases.*", True),
    ("workbench.manual.*", True),
    ("workbench.propose.*", True),
    ("workbench.probe.*", True),
    ("workbench.openapi.*", True),
    ("workbench.approval workbench.scaffold workbench.project", False),
    ("workbench.review.*", True),
    ("engine.cli.*", True),
    ("workbench.commands.options", False),
    ("workbench.commands.connector_check workbench.commands.connector_new", False),
    ("workbench.commands.*", False),
    ("fleet.waits", False),
    ("fleet.groups", False),
    ("fleet.bundle fleet.ending fleet.secrets fleet.accounts fleet.notify fleet.spent fleet.lines fleet.places fleet.wording fleet.forecast", False),
    ("fleet.process", False),
    ("fleet.turn", False),
    ("fleet.records.database", False),
    ("fleet.records.tables", False),
    ("fleet.records.members", False),
    ("fleet.records.registry fleet.records.occupancy", False),
    ("fleet.records.turns fleet.records.figures fleet.records.reports fleet.records.alive", False),
    ("fleet.records.jobs", False),
    ("fleet.queue fleet.status", False),
    ("fleet.registering fleet.worker fleet.metrics", False),
    ("fleet.cli", False),
    ("workbench.cli", False),
    ("workbench.__main__", False),
)

# A library has one door.
DOORS = {
    "httpx": ("engine/connector/", "workbench/openapi/fetch.py", "workbench/review/comment.py"),
    "yaml": ("engine/config/document.py",),
    "ruamel": ("workbench/writing.py",),
    "jinja2": ("engine/language/jinja.py",),
    "petl": ("workbench/export.py",),
    "openpyxl": ("workbench/export.py",),
    "sqlalchemy": ("engine/store/", "fleet/"),
    "procrastinate": ("fleet/queue.py", "fleet/worker.py"),
    "prometheus_client": ("fleet/metrics.py",),
    "click": ("engine/cli/", "workbench/cli.py", "workbench/commands/", "fleet/cli.py"),
    "rich": ("engine/cli/", "engine/report/", "workbench/commands/", "fleet/"),
    "jsonschema": ("engine/config/validation.py",),
    "dotenv": ("engine/cli/environment.py", "fleet/secrets.py"),
    "nh3": ("transforms/html.py",),
    "starlette": (),
    "uvicorn": (),
}

MAY_START_THE_SANDBOX = ("workbench.cli", "engine.cli.environment")
VAGUE = re.compile(r"(Manager|Helper|Util|Utils|Base|Factory|Handler|Processor)$")
UNFINISHED = re.compile(r"NotImplementedError|\bTODO\b|\bFIXME\b|\bXXX\b")

BUDGET = 197_899  # tokens of engine/ without its faces: command line, reports, library. What is saved is taken off; what raises it has a page.
# It is raised only by a page in docs/decisions/ that says what the tokens are for and why nothing else can go.

READ = ("declared_etl", "engine", "fleet", "transforms", "workbench")  # under the rules of what a reader feels
WIDEST = 100  # columns


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def files(*folders: str) -> list[Path]:
    """The Python files below these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def shown(path: Path) -> str:
    """A file as messages name it."""
    return path.relative_to(ROOT).as_posix()


def name_of(path: Path) -> str:
    """The module a file is."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> frozenset[str]:
    """Every module of ours."""
    return frozenset(name_of(path) for path in files(*OURS))


@cache
def imports(path: Path) -> tuple[tuple[str, int, bool], ...]:
    """Every module a file imports, with the line and whether that happens inside a function."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    inside = {id(node) for top in ast.walk(tree(path)) if isinstance(top, ast.FunctionDef) for node in ast.walk(top)}
    for node in ast.walk(tree(path)):
        late = id(node) in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(path.relative_to(ROOT).parts[: -node.level]) if node.level else ""
            origin = ".".join(part for part in (above, node.module or "") if part)
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield (inner if inner in modules() else origin), node.lineno, late


def row_of(module: str) -> int:
    """The first row that names a module, exactly or by its package."""
    for position, (names, _) in enumerate(LAYERS):
        if any(module == name or (name.endswith(".*") and module.startswith(name[:-1])) for name in names.split()):
            return position
    return -1


def layered_files() -> list[Path]:
    """The modules of the engine, the workbench and the fleet without the empty package files."""
    return [path for path in files("engine", "workbench", "fleet") if path.name != "__init__.py"]


def test_every_module_has_its_place() -> None:
    """A new module of the engine, the workbench or the fleet is entered in the table of layers."""
    assert [shown(path) for path in layered_files() if row_of(name_of(path)) < 0] == []


def test_imports_run_one_way() -> None:
    """A module uses only rows above its own, or its own row where that says so."""
    wrong = []
    for path in layered_files():
        row = row_of(name_of(path))
        for found, line, _ in imports(path):
            other = row_of(found) if found.startswith(("engine.", "workbench.", "fleet.")) else -1
            if other > row or (other == row and not LAYERS[row][1]):
                wrong.append(f"{shown(path)}:{line}: imports {found}")
    assert wrong == []


def test_no_module_imports_itself_in_a_circle() -> None:
    """Rows whose modules may use each other hide no circle."""
    graph = {name_of(path): {found for found, _, _ in imports(path) if found in modules()} for path in layered_files()}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " > ".join((*above, module))
        if module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_four_files_stand_in_the_root() -> None:
    """Everything else of the engine stands in a room."""
    found = {path.stem for path in (ROOT / "engine").glob("*.py")}
    assert found == {"__init__", "errors", "values", "session", "pipeline"}


def test_a_run_is_wired_in_one_place() -> None:
    """Commands, programs, tests and measurements get their run from `wire`: nothing else makes a Run."""
    makers = {
        shown(path)
        for path in files("engine", "workbench", "tests", "bench")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Run"
    }
    assert makers == {"engine/session.py"}


def only_names_a_type(path: Path) -> bool:
    """Whether sqlalchemy is used for nothing but the type of a connection that is handed on."""
    hints = [getattr(node, name, None) for node in ast.walk(tree(path)) for name in ("annotation", "returns")]
    hints += [node.value for node in tree(path).body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)]  # a type's name
    noted = {id(inner) for hint in hints if hint is not None for inner in ast.walk(hint)}
    uses = [
        node for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sa"
    ]  # fmt: skip
    return all(node.attr == "Connection" and id(node) in noted for node in uses)


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str) -> None:
    """Each library is imported where the design says; a connection may be named as a type elsewhere."""
    wrong = [
        f"{shown(path)}:{line}: imports {found}"
        for path in files("engine", "transforms", "workbench")
        for found, line, _ in imports(path)
        if found.partition(".")[0] == library
        and not shown(path).startswith(DOORS[library])
        and not (library == "sqlalchemy" and only_names_a_type(path))
    ]
    assert wrong == []


def test_the_sandbox_and_the_engine_stand_apart() -> None:
    """The emulators know nothing of the engine; the engine starts them in two places, when asked to."""
    wrong = [
        f"{shown(path)}:{line}: imports {found}"
        for path in files("sandbox", "engine", "transforms", "workbench")
        for found, line, late in imports(path)
        if (path.is_relative_to(ROOT / "sandbox") and found.partition(".")[0] in ("engine", "transforms", "workbench"))
        or (found.partition(".")[0] == "sandbox" and name_of(path) in MAY_START_THE_SANDBOX and not late)
        or (found.partition(".")[0] == "sandbox" and name_of(path).startswith(("engine", "transforms", "workbench"))
            and name_of(path) not in MAY_START_THE_SANDBOX)
    ]  # fmt: skip
    assert wrong == []


def test_nothing_imports_the_workbench() -> None:
    """The workbench stands on the engine's public functions; engine, transforms and sandbox do without it."""
    wrong = [
        f"{shown(path)}:{line}: imports {found}"
        for path in files("engine", "transforms", "sandbox")
        for found, line, _ in imports(path)
        if found.partition(".")[0] == "workbench"
    ]
    private = [
        f"{shown(path)}:{node.lineno}: {alias.name} of {node.module}"
        for path in files("workbench")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("engine")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert wrong + private == []


def test_transforms_stand_alone() -> None:
    """Steps are pure functions of values: they import nothing of ours but each other."""
    wrong = [
        f"{shown(path)}:{line}: imports {found}"
        for path in files("transforms")
        for found, line, _ in imports(path)
        if found.partition(".")[0] in ("engine", "sandbox", "workbench")
    ]
    assert wrong == []


def test_the_sandbox_reads_no_connector() -> None:
    """Emulators are written from the reference, not from what the engine believes."""
    assert [shown(path) for path in files("sandbox") if "connectors/" in path.read_text(encoding="utf-8")] == []


def test_the_engine_knows_no_platform() -> None:
    """Neither platform is named in the engine, its pages, the transforms, the workbench or its words."""
    texts = [path for folder in ("engine", "transforms", "workbench") for path in sorted((ROOT / folder).rglob("*"))]
    texts = [path for path in texts if path.is_file() and "__pycache__" not in path.parts]
    wrong = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search("stel|pipedrive", line, re.IGNORECASE)
    ]
    assert wrong == []


STANDARD = {  # words that are fields of a connector, and that the engine has from elsewhere
    "content", "location",  # HTTP and its client
    "length",  # a filter of Jinja
    "duration", "units",  # a type of field, and what cost is counted in where nobody says it
}  # fmt: skip


@cache
def words_of_our_own() -> frozenset[str]:
    """The keys and words of the schemas, and what the engine's own classes and functions call their parts."""
    found: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            found.update(value.get("properties", {}), value.get("enum", ()), [value.get("const", "")])
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)

    for path in sorted((ROOT / "schemas").glob("*.json")):
        collect(json.loads(path.read_text(encoding="utf-8")))
    for path in files("engine"):
        nodes = list(ast.walk(tree(path)))
        found |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
        found |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return frozenset(word for word in found if isinstance(word, str))


def words_of_connectors() -> tuple[set[str], set[str], set[str]]:
    """What the shipped connectors call fields, the fixed ends of fields that say the same, and their units of cost."""
    loaded = [load_connector(path) for path in sorted((ROOT / "connectors").glob("*.yaml"))]
    shapes = [resource.fields for connector in loaded for resource in connector.resources.values()]
    inner = [kind.shape for fields in shapes for kind in fields.values() if kind.shape]
    ends = {end for connector in loaded for pair in connector.same_as.items() for text in pair for end in text.split("*") if "*" in text}
    units = {connector.cost_unit for connector in loaded} - {"calls"}
    return {name for fields in (*shapes, *inner) for name in fields}, ends - {""}, units


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """The texts in a file's code, docstrings aside, with their lines."""
    told = {line for node in ast.walk(tree(path)) for line in docstring_lines(node)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno not in told:
            yield node.lineno, node.value


def test_the_engine_knows_no_field_of_a_platform() -> None:
    """No text in the engine is a field of a shipped connector, or its ending, unless it is a word of ours."""
    fields, ends, _ = words_of_connectors()
    theirs = (fields | ends) - words_of_our_own() - STANDARD
    assert {"full-reference", "surname", "subject", "-id", "-path"} <= theirs
    wrong = [f"{shown(path)}:{line}: {text}" for path in files("engine") for line, text in texts_of(path) if text in theirs]
    assert wrong == []


def test_what_is_shown_counts_in_no_platforms_unit() -> None:
    """What a platform calls its cost comes from its connector, on the terminal and on the page."""
    *_, units = words_of_connectors()
    unit = re.compile(rf"\b({'|'.join(sorted({form for word in units for form in (word, word.removesuffix('s'))}))})\b", re.IGNORECASE)
    assert unit.search("3 tokens")
    wrong = [
        f"{shown(path)}:{line}: {text[:80]}"
        for path in files("engine/report", "engine/plan", "engine/verify", "engine/extract")
        for line, text in texts_of(path)
        if unit.search(text)
    ]
    script = (ROOT / "engine/report/page/script.js").read_text(encoding="utf-8")
    assert wrong + unit.findall(script) == []


def test_names_say_what_a_thing_is() -> None:
    """No class is a Manager, Helper, Util, Base, Handler, Processor or Factory."""
    wrong = [
        f"{shown(path)}:{node.lineno}: {node.name}"
        for path in files(*OURS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and VAGUE.search(node.name)
    ]
    assert wrong == []


def test_nothing_is_left_unfinished() -> None:
    """No NotImplementedError, no note to do something later."""
    wrong = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in files(*OURS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert wrong == []


def docstring_lines(node: ast.AST) -> set[int]:
    """The lines of a module's, class's or function's docstring."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        first = node.body[0]
        return set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return set()


SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def tokens(path: Path) -> int:
    """The tokens of a file's code: no comment, no docstring, no end of line, no indentation."""
    told = {line for node in ast.walk(tree(path)) for line in docstring_lines(node)}
    found = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return sum(token.type not in SILENT and token.start[0] not in told for token in found)


def test_the_engine_keeps_its_budget() -> None:
    """All of engine/ but its faces (docs/decisions/0019) keeps below a number of tokens, which only a page in docs/decisions/ raises."""
    faces = ("engine/cli/", "engine/report/", "engine/library/", "engine/__init__.py")
    counted = [path for path in files("engine") if not shown(path).startswith(faces)]
    total = sum(tokens(path) for path in counted)
    assert total <= BUDGET, f"engine/ has {total:,} tokens of code; the budget is {BUDGET:,}"


def test_the_mistakes_that_tests_are_tried_with_can_still_be_made() -> None:
    """Each text that tests/mutations.py replaces stands once in its file, so that moved code takes its mistake along."""
    wrong = [change.says for change in CHANGES if (ROOT / change.file).read_text(encoding="utf-8").count(change.old) != 1]
    assert wrong == []


def test_code_keeps_within_its_columns() -> None:
    """No line is longer than a hundred columns, and none is kept from the formatter."""
    wrong = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in files(*READ)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > WIDEST or "fmt: skip" in line or "fmt: off" in line
    ]
    assert wrong == []


def test_no_choice_stands_inside_another() -> None:
    """No `a if b else c` stands inside another."""
    wrong = [
        f"{shown(path)}:{inner.lineno}"
        for path in files(*READ)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.IfExp)
        for inner in ast.walk(node)
        if isinstance(inner, ast.IfExp) and inner is not node
    ]
    assert wrong == []


def test_functions_are_simple() -> None:
    """No function is more complex than ten, as ruff counts."""
    rule = ["--isolated", "--select", "C901", "--config", "lint.mccabe.max-complexity=10", "--output-format", "concise"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", *rule, *READ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


ROOMS = sorted(shown(path.parent) for folder in ("engine", "fleet") for path in (ROOT / folder).glob("*/__init__.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_names_its_door(room: str) -> None:
    """The docstring of a room names the functions to begin with, and they are there."""
    text = ast.get_docstring(tree(ROOT / room / "__init__.py")) or ""
    door = re.search(r"^Door: (.+)\.$", text, re.MULTILINE)
    assert door, text
    for name in door[1].split(", "):
        module, _, function = name.partition(".")
        defined = {getattr(node, "name", "") for node in tree(ROOT / room / f"{module}.py").body}
        assert function in defined, name


@pytest.mark.parametrize("address", ["93.184.216.34", "example.com", "2606:2800::1"])
def test_tests_cannot_leave_the_machine(address: str) -> None:
    """A process started by a test is stopped before it reaches another machine, and may use loopback."""
    script = "import socket, sys; socket.create_connection((sys.argv[1], 80), timeout=1)"
    done = subprocess.run([sys.executable, "-c", script, address], capture_output=True, text=True, check=False, timeout=30)
    assert "LeftTheMachine" in done.stderr, done.stderr
    here = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname(), timeout=5)"
    assert subprocess.run([sys.executable, "-c", here], check=False, timeout=30).returncode == 0
