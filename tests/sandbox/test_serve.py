"""Starting, stopping and addressing an emulator process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli import sandbox
from sandbox.launch import NotStarted, launch
from tests import loopback
from tests.emulator import emulator

ROOT = Path(__file__).resolve().parents[2]


def started(*args: str) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """Run `python -m sandbox serve pipedrive` and read its one line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "serve", "pipedrive", *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_then_serves_until_a_signal(number: signal.Signals) -> None:
    """The line names the address and the key; a signal ends the process with code 0, quietly."""
    process, line = started("--key", "k" * 40)
    try:
        assert set(line) == {"name", "base_url", "key"}
        assert line["name"] == "pipedrive" and line["key"] == "k" * 40
        answer = loopback.get(line["base_url"] + "/v1/users/me", headers={"x-api-token": "k" * 40})
        assert answer.is_success
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_every_key_is_of_a_company_of_its_own(tmp_path: Path) -> None:
    """Accounts that begin with other keys are other companies, always the same ones; one that is kept in a file stays itself under another key."""

    def company(*words: str) -> int:
        with emulator("pipedrive", extra_args=("--size", "300", *words)) as running:
            answer = loopback.get(running.base_url + "/v1/users/me", headers={"x-api-token": running.key})
            number = answer.json()["data"]["company_id"]
            people = loopback.get(running.base_url + "/v1/persons", headers={"x-api-token": running.key}).json()["data"] or []
        assert {row["company_id"] for row in people} <= {number}
        return int(number)

    assert company() == 7_654_321
    assert company("--key", "one") == company("--key", "one") != company("--key", "two")
    kept = company("--key", "three", "--data", str(tmp_path / "account.sqlite"))
    assert company("--key", "four", "--data", str(tmp_path / "account.sqlite")) == kept


def test_ends_with_its_parent() -> None:
    """With --with-parent the emulator is gone soon after the process that started it."""
    script = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-m', 'sandbox', 'serve', 'pipedrive',"
        " '--with-parent'], stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
        "print(p.pid, flush=True)\n"
        "p.stdout.close()\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, timeout=20
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _alive(pid):
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def test_launch_cleans_up() -> None:
    """An emulator runs while it is used; nothing is left afterwards."""
    with launch("pipedrive") as running:
        os.kill(running.pid, 0)
    assert not _alive(running.pid)


def test_launch_says_why_it_failed() -> None:
    """An emulator that does not start is an error with what it wrote to stderr."""
    failed = pytest.raises(NotStarted, match="unknown switch 'nonsense'")
    with failed, launch("pipedrive", extra_args=["--set", "nonsense=1"]):
        pass
    failed = pytest.raises(NotStarted, match="unknown plan 'gold'")
    with failed, launch("pipedrive", plan="gold"):
        pass


@pytest.mark.parametrize(
    "args",
    [
        ["nobody"],
        ["pipedrive", "--port", "70000"],
        ["pipedrive", "--seats", "0"],
        ["pipedrive", "--fault", "429"],
        ["pipedrive", "--fault", "429=often"],
        ["pipedrive", "--fault", "429=2"],
        ["pipedrive", "--fault", "fire=0.1"],
        ["pipedrive", "--set", "loose"],
        ["pipedrive", "--speed", "0"],
        ["pipedrive", "--plan", "gold"],
        ["pipedrive", "--set", "create_status=204"],
        ["pipedrive", "--set", "index_delay=soon"],
        ["pipedrive", "--set", "nobody.cascade=off"],
        ["pipedrive", "--set", "pipedrive.cascade=sometimes"],
        ["stel_order", "--set", "stel_order.cascade=sometimes"],
    ],
)
def test_bad_options_are_usage_errors(args: list[str]) -> None:
    """A value that makes no sense ends with click's exit code 2 and never serves."""
    outcome = CliRunner().invoke(sandbox, ["serve", *args])
    assert outcome.exit_code == 2, outcome.output
    assert "Error" in outcome.output


def test_a_switch_of_the_other_platform_is_left_to_it() -> None:
    """Both emulators can be started with the same options: each takes its own switches."""
    both = ["--set", "stel_order.retry_after=on", "--set", "pipedrive.create_status=201"]
    with launch("stel_order", extra_args=both):
        pass
    with launch("pipedrive", extra_args=both) as running:
        answer = loopback.post(
            f"{running.base_url}/api/v2/organizations",
            json={"name": "x"},
            headers={"x-api-token": running.key},
        )
        assert answer.status_code == 201


def test_latency_and_faults_from_the_command_line() -> None:
    """Each answer is late by the latency; fault rates apply from the first request."""
    extra = ["--latency-ms", "80", "--fault", "html-403=1"]
    with launch("pipedrive", extra_args=extra) as running:
        answer = loopback.get(running.base_url + "/v1/users/me")
        assert answer.status_code == 403
        assert answer.elapsed.total_seconds() >= 0.08


def test_stel_order_stands_under_app() -> None:
    """The other platform's base address has the fixed prefix its clients expect."""
    with launch("stel_order") as running:
        assert running.base_url.endswith("/app")
        origin = running.base_url.removesuffix("/app")
        assert loopback.get(f"{origin}/__sandbox__/stats").is_success


def test_a_size_that_is_not_asked_for_is_what_the_file_holds(tmp_path: Path) -> None:
    """An account made with a size opens without one and is the same; another size is refused, in one line."""
    file = tmp_path / "account.sqlite"

    def rows(*size: str) -> dict[str, int]:
        with launch("stel_order", data=file, extra_args=size) as running:
            found: dict[str, int] = loopback.get(running.base_url.removesuffix("/app") + "/__sandbox__/stats").json()["rows"]
            return found

    made = rows("--size", "400")
    assert rows() == made
    assert rows("--size", "400") == made
    failed = pytest.raises(NotStarted, match=r"holds an account of seed 1, size 400, not of seed 1, size 500; use another file$")
    with failed as refused, launch("stel_order", data=file, extra_args=("--size", "500")):
        pass
    assert "Usage" not in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(NotStarted, match="seed 1, size 400, not of seed 2"), launch("stel_order", data=file, extra_args=("--seed", "2")):
        pass
