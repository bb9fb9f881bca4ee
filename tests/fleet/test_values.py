"""What the fleet decides and packs, without a database: endings, windows, forecasts, bundles, secrets."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq

from engine.errors import Unavailable, UsageError
from engine.language.compile import load_migration
from fleet import secrets
from fleet.accounts import occupied_by
from fleet.bundle import MOST_BYTES, MOST_FILES, packed, unpacked
from fleet.ending import (
    Ended,
    Goal,
    Next,
    after,
    closing,
    continued,
    marked,
    opening,
    over,
    span,
)
from fleet.forecast import added_up
from fleet.places import own_place
from fleet.process import plain
from fleet.records.database import connect
from fleet.records.registry import check_name
from fleet.secrets import Secrets, inherited, variables
from fleet.status import page, summary
from tests import postgres
from tests.e2e.driving import SPEC, checkout
from tests.fleet.driving import is_alive
from workbench.writing import settings_changed

NOW = 1_000_000.0
ENDINGS = yaml.safe_load((Path(__file__).parent / "endings.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", ENDINGS, ids=[case["name"] for case in ENDINGS])
def test_the_end_of_a_turn_says_what_comes_next(case: dict[str, Any]) -> None:
    """Each exit code leads to the state and the time of the next turn that the case names."""
    wanted = Next(**case["next"])
    if "at" in case["next"]:
        wanted = replace(wanted, at=NOW + wanted.at)
    ended = Ended(**{**case["ended"], "reason": str(case["ended"].get("reason", ""))})
    assert after(Goal(**case["goal"]), ended, case.get("failures", 0), NOW) == wanted


def test_a_goal_remembers_how_its_last_turn_ended() -> None:
    """Only after a good turn may the time of a delta end without a person; a stop or a pause in between ends no count of failures but its own."""
    goal = Goal("delta", every=60.0, until=NOW)
    assert over(goal).state == "waiting" and over(marked(goal, Ended(1))).state == "idle"
    cut = marked(marked(goal, Ended(0)), Ended(130))
    assert over(cut).state == "waiting" and "is over" in over(cut, "502").reason
    assert over(replace(goal, every=0.0, good=True)).state == "waiting"
    refused = marked(goal, Ended(3))
    assert refused.failed == 3 and marked(refused, Ended(130)).failed == 3
    assert marked(refused, Ended(75)).failed == marked(refused, Ended(0)).failed == 0
    assert marked(marked(goal, Ended(70)), Ended(5)).failed == 70 and marked(refused, Ended(5)).failed == 5


BEFORE = Goal("delta", every=60.0, until=NOW, window="22:00-06:00")


@pytest.mark.parametrize("word", ["yes", "remake_fields", "refresh"])
def test_an_answer_leaves_the_times_of_what_waits_for_it(word: str) -> None:
    """What is said to one turn changes nothing else of the goal, but what is said anew, and of the same stage."""
    answer = Goal("delta", **{word: True})
    assert continued(answer, BEFORE) == replace(BEFORE, **{word: True})
    assert continued(replace(answer, until=NOW + 1), BEFORE).until == NOW + 1
    assert continued(replace(answer, window="01:00-02:00"), BEFORE).window == "01:00-02:00"
    assert continued(Goal("delta"), BEFORE) == Goal("delta") and continued(answer, None) == answer
    assert continued(replace(answer, stage="run"), BEFORE).every == 0


HOURS = st.integers(0, 23).map(lambda hour: f"{hour:02}:30")


@given(first=HOURS, last=HOURS, at=st.floats(0, 4e9, allow_nan=False))
def test_a_turn_begins_in_its_window(first: str, last: str, at: float) -> None:
    """The next opening is never earlier, at most a day later, and in the window."""
    if first == last:
        return
    opens = opening(f"{first}-{last}", at)
    assert at <= opens <= at + 86_400 and closing(f"{first}-{last}", opens) > opens


@pytest.mark.parametrize("window", ["", "22:00", "22:00-22:00", "22:00+02:00-06:00", "22:00Z-06:00Z", "a-b", "22:00-06:00-07:00"])
def test_a_window_that_is_none_is_refused(window: str) -> None:
    """What is no span of the day is a mistake of the operator."""
    with pytest.raises(UsageError, match="22:00-06:00"):
        span(window)


def test_a_window_over_midnight() -> None:
    """A window that ends before it begins holds the night."""
    late, early, noon = (datetime(2026, 11, 30, hour, tzinfo=UTC).timestamp() for hour in (23, 5, 12))
    assert closing("22:00-06:00", late) == datetime(2026, 12, 1, 6, tzinfo=UTC).timestamp()
    assert closing("22:00-06:00", early) == datetime(2026, 11, 30, 6, tzinfo=UTC).timestamp()
    assert closing("22:00-06:00", noon) == 0 and opening("22:00-06:00", noon) == noon + 36_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a file that must not travel."""
    made = checkout(tmp_path_factory.mktemp("bundle") / "project")
    (made / ".env").write_text("STEL_ORDER_API_KEY=secret-word\n", encoding="utf-8")
    (made / "templates" / ".env").write_text("A=secret-word\n", encoding="utf-8")
    return made


