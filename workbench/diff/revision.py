"""A spec as it stood at a revision: its files read out of git into a folder, nothing checked
out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from engine.config.document import parse
from engine.errors import UsageError
from transforms.own import SPECS
from workbench.meaning import STEPS_FOLDER

OWN = STEPS_FOLDER.name  # of a project, too


def at_revision(spec: Path, revision: str, folder: Path) -> tuple[Path, Path]:
    """The spec of a revision with its connectors, templates and transforms, laid out in `folder`.

    The path of the spec and the folder of the transforms; the present transforms where the
    repository holds none.
    """
    if revision.startswith("-"):
        raise UsageError(
            f"{revision!r} is not a revision – name a commit, branch or tag"
        )
    root = Path(
        _git(spec.resolve().parent, "rev-parse", "--show-toplevel").strip()
    )
    inside = PurePosixPath(
        spec.resolve().relative_to(root.resolve()).as_posix()
    )
    _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    text = _copy(root, revision, inside, folder)
    data = parse(text, f"{revision}:{inside}").data
    for name in dict.fromkeys([*_named(data), *_connectors(data)]):
        path = _joined(inside.parent, name)
        if path is not None:
            _copy(root, revision, path, folder, must=False)
    own = inside.parent.parent / OWN
    if inside.parent.name == SPECS and (root / own).resolve() != STEPS_FOLDER:
        _sources(root, revision, own, folder)
    return folder / inside, _steps(root, revision, folder / ".shipped")


def merge_base(folder: Path, revision: str) -> str:
    """The commit at which what is checked out in a folder left a branch; raises UsageError."""
    if revision.startswith("-"):
        raise UsageError(
            f"{revision!r} is not a revision – name a branch such as origin/main"
        )
    found = _git(folder, "merge-base", revision, "HEAD").strip()
    return _git(folder, "rev-parse", "--short", found).strip()


def is_in(spec: Path, revision: str) -> bool:
    """Whether a revision holds a file."""
    folder = spec.resolve().parent
    listed = _git(folder, "ls-tree", "--name-only", "-z", revision, spec.name)
    return bool(listed)


def _steps(root: Path, revision: str, folder: Path) -> Path:
    """The shipped transforms of the revision, where they are kept in the same repository."""
    if not STEPS_FOLDER.is_relative_to(root.resolve()):
        return STEPS_FOLDER
    inside = PurePosixPath(STEPS_FOLDER.relative_to(root.resolve()).as_posix())
    found = _sources(root, revision, inside, folder)
    return folder / inside if found else STEPS_FOLDER


def _sources(
    root: Path, revision: str, inside: PurePosixPath, folder: Path
) -> bool:
    """The Python files of a folder of the revision, written into another; whether there are any."""
    listed = _git(root, "ls-tree", "--name-only", "-z", revision, f"{inside}/")
    names = [name for name in listed.split("\0") if name.endswith(".py")]
    for name in names:
        _copy(root, revision, PurePosixPath(name), folder)
    return bool(names)


def _named(value: Any) -> Iterator[str]:
    """Files that a spec names: its connectors and templates."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)
    elif (
        isinstance(value, str)
        and value.endswith((".yaml", ".yml", ".j2"))
        and "{" not in value
    ):
        yield value


def _connectors(data: Any) -> Iterator[str]:
    """Where the project keeps connectors that a spec names without a path."""
    for side in ("source", "destination"):
        written = data.get(side) if isinstance(data, dict) else None
        name = written.get("connector") if isinstance(written, dict) else None
        if isinstance(name, str) and "/" not in name:
            yield f"../connectors/{name}.yaml"


def _joined(base: PurePosixPath, name: str) -> PurePosixPath | None:
    """`../connectors/a.yaml` seen from a folder; None where it leaves the repository."""
    found: list[str] = []
    for part in (base / name).parts:
        if part == "..":
            if not found:
                return None
            found.pop()
        elif part not in (".", "/"):
            found.append(part)
    return PurePosixPath(*found)


def _copy(
    root: Path,
    revision: str,
    path: PurePosixPath,
    folder: Path,
    must: bool = True,
) -> str:
    """One file of the revision, written into the folder."""
    try:
        text = _git(root, "show", f"{revision}:{path}")
    except UsageError:
        if must:
            raise UsageError(
                f"{path} is not in {revision} – check the name; a file renamed since:"
                " etl diff OLD NEW"
            ) from None
        return ""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="")
    return text


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, check=False
        )
    except OSError:
        raise UsageError(
            "git is not installed – compare two files instead: etl diff OLD NEW"
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UsageError(
            f"git {words[0]} {words[-1]}: {said or 'there is no such revision'}"
        )
    return done.stdout.decode("utf-8", errors="replace")
