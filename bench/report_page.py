"""How long the report page of 10,000 records takes to write and to open: `python bench/report_page.py [records]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STATES = ("equal", "transformed", "looked_up", "defaulted", "stored_as", "dropped", "lost", "changed_by_people", "empty")
HELD = {"lost": "", "stored_as": "X", "changed_by_people": "Y"}  # by fields that do not hold the very value
REASONS = {
    "lost": "the destination holds something else", "stored_as": "the destination stores it as X",
    "changed_by_people": "people changed it; kept",
}  # fmt: skip
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
READ = """
const [entry] = performance.getEntriesByType("navigation");
const rows = document.querySelectorAll("#rows tr").length;
return {ready: Number(document.documentElement.dataset.ready), drawn: entry.loadEventEnd, rows};
"""
SEARCH = "const start = performance.now(); filter({q: arguments[0]}); return [performance.now() - start, shown.length]"


def field(number: int, place: int) -> dict[str, Any]:
    """One field of a made-up record."""
    state = STATES[(number + place) % len(STATES)] if place == 7 else STATES[place % 4]
    text = "" if state == "empty" else f"Value {number}-{place} of a field, Ávila & Söhne"
    return {
        "target": f"custom.field_{place}", "label": f"Field {place}", "state": state,
        "steps": ["text.squash", "text.truncate"],
        "sources": [[f"source-field-{place}", text]], "wanted": text, "live": HELD.get(state, text),
        "reason": REASONS.get(state, ""),
    }  # fmt: skip


def record(number: int, fields: int) -> dict[str, Any]:
    """A made-up record; a note in every fourth."""
    kind = number % 20
    found = [field(number, place) for place in range(fields)]
    if number % 4 == 0:
        html = "<h4>Lines</h4><table>" + "<tr><td>item</td><td>12,50</td></tr>" * 20 + "</table>"
        found.append(
            {**found[0], "target": "content", "steps": ["template note.html.j2"], "wanted": html, "live": html}
        )
    return {
        "object": f"object_{kind}", "label": f"Object {kind}", "key": f"rows/{number}",
        "record": f"rows/{number}", "resource": "things", "dest_id": str(number),
        "state": "failed" if number % 500 == 0 else "arrived",
        "reason": "", "why": "fills the sample up",
        "title": f"Record {number}", "file": None, "fields": found, "unmapped": [],
    }  # fmt: skip


def limit(name: str, unit: str, seconds: float, allowance: float, left: float) -> dict[str, Any]:
    """One limit of a made-up account."""
    return {"name": name, "unit": unit, "seconds": seconds, "allowance": allowance, "left": left}


def account(title: str, cost_unit: str, limits: list[dict[str, Any]]) -> dict[str, Any]:
    """What a made-up account was used for."""
    return {
        "title": title,
        "plan": "large",
        "plan_shown": "confirmed by x-limit: 40",
        "seats": 5,
        "calls": 438,
        "cost": 3077.0,
        "cost_unit": cost_unit,
        "waited": 106.2,
        "over_time": [[1_767_323_045 + 5 * at, calls, 10.0 * calls] for at, calls in enumerate((3, 40, 38, 0, 12))],
        "limits": limits,
    }


def synthetic(records: int, fields: int = 11) -> dict[str, Any]:
    """A report of this many records, as large as those of real runs."""
    rows = [record(number, fields) for number in range(records)]
    return {
        "migration": "old_to_new", "title": "Old to New", "command": "run --sample", "environment": "sandbox",
        "run": 1, "generated_at": "2026-01-02 03:04:05 UTC", "spec_digest": "0123456789abcdef0123456789abcdef",
        "verdict": verdict(rows),
        "accounts": {
            "source": account("Old", "calls", [limit("minute", "calls", 60.0, 60.0, 1.0)]),
            "destination": account("New", "tokens", [
                limit("burst", "calls", 2.0, 40.0, 3.0), limit("day", "cost", 86400.0, 300000.0, 296923.0),
            ]),
        },
        "objects": [summary(rows, f"object_{kind}", f"Object {kind}") for kind in range(min(20, records))],
        "records": rows, "records_not_shown": 0,
        "money": [{"object": "object_1", "label": "Object 1", "currency": "EUR", "wanted": 1234.5, "live": 1234.5}],
        "people": [{"key": "people/1", "name": "Ann", "email": "ann@example.com", "state": "matched", "user": "7"},
                   {"key": "people/2", "name": "Bob", "email": "", "state": "unmatched", "user": ""}],
        "fallback_owner": "Olga Owner <olga@example.com>",
        "collections_left_behind": [{"collection": "rates", "rows": 4, "reason": "unasked", "read_for_links": False}],
        "marked": [{"collection": "rows", "kind": "inactive", "rows": 3, "left_out": True}],
        "to_know": [{"platform": "Old", "text": "Logos are not in the API.", "rows": [["rates", 4], ["rates.fax", 2], ["logos", None]]}],
        "provisioned": {"fields_found": 1, "fields_made": 2, "options_made": 3, "refused": []},
        "sample": {"wanted": records, "chosen": records, "features": 5, "covered": 5, "how": "The same each time."},
        "settled": {"happened": 0, "did not happen": 0}, "findings": [], "notices": [],
    }  # fmt: skip


def verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The counts of these records."""
    count = {state: sum(row["state"] == state for row in rows) for state in ("arrived", "missing", "skipped", "failed")}
    lost = sum(item["state"] == "lost" for row in rows if row["state"] == "arrived" for item in row["fields"])
    fields = {state: sum(item["state"] == state for row in rows for item in row["fields"]) for state in STATES}
    good = count["arrived"] == len(rows) and not lost
    written = {"need_attention": 0, "created": count["arrived"], "updated": 0, "unchanged": 0, "adopted": 0}
    return {"state": "good" if good else "attention", **count, "fields": fields, "lost_in_arrived": lost, **written, "deleted": 0}


