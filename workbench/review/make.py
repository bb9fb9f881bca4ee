"""Specs under review: checked, tested and compared with where the change began, as one text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Diagnostic, EtlError, UsageError
from engine.language.compile import Migration
from engine.report.words import clean, counted
from workbench.approval import voided
from workbench.cases.run import cases_path, load_cases, run_cases
from workbench.cases.text import failure_lines
from workbench.diff.between import with_revision
from workbench.diff.revision import is_in, merge_base
from workbench.diff.text import as_markdown
from workbench.problems import is_refused, problems_of

SHOWN = 50  # lines of a list before the rest is only counted
NO_SPEC = (".test", ".approval")  # what stands beside specs


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One spec: its exit code, and what there is to say of it, in Markdown."""

    spec: Path
    code: int  # 0 good, 1 cases fail, 2 it cannot be run
    lines: Sequence[str]


def specs_of(folder: Path) -> list[Path]:
    """The specs in a folder, without their cases and approvals."""
    found = sorted(folder.glob("*.yaml"))
    return [path for path in found if not path.stem.endswith(NO_SPEC)]


def review(specs: Sequence[Path], base: str, store: str) -> list[Reviewed]:
    """Every spec checked, tested, and compared with the commit where the change left `base`.

    Raises UsageError where there is no spec, or no such branch.
    """
    if not specs:
        raise UsageError(
            "there is no spec in specs/ – name those to review: etl review SPEC..."
        )
    begun = merge_base(specs[0].parent, base)
    return [_reviewed(spec, begun, store) for spec in specs]


def as_comment(found: Sequence[Reviewed]) -> str:
    """The comment: what somebody has to do something about stands first."""
    ordered = sorted(found, key=lambda one: -one.code)
    return "\n".join(line for one in ordered for line in (*one.lines, ""))


def _reviewed(spec: Path, base: str, store: str) -> Reviewed:
    problems, migration = problems_of(spec)
    lines = [f"## `{spec.as_posix()}`", "", *_problems(problems)]
    if migration is None or is_refused(problems):
        return Reviewed(spec, 2, lines)

    failed, tested = _tested(spec, migration)
    lines += tested
    try:
        if void := voided(migration, spec):
            lines += [f"**The approval does not hold**: {clean(void)}", ""]
        lines += _compared(spec, base, store)
    except EtlError as error:
        lines += ["**Not compared**", *_block(str(error).split("\n"))]
        return Reviewed(spec, 2, lines)
    return Reviewed(spec, int(failed), lines)


def _problems(problems: Sequence[Diagnostic]) -> Iterator[str]:
    if not problems:
        yield from ("**Valid**", "")
        return
    wrong = sum(item.severity == "error" for item in problems)
    doubtful = len(problems) - wrong
    yield f"**{counted(wrong, 'mistake')}, {counted(doubtful, 'warning')}**"
    yield from _block([clean(str(item)) for item in problems])


def _tested(spec: Path, migration: Migration) -> tuple[bool, list[str]]:
    """Whether cases fail, and what to say of them."""
    path = cases_path(spec)
    if not path.exists():
        return False, [f"**No cases**: `{path.as_posix()}` does not exist", ""]
    try:
        tested = run_cases(*load_cases(path, migration))
    except EtlError as error:
        told = _block(str(error).split("\n"))
        return True, ["**The cases cannot be run**", *told]

    passed, failed = len(tested.passed), len(tested.failed)
    told = _block(list(failure_lines(tested))) if failed else [""]
    return failed > 0, [f"**Cases**: {passed} passed, {failed} failed", *told]


def _compared(spec: Path, base: str, store: str) -> Iterator[str]:
    if is_in(spec, base):
        yield from as_markdown(with_revision(spec, base, store))
    else:
        yield from ("**New**: there is nothing to compare it with.", "")


def _block(lines: Sequence[str]) -> list[str]:
    """Lines as they are, the first ones of many; a fence among them ends nothing."""
    kept = [clean(line).replace("```", "` ` `") for line in lines[:SHOWN]]
    more = len(lines) - SHOWN
    rest = [f"… and {more} lines more"] if more > 0 else []
    return ["", "```text", *kept, *rest, "```", ""]
