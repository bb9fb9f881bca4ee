"""What else is wrong with a spec whose shape is not right everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from msgspec import structs

from engine.config.document import Document, Keys
from engine.config.validation import check_shape
from engine.config.variables import expand
from engine.errors import Diagnostic, SpecError
from engine.language.compile import load_migration
from engine.values import dig

# what is wrong with a step, whatever else is
OF_STEPS = ("unknown-step", "bad-argument")


def beside_shape(
    path: Path, document: Document, env: Mapping[str, str]
) -> Iterator[Diagnostic]:
    """What does not follow from what is wrong with a spec's shape; nothing where that is right.

    What is not in shape is left out, and the rest is compiled: a field of an object gives nothing;
    of anything else all that stands under its name goes, and then steps alone are judged.
    """
    document, _ = expand(document, env)
    data = deepcopy(document.data)
    wrong = {item.where for item in check_shape(document, "spec")}
    left_out = {
        _leave_out(data, keys)
        for keys, place in document.places.items()
        if place in wrong
    }
    rest = structs.replace(document, data=data)
    if not wrong or check_shape(rest, "spec"):
        return
    fields = {document.place(keys) for keys in left_out}
    try:
        load_migration(path, env, rest)
    except SpecError as error:
        for item in error.diagnostics:
            follows = () in left_out or item.where in fields
            if item.code in OF_STEPS or not follows:
                yield item


def _leave_out(data: Any, keys: Keys) -> Keys:
    """Take out a field of an object, which it is given; or all that stands under a name, and ()."""
    is_field = keys[0:4:2] == ("objects", "fields") and len(keys) > 3
    unit = keys[: 4 if is_field else 2]
    above = dig(data, unit[:-1])
    if unit and isinstance(above, dict):
        if is_field:
            above[unit[-1]] = "$none"
        else:
            above.pop(unit[-1], None)
    return unit if is_field else ()
