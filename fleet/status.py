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

from engine.report.words import counted, needing
from fleet.ending import Goal
from fleet.records import alive, figures, members
from fleet.records.figures import Turn
from fleet.records.members import RESTING, Member

COLUMNS = {
    "name": "migration",
    "goal": "goal",
    "state": "state",
    "far": "how far",
    "arrived": "arrived",
    "attention": "attention",
    "delta": "since then, by delta",
    "today": "spent of the day",
    "next": "next turn, UTC",
    "approved": "approved by",
}
A_WORKER = "etl fleet worker --secrets DIR"
ALWAYS = ("name", "goal", "state")  # columns that stay where nothing is in them
FOR_A_PERSON = ("waiting",)
COMES = ("queued", "paused", "retrying")  # states that a turn follows
# what counts all records, or says that there are none any more; a delta counts what it has changed
LATER = ("run", "verify", "rollback")
WHOLE = ("sample", *LATER)
OUTCOMES = ("arrived", "missing", "skipped", "failed")  # of a record
UNBROKEN = 100_000  # columns of a pipe: nothing is as wide


def looked(engine: sa.Engine) -> dict[str, Any]:
    """All migrations, and how many workers of each version live."""
    return {
        "migrations": collected(engine),
        "workers": dict(alive.workers(engine)),
    }


def collected(engine: sa.Engine) -> list[dict[str, Any]]:
    """One row for each migration."""
    last = figures.last_turns(engine)
    whole = _whole(engine)
    deltas = figures.last_turns(engine, ("delta",))
    now, workers = time.time(), alive.workers(engine)
    return [
        {
            **_row(of, last.get(of.name), now),
            **_counted(whole.get(of.name), deltas.get(of.name)),
            "workers": workers[of.version],
        }
        for of in members.members(engine)
    ]


def _whole(engine: sa.Engine) -> dict[str, Turn]:
    """The last turn of each migration that counted its records: a sample of a few is none where
    all have been moved since the last rollback.
    """
    found = figures.last_turns(engine, WHOLE)
    runs = figures.last_turns(engine, ("run",))
    rollbacks = figures.last_turns(engine, ("rollback",))
    later = figures.last_turns(engine, LATER)
    sampled = {name for name, turn in found.items() if turn.stage == "sample"}
    # between two looks a migration may come or go
    for name in sampled & runs.keys() & later.keys():
        undone = rollbacks.get(name)
        if undone is None or undone.id < runs[name].id:
            found[name] = later[name]
    return found


def _row(of: Member, last: Turn | None, at: float) -> dict[str, Any]:
    goal = of.goal or Goal("")
    goes_on = last is not None and not last.ended
    now = last.now if last is not None and goes_on else {}
    verdict = last.verdict if last else {}
    return {
        "name": of.name,
        "goal": goal.stage,
        "every": goal.every,
        "until": goal.until,
        "window": goal.window,
        "state": of.state,
        "stage": now.get("stage", ""),
        "done": now.get("done"),
        "total": now.get("total"),
        **_pace(now, at),
        "today": [
            use
            for use in now.get("today") or verdict.get("today", ())
            if use["until"] > at
        ],
        "at": of.at,
        "next": of.at if of.state in COMES else None,
        "reason": of.reason,
        "approved": of.approved,
        "secrets": of.secrets,
        "worker": last.worker if last is not None and goes_on else "",
        "version": of.version,
        "code": last.code if last else None,
    }


def _pace(now: Mapping[str, Any], at: float) -> dict[str, Any]:
    """How fast a turn is, or until when it waits: it says nothing else meanwhile."""
    waits = now.get("until", 0.0)
    if not waits:
        return {"rate": now.get("rate"), "waits": None}
    return {"rate": None, "waits": waits if waits > at else None}


