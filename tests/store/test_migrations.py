"""A store of an older program is brought up to date in place, without a loss."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from engine.errors import StoreError
from engine.store.journal import entries
from engine.store.links import links_of
from engine.store.migrations import MIGRATIONS, bring_up
from engine.store.tables import VERSION, metadata, open_store
from sandbox.launch import launch
from tests import loopback
from tests.chaos.canonical import describe, difference, doubled, unchanged
from tests.chaos.harness import dump as dump_of
from tests.chaos.harness import people
from tests.e2e.driving import HURRIED, SPEC, checkout, etl, etl_here

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).resolve().parents[2]
V1 = "mid_migration_v1"
NEW_COLUMNS = {"links": {"stored", "held"}, "records": {"unread"}}
NEW_TABLES = {"changes", "candidates", "seen", "dependencies", "counted"}


def unpack(name: str, target: Path) -> Path:
    """A file of `data/` as it was."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.decompress((DATA / f"{name}.sqlite.gz").read_bytes()))
    return target


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of version 1 in the middle of a migration."""
    return unpack(V1, tmp_path / "old.sqlite")


def query(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def contents(
    path: Path, leave_out: dict[str, set[str]] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table by column, rows in order, without some columns."""
    found = {}
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        for (table,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            without = (leave_out or {}).get(table, set())
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            kept = [
                name for name in (rows[0].keys() if rows else ()) if name not in without
            ]
            found[table] = sorted(
                ({name: row[name] for name in kept} for row in rows), key=repr
            )
    return found


def shape(path: Path) -> dict[str, Any]:
    """Tables, columns, keys, defaults and indexes of a store."""
    engine = sa.create_engine(f"sqlite:///{path}")
    found = shape_of(engine)
    engine.dispose()
    return found


def shape_of(engine: sa.Engine) -> dict[str, Any]:
    looking, found = sa.inspect(engine), {}
    for table in looking.get_table_names():
        columns = {
            c["name"]: (str(c["type"]), c["nullable"], c["default"])
            for c in looking.get_columns(table)
        }
        indexes = {
            (index["name"], *index["column_names"])
            for index in looking.get_indexes(table)
        }
        found[table] = (
            columns,
            looking.get_pk_constraint(table)["constrained_columns"],
            indexes,
        )
    return found


def exclusively(path: Path | str) -> sa.Engine:
    """Transactions on a file as the store begins them; no connection is kept."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    sa.event.listen(
        engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None)
    )
    sa.event.listen(
        engine,
        "begin",
        lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"),
    )
    return engine


def version(path: Path) -> str:
    return str(query(path, "SELECT value FROM meta WHERE name = 'version'")[0][0])


def importing() -> dict[str, str]:
    """An environment in which a process finds the checkout."""
    paths = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, "PYTHONPATH": paths}


def backups(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.glob(f"{path.name}.v*"))


def without_version(
    found: dict[str, list[dict[str, Any]]],
) -> dict[str, list[dict[str, Any]]]:
    return {**found, "meta": [row for row in found["meta"] if row["name"] != "version"]}


def brought_up(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of an older store with definitions under the names that they have since version 4."""
    tables = without_version(found)
    counts = [row for row in tables["cursors"] if row["collection"].startswith("#")]
    tables["cursors"] = [row for row in tables["cursors"] if row not in counts]
    tables["counted"] = [{"collection": row["collection"][1:], "rows": row["rows"]} for row in counts]
    for name in ("links", "journal", "findings"):
        tables[name] = sorted(map(renamed, tables[name]), key=repr)
    return tables


def renamed(row: dict[str, Any]) -> dict[str, Any]:
    """A definition's row belongs to no object, and its key is the field."""
    for mark, place in (("$fields.", ".custom."), ("$options.", ".")):
        if row["object"].startswith(mark):
            owner = row["object"].removeprefix(mark)
            return {**row, "object": "", "key": owner + place + row["key"]}
    return row


def test_an_old_store_is_brought_up_with_every_row(old: Path) -> None:
    """Every row is as it was, open writes are still open, the new columns read as empty."""
    before = contents(old)
    store = open_store(str(old))
    with store.begin() as connection:
        open_now = Counter(
            entry.state for entry in entries(connection, ("intent", "doubt"))
        )
        notes = links_of(connection, "line_notes")
    store.close()
    after = contents(old, NEW_COLUMNS)
    assert version(old) == str(VERSION) == "4"
    new = NEW_TABLES - {"counted"}
    assert {name: after.pop(name) for name in new} == {name: [] for name in new}
    assert without_version(after) == brought_up(before) != without_version(before)
    assert open_now == Counter(intent=11, doubt=1)
    assert len(notes) == 18 and all(
        link.stored == link.held == {} for link in notes.values()
    )


def test_a_migrated_store_has_the_shape_of_a_new_one(old: Path, tmp_path: Path) -> None:
    """The steps lead to the very tables, defaults and indexes that a new store is made with."""
    for path in (old, tmp_path / "new.sqlite"):
        open_store(str(path)).close()
    assert shape(old) == shape(tmp_path / "new.sqlite")


@pytest.mark.parametrize("number", range(2, VERSION))
def test_a_store_of_a_later_version_keeps_its_rows(number: int, tmp_path: Path) -> None:
    """What was drafted and planned by it is still there, in the shape of a new store."""
    path = unpack(f"mid_migration_v{number}", tmp_path / "old.sqlite")
    before = contents(path)
    open_store(str(path)).close()
    open_store(str(tmp_path / "new.sqlite")).close()
    after = without_version(contents(path, {"records": {"unread"}}))
    assert shape(path) == shape(tmp_path / "new.sqlite")
    new = {name: [] for name in NEW_TABLES - {*before, "counted"}}
    assert after == brought_up(before) | new
    assert backups(path) == [f"old.sqlite.v{number}.backup"]


def test_what_stood_behind_marks_stands_in_columns(tmp_path: Path) -> None:
    """Version 4 knows of rows whose details are to be read anew, and of searches that version 1 had begun."""
    path = unpack("mid_migration_v3", tmp_path / "old.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        key, body = connection.execute("SELECT key, body FROM records LIMIT 1").fetchone()
        marked = json.dumps({**json.loads(body), "$unread": None, "text": "\\ud83d \"$unread\":null"}, separators=(",", ":"))
        connection.execute("UPDATE records SET body = ? WHERE key = ?", (marked, key))
        for name, complete in (("open", 0), ("over", 1), ("known", 0)):
            connection.execute(
                "INSERT INTO cursors VALUES (?, '', ?, 5, 0, 0, '[]', '')", (f"#adopting.{name}", complete)
            )
        connection.execute("INSERT INTO meta VALUES ('adopting.known', 'closed')")
        connection.commit()
    open_store(str(path)).close()
    assert query(path, "SELECT key FROM records WHERE unread") == [(key,)]
    (said,) = query(path, f"SELECT body FROM records WHERE key = '{key}'")[0]
    assert json.loads(said) == {**json.loads(body), "text": "\\ud83d \"$unread\":null"}
    found = query(path, "SELECT name, value FROM meta WHERE name IN ('adopting.open', 'adopting.over', 'adopting.known') ORDER BY 1")
    assert found == [("adopting.known", "closed"), ("adopting.open", "open")]
    assert query(path, "SELECT * FROM cursors WHERE collection LIKE '#%'") == []
    assert query(path, "SELECT COUNT(*) FROM counted") == [(30,)]


def test_the_old_store_is_kept_beside_the_new_one(old: Path) -> None:
    """The copy is private and is the store of version 1, its write-ahead log included."""
    with closing(sqlite3.connect(old)) as writing:
        writing.execute("PRAGMA wal_autocheckpoint = 0")
        writing.execute("INSERT INTO meta VALUES ('only', 'in the log')")
        writing.commit()
        before = contents(old)
        umask = os.umask(0)
        try:
            open_store(str(old)).close()
        finally:
            os.umask(umask)
    assert backups(old) == ["old.sqlite.v1.backup"]
    copy = old.with_name("old.sqlite.v1.backup")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert contents(copy) == before
    assert (
        version(copy) == "1"
        and {"name": "only", "value": "in the log"} in before["meta"]
    )
    assert query(copy, "PRAGMA integrity_check") == [("ok",)]


def test_a_store_of_today_is_not_copied(tmp_path: Path) -> None:
    """Neither a new store nor one that is up to date gets a copy beside it."""
    path = tmp_path / "store.sqlite"
    for _ in range(2):
        open_store(str(path)).close()
    assert backups(path) == []


def test_a_step_that_fails_leaves_the_old_version(old: Path) -> None:
    """Half of a step is taken back, the next start does all of it, and no copy is replaced."""
    before, shaped = contents(old), shape(old)

    def breaks(connection: sa.Connection) -> None:
        MIGRATIONS[0](connection)
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        bring_up(exclusively(old), metadata.create_all, [breaks])
    assert contents(old) == before and shape(old) == shaped
    open_store(str(old)).close()
    assert version(old) == "4"
    assert backups(old) == ["old.sqlite.v1.backup", "old.sqlite.v1.backup.2"]
    assert all(contents(old.with_name(name)) == before for name in backups(old))


KILLED = """
    import os, signal, sys
    from engine.store.migrations import MIGRATIONS, bring_up
    from tests.store.test_migrations import exclusively

    def killed(connection):
        MIGRATIONS[0](connection)
        os.kill(os.getpid(), signal.SIGKILL)

    bring_up(exclusively(sys.argv[1]), lambda connection: None, [killed])
"""


def test_a_kill_between_copy_and_commit_leaves_the_old_version(old: Path) -> None:
    """A process killed at the end of a step leaves version 1, and the next one does the step."""
    before = contents(old)
    env = importing()
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(old)],
        env=env,
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert contents(old) == before
    open_store(str(old)).close()
    assert version(old) == "4" and backups(old) == [
        "old.sqlite.v1.backup",
        "old.sqlite.v1.backup.2",
    ]


OPENS = """
    import sys
    from engine.store.tables import open_store

    print("ready", flush=True)
    sys.stdin.readline()
    open_store(sys.argv[1]).close()
"""


def opened_by(many: int, url: str) -> list[int]:
    """The exit codes of processes that open a store at the same moment."""
    env = importing()
    command = [sys.executable, "-c", textwrap.dedent(OPENS), url]
    started = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
        )
        for _ in range(many)
    ]
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=60)
    return [process.returncode for process in started]