def test_a_bundle_is_named_by_its_content(project: Path, tmp_path: Path) -> None:
    """The same files anywhere give the same archive; another byte gives another name."""
    one, other = packed(project / SPEC), packed(checkout(tmp_path / "elsewhere") / SPEC)
    assert one == other
    assert packed(project / SPEC, (project / SPEC).read_text(encoding="utf-8") + "\n").digest != one.digest


def test_nothing_hidden_travels(project: Path) -> None:
    """No `.env` goes along, wherever it stands."""
    bundle = packed(project / SPEC)
    with zipfile.ZipFile(BytesIO(bundle.archive)) as archive:
        assert not any(b"secret-word" in archive.read(name) for name in archive.namelist())
        assert SPEC in archive.namelist()


def test_a_bundle_is_a_project_again(project: Path, tmp_path: Path) -> None:
    """What is unpacked is what was packed, is private, and packs to the same name."""
    bundle = packed(project / SPEC)
    spec = unpacked(bundle, tmp_path / "bundles")
    assert spec.read_bytes() == (project / SPEC).read_bytes()
    assert packed(spec) == bundle and unpacked(bundle, tmp_path / "bundles") == spec
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "bundles").rglob("*"))


def test_one_account_has_one_name(project: Path) -> None:
    """However an address is written; where all customers share one, the key tells them apart."""
    migration = load_migration(project / SPEC)

    def named(url: str, key: str = "one") -> str:
        env = {"STEL_ORDER_BASE_URL": "https://app.stelorder.com/app", "STEL_ORDER_API_KEY": key, "PIPEDRIVE_BASE_URL": url,
               "PIPEDRIVE_API_TOKEN": "any"}  # fmt: skip
        return " ".join(occupied_by(migration, env))

    own = named("https://acme.pipedrive.com")
    assert named("https://ACME.pipedrive.com:443/") == named("https://acme.pipedrive.com/api") == own
    assert named("https://bolt.pipedrive.com") != own != named("https://acme.pipedrive.com", "other")


def test_what_is_said_does_nothing_to_a_terminal() -> None:
    """Control characters, half characters and what no database takes are left out of a reason."""
    assert plain("a\x00b\x1b[2Jc\nd\ud800ñ") == "a b [2Jc d ñ"


def test_connectors_travel(tmp_path: Path) -> None:
    """One beside the spec goes along; one outside of the project is refused, for no worker would have it."""
    made = checkout(tmp_path / "project", ("connector: ../connectors/stel_order.yaml", "connector: own.yaml"))
    (made / "connectors/stel_order.yaml").rename(made / "specs/own.yaml")
    with zipfile.ZipFile(BytesIO(packed(made / SPEC).archive)) as archive:
        assert "specs/own.yaml" in archive.namelist()
    outside = checkout(tmp_path / "other", ("connector: ../connectors/stel_order.yaml", "connector: ../../own.yaml"))
    (outside / "connectors/stel_order.yaml").rename(tmp_path / "own.yaml")
    with pytest.raises(UsageError, match="outside of"):
        packed(outside / SPEC)