def _counted(whole: Turn | None, delta: Turn | None) -> dict[str, Any]:
    """What was counted last; a delta that was earlier is a part of that."""
    found = whole.verdict if whole else {}
    later = delta and (whole is None or delta.id > whole.id)
    more = delta.verdict if delta and later else {}
    changed = [more.get(name, 0) for name in ("created", "updated", "deleted")]
    attention = _needing(found, more) if more else found.get("attention")
    return {
        "arrived": found.get("arrived"),
        "records": _records(found),
        "attention": attention,
        "changed": sum(changed) if more else None,
    }


def _needing(whole: Mapping[str, Any], delta: Mapping[str, Any]) -> int:
    """How much needs attention now: a delta's report has all findings there are, but compares only
    the records that it wrote. What is wrong with others, the last count of all has found.
    """
    seen = {*delta.get("troubled", ()), *delta.get("found", ())}
    unseen = {*whole.get("troubled", ())} - seen
    return int(delta.get("attention", 0)) + len(unseen)


def _records(verdict: Mapping[str, Any]) -> int | None:
    """How many records were to arrive; None where nothing was counted."""
    if "missing" not in verdict:
        return None
    return sum(int(verdict[state]) for state in OUTCOMES)


def shown(row: Mapping[str, Any]) -> dict[str, str]:
    """A row as people read it."""
    found = {key: _text(row.get(key)) for key in COLUMNS}
    found["goal"] = _goal(row)
    found["state"] += f" on {row['worker']}" if row["worker"] else ""
    found["far"] = _far(row)
    of = f" of {row['records']:,}" if row["records"] is not None else ""
    found["arrived"] += of
    many = row["changed"]
    found["delta"] = "" if many is None else f"{many:,} changed"
    found["today"] = _spent(row["today"])
    found["next"] = moment(row["next"] or 0.0)
    return found


def _goal(row: Mapping[str, Any]) -> str:
    """What is to be done, how often, until when, and in which hours."""
    every = f"every {_span(row['every'])}" if row["every"] else ""
    until = f"until {minute(row['until'])}" if row["until"] else ""
    window = f"in {row['window']}" if row["window"] else ""
    return " ".join(filter(None, (row["goal"], every, until, window)))


def _span(seconds: float) -> str:
    """`30m`, as `start` takes it."""
    for many, unit in ((3600, "h"), (60, "m")):
        if seconds % many == 0:
            return f"{seconds / many:.0f}{unit}"
    return f"{seconds:g}s"


def _spent(uses: Sequence[Mapping[str, Any]]) -> str:
    """What is spent of the limit of which least is left."""
    if not uses:
        return ""
    use = max(uses, key=lambda use: use["spent"] / use["of"])
    return f"{use['spent']:,} of {use['of']:,} {use['unit']}, {use['account']}"


def _text(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)


def _far(row: Mapping[str, Any]) -> str:
    if not row["stage"]:
        return ""
    of = f" of {row['total']:,}" if row["total"] is not None else ""
    rate = f", {row['rate']} a second" if row["rate"] else ""
    waits = f", waits until {moment(row['waits'])}" if row["waits"] else ""
    return f"{row['stage']} {row['done'] or 0:,}{of}{rate}{waits}"


def moment(at: float) -> str:
    """A time as people read it, in UTC; "" for none."""
    return _written(at, "%Y-%m-%d %H:%M:%S") if at else ""


def minute(at: float) -> str:
    """A time that a person has chosen, in UTC."""
    return _written(at, "%Y-%m-%d %H:%M")


