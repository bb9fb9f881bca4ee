"""Opening a store, what of it survives, and what is said when it cannot be used."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import StoreError
from engine.store.tables import (
    Store,
    as_text,
    links,
    open_store,
    quota,
    records,
    runs,
    upsert,
)

ROOT = Path(__file__).resolve().parents[2]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_their_folder_are_private(tmp_path: Path) -> None:
    """A store holds a customer's records: nobody else may read it, whatever the umask."""
    before = os.umask(0)
    try:
        store = open_store(str(tmp_path / "new" / "store.sqlite"))
        with store.begin() as connection:
            connection.execute(runs.insert().values(command="x", started=1.0))
            assert {mode(path) for path in (tmp_path / "new").iterdir()} == {0o600}
        assert len(list((tmp_path / "new").iterdir())) == 3  # the database, its log and its index
        assert mode(tmp_path / "new") == 0o700
        assert store.folder == tmp_path / "new"
        store.close()
    finally:
        os.umask(before)


def test_a_file_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    """Rights that are too wide are corrected."""
    path = tmp_path / "store.sqlite"
    open_store(str(path)).close()
    path.chmod(0o666)
    open_store(str(path)).close()
    assert mode(path) == 0o600


def test_a_newer_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """A store of a later program is not touched: no table is added to it, no copy is made."""
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        connection.execute("INSERT INTO meta VALUES ('version', '99')")
    connection.close()
    with pytest.raises(StoreError, match=r"it was made by a newer etl \(version 99\) – update etl$") as caught:
        open_store(str(path))
    assert caught.value.exit_code == 5
    assert "--store" not in str(caught.value)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("meta",)]
    connection.close()
    assert list(tmp_path.glob("*backup*")) == []


def folder(path: Path) -> str:
    path.mkdir()
    return str(path)


def corrupt(path: Path) -> str:
    path.write_bytes(b"this is no database " * 400)
    return str(path)


def torn(path: Path) -> str:
    open_store(str(path)).close()
    raw = bytearray(path.read_bytes())
    raw[100:4000] = b"\xff" * 3900
    path.write_bytes(bytes(raw))
    return str(path)


def below_a_file(path: Path) -> str:
    path.write_text("")
    return str(path / "store.sqlite")


@pytest.mark.parametrize(
    "make",
    [
        folder,
        corrupt,
        torn,
        below_a_file,
        lambda path: "postgresql://etl:s3cret@127.0.0.1:1/none",
        lambda path: "mysql://etl:s3cret@127.0.0.1/none",
        lambda path: "nonsense://etl:s3cret@x",
        lambda path: "sqlite://",
        lambda path: "sqlite:///:memory:",
        lambda path: "://",
        lambda path: "",
    ],
)
def test_a_store_that_cannot_be_opened_is_told_in_one_line(tmp_path: Path, make: Any) -> None:
    """A folder, a damaged file, a dead server, an unknown kind: StoreError, exit code 5, no password."""
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        open_store(make(tmp_path / "store"))
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_store_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """A text in the place of a store stays as it is, and the way out is named."""
    path = tmp_path / "README.md"
    path.write_text("# Not a store, and long enough to be looked into.\n" * 40, encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"not a database – name a store"):
        open_store(str(path))
    assert path.read_bytes() == before



@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_told(tmp_path: Path) -> None:
    """The message says what to look at."""
    path = tmp_path / "store.sqlite"
    path.touch(mode=0o000)
    with pytest.raises(StoreError, match="check the path and its rights"):
        open_store(str(path))


def test_a_store_damaged_while_open_is_told(tmp_path: Path) -> None:
    """A fault in the middle of a run is a StoreError too, not a traceback of the database library."""
    store = open_store(str(tmp_path / "store.sqlite"))
    with pytest.raises(StoreError, match="the store failed: no such table") as caught, store.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM missing")
    assert "\n" not in str(caught.value)
    store.close()


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    """Whatever is raised inside, none of it is committed, and the store goes on working."""
    with pytest.raises(KeyError), store.begin() as connection:
        connection.execute(runs.insert().values(command="x", started=1.0))
        raise KeyError
    with store.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(runs)).scalar_one() == 0


KILLED = """
    import os, sys
    from engine.store.journal import Entry, intend
    from engine.store.records import Cursor, Record, save_page
    from engine.store.tables import open_store
    store = open_store(sys.argv[1])
    for number in range(10 ** 9):
        with store.begin(durable=number % 2 == 0) as connection:
            found = [Record("c", f"c/{number}-{n}", {"n": n}, digest="d") for n in range(20)]
            intend(connection, [Entry(1, "o", r.key, "r", "create", {}, {}, at=1.0) for r in found])
            save_page(connection, found, [("c", "f", "t", r.key) for r in found], Cursor("c", number, False, 20 * number, 1.0, 1.0))
        os.write(1, b"%d\\n" % number)
"""


