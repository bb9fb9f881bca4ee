"""The draft of a connector: everything that was found, in the order of a connector file, with
reasons and questions.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.config.suggestions import did_you_mean
from engine.connector.load import load_connector
from engine.connector.model import Connector
from engine.errors import SpecError, UsageError
from workbench.openapi import auth, errors
from workbench.openapi.calls import Call, calls, common_head, without_head
from workbench.openapi.collections import Collection, Found, collections
from workbench.openapi.fields import Field, known
from workbench.openapi.names import (
    connector_name,
    free,
    key,
    one_line,
    shape_word,
    singular,
    title_of,
    usable,
    variable,
)
from workbench.openapi.reading import Api
from workbench.openapi.resources import VERBS, Resource, resource
from workbench.openapi.words import words
from workbench.writing import Block, Noted, composed

_RELATED = "which fields travel as relationships? (json_api: relationships)"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: the document's name and address, the connector's name, the resources."""

    origin: str
    name: str = ""
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as the text of a file, with what to tell the user about it."""

    name: str
    text: str
    connector: Connector
    inferred: int
    asks: tuple[str, ...]
    left: tuple[tuple[Call, str], ...]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was read of the document, and the resources made of it."""

    api: Api
    name: str
    address: auth.Address
    calls: list[Call]
    costs: str
    resources: list[Resource]


@dataclass(slots=True)
class _Remarks:
    """The remarks given so far; a question stands where it first comes up, and only there."""

    inferred: int = 0
    asked: list[str] = field(default_factory=list)

    def why(self, *reasons: str) -> str:
        """A remark with the reasons; "" where there are none."""
        text = "; ".join(one_line(one, 120) for one in reasons if one)
        self.inferred += bool(text)
        return f"inferred: {text}" if text else ""

    def asks(self, *questions: str) -> tuple[str, ...]:
        """Lines with the questions that were not asked yet."""
        fresh = [
            one
            for one in dict.fromkeys(
                one_line(question, 220) for question in questions if question
            )
            if one not in self.asked
        ]
        self.asked += fresh
        return tuple(f"ask: {one}" for one in fresh)


def draft(api: Api, wish: Wish) -> Draft:
    """Draft a connector; raises UsageError where there is nothing to draft or a name is unknown."""
    title = api.root.text("info", "title")
    name = wish.name or connector_name(title)
    if not name:
        raise UsageError(
            "the document has no title to make a name of – give one with --name"
        )
    all_calls = calls(api)
    head = common_head(all_calls)
    every = without_head(all_calls, head)
    found = collections(every)
    chosen = _chosen(found, wish.only)
    costs = errors.cost_word(every)
    by_path = {one.path: one for one in found.collections}
    names = known(one.name for one in chosen)
    made = [
        resource(one, by_path.get(one.above), names, costs) for one in chosen
    ]
    remarks = _Remarks()
    where = auth.address(api, wish.origin, name, head)
    facts = _Facts(api, name, where, every, costs, made)
    block = Block(dict(_parts(facts, wish, remarks)))
    text = composed(block, _head(api, wish, title))
    connector = loaded(text, name)
    left = tuple(
        (call, why)
        for call, why in found.left
        if call.path != connector.connection.check.path
    )
    return Draft(
        name, text, connector, remarks.inferred, tuple(remarks.asked), left
    )


