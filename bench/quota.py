"""How full the load stage keeps a destination's pipe: share of the burst limit used while writing, share of refusals.

    python bench/quota.py [--size 10000] [--latency-ms 150] [--seconds 60] [--plans growth ultimate]

A real run of the command line on a real clock; after so many seconds of writing it is killed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.connector.load import load_connector  # noqa: E402
from sandbox.launch import launch  # noqa: E402
from tests.chaos.harness import SPEC, World, control, edit, project, written  # noqa: E402

WARM_UP = 4.0  # seconds: the first windows are free and say nothing about the pace
SEATS = 5


def main() -> None:
    """A line for each plan."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--plans", nargs="*", default=["growth", "ultimate"])
    chosen = parser.parse_args()
    print(f"{'plan':<10}{'calls':>8}{'seconds':>9}{'calls/s':>9}{'limit/s':>9}{'used':>8}{'429':>6}{'of all':>9}")
    for plan in chosen.plans:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(Path(folder), plan, chosen.size, chosen.latency_ms, chosen.seconds), flush=True)


def measure(folder: Path, plan: str, size: int, latency_ms: int, seconds: float) -> str:
    """One run on fresh accounts."""
    at = plain(project(folder / "project"), plan)
    slow = ["--latency-ms", str(latency_ms), "--set", "index_delay=0"]
    with (
        launch("stel_order", plan="unlimited", extra_args=["--size", str(size)]) as source,
        launch("pipedrive", data=folder / "pipedrive.db", plan=plan, seats=SEATS, extra_args=slow) as destination,
    ):
        world = World(at, source, destination)
        process = world.start("run", "--yes")
        calls, spent = window(world, process, seconds)
        answers = control(destination, "stats")["answers"]
        process.kill()
        process.wait()
    burst = next(limit for limit in load_connector(at / "connectors/pipedrive.yaml").limits if limit.name == "burst")
    limit = burst.allowance(plan, SEATS) / burst.seconds
    refused, every = answers.get("429", 0), sum(answers.values())
    pace = calls / spent
    return f"{plan:<10}{calls:>8}{spent:>9.0f}{pace:>9.1f}{limit:>9.1f}{pace / limit:>8.1%}{refused:>6}{refused / every:>9.3%}"


def plain(at: Path, plan: str) -> Path:
    """The shipped limits again: nothing here runs faster than it would."""
    edit(at / SPEC, ("plan: ultimate, seats: 5000", f"plan: {plan}, seats: {SEATS}"))
    (at / "connectors/pipedrive.yaml").write_bytes((ROOT / "connectors/pipedrive.yaml").read_bytes())
    return at


def window(world: World, process: subprocess.Popen[bytes], seconds: float) -> tuple[int, float]:
    """Calls and seconds between the first records and the end of the time, or of the run."""
    while control(world.destination, "stats")["requests"].get("addOrganization", 0) < 10:
        assert process.poll() is None, json.dumps((world.folder / "err.txt").read_text()[-2000:])
        time.sleep(0.05)
    time.sleep(WARM_UP)
    first, began = written(world.destination), time.monotonic()
    last, ended = first, began
    while time.monotonic() - began < seconds and process.poll() is None:
        time.sleep(0.2)
        now = written(world.destination)
        if now > last:
            last, ended = now, time.monotonic()
    return last - first, ended - began


if __name__ == "__main__":
    main()
