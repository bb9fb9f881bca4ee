"""What `etl fleet status` says of migrations, of workers and of a database that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from fleet import queue, status
from fleet.bundle import Bundle
from fleet.ending import Ended, Goal, Next, State
from fleet.metrics import Migrations
from fleet.records import alive, database, members, registry, turns
from fleet.waits import DEAD
from tests import postgres
from tests.chromium import driven, sized
from tests.e2e.driving import SPEC

RUN = {"run": 1, "arrived": 324, "created": 324, "updated": 0, "deleted": 0, "attention": 54, "troubled": ["deals a/1", "deals a/2"]}
DELTA = {"run": 2, "arrived": 0, "created": 1, "updated": 2, "deleted": 0, "attention": 55, "troubled": ["deals a/2", "deals a/3"]}


@pytest.fixture
def engine(fresh: str) -> Iterator[sa.Engine]:
    """A fleet's database with one migration."""
    with postgres.database(fresh) as url:
        made = database.connect(url.replace("postgresql://", "postgres://"))
        registry.register(made, "one", Bundle("d" * 64, SPEC, b""), version="0.9", secrets="one", approved="Ana", settings="{}")
        yield made
        made.dispose()


def begun(engine: sa.Engine, goal: Goal) -> tuple[members.Member, int]:
    """A turn that has begun."""
    app = queue.app_for(engine)
    with engine.begin() as connection:
        members.aim(connection, "one", goal, time.time(), queue.put(app, connection, "one", time.time(), "0.9"))
    of = members.member(engine, "one")
    return of, turns.begin(engine, of, goal.stage, "host:7", time.time())


def ended(engine: sa.Engine, stage: str, verdict: dict[str, Any]) -> None:
    """A turn that ended well."""
    of, turn = begun(engine, Goal(stage))
    turns.end(engine, turn, of, Ended(0), Next("idle"), time.time(), verdict)


def counted(engine: sa.Engine) -> tuple[Any, ...]:
    """What was counted last of the one migration."""
    (row,) = status.collected(engine)
    return tuple(row[key] for key in ("arrived", "attention", "changed"))


def test_figures_stay_until_there_are_others(engine: sa.Engine) -> None:
    """While a turn works, after a plan and after a delta the counts of the last run stay; what a delta has changed stands beside them, a rollback ends both."""
    ended(engine, "run", RUN)
    assert counted(engine) == (324, 54, None)
    ended(engine, "plan", {"calls": 3, "seconds": 1.0, "limits": []})
    assert counted(engine) == (324, 54, None)
    ended(engine, "delta", DELTA)
    assert counted(engine) == (324, 56, 3)
    of, turn = begun(engine, Goal("verify"))
    assert counted(engine) == (324, 56, 3)
    turns.end(engine, turn, of, Ended(0), Next("idle"), time.time(), RUN | {"arrived": 325})
    assert counted(engine) == (325, 54, None)
    ended(engine, "rollback", {"run": 1, "undone": 325, "kept": 0})
    assert counted(engine) == (None, None, None)


def test_what_a_delta_finds_is_counted_once(engine: sa.Engine) -> None:
    """Its report has all findings there are, so that a run's are not counted beside them; a record that only the run compared still needs somebody."""
    ended(engine, "delta", DELTA)
    assert counted(engine) == (None, 55, 3)
    ended(engine, "run", RUN)
    ended(engine, "delta", DELTA | {"attention": 7})
    (row,) = status.collected(engine)
    assert row["attention"] == 7 + 1 and status.shown(row)["delta"] == "3 changed"
    assert status.summary([row]).endswith("8 findings need attention")
    ended(engine, "delta", DELTA | {"attention": 1, "troubled": [], "found": ["deals a/1"]})
    assert counted(engine) == (324, 1 + 1, 3)
    ended(engine, "delta", DELTA | {"attention": 0, "troubled": []})
    assert counted(engine) == (324, 2, 3)
    assert 'etl_migration_attention{name="one"} 2.0' in scraped(engine)


def test_what_has_arrived_is_said_of_how_many(engine: sa.Engine) -> None:
    """All that were looked for, whatever has become of them, as the report says; where that was not counted, nothing is said."""
    ended(engine, "run", RUN)
    assert status.shown(status.collected(engine)[0])["arrived"] == "324"
    ended(engine, "run", RUN | {"missing": 1, "skipped": 2, "failed": 1000})
    (row,) = status.collected(engine)
    assert row["records"] == 1327 and status.shown(row)["arrived"] == "324 of 1,327"
    ended(engine, "rollback", {"run": 3, "undone": 325, "kept": 0})
    assert status.shown(status.collected(engine)[0])["arrived"] == ""


