"""Named pure functions with the arguments a spec gives them, checked against their signatures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from engine.config.suggestions import did_you_mean
from engine.language.model import NamedStep
from transforms import CHECKS
from transforms.found import Steps
from transforms.signature import arguments, misfit


def bind(name: str, args: Any, steps: Steps) -> NamedStep:
    """The step `name` with its arguments; raises ValueError in words a spec author understands.

    A scalar or list instead of a mapping is the step's first argument:
    `{text.join: ", "}` is `{text.join: {separator: ", "}}`.
    """
    function = steps.functions.get(name)
    if function is None:
        raise ValueError(
            f"unknown step {name!r} –"
            f" {steps.advice(name, did_you_mean(name, steps.functions))}"
        )
    accepted = arguments(function)
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
        if wanted := misfit(value, accepted[key][0]):
            raise ValueError(
                f"step {name!r}: {key!r} must be {wanted}, not {value!r}"
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
        _try(name, args, run, steps)
    return NamedStep(name, dict(args), run, steps.code.get(name, ""))


def _try(
    name: str, args: Mapping[str, Any], run: Callable[[Any], Any], steps: Steps
) -> None:
    """Call the step with no value: an unknown zone, region, language or style is reported before
    there is a record. One that is not shipped may refuse to be called so, for no run does it.
    """
    try:
        for key in args.keys() & CHECKS.keys():
            CHECKS[key](args[key])
        if name not in steps.code:
            run(None)
    except ValueError as error:
        raise ValueError(
            f"step {name!r}: {str(error).replace('; ', ' – ', 1)}"
        ) from None
