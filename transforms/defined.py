"""The steps that a module defines, and what is wrong with it or with them."""

from __future__ import annotations

import ast
import functools
import inspect
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

from . import Step
from .found import Fault, Found
from .signature import unusable

NONE = "begin its name with _ if it is none"
_VALUES = str | int | float | None  # and lists and dicts of them


def defined(
    module: ModuleType, group: str, file: Path, tree: ast.Module, code: str
) -> Found:
    """The steps `group.NAME` of a module whose file has this code, or what is wrong with them."""
    functions: dict[str, Step] = {}
    places: dict[str, tuple[Path, int]] = {}
    faults: list[Fault] = []
    for key, value in _public(module, tree).items():
        name = f"{group}.{key}"
        places[name] = file, _line(value, key, file, tree)
        if why := unusable(value):
            told = f"{name} cannot be a step: {why}"
            faults.append(Fault(*places[name], "bad-step", told, NONE))
        else:
            functions[name] = _guarded(value)
    return Found(
        functions, dict.fromkeys(functions, code), places, tuple(faults)
    )


def failed(error: BaseException, file: Path) -> Fault:
    """A file that cannot be imported, with its line that failed."""
    line = 1
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line = error.lineno or 1
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            line = (frame.lineno or 1) if frame.filename == str(file) else line
    return Fault(
        file,
        line,
        "bad-step",
        f"the file cannot be imported: {_said(error)}",
        "correct the line; until then none of its steps can be used",
    )


def _said(error: BaseException) -> str:
    """What an exception says, if it can be asked, on one line."""
    told = traceback.TracebackException.from_exception(error)
    text = getattr(told, "msg", None) or str(told) or "no reason given"
    return f"{type(error).__name__}: {' '.join(text.split())[:500]}"


def _public(module: ModuleType, tree: ast.Module) -> Mapping[str, Any]:
    """What a module defines for others: what it calls `def` or `class`, whatever became of that,
    and all that can be called and comes from it.
    """
    named = {
        node.name
        for node in tree.body
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        )
    }
    return {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (key in named or _comes_from(value, module))
    }


def _comes_from(value: Any, module: ModuleType) -> bool:
    if isinstance(value, functools.partial):
        return True  # it says nothing of where it was made
    ours = getattr(value, "__module__", None) == module.__name__
    return callable(value) and (
        ours or getattr(value, "__globals__", None) is vars(module)
    )


def _line(value: Any, key: str, file: Path, tree: ast.Module) -> int:
    """Where in a file something is defined: by its code, or by its name; or the first line."""
    code = getattr(inspect.unwrap(value), "__code__", None)
    if code is not None and code.co_filename == str(file):
        return int(code.co_firstlineno)
    lines = (
        int(getattr(node, "lineno", 1))
        for node in ast.walk(tree)
        if key in (getattr(node, "name", ""), getattr(node, "id", ""))
    )
    return next(lines, 1)


def _guarded(step: Step) -> Step:
    """A step whose mistakes are told of the record, as a ValueError: whoever wrote it is not there
    to be asked. That it cannot work with nothing is no mistake: nothing becomes nothing. It is
    handed lists and objects of its own, for others read them as well.
    """

    @functools.wraps(step)
    def run(value: Any, *args: Any, **named: Any) -> Any:
        try:
            if isinstance(value, dict | list):
                value = deepcopy(value)
            given = step(value, *args, **named)
            odd = next(_odd(given), "")
        except ValueError:
            raise
        except (Exception, SystemExit) as error:
            if value is None:
                return None
            raise ValueError(_said(error)) from error
        if odd and value is not None:
            raise ValueError(f"it gives {odd}, which no field can hold")
        return None if odd else given

    return run


def _odd(value: Any) -> Iterator[str]:
    """The types in a value that JSON does not have."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _odd(item)
            if not isinstance(key, str):
                yield f"a key of type {type(key).__name__}"
    elif isinstance(value, list):
        for item in value:
            yield from _odd(item)
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"the number {value}"
    elif not isinstance(value, _VALUES):
        yield f"a value of type {type(value).__name__}"


def attempted(make: Callable[[], Found], file: Path) -> Found:
    """What is found in a file; whatever its code raises is what is wrong with it."""
    try:
        return make()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # its code may raise anything
        return Found(faults=(failed(error, file),))
