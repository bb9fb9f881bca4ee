"""The report as a summary in a terminal, or as lines to search where the output is piped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.report.attention import Cause, Report, attention, causes
from engine.report.words import (
    clean,
    counted,
    in_part,
    needing,
    row_counts,
)

NAMED = 20  # records, causes and people that are named before the rest is only counted
FEW = 3  # records with one cause that are each named
# what a delta with nothing to do has none of
WRITTEN = ("arrived", "created", "updated", "adopted", "deleted")
COLUMNS = {
    "records": "recs",
    "created": "new",
    "updated": "upd",
    "unchanged": "same",
    "skipped": "skip",
    "failed": "fail",
    "adopted": "adopt",
    "deleted": "del",  # only where something was deleted
    "cost": "cost",  # called as the destination calls it
    "least": "least",
}
COMPARED = ("arrived", "missing", "failed", "skipped")
Row = Sequence[str]


def show(
    report: Report, console: Console, files: Mapping[str, Any] | None = None
) -> None:
    """Print the summary; `files` are the paths of the written reports by their format."""
    waiting = attention(report)
    _verdict(report, waiting, console)
    _objects(report, console)
    _attention(waiting, console)
    people(report, console)
    left_behind(report, console)
    marked(report, console)
    spent(report, console)
    notices(report, console)
    if files:
        heading(console, "Reports")
        for format, path in files.items():
            line(console, f"  {format}: {path}")
        if mapping := report.get("mapping_digest"):
            line(
                console, f"  of mapping {mapping[:8]}, as an approval names it"
            )


def _described(cause: Cause) -> Iterator[str]:
    """A cause on one line; where there are few records, one line for each."""
    if len(cause.records) <= FEW:
        yield from (
            f"{' '.join(filter(None, (cause.object, key)))}: {text}"
            for key, text in cause.records
        )
        return
    first = ", ".join(key for key, _ in cause.records[:FEW])
    alike = "" if cause.alike else ", or similar"
    yield (
        f"{cause.object}: {cause.text}{alike} ({len(cause.records):,} records, first"
        f" {first})"
    )


# -- parts


def arrived(verdict: Mapping[str, Any], command: str) -> str:
    """How many of the records looked at are in the destination."""
    looked_at = ["arrived", "missing", "failed"]
    looked_at += [] if in_part(command) else ["skipped"]
    total = sum(verdict[state] for state in looked_at)
    if command.endswith("--delta") and not any(
        verdict[word] for word in WRITTEN
    ):
        if not (verdict["failed"] or verdict["missing"]):
            return "Nothing had changed"
        if verdict.get("changed") == 0:
            return "Nothing had changed in the source"
    if not total:
        return "No records were compared"
    return f"{verdict['arrived']:,} of {total:,} records arrived"


def _verdict(report: Report, waiting: Sequence[Any], console: Console) -> None:
    verdict = report["verdict"]
    line(
        console,
        f"{report['title']}: {report['command']} in {report['environment']}, run"
        f" {report['run']}",
        "bold",
    )
    whole = arrived(verdict, report["command"])
    good = verdict["state"] == "good" and not waiting
    rest = "nothing needs attention" if good else "look at the counts"
    if waiting:
        rest = needing(len(waiting))
    line(console, f"{whole}; {rest}", "bold green" if good else "bold yellow")
    if counts := _counts(verdict):
        line(console, ", ".join(counts))
    fields = [
        f"{many:,} {state.replace('_', ' ')}"
        for state, many in verdict["fields"].items()
        if many
    ]
    if fields:
        line(console, "fields: " + ", ".join(fields))
    for row in report["money"]:
        line(
            console,
            _sum(row),
            "" if row["wanted"] == row["live"] else "bold red",
        )


def _counts(verdict: Mapping[str, Any]) -> list[str]:
    """What did not arrive, and what was written."""
    counts = [
        f"{verdict[state]:,} {state}"
        for state in ("skipped", "failed", "missing")
        if verdict[state]
    ]
    if verdict.get("skipped_standing"):
        counts.insert(
            min(1, verdict["skipped"]),
            f"{verdict['skipped_standing']:,} skipped whose row stands from before",
        )
    if verdict.get("not_taken"):
        counts.append(f"{verdict['not_taken']:,} not taken by any object")
    counts += [
        f"{verdict[word]:,} {word}"
        for word in ("created", "updated", "unchanged")
        if word in verdict  # a verification writes nothing
    ]
    counts += [
        f"{verdict[word]:,} {word}"
        for word in ("adopted", "deleted")
        if verdict.get(word)
    ]
    return counts


def _sum(row: Mapping[str, Any]) -> str:
    gap = round(row["live"] - row["wanted"], 2)
    difference = f"differs by {gap:,.2f}" if gap else "equal"
    return (
        f"money: {row['label']}: {row['wanted']:,.2f} {row['currency']} wanted,"
        f" {row['live']:,.2f} live, {difference}"
    )


def _objects(report: Report, console: Console) -> None:
    is_written = "created" in report["verdict"]
    heads, rows = (_written if is_written else _compared)(report)
    table(console, "Objects", heads, rows, numbers=range(1, len(heads)))


def _compared(report: Report) -> tuple[list[str], list[Row]]:
    """The objects of a command that only reads, each with what became of its records."""
    rows: list[Row] = [
        [
            row["label"],
            number(row["records"]),
            *(number(row["states"].get(state, 0)) for state in COMPARED),
        ]
        for row in report["objects"]
    ]
    return ["Object", "recs", *COMPARED], rows


def _written(report: Report) -> tuple[list[str], list[Row]]:
    """The objects of a run, each with what was written, and at what cost."""
    columns = COLUMNS | {"cost": cost_unit(report["accounts"]["destination"])}
    if not any(row.get("deleted") for row in report["objects"]):
        del columns["deleted"]
    words, heads = list(columns), ["Object", *columns.values()]
    rows: list[Row] = [
        [row["label"], *(number(row.get(word)) for word in words)]
        for row in report["objects"]
    ]
    return heads, rows


def _attention(
    waiting: Sequence[tuple[str, str, list[str]]], console: Console
) -> None:
    if not waiting:
        return
    heading(console, f"Needs attention ({len(waiting):,})")
    named(
        console,
        [text for cause in causes(waiting) for text in _described(cause)],
    )


def people(report: Report, console: Console, most: int = NAMED) -> None:
    """Who has no user of their own, and who is assigned instead."""
    fall_back = [
        person for person in report["people"] if person["state"] != "matched"
    ]
    if not fall_back:
        return
    heading(
        console,
        f"People without a user of their own ({len(fall_back)} of"
        f" {len(report['people'])})",
    )
    line(console, f"  {report['fallback_owner'] or 'nobody'} stands in for:")
    lines = [
        f"{person['state']}: {person['name'] or person['key']}"
        f" <{person['email'] or 'no e-mail'}>"
        for person in fall_back
    ]
    named(console, lines, most)


def left_behind(report: Report, console: Console) -> None:
    """Collections, and rows of others, that are not migrated, and why."""
    kept = [item for item in report["collections_left_behind"] if item["rows"]]
    rows = [
        [
            item["collection"],
            number(item["rows"]) if item["rows"] >= 0 else "unknown",
            item["reason"] or "NO REASON GIVEN",
        ]
        for item in sorted(kept, key=lambda item: -item["rows"])
    ]
    table(
        console,
        "Collections left behind",
        ("Collection", "rows", "why"),
        rows,
        numbers=[1],
    )


def marked(report: Report, console: Console) -> None:
    """Rows marked as inactive, archived or deleted in the source; whether they are left out."""
    rows = [
        [
            item["collection"],
            item["kind"],
            number(item["rows"]),
            "left out" if item["left_out"] else "read like others",
        ]
        for item in report.get("marked", ())
    ]
    heads = ("Collection", "marked as", "rows", "")
    table(console, "Rows that are marked", heads, rows, [2])


def to_know(report: Report, console: Console) -> None:
    """What the APIs do not hold, and what people have to check or make anew."""
    items = report.get("to_know", [])
    for title in dict.fromkeys(item["platform"] for item in items):
        heading(console, f"To know about {title}")
        for item in items:
            if item["platform"] == title:
                counts = row_counts(item["rows"])
                shown = f" ({counts})" if counts else ""
                line(console, f"  {item['text']}{shown}")


def cost_unit(account: Mapping[str, Any]) -> str:
    """What a platform calls the cost of a call; reports of an older etl do not include it."""
    return str(account.get("cost_unit", "units"))


def calls_and_cost(calls: int, cost: float, unit: str) -> str:
    """How many calls were made, and their cost where it is counted in something else."""
    made = counted(calls, "call")
    return made if unit == "calls" else f"{made}, {cost:,.0f} {unit}"


def spent(report: Report, console: Console) -> None:
    """What is used of each account's limits."""
    cost = sum(row.get("cost", 0) for row in report["objects"])
    least = sum(row.get("least", 0) for row in report["objects"])
    made = (report.get("provisioned") or {}).get("cost", 0)
    heading(console, "Limits")
    if made:
        unit = cost_unit(report["accounts"]["destination"])
        line(console, f"  {unit} for custom fields and options: {made:,.0f}")
    if cost and least:
        above = f"{(cost - least) / least:.1%} above it"
        unit = cost_unit(report["accounts"]["destination"])
        line(
            console,
            f"  {unit} for writing: {cost:,.0f}; minimum: {least:,.0f} ({above})",
        )
    for account in report["accounts"].values():
        called = calls_and_cost(
            account["calls"], account["cost"], cost_unit(account)
        )
        waited = f"waited {account['waited']:,.0f} s"
        line(
            console,
            f"  {account['title']} ({account['plan']}): {called}, {waited}",
        )
        if account.get("plan_shown"):
            line(console, f"    plan {account['plan']} {account['plan_shown']}")
        for limit in account["limits"]:
            unit = cost_unit(account) if limit["unit"] == "cost" else "calls"
            allowance = limit["allowance"]
            used = max(0.0, allowance - limit["left"])
            share = f" ({used / allowance:.1%})" if allowance else ""
            line(
                console,
                f"    {limit['name']}: {used:,.0f} of {allowance:,.0f} {unit}"
                f" per {limit['seconds']:,.0f} s used{share}",
            )