def summary(rows: list[dict[str, Any]], name: str, label: str) -> dict[str, Any]:
    """One line of the table of objects."""
    own = [row for row in rows if row["object"] == name]
    told = verdict(own)
    return {
        "object": name, "label": label, "from": ["rows"], "to": "things", "records": len(own),
        "states": {state: told[state] for state in ("arrived", "failed") if told[state]},
        "fields": told["fields"],
        "mapped": [["Status", "Pending", "open", 7], ["Status", "Accepted", "won", 5]],
        "created": told["arrived"], "updated": 0, "adopted": 0, "unchanged": 0, "skipped": 0,
        "failed": told["failed"], "deleted": 0, "conflicts": 0, "cost": 5.0 * len(own) + 1, "least": 5.0 * len(own), "reasons": [],
    }  # fmt: skip


def measure(page: Path) -> dict[str, float]:
    """Open a page in headless Chromium; milliseconds until it was usable, and for its first and second search."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            start = time.perf_counter()
            driver.get(page.as_uri())
            whole = (time.perf_counter() - start) * 1000
            found: dict[str, float] = {**driver.execute_script(READ), "get": whole}
            found["first_search"], found["hits"] = driver.execute_script(SEARCH, "avila 17")
            found["next_search"], _ = driver.execute_script(SEARCH, "avila 171")
        finally:
            driver.quit()
    return found


def main() -> None:
    """Write the page, open it three times, print what it took."""
    sys.path.insert(0, str(ROOT))
    from engine.report.page import write_html

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=10_000)
    report = synthetic(parser.parse_args().records)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        start = time.perf_counter()
        write_html(report, page)
        fields = sum(len(row["fields"]) for row in report["records"])
        print(f"{len(report['records']):,} records, {fields:,} fields, {page.stat().st_size / 1e6:.1f} MB")
        print(f"written in {time.perf_counter() - start:.2f} s")
        for _ in range(3):
            print(", ".join(f"{name} {value:,.0f}" for name, value in measure(page).items()))


if __name__ == "__main__":
    main()
