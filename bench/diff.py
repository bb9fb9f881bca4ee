"""How long `etl diff` with its effect takes: one changed value map over N staged quotes. `python bench/diff.py [records]`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.language.compile import load_migration
from engine.pipeline import Result, draft
from engine.session import Run
from engine.store.links import Link, save_link, stream_drafts
from engine.store.records import Cursor, Record, save_page
from engine.store.tables import open_store
from engine.values import digest
from workbench.diff.differences import differences
from workbench.diff.effect import effect
from workbench.meaning import parts
from workbench.staged import runs

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "specs" / "stel_order_to_pipedrive.yaml"
STATES = ("Pendiente", "En curso", "Aceptada", "Cerrada", "Rechazada")


def path_of(collection: str, number: int) -> str:
    """How the source names a row."""
    return f"app.stelorder.com/app/{collection}/{number}"


def quote(number: int) -> dict[str, Any]:
    """A made-up quote with twenty lines, as large as real ones."""
    line = {"line-type": "ITEM", "deleted": False, "item-name": "Service", "units": 2, "item-base-price": 12.5, "total-amount": 25}
    return {
        "id": number, "full-reference": f"PRE{number:06}", "reference": str(number), "date": "2024-05-06T10:00:00+0000",
        "account-path": path_of("clients", 1 + number % 500), "document-state-path": path_of("documentStates", 1 + number % 5),
        "total-amount": 30.25 * number, "subtotal-amount": 25.0 * number, "tax-total-amount": 5.25 * number, "currency-code": "EUR",
        "title": "Maintenance", "lines": [{"id": number * 100 + at, "order": at, **line} for at in range(20)],
        "creation-date": "2024-05-06T10:00:00+0000", "utc-last-modification-date": "2024-05-06T10:00:00+0000",
    }  # fmt: skip


def stage(run: Run, records: int) -> None:
    """Put the made-up account into the store, as a reading would."""
    rows = {
        "documentStates": [{"id": at + 1, "type": "SALESESTIMATE", "name": name, "order": at} for at, name in enumerate(STATES)],
        "clients": [{"id": at + 1, "name": f"Client {at}", "legal-name": f"Client {at} SL"} for at in range(500)],
        "salesEstimates": [quote(at + 1) for at in range(records)],
    }
    now = run.clock.now()
    for name, bodies in rows.items():
        found = [Record(name, f"{name}/{body['id']}", body, 0, digest(body)) for body in bodies]
        refs = [(name, "account-path", f"clients/{1 + r.body['id'] % 500}", r.key) for r in found if name == "salesEstimates"]
        with run.store.begin() as connection:
            save_page(connection, found, refs, Cursor(name, None, True, len(found), now, now))


def pretend_written(run: Run) -> None:
    """A link for every draft, as if each had been written."""
    for mapping in run.spec.active():
        for batch in stream_drafts(run.store, mapping.name):
            with run.store.begin() as connection:
                for at, item in enumerate(batch):
                    link = Link(mapping.name, item.key, mapping.resource, str(item.seq or at), item.digest, item.body, "created")
                    save_link(connection, link)


def measure(records: int) -> tuple[float, float, int, int]:
    """Seconds on the clock and of the processor for the diff with effect, records staged, records that would be rewritten."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("connectors", "templates"):
            shutil.copytree(ROOT / name, project / name)
        (project / "specs").mkdir()
        changed = project / "specs" / SPEC.name
        text = SPEC.read_text(encoding="utf-8")
        changed.write_text(text.replace("En curso: open, Aceptada: won", "En curso: won, Aceptada: won"), encoding="utf-8")
        store = open_store(str(project / "store.sqlite"))
        old = load_migration(SPEC, {})
        with runs(store, old) as (run,):
            stage(run, records)
            draft(run, Result())
            pretend_written(run)
        start, busy = time.perf_counter(), time.process_time()
        before, after = load_migration(SPEC, {}), load_migration(changed, {})
        found = differences(parts(before), parts(after))
        with runs(store, before, after) as (first, second):
            effects = effect(first, second, found)
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        store.close()
    return seconds, busy, sum(item.records for item in effects), sum(item.rewritten for item in effects)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=10_000)
    seconds, busy, mapped, rewritten = measure(parser.parse_args().records)
    told = f"{mapped:,} staged records mapped under both specs, {rewritten:,} would be rewritten"
    print(f"{told}: {seconds:.2f} s ({busy:.2f} s of processor)")


if __name__ == "__main__":
    main()