def test_a_changed_archive_is_refused(project: Path, tmp_path: Path) -> None:
    """An archive that is not what its name says is not unpacked, nor is one that leads out of its folder."""
    bundle = packed(project / SPEC)
    other = packed(project / SPEC, "another: text\n")
    for archive in (other.archive, b"no archive", bundle.archive[:-40]):
        with pytest.raises(UsageError, match="etl fleet add"):
            unpacked(replace(bundle, archive=archive), tmp_path)
    with pytest.raises(UsageError, match="leads out"):
        unpacked(replace(bundle, spec="../../etc/passwd"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_bundle_has_a_limit(project: Path, tmp_path: Path) -> None:
    """More bytes or files than a mapping has are refused, packed or unpacked, before they are all in memory."""
    made = checkout(tmp_path / "large")
    large = made / "templates" / "data.bin"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES)
    with pytest.raises(UsageError, match="more than"):
        packed(made / SPEC)
    large.unlink()
    packed(made / SPEC)
    for number in range(MOST_FILES):
        (made / "templates" / f"{number}.txt").touch()
    with pytest.raises(UsageError, match="more than"):
        packed(made / SPEC)

    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SPEC, bytes(MOST_BYTES + 1))
    assert len(out.getvalue()) < 100_000
    with pytest.raises(UsageError, match="etl fleet add"):
        unpacked(replace(packed(project / SPEC), archive=out.getvalue()), tmp_path / "bundles")


def test_what_a_killed_worker_left_is_removed(tmp_path: Path) -> None:
    """Workers share a folder: each has its own in it, which goes with it; one whose worker is gone goes a little later, that of one that lives stays."""
    dead = tmp_path / "worker-dead"
    dead.mkdir()
    (dead / "alive").touch()
    (dead / "acme-1").mkdir()
    with own_place(tmp_path) as first:
        (first / "acme-2").mkdir()
        with own_place(tmp_path, parting=0.05) as second:
            end = time.monotonic() + 20
            while dead.exists():
                assert time.monotonic() < end
                time.sleep(0.02)
            assert first.exists() and second.exists() and first != second
    assert list(tmp_path.iterdir()) == []


def test_settings_travel_changed(project: Path) -> None:
    """`--set` changes a setting in the archive's spec and nothing else; an unknown one is refused with advice."""
    text = settings_changed(project / SPEC, {"language": "es"})
    before = yaml.safe_load((project / SPEC).read_text(encoding="utf-8"))
    assert yaml.safe_load(text) == {**before, "settings": {**before["settings"], "language": "es"}}
    with pytest.raises(UsageError, match=r"'langage'.*language"):
        settings_changed(project / SPEC, {"langage": "es"})


@pytest.mark.parametrize("name", ["", "Acme", "a-b", "1a", "a" * 41, "a;drop", "ä"])
def test_names_are_plain(name: str) -> None:
    """A name becomes a schema of the database: letters, digits and _ alone."""
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize("url", ["sqlite:///x", "nothing", "mysql://h/d"])
def test_a_fleet_needs_postgresql(url: str) -> None:
    """Any other database is refused with an example."""
    with pytest.raises(UsageError, match="postgresql://"):
        connect(url)


def test_secrets_are_read_from_private_files(tmp_path: Path) -> None:
    """A file that others can read, a reference that is a path and a file that is not there are refused."""
    file = tmp_path / "acme.env"
    file.write_text("A=1\nB='two words'\nC=${A}\n", encoding="utf-8")
    file.chmod(0o600)
    found = asyncio.run(variables(Secrets(tmp_path), "acme"))
    assert (found["A"], found["B"], found["C"]) == ("1", "two words", "${A}")
    for reference in ("../acme", "/etc/passwd", "-x", "nobody"):
        with pytest.raises(UsageError):
            asyncio.run(variables(Secrets(tmp_path), reference))
    for mode in (0o644, 0o640, 0o660, 0o620, 0o602, 0o604):
        file.chmod(mode)
        with pytest.raises(UsageError, match="chmod 600"):
            asyncio.run(variables(Secrets(tmp_path), "acme"))


