"""The signed document as one page: no script, nothing fetched, no text of a record or spec ever
taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.report.page import digest
from workbench.manual.graph import picture, safe
from workbench.manual.model import Chapter, FieldRow, Manual, Table

STYLE = Path(__file__).with_name("manual.css")


def as_page(manual: Manual) -> str:
    """The document as HTML."""
    style = STYLE.read_text(encoding="utf-8")
    policy = f"default-src 'none'; style-src '{digest(style)}'; base-uri 'none'; form-action 'none'"
    body = "".join(
        (
            _head(manual),
            _overview(manual),
            *map(_chapter, manual.chapters),
            _set_up(manual),
            _left(manual),
            _to_know(manual),
            _signature(manual),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(manual.title)} – what is migrated, and how</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _head(manual: Manual) -> str:
    links = "".join(
        f'<li><a href="#o-{safe(item.name)}">{safe(item.label)}</a></li>'
        for item in manual.chapters
    )
    to_know = (
        '<li><a href="#to-know">What to know about the platforms</a></li>'
        if manual.to_know
        else ""
    )
    return (
        '<a class="skip" href="#main">Skip to the content</a>\n'
        f"<header><h1>{safe(manual.title)}</h1>"
        f'<p class="lead">What is migrated from {safe(manual.source)}'
        f" to {safe(manual.destination)}, and how, field by field.</p></header>\n"
        '<nav aria-label="Contents"><h2>Contents</h2><ol>'
        f'<li><a href="#overview">Overview</a></li>{links}'
        '<li><a href="#set-up">People, custom fields and pipelines</a></li>'
        '<li><a href="#left">What is not migrated</a></li>'
        f'{to_know}<li><a href="#signature">Approval</a></li></ol></nav>\n<main id="main">\n'
    )


def _overview(manual: Manual) -> str:
    rows = [
        (item.label, ", ".join(item.sources), item.becomes, f"{item.read:,}")
        for item in manual.chapters
    ]
    heads = (
        f"In {manual.source}",
        "Collection",
        f"In {manual.destination}",
        "Rows read",
    )
    shown = heads if manual.examples else heads[:3]
    table = _table(
        "What becomes what", shown, [row[: len(shown)] for row in rows]
    )
    return (
        f'<section id="overview"><h2>Overview</h2>{table}'
        "<h3>How the records are linked</h3>"
        "<p>An arrow leads from a record to the one it points at. An arrow that follows from two"
        " others is not drawn; nor are the people, whom nearly every record names.</p>"
        f"{picture(manual.nodes, manual.edges)}{_examples_remark(manual)}</section>\n"
    )


def _examples_remark(manual: Manual) -> str:
    text = (
        "The examples are real records: treat this document as personal data."
    )
    if not manual.examples:
        text = (
            "No records have been read yet, so this document has no examples."
        )
    elif manual.masked:
        text = (
            "In the examples letters are shown as x and digits as 0: this document holds no"
            " personal data."
        )
    return f'<p class="muted">{text}</p>'


def _chapter(item: Chapter) -> str:
    remarks = "".join(f"<li>{safe(text)}</li>" for text in item.remarks)
    remarks = f"<ul>{remarks}</ul>" if remarks else ""
    maps = "".join(_value_map(table) for table in item.maps)
    left = (
        _table(
            "Fields that stay behind", ("Field", "Why"), item.left, code=True
        )
        if item.left
        else ""
    )
    return (
        f'<section id="o-{safe(item.name)}"><h2>{safe(item.label)}</h2>'
        f"<p><code>{safe(', '.join(item.sources))}</code> become"
        f" <code>{safe(item.becomes)}</code>.</p>"
        f"{remarks}{_fields(item)}{maps}{left}</section>\n"
    )


def _fields(item: Chapter) -> str:
    rows = "".join(map(_field, item.rows))
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in (
            "Destination field",
            "Source field",
            "What happens to it",
            "Example",
        )
    )
    title = f"Fields of {safe(item.label)}"
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{title}">'
        f'<table class="fields"><caption>{title}</caption>'
        "<colgroup><col><col><col><col></colgroup>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _field(row: FieldRow) -> str:
    before, after = row.example
    example = (
        f'<span class="example">{safe(after)}</span>'
        if after
        else '<span class="muted">–</span>'
    )
    if before and before != after:
        example = f'<span class="example">{safe(before)}</span>'
        example += f'<span class="example"><span class="way">becomes</span> {safe(after)}</span>'
    steps = _listed(row.steps) if row.steps else "as it is"
    return (
        f'<tr><th scope="row">{safe(row.target)}</th>'
        f"<td>{_listed(row.sources, code=True)}</td><td>{steps}</td><td>{example}</td></tr>"
    )


def _listed(texts: Sequence[str], code: bool = False) -> str:
    shown = [
        f"<code>{safe(text)}</code>" if code else safe(text) for text in texts
    ]
    if len(shown) <= 1:
        return "".join(shown) or '<span class="muted">–</span>'
    return f"<ul>{''.join(f'<li>{text}</li>' for text in shown)}</ul>"


def _value_map(table: Table) -> str:
    title = f"{table.title}: what each value becomes"
    return f'<div class="narrow">{_table(title, table.heads, table.rows)}</div>'


def _table(
    title: str,
    heads: Iterable[str],
    rows: Iterable[Sequence[str]],
    code: bool = False,
) -> str:
    top = "".join(f'<th scope="col">{safe(head)}</th>' for head in heads)
    lines = []
    for first, *rest in rows:
        name = f"<code>{safe(first)}</code>" if code else safe(first)
        cells = "".join(f"<td>{safe(text)}</td>" for text in rest)
        lines.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return (
        f'<div class="wide"><table><caption>{safe(title)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _set_up(manual: Manual) -> str:
    people = (
        "".join(f"<p>{safe(text)}</p>" for text in manual.people)
        or "<p>People are not matched.</p>"
    )
    tables = "".join(
        _table(table.title, table.heads, table.rows)
        for table in (manual.customs, manual.pipelines)
        if table.rows
    )
    return (
        '<section id="set-up"><h2>People, custom fields and pipelines</h2>'
        f"<h3>People</h3>{people}<h3>Created in {safe(manual.destination)}</h3>"
        f"{tables or '<p>Nothing is created.</p>'}</section>\n"
    )


def _left(manual: Manual) -> str:
    table = "<p>No collections are listed as staying behind.</p>"
    if manual.left:
        heads = ("Collection", "Why")
        table = _table(
            "Collections that stay behind", heads, manual.left, code=True
        )
    return (
        f'<section id="left"><h2>What is not migrated</h2>{table}'
        "<p>The fields of migrated records that stay behind are listed with each kind of record"
        " above.</p></section>\n"
    )


def _to_know(manual: Manual) -> str:
    if not manual.to_know:
        return ""
    title = "What to know about the platforms"
    table = _table(title, ("Platform", "What", "In the source"), manual.to_know)
    return f'<section id="to-know"><h2>{title}</h2>{table}</section>\n'


def _signature(manual: Manual) -> str:
    lines = "".join(
        f"<p>{text}</p>"
        for text in (
            "For the customer: name",
            "Signature and date",
            "For the migration team: name",
            "Signature and date",
        )
    )
    return (
        '<section id="signature"><h2>Approval</h2>'
        "<p>The migration is to be carried out as this document says. Version of the mapping:"
        f" <code>{safe(manual.digest)}</code>.</p>"
        f'<div class="sign">{lines}</div></section>\n</main>\n'
    )