def test_processes_that_come_together_do_it_once(old: Path) -> None:
    """The others wait for the first one and find a store that is up to date."""
    before = brought_up(contents(old))
    assert opened_by(4, str(old)) == [0, 0, 0, 0]
    # one that came between two steps has copied the version between them
    assert backups(old)[:1] == ["old.sqlite.v1.backup"]
    after = contents(old, NEW_COLUMNS)
    assert {
        name: rows
        for name, rows in without_version(after).items()
        if name in before
    } == before


def test_a_copy_that_was_begun_is_made_anew(old: Path) -> None:
    """What a process killed while copying left behind does not pass for a copy."""
    old.with_name("old.sqlite.v1.backup.part").write_bytes(b"half")
    open_store(str(old)).close()
    assert backups(old) == ["old.sqlite.v1.backup"]
    assert version(old.with_name("old.sqlite.v1.backup")) == "1"


def test_without_a_copy_nothing_is_changed(old: Path) -> None:
    """Where no copy can be made, the store stays as it was, and the message says why."""
    before = contents(old)
    old.with_name("old.sqlite.v1.backup.part").mkdir()
    with pytest.raises(
        StoreError, match=r"copied before its update: .* – check the space left in "
    ) as caught:
        open_store(str(old))
    assert "\n" not in str(caught.value)
    assert contents(old) == before