def _written(at: float, how: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(how)


def _columns(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The columns that say something."""
    return {
        key: title
        for key, title in COLUMNS.items()
        if key in ALWAYS or any(row[key] for row in rows)
    }


def show(found: Mapping[str, Any], console: Console) -> None:
    """The table, the reasons, which workers live, and for which migrations a person is needed.

    Where no person reads it, each row is one line, however long.
    """
    if not console.is_terminal:
        console.width = max(console.width, UNBROKEN)
    rows = found["migrations"]
    texts = [shown(row) for row in rows]
    columns = _columns(texts)
    table = Table(box=None, pad_edge=False)
    for title in columns.values():
        table.add_column(title, overflow="fold")
    for text in texts:
        table.add_row(*(Text(text[key]) for key in columns))
    if rows:
        console.print(table)
    for row in rows:
        if row["reason"]:
            console.print(Text(f"{row['name']}: {row['reason']}"))
    for line in (*versions(rows), crew(found["workers"]), summary(rows)):
        console.print(Text(line))


def versions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which migration is of which version of etl, where there are several."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row["version"], []).append(row["name"])
    if len(names) < 2:
        return []
    return [
        f"of etl {version}: {', '.join(those)}"
        for version, those in sorted(names.items())
    ]


def crew(workers: Mapping[str, int]) -> str:
    """How many workers live, of which versions."""
    if not workers:
        return f"no worker lives – start one: {A_WORKER}"
    said = (f"{many} of etl {version}" for version, many in workers.items())
    return f"workers: {', '.join(sorted(said))}"


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
    said += [needing(findings, "finding")] if findings else []
    left = without_workers(rows)
    lacking = sorted({row["version"] for row in rows if row["name"] in left})
    said += (
        [f"no worker of etl {', '.join(lacking)} for {', '.join(left)}"]
        if left
        else []
    )
    return f"{counted(len(rows), 'migration')}: {states}; {'; '.join(said) or 'nobody is needed'}"


# where the columns have no room, each migration is a card
_STYLE = (
    ":root{color-scheme:light dark;--text:#1a1f26;--back:#fff;--muted:#56606d;--line:#d8dee6;"
    "--waiting:#fdecea;--running:#eef6ee}"
    "@media (prefers-color-scheme:dark){:root{--text:#e6eaef;--back:#11151a;--muted:#9aa6b4;"
    "--line:#303944;--waiting:#43201e;--running:#1a3023}}"
    "body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:var(--text);background:var(--back)}"
    "p{margin:.4rem 0;overflow-wrap:anywhere}table{border-collapse:collapse;margin-top:1.5rem}"
    "th,td{text-align:left;padding:.4rem .7rem;vertical-align:top}th{color:var(--muted)}"
    "thead,tbody{border-bottom:1px solid var(--line)}td[data-of^=next]{white-space:nowrap}"
    ".reason td{padding-top:0;max-width:1px;overflow-wrap:anywhere}"
    ".waiting{background:var(--waiting)}.running{background:var(--running)}"
    "@media (max-width:1250px){body{margin:1rem}table,tbody,td{display:block}thead{display:none}"
    "tbody{padding:.4rem 0}td{overflow-wrap:anywhere}td:empty{display:none}"
    "tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr))}"
    ".reason{display:block}.reason td{max-width:none}"
    "td[data-of]::before{content:attr(data-of);display:block;color:var(--muted);font-size:12px}}"
)


def page(found: Mapping[str, Any], now: float) -> str:
    """The same as one page; what stands in it is text, whatever it looks like."""
    rows = found["migrations"]
    columns = _columns([shown(row) for row in rows])
    head = "".join(f"<th>{escape(title)}</th>" for title in columns.values())
    body = "".join(_line(row, columns) for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead>{body}</table>"
    said = (*versions(rows), crew(found["workers"]))
    lines = "".join(f"<p>{escape(line)}</p>" for line in said)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>etl fleet</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Migrations</h1>"
        f"<p>{escape(summary(rows))}, at {moment(now)} UTC</p>{lines}"
        f"{table if rows else ''}</body></html>\n"
    )


def _line(row: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """A migration, and below it the reason, which may be long."""
    text = shown(row)
    cells = "".join(
        f'<td data-of="{escape(title)}">{escape(text[key])}</td>'
        for key, title in columns.items()
    )
    reason = (
        f'<tr class="reason"><td colspan="{len(columns)}">{escape(row["reason"])}</td></tr>'
        if row["reason"]
        else ""
    )
    return f'<tbody class="{escape(row["state"])}"><tr>{cells}</tr>{reason}</tbody>'
