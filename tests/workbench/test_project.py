"""`etl init` begins a project: whole, valid, ready for git, independent of the checkout, and nothing is overwritten."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from engine.connector.load import connector_file
from engine.errors import UsageError
from engine.language.compile import load_migration
from tests.chaos.harness import edit
from tests.e2e.driving import etl_here
from workbench.cases.run import cases_path, load_cases
from workbench.connectors import found
from workbench.meaning import digest_of, parts
from workbench.project import example, examples

ROOT = Path(__file__).parents[2]
PAIRS = Path(__file__).parent / "pairs"
EXAMPLE = "stel_order_to_pipedrive"
FRAME = {
    ".env.example", ".github/workflows/mapping.yml", ".gitignore", ".gitlab-ci.yml", ".pre-commit-config.yaml", "README.md", "connectors/README.md",
    "requirements.txt", "templates/README.md", "transforms/README.md",
    *(f"schemas/{name}.schema.json" for name in ("approval", "cases", "connector", "report", "spec")),
}  # fmt: skip


def files(folder: Path) -> set[str]:
    """Everything in a folder, as paths in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and "var" not in path.parts}


def quick(folder: Path) -> Path:
    """The example's spec, on plans that keep no test waiting."""
    spec = folder / "specs" / f"{EXAMPLE}.yaml"
    edit(spec, ("plan: business", "plan: unlimited"), ("plan: growth", "plan: ultimate"))
    return spec


def test_an_example_is_a_whole_project(tmp_path: Path) -> None:
    """It holds the migration with its cases and templates, names the connectors, and is as good as where it was shipped."""
    done = etl_here("init", "--example", EXAMPLE, at=tmp_path, code=0)
    folder = tmp_path / EXAMPLE
    assert f"cd {EXAMPLE}" in done.out
    named = (ROOT / f"specs/{EXAMPLE}.yaml").read_text()
    texts = {path.relative_to(ROOT).as_posix() for path in (ROOT / "templates").rglob("*.*") if path.name in named}
    assert "templates/language/es.yaml" in texts
    assert files(folder) == {*FRAME, *texts, f"specs/{EXAMPLE}.yaml", f"specs/{EXAMPLE}.test.yaml"}
    spec = folder / "specs" / f"{EXAMPLE}.yaml"
    assert yaml.safe_load(spec.read_text())["source"]["connector"] == "stel_order"
    assert digest_of(parts(load_migration(spec, {}))) == digest_of(parts(load_migration(ROOT / f"specs/{EXAMPLE}.yaml", {})))
    etl_here("test", f"specs/{EXAMPLE}.yaml", at=folder, code=0)


