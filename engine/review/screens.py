"""What `audit`, `plan` and `status` print on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.plan import Plan
from engine.stages.audit import Audit

NAMED = 20  # rows of a list that are named before the rest is only counted


def table(console: Console, heads: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[int] = ()) -> None:
    """A plain table; columns in `numbers` are set to the right."""
    if not rows:
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for position, head in enumerate(heads):
        made.add_column(head, justify="right" if position in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(f"{cell:,}" if isinstance(cell, int | float) else str(cell) for cell in row))
    console.print(made)


def show_audit(report: Mapping[str, Any], console: Console) -> None:
    """Rows per collection, people, what stays behind."""
    console.print(f"[bold]{report['title']}[/bold]: audit, nothing was written")
    table(
        console,
        ("Collection", "Rows", ""),
        [(c["collection"], c["rows"], c["absent"] or ("" if c["complete"] else "in part")) for c in report["collections"]],
        (1,),
    )
    show_people(report, console)
    show_left_behind(report, console)
    show_limits(report, console)
    for notice in report["notices"]:
        console.print(notice, markup=False)


def show_people(report: Mapping[str, Any], console: Console) -> None:
    """Who has a user in the destination and who has not."""
    states = Counter(person["state"] for person in report["people"])
    if not states:
        return
    console.print(
        f"\n[bold]People[/bold]: {states['matched']} of {len(report['people'])} found by e-mail; "
        f"for the rest {report['fallback_owner']} stands in",
        highlight=False,
    )
    rows = [(p["state"], p["name"], p["email"] or "no e-mail") for p in report["people"] if p["state"] != "matched"]
    table(console, ("", "Name", "E-mail"), rows)


def show_left_behind(report: Mapping[str, Any], console: Console) -> None:
    """Collections with rows that become no record."""
    rows = [c for c in report["collections_left_behind"] if c["rows"]]
    if rows:
        console.print("\n[bold]Collections that are not migrated[/bold]")
        named = [
            (c["collection"], c["rows"] if c["rows"] >= 0 else "?", c["reason"] or "NOT MAPPED, no reason given") for c in rows
        ]
        table(console, ("Collection", "Rows", "Why"), named, (1,))


def show_limits(report: Mapping[str, Any], console: Console) -> None:
    """What is left of each account's quotas."""
    console.print("\n[bold]Quotas[/bold]")
    rows = []
    for account in report["accounts"].values():
        for limit in account["limits"]:
            unit = "calls" if limit["unit"] == "calls" else "tokens"
            rows.append(
                (account["title"], f"{limit['name']} ({unit} per {period(limit['seconds'])})", limit["allowance"], limit["left"])
            )
    table(console, ("Account", "Limit", "Allowed", "Left"), rows, (2, 3))


def show_announcement(audit: Audit, plan: Plan, console: Console) -> None:
    """Before anything is written: who has no user, and what is about to happen."""
    without = [person for person in audit.people if person.state != "matched"]
    for person in without:
        console.print(
            f"{person.state}: {person.name} <{person.email or 'no e-mail'}>, {audit.fallback} stands in",
            markup=False,
            highlight=False,
        )
    made, changed = sum(step.create for step in plan.steps), sum(step.update for step in plan.steps)
    console.print(
        f"{made:,} rows and {len(plan.fields_missing)} custom fields to make, {changed:,} rows to change: "
        f"{plan.cost:,.0f} tokens, about {period(plan.seconds)}", highlight=False,
    )  # fmt: skip


