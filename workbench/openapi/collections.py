"""Collections out of paths: `/orders` with `/orders/{id}`, and `/orders/{id}/lines` below it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from workbench.openapi import envelopes
from workbench.openapi.calls import Call, Parameter
from workbench.openapi.names import (
    free,
    key,
    one_line,
    resource_word,
    singular,
    usable,
)
from workbench.openapi.words import words

_ITEM = re.compile(r"\{([^{}/]+)\}(\.\w+)?")
_PLACE = re.compile(r"\{[^{}/]+\}")
_PATH = re.compile(r"/[^\s?#]*")
_VERSION = re.compile(r"v?\d+(\.\d+)*|api|rest", re.IGNORECASE)
_ENDING = re.compile(r"\.(?:json|xml)$")
_UPDATES = ("patch", "put", "post")


@dataclass(frozen=True, slots=True)
class Collection:
    """Rows and the calls on them, by our verbs. `above` is the collection in whose rows' paths
    it stands.
    """

    name: str
    path: str
    calls: Mapping[str, Call] = field(default_factory=dict)
    item: str = ""  # the path's name for the row's id
    above: str = ""
    place: str = ""  # the path's name for the id of the row above
    of_many: Parameter | None = None  # the list takes the ids of rows above
    needs: str = ""  # what a list that is left out asks for


@dataclass(frozen=True, slots=True)
class Found:
    """The collections of a document, and the calls that are none, each with the reason."""

    collections: tuple[Collection, ...]
    left: tuple[tuple[Call, str], ...]


def collections(calls: Iterable[Call]) -> Found:
    """Every collection that a connector can express."""
    table: dict[str, dict[str, Call]] = {}
    left: list[tuple[Call, str]] = []
    for call in calls:
        if _PATH.fullmatch(call.path) and call.path.isprintable():
            table.setdefault(call.path.rstrip("/"), {}).setdefault(
                call.method, call
            )
        else:
            left.append((call, "its path cannot be written in a connector"))
    plain = {
        path: one
        for path in _candidates(table)
        if _places(path) == 0 and (one := _collection(path, table))
    }
    nested = dict(_nested(table, plain))
    kept = [
        one
        for one in _joined(plain, nested)
        if {"list", "create"} & set(one.calls)
    ]
    listed = {one.path for one in kept if "list" in one.calls and not one.above}
    named = _named(
        [one for one in kept if not one.above or one.above in listed]
    )
    used = {
        (call.method, call.path) for one in named for call in one.calls.values()
    }
    every = [call for methods in table.values() for call in methods.values()]
    left += [
        (call, _reason(call))
        for call in every
        if (call.method, call.path) not in used
    ]
    return Found(tuple(named), tuple(left))


def _candidates(table: Mapping[str, Mapping[str, Call]]) -> list[str]:
    """Paths that may be a collection's: those that end in a word, and those above an item."""
    found = dict.fromkeys(
        path
        for path in table
        if path and not _ITEM.fullmatch(_last(path)) and "{" not in _last(path)
    )
    for path in table:
        if (
            _ITEM.fullmatch(_last(path))
            and (above := path.rpartition("/")[0])
            and "{" not in _last(above)
        ):
            found.setdefault(
                next(
                    (one for one in found if _ENDING.sub("", one) == above),
                    above,
                )
            )
    return list(found)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _places(path: str) -> int:
    return len(_PLACE.findall(path))


def _collection(
    path: str, table: Mapping[str, Mapping[str, Call]]
) -> Collection | None:
    """The collection at a path, if there is one: rows to list, or rows to read by id."""
    own, word = table.get(path, {}), resource_word(_last(path))
    if not word or word.isdecimal():
        return None
    items = [
        one
        for one in table
        if one.rpartition("/")[0] == _ENDING.sub("", path)
        and _ITEM.fullmatch(_last(one))
    ]
    items.sort(key=lambda one: -len(table[one]))
    calls: dict[str, Call] = {}
    listed, needs = own.get("get"), ""
    if listed is not None and (
        envelopes.rows(listed.good, word) or (items and _undrawn(listed))
    ):
        needs = ", ".join(one_line(one, 40) for one in _needs(listed)[:3])
        calls |= {} if needs else {"list": listed}
    if "post" in own:
        calls["create"] = own["post"]
    item = items[0] if items else ""
    on_item = {
        method: call
        for path in reversed(items)
        for method, call in table[path].items()
    }
    calls |= {
        verb: on_item[method]
        for verb, method in (("read", "get"), ("delete", "delete"))
        if method in on_item
    }
    options = {
        method: call
        for path in items
        for method, call in table.get(f"{path}/options", {}).items()
    }
    if "create" in calls:  # the options of a field that people defined
        both = (("add_options", "post"), ("remove_options", "delete"))
        calls |= {
            verb: options[method] for verb, method in both if method in options
        }
    update = next((method for method in _UPDATES if method in on_item), None)
    calls |= {"update": on_item[update]} if update else {}
    found = _ITEM.fullmatch(_last(item)) if item else None
    if "list" not in calls and "read" not in calls:
        return None
    return Collection(word, path, calls, found[1] if found else "", needs=needs)


def _undrawn(call: Call) -> bool:
    """Whether the document says nothing about what a call answers."""
    return call.good is None or call.good.schema is None