@pytest.mark.parametrize("after", [3, 40, 150])
def test_kill_loses_nothing_that_was_committed(tmp_path: Path, after: int) -> None:
    """A process killed in the middle of transactions: every one it reported is whole, every other one is absent."""
    path = tmp_path / "store.sqlite"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        assert process.stdout is not None
        for _ in range(after):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        told = after - 1 + len(process.stdout.read().splitlines())
    store = open_store(str(path))
    with store.begin() as connection:
        last = json.loads(connection.exec_driver_sql("SELECT position FROM cursors").scalar_one())
        assert last >= told
        for table in ("records", "refs", "journal"):
            rows = connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one()
            assert rows == 20 * (last + 1), table
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    store.close()


def test_two_threads_write_without_losing_each_other(store: Store) -> None:
    """Transactions exclude or serialise each other: counters added to from four threads come out right."""
    with store.begin() as connection:
        connection.execute(quota.insert().values(account="a", name="n", slot=1, spent=0.0))

    def add() -> None:
        for _ in range(50):
            with store.begin() as connection:
                connection.execute(quota.update().values(spent=quota.c.spent + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.begin() as connection:
        assert connection.execute(sa.select(quota.c.spent)).scalar_one() == 200


def test_a_row_written_twice_in_one_go_is_there_once(store: Store) -> None:
    """Duplicate keys among the rows of one upsert: the last one wins, on both databases."""
    row = {"collection": "c", "digest": "1", "body": "{}", "read_at": 1.0, "gone": False}
    with store.begin() as connection:
        upsert(connection, records, [{**row, "key": "c/1"}, {**row, "key": "c/1", "digest": "2"}], ["collection", "key"])
        assert [r.digest for r in connection.execute(sa.select(records.c.digest))] == ["2"]


def test_kept_columns_stay(store: Store) -> None:
    """A column in `keep` is written on insertion only."""
    row = {"object": "o", "key": "k", "resource": "r", "dest_id": "1", "digest": "", "written": "{}", "extra": "{}"}
    row |= {"run": 1, "at": 1.0}  # type: ignore[dict-item]
    with store.begin() as connection:
        for origin, keep in (("created", ()), ("updated", ("origin",))):
            upsert(connection, links, [{**row, "origin": origin}], ["object", "key"], keep)
        assert connection.execute(sa.select(links.c.origin)).scalar_one() == "created"


def test_moments_keep_their_microseconds(store: Store) -> None:
    """Epoch seconds need double precision on every database."""
    with store.begin() as connection:
        connection.execute(runs.insert().values(command="x", started=1_767_268_800.123456))
        assert connection.execute(sa.select(runs.c.started)).scalar_one() == 1_767_268_800.123456


def test_numbers_of_slots_and_rows_are_64_bits_wide(store: Store) -> None:
    """A rolling window's slots number tens of billions, and a row's number grows with every reading."""
    with store.begin() as connection:
        connection.execute(quota.insert().values(account="a", name="n", slot=88_363_440_000_000, spent=1.0))
        row = {"collection": "c", "key": "c/1", "digest": "", "body": "{}", "read_at": 1.0, "gone": False}
        connection.execute(records.insert().values(seq=3_000_000_000, **row))
        assert connection.execute(sa.select(records.c.seq)).scalar_one() == 3_000_000_000


@given(st.text(st.characters()) | st.just("half \ud83d") | st.just("nul \0"))
@settings(max_examples=200)
def test_any_text_can_be_stored_and_found_again(text: str) -> None:
    """Nothing that JSON can carry stops a transaction, and JSON bodies come back exactly."""
    body = {"text": text, text: [text]}
    assert json.loads(as_text(body)) == body
    as_text(body).encode()


@pytest.mark.parametrize("text", ["plain", "ñ 株 🚀", "half \ud83d", "nul \0 inside", ""])
def test_a_text_column_takes_any_text(store: Store, text: str) -> None:
    """What was stored under a text is found under it, and half a character stops nothing."""
    with store.begin() as connection:
        connection.execute(runs.insert().values(command=text, started=1.0, outcome=text))
        found = connection.execute(sa.select(runs.c.command).where(runs.c.outcome == text)).scalar_one()
    assert found == text or not text.isprintable() or "half" in text