def notices(report: Report, console: Console) -> None:
    """What people should read once."""
    for notice in report["notices"]:
        line(console, str(notice))


# -- printing


def line(console: Console, text: str, style: str = "") -> None:
    """One line; never wrapped where output is piped, so that it can be searched."""
    console.print(
        Text(clean(text), style=style, overflow="fold"),
        soft_wrap=not console.is_terminal,
    )


def heading(console: Console, text: str) -> None:
    """A bold line below an empty one."""
    line(console, "")
    line(console, text, "bold")


def number(value: float | None) -> str:
    """A count as people read it."""
    return "-" if value is None else f"{value:,.0f}"


def named(
    console: Console,
    lines: Sequence[str],
    most: int = NAMED,
    rest: str = "more, see report",
    many: int | None = None,
) -> None:
    """The first lines of a list, and how many more there are; `many` in all, where the list has
    only the first.
    """
    for text in lines[:most]:
        line(console, f"  {text}")
    many = len(lines) if many is None else many
    if many > most:
        line(console, f"  and {many - most:,} {rest}")


def table(
    console: Console,
    title: str,
    heads: Row,
    rows: Sequence[Row],
    numbers: Sequence[int],
) -> None:
    """A table: drawn in a terminal; aligned with spaces, one line for each row, everywhere else."""
    if not rows:
        return
    heading(console, title)
    cells = [[clean(cell) for cell in row] for row in rows]
    if console.is_terminal:
        _drawn(console, heads, cells, numbers)
        return
    widths = [
        max(cell_len(row[at]) for row in [heads, *cells])
        for at in range(len(heads))
    ]
    for row in [heads, *cells]:
        padded = []
        for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - cell_len(cell))
            padded.append(blanks + cell if at in numbers else cell + blanks)
        line(console, "  ".join(padded).rstrip())


def _drawn(
    console: Console, heads: Row, rows: Sequence[Row], numbers: Sequence[int]
) -> None:
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for at, head in enumerate(heads):
        drawn.add_column(
            Text(head),
            justify="right" if at in numbers else "left",
            overflow="fold",
            no_wrap=at in numbers,
        )
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)