@pytest.mark.journeys
def test_the_commands_of_its_readme_work(tmp_path: Path) -> None:
    """Each ends with the code that the README says; what they leave behind is ignored by git."""
    etl_here("init", "--example", EXAMPLE, "demo", at=tmp_path, code=0)
    folder = tmp_path / "demo"
    quick(folder)
    lines = re.findall(r"^\$ (etl .+)$", (folder / "README.md").read_text(), re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["validate", "test", "run"]
    for line in lines:
        command, _, remark = line.partition("  # exit ")
        etl_here(*shlex.split(command)[1:], at=folder, env={"ETL_SANDBOX_SIZE": "60"}, code=int(remark[:1] or 0))
    assert (folder / "var").is_dir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    seen = subprocess.run(["git", "status", "--short", "-uall"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "specs/" in seen and "var/" not in seen


def test_a_pair_is_a_whole_project(tmp_path: Path) -> None:
    """By the names of shipped connectors: nothing is copied, the spec is valid, and its case can be read."""
    etl_here("init", "--source", "stel_order", "--destination", "pipedrive", "--yes", "shop", at=tmp_path, code=0)
    assert files(tmp_path / "shop") == {*FRAME, f"specs/{EXAMPLE}.yaml", f"specs/{EXAMPLE}.test.yaml"}
    spec = tmp_path / "shop" / "specs" / f"{EXAMPLE}.yaml"
    assert len(load_cases(cases_path(spec), load_migration(spec, {}))[1]) == 1
    assert "shop" not in spec.read_text()


def test_a_file_from_outside_is_copied(tmp_path: Path) -> None:
    """A new project has its own copy of a connector file, which the spec names; in an old one the path is named."""
    given = ("--source", str(PAIRS / "helpdesk.yaml"), "--destination", "pipedrive", "--yes")
    etl_here("init", *given, "shop", at=tmp_path, code=0)
    assert (tmp_path / "shop/connectors/helpdesk.yaml").read_bytes() == (PAIRS / "helpdesk.yaml").read_bytes()
    spec = tmp_path / "shop" / "specs" / "helpdesk_to_pipedrive.yaml"
    assert yaml.safe_load(spec.read_text())["source"]["connector"] == "helpdesk"
    assert load_migration(spec, {}).spec.objects
    etl_here("init", *given, "--name", "second", "shop", at=tmp_path, code=0)
    written = yaml.safe_load((tmp_path / "shop/specs/second.yaml").read_text())["source"]["connector"]
    assert (tmp_path / "shop/specs" / written).resolve() == (PAIRS / "helpdesk.yaml").resolve()


def test_schemas_resolve_offline(tmp_path: Path) -> None:
    """The first line of each YAML file leads to a schema of the project, which is the one that etl checks by."""
    etl_here("init", "--example", EXAMPLE, "demo", at=tmp_path, code=0)
    for path in (tmp_path / "demo/specs").iterdir():
        line = path.read_text(encoding="utf-8").splitlines()[0]
        schema = (path.parent / line.partition("$schema=")[2]).resolve()
        assert schema.is_relative_to(tmp_path / "demo")
        assert json.loads(schema.read_text()) == json.loads((ROOT / "schemas" / schema.name).read_text())


def test_what_stands_there_stays(tmp_path: Path) -> None:
    """A README of one's own is kept and named; a project is not laid out twice; a spec is added without its frame."""
    (tmp_path / "README.md").write_text("mine\n")
    done = etl_here("init", "--source", "stel_order", "--destination", "pipedrive", "--yes", at=tmp_path, code=0)
    assert "README.md stays as it is" in done.err and (tmp_path / "README.md").read_text() == "mine\n"
    (tmp_path / ".gitignore").unlink()
    etl_here("init", "--source", "stel_order", "--destination", "pipedrive", "--name", "more", "--yes", at=tmp_path, code=0)
    assert (tmp_path / "specs/more.yaml").exists() and not (tmp_path / ".gitignore").exists()
    etl_here("init", "--example", EXAMPLE, ".", at=tmp_path, code=2)
    etl_here("init", "--source", "stel_order", "--destination", "pipedrive", "--name", "more", "--yes", at=tmp_path, code=2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--example stel_order_to_pipedriv", "did you mean"),
        ("--example stel_order_to_pipedrive --name mine", "leave out"),
        ("--source stel --destination pipedrive --yes", "stel_order"),
        ("--yes", "choose one with an option"),
        ("--source stel_order --destination pipedrive --name A --yes", "is not a name"),
    ],
)
def test_wrong_words_are_refused(tmp_path: Path, words: str, told: str) -> None:
    """Code 2, what to do, and nothing written."""
    done = etl_here("init", *words.split(), at=tmp_path, code=2)
    assert told in done.err and list(tmp_path.iterdir()) == []


def test_connectors_by_name(tmp_path: Path) -> None:
    """The project's file goes before the shipped one; a path is a path; of a name that nobody has the nearest is told."""
    specs = tmp_path / "specs"
    specs.mkdir()
    assert connector_file(specs, "pipedrive") == ROOT / "connectors/pipedrive.yaml"
    assert connector_file(specs, "../x/pipedrive.yaml") == specs / "../x/pipedrive.yaml"
    with pytest.raises(UsageError, match="no connector 'pipedriv' – did you mean 'pipedrive'"):
        connector_file(specs, "pipedriv")
    (tmp_path / "connectors").mkdir()
    own = tmp_path / "connectors/pipedrive.yaml"
    own.write_text("mine")
    assert connector_file(specs, "pipedrive").resolve() == own == found("pipedrive", tmp_path)
    with pytest.raises(UsageError, match="pipedrive"):
        found("pipedriv", tmp_path)


def test_an_unknown_connector_is_told_where_it_is_named(tmp_path: Path) -> None:
    """The place is the spec's line, with the name that is meant."""
    etl_here("init", "--example", EXAMPLE, "demo", at=tmp_path, code=0)
    spec = tmp_path / "demo" / "specs" / f"{EXAMPLE}.yaml"
    edit(spec, ("connector: pipedrive", "connector: pipedriv"))
    done = etl_here("validate", f"specs/{EXAMPLE}.yaml", at=tmp_path / "demo", code=2)
    assert f"specs/{EXAMPLE}.yaml:5:" in done.err and "did you mean 'pipedrive'" in done.err and "[unreadable-file]" in done.err


@pytest.mark.long
def test_a_connector_that_stands_in_is_told(tmp_path: Path) -> None:
    """Where the project has a connector of a shipped one's name, every run says so; a copy that is the same is no news."""
    etl_here("init", "--example", EXAMPLE, "demo", at=tmp_path, code=0)
    folder = tmp_path / "demo"
    quick(folder)
    for name, more in (("stel_order", ""), ("pipedrive", "# mine\n")):
        text = (ROOT / "connectors" / f"{name}.yaml").read_text()
        (folder / "connectors" / f"{name}.yaml").write_text(text + more)
    done = etl_here("plan", f"specs/{EXAMPLE}.yaml", "--sample", "10", at=folder, env={"ETL_SANDBOX_SIZE": "40"}, code=0)
    assert "'pipedrive' is connectors/pipedrive.yaml" in done.out and "'stel_order' is" not in done.out


def test_a_diff_takes_the_connector_of_the_revision(tmp_path: Path) -> None:
    """A connector that is named by its name is read as it stood, where the project keeps it."""
    etl_here("init", "--example", EXAMPLE, "demo", at=tmp_path, code=0)
    folder = tmp_path / "demo"
    own = folder / "connectors/pipedrive.yaml"
    own.write_text((ROOT / "connectors/pipedrive.yaml").read_text())
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm begin"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    edit(own, ("timeout: 30", "timeout: 31"))
    done = etl_here("diff", "--git", "HEAD", f"specs/{EXAMPLE}.yaml", at=folder, code=0)
    assert "timeout" in done.out


def test_its_checks_are_those_of_the_documentation(tmp_path: Path) -> None:
    """The workflow validates, tests and compares as the recipe does, with the etl that requirements.txt names; so does pre-commit."""
    made = {path.as_posix(): text for path, text in example(examples()[0]).items()}
    steps = yaml.safe_load(made[".github/workflows/mapping.yml"])["jobs"]["mapping"]["steps"]
    ran = [step["run"] for step in steps if "run" in step]
    assert ran[0] == "pip install -r requirements.txt" and "declared-etl[sandbox]==0.2.0" in made["requirements.txt"]
    assert ran[1].startswith('etl review --base "origin/$GITHUB_BASE_REF" --comment')
    hook = yaml.safe_load(made[".pre-commit-config.yaml"])["repos"][0]["hooks"][0]
    shared = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]
    assert {key: hook[key] for key in ("id", "entry", "files", "exclude")} == {key: shared[key] for key in ("id", "entry", "files", "exclude")}


def test_the_variables_are_those_that_a_live_run_asks_for(tmp_path: Path) -> None:
    """What a live run misses stands in .env.example, and nothing else but what the spec itself takes."""
    etl_here("init", "--example", EXAMPLE, "demo", at=tmp_path, code=0)
    told = etl_here("plan", f"specs/{EXAMPLE}.yaml", "--env", "live", at=tmp_path / "demo", code=2).err
    names = re.findall(r"^(\w+)=", (tmp_path / "demo/.env.example").read_text(), re.MULTILINE)
    assert names[-1] == "FALLBACK_OWNER_EMAIL" and all(name in told for name in names[:-1])
