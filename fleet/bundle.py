"""What a migration is made of, as one archive that is named by its content.

A worker needs no checkout: it unpacks the archive, and finds a project as the author left it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.config.document import read
from engine.connector.load import SHIPPED, connector_file
from engine.errors import UsageError
from workbench.approval import approval_path

BESIDE = ("connectors", "templates", "transforms")  # folders beside `specs`
MOST_FILES = 2000
MOST_BYTES = 20_000_000
_DAY_ONE = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # of every file, for the content alone is the archive's name


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a migration, and where its spec stands among them."""

    digest: str  # SHA-256 of the names and contents
    spec: str
    archive: bytes


def packed(spec: Path, text: str = "", approval: bytes = b"") -> Bundle:
    """A spec with its approval, its cases and what stands beside it; `text` replaces the spec's,
    `approval` the approval's.

    Nothing hidden is taken along, so no `.env`. Raises UsageError where there is no such spec, or
    more than a mapping would be.
    """
    spec = spec.absolute()
    if not spec.is_file():
        raise UsageError(f"there is no spec {spec} – check the path")

    root = spec.parent.parent
    found = {_name(path, root): path.read_bytes() for path in _files(spec)}
    name = _name(spec, root)
    if text:
        found[name] = text.encode()
    if approval:
        found[_name(approval_path(spec), root)] = approval

    size = sum(map(len, found.values()))
    if len(found) > MOST_FILES or size > MOST_BYTES:
        raise UsageError(
            f"{root} has {len(found):,} files of {size:,} bytes beside the spec, more than"
            f" {MOST_FILES:,} or {MOST_BYTES:,} – keep what is no mapping elsewhere"
        )
    return Bundle(_digest(found), name, _archive(found))


def _files(spec: Path) -> Iterator[Path]:
    yield from (
        path
        for path in sorted(spec.parent.glob(f"{spec.stem}*.yaml"))
        if path.name.partition(".")[0] == spec.stem and path.is_file()
    )
    yield from _connectors(spec)
    for folder in BESIDE:
        for path in sorted((spec.parent.parent / folder).rglob("*")):
            inner = path.relative_to(spec.parent.parent).parts
            if path.is_symlink():
                raise UsageError(
                    f"{path} is a link – put the file itself there"
                )
            if path.is_file() and not any(map(_is_left_out, inner)):
                yield path


def _connectors(spec: Path) -> Iterator[Path]:
    """The connectors that a spec names; those that etl brings along are on every worker."""
    data = read(spec).data
    for side in ("source", "destination"):
        named = data.get(side, {}).get("connector", "")
        file = Path(os.path.normpath(connector_file(spec.parent, str(named))))
        if file.is_relative_to(spec.parent.parent):
            yield file
        elif not file.is_relative_to(SHIPPED):
            raise UsageError(
                f"{spec}: the connector {named!r} stands outside of {spec.parent.parent} – keep it"
                " in the project's folder connectors/, for workers have nothing else"
            )


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{len(name)} {name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def _archive(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _DAY_ONE), content)
    return out.getvalue()


def unpacked(bundle: Bundle, folder: Path) -> Path:
    """The spec's file below a folder that is private to the user, where the archive is unpacked
    once for all turns.

    Raises UsageError where the archive is not what its name says: somebody has changed it.
    """
    place = folder / bundle.digest
    if not place.exists():
        files = _checked(bundle)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Path(tempfile.mkdtemp(dir=folder, prefix=".unpacking-"))
        try:
            for name, content in files.items():
                _write(made / name, content)
            _put(made, place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return place / bundle.spec


def _checked(bundle: Bundle) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(bundle.archive)) as archive:
            entries = archive.infolist()
            fits = sum(entry.file_size for entry in entries) <= MOST_BYTES
            files = (
                {entry.filename: archive.read(entry) for entry in entries}
                if fits
                else {}
            )
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UsageError(_changed(bundle, str(error))) from None

    if _digest(files) != bundle.digest:
        raise UsageError(_changed(bundle, "its content has another digest"))
    if any(_leads_out(name) for name in (*files, bundle.spec)):
        raise UsageError(
            _changed(bundle, "a name in it leads out of its folder")
        )
    return files


def _changed(bundle: Bundle, why: str) -> str:
    return (
        f"the files {bundle.digest[:8]} in the database are not what was registered: {why} –"
        " register the migration again: etl fleet add"
    )


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or not path.parts
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
    ) as file:
        file.write(content)


def _put(made: Path, place: Path) -> None:
    """Two turns may unpack at once; the first one to be ready is kept."""
    try:
        made.rename(place)
    except OSError:
        if not place.exists():
            raise