def show_plan(report: Mapping[str, Any], console: Console) -> None:
    """The changes, their cost against the quotas, and the time."""
    plan = report["plan"]
    console.print(f"[bold]{report['title']}[/bold]: plan, nothing was written")
    if report["sample"]:
        console.print(f"A sample of {report['sample']['chosen']} records (asked for: {report['sample']['wanted']})")
    rows = [(s["label"], s["create"], s["update"], s["unchanged"], s["skip"], s["fail"], s["cost"]) for s in plan["steps"]]
    heads = ("Object", "Create", "Update", "Unchanged", "Skip", "Fail", "Tokens")
    table(console, heads, rows, (1, 2, 3, 4, 5, 6))
    if plan["fields_missing"]:
        console.print(f"\n[bold]Custom fields to make[/bold]: {len(plan['fields_missing'])}")
        _named(console, plan["fields_missing"])
    show_people(report, console)
    show_left_behind(report, console)
    console.print(
        f"\n[bold]Cost[/bold]: {plan['calls']:,} calls, {plan['cost']:,.0f} tokens; about {period(plan['seconds'])}",
        highlight=False,
    )
    limits = [
        (u["account"], f"{u['limit']} (per {period(u['seconds'])})", u["needed"], u["left"], u["allowance"], period(u["time"]))
        for u in plan["limits"]
    ]
    table(console, ("Account", "Limit", "Needed", "Left now", "Allowed", "Takes"), limits, (2, 3, 4))
    show_timeline(report.get("timeline"), console)
    attention = [f for f in report["findings"] if f["severity"] == "attention"]
    if attention:
        console.print(f"\n[bold]Needs attention[/bold]: {len(attention)}")
        _named(console, [f"{f['object']} {f['key']} {f['field']}: {f['text']}" for f in attention])
    for notice in report["notices"]:
        console.print(notice, markup=False)


def show_timeline(timeline: Mapping[str, Any] | None, console: Console) -> None:
    """When what would happen, as lived through on the simulated clock."""
    if not timeline:
        return
    length = period(timeline["end"] - timeline["start"])
    console.print(
        f"\n[bold]Simulated[/bold]: {timeline['calls']:,} calls, {timeline['cost']:,.0f} tokens, {length}, "
        f"{timeline['pauses']} nights of waiting for a new day's quota",
        highlight=False,
    )
    rows = [(s["label"], s["calls"], s["cost"], moment(s["start"]), moment(s["end"])) for s in timeline["spans"]]
    table(console, ("Part", "Calls", "Tokens", "From (UTC)", "To (UTC)"), rows, (1, 2))


def show_status(found: Mapping[str, Any], console: Console) -> None:
    """Runs, what is linked, what is in doubt, what needs attention."""
    console.print(f"[bold]{found['migration']}[/bold] ({found['environment']})")
    rows = [(run["id"], run["command"], moment(run["started"]), moment(run["ended"]), run["outcome"]) for run in found["runs"]]
    table(console, ("Run", "Command", "Started", "Ended", "Outcome"), rows, (0,))
    console.print("\n[bold]In the destination[/bold]")
    table(console, ("Object", "Rows"), sorted(found["linked"].items()), (1,))
    states: Counter[str] = Counter()
    for _, action, state, many, _ in found["journal"]:
        states[f"{action} {state}"] += many
    console.print("\n[bold]Journal[/bold]")
    table(console, ("Writes", "Count"), sorted(states.items()), (1,))
    if found["in_doubt"]:
        console.print(f"{found['in_doubt']} writes have no known outcome yet; the next run settles them first")
    if found["attention"]:
        console.print(f"\n[bold]Needs attention[/bold]: {len(found['attention'])}")
        _named(console, [f"{f['object']} {f['key']} {f['field']}: {f['text']}" for f in found["attention"]])


def show_rollback(found: Mapping[str, Any], dry: bool, console: Console) -> None:
    """What was undone, kept and failed, and why."""
    if dry:
        told = ", ".join(f"{action} {many}" for action, many in found["would"].items()) or "nothing to undo"
        console.print(f"A rollback would: {told}; nothing was changed", highlight=False)
    else:
        console.print(f"{found['undone']:,} writes undone; {found['cost']:,.0f} tokens", highlight=False)
    for word in ("kept", "failed"):
        if found[word]:
            console.print(f"\n[bold]{word.capitalize()}[/bold]: {len(found[word])}")
            _named(console, [f"{name} {key}: {reason}" for name, key, reason in found[word]])


def _named(console: Console, lines: Sequence[str]) -> None:
    for line in lines[:NAMED]:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > NAMED:
        console.print(f"  and {len(lines) - NAMED} more; --json lists them all")


def moment(seconds: float | None) -> str:
    """Epoch seconds as people read them, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds else "-"


def period(seconds: float) -> str:
    """A length of time in the unit people would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 129_600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
