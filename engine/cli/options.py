"""The options that commands share, and what a number or a time on the command line is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from engine.errors import UsageError

OWN_SIZE = 0  # `--sample` without a number
# of a number on the command line; more are a slip, and no clock or list holds so many
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Settings:
    """The options every command shares."""

    spec: Path
    environment: str
    store: str | None
    as_json: bool


def _either(
    context: click.Context, _option: click.Parameter, given: bool
) -> bool:
    return given or context.params.get("as_json", False)


def _in_words(
    context: click.Context, _option: click.Parameter, style: str | None
) -> None:
    if style == "json":
        context.params["as_json"] = True


def machine(function: Any) -> Any:
    """--json, and --format json, which is the same."""
    words = click.option(
        "--format",
        type=click.Choice(["terminal", "json"]),
        expose_value=False,
        callback=_in_words,
        help="`json` is the same as --json.",
    )
    return as_json(words(function))


as_json = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=_either,
    help="Machine-readable output on stdout.",
)


def common(function: Any) -> Any:
    """SPEC, --env, --store and --json."""
    for decorate in reversed(
        (
            click.argument("spec", type=click.Path(path_type=Path)),
            click.option(
                "--env",
                "environment",
                type=click.Choice(["sandbox", "live"]),
                default="sandbox",
                show_default=True,
                help=(
                    "The embedded emulators, or accounts named by the environment or"
                    " .env."
                ),
            ),
            click.option(
                "--store",
                help="SQLAlchemy URL or file; default var/MIGRATION.ENV.sqlite.",
            ),
            machine,
        )
    ):
        function = decorate(function)
    return function


def interval(written: str | None) -> float:
    """`15m`, `90s` or `2h` in seconds; 0 for none."""
    if not written:
        return 0.0
    unit = {"s": 1, "m": 60, "h": 3600}.get(written[-1])
    if unit is None or not is_number(written[:-1]):
        raise UsageError(
            f"--every {written!r} is not an interval – write it like 15m"
        )
    return float(int(written[:-1]) * unit)


def is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS


def until(written: str | None, option: str = "--until") -> float:
    """A time in epoch seconds; 0 for none. Raises UsageError, which names the option."""
    if not written:
        return 0.0
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise UsageError(
            f"{option} {written!r} is not a time – write it like 2026-12-01T18:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def records(
    _context: click.Context, _option: click.Parameter, written: str | None
) -> int | None:
    """The size of a sample; OWN_SIZE is the spec's."""
    if written and (not is_number(written) or int(written) < 1):
        raise UsageError(f"--sample {written!r} is not a number of records")
    if written is None:
        return None
    return int(written) if written else OWN_SIZE


sampled = click.option(
    "--sample",
    "size",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[N]",
    callback=records,
    help="Work on a representative sample of about N records (default: the spec's, 200).",
)
