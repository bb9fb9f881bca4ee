"""The command line of the emulators: `python -m sandbox serve NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sandbox.faults import check_rates
from sandbox.options import SIZE, Clock, Options
from sandbox.platforms import PLATFORMS, missing


def _pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", param_hint=option)
        pairs[key] = rest
    return pairs


def _switches(values: tuple[str, ...], name: str) -> dict[str, str]:
    """Those of one platform: `KEY=VALUE`, or `NAME.KEY=VALUE` where both platforms are told."""
    switches: dict[str, str] = {}
    for key, value in _pairs(values, "--set").items():
        platform, dot, rest = key.partition(".")
        if not dot:
            switches[key] = value
        elif platform not in PLATFORMS:
            raise click.BadParameter(f"there is no platform {platform!r}", param_hint="--set")
        elif platform == name:
            switches[rest] = value
    return switches


def _rates(values: tuple[str, ...]) -> dict[str, float]:
    rates: dict[str, float] = {}
    for kind, rate in _pairs(values, "--fault").items():
        try:
            rates[kind] = float(rate)
        except ValueError:
            raise click.BadParameter(f"{rate!r} is not a rate", param_hint="--fault") from None
    try:
        check_rates(rates)
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint="--fault") from None
    return rates


@click.group()
def sandbox() -> None:
    """Local emulators of the platforms that records are moved between.

    `unlimited`, a plan of stel_order, is the sandbox's own: no account of the platform is on it.
    """


@sandbox.command("serve")
@click.argument("name", type=click.Choice(sorted(PLATFORMS)))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--data", type=click.Path(dir_okay=False, path_type=Path), help="Account file.")
@click.option(
    "--size",
    type=click.IntRange(0),
    help=f"Seeded records in all; default: what the account file holds, or {SIZE}.",
)
@click.option("--seed", type=int, default=1, help="Same seed, same account.")
@click.option("--plan", default="", help="The platform's plan name.")
@click.option("--seats", type=click.IntRange(1), default=5)
@click.option("--latency-ms", type=click.IntRange(0), default=0)
@click.option("--fault", "faults", multiple=True, metavar="KIND=RATE")
@click.option("--set", "switches", multiple=True, metavar="KEY=VALUE")
@click.option("--key", default="", help="API key; the platform's fixed one by default.")
@click.option("--speed", type=click.FloatRange(0, min_open=True), default=1.0)
@click.option("--with-parent", is_flag=True, help="Stop when the starting process ends.")
def serve_command(with_parent: bool, **words: Any) -> None:
    """Serve one platform on 127.0.0.1 and print where, as one JSON line."""
    options = options_of(**words)
    if problem := missing():
        raise click.UsageError(problem)
    from sandbox.serve import (
        serve,  # the web server is not needed to refuse a bad option
    )

    try:
        serve(options, with_parent=with_parent)
    except ValueError as problem:  # a plan or a switch that only the platform knows
        raise click.UsageError(str(problem)) from None
    except OSError as problem:
        raise click.ClickException(str(problem)) from None


def options_of(
    name: str,
    faults: tuple[str, ...],
    switches: tuple[str, ...],
    speed: float,
    **same: Any,
) -> Options:
    """What the words of the command come to. Raises click.BadParameter."""
    return Options(
        name=name,
        faults=_rates(faults),
        switches=_switches(switches, name),
        clock=Clock(speed=speed),
        **same,
    )
