"""An audit of the source emulator finds the rows that its lists do not show, in whichever way it still shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.stel_order.world import DELETED, ident_of
from tests import loopback
from tests.e2e.driving import SPEC, Pair, checkout, etl_here, pair


def busiest(accounts: Pair) -> str:
    """The path of the client that most rows belong to."""
    named: dict[str, int] = {}
    for rows in accounts.source.dump().values():
        for row in rows:
            path = str(row.get("account-path"))
            named[path] = named.get(path, 0) + ("/clients/" in path)
    return max(named, key=lambda path: named[path])


def asked(accounts: Pair) -> int:
    """How many single rows were read."""
    found: dict[str, int] = accounts.source.stats()["requests"]
    return sum(many for operation, many in found.items() if operation.startswith("GET") and operation.endswith("{id}"))


@pytest.mark.parametrize(("word", "told"), [("row", "deleted"), ("404", "gone")])
def test_deleted_rows_are_found_by_gaps_and_by_who_names_them(word: str, told: str, tmp_path: Path) -> None:
    """The seeded ones by the gap that they leave, a client that went just now by its documents too; the price is what was said."""
    at = checkout(tmp_path / word)
    with pair(("--set", f"read_deleted={word}"), size=150) as accounts:
        path = busiest(accounts)
        where = f"{accounts.source.base_url}/{path.partition('/app/')[2]}"
        loopback.request("DELETE", where, headers={"APIKEY": accounts.source.key}, timeout=30).raise_for_status()
        before = asked(accounts)
        done = etl_here("audit", SPEC, "--hidden", "--json", "--env", "live", at=at, env=accounts.env, code=0)
        found: dict[str, Any] = {item["collection"]: item for item in done.data()["hidden"]["collections"]}
        calls = done.data()["hidden"]["calls"]
        assert asked(accounts) - before == calls > 10
        assert f"looking for rows that no list shows takes {calls} calls to STEL Order" in done.err
        listed = accounts.source.dump()
        seeded = [name for name, first in DELETED.items() if len(listed[name]) > first]
        assert len(seeded) >= 5, seeded
        for name in seeded:
            assert found[name]["found"] == {told: found[name]["gaps"]}, name
            assert f"{name}/{ident_of(name, DELETED[name])}" in found[name]["examples"][told], name
        clients = found["clients"]
        assert clients["named"] >= 1 and clients["namers"] > 3
        assert "/".join(path.split("/")[-2:]) in clients["examples"][told]
        assert found["ordinaryInvoices"]["gaps"] == found["ordinaryInvoices"]["named"] == 0

        more = etl_here("audit", SPEC, "--hidden", "1", "--env", "live", at=at, env=accounts.env, code=0)
        assert f"1 {told}" in more.out and "Rows that no list shows (" in more.out
