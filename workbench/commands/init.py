"""`etl init`: a spec to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from engine.errors import UsageError
from workbench.scaffold import Asked, Made, make, write


@click.command("init")
@click.option(
    "--source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Connector file of the platform to read.",
)
@click.option(
    "--destination",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Connector file of the platform to write.",
)
@click.option(
    "--name", help="Name of the migration: small letters, digits and _."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("specs"),
    show_default=True,
    help="Where the spec goes.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Ask nothing; take the default where an option is not given.",
)
def init_command(
    source: Path | None,
    destination: Path | None,
    name: str | None,
    folder: Path,
    yes: bool,
) -> None:
    """Write a first spec for a pair of connectors, with a test file; refuses to overwrite."""
    known = sorted(Path("connectors").glob("*.yaml"))
    source = source or _asked(
        "Connector of the platform to read", known, 0, yes
    )
    destination = destination or _asked(
        "Connector of the platform to write",
        [file for file in known if file != source],
        0,
        yes,
    )
    suggestion = f"{source.stem}_to_{destination.stem}"
    name = name or (
        suggestion
        if yes
        else click.prompt("Name of the migration", default=suggestion, err=True)
    )
    made = make(Asked(source, destination, name, folder))
    write(made)
    _say(made)


def _asked(what: str, known: list[Path], default: int, yes: bool) -> Path:
    if not known:
        raise UsageError(
            "there is no connector in connectors/ – name the files with --source and --destination"
        )
    if yes:
        if len(known) > 1:
            raise UsageError(
                f"{what.lower()}: there are several – choose one with an option:"
                f" {', '.join(map(str, known))}"
            )
        return known[default]
    found = click.prompt(
        what,
        type=click.Choice([str(file) for file in known]),
        default=str(known[default]),
        err=True,
    )
    return Path(found)


def _say(made: Made) -> None:
    for path in made.files:
        click.echo(str(path))
    spec = next(iter(made.files))
    click.echo(
        f"next: etl propose {spec} --read, then etl validate {spec} (with --env live"
        " where a platform has no emulator)"
    )
