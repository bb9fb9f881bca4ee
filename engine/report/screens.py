"""What `audit`, `plan`, `status` and `rollback` print on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import structs
from rich.console import Console

from engine.extract.audit import Audit
from engine.plan.cost import Plan
from engine.report.attention import about
from engine.report.terminal import (
    NAMED,
    arrived,
    calls_and_cost,
    heading,
    left_behind,
    line,
    marked,
    named,
    notices,
    number,
    people,
    spent,
    table,
    to_know,
)
from engine.report.words import (
    PAUSED,
    REFUSED,
    counted,
    is_whole,
    known,
    needing,
    were_there,
)

UNDOING = {  # what becomes of a write
    "delete": "delete the rows of {}",
    "restore": "put back what {} had changed",
    "forget": "pass over {} to rows that go",
    "keep": "leave {} as they are",
}
# of a run; anything else is why it failed
ENDINGS = ("done", "running", "killed", "interrupted")
RUNS = 10  # that a status lists on a screen, the last
KINDS = (  # of changes, in the order in which they are shown
    "create",
    "update",
    "adopt",
    "unchanged",
    "conflict",
    "delete",
    "skip",
    "fail",
)


def show_audit(report: Mapping[str, Any], console: Console) -> None:
    """Rows per collection, people, what stays behind, quotas."""
    line(console, f"{report['title']}: audit, nothing was written", "bold")
    rows = [
        [
            item["collection"],
            number(item["rows"]),
            item["absent"] or ("" if item["complete"] else "in part"),
        ]
        for item in report["collections"]
    ]
    table(console, "Collections", ("Collection", "rows", ""), rows, [1])
    _people(report, console)
    left_behind(report, console)
    marked(report, console)
    _hidden(report, console)
    _fields(report, console)
    to_know(report, console)
    spent(report, console)
    notices(report, console)


def _fields(report: Mapping[str, Any], console: Console) -> None:
    """The fields that are read and some rows lack, or that nobody declared; how many the rest
    are; then what rows have besides.
    """
    known = report["fields"]
    telling = [item for item in known if _is_telling(item)]
    rows = [
        [
            f"{item['collection']}.{item['field']}",
            f"{item['found']:,} / {item['rows']:,}",
            item["evidence"],
            item["use"] if item["use"] != "value" else "",
            "IN NO ROW" if item["rows"] and not item["found"] else "",
        ]
        for item in telling
    ]
    heads = ("Field", "rows with it / rows", "known as", "for", "")
    title = "Fields that are read, and not in every row"
    table(console, title, heads, rows, [1])
    _line_of_the_rest(known, len(telling), console)
    more = [
        [
            f"{item['collection']}.{item['field']}",
            *(number(item[word]) for word in ("rows", "filled")),
        ]
        for item in report["undeclared"]
    ]
    title = (
        "Fields that the connector does not declare, such as custom properties"
    )
    table(console, title, ("Field", "rows with it", "filled"), more, (1, 2))


_MARKED = (
    "not in the list: to migrate them, find the parameter of the list that shows them,"
    " write it into the connector, and name the mark in `take`"
)
# what a row that no list shows may turn out to be, and what people can do about it
_ADVICE = {
    "deleted": (
        "deleted in the source, and left out; where other rows name them, restore them"
        " there, or say in the spec what stands in for them (on_miss)"
    ),
    "inactive": _MARKED,
    "archived": _MARKED,
    "present": (
        "rows like others that the list does not show, and that would not arrive: look at"
        " what the key may see, and at the list in the connector, then --refresh"
    ),
    "gone": "gone for good; where other rows name them, see what on_miss makes of it",
    "refused": "cannot be read by their ids; the notices say why",
}


def _hidden(report: Mapping[str, Any], console: Console) -> None:
    """Rows that no list shows: what speaks for them, what those that were read are, what to do."""
    hidden = report["hidden"]
    calls = counted(hidden["calls"], "call")
    if hidden["collections"] is None:
        line(console, "")
        line(
            console,
            f"Rows that no list shows were not looked for: --hidden does, with at most {calls}",
        )
        return
    rows = [
        [
            item["collection"],
            number(item["gaps"]),
            f"{item['named']:,} ({counted(item['namers'], 'row')})",
            number(sum(item["found"].values())),
            ", ".join(
                f"{many:,} {what}" for what, many in item["found"].items()
            ),
            "" if item["readable"] else "cannot be read by id",
        ]
        for item in hidden["collections"]
        if item["gaps"] or item["named"]
    ]
    heads = ("Collection", "gaps in ids", "named only", "read", "which are", "")
    title = f"Rows that no list shows ({calls} to look)"
    table(console, title, heads, rows, (1, 2, 3))
    if not rows:
        line(console, "")
        line(console, "Nothing speaks for rows that no list shows")
    found: dict[str, list[str]] = {}
    for item in hidden["collections"]:
        for what, keys in item["examples"].items():
            found.setdefault(what, []).append(keys[0])
    for what, keys in found.items():
        line(console, f"  {what}, such as {', '.join(keys)}: {_ADVICE[what]}")


def _is_telling(item: Mapping[str, Any]) -> bool:
    """Whether people have to see a field: rows lack it, or only the spec knows it."""
    lacking = int(item["rows"]) - int(item["found"])
    return lacking > 0 or item["evidence"] == "undeclared"


def _line_of_the_rest(
    known: Sequence[Mapping[str, Any]], told: int, console: Console
) -> None:
    """How many fields are in every row, and how many no row could have shown."""
    unseen = sum(not item["rows"] and not _is_telling(item) for item in known)
    complete = counted(len(known) - told - unseen, "field")
    rest = f"{complete} that the spec reads: in every row that could have it"
    more = f"; {unseen:,} where there is no such row" if unseen else ""
    if known:
        line(console, "")
        line(console, f"{rest}{more}; --json lists them all")


def _people(report: Mapping[str, Any], console: Console) -> None:
    """Everybody who has no user: before a run is the time to create one."""
    matched = sum(person["state"] == "matched" for person in report["people"])
    if report["people"]:
        line(
            console,
            f"{matched} of {len(report['people'])} people found among the users",
        )
    people(report, console, len(report["people"]))


def show_announcement(audit: Audit, plan: Plan, console: Console) -> None:
    """Before anything is written: who has no user, and what is about to happen."""
    known = [structs.asdict(person) for person in audit.people]
    people(
        {"people": known, "fallback_owner": audit.fallback}, console, len(known)
    )
    made, changed = _sum_of(plan, "create"), _sum_of(plan, "update")
    more = [
        f", {_sum_of(plan, word):,} to {word}"
        for word in ("adopt", "delete")
        if _sum_of(plan, word)
    ]
    fields = counted(len(plan.fields_missing), "custom field")
    line(
        console,
        f"{counted(made, 'row')} and {fields} to create,"
        f" {counted(changed, 'row')} to change{''.join(more)}: {plan.cost:,.0f}"
        f" {plan.cost_unit}, about {period(plan.seconds)}",
    )
    for text in plan.warnings:
        line(console, f"warning: {text}", "bold")


def _sum_of(plan: Plan, change_kind: str) -> int:
    return sum(getattr(step, change_kind) for step in plan.steps)


def show_plan(
    report: Mapping[str, Any], console: Console, waiting: int
) -> None:
    """The changes, their cost against the quotas, and the time; `waiting` findings need attention,
    of which the report has the first.
    """
    plan = report["plan"]
    line(console, f"{report['title']}: plan, nothing was written", "bold")
    sample = report["sample"]
    if sample:
        asked = f"(asked for: {sample['wanted']})"
        line(console, f"A sample of {sample['chosen']} source records {asked}")
    steps = [
        [step["label"], *(number(step[word]) for word in (*KINDS, "cost"))]
        for step in plan["steps"]
    ]
    heads: Sequence[str] = ("Object", *KINDS, plan["cost_unit"])
    table(console, "Changes", heads, steps, range(1, len(heads)))
    _listed(console, "Custom fields to create", plan["fields_missing"])
    _people(report, console)
    left_behind(report, console)
    marked(report, console)
    _listed(console, "Warnings", plan["warnings"])
    cost = calls_and_cost(plan["calls"], plan["cost"], plan["cost_unit"])
    heading(console, f"Cost: {cost}; about {period(plan['seconds'])}")
    limits = [
        [
            use["account"],
            f"{use['limit']} (per {period(use['seconds'])})",
            *(number(use[word]) for word in ("needed", "left", "allowance")),
            period(use["time"]),
        ]
        for use in plan["limits"]
    ]
    heads = ("Account", "Limit", "needed", "left now", "allowed", "takes")
    table(console, "Quotas", heads, limits, (2, 3, 4))
    _timeline(report.get("timeline"), plan["cost_unit"], console)
    _attention(console, report["findings"], waiting)
    notices(report, console)


def _timeline(
    timeline: Mapping[str, Any] | None, unit: str, console: Console
) -> None:
    """What would happen when, as simulated."""
    if not timeline:
        return
    rows = [
        [
            span["label"],
            number(span["calls"]),
            number(span["cost"]),
            moment(span["start"]),
            moment(span["end"]),
        ]
        for span in timeline["spans"]
    ]
    title = (
        f"Simulated: {calls_and_cost(timeline['calls'], timeline['cost'], unit)},"
        f" {period(timeline['end'] - timeline['start'])}, {timeline['pauses']} waits"
        " for a new day's quota"
    )
    cost = "cost" if unit == "calls" else unit
    heads = ("Part", "calls", cost, "from (UTC)", "to (UTC)")
    table(console, title, heads, rows, (1, 2))


def show_status(
    found: Mapping[str, Any], console: Console, waiting: int, about: int
) -> None:
    """Runs, what is linked, what is in doubt, what needs attention: the first of so many, about so
    many records.
    """
    line(console, f"{found['migration']} ({found['environment']})", "bold")
    runs = [
        [
            str(run["id"]),
            run["command"],
            moment(run["started"]),
            moment(run["ended"]),
            _outcome(run),
        ]
        for run in found["runs"][-RUNS:]
    ]
    many = len(found["runs"])
    table(
        console,
        f"The last {RUNS} of {many} runs; --json lists all"
        if many > RUNS
        else "Runs",
        ("Run", "command", "started", "ended", "outcome"),
        runs,
        [0],
    )
    if found["rolled_back"]:
        line(console, _rolled_back(found))
    _counts(console, "Linked in the destination", "Object", found["linked"])
    if found["skipped"]:
        line(console, "")
        line(console, f"{found['skipped']:,} skipped")
    states: Counter[str] = Counter()
    for _, action, state, many, _ in found["journal"]:
        states[f"{action} {state}"] += many
    _counts(console, "Journal", "Writes", states)
    if found["in_doubt"]:
        line(
            console,
            f"{found['in_doubt']} writes have no known outcome yet; the next run"
            " reconciles them first",
        )
    if not found["rolled_back"]:
        _found(found["runs"], console)
    _attention(console, found["attention"], waiting)
    if not found["rolled_back"]:
        _without_finding(found["runs"], about, console)


def _rolled_back(found: Mapping[str, Any]) -> str:
    """What a rollback has left; rows that stand and were not kept, it did not come to."""
    kept, standing = found["kept"], found["standing"]
    were = "was" if kept == 1 else "were"
    text = f"{counted(kept, 'row')} {were} kept"
    if standing:
        more = f", {text}" if kept else ""
        return (
            f"Rolled back in part: {counted(standing, 'row')} still to be removed or"
            f" restored{more} – repeat it: etl rollback SPEC --env {found['environment']}"
        )
    left = text if kept else "no row is left"
    return f"Rolled back: {left}; what is listed below was found before"


def _outcome(run: Mapping[str, Any]) -> str:
    """How a run ended, and how many records need attention after it."""
    if run["outcome"].startswith((PAUSED, REFUSED)):
        return str(run["outcome"])
    if run["outcome"] not in ENDINGS:
        return f"failed: {run['outcome']}"
    waiting = (run["verdict"] or {}).get("need_attention")
    if not waiting:
        return str(run["outcome"])
    return f"{run['outcome']}, {needing(waiting)}"


def _found(runs: Sequence[Mapping[str, Any]], console: Console) -> None:
    """What the last run found that compared records, and before it the last that compared all;
    what was compared before a rollback says nothing of what stands.
    """
    since = [
        at
        for at, run in enumerate(runs)
        if run["command"].startswith("rollback")
        and not run["command"].endswith("--dry-run")
    ]
    later = runs[since[-1] :] if since else runs
    compared = [run for run in later if run["verdict"]]
    whole = [run for run in compared if is_whole(run["command"])]
    # the same one, where the last has compared all
    last = {run["id"]: run for run in (*whole[-1:], *compared[-1:])}
    if last:
        line(console, "")
    for run in last.values():
        told = _troubles(run["verdict"])
        see = "etl report" if run is compared[-1] else "etl verify"
        more = f"; {', '.join(told)}: see `{see}`" if told else ""
        whole_of = arrived(run["verdict"], run["command"])
        line(console, f"Run {run['id']}, {run['command']}: {whole_of}{more}")


def _troubles(verdict: Mapping[str, Any]) -> list[str]:
    """What a comparison found that did not arrive, or not whole."""
    fields = {
        "lost": verdict["lost_in_arrived"],
        "changed by people": verdict["fields"]["changed_by_people"],
    }
    return [
        f"{verdict[word]:,} {word}"
        for word in ("missing", "failed", "skipped")
        if verdict[word]
    ] + [
        f"{counted(many, 'field')} {what}"
        for what, many in fields.items()
        if many
    ]


def _without_finding(
    runs: Sequence[Mapping[str, Any]], about: int, console: Console
) -> None:
    """Why fewer are listed than the last comparison has counted: `about` so many are findings."""
    last = runs[-1] if runs and runs[-1]["verdict"] else None
    more = last["verdict"]["need_attention"] - about if last else 0
    if last and more > 0:
        line(console, "")
        line(
            console,
            f"{needing(more, 'more record')}, by the comparison of run {last['id']}: see"
            " `etl report`",
        )


def show_rollback(
    found: Mapping[str, Any], dry: bool, console: Console
) -> None:
    """What was undone, kept and failed, and why."""
    if dry:
        counts = [
            UNDOING[action].format(counted(many, "write"))
            for action, many in found["would"].items()
        ]
        would = "; ".join(counts) or "nothing to undo"
        line(console, f"A rollback would: {would}. Nothing was changed")
    else:
        cost = f"{found['cost']:,.0f} {found['cost_unit']}"
        line(console, f"{counted(found['undone'], 'write')} undone; {cost}")
        if found["there_before"]:
            line(console, were_there(found["there_before"]))
    for word in ("kept", "failed"):
        lines = [
            f"{' '.join(filter(None, about({'object': name, 'key': key})))}: {known(reason)}"
            for name, key, reason in found[word]
        ]
        _listed(console, word.capitalize(), lines)
    if found["files"]:
        heading(console, "Reports")
        for kind, path in found["files"].items():
            line(console, f"  {kind}: {path}")


def _counts(
    console: Console, title: str, head: str, counts: Mapping[str, int]
) -> None:
    rows = [[name, number(many)] for name, many in sorted(counts.items())]
    table(console, title, (head, "count"), rows, [1])


def _attention(
    console: Console, first: Iterable[Mapping[str, Any]], waiting: int
) -> None:
    lines = [
        f"{' '.join(filter(None, (*about(item), item['field'])))}: {item['text']}"
        for item in first
    ]
    _listed(console, "Findings that need attention", lines, waiting)


def _listed(
    console: Console, title: str, lines: Sequence[str], many: int | None = None
) -> None:
    many = len(lines) if many is None else many
    if lines:
        heading(console, f"{title}: {many}")
        named(console, lines, NAMED, "more; --json lists them all", many)


def moment(seconds: float | None) -> str:
    """Epoch seconds as people read them, UTC."""
    if not seconds:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def period(seconds: float) -> str:
    """A length of time in the unit people would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 129_600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
