"""How far everything is: as a table, as JSON, and as one page that needs nothing else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleet import records
from fleet.records import RESTING, Member, Turn

COLUMNS = {
    "name": "migration",
    "goal": "goal",
    "state": "state",
    "far": "how far",
    "arrived": "arrived",
    "attention": "attention",
    "today": "spent of the day",
    "next": "next turn, UTC",
    "approved": "approved by",
}
FOR_A_PERSON = ("waiting",)
TOKENS = {"cost": "tokens"}


def collected(engine: sa.Engine) -> list[dict[str, Any]]:
    """One row for each migration."""
    last = records.last_turns(engine)
    now, workers = time.time(), records.workers(engine)
    return [
        {**_row(of, last.get(of.name), now), "workers": workers[of.version]}
        for of in records.members(engine)
    ]


def _row(of: Member, last: Turn | None, at: float) -> dict[str, Any]:
    goal = of.goal
    goes_on = last is not None and not last.ended
    now = last.now if last is not None and goes_on else {}
    verdict = last.verdict if last else {}
    return {
        "name": of.name,
        "goal": goal.stage if goal else "",
        "every": goal.every if goal else 0.0,
        "until": goal.until if goal else 0.0,
        "window": goal.window if goal else "",
        "state": of.state,
        "stage": now.get("stage", ""),
        "done": now.get("done"),
        "total": now.get("total"),
        "rate": now.get("rate"),
        "waits": now.get("waits"),
        "arrived": verdict.get("arrived"),
        "attention": verdict.get("attention"),
        "today": [
            use
            for use in now.get("today") or verdict.get("today", ())
            if use["until"] > at
        ],
        "at": of.at,
        "reason": of.reason,
        "approved": of.approved,
        "worker": last.worker if last is not None and goes_on else "",
        "version": of.version,
        "code": last.code if last else None,
    }


def shown(row: Mapping[str, Any]) -> dict[str, str]:
    """A row as people read it."""
    found = {key: _text(row.get(key)) for key in COLUMNS}
    found["far"] = _far(row)
    found["today"] = _spent(row["today"])
    found["next"] = (
        moment(row["at"])
        if row["state"] in ("queued", "paused", "retrying")
        else ""
    )
    return found


def _spent(uses: Sequence[Mapping[str, Any]]) -> str:
    """What is spent of the limit of which least is left."""
    if not uses:
        return ""
    use = max(uses, key=lambda use: use["spent"] / use["of"])
    unit = TOKENS.get(use["unit"], use["unit"])
    return f"{use['spent']:,} of {use['of']:,} {unit}, {use['account']}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _far(row: Mapping[str, Any]) -> str:
    if not row["stage"]:
        return ""
    of = f" of {row['total']:,}" if row["total"] is not None else ""
    rate = f", {row['rate']} a second" if row["rate"] else ""
    waits = f", waits {row['waits']} s" if row["waits"] else ""
    return f"{row['stage']} {row['done'] or 0:,}{of}{rate}{waits}"


def moment(at: float) -> str:
    """A time as people read it, in UTC."""
    return (
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        if at
        else ""
    )


def show(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The table, the reasons, and in one line for which migrations a person is needed."""
    table = Table(box=None, pad_edge=False)
    for title in COLUMNS.values():
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text) for text in shown(row).values()))
    console.print(table)
    for row in rows:
        if row["reason"]:
            console.print(Text(f"{row['name']}: {row['reason']}"))
    console.print(Text(summary(rows)))


def without_workers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Migrations with something to do in a version of etl that has no worker."""
    return [
        row["name"]
        for row in rows
        if row["state"] not in RESTING and not row["workers"]
    ]


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many migrations are in which state, and whether somebody is needed."""
    if not rows:
        return "no migration is registered – etl fleet add NAME SPEC"
    counts = Counter(row["state"] for row in rows)
    states = ", ".join(
        f"{many} {state}" for state, many in sorted(counts.items())
    )
    needed = [row["name"] for row in rows if row["state"] in FOR_A_PERSON]
    findings = sum(row["attention"] or 0 for row in rows)
    said = [f"a person is needed for {', '.join(needed)}"] if needed else []
    said += [f"{findings:,} findings need attention"] if findings else []
    left = without_workers(rows)
    versions = sorted({row["version"] for row in rows if row["name"] in left})
    said += (
        [f"no worker of etl {', '.join(versions)} for {', '.join(left)}"]
        if left
        else []
    )
    return f"{len(rows)} migrations: {states}; {'; '.join(said) or 'nobody is needed'}"


_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2rem;color:#222}"
    "table{border-collapse:collapse}th,td{text-align:left;padding:.4rem .8rem;"
    "border-bottom:1px solid #ddd;vertical-align:top}"
    ".waiting td{background:#fdecea}.running td{background:#eef6ee}"
)


def page(rows: Sequence[Mapping[str, Any]], now: float) -> str:
    """The same as one page; what stands in it is text, whatever it looks like."""
    titles = (*COLUMNS.values(), "reason")
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(_line(row) for row in rows)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>etl fleet</title>'
        f"<style>{_STYLE}</style></head><body><h1>Migrations</h1>"
        f"<p>{escape(summary(rows))}, at {moment(now)} UTC</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></body></html>\n"
    )


def _line(row: Mapping[str, Any]) -> str:
    texts = (*shown(row).values(), row["reason"])
    cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    return f'<tr class="{escape(row["state"])}">{cells}</tr>'
