"""Templates of a spec: found in its project and compiled, with every name in them checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.config.suggestions import did_you_mean, suggest
from engine.errors import Code, Severity
from engine.language.jinja import (
    UNSURE,
    FilterCall,
    filter_names,
    filters_named,
    filters_used,
    misuse,
    paths_used,
    syntax_problem,
)
from engine.language.model import Template
from engine.language.scope import Scope, real
from engine.language.steps import bind
from transforms.found import Steps
from transforms.signature import arguments

MAX_BYTES = 200_000
SPECIAL = {"settings": "$settings", "key": "$key", "collection": "$collection"}
_TAG = re.compile(
    r"</?(?:a|b|br|div|em|h[1-6]|i|li|ol|p|span|strong|table|td|th|tr|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)

_CODE = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
_SAID = re.compile(r"\btext\((['\"])((?:[^\\]|\\.)*?)\1\)", re.DOTALL)


class Fault(msgspec.Struct, frozen=True):
    """What is wrong in a template, and in which of its lines."""

    code: Code
    problem: str
    advice: str
    line: int = 0
    severity: Severity = "error"


def read_template(folder: Path, written: str) -> str | Fault:
    """The text of a template file, which has to be in the project, the folder above the spec's."""
    root = folder.resolve().parent
    code: Code = "unreadable-file"
    why, advice = "no such file", "check the path"
    try:
        # symlinks are followed before the check
        file = (folder / written).resolve()
        if not file.is_relative_to(root):
            why = "it is outside the project folder"
            advice = f"keep templates below {root.name}/"
        elif file.is_file():
            if file.stat().st_size <= MAX_BYTES:
                return file.read_text(encoding="utf-8")
            code, advice = "too-large", "shorten it"
            why = f"it is larger than {MAX_BYTES:,} bytes"
    except OSError as error:
        why = str(error.strerror)
    except UnicodeDecodeError:
        why, advice = "it is not UTF-8", "save the file as UTF-8"
    except (ValueError, RuntimeError):
        why = "that is no path"
    return Fault(
        code, f"the template {written!r} cannot be read: {why}", advice
    )


def said(source: str, say: Callable[[str], str]) -> str:
    """A template with each `text('...')` in the words that a language has for it."""

    def quoted(found: re.Match[str]) -> str:
        words = say(re.sub(r"\\(.)", r"\1", found[2]))
        words = words.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{words}'"

    return _CODE.sub(lambda part: _SAID.sub(quoted, part[0]), source)


def faults(source: str, scope: Scope, html: bool) -> list[Fault]:
    """Everything wrong in a template's text."""
    found = syntax_problem(source, scope.steps)
    if found:
        return [
            Fault(
                "bad-template",
                f"not a valid template: {found[0]}",
                _filter_guess(found[0], scope.steps) or "correct the Jinja",
                found[1],
            )
        ]
    seen = [*_names(source, scope), *_filters(source, html, scope.steps)]
    return list(dict.fromkeys(seen))


def _filter_guess(problem: str, steps: Steps) -> str:
    missing = re.search(r"No filter named '(\w+)'", problem)
    if not missing:
        return ""
    near = did_you_mean(missing[1], filter_names(steps))
    return steps.advice(missing[1], near)


def _names(source: str, scope: Scope) -> Iterator[Fault]:
    for path, line in paths_used(source):
        if (
            path[0] == "settings"
            and len(path) > 1
            and path[1] not in scope.settings
        ):
            yield Fault(
                "unknown-name",
                f"there is no setting {path[1]!r}",
                suggest(path[1], scope.settings),
                line,
            )
        elif path[0] not in (*SPECIAL, "range"):
            found = scope.find(path, template=True)
            if found.problem:
                yield Fault(found.code, found.problem, found.advice, line)


def _filters(source: str, html: bool, steps: Steps) -> Iterator[Fault]:
    for call in filters_used(source):
        yield from _misused(call, steps)
        if html and call.name == "safe" and not call.escaped:
            yield Fault(
                "unsafe-html",
                "`safe` after something that is not escaped: a record's text would"
                " become markup",
                "write {{ x | text_paragraphs | safe }}, or drop `safe`",
                call.line,
                "warning",
            )


def _misused(call: FilterCall, steps: Steps) -> Iterator[Fault]:
    """A filter, or a step used as one, that is called with arguments it does not accept."""
    step = steps.filters.get(call.name, "")
    known = list(arguments(steps.functions[step])) if step else []
    wrong = [name for name in call.named if step and name not in known]
    for name in wrong:
        yield Fault(
            "bad-argument",
            f"the step {call.name!r} has no argument {name!r}",
            suggest(name, known),
            call.line,
        )

    if wrong or call.open:
        return
    if why := misuse(call, steps):
        text = f"the filter {call.name!r} cannot be called like this: {why}"
        advice = (
            f"name them: {', '.join(known)}"
            if known
            else "correct its arguments"
        )
        yield Fault("bad-argument", text, advice, call.line)
    elif step and UNSURE not in call.named.values():
        try:
            bind(step, call.named, steps)
        except ValueError as error:
            problem, _, advice = str(error).partition(" – ")
            yield Fault("bad-argument", problem, advice, call.line)


def build(source: str, name: str, html: bool, scope: Scope) -> Template:
    """A template whose names are known to be good, with the source paths it reads.

    A field that the connector lists may be absent from a record; a name that it does not list may
    be misspelt, and stays strict.
    """
    paths = [path for path, _ in paths_used(source) if path[0] != "range"]
    uses = [
        real((SPECIAL.get(path[0], path[0]), *path[1:]), scope)
        for path in paths
    ]
    known = {
        part
        for path in paths
        for part in path[: scope.find(path, template=True).listed]
        if part != "*"
    }
    heads = tuple(
        dict.fromkeys(path[0] for path in paths if path[0] not in SPECIAL)
    )
    return Template(
        source,
        name,
        html,
        tuple(dict.fromkeys(uses)),
        heads,
        frozenset(known),
        scope.steps,
        scope.steps.digests(filters_named(source)),
    )


def has_markup(source: str, name: str) -> bool:
    """Whether a template's text is meant as HTML."""
    return name.endswith(".html.j2") or bool(_TAG.search(source))
