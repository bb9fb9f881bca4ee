"""What a step takes besides the value, by its signature and its type hints."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}


def arguments(function: Callable[..., Any]) -> dict[str, tuple[Any, bool]]:
    """Keyword arguments of a step: type and whether it must be given."""
    hints = typing.get_type_hints(function)
    keywords = list(inspect.signature(function).parameters.values())[1:]
    return {
        item.name: (
            hints.get(item.name, Any),
            item.default is inspect.Parameter.empty,
        )
        for item in keywords
    }


def misfit(value: Any, kind: Any) -> str:
    """What a value should be that does not fit a type; nothing where it fits."""
    if fits(value, kind):
        return ""
    return str(WORDS.get(typing.get_origin(kind) or kind, kind))


def fits(value: Any, kind: Any) -> bool:
    """Whether a value that a spec gives is of a type."""
    plain = typing.get_origin(kind) or kind
    if plain is Any:
        return True
    if not isinstance(plain, type):
        return any(fits(value, option) for option in typing.get_args(kind))
    if isinstance(value, bool):
        return plain is bool
    return isinstance(value, (int, float) if plain is float else plain)


def unusable(function: Callable[..., Any]) -> str:
    """Why a function cannot be a step; nothing where it can."""
    if why := _no_def(function):
        return why
    try:
        arguments(function)
    except Exception as error:  # a hint that names nothing
        return f"its type hints cannot be read: {error}"
    found = list(inspect.signature(function).parameters.values())
    if not found or found[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        return "it has no first parameter for the value"
    named = (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    if wrong := [item.name for item in found[1:] if item.kind not in named]:
        return f"a spec gives arguments by name, and {wrong[0]!r} has none"
    return ""


def _no_def(function: Any) -> str:
    """Why something is no `def` that gives its value at once; a decorated one is what it wraps."""
    inner = inspect.unwrap(function)
    if inspect.isclass(inner):
        return "a class is not a function; write a `def`"
    if not inspect.isfunction(inner):
        return f"it is of type {type(inner).__name__}; write a `def`"
    if inner.__name__ == "<lambda>":
        return "a lambda has no name and no docstring; write a `def`"
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        return "it is asynchronous"
    if inspect.isgeneratorfunction(inner):
        return "it yields its values one at a time; return a list"
    return ""
