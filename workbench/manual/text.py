"""The signed document as Markdown: no text of a record or spec ever taken for markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from workbench.manual.model import Chapter, Manual, Table

_RISKY = re.compile(
    r"[\\`*_{}\[\]#|~^$:@>]|^[-+]|(?<=^\d)[.)]|(?<=www)\."
)  # what marks, tables, auto-links and mentions are made of


def as_markdown(manual: Manual) -> str:
    """The document as Markdown."""
    return "\n".join(_lines(manual)) + "\n"


def safe(text: str) -> str:
    """A text as it may stand in a line or a table's cell."""
    one_line = " ".join(
        text.encode(errors="replace").decode().replace("\x00", "�").split()
    )
    return _RISKY.sub(
        lambda found: "\\" + found.group(),
        one_line.replace("&", "&amp;").replace("<", "&lt;"),
    )


def _lines(manual: Manual) -> Iterator[str]:
    yield from (
        f"# {safe(manual.title)}",
        "",
        (
            f"What is migrated from {safe(manual.source)} to {safe(manual.destination)}, and how."
        ),
        "",
        "## Overview",
        "",
    )
    yield from _table(
        (f"In {manual.source}", "Collection", f"In {manual.destination}"),
        ((i.label, ", ".join(i.sources), i.becomes) for i in manual.chapters),
    )
    yield from ("", "### How the records are linked", "")
    for node in manual.nodes:
        targets = [
            other.label
            for other in manual.nodes
            if other.name in manual.edges.get(node.name, ())
        ]
        yield (
            f"- {safe(node.label)}: {safe(', '.join(targets)) if targets else 'lead nowhere'}"
        )
    if manual.examples:
        mask = (
            "Letters are shown as x and digits as 0."
            if manual.masked
            else "The examples are real records: treat this document as personal data."
        )
        yield from ("", f"Examples: {mask}")
    for chapter in manual.chapters:
        yield from _chapter(chapter)
    yield from _set_up(manual)
    yield from ("", "## What is not migrated", "")
    yield from (
        _table(("Collection", "Why"), manual.left)
        if manual.left
        else ["No collections are listed as staying behind."]
    )
    if manual.to_know:
        yield from ("", "## What to know about the platforms", "")
        yield from _table(("Platform", "What", "In the source"), manual.to_know)
    yield from _signature(manual)


def _chapter(item: Chapter) -> Iterator[str]:
    yield from (
        "",
        f"## {safe(item.label)}",
        "",
        f"{safe(', '.join(item.sources))} become {safe(item.becomes)}.",
        "",
    )
    yield from (f"- {safe(text)}" for text in item.remarks)
    yield ""
    rows = []
    for row in item.rows:
        before, after = row.example
        example = (
            after if not before or before == after else f"{before} → {after}"
        )
        rows.append(
            (
                row.target,
                ", ".join(row.sources) or "–",
                "; ".join(row.steps) or "as it is",
                example or "–",
            )
        )
    yield from _table(
        ("Destination field", "Source field", "What happens to it", "Example"),
        rows,
    )
    for table in item.maps:
        yield from ("", f"{safe(table.title)}: what each value becomes", "")
        yield from _table(table.heads, table.rows)
    if item.left:
        yield from ("", "Fields that stay behind:", "")
        yield from _table(("Field", "Why"), item.left)


def _set_up(manual: Manual) -> Iterator[str]:
    yield from ("", "## People, custom fields and pipelines", "")
    for text in manual.people or ("People are not matched.",):
        yield from (safe(text), "")
    tables: tuple[Table, ...] = (manual.customs, manual.pipelines)
    for table in tables:
        if table.rows:
            yield from (f"### {safe(table.title)}", "")
            yield from _table(table.heads, table.rows)
            yield ""


def _signature(manual: Manual) -> Iterator[str]:
    yield from (
        "",
        "## Approval",
        "",
        (
            "The migration is to be carried out as this document says. Version of the"
            f" mapping: {safe(manual.digest)}."
        ),
        "",
    )
    yield from _table(
        ("For", "Name", "Signature", "Date"),
        (("the customer", "", "", ""), ("the migration team", "", "", "")),
    )


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]]
) -> Iterator[str]:
    yield f"| {' | '.join(map(safe, heads))} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(safe, row))} |"
