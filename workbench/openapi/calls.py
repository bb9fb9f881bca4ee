"""The calls of a document in one form, whatever version it is written in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.config.document import Keys
from workbench.openapi.names import key
from workbench.openapi.reading import Api, Node
from workbench.openapi.schemas import Schema, view

METHODS = ("get", "post", "put", "patch", "delete")
JSON_API = "application/vnd.api+json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
MANY, SHARE = 6, 0.7  # calls, and their share, from which on a head is common
DEEPEST_EXAMPLE = 8  # levels of an example that stands for a schema
_STATUS = re.compile(r"default|[1-5](?:\d\d|[xX]{2})")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a call; `joined` says that a list is sent with commas."""

    name: str
    place: str  # query, header, path
    required: bool
    joined: bool
    schema: Schema
    text: str
    keys: Keys


@dataclass(frozen=True, slots=True)
class Answer:
    """What one status returns; status 0 is every other."""

    status: int
    media: str
    schema: Schema | None
    headers: Mapping[str, str]  # name -> what is said about it
    examples: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One method of one path."""

    method: str
    path: str
    node: Node = field(repr=False)
    parameters: tuple[Parameter, ...] = ()
    media: str = ""  # of the body
    body: Schema | None = None
    answers: tuple[Answer, ...] = ()

    @property
    def name(self) -> str:
        """The call as people write it."""
        return f"{self.method.upper()} {self.path}"

    @property
    def good(self) -> Answer | None:
        """The successful answer that holds most: the first with a body, else the first."""
        found = sorted(
            (one for one in self.answers if 200 <= one.status < 300),
            key=lambda one: (one.schema is None, one.status),
        )
        return (
            found[0]
            if found
            else next((one for one in self.answers if not one.status), None)
        )

    def query(self) -> Iterator[Parameter]:
        """The parameters of the query."""
        return (one for one in self.parameters if one.place == "query")


def calls(api: Api) -> list[Call]:
    """Every call that can be read; what is not a mapping where one belongs is skipped."""
    paths = api.root.at("paths")
    items = [(path, paths.at(path)) for path in paths.names()]
    held = [
        (path, method, item)
        for path, item in items
        for method in METHODS
        if isinstance(item.raw(method).value, dict)
    ]
    return [_call(api, path, method, item) for path, method, item in held]


def _call(api: Api, path: str, method: str, item: Node) -> Call:
    node = item.at(method)
    holders = (item, node)
    both = {
        (one.text("in"), one.text("name")): one
        for holder in holders
        for one in holder.at("parameters").each()
    }
    parameters = tuple(
        _parameter(api, one)
        for (place, name), one in both.items()
        if place in ("query", "header", "path") and name
    )
    media, body = (
        _form_body(node, both)
        if api.swagger
        else _body(node.at("requestBody", "content"))
    )
    codes = node.at("responses")
    answers = tuple(
        _answer(api, node, code, codes.at(code))
        for code in codes.names()
        if _STATUS.fullmatch(code)
    )
    return Call(method, path, node, parameters, media, body, answers)


def _parameter(api: Api, node: Node) -> Parameter:
    inner = node if api.swagger else node.raw("schema")
    if not api.swagger and not inner.value and node.at("content").names():
        inner = node.at("content", node.at("content").names()[0]).raw("schema")
    style = (
        node.value.get("collectionFormat", "csv")
        if api.swagger
        else node.value.get("style", "form")
    )
    exploded = (
        style == "multi"
        if api.swagger
        else node.value.get("explode", style == "form") is not False
    )
    schema = view(inner)
    joined = schema.type != "array" or (
        style in ("csv", "form") and not exploded
    )
    text = node.text("description") or schema.text("description")
    return Parameter(
        node.text("name"),
        node.text("in"),
        node.value.get("required") is True,
        joined,
        schema,
        text,
        node.keys,
    )


def _body(content: Node) -> tuple[str, Schema | None]:
    media = _preferred(content.names())
    return media, view(content.at(media).raw("schema")) if media else None


def _form_body(
    node: Node, both: Mapping[tuple[str, str], Node]
) -> tuple[str, Schema | None]:
    """The body of Swagger 2.0: one parameter, or one for each field of a form."""
    media = _preferred(
        [one for one in _consumed(node, "consumes") if isinstance(one, str)]
    )
    for (place, _), one in both.items():
        if place == "body":
            return media or "application/json", view(one.raw("schema"))
    fields = {
        name: one
        for (place, name), one in both.items()
        if place == "formData" and name
    }
    if not fields:
        return "", None
    required = frozenset(
        name
        for name, one in fields.items()
        if one.value.get("required") is True
    )
    files = any(one.text("type") == "file" for one in fields.values())
    keys = (*node.keys, "parameters")
    return MULTIPART if files or media == MULTIPART else FORM, Schema(
        keys, "object", properties=fields, required=required
    )


def _consumed(node: Node, word: str) -> list[Any]:
    stated = node.at(word).value
    stated = (
        stated if isinstance(stated, list) else node.api.root.at(word).value
    )
    return stated if isinstance(stated, list) else []


def _preferred(medias: tuple[str, ...] | list[str]) -> str:
    """JSON before forms, forms before anything else."""
    plain = {media: media.partition(";")[0].strip().lower() for media in medias}
    for wanted in (
        "application/json",
        JSON_API,
        "+json",
        "json",
        FORM,
        MULTIPART,
    ):
        for media, one in plain.items():
            if one == wanted or (
                wanted in ("+json", "json") and one.endswith(wanted)
            ):
                return media
    return next(iter(plain), "")


def _status(code: str) -> int:
    """The status of `404`, the hundred of `4XX`, 0 for `default`."""
    if code == "default":
        return 0
    return int(code) if code.isdecimal() else int(code[:1]) * 100


def _answer(api: Api, call: Node, code: str, node: Node) -> Answer:
    headers = {
        name.lower(): node.at("headers").at(name).text("description")
        for name in node.at("headers").names()
    }
    status = _status(code)
    if api.swagger:
        has = isinstance(node.value, dict) and isinstance(
            node.value.get("schema"), dict
        )
        medias = [
            one for one in _consumed(call, "produces") if isinstance(one, str)
        ]
        shown = tuple(
            node.at("examples").at(name).value
            for name in node.at("examples").names()
        )
        drawn = view(node.raw("schema")) if has else _by_example(node, shown)
        return Answer(status, _preferred(medias), drawn, headers, shown)
    media = _preferred(node.at("content").names())
    part = node.at("content", media) if media else Node(api, None, node.keys)
    readable = (
        isinstance(part.value, dict)
        and isinstance(part.value.get("schema"), dict)
        and "json" in media.lower()
    )
    more = [
        part.at("examples", name, "value").value
        for name in part.at("examples").names()
    ]
    shown = tuple(
        one for one in (part.at("example").value, *more) if one is not None
    )
    return Answer(
        status,
        media,
        view(part.raw("schema")) if readable else _by_example(part, shown),
        headers,
        shown,
    )


def _by_example(node: Node, shown: tuple[Any, ...]) -> Schema | None:
    """The schema that an example has, where the document draws none."""
    whole = next((one for one in shown if isinstance(one, dict | list)), None)
    return (
        view(Node(node.api, _drawn(whole, 0), (*node.keys, "example")))
        if whole
        else None
    )


def _drawn(value: Any, level: int) -> dict[str, Any]:
    if isinstance(value, dict) and level < DEEPEST_EXAMPLE:
        return {
            "type": "object",
            "properties": {
                str(name): _drawn(one, level + 1) for name, one in value.items()
            },
        }
    if isinstance(value, list):
        return {
            "type": "array",
            "items": (
                _drawn(value[0], level + 1)
                if value and level < DEEPEST_EXAMPLE
                else {}
            ),
        }
    kinds = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
    )
    return {
        "type": next(
            (word for kind, word in kinds if isinstance(value, kind)),
            "object" if isinstance(value, dict) else "string",
        )
    }


def common_head(every: list[Call]) -> str:
    """The start with a place in it that most paths share, such as `/accounts/{account}`; ""
    where there is none.

    What stands there is the account's own, the same in every call, and belongs to the address.
    """
    heads = Counter(
        found[0]
        for call in every
        if (found := re.match(r"(?:/[^{}/]+)*/\{[^{}/]+\}(?=/)", call.path))
    )
    head, many = heads.most_common(1)[0] if heads else ("", 0)
    return head if many >= MANY and many >= SHARE * len(every) else ""


def without_head(every: list[Call], head: str) -> list[Call]:
    """The calls below a head, their paths without it."""
    below = [call for call in every if call.path.startswith(f"{head}/")]
    return (
        [replace(call, path=call.path.removeprefix(head)) for call in below]
        if head
        else every
    )


def find(
    parameters: Iterator[Parameter], words: tuple[str, ...]
) -> Parameter | None:
    """The parameter with the first of these names, style aside."""
    held = list(parameters)
    return next(
        (one for word in words for one in held if key(one.name) == word), None
    )