def loaded(text: str, name: str) -> Connector:
    """The draft as the engine reads it; raises UsageError where it does not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8", newline="\n")
        try:
            return load_connector(path, "the draft")
        except SpecError as error:
            first = error.diagnostics[0]
            raise UsageError(
                f"the draft cannot be read back: {first} – draft less, with --only"
            ) from None


def _chosen(found: Found, only: Sequence[str]) -> list[Collection]:
    """The collections that were asked for, with their parents."""
    held = {one.name: one for one in found.collections}
    if not held:
        raise UsageError(
            "the document has no collection of rows that a connector could read – look at its paths"
        )
    if not only:
        return list(held.values())
    wanted: dict[str, Collection] = {}
    for word in only:
        name = next(
            (one for one in held if one == word or key(one) == key(word)), ""
        )
        if not name:
            advice = (
                did_you_mean(word, held)
                or f"known: {', '.join(sorted(held)[:20])}"
            )
            raise UsageError(
                f"--only: the document has no {one_line(word, 60)!r} – {advice}"
            )
        above = next(
            (one for one in held.values() if one.path == held[name].above), None
        )
        wanted |= {above.name: above} if above else {}
        wanted[name] = held[name]
    return [one for one in held.values() if one.name in wanted]


def _head(api: Api, wish: Wish, title: str) -> list[str]:
    data = api.document.data
    version = one_line(data.get("openapi", data.get("swagger", "")), 20)
    return [
        (
            f"A draft, made by etl connector new from {one_line(wish.origin, 100)}:"
            f" {one_line(title, 80)}, OpenAPI {version}."
        ),
        (
            "Nothing in it was tried against the API. Lines without a remark are what"
            " the document says."
        ),
        (
            '"inferred:" gives the reason for what it does not state outright;'
            ' "ask:" is for you to find out.'
        ),
    ]


def _parts(
    facts: _Facts, wish: Wish, remarks: _Remarks
) -> Iterator[tuple[str | int, Noted | Block]]:
    """Every part of a connector file, in its order."""
    made = facts.resources
    name_why = "" if wish.name else remarks.why("the document's title")
    yield "connector", Noted(facts.name, name_why)
    yield (
        "title",
        Noted(title_of(facts.api.root.text("info", "title")) or facts.name),
    )
    yield "connection", _connection(facts, remarks)
    plans = remarks.asks("which plans are there? any is a placeholder")
    yield "plans", Noted(["any"], above=plans)
    yield "limits", _limits(facts, remarks)
    yield "message", _message(facts.calls, remarks)
    yield "errors", _errors(facts.calls, remarks)

    pagers = _pagers(made)
    yield "pagers", _pager_block(pagers, made, remarks)
    defaults = _defaults(made)
    if defaults:
        default_lines: dict[str | int, Noted | Block] = {
            word: Noted(value, _default_why(word, remarks))
            for word, value in defaults.items()
        }
        yield "defaults", Block(default_lines)

    shapes = _shapes(made)
    if shapes:
        shape_lines: dict[str | int, Noted | Block] = {
            shape: Block(_field_lines(dict(inner), shapes, remarks))
            for inner, shape in shapes.items()
        }
        yield "shapes", Block(shape_lines)

    yield from _special(made, remarks)
    general = remarks.asks(*_general(made))
    entries: dict[str | int, Noted | Block] = {
        one.name: _resource(one, pagers, defaults, shapes, remarks)
        for one in made
    }
    yield "resources", Block(entries, general)


def _message(every: list[Call], remarks: _Remarks) -> Noted:
    """Where an error says what is wrong."""
    said = errors.messages(every)
    if said:
        return Noted(said, remarks.why("the errors of the document"))
    ask = (
        "where does an error say what is wrong? The document describes no error"
    )
    return Noted(said, "", remarks.asks(ask))


def _connection(facts: _Facts, remarks: _Remarks) -> Block:
    where = facts.address
    signed = auth.sign_in(facts.api, facts.calls, facts.name)
    base = {"env": variable(facts.name, "base url"), "production": where.url}
    call, why, asks = _check(facts.calls, facts.resources, facts.costs)
    return Block(
        {
            "base_url": Noted(
                base, remarks.why(where.why), remarks.asks(*where.asks)
            ),
            "auth": Noted(
                signed.auth, remarks.why(signed.why), remarks.asks(*signed.asks)
            ),
            "check": Noted(call, remarks.why(why), remarks.asks(*asks)),
        },
        remarks.asks(
            "how many calls may run at once? Without concurrency: it is 8"
        ),
    )


def _check(
    every: list[Call], made: list[Resource], costs: str
) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """A cheap call that proves the key: one that says who is signed in, else the cheapest list."""
    plain = [
        call
        for call in every
        if call.method == "get"
        and "{" not in call.path
        and _free(call)
        and _signed(call)
    ]
    plain = [
        call
        for call in plain
        if usable(call.path) and not set(call.path) & set("?# ")
    ]
    ends = {
        call.path: key(call.path.rstrip("/").rpartition("/")[2])
        for call in plain
    }
    mine = [
        call
        for call in plain
        if ends[call.path] in words("me") and not _lists(call, made)
    ]
    mine.sort(
        key=lambda call: (words("me").index(ends[call.path]), len(call.path))
    )
    if mine:
        return _checked(mine[0], costs), "it tells who is asking", ()
    plain.sort(
        key=lambda call: (
            not _lists(call, made),
            errors.cost(call, costs) or 0,
            len(call.path),
        )
    )
    if plain:
        why, ask = (
            "no call tells who is asking; this one needs nothing",
            "is there a cheaper call that proves the key?",
        )
        return _checked(plain[0], costs), why, (ask,)
    return (
        {"get": "/"},
        "",
        (
            "which cheap call proves the key? Every call in the document needs parameters",
        ),
    )


def _free(call: Call) -> bool:
    return not any(
        one.required
        for one in call.parameters
        if one.place in ("query", "path")
    )


def _signed(call: Call) -> bool:
    """Whether the call asks for a key: an empty list of ways says that it does not."""
    ways = call.node.raw("security").value
    return not (isinstance(ways, list) and not ways)


def _lists(call: Call, made: list[Resource]) -> bool:
    return any(
        one.calls["list"].call.get("get") == call.path
        for one in made
        if "list" in one.calls
    )


def _checked(call: Call, costs: str) -> dict[str, Any]:
    cost = errors.cost(call, costs)
    return {"get": call.path, **({"cost": cost} if cost is not None else {})}


def _limits(facts: _Facts, remarks: _Remarks) -> Block:
    """Quotas stated in plain figures; nothing where there are none: an invented figure is worse
    than none.
    """
    costs, headers = facts.costs, errors.quota_headers(facts.calls)
    asks = [
        "what does the platform allow, by plan, and does the figure hold for the key,"
        " the user or the account?"
    ]
    if costs:
        asks.append(
            f"calls have a cost ({costs}): how much of it is there a day, and is it for each seat?"
        )
    if headers:
        names = ", ".join(headers.values())
        asks.append(f"the answers have the headers {names}: of which limit?")
    found = errors.quotas(facts.api)
    entries: dict[str | int, Noted | Block] = {}
    for window, (amount, seconds, said) in found.items():
        limit = {
            "unit": "calls",
            "per": seconds,
            "window": "rolling",
            "amount": {"*": amount},
        }
        limit |= {"headers": headers} if headers and len(found) == 1 else {}
        entries[window] = Noted(limit, remarks.why(f"info description: {said}"))
    return Block(entries, remarks.asks(*asks))


def _errors(every: list[Call], remarks: _Remarks) -> Block:
    found = errors.rules(every)
    return Block(
        {
            at: Noted(one.rule, remarks.why(one.why), remarks.asks(one.ask))
            for at, one in enumerate(found)
        }
    )


def _frozen(data: Any) -> Any:
    return (
        tuple((name, _frozen(value)) for name, value in data.items())
        if isinstance(data, Mapping)
        else data
    )


def _pagers(made: list[Resource]) -> dict[Any, str]:
    """A name for each way of walking a list: the kind, and where that is not enough the page's
    size.
    """
    names: dict[Any, str] = {}
    for one in made:
        pager = _frozen(one.pager)
        if one.pager and pager not in names:
            kind = (
                "all"
                if one.pager["kind"] == "single"
                else str(one.pager["kind"])
            )
            sized = (
                f"{kind}_{one.pager['size']}"
                if kind in names.values() and "limit" in one.pager
                else kind
            )
            names[pager] = free(sized, names.values())
    return names


def _pager_block(
    pagers: Mapping[Any, str], made: list[Resource], remarks: _Remarks
) -> Block:
    entries: dict[str | int, Noted | Block] = {}
    for pager, name in pagers.items():
        one = next(item for item in made if _frozen(item.pager) == pager)
        many = sum(_frozen(item.pager) == pager for item in made)
        asks = tuple(
            f"{ask} ({one.name}{f' and {many - 1} more' if many > 1 else ''})"
            for ask in one.pager_asks
        )
        entries[name] = Noted(
            one.pager,
            remarks.why(f"{one.pager_why}, first in {one.name}"),
            remarks.asks(*asks),
        )
    return Block(entries)


def _defaults(made: list[Resource]) -> dict[str, str]:
    """What holds for all of them: where rows stand, and the stamps that every resource has."""
    selects = {select for one in made for select in one.selects.values()}
    found = {"select": selects.pop()} if len(selects) == 1 else {}
    for which in ("modified", "created"):
        stamps = {one.stamp(which) for one in made}
        found |= {which: stamps.pop()} if len(stamps) == 1 else {}
    return {word: value for word, value in found.items() if value}


def _default_why(word: str, remarks: _Remarks) -> str:
    return "" if word == "select" else remarks.why("its name")


Shapes = Mapping[tuple[tuple[str, Field], ...], str]


def _shapes(made: list[Resource]) -> dict[tuple[tuple[str, Field], ...], str]:
    """A name for each group of fields that stands inside another field."""
    found: dict[tuple[tuple[str, Field], ...], str] = {}

    def add(name: str, one: Field, above: str) -> None:
        for inner, item in one.inner:
            add(inner, item, name)
        if one.inner and one.inner not in found:
            short = shape_word(singular(name))
            wanted = (
                short
                if short not in found.values()
                else shape_word(singular(above), singular(name))
            )
            found[one.inner] = free(wanted, found.values())

    for resource_ in made:
        for name, one in resource_.fields.items():
            add(name, one, resource_.name)
    return found


def _field_lines(
    held: Mapping[str, Field], shapes: Shapes, remarks: _Remarks
) -> dict[str | int, Noted | Block]:
    return {
        name: Noted(
            _field(one, shapes), remarks.why(*one.why), remarks.asks(one.ask)
        )
        for name, one in held.items()
    }


def _field(one: Field, shapes: Shapes) -> Any:
    kind = one.kind
    if one.to:
        kind += f" {'|'.join(one.to)}"
    elif one.inner:
        kind += f" {shapes[one.inner]}"
    more: dict[str, Any] = {"required": True} if one.required else {}
    more |= {} if one.writable else {"writable": False}
    more |= {"max": one.max} if one.max else {}
    more |= {"one_of": list(one.one_of)} if one.one_of else {}
    more |= {"empty": one.empty} if one.empty else {}
    return {"type": kind, **more} if more else kind


def _special(
    made: list[Resource], remarks: _Remarks
) -> Iterator[tuple[str | int, Noted | Block]]:
    """The people and the pipelines, where resources look like them."""
    by_key = {key(one.name): one for one in made}
    people = next(
        (
            by_key[word]
            for word in words("people")
            if word in by_key and _named(by_key[word], "email", "emailaddress")
        ),
        None,
    )
    if people is not None:
        active, name = (
            _named(people, "active", "isactive", "activeflag", "enabled"),
            _named(people, "name", "fullname", "displayname"),
        )
        users = {
            "resource": people.name,
            "email": _named(people, "email", "emailaddress"),
        }
        users |= ({"active": active} if active else {}) | (
            {"name": name} if name else {}
        )
        yield "users", Noted(users, remarks.why("their names"))
    pipes, stages = by_key.get("pipelines"), by_key.get("stages")
    parent = (
        next(
            (
                name
                for name, one in stages.fields.items()
                if pipes and one.to == (pipes.name,)
            ),
            "",
        )
        if stages
        else ""
    )
    if (
        pipes
        and stages
        and parent
        and "name" in pipes.fields
        and "name" in stages.fields
    ):
        told_so = {
            "resource": pipes.name,
            "name": "name",
            "stages": stages.name,
            "stage_name": "name",
            "parent": parent,
        }
        yield "pipelines", Noted(told_so, remarks.why("their names"))


def _named(one: Resource, *words: str) -> str:
    return next(
        (
            name
            for word in words
            for name, item in one.fields.items()
            if key(name) == word and item.kind in ("text", "boolean")
        ),
        "",
    )


def _general(made: list[Resource]) -> Iterable[str]:
    """Questions about all resources at once."""
    custom = sorted(
        {
            name
            for one in made
            for name in one.fields
            if key(name) in words("custom")
        }
    )
    definitions = [one.name for one in made if key(one.name).endswith("fields")]
    seen = (
        f"; the document has {one_line(', '.join([*custom, *definitions][:6]), 80)}"
        if custom or definitions
        else ""
    )
    yield (
        "are there custom fields, where do their values stand, which rows define them?"
        f" (custom_fields){seen}"
    )
    if any("create" in one.calls for one in made):
        yield (
            "which fields tell rows of ours apart where no custom field holds our key? (recognise)"
        )
    if not all(one.stamp("modified") for one in made):
        lacking = [one.name for one in made if not one.stamp("modified")]
        names = one_line(", ".join(lacking), 120)
        yield f"which field moves with every change in {names}? (modified)"
    if any(one.stamp("modified") for one in made):
        yield "does the field of modified move with every change, or only with some?"
    if any(
        call.call.get("post") for one in made for call in one.calls.values()
    ):
        yield (
            "how does an update empty a field: null, an empty list, not at all? (empty;"
            " drafted where the document allows null)"
        )


def _resource(
    one: Resource,
    pagers: Mapping[Any, str],
    defaults: Mapping[str, str],
    shapes: Shapes,
    remarks: _Remarks,
) -> Block:
    entries: dict[str | int, Noted | Block] = {}
    if one.id != "id":
        entries["id"] = Noted(one.id, remarks.why(one.id_why))
    for which in ("modified", "created", "deleted"):
        found = one.stamp(which)
        if found and which not in defaults:
            entries[which] = Noted(found, remarks.why("its name"))
    if one.fields:
        entries["fields"] = Block(_field_lines(one.fields, shapes, remarks))
    if one.json_api:
        entries["json_api"] = Noted(
            {"type": one.json_api},
            remarks.why("type and attributes in the row"),
            remarks.asks(_RELATED),
        )
    if one.file:
        entries["file"] = Noted(one.file, remarks.why("their names"))
    for verb in VERBS:
        if verb in one.calls:
            entries[verb] = _call(verb, one, pagers, defaults, remarks)
    return Block(
        entries, (*remarks.asks(*(f"{ask} ({one.name})" for ask in one.asks)),)
    )


def _call(
    verb: str,
    one: Resource,
    pagers: Mapping[Any, str],
    defaults: Mapping[str, str],
    remarks: _Remarks,
) -> Noted:
    written = one.calls[verb]
    data = dict(written.call)
    if verb == "list" and one.pager:
        data["pager"] = pagers[_frozen(one.pager)]
    if one.selects.get(verb) and "select" not in defaults:
        data["select"] = one.selects[verb]
    return Noted(data, remarks.why(*written.why), remarks.asks(*written.asks))


def counted(left: Iterable[tuple[Call, str]]) -> list[tuple[str, int, str]]:
    """The reasons for which calls were left out, with how many and the first of them."""
    held = [(call.name, why) for call, why in left]
    needing = [
        (
            (f"{name} {why}", "needs a parameter")
            if why.startswith("needs ")
            else (name, why)
        )
        for name, why in held
    ]
    first = {why: name for name, why in reversed(needing)}
    return [
        (why, many, one_line(first[why], 90))
        for why, many in Counter(why for _, why in needing).most_common()
    ]
