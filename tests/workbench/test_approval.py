"""Nobody's live data moves on an unseen mapping."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.errors import UnsafePlan, UsageError
from engine.language.compile import load_migration
from engine.store.journal import end_run, start_run
from engine.store.tables import Store, open_store
from tests.chaos import harness as chaos
from tests.chaos.harness import worlds
from tests.platforms.project import call
from tests.replacing import replace
from tests.stages.conftest import SPEC
from workbench.approval import approval_path, approve, demand, keep_end, load
from workbench.cli import etl
from workbench.meaning import parts

VOIDING = {
    "a value map": ("En curso: open, Aceptada", "En curso: won, Aceptada"),
    "a template": None,
    "a custom field's name": ("name: Tax id", "name: Tax identifier"),
    "the order of named values for a step": ("{work: phone, other: phone2, fax: fax}", "{other: phone2, work: phone, fax: fax}"),
    "a condition": ("when: {comments: {filled: true}}", "when: {comments: {empty: true}}"),
    "the fallback owner": ("owner@example.com", "boss@example.com"),
    "a setting": ("timezone: Europe/Madrid", "timezone: Europe/Lisbon"),
    "an option": ("options: [Product, Service]", "options: [Product, Service, Kit]"),
}
CALLS = (
    ("env: PIPEDRIVE_BASE_URL", "env: ANOTHER_BASE_URL"),
    ("  check:", "  headers: {x-mode: strict}\n  check:"),
    ("secret: PIPEDRIVE_API_TOKEN", "secret: ANOTHER_TOKEN"),
    ("kind: header", "kind: query"),
    ("name: x-api-token", "name: x-token"),
)
HARMLESS = {
    "a comment": ("# ----------------------------------------------------------------", "# ----"),
    "a label": ("label: Contacts", "label: People"),
    "a reason": ("purchasing stays in the ERP", "purchasing stays where it is"),
    "the order of keys": ("{from: email, using: text.strip}", "{using: text.strip, from: email}"),
    "the order of a map": ("{Pendiente: open, En curso: open, Aceptada", "{En curso: open, Pendiente: open, Aceptada"),
    "an anchor's name": ("document_title", "heading"),
    "a list of one": ("using: text.squash}", "using: [text.squash]}"),
    "the sample": ("records: 200", "records: 100"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the shipped spec with its connectors and templates."""
    return shipped(tmp_path)


def shipped(folder: Path) -> Path:
    """Copy what ships to a folder; the spec there."""
    for name in ("connectors", "templates", "specs"):
        shutil.copytree(SPEC.parents[1] / name, folder / name)
    return folder / "specs" / SPEC.name


@dataclass(frozen=True, slots=True)
class Made:
    """Files that tests begin with a copy of: making them takes a second."""

    sampled: Path
    agreed: Path
    approval: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Stores in which a sample of the shipped mapping was run, before and after its approval."""
    folder = tmp_path_factory.mktemp("approval")
    spec = shipped(folder)
    found = Made(folder / "sampled.sqlite", folder / "agreed.sqlite", approval_path(spec))
    store = open_store(str(found.sampled))
    with store.begin() as connection:
        run = start_run(connection, "run --sample", 0.0, "")
        end_run(connection, run, 1.0, "done")
    end_sample(store, run, spec, "live")
    store.close()

    shutil.copyfile(found.sampled, found.agreed)
    store = open_store(str(found.agreed))
    approved(spec, store)
    store.close()
    return found


@pytest.fixture
def sampled(made: Made, tmp_path: Path) -> Iterator[Store]:
    """A store in which a sample of the project's mapping was run."""
    with copied(made.sampled, tmp_path) as store:
        yield store


@pytest.fixture
def agreed(made: Made, project: Path, tmp_path: Path) -> Iterator[Store]:
    """The same after the project's mapping was approved."""
    shutil.copyfile(made.approval, approval_path(project))
    with copied(made.agreed, tmp_path) as store:
        yield store


@contextmanager
def copied(store: Path, folder: Path) -> Iterator[Store]:
    """A copy of a store, open."""
    opened = open_store(shutil.copyfile(store, folder / "store.sqlite").as_posix())
    yield opened
    opened.close()


def end_sample(store: Store, run: int, project: Path, environment: str) -> None:
    """A run of the mapping as it is came to its end on accounts of a kind."""
    verdict = {"state": "good", "arrived": 200, "failed": 0}
    keep_end(store, run, load_migration(project, {}), verdict, environment)


def approved(project: Path, store: Store, environment: str = "live") -> None:
    """Approve the mapping as it is."""
    approve(load_migration(project, {}), project, store, environment=environment, by="Ana", now=1_700_000_000.0)


def test_approval_says_what_was_seen_by_whom_and_when(project: Path, sampled: Store) -> None:
    """The file names the digest, the sample run with its verdict, the person and the moment."""
    approved(project, sampled)
    found = load(approval_path(project))
    assert (found.by, found.at, found.run, found.environment) == ("Ana", "2023-11-14T22:13:20Z", 1, "live")
    assert found.verdict == {"state": "good", "arrived": 200, "failed": 0}
    assert demand(load_migration(project, {}), project, sampled) == found


