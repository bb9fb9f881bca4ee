"""`etl init` writes files that are good from the start, and overwrites none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.config.document import read
from engine.connector.load import load_connector
from engine.errors import UsageError
from engine.language.compile import load_migration
from workbench.cases.run import cases_path, load_cases
from workbench.cli import etl
from workbench.propose.command import begun, propose, save
from workbench.propose.pair import pairs
from workbench.scaffold import Asked, make, write

ROOT = Path(__file__).parents[2]
CONNECTORS = ROOT / "connectors"
PAIRS = Path(__file__).parent / "pairs"
SOURCES = [CONNECTORS / "stel_order.yaml", CONNECTORS / "pipedrive.yaml", PAIRS / "helpdesk.yaml", PAIRS / "gestion.yaml"]
DESTINATION = CONNECTORS / "pipedrive.yaml"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_skeletons_are_valid_and_tested(tmp_path: Path, source: Path) -> None:
    """For any pair the spec is valid, its cases can be read, and every object finds its records again or needs no key."""
    write(make(Asked(source, DESTINATION, "first", tmp_path / "specs")).files)
    spec = tmp_path / "specs" / "first.yaml"
    migration = load_migration(spec, {})
    assert migration.spec.objects
    _, cases = load_cases(cases_path(spec), migration)
    assert len(cases) == 1
    for item in migration.spec.active():
        if migration.destination.resources[item.resource].custom:
            assert item.key_field == "custom.source_key"


def test_what_could_not_be_found_is_marked(tmp_path: Path) -> None:
    """A field the destination needs and nothing like it was found for says DECIDE; so does a setting that a first field reads."""
    crm = tmp_path / "crm.yaml"
    crm.write_text(DESTINATION.read_text(encoding="utf-8").replace("      phones: {type: list entry, empty", "      phones: {type: list entry, required: true, empty"), encoding="utf-8")
    text = next(iter(make(Asked(PAIRS / "helpdesk.yaml", crm, "first", tmp_path / "specs")).files.values()))
    assert text.startswith("# yaml-language-server: $schema=")
    assert "  phone_region: ES # DECIDE" in text


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_skeleton_gives_no_warning_before_and_after_what_is_proposed(tmp_path: Path, source: Path) -> None:
    """Settings come with the fields that read them: none stands there unused, and none is missing."""
    write(make(Asked(source, DESTINATION, "first", tmp_path / "specs")).files)
    spec = tmp_path / "specs" / "first.yaml"
    assert [str(item) for item in load_migration(spec, {}).warnings] == []
    started = begun(spec)
    save(started, propose(started, {}), spec, {})
    assert [str(item) for item in load_migration(spec, {}).warnings if item.code == "unused"] == []


def test_a_pair_without_resemblance_still_gets_a_spec(tmp_path: Path) -> None:
    """Where nothing pairs beyond doubt, one object stands there as an example, marked."""
    odd = (PAIRS / "helpdesk.yaml").read_text(encoding="utf-8")
    head, _, _ = odd.partition("resources:\n")
    (tmp_path / "odd.yaml").write_text(f"{head}resources:\n  zorbs:\n    fields: {{id: integer, glim: text}}\n", encoding="utf-8")
    write(make(Asked(tmp_path / "odd.yaml", DESTINATION, "first", tmp_path / "specs")).files)
    assert load_migration(tmp_path / "specs" / "first.yaml", {}).spec.objects
    assert "DECIDE" in (tmp_path / "specs" / "first.yaml").read_text(encoding="utf-8").partition("objects:")[2]


@pytest.mark.parametrize(
    ("source", "destination", "told"),
    [
        ("pipedrive", "stel_order", ("written to STEL Order", "`create`", "another destination: pipedrive;")),
        ("mute", "pipedrive", ("read from Mute", "`list`", "another source: pipedrive, stel_order;")),
    ],
)
def test_a_connector_that_cannot_do_its_part_is_told(tmp_path: Path, source: str, destination: str, told: tuple[str, ...]) -> None:
    """With the call that it lacks and the connectors that have it."""
    head, _, _ = (PAIRS / "helpdesk.yaml").read_text(encoding="utf-8").partition("resources:\n")
    mute = tmp_path / "mute.yaml"
    text = f"{head}resources:\n  zorbs:\n    fields: {{id: integer}}\n    list: none\n"
    mute.write_text(text.replace("title: Help desk", "title: Mute"), encoding="utf-8")
    sides = [mute if side == "mute" else CONNECTORS / f"{side}.yaml" for side in (source, destination)]
    with pytest.raises(UsageError) as stop:
        make(Asked(*sides, "first", tmp_path / "project" / "specs"))
    assert all(word in str(stop.value) for word in told), stop.value


def test_keys_of_our_own_are_looked_for_first(tmp_path: Path) -> None:
    """Where a creation would write over a row with the same id, the skeleton adopts such a row; it is valid as it stands."""
    head, _, _ = (PAIRS / "helpdesk.yaml").read_text(encoding="utf-8").partition("resources:\n")
    fields = "{_id: {type: text, required: true}, name: {type: text, required: true}}"
    calls = 'list: {get: /people}, read: {get: "/people/{_id}"}, create: {put: "/people/{_id}"}'
    (tmp_path / "own.yaml").write_text(f"{head}resources:\n  contacts: {{id: _id, fields: {fields}, {calls}}}\n", encoding="utf-8")
    write(make(Asked(CONNECTORS / "stel_order.yaml", tmp_path / "own.yaml", "first", tmp_path / "specs")).files)
    assert [item.match for item in load_migration(tmp_path / "specs" / "first.yaml", {}).spec.objects.values()] == [("_id",)]


@pytest.mark.parametrize("name", ["first.yaml", "first.test.yaml"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    """A spec or test file that stands there stays, and nothing else is written."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / name).write_text("mine\n", encoding="utf-8")
    with pytest.raises(UsageError, match="not overwritten"):
        make(Asked(SOURCES[0], DESTINATION, "first", tmp_path / "specs"))
    assert [path.name for path in (tmp_path / "specs").iterdir()] == [name]


