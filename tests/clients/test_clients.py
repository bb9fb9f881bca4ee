"""Clients by other people, each doing what it is for against an emulator of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.installing import Absent
from tests.clients.running import Told, counted, findings, run


@pytest.mark.clients
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_gets_what_is_in_the_account(client: Client, tmp_path: Path) -> None:
    """Every row it reads is one of the account, none is missing or twice, what it writes is kept, and no refusal is a new one."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here to make a certificate with")
    try:
        told = run(client, tmp_path)
    except Absent as reason:
        pytest.skip(str(reason))
    print(f"\n{told.row}")
    assert told.judged.faults == []
    assert told.judged.values > 500, "a client that reads nothing finds no fault"
    assert not told.unknown - set(findings()["removed"])
    _as_known(told)


def _as_known(told: Told) -> None:
    """Refusals and failures are those that are written down, all of them; so are the rows of other streams."""
    name = told.client.name
    nowhere = {f"{one} 404" for one in findings()["nobody_has_one"]}
    assert told.refused - nowhere == set(findings()["refused"].get(name, ()))
    assert told.failed == set(findings()["failed"].get(name, ()))
    rows = counted(told)
    wanted = findings()["counted"].get(name, {})
    assert {stream: rows[stream] for stream in wanted} == wanted