def edit(project: Path, change: tuple[str, str] | None) -> None:
    """Edit the spec, or a template where no edit of the spec is given."""
    path = project if change else project.parents[1] / "templates" / "notes" / "asset.html.j2"
    old, new = change or ("Serial number", "Serial no.")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("name", VOIDING)
def test_edits_that_change_data_void_it(project: Path, agreed: Store, name: str) -> None:
    """After such an edit the run is refused with code 4, and what changed since is told."""
    edit(project, VOIDING[name])
    with pytest.raises(UnsafePlan, match="Ana approved on 2023-11-14") as stop:
        demand(load_migration(project, {}), project, agreed)
    assert stop.value.exit_code == 4
    assert "→" in str(stop.value) or "template line" in str(stop.value)


@pytest.mark.parametrize("name", HARMLESS)
def test_edits_that_do_not_leave_it_alone(project: Path, agreed: Store, name: str) -> None:
    """Comments, labels, reasons and other ways to write the same do not void an approval."""
    edit(project, HARMLESS[name])
    assert demand(load_migration(project, {}), project, agreed).by == "Ana"


@pytest.mark.parametrize("old, new", CALLS)
def test_where_calls_go_and_what_they_carry_is_approved(project: Path, agreed: Store, old: str, new: str) -> None:
    """The variable with the address, headers and the way of signing in decide whose data move, and how."""
    edit_connector(project, "pipedrive.yaml", old, new)
    with pytest.raises(UnsafePlan, match="destination connector: connection"):
        demand(load_migration(project, {}), project, agreed)


def edit_connector(project: Path, name: str, old: str, new: str) -> None:
    """Edit a connector of the project, in the first place where it says so."""
    path = project.parents[1] / "connectors" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_which_definitions_are_the_platforms_own_is_approved(project: Path, agreed: Store) -> None:
    """What tells people's custom fields from the platform's decides which field a run writes to."""
    edit_connector(project, "pipedrive.yaml", "own: is_custom_field", "own: edit_flag")
    with pytest.raises(UnsafePlan, match="destination connector: "):
        demand(load_migration(project, {}), project, agreed)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pipedrive.yaml", "owner_id: Owner", "owner_id: Proprietor"),
        ("stel_order.yaml", "inferred: [identification-number, ", "inferred: ["),
        ("stel_order.yaml", "evidence: seen", "evidence: inferred"),
        ("stel_order.yaml", "flags: {inactive: inactive}", "flags: {archived: inactive}"),
        ("stel_order.yaml", "Logos of clients", "Pictures of clients"),
    ],
)
def test_what_people_are_only_shown_is_not_approved(project: Path, agreed: Store, name: str, old: str, new: str) -> None:
    """Labels of a platform's fields, how these are known, and what people should know change no data."""
    edit_connector(project, name, old, new)
    assert demand(load_migration(project, {}), project, agreed).by == "Ana"


def test_a_connector_that_does_not_say_so_keeps_its_approvals(project: Path) -> None:
    """Without `own` the digest is the one that approvals had before it counted."""
    edit_connector(project, "pipedrive.yaml", "  own: is_custom_field\n", "")
    found = parts(load_migration(project, {}))
    (organizations,) = [part.value for part in found if part.at == ("destination connector", "organizations")]
    assert "own" not in organizations["custom"] and "labels" not in organizations


def test_toy_data_open_no_live_account(project: Path, sampled: Store) -> None:
    """An approval on a sample in the sandbox is none for live accounts, and a sample there is none of live ones."""
    end_sample(sampled, 1, project, "sandbox")
    with pytest.raises(UnsafePlan, match="another mapping or environment"):
        approved(project, sampled)
    approved(project, sampled, "sandbox")
    with pytest.raises(UnsafePlan, match="in the sandbox, not of the live accounts"):
        demand(load_migration(project, {}), project, sampled)


def test_the_store_has_seen_what_was_approved(project: Path, agreed: Store, tmp_path: Path) -> None:
    """A file that came with the spec, or that somebody wrote, is not enough where no sample of it was run."""
    for store in (None, open_store(str(tmp_path / "empty.sqlite"))):
        with pytest.raises(UnsafePlan, match="no sample of this mapping has been run here"):
            demand(load_migration(project, {}), project, store)
    end_sample(agreed, 1, project, "sandbox")
    with pytest.raises(UnsafePlan, match=r"run it again: .* --sample --env live"):
        demand(load_migration(project, {}), project, agreed)


