"""Named pure functions with the arguments a spec gives them, checked against their signatures."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from engine.config.suggestions import did_you_mean
from engine.language.model import NamedStep
from transforms import CHECKS, STEPS

_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}


def bind(name: str, args: Any = None) -> NamedStep:
    """The step `name` with its arguments; raises ValueError in words a spec author understands.

    A scalar or list instead of a mapping is the step's first argument:
    `{text.join: ", "}` is `{text.join: {separator: ", "}}`.
    """
    function = STEPS.get(name)
    if function is None:
        raise ValueError(
            f"unknown step {name!r} –"
            f" {did_you_mean(name, STEPS) or 'see docs/transforms.md'}"
        )
    accepted = _arguments(name)
    if args is None:
        args = {}
    elif not isinstance(args, Mapping):
        if not accepted:
            raise ValueError(f"step {name!r} takes no argument")
        args = {next(iter(accepted)): args}
    for key, value in args.items():
        if key not in accepted:
            known = ", ".join(accepted) or "none"
            raise ValueError(
                f"step {name!r} has no argument {key!r} – it takes: {known}"
            )
        kind = accepted[key][0]
        if not _fits(value, kind):
            raise ValueError(
                f"step {name!r}: {key!r} must be"
                f" {_WORDS.get(typing.get_origin(kind) or kind, kind)}, not {value!r}"
            )
    missing = [
        key
        for key, (_, needed) in accepted.items()
        if needed and key not in args
    ]
    if missing:
        raise ValueError(f"step {name!r} needs {', '.join(map(repr, missing))}")
    run = functools.partial(function, **args)
    if "" not in args.values():  # a setting that is not there is told by itself
        _try(name, args, run)
    return NamedStep(name, dict(args), run)


def _try(name: str, args: Mapping[str, Any], run: Callable[[Any], Any]) -> None:
    """Call the step with no value: an unknown zone, region, language or style is reported before
    there is a record.
    """
    try:
        for key in args.keys() & CHECKS.keys():
            CHECKS[key](args[key])
        run(None)
    except ValueError as error:
        raise ValueError(
            f"step {name!r}: {str(error).replace('; ', ' – ', 1)}"
        ) from None


@functools.cache
def _arguments(name: str) -> dict[str, tuple[Any, bool]]:
    """Keyword arguments of a step: type and whether it must be given."""
    function = STEPS[name]
    hints = typing.get_type_hints(function)
    keywords = list(inspect.signature(function).parameters.values())[1:]
    return {
        item.name: (
            hints.get(item.name, Any),
            item.default is inspect.Parameter.empty,
        )
        for item in keywords
    }


def _fits(value: Any, kind: Any) -> bool:
    plain = typing.get_origin(kind) or kind
    if plain is Any:
        return True
    if not isinstance(plain, type):
        return any(_fits(value, option) for option in typing.get_args(kind))
    if isinstance(value, bool):
        return plain is bool
    return isinstance(value, (int, float) if plain is float else plain)