def test_a_folder_of_secrets_that_is_away_is_asked_again(tmp_path: Path) -> None:
    """A disk that is not there says nothing of one migration: nobody is needed for each of them."""
    with pytest.raises(Unavailable, match="is not there"):
        asyncio.run(variables(Secrets(tmp_path / "away"), "acme"))
    with pytest.raises(Unavailable, match="look after that folder"):  # nothing is mounted there
        asyncio.run(variables(Secrets(tmp_path), "acme"))
    (tmp_path / "bolt.env").touch(0o600)
    with pytest.raises(UsageError, match=r"acme\.env cannot be read: .* every worker needs this file"):
        asyncio.run(variables(Secrets(tmp_path), "acme"))


def test_secrets_are_printed_by_a_command() -> None:
    """A command gets the reference as its last word; one that fails is refused."""
    assert asyncio.run(variables(Secrets(command="echo KEY_OF="), "acme"))["KEY_OF"] == "acme"
    assert asyncio.run(variables(Secrets(command="""sh -c 'printf "%s\\n" "A=$0 $1"' 'two words'"""), "acme"))["A"] == "two words acme"
    with pytest.raises(Unavailable, match="no-such-program, cannot be started"):
        asyncio.run(variables(Secrets(command="no-such-program"), "acme"))
    with pytest.raises(Unavailable, match="ended with code 1 for acme"):
        asyncio.run(variables(Secrets(command="false"), "acme"))