@pytest.mark.parametrize("written", [None, "", "new", "0", "-1"])
def test_a_database_of_another_program_is_left_alone(
    tmp_path: Path, written: str | None
) -> None:
    """A table called meta does not make a store."""
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
        if written is not None:
            connection.execute("INSERT INTO meta VALUES ('version', ?)", [written])
        connection.commit()
    with pytest.raises(
        StoreError, match=r"it is not a store of etl: .* – check the path"
    ):
        open_store(str(path))
    assert query(path, "SELECT name FROM sqlite_master WHERE type = 'table'") == [
        ("meta",)
    ]
    assert backups(path) == []


# -- the same on PostgreSQL


@pytest.fixture
def old_postgres(old: Path, postgres: str) -> str:
    """The same store of version 1 in a PostgreSQL database."""
    there = sa.make_url(postgres).set(drivername="postgresql+psycopg")
    _pour(old, sa.create_engine(there, poolclass=sa.NullPool))
    return there.render_as_string(hide_password=False)


def _pour(old: Path, target: sa.Engine) -> None:
    """Make the tables that an older store has, with its columns, and fill them."""
    first, held = sa.MetaData(), shape(old)
    for table in metadata.sorted_tables:
        if table.name in held:
            columns = [
                _bare(column, held[table.name][0][column.name])
                for column in table.columns
                if column.name in held[table.name][0]
            ]
            indexes = [
                sa.Index(index.name, *(column.name for column in index.columns))
                for index in table.indexes
            ]
            uniques = [
                sa.UniqueConstraint(*(column.name for column in rule.columns))
                for rule in table.constraints if isinstance(rule, sa.UniqueConstraint)
            ]  # fmt: skip
            sa.Table(table.name, first, *columns, *indexes, *uniques)
    rows = contents(old)
    with target.begin() as connection:
        first.create_all(connection)
        for table in first.sorted_tables:
            booleans = [
                column.name
                for column in table.columns
                if isinstance(column.type, sa.Boolean)
            ]
            found = [
                {**row, **{name: bool(row[name]) for name in booleans}}
                for row in rows[table.name]
            ]
            if found:
                connection.execute(table.insert(), found)
            _count_on(connection, table)


