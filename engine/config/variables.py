"""`${NAME}` and `${NAME:-default}` in a document, from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from engine.config.document import Document, Keys, scalar
from engine.errors import Code, Diagnostic

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*))?\}")
# ${{ x }} is a dollar before a template's value
_BROKEN = re.compile(r"\$\{(?!\{)[^}]*\}?")


def expand(
    document: Document, env: Mapping[str, str]
) -> tuple[Document, list[Diagnostic]]:
    """The document with its variables replaced and its places kept, and what is missing or
    misspelt.

    A value that is one reference and nothing else is read as YAML: with SEATS=5 the value
    `${SEATS}` is the number 5. Inside a longer text a variable is text.
    """
    problems: list[Diagnostic] = []

    def walk(value: Any, keys: Keys) -> Any:
        if isinstance(value, dict):
            return {
                key: walk(item, (*keys, key)) for key, item in value.items()
            }
        if isinstance(value, list):
            return [
                walk(item, (*keys, position))
                for position, item in enumerate(value)
            ]
        if not isinstance(value, str) or "${" not in value:
            return value
        found = _problems(value, env)
        if found:
            problems.extend(document.problem(keys, *item) for item in found)
            return value
        text = _VARIABLE.sub(lambda match: _text(match, env), value)
        return scalar(text) if _VARIABLE.fullmatch(value) else text

    return structs.replace(document, data=walk(document.data, ())), problems


def _problems(text: str, env: Mapping[str, str]) -> list[tuple[Code, str, str]]:
    found: list[tuple[Code, str, str]] = [
        (
            "missing-variable",
            f"the environment variable {match[1]} is not set",
            f"set {match[1]} or give a default: ${{{match[1]}:-...}}",
        )
        for match in _VARIABLE.finditer(text)
        if not env.get(match[1]) and match[2] is None
    ]
    broken = _BROKEN.findall(_VARIABLE.sub("", text))
    return found + [
        (
            "bad-format",
            f"{word!r} is not a valid variable",
            "write ${NAME} or ${NAME:-default}, NAME in capitals",
        )
        for word in broken
    ]


def _text(match: re.Match[str], env: Mapping[str, str]) -> str:
    return env.get(match[1]) or match[2] or ""