def test_a_sample_replaces_no_figures_of_all_records(engine: sa.Engine) -> None:
    """Once all records were moved, a sample of a few says nothing of them, until a rollback has taken them back."""
    sample = RUN | {"arrived": 5, "attention": 1}
    ended(engine, "sample", sample)
    assert counted(engine)[:2] == (5, 1)
    ended(engine, "verify", sample | {"arrived": 4})
    ended(engine, "sample", sample)
    assert counted(engine)[:2] == (5, 1)
    ended(engine, "run", RUN)
    ended(engine, "delta", DELTA)
    ended(engine, "sample", sample)
    assert counted(engine) == (324, 56, 3)
    ended(engine, "verify", RUN | {"arrived": 323})
    ended(engine, "sample", sample)
    assert counted(engine)[:2] == (323, 54)
    ended(engine, "rollback", {"run": 1, "undone": 325, "kept": 0})
    ended(engine, "sample", sample)
    assert counted(engine)[:2] == (5, 1)


@pytest.mark.parametrize("look", range(1, 9))
def test_a_migration_that_is_removed_meanwhile_is_no_fault(engine: sa.Engine, look: int) -> None:
    """Whichever of its looks finds it no more: the page and Prometheus go on without it."""
    ended(engine, "sample", RUN)
    ended(engine, "run", RUN)
    ended(engine, "sample", RUN)
    looks: list[str] = []

    def meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        looks.append(statement)
        if len(looks) == look:
            registry.remove(engine, "one")

    sa.event.listen(engine, "before_cursor_execute", meanwhile)
    found = status.looked(engine)["migrations"]
    assert len(looks) > look and [row["name"] for row in found] in ([], ["one"])
    assert status.collected(engine) == []