def _count_on(connection: sa.Connection, table: sa.Table) -> None:
    """Rows that are made from now on are numbered after those that were poured in."""
    column = table.autoincrement_column
    if column is not None:
        last = sa.select(sa.func.max(column)).scalar_subquery()
        numbers = sa.func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(sa.select(sa.func.setval(numbers, sa.func.coalesce(last, 1))))


def _bare(column: sa.Column[Any], held: tuple[str, bool, Any]) -> sa.Column[Any]:
    """A column with the default that it has in the older store."""
    return sa.Column(
        column.name,
        column.type,
        primary_key=column.primary_key,
        nullable=column.nullable,
        server_default=None if held[2] is None else column.server_default,
    )


def poured(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of a PostgreSQL store."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    found = {}
    with engine.begin() as connection:
        for table in sa.inspect(connection).get_table_names():
            rows = [
                dict(row)
                for row in connection.exec_driver_sql(
                    f"SELECT * FROM {table}"
                ).mappings()
            ]
            left = [
                {
                    name: row[name]
                    for name in row
                    if name not in NEW_COLUMNS.get(table, ())
                }
                for row in rows
            ]
            found[table] = sorted(left, key=repr)
    return found


def test_postgresql_is_brought_up_by_one_of_many(old_postgres: str) -> None:
    """Those that come together bring it up once, with every row, to the shape of a new store."""
    before = without_version(poured(old_postgres))
    begun: list[bool] = []

    def slowly(connection: sa.Connection) -> None:
        begun.append(True)
        time.sleep(0.5)
        MIGRATIONS[0](connection)

    def opens() -> None:
        engine = sa.create_engine(old_postgres, poolclass=sa.NullPool)
        bring_up(engine, lambda connection: None, [slowly])

    with ThreadPoolExecutor(3) as pool:
        for opened in [pool.submit(opens) for _ in range(3)]:
            opened.result()
    assert begun == [True]
    after = without_version(poured(old_postgres))
    assert {
        name: rows for name, rows in after.items() if name not in NEW_TABLES
    } == before
    store = open_store(old_postgres)
    shaped = shape_of(store.engine)
    with store.begin() as connection:
        assert len(entries(connection, ("intent", "doubt"))) == 12
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert shape_of(store.engine) == shaped
    store.close()


def test_postgresql_takes_back_half_a_step(old_postgres: str) -> None:
    """A step that fails leaves version 1 on PostgreSQL too."""
    before = poured(old_postgres)

    def breaks(connection: sa.Connection) -> None:
        MIGRATIONS[0](connection)
        raise KeyError("in the middle")

    engine = sa.create_engine(old_postgres, poolclass=sa.NullPool)
    with pytest.raises(KeyError):
        bring_up(engine, metadata.create_all, [breaks])
    assert poured(old_postgres) == before


# -- and the migration goes on


SIZE = {"ETL_SANDBOX_SIZE": "150", **HURRIED}
ALIKE = {
    "notes": ("content", "deal_id", "org_id", "person_id", "add_time"),
    "pipelines": ("name",),
    "stages": ("name", "pipeline_id"),
    "deal_fields": ("field_name",),
    "organization_fields": ("field_name",),
}


def alike(rows: list[dict[str, Any]]) -> list[str]:
    """Rows of the destination that say the same as another one."""
    seen = Counter(
        (row["resource"], *(str(row["record"][field]) for field in ALIKE[row["resource"]]))
        for row in rows if row["resource"] in ALIKE
    )  # fmt: skip
    return [" ".join(said) for said, many in seen.items() if many > 1]


def test_a_store_of_every_version_is_kept() -> None:
    """For each version that a store has had, the one in use among them, a file stands for those that people have."""
    for number in range(1, VERSION + 1):
        for name in ("", "source_", "destination_"):
            assert (DATA / f"mid_migration_{name}v{number}.sqlite.gz").exists(), "run: python -m tests.store.keep"


@pytest.mark.journeys
@pytest.mark.parametrize("number", range(1, VERSION))
def test_the_migration_goes_on_where_it_was_killed(number: int, tmp_path: Path) -> None:
    """The sample that an older version was killed in ends on this one, nothing doubled or missing; it is taken back."""
    at = checkout(tmp_path / "migration")
    store = unpack(f"mid_migration_v{number}", at / "var" / "stel_order_to_pipedrive.sandbox.sqlite")
    accounts = at / "var" / "stel_order_to_pipedrive.sandbox"
    unpack(f"mid_migration_source_v{number}", accounts / "stel_order.sqlite")
    unpack(f"mid_migration_destination_v{number}", accounts / "pipedrive.sqlite")
    linked = "SELECT object, key, dest_id FROM links WHERE origin = 'created' ORDER BY 1, 2"
    before = query(store, linked)
    assert query(store, "SELECT * FROM journal WHERE state IN ('intent', 'doubt')") != []

    sample = ("run", SPEC, "--sample", "40", "--yes", "--json")  # more has changed in the mapping than goes without
    first = etl(*sample, at=at, env=SIZE).data()["verdict"]
    after = query(store, linked)
    second = etl_here(*sample, at=at, env=SIZE).data()["verdict"]

    assert version(store) == str(VERSION) and backups(store) == [f"{store.name}.v{number}.backup"]
    assert first["missing"] == 0 and first["arrived"] > 150
    assert all(second[word] == first[word] for word in ("arrived", "failed", "skipped"))
    assert query(store, linked) == after
    assert query(store, "SELECT * FROM journal WHERE state IN ('intent', 'doubt')") == []
    now = [tuple(renamed(dict(zip(("object", "key", "row"), one, strict=True))).values()) for one in before]
    assert set(now) <= set(after) and len(after) > len(before)
    assert len({(name, row) for name, _, row in after}) == len(after)
    rows = dump(accounts)
    assert doubled(rows) == [] and alike(rows) == []

    ours = set(query(store, "SELECT resource, dest_id FROM links WHERE origin = 'created'"))
    assert len(ours & {(row["resource"], str(row["id"])) for row in rows}) > 150
    assert etl_here("rollback", SPEC, "--yes", at=at, env=SIZE).code == 0
    assert ours & {(row["resource"], str(row["id"])) for row in dump(accounts)} == set()


def dump(accounts: Path, plan: str = "ultimate") -> list[dict[str, Any]]:
    """What stands in the destination, but for labels of leads, which accounts made before they were played do not have."""
    extra = ["--size", "150"]
    with launch("pipedrive", data=accounts / "pipedrive.sqlite", plan=plan, extra_args=extra) as running:
        lines = loopback.get(f"{running.base_url}/__sandbox__/dump", timeout=60).text.splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["resource"] != "lead_labels"]


