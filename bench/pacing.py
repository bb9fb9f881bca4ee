"""How much of a burst limit a saturating run gets out of the destination's emulator, and how often it is refused.

Calls come in bursts, a window apart, so calls in a fixed time say how many bursts fell into it: 15 seconds hold 7 or 8
of them. What is measured is the time that whole windows of calls take, from one call to the one that many later.

    python bench/pacing.py [--latency-ms 150] [--seconds 20] [--threads 8 16 24] [--plans growth ultimate]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from engine.connector.auth import Account
from engine.connector.client import Client
from engine.connector.load import load_connector
from engine.connector.rate_limit import RateLimiter
from engine.store.tables import open_store
from sandbox.launch import launch

CONNECTOR = Path(__file__).resolve().parent.parent / "connectors" / "pipedrive.yaml"
WARM_UP = 6.0  # seconds; the first window is free and says nothing about the pace


def main() -> None:
    """Measure each plan with each number of threads and print a line for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency-ms", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, nargs="*", default=[0])
    parser.add_argument("--plans", nargs="*", default=["growth", "ultimate"])
    chosen = parser.parse_args()
    for plan in chosen.plans:
        for threads in chosen.threads:
            print(measure(plan, threads, chosen.latency_ms, chosen.seconds))


def measure(plan: str, threads: int, latency_ms: int, seconds: float) -> str:
    """Saturate one fresh account."""
    connector = load_connector(CONNECTOR)
    threads = threads or connector.connection.concurrency
    extra = ("--latency-ms", str(latency_ms))
    with tempfile.TemporaryDirectory() as folder, launch("pipedrive", data=None, plan=plan, seats=5, extra_args=extra) as it:
        store = open_store(f"{folder}/store.sqlite")
        limiter = RateLimiter(store, "bench", connector.limits, plan, 5)
        client = Client(connector, Account(it.base_url, it.key), limiter)
        done = saturate(client, threads, seconds)
        client.close()
        store.close()
        with urllib.request.urlopen(f"{it.base_url.removesuffix('/')}/__sandbox__/stats") as answer:
            stats = json.load(answer)
    burst = next(limit for limit in connector.limits if limit.name == "burst")
    share = used(done, int(burst.allowance(plan, 1)), burst.seconds)
    refused = stats["answers"].get("429", 0)
    return f"{plan}, {threads} threads, {latency_ms} ms: {share:.1%} of the limit, {refused} of {len(done)} calls refused"


def used(done: list[float], allowance: int, window: float) -> float:
    """The share of a limit that calls used, after the warm-up: the time that whole windows of them may take at least
    by the time that they took.
    """
    after = [at for at in done if at >= 0]
    windows = (len(after) - 1) // allowance
    return windows * window / (after[windows * allowance] - after[0])


def saturate(client: Client, threads: int, seconds: float) -> list[float]:
    """Create organizations from many threads for `seconds` after a warm-up; when each was made, counted from its end."""
    done: list[float] = []
    began = time.monotonic() + WARM_UP

    def work(number: int) -> None:
        while time.monotonic() - began < seconds:
            client.write("organizations", "create", {"name": f"Bench {number} {len(done)}"})
            done.append(time.monotonic() - began)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(done)


if __name__ == "__main__":
    main()