@pytest.mark.parametrize("name", ["First", "1st", "a b", "../x", ""])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    """A name is small letters, digits and _: it becomes file names and is used in the store."""
    with pytest.raises(UsageError, match="not a name"):
        make(Asked(SOURCES[0], DESTINATION, name, tmp_path))


def test_it_asks_for_what_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options it asks for both connectors, which it lists, and the name, which it suggests."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "connectors").mkdir()
    for path in (SOURCES[0], DESTINATION):
        (tmp_path / "connectors" / path.name).write_bytes(path.read_bytes())
    done = CliRunner().invoke(etl(), ["init"], input="connectors/stel_order.yaml\nconnectors/pipedrive.yaml\n\n")
    assert done.exit_code == 0, done.output
    assert read(tmp_path / "specs" / "stel_order_to_pipedrive.yaml").data["migration"] == "stel_order_to_pipedrive"


@pytest.mark.parametrize("folder", ["/abs", "../beside", "specs/../../beside"])
def test_a_spec_goes_into_its_project(tmp_path: Path, folder: str) -> None:
    """A folder elsewhere is refused with what to do, and nothing is written."""
    given = ["--source", "stel_order", "--destination", "pipedrive", "--yes", "--folder", folder]
    done = CliRunner().invoke(etl(), ["init", str(tmp_path / "d2"), *given])
    assert isinstance(done.exception, UsageError) and "--folder" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["specs", "specs/eu", ".", "{project}/specs/eu"])
def test_the_first_spec_finds_its_connectors(tmp_path: Path, folder: str) -> None:
    """Wherever in the project it stands, it names the copy of a connector from outside, and later the project's own by name."""
    outside = tmp_path / "else" / "mine.yaml"
    outside.parent.mkdir()
    outside.write_bytes((PAIRS / "helpdesk.yaml").read_bytes())
    project = tmp_path / "d3"
    for name, source in (("first", str(outside)), ("second", "mine")):
        given = ["--source", source, "--destination", "pipedrive", "--name", name, "--folder", folder.format(project=project)]
        done = CliRunner().invoke(etl(), ["init", str(project), *given])
        assert done.exit_code == 0, done.output
        if source == str(outside):
            outside.unlink()
        [spec] = project.rglob(f"{name}.yaml")
        assert load_migration(spec, {}).spec.objects


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    """Each shell gets a script that asks etl what fits."""
    done = CliRunner().invoke(etl(), ["completion", shell])
    assert done.exit_code == 0
    assert "_ETL_COMPLETE" in done.output
    assert "etl" in done.output


def test_completion_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the script asks is answered with the commands that begin so."""
    monkeypatch.setenv("COMP_WORDS", "etl prop")
    monkeypatch.setenv("COMP_CWORD", "1")
    done = CliRunner().invoke(etl(), [], prog_name="etl", env={"_ETL_COMPLETE": "bash_complete"})
    assert "plain,propose" in done.output


def test_every_connector_of_the_project_can_be_read() -> None:
    """What init offers can be loaded."""
    for path in CONNECTORS.glob("*.yaml"):
        assert load_connector(path).resources


def test_rows_between_two_others_become_neither(tmp_path: Path) -> None:
    """Products of a deal name a product, and are none: they are paired with their like, or with nothing."""
    head, _, _ = (PAIRS / "helpdesk.yaml").read_text(encoding="utf-8").partition("resources:\n")
    one = "{fields: {name: text}, list: {get: /x}, create: {post: /x}, read: none, update: none, delete: none}"
    (tmp_path / "own.yaml").write_text(f"{head}resources:\n  products: {one}\n  deals: {one}\n", encoding="utf-8")
    for destination, told in ((tmp_path / "own.yaml", {"products", "deals"}), (DESTINATION, {"products", "deals", "deal_products"})):
        found = pairs(load_connector(DESTINATION), load_connector(destination), {})
        named = {pair.collection for pair in found if pair.resource in ("products", "deals", "deal_products")}
        assert named == told


def test_a_question_that_nobody_can_answer_says_which_option_does(tmp_path: Path) -> None:
    """Without a terminal, `etl init` ends with 2 and names --yes; nothing is written."""
    words = [sys.executable, "-m", "workbench", "init", "--source", "stel_order", "--destination", "pipedrive", "shop"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, "give --yes" in done.stderr) == (2, True), done.stderr
    assert list(tmp_path.iterdir()) == []
