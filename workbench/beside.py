"""What else is wrong with a spec whose shape is not right everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from engine.config.document import Document, Keys
from engine.config.validation import check_shape
from engine.config.variables import expand
from engine.errors import Diagnostic, SpecError
from engine.language.compile import load_migration

# what is wrong with a step, whatever else is
OF_STEPS = ("unknown-step", "bad-argument")
# sections whose names the rest of a spec uses
NAMING = ("settings", "languages", "users", "custom_fields", "pipelines")
OF_AN_OBJECT = ("related", "children", "each")
# stands for what every spec has to have, and this one has not
STAND_IN = "left_out"
# faults of the shape beyond which they are told alone: each is looked for in the whole spec
MOST = 200
ROUNDS = 20  # each takes out what is one level further up

_MEANT = re.compile(r"did you mean '(.+)'\?")
_QUOTED = re.compile(r"['`]([^'`]*)['`]")
_PARTS = re.compile(r"[.$\[\]*]+")


class Beside(msgspec.Struct, frozen=True):
    """What is wrong besides the shape, and what of the shape only follows from something told."""

    found: tuple[Diagnostic, ...] = ()
    echoes: tuple[Diagnostic, ...] = ()


class _Gone(msgspec.Struct, frozen=True):
    """What was taken out of a spec, so that the rest is in shape."""

    fields: set[Keys] = msgspec.field(default_factory=set)
    names: set[str] = msgspec.field(default_factory=set)
    # parts that may use names which nobody can tell: only their steps are judged
    obscure: set[Keys] = msgspec.field(default_factory=set)


def beside_shape(
    path: Path, document: Document, env: Mapping[str, str]
) -> Beside:
    """What does not follow from what is wrong with a spec's shape; nothing where that is right.

    What is misspelt is read as what was probably meant. What is not in shape all the same is taken
    out, and the rest is compiled. A mistake then follows from one that is told, and is left out,
    where it names what was taken out.
    """
    document, _ = expand(document, env)
    faults = check_shape(document, "spec")
    if not faults or len(faults) > MOST:
        return Beside()
    meant = _as_meant(document, faults)
    left = check_shape(meant, "spec")
    wheres = {item.where for item in left}
    echoes = tuple(
        item
        for item in faults
        if not _MEANT.search(item.advice) and item.where not in wheres
    )
    gone = _Gone(names={STAND_IN})
    rest = _in_shape(meant, gone)
    if rest is None:
        return Beside((), echoes)
    return Beside(tuple(_of_the_rest(path, rest, gone)), echoes)


def _of_the_rest(
    path: Path, rest: Document, gone: _Gone
) -> Iterator[Diagnostic]:
    fields = {rest.place(keys) for keys in gone.fields}
    # variables are expanded by now, and what a value of theirs looks like is none
    _, looks = expand(rest, {})
    obscure = [_path_of(keys) for keys in gone.obscure]
    try:
        load_migration(path, {}, rest)
    except SpecError as error:
        for item in error.diagnostics:
            if item in looks:
                continue
            follows = item.where in fields or _names(item) & gone.names
            is_obscure = any(item.path.startswith(above) for above in obscure)
            if item.code in OF_STEPS or not (follows or is_obscure):
                yield item


def _path_of(keys: Keys) -> str:
    return "".join(f"{key}." for key in keys)


def _names(item: Diagnostic) -> set[str]:
    """What a problem names, and the parts of it."""
    quoted = _QUOTED.findall(item.problem)
    return {part for text in quoted for part in _PARTS.split(text)}


def _keys_of(document: Document, item: Diagnostic) -> list[Keys]:
    """Where in the data a problem is: in several places, where an alias repeats it."""
    found = [
        keys
        for keys, place in document.places.items()
        if place == item.where
        and document.problem(keys, item.code, "").path == item.path
    ]
    return found or [()]


def _at(data: Any, keys: Keys) -> Any:
    """What stands in a place, by its very keys: `*` is a key like any other; None for nothing."""
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int):
            data = data[key] if key < len(data) else None
        else:
            return None
    return data


# -- what was meant


def _as_meant(document: Document, faults: Iterable[Diagnostic]) -> Document:
    """The document with each misspelt word put right; what is inside comes first."""
    document = structs.replace(document, data=deepcopy(document.data))
    misspelt = [
        (keys, found[1], item.code)
        for item in faults
        if (found := _MEANT.search(item.advice))
        for keys in _keys_of(document, item)
        if keys
    ]
    for keys, word, code in sorted(misspelt, key=lambda of: -len(of[0])):
        above = _at(document.data, keys[:-1])
        if code == "unknown-key":
            document = _renamed(document, above, keys, word)
        elif isinstance(above, dict | list):
            above[keys[-1]] = word  # type: ignore[index]
    return document


def _renamed(document: Document, above: Any, keys: Keys, word: str) -> Document:
    """The document with another name for a key, in the same position."""
    if not isinstance(above, dict) or word in above:
        return document
    items = [(word if key == keys[-1] else key, above[key]) for key in above]
    above.clear()
    above.update(items)
    many = len(keys)
    new = (*keys[:-1], word)

    def moved(old: Keys) -> Keys:
        return (*new, *old[many:]) if old[:many] == keys else old

    return structs.replace(
        document,
        places=_rekeyed(document.places, moved),
        aliases={
            moved(key): moved(first) for key, first in document.aliases.items()
        },
        old=_rekeyed(document.old, moved),
    )


def _rekeyed(
    items: Mapping[Keys, Any], moved: Callable[[Keys], Keys]
) -> dict[Keys, Any]:
    return {moved(keys): value for keys, value in items.items()}


# -- what is taken out


def _in_shape(document: Document, gone: _Gone) -> Document | None:
    """The document without what is not in shape; None where too little would be left."""
    for _ in range(ROUNDS):
        _stand_in(document.data)
        faults = check_shape(document, "spec")
        if not faults:
            return document
        places = {
            keys: item.code
            for item in faults
            for keys in _keys_of(document, item)
        }
        if () in places:
            return None
        for keys, code in places.items():
            _take_out(document.data, keys, code, gone)
    return None


def _stand_in(data: Any) -> None:
    """A name of the migration, plans and resources, where they are missing."""
    wanted = (("migration", data), *_lacking(data))
    for key, above in wanted:
        if isinstance(above, dict):
            above.setdefault(key, STAND_IN)


def _lacking(data: Any) -> Iterator[tuple[str, Any]]:
    """What may lack a plan or a resource."""
    for side in ("source", "destination"):
        yield "plan", _at(data, (side,))
    objects = _at(data, ("objects",))
    for item in objects.values() if isinstance(objects, dict) else ():
        yield "to", item


def _take_out(data: Any, keys: Keys, code: str, gone: _Gone) -> None:
    """A field of an object gives nothing; anything else goes, and so does all of its list."""
    is_field = keys[0:4:2] == ("objects", "fields") and len(keys) > 3
    unit = keys[:4] if is_field else _whole(keys)
    above = _at(data, unit[:-1])
    if not isinstance(above, dict) or unit[-1] not in above:
        return
    if is_field:
        above[unit[-1]] = "$none"
        gone.fields.add(unit)
        return
    value = above.pop(unit[-1])
    gone.names.update(_named_by(unit, value))
    if len(unit) == 1 and isinstance(value, dict) and "users" not in data:
        gone.names.add("users")  # it may have been meant
    if (code == "wrong-type" or unit[-1] == "each") and _names_things(unit):
        in_object = unit[0] == "objects"
        gone.obscure.update([unit[:2], ("exports",)] if in_object else [()])


def _whole(keys: Keys) -> Keys:
    """A place, or the list that it is in."""
    at = next((at for at, key in enumerate(keys) if isinstance(key, int)), None)
    return keys[:at]


def _named_by(keys: Keys, value: Any) -> Iterator[str]:
    """The names that the rest of a spec may use for what stands in a place."""
    yield str(keys[-1])
    items = value.items() if isinstance(value, dict) else ()
    if keys[0] == "objects" and len(keys) == 2:
        return  # nobody uses what is in an object but itself
    for name, item in items:
        yield name
        yield from item if isinstance(item, dict) else ()
        yield from [item] if name == "name" and isinstance(item, str) else ()


def _names_things(keys: Keys) -> bool:
    """Whether what stands in a place names things that the rest of the spec uses."""
    if keys[0] == "objects":
        return len(keys) == 3 and keys[2] in OF_AN_OBJECT
    return keys[0] in NAMING and len(keys) <= 1 + (keys[0] == "custom_fields")