def test_a_pipe_has_no_columns(engine: sa.Engine) -> None:
    """Where no person reads the table, each migration and each reason is one line, whatever the width."""
    begun(engine, Goal("delta", every=1800.0, until=1_796_083_200.0, window="22:00-06:00"))
    reason = "a reason " * 60
    postgres.execute(engine.url.render_as_string(hide_password=False).replace("+psycopg", ""), f"UPDATE fleet.migrations SET reason = '{reason}'")
    out = StringIO()
    status.show(status.looked(engine), Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert len(lines) == 5 and "delta every 30m until 2026-12-01 00:00 in 22:00-06:00" in lines[1] and lines[2].strip() == f"one: {reason}".strip()
    screen = StringIO()
    status.show(status.looked(engine), Console(file=screen, width=80, force_terminal=True, color_system=None))
    assert max(map(len, screen.getvalue().splitlines())) <= 80


def test_a_worker_lives_as_long_as_its_turns(engine: sa.Engine) -> None:
    """One that is taken for dead is none that lives: the same time for both, as the page says."""
    page = (Path(__file__).resolve().parents[2] / "docs/fleet.md").read_text(encoding="utf-8")
    assert f"taken for dead after {DEAD:.0f} s" in page
    alive.seen(engine, "a:1", "0.9")
    address = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    postgres.execute(address, f"UPDATE fleet.crew SET seen = seen - {DEAD - 10}")
    assert alive.workers(engine) == {"0.9": 1}
    postgres.execute(address, "UPDATE fleet.crew SET seen = seen - 11")
    assert alive.workers(engine) == {} and "etl_fleet_workers{" not in scraped(engine)


def test_a_goal_is_said_with_its_times(engine: sa.Engine) -> None:
    """How often, until when and in which hours stand in the table, and where a turn runs."""
    begun(engine, Goal("delta", every=1800.0, until=1_796_083_200.0, window="22:00-06:00"))
    (row,) = status.collected(engine)
    text = status.shown(row)
    assert text["goal"] == "delta every 30m until 2026-12-01 00:00 in 22:00-06:00"
    assert text["state"] == "running on host:7" and text["next"] == ""
    assert status.shown(row | {"every": 90.0})["goal"].startswith("delta every 90s") and "every 2h" in status.shown(row | {"every": 7200.0})["goal"]


@pytest.mark.parametrize("state", [*get_args(State), "dozing"])
def test_a_state_is_said_by_its_word(engine: sa.Engine, state: str) -> None:
    """In the table, the summary and the page, also one that only a newer etl knows; a person is needed for what waits alone, and what rests has no next turn."""
    postgres.execute(address(engine), f"UPDATE fleet.migrations SET state = '{state}', at = 1796083200")
    (row,) = status.collected(engine)
    assert status.shown(row)["state"] == state and status.summary([row]).startswith(f"1 migration: 1 {state}; ")
    assert f'<tbody class="{state}">' in status.page(status.looked(engine), 1.0)
    assert ("a person is needed for one" in status.summary([row])) == (state == "waiting")
    assert (status.shown(row)["next"] == "2026-12-01 00:00:00") == (state in ("queued", "paused", "retrying"))
    said = [line for line in scraped(engine).splitlines() if line.startswith("etl_migration_state{") and line.endswith(" 1.0")]
    assert said == ([f'etl_migration_state{{name="one",state="{state}"}} 1.0'] if state in get_args(State) else [])


def test_a_turn_that_has_ended_is_nowhere(engine: sa.Engine) -> None:
    """Which worker has it, and how far it is, is said while it goes on."""
    of, turn = begun(engine, Goal("run"))
    turns.progress(engine, turn, {"stage": "read", "done": 37, "total": 39, "rate": 62.3, "today": []})
    (row,) = status.collected(engine)
    assert (row["worker"], row["stage"], row["done"]) == ("host:7", "read", 37)
    turns.end(engine, turn, of, Ended(75), Next("paused", 5.0), time.time(), {})
    (row,) = status.collected(engine)
    assert (row["worker"], row["stage"], row["done"], row["code"]) == ("", "", None, 75) and status.shown(row)["far"] == ""


def address(engine: sa.Engine) -> str:
    """The database as its driver knows it."""
    return engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


def test_a_wait_is_said_as_a_time(engine: sa.Engine) -> None:
    """Until when a turn waits stands there, without a rate; what is over is said no more."""
    _, turn = begun(engine, Goal("run"))
    now = {"stage": "read", "done": 37, "total": 39, "rate": 62.3}
    turns.progress(engine, turn, now)
    assert status.shown(status.collected(engine)[0])["far"] == "read 37 of 39, 62.3 a second"
    until = time.time() + 60
    turns.progress(engine, turn, now | {"until": until})
    assert status.shown(status.collected(engine)[0])["far"] == f"read 37 of 39, waits until {status.moment(until)}"
    turns.progress(engine, turn, now | {"until": time.time() - 1})
    assert status.shown(status.collected(engine)[0])["far"] == "read 37 of 39"


def printed(engine: sa.Engine) -> str:
    """What the command prints."""
    out = StringIO()
    status.show(status.looked(engine), Console(file=out, width=300))
    return out.getvalue()


def test_workers_and_versions_are_shown(engine: sa.Engine) -> None:
    """How many workers of each version live, that none does, and which migration is of another version; columns without a word are left out."""
    assert "no worker lives – start one: etl fleet worker --secrets DIR" in printed(engine)
    assert "of etl" not in printed(engine) and "spent of the day" not in printed(engine) and "approved by" in printed(engine)
    alive.seen(engine, "a:1", "0.9")
    alive.seen(engine, "b:1", "0.9")
    assert "workers: 2 of etl 0.9" in printed(engine) and "workers: 2 of etl 0.9" in status.page(status.looked(engine), 1.0)
    registry.register(engine, "two", Bundle("e" * 64, SPEC, b""), version="1.0", secrets="two", approved="", settings="{}")
    assert "of etl 0.9: one\nof etl 1.0: two\n" in printed(engine).replace(" \n", "\n")


def scraped(engine: sa.Engine) -> str:
    """What Prometheus hears."""
    registry = CollectorRegistry()
    registry.register(Migrations(engine))
    return generate_latest(registry).decode()


def test_prometheus_hears_of_a_database_that_is_away(engine: sa.Engine) -> None:
    """A scrape says whether the database answers, and is answered either way."""
    ended(engine, "run", RUN)
    alive.seen(engine, "a:1", "0.9")
    found = scraped(engine)
    assert "etl_fleet_up 1.0" in found and 'etl_migration_arrived{name="one"} 324.0' in found
    assert 'etl_fleet_workers{version="0.9"} 1.0' in found and 'etl_migration_state{name="one",state="idle"} 1.0' in found
    assert 'etl_migration_next{name="one"}' not in found
    away = database.connect("postgresql://nobody@127.0.0.1:1/none")
    assert "etl_fleet_up 0.0" in scraped(away) and "etl_migration" not in scraped(away)


LONG = f"the mapping is not the one that Ana approved – see specs/stel_order_to_pipedrive_of_a_customer_with_a_very_long_name_indeed{'x' * 150}.yaml, then: " * 2
CUT_OFF = "return [...document.querySelectorAll('td,p,h1')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
CONTRAST = """
const light = text => text.match(/[0-9.]+/g).slice(0, 3).map(n => n / 255).map(n => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4)
  .reduce((sum, n, i) => sum + n * [0.2126, 0.7152, 0.0722][i], 0);
const behind = e => e && getComputedStyle(e).backgroundColor !== 'rgba(0, 0, 0, 0)' ? e : behind(e.parentElement);
return [...document.querySelectorAll('td,p,h1,th')].map(e => [light(getComputedStyle(e).color), light(getComputedStyle(behind(e)).backgroundColor)].sort())
  .map(([dark, bright]) => (Math.max(dark, bright) + 0.05) / (Math.min(dark, bright) + 0.05));
"""


@pytest.fixture
def three(engine: sa.Engine, tmp_path: Path) -> Path:
    """The page of three migrations: at work, waiting for a person and paused, each with much to say."""
    for name in ("a_customer_with_a_name_as_long_as_it_can", "two"):
        registry.register(engine, name, Bundle("d" * 64, SPEC, b""), version="1.0", secrets=name, approved="Bo Long-Lastname", settings="{}")
    ended(engine, "run", RUN | {"arrived": 1_234_567})
    ended(engine, "delta", DELTA)
    _, turn = begun(engine, Goal("delta", every=1800.0, until=1_796_083_200.0, window="22:00-06:00"))
    spent = [{"account": "Pipedrive", "limit": "day", "unit": "tokens", "spent": 123_456, "of": 210_000, "until": time.time() + 60}]
    turns.progress(engine, turn, {"stage": "read products", "done": 123_456, "total": 1_234_567, "rate": 62.3, "today": spent})
    for name, state in (("a_customer_with_a_name_as_long_as_it_can", "waiting"), ("two", "paused")):
        postgres.execute(address(engine), f"UPDATE fleet.migrations SET state = '{state}', at = 1796083200, reason = '{LONG}' WHERE name = '{name}'")
    page = tmp_path / "status.html"
    page.write_text(status.page(status.looked(engine), time.time()), encoding="utf-8")
    return page


@pytest.mark.browser
def test_the_page_is_read_on_any_screen(three: Path, tmp_path: Path) -> None:
    """Nothing is cut off, wide or narrow, and every word stands out from what is behind it, light or dark; a card names its figures."""
    with driven(tmp_path / "profile") as driver:
        for dark in (False, True):
            for width in (1280, 900, 400, 320):
                sized(driver, width, dark)
                driver.get(three.as_uri())
                assert driver.execute_script("return document.documentElement.scrollWidth") <= width, width
                assert driver.execute_script("return innerWidth") == width and driver.execute_script(CUT_OFF) == []
                assert min(driver.execute_script(CONTRAST)) >= 4.5, (dark, width)
                back = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
                assert (back == "rgb(255, 255, 255)") == (not dark)
        named = "return getComputedStyle(document.querySelector('td'), '::before').content"
        assert driver.execute_script(named) == '"migration"'


def test_a_page_says_what_there_is(engine: sa.Engine, three: Path) -> None:
    """Columns without a word are left out, a reason stands below its migration, and large numbers can be read."""
    text = three.read_text(encoding="utf-8")
    assert '<td data-of="arrived">1,234,567</td>' in text and text.count(LONG.strip()) == 2 and "<th>reason" not in text
    for name in ("two", "one", "a_customer_with_a_name_as_long_as_it_can"):
        postgres.execute(address(engine), f"UPDATE fleet.migrations SET reason = '', at = 0, state = 'idle', approved = '' WHERE name = '{name}'")
    bare = status.page(status.looked(engine), 1.0)
    assert "approved by" not in bare and "next turn" not in bare and 'class="reason"' not in bare and "<th>goal</th>" in bare
