"""`etl connector new`: a connector drafted from an OpenAPI document."""

from __future__ import annotations

import re
from pathlib import Path

import click

from engine.errors import UsageError
from workbench.editors import beside
from workbench.openapi.draft import Draft, Wish, counted, draft
from workbench.openapi.fetch import document
from workbench.openapi.names import one_line
from workbench.openapi.reading import opened

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_SHOWN = 8  # questions that the terminal repeats


@click.command("new")
@click.option(
    "--openapi",
    "where",
    required=True,
    metavar="FILE_OR_URL",
    help="The OpenAPI document: a file, or an https address.",
)
@click.option(
    "--name",
    default="",
    help=(
        "Name of the connector: small letters, digits and _; default: the document's title."
    ),
)
@click.option(
    "--only",
    default="",
    metavar="A,B",
    help="Draft only these resources, with their parents.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; default: connectors/NAME.yaml.",
)
def new_command(where: str, name: str, only: str, out: Path | None) -> None:
    """Draft a connector from an OpenAPI document (Swagger 2.0, OpenAPI 3.0, 3.1); refuses to
    overwrite. Does not call the API.
    """
    if name and not _NAME.fullmatch(name):
        raise UsageError(
            f"{one_line(name, 60)!r} is not a name for a connector – small letters, digits"
            " and _, e.g. acme_crm"
        )
    if out is not None:
        _free(out)
    shown = where.partition("?")[0]
    wanted = tuple(word.strip() for word in only.split(",") if word.strip())
    made = draft(
        opened(document(where), one_line(shown, 200)), Wish(shown, name, wanted)
    )
    path = out or Path("connectors") / f"{made.name}.yaml"
    _free(path)
    _write(path, beside(path.parent, "connector") + made.text)
    _say(path, made, str(path) if out else made.name)


def _free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise UsageError(
            f"{path} exists and is not overwritten – choose another file with -o"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror} – choose another file with -o"
        ) from None


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _say(path: Path, made: Draft, named: str) -> None:
    resources = made.connector.resources
    calls = sum(len(one.operations) for one in resources.values())
    fields = sum(len(one.fields) for one in resources.values())
    parts = ", ".join(
        (
            _many(len(resources), "resource"),
            _many(calls, "call"),
            _many(fields, "field"),
        )
    )
    click.echo(
        f"{path}: {parts}; it can be read, but was not tried against the API"
    )
    click.echo(
        f"inferred: {_many(made.inferred, 'thing')}, each with its reason behind it"
    )
    click.echo(f"ask: {_many(len(made.asks), 'question')}")
    for ask in made.asks[:_SHOWN]:
        click.echo(f"  {ask}")
    if len(made.asks) > _SHOWN:
        click.echo(f"  and {len(made.asks) - _SHOWN} more in the file")
    for why, many, first in counted(made.left):
        click.echo(
            f"left out: {_many(many, 'call')}, {why}: {first}{', …' if many > 1 else ''}"
        )
    click.echo(
        f"next: answer the questions, then etl connector check {named} --env .env"
    )