# the oldest one among the other tests, for each takes half a minute
KEPT = (
    ("sqlite", 1),
    *(pytest.param("sqlite", number, marks=pytest.mark.chaos) for number in range(2, VERSION + 1)),
    *(pytest.param("postgresql", number, marks=pytest.mark.chaos) for number in range(1, VERSION + 1)),
)


@pytest.mark.journeys
@pytest.mark.parametrize(("kind", "number"), KEPT)
def test_a_delta_follows_in_an_updated_store(kind: str, number: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The older version's sample is continued to a whole run; what people change then comes over, and nothing else moves.

    No row is doubled, and a rollback leaves what was there before the first run, whichever version made it.
    """
    at = checkout(tmp_path / "migration")
    accounts = at / "var" / "stel_order_to_pipedrive.sandbox"
    unpack(f"mid_migration_source_v{number}", accounts / "stel_order.sqlite")
    unpack(f"mid_migration_destination_v{number}", accounts / "pipedrive.sqlite")
    place = str(unpack(f"mid_migration_v{number}", at / "var" / "kept.sqlite"))
    if kind == "postgresql":
        url = sa.make_url(request.getfixturevalue("postgres")).set(drivername="postgresql+psycopg")
        _pour(Path(place), sa.create_engine(url, poolclass=sa.NullPool))
        place = url.render_as_string(hide_password=False)

    def run(*words: str) -> Any:
        done = etl_here(*words, SPEC, "--store", place, "--json", at=at, env=SIZE)
        assert done.code in (0, 1), done.err
        return done.data()

    whole = run("run", "--yes")["verdict"]  # the mapping has changed since
    assert whole["missing"] == 0 and whole["created"] > 50
    before = dump(accounts)
    changed = change(accounts)
    delta = run("run", "--delta")["verdict"]
    after = dump(accounts)
    assert (delta["created"], delta["updated"], delta["missing"]) == (1, 3, 0)
    assert moved(before, after) == changed
    assert doubled(after) == [] and alike(after) == []
    again = run("run", "--delta")["verdict"]
    assert (again["created"], again["updated"]) == (0, 0)
    assert run("rollback", "--yes")["undone"] > whole["created"]
    begun = dump(tmp_path, "growth")  # an account that was just made, on the plan that the kept ones were made on
    assert difference(describe(dump(accounts)), describe(begun)) == ([], [])


def change(accounts: Path) -> Counter[tuple[str, str]]:
    """People change a client, a product and an event, and make a client; which rows of the destination that is about."""
    extra = ["--size", "150"]
    with launch("stel_order", data=accounts / "stel_order.sqlite", plan="unlimited", extra_args=extra) as source:
        rows: dict[str, list[Any]] = {}
        for row in dump_of(source):
            rows.setdefault(row["resource"], []).append(row["record"])
        client, product, event = (min(rows[name], key=lambda row: row["id"]) for name in ("clients", "products", "events"))
        people(source, "PUT", f"/clients/{client['id']}", comments="Llamar el lunes")
        people(source, "PUT", f"/products/{product['id']}", name="Otro nombre")
        people(source, "PUT", f"/events/{event['id']}", subject="Otra visita")
        people(source, "POST", "/clients", **{"name": "Nueva SL", "legal-name": "Nueva SL"})
    return Counter({("organizations", "changed"): 1, ("organizations", "new"): 1, ("products", "changed"): 1, ("activities", "changed"): 1})


def moved(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """How many rows of each resource are new, changed or gone."""
    was, now = ({(row["resource"], str(row["id"])): unchanged([row]) for row in rows} for rows in (before, after))
    found = Counter((key[0], "new") for key in now if key not in was)
    found += Counter((key[0], "changed") for key in now if key in was and was[key] != now[key])
    return found + Counter((key[0], "gone") for key in was if key not in now)