def test_without_a_sample_of_this_mapping_there_is_no_approval(project: Path, sampled: Store, tmp_path: Path) -> None:
    """No sample, a sample of another mapping, or no name: nothing is approved."""
    with pytest.raises(UsageError, match="--by"):
        approve(load_migration(project, {}), project, sampled, environment="live", by=" ", now=0.0)
    edit(project, VOIDING["a value map"])
    for store, says in ((sampled, "of another mapping"), (open_store(str(tmp_path / "empty.sqlite")), "no sample")):
        with pytest.raises(UnsafePlan, match=says):
            approve(load_migration(project, {}), project, store, environment="live", by="Ana", now=0.0)
    assert not approval_path(project).exists()


def test_unapproved_mapping_is_refused(project: Path, sampled: Store) -> None:
    """Without the file, the refusal says how to get one."""
    with pytest.raises(UnsafePlan, match="etl approve"):
        demand(load_migration(project, {}), project, sampled)


def test_elsewhere_the_changed_objects_are_named(project: Path, agreed: Store, tmp_path: Path) -> None:
    """On a machine without the sample's store the file alone tells which parts are not what they were."""
    edit(project, VOIDING["a value map"])
    for store in (None, open_store(str(tmp_path / "elsewhere.sqlite"))):
        with pytest.raises(UnsafePlan, match="changed since: quotes\n") as stop:
            demand(load_migration(project, {}), project, store)
        assert "etl diff --git" in str(stop.value)


def test_order_of_objects_counts(project: Path, agreed: Store) -> None:
    """Moving an object is a change of order and asks for a fresh sample."""
    text = project.read_text(encoding="utf-8")
    start = text.index("  asset_notes:\n")
    end = text.index("  # ------", start)
    block = text[start:end]
    place = text.index("  line_notes:\n")
    project.write_text(text[:start] + text[end:place] + block + text[place:], encoding="utf-8")
    with pytest.raises(UnsafePlan, match="order of objects"):
        demand(load_migration(project, {}), project, agreed)


def test_live_runs_ask_and_the_sandbox_does_not(project: Path, run_etl: Callable[..., tuple[int, str]]) -> None:
    """`etl run --env live` without an approval ends with code 4 before any call; a sample and the sandbox ask for none."""
    code, told = run_etl("run", str(project), "--env", "live")
    assert code == 4 and "is not approved" in told
    code, told = run_etl("run", str(project), "--env", "live", "--delta")
    assert code == 4
    code, told = run_etl("run", str(project), "--env", "live", "--sample")
    assert code == 2 and "live environment needs" in told


def test_the_program_is_started_with_the_gate(project: Path) -> None:
    """`etl` is the workbench's program, and the engine's commands without its gate move no live data."""
    scripts = tomllib.loads((SPEC.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"etl": "declared_etl.__main__:main"}
    done = CliRunner().invoke(etl(), ["run", str(project), "--env", "live"])
    assert isinstance(done.exception, UnsafePlan) and "run it with: etl run" in str(done.exception)


@pytest.mark.journeys
def test_an_approved_mapping_moves_live_data_until_it_is_edited(tmp_path: Path) -> None:
    """Against two live accounts: a sample, the approval, the whole; after an edit code 4 with the changed field, before any call."""
    with worlds(tmp_path, ["one"], 60) as (world,):
        started = replace(world, program=(sys.executable, "-m", "workbench"))

        def said(*words: str, good: tuple[int, ...] = (0, 1)) -> str:
            done = call(world.folder, world.env, words[0], chaos.SPEC, *words[1:], "--env", "live")
            assert done.code in good, str(done)
            return done.err

        assert "is not approved" in started.etl("run", good=[4]).err
        said("run", "--sample", "20")
        said("approve", "--by", "Ana", good=(0,))
        said("run")
        assert "no sample" in said("run", "--failed", "--store", str(tmp_path / "new.sqlite"), good=(4,))
        chaos.edit(world.folder / chaos.SPEC, VOIDING["a value map"])
        calls = chaos.requests(world.destination)
        for words in (["run"], ["run", "--delta"], ["run", "--failed"]):
            assert "quotes: status" in said(*words, good=(4,))
        assert chaos.requests(world.destination) == calls


def test_failing_cases_refuse_an_approval_until_somebody_says_why(
    project: Path, agreed: Store, tmp_path: Path
) -> None:
    """Cases that fail are named; with a reason, it and the counts stand in the file."""
    assert load(approval_path(project)).tests["failed"] == 0
    cases = project.with_name(f"{project.stem}.test.yaml")
    cases.write_text(cases.read_text("utf-8").replace("Talleres  Ruiz SL", "Talleres  Paz SL", 1), "utf-8")
    with pytest.raises(UnsafePlan, match="1 of 58 test cases fail: a client in full"):
        approved(project, agreed)

    words = ["approve", str(project), "--store", str(tmp_path / "store.sqlite"), "--env", "live", "--by", "Ana"]
    done = CliRunner().invoke(etl(), [*words, "--despite", "the name is about to change"])
    assert "test cases: 57 passed, 1 failed; approved despite that" in done.output, done.output
    found = load(approval_path(project))
    assert (found.tests, found.despite) == ({"passed": 57, "failed": 1}, "the name is about to change")
