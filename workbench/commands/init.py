"""`etl init`: a project to begin with, or one more spec in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from engine.connector.load import SHIPPED
from engine.errors import UsageError
from workbench.connectors import found, known
from workbench.project import Framed, begun, example, frame
from workbench.scaffold import Asked, make, write


@click.command("init")
@click.argument(
    "project",
    metavar="[FOLDER]",
    required=False,
    type=click.Path(file_okay=False, path_type=Path),
)
@click.option(
    "--example", "shown", metavar="NAME", help="Begin with a shipped migration."
)
@click.option(
    "--source",
    metavar="CONNECTOR",
    help="Connector of the platform to read: a name, or a file.",
)
@click.option(
    "--destination",
    metavar="CONNECTOR",
    help="Connector of the platform to write: a name, or a file.",
)
@click.option(
    "--name", help="Name of the migration: small letters, digits and _."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("specs"),
    show_default=True,
    help="Where in the project the spec goes.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Ask nothing; take the default where an option is not given.",
)
def init_command(  # noqa: PLR0913
    project: Path | None,
    shown: str | None,
    source: str | None,
    destination: str | None,
    name: str | None,
    folder: Path,
    yes: bool,
) -> None:
    """Begin a project: a folder with a first spec and its cases, ready for git; in one that has
    specs, add a spec. Nothing is overwritten.
    """
    if shown:
        if source or destination or name:
            raise UsageError(
                "an example has its connectors and its name – leave out --source,"
                " --destination and --name"
            )
        _example(shown, project or Path(shown))
        return
    project = project or Path()
    source = source or _asked("Connector of the platform to read", project, yes)
    destination = destination or _asked(
        "Connector of the platform to write", project, yes, without=source
    )
    suggestion = f"{Path(source).stem}_to_{Path(destination).stem}"
    name = name or (
        suggestion
        if yes
        else click.prompt("Name of the migration", default=suggestion, err=True)
    )
    _first(project, _inside(project, folder), (source, destination), name)


def _inside(project: Path, folder: Path) -> Path:
    """A folder of the project, from there; raises UsageError where it is elsewhere."""
    root = project.resolve()
    found = (root / folder).resolve()
    if not found.is_relative_to(root):
        raise UsageError(
            f"--folder {folder} is outside of the project {root} – name a folder in it,"
            " e.g. specs"
        )
    return found.relative_to(root)


def _example(name: str, project: Path) -> None:
    files = example(name)
    if begun(project):
        raise UsageError(
            f"{project} has specs already – name a new folder: etl init --example"
            f" {name} FOLDER"
        )
    _write(project, {project / path: text for path, text in files.items()})


def _first(
    project: Path, folder: Path, sides: tuple[str, str], name: str
) -> None:
    """A spec for a pair of connectors, in a project that has others or begins with it."""
    fresh = not begun(project)
    source, destination = (
        _located(side, project, folder, fresh) for side in sides
    )
    made = make(
        Asked(
            source.file,
            destination.file,
            name,
            project / folder,
            (source.written, destination.written),
            schemas=fresh and len(folder.parts) == 1,
        )
    )
    files = dict(made.files)
    if fresh:
        spec, text = next(iter(files.items()))
        about = Framed(
            spec.relative_to(project), text, made.source, made.destination
        )
        for side in (source, destination):
            if side.copy:
                files[side.copy] = side.file.read_text(encoding="utf-8")
        files |= {project / path: text for path, text in frame(about).items()}
    _write(project, files)


@dataclass(frozen=True, slots=True)
class _Located:
    """A connector: its file, how a spec names it, and where a copy goes."""

    file: Path
    written: str  # "" is the path from the spec's folder
    copy: Path | None = None


def _located(given: str, project: Path, folder: Path, fresh: bool) -> _Located:
    """A connector by its file or its name; a new project takes a copy of a file from outside."""
    file = Path(given)
    beside = len(folder.parts) == 1  # a name is looked for above the folder
    if not file.is_file():
        file = found(given, project)
        named = beside or file.parent == SHIPPED
        return _Located(file, given if named else "")
    if file.resolve().parent == SHIPPED:
        return _Located(file, file.stem)
    if not fresh or file.resolve().is_relative_to(project.resolve()):
        return _Located(file, "")
    copy = Path("connectors") / file.name
    written = Path(os.path.relpath(copy, folder)).as_posix()
    return _Located(file, file.stem if beside else written, project / copy)


def _asked(what: str, project: Path, yes: bool, without: str = "") -> str:
    """A connector that is chosen: a file of the project, or the name of a shipped one."""
    choices = [
        name if file.parent == SHIPPED else str(file)
        for name, file in known(project).items()
    ]
    choices = [choice for choice in choices if choice != without]
    if yes and len(choices) > 1:
        raise UsageError(
            f"{what.lower()}: there are several – choose one with an option:"
            f" {', '.join(choices)}"
        )
    if yes:
        return choices[0]
    return str(
        click.prompt(
            what, type=click.Choice(choices), default=choices[0], err=True
        )
    )


def _write(project: Path, files: Mapping[Path, str]) -> None:
    """Write what is not there yet, and say what was written and what comes next."""
    missing = {path: text for path, text in files.items() if not path.exists()}
    write(missing)
    for path in missing:
        click.echo(str(path))
    for path in files.keys() - missing.keys():
        click.echo(f"{path} stays as it is", err=True)
    spec = os.path.relpath(next(iter(files)), project)
    inside = f"cd {project}, then " if project != Path() else ""
    click.echo(
        f"next: {inside}etl validate {spec}, etl propose {spec} --read, etl run {spec}"
        " --sample (with --env live where a platform has no emulator)"
    )