@pytest.mark.parametrize("ends", ["its time is over", "the turn is stopped"])
def test_a_command_for_secrets_leaves_nothing_behind(ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is ended takes with it what it has started, which would hold up the worker for as long as it runs."""
    monkeypatch.setattr(secrets, "TAKES", 1.0)
    marked = tmp_path / "started"
    command = Secrets(command=f"sh -c 'sleep 1234567 & echo $! > {marked}; wait'")

    async def stopped() -> None:
        asked = asyncio.create_task(variables(command, "acme"))
        while not marked.exists() or not marked.read_text(encoding="utf-8").strip():
            await asyncio.sleep(0.01)
        asked.cancel()
        await asked

    with pytest.raises(Unavailable if ends == "its time is over" else asyncio.CancelledError):
        asked = variables(command, "acme") if ends == "its time is over" else stopped()
        asyncio.run(asyncio.wait_for(asked, 20))
    postgres.wait_for("an end of what the command started", lambda: not is_alive(int(marked.read_text(encoding="utf-8"))), 20)


def test_a_stop_while_a_command_cannot_be_started_is_a_stop() -> None:
    """A turn that is stopped at the moment when its command for secrets turns out not to be there is interrupted: nobody is needed for it."""

    async def stopped() -> None:
        asked = asyncio.create_task(variables(Secrets(command="no-such-program"), "acme"))
        await asyncio.sleep(0)
        asked.cancel()
        await asked

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())


@pytest.mark.parametrize("then", ["; wait", ""], ids=["goes on", "has ended"])
def test_a_command_waits_for_nobody_who_has_left_it(tmp_path: Path, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command has started in a session of its own is not ended with it, and not waited for either; nor where the command has ended, and only that holds its output."""
    monkeypatch.setattr(secrets, "TAKES", 1.0)
    left = tmp_path / "left"
    command = Secrets(command=f"sh -c 'setsid sleep 40 & echo $! > {left}{then}'")

    async def asked() -> None:
        with pytest.raises(Unavailable, match="takes longer"):
            await asyncio.wait_for(variables(command, "acme"), 20)
        os.kill(int(left.read_text(encoding="utf-8")), signal.SIGKILL)
        await asyncio.sleep(0.5)  # its end of the pipe is closed, and the loop hears of it

    asyncio.run(asked())


def test_a_turn_has_nothing_of_the_workers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of another account in the worker's environment does not reach a turn."""
    monkeypatch.setenv("PIPEDRIVE_API_TOKEN", "of-somebody-else")
    (tmp_path / "acme.env").write_text("A=1\n", encoding="utf-8")
    (tmp_path / "acme.env").chmod(0o600)
    assert "of-somebody-else" not in asyncio.run(variables(Secrets(tmp_path), "acme")).values()
    assert "of-somebody-else" not in inherited(os.environ).values()


def test_a_turn_reaches_postgresql_as_its_worker_does() -> None:
    """Whatever variable libpq reads reaches a turn, but the password, which comes with the order."""
    read = {option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    assert {"PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD"} <= read
    assert {*inherited(dict.fromkeys(read, "x"))} == read - {"PGPASSWORD"}


DAYS = {"account": "P", "limit": "day", "unit": "tokens", "seconds": 86_400, "allowance": 100, "needed": 250}
BURST = {"account": "P", "limit": "burst", "unit": "calls", "seconds": 2, "allowance": 10, "needed": 250}


def test_plans_are_added_up() -> None:
    """Days come from the day's limits, calls are spread over each migration's time."""
    found = added_up({
        "long": {"calls": 300, "seconds": 10.0, "limits": [DAYS, BURST]},
        "short": {"calls": 10, "seconds": 10.0, "limits": []},
    })  # fmt: skip
    assert found.calls == 310 and [(use.names, use.days) for use in found.uses] == [(("long",), 3), (("long",), 0)]
    assert found.days == ((2, 130.0), (1, 120.0), (1, 60.0))
    assert added_up({}).days == ()


def test_migrations_of_one_account_share_its_days() -> None:
    """What two need of one account's day is one sum, and they come one after the other; one of another account goes on beside them."""
    shared = {"calls": 250, "seconds": 10.0, "limits": [DAYS], "accounts": {"P": "a", "S": "b"}}
    found = added_up({"one": shared, "two": shared, "other": shared | {"accounts": {"P": "c", "S": "d"}}})
    assert [(use.names, use.needed, use.days) for use in found.uses] == [(("one", "two"), 500.0, 5), (("other",), 250.0, 3)]
    assert [many for many, _ in found.days] == [2, 2, 3, 1, 1]
    assert sum(calls for _, calls in found.days) == found.calls == 750


def test_a_page_shows_text_only() -> None:
    """What a platform has said stands on the page as text."""
    row: dict[str, Any] = dict.fromkeys(("goal", "stage", "arrived", "records", "attention", "changed", "done", "total", "rate", "waits", "approved", "next"))
    row |= {"name": "a", "state": "waiting", "reason": "<script>alert(1)</script>", "every": 0.0, "until": 0.0, "window": "", "worker": "", "version": "1"}
    row["today"] = [{"account": "<b>P</b>", "limit": "day", "unit": "tokens", "spent": 1234, "of": 210_000, "until": NOW}]
    made = page({"migrations": [row], "workers": {}}, NOW)
    assert "1,234 of 210,000 tokens, &lt;b&gt;P&lt;/b&gt;" in made
    assert "<script" not in made and "&lt;script&gt;" in made and "a person is needed for a" in made


@pytest.mark.parametrize(
    ("rows", "attention", "says"),
    [(1, 1, "1 migration: 1 idle; 1 finding needs attention"), (2, 1, "2 migrations: 2 idle; 2 findings need attention")],
)
def test_one_is_told_as_one(rows: int, attention: int, says: str) -> None:
    """A fleet of one migration with one finding has one."""
    assert summary([{"name": "a", "state": "idle", "attention": attention}] * rows) == says


def test_nobody_is_needed_only_where_it_is_so() -> None:
    """Findings and waiting migrations are said in the summary."""
    good = {"name": "a", "state": "idle", "attention": 0}
    assert summary([good]).endswith("nobody is needed")
    assert summary([good | {"attention": 3}]).endswith("3 findings need attention")
    assert "needed for b" in summary([good, {"name": "b", "state": "waiting", "attention": None}])
    queued = {"name": "c", "state": "queued", "attention": None, "version": "0.9", "workers": 1}
    assert summary([good, queued]).endswith("nobody is needed")
    assert summary([good, queued | {"workers": 0}]).endswith("no worker of etl 0.9 for c")
