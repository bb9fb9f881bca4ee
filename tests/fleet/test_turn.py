"""The process of a turn does nothing before its worker says so, however slowly it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