def _needs(call: Call) -> list[str]:
    """Parameters without which a list is refused, and which nothing fills in."""
    given = {
        *words("limit"),
        *words("offset"),
        *words("page"),
        *words("cursor"),
    }
    return [
        one.name
        for one in call.query()
        if one.required
        and key(one.name) not in given
        and "default" not in one.schema.said
    ]


def _nested(
    table: Mapping[str, Mapping[str, Call]], plain: Mapping[str, Collection]
) -> Iterator[tuple[str, Collection]]:
    """Collections below one row of another."""
    for path in _candidates(table):
        if _places(path) != 1:
            continue
        found = re.fullmatch(r"(/.+)/\{([^{}/]+)\}((?:/[^{}/]+)+)", path)
        above = next(
            (
                one
                for one in plain
                if found and _ENDING.sub("", one) == found[1]
            ),
            "",
        )
        one = _collection(path, table) if above else None
        if found and one:
            many = table.get(f"{found[1]}{found[3]}", {}).get("get")
            yield (
                path,
                _of_many(
                    replace(one, above=above, place=found[2]),
                    many,
                    plain[above],
                ),
            )


def _of_many(
    one: Collection, many: Call | None, above: Collection
) -> Collection:
    """With the list that takes the ids of several rows above, where there is one."""
    wanted = f"{key(singular(above.name))}ids"
    held = many.query() if many else iter(())
    given = next(
        (
            item
            for item in held
            if key(item.name) == wanted and item.joined and usable(item.name)
        ),
        None,
    )
    if (
        many is None
        or given is None
        or _needs(many) not in ([], [given.name])
        or not envelopes.rows(many.good, one.name)
    ):
        return one
    return replace(one, calls={**one.calls, "list": many}, of_many=given)


def _joined(
    plain: Mapping[str, Collection], nested: Mapping[str, Collection]
) -> Iterator[Collection]:
    """All of them: a list below a row is merged into the collection whose rows are read and written
    elsewhere.
    """
    taken: set[str] = set()
    many = {
        one.calls["list"].path.rstrip("/")
        for one in nested.values()
        if one.of_many
    }
    for path, one in plain.items():
        if path in many and "read" not in one.calls:
            continue
        same = (
            below
            for below in nested.values()
            if _last(below.path) == _last(path) and below.above != path
        )
        lists = [below for below in same if "list" in below.calls]
        if (
            "list" not in one.calls
            and len(lists) == 1
            and set(lists[0].calls) == {"list"}
        ):
            taken.add(lists[0].path)
            yield replace(
                one,
                calls={**one.calls, "list": lists[0].calls["list"]},
                above=lists[0].above,
                place=lists[0].place,
            )
        else:
            yield one
    yield from (
        one
        for path, one in nested.items()
        if path not in taken and path not in plain
    )


def _named(found: list[Collection]) -> list[Collection]:
    """Each with a name of its own: the path's last word, before it the collection above where it
    stands below one.
    """
    called = {one.path: one.name for one in found}
    done: dict[str, Collection] = {}
    for one in sorted(
        found, key=lambda item: (bool(item.above), item.path.count("/"))
    ):
        base = next(
            (
                other
                for other in called
                if other != one.path and one.path.startswith(f"{other}/")
            ),
            "",
        )
        above = (
            singular(called[one.above]) if one.above else called.get(base, "")
        )
        name = (
            f"{above}_{one.name}"
            if above and not _stands_alone(one)
            else one.name
        )
        parts = [
            resource_word(part)
            for part in one.path.split("/")
            if part and "{" not in part and not _VERSION.fullmatch(part)
        ]
        name = (
            name
            if name not in done
            and not (name.lower() in words("adverbs") and len(parts) > 1)
            else "_".join(parts)
        )
        done[free(name, done)] = one
    return [
        replace(one, name=name)
        for name, one in sorted(
            done.items(), key=lambda item: found.index(item[1])
        )
    ]


def _stands_alone(one: Collection) -> bool:
    return bool(one.above) and _places(one.path) == 0


def _reason(call: Call) -> str:
    if _places(call.path) > 1 + bool(_ITEM.fullmatch(_last(call.path))):
        return "below more than one row"
    if _places(call.path) == 1 + bool(_ITEM.fullmatch(_last(call.path))) or (
        _places(call.path) and not _ITEM.fullmatch(_last(call.path))
    ):
        return (
            "below rows that are not listed, or no list of rows in its answer"
        )
    needs = _needs(call) if call.method == "get" else []
    if needs:
        return f"needs {', '.join(needs[:3])}"
    return (
        "no list of rows in its answer"
        if call.method == "get"
        else "no collection of its own"
    )


def below(
    one: Collection, call: Call, verb: str, id_place: str, parent_place: str
) -> str:
    """A call's path with our names for the ids in it: the row's own where it ends, before it
    that of the row above.
    """
    head, _, tail = call.path.rpartition("/")
    if verb.endswith("_options"):
        head, tail = head.rpartition("/")[0], f"{{{id_place}}}/options"
    if one.item and _ITEM.fullmatch(tail):
        tail = _PLACE.sub(f"{{{id_place}}}", tail)
    return f"{_PLACE.sub(f'{{{parent_place}}}', head)}/{tail}"
