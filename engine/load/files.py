"""Files on their way: fetched from the source, kept until the outcome of their upload is known."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Any

from engine.destination.natural_key import SentFile, file_in, file_of
from engine.errors import RequestRejected
from engine.load.writes import Write
from engine.session import Run

FETCHES = 3  # times a file is asked for while something else comes
# what a service answers with when it has no file to give
PAGES = ("text/html", "application/json")


def _file(run: Run, write: Write) -> SentFile | None:
    """The file that a write sends; a deletion sends none, whatever the row was made with."""
    if write.action == "delete" or file_in(write.body) is None:
        return None
    return file_of(run.files, write.object, write.key, write.body)


def fetch_file(
    run: Run, write: Write
) -> tuple[Any, Path | None, dict[str, Any]]:
    """Fetch the file a body asks for: the body with its name, the file, its size and checksum.

    Raises RequestRejected where the link gives a page instead of a file.
    """
    found = _file(run, write)
    if found is None:
        return write.body, None, {}

    described, kind = found.described, ""
    for _ in range(FETCHES):
        size, checksum, kind = run.source.download(described["url"], found.path)
        if (
            kind not in PAGES
            or mimetypes.guess_type(described["name"])[0] == kind
        ):
            body = write.body | {
                found.target: {"name": described["name"], "type": kind}
            }
            return (
                body,
                found.path,
                {"size": size, "sha256": checksum, "type": kind},
            )
    raise RequestRejected(f"the link answers with {kind} instead of a file")


def drop_file(run: Run, write: Write) -> None:
    """Remove the copy of a file whose outcome is in the journal."""
    found = _file(run, write)
    if found is not None:
        found.path.unlink(missing_ok=True)


def kept_file(run: Run, write: Write) -> dict[str, Any]:
    """Size and checksum of the file a write sent, from its copy; {} where there is none."""
    found = _file(run, write)
    if found is None or not found.path.exists():
        return {}
    with found.path.open("rb") as content:
        checksum = hashlib.file_digest(content, "sha256").hexdigest()
    return {"size": found.path.stat().st_size, "sha256": checksum}


def never_left(run: Run, write: Write) -> bool:
    """A file is fetched before it is sent: without its copy the upload was never begun."""
    found = _file(run, write)
    return found is not None and not found.path.exists()
