"""The process of a turn does nothing before its worker says so, however slowly it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.connector.rate_limit import RateLimiter
from engine.library.opening import held
from engine.session import Event
from fleet.turn import Far
from tests.e2e.driving import SPEC, checkout, environment

ENV = {
    "STEL_ORDER_BASE_URL": "http://127.0.0.1:9/app", "STEL_ORDER_API_KEY": "k3y-of-nobody",
    "PIPEDRIVE_BASE_URL": "http://127.0.0.1:10", "PIPEDRIVE_API_TOKEN": "t0ken-of-nobody", "FALLBACK_OWNER_EMAIL": "owner@example.com",
}  # fmt: skip
NOTHING_TO_VERIFY, OCCUPIED = 2, 76


@pytest.mark.parametrize(
    ("words", "code"),
    [(b"go\n", NOTHING_TO_VERIFY), (b"\n\n\ngo\n", NOTHING_TO_VERIFY), (b"no\n", OCCUPIED), (b"\nno\n", OCCUPIED)],
    ids=["go", "a slow start", "no", "no after a slow start"],
)
def test_a_turn_waits_for_its_word(tmp_path: Path, words: bytes, code: int) -> None:
    """It names its accounts, hears that the worker is there, and goes on or ends as it is told; its end says whether it had the store."""
    project = checkout(tmp_path / "project")
    order = {"spec": str(project / SPEC), "store": str(tmp_path / "store.sqlite"), "stage": "verify"}
    silent = subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, "-m", "fleet.turn"], cwd=tmp_path, env=environment(ENV), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=silent
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(order).encode() + b"\n" + words)
        process.stdin.flush()
        first, *_, last = (json.loads(line) for line in process.stdout)
        process.stdin.close()
    assert len(first["accounts"]) == 2 and "127.0.0.1" not in str(first)
    assert last["ended"]["code"] == code and last["ended"]["held"] == (code == NOTHING_TO_VERIFY)


def test_a_wait_is_told_with_what_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a turn waits it says nothing more: how much of the day is spent goes along with the wait."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    said: list[Mapping[str, Any]] = []
    far = Far(said.append)
    with held(checkout(tmp_path / "project") / SPEC, "live", str(tmp_path / "store.sqlite")) as found:
        far.held = found
        far.look()
        there, side = found.migration.destination, found.migration.spec.destination
        name = f"{there.name}:{found.accounts.destination.id}"
        RateLimiter(found.store, name, there.limits, side.plan, side.seats, side.reserve, found.clock).acquire(40.0)
        far.heard(Event("wait begins", 1, "", "", "the limit of a day", 60.0, "Pipedrive"))
    (now,) = (line["now"] for line in said)
    assert now["for"] == "the limit of a day" and max(use["spent"] for use in now["today"]) == 40
