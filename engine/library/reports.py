"""The reports that a run leaves beside its store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from engine.errors import UsageError
from engine.library.gate import Gate
from engine.pipeline import Result
from engine.report.document import build, write_csv, write_json
from engine.report.page import write_html
from engine.report.words import is_whole
from engine.session import Run
from engine.store.journal import all_runs
from engine.store.links import MERGED, told
from engine.store.tables import Store, recall_in, remember_in

VERDICTS = 20  # that a store keeps
KEPT = "verdicts"  # their name in it
FORMATS = {"html": write_html, "json": write_json, "csv": write_csv}


def folder_of(store: Store, name: str, environment: str) -> Path:
    """Where the reports of a migration are."""
    return store.folder / f"{name}.{environment}.report"


def leave_report(
    run: Run, result: Result, command: str, environment: str, gate: Gate
) -> dict[str, Any]:
    """Write every format of a run's report; the document, with its `files` and what could not
    be written among its notices.
    """
    report = build(run, result, command, environment)
    if known_by := gate.ended(run, report["verdict"]):
        report["mapping_digest"] = known_by
    with run.store.begin() as connection:
        told(connection, MERGED)
        _keep_verdict(connection, run.id, report["verdict"])
    folder = folder_of(run.store, run.spec.name, environment)
    formats = {kind: partial(write, report) for kind, write in FORMATS.items()}
    files, notices = written(formats, folder)
    report["notices"].extend(notices)
    return report | {"files": files}


def written(
    formats: Mapping[str, Callable[[Path], None]],
    folder: Path,
    name: str = "report",
) -> tuple[dict[str, str], list[str]]:
    """Write a report in every format; the file of each, and what could not be written."""
    files, notices = {}, []
    for kind, write in formats.items():
        path = folder / f"{name}.{kind}"
        try:
            write(path)
            files[kind] = str(path)
        except OSError as error:
            notices.append(
                f"the report {path} cannot be written: {error.strerror}"
            )
    return files, notices


def _keep_verdict(
    connection: sa.Connection, run: int, verdict: Mapping[str, Any]
) -> None:
    """What a run found, beside what the last ones did and the last that compared everything."""
    found = {**verdicts(connection), run: verdict}
    commands = {row["id"]: row["command"] for row in all_runs(connection)}
    whole = [at for at in found if is_whole(commands.get(at, "--sample"))]
    last = {*list(found)[-VERDICTS:], *whole[-1:]}
    kept = {number: found[number] for number in found if number in last}
    remember_in(connection, KEPT, json.dumps(kept))


def verdicts(connection: sa.Connection) -> dict[int, Mapping[str, Any]]:
    """What the last runs found that compared records, by their numbers."""
    kept = json.loads(recall_in(connection, KEPT) or "{}")
    return {int(run): verdict for run, verdict in kept.items()}


def last_report(store: Store, name: str, environment: str, spec: Path) -> Any:
    """The document that the last run left; raises UsageError where there is none."""
    path = folder_of(store, name, environment) / "report.json"
    if not path.exists():
        raise UsageError(
            f"there is no report in {path.parent} yet – start with: etl run {spec}"
            " --sample"
        )
    return json.loads(path.read_text(encoding="utf-8"))
