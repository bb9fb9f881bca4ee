"""YAML as this project reads and writes it: YAML 1.2 scalars, positions, limits, kept comments.

PyYAML is the only reader and ruamel.yaml the only writer (docs/decisions/0001-yaml.md): the two
disagree on `NO`, `12:30`, `0034600` and `on`, which in a mapping corrupts country codes and
phone prefixes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import yaml

from engine.config.renamed import RENAMED, Renamed
from engine.config.slips import ODD_BLANK, find_slip
from engine.config.suggestions import did_you_mean
from engine.errors import (
    Code,
    Diagnostic,
    Place,
    Severity,
    SpecError,
    UsageError,
)

MAX_BYTES = 2_000_000
MAX_DEPTH = 40
MAX_NODES = 200_000
MAX_DIGITS = 300

Keys = tuple[str | int, ...]
Section = Mapping[str, Any]  # a part of a document, as it is written


class Limits(msgspec.Struct, frozen=True):
    """How large a text may be; `any_keys` accepts keys that are not text, such as a bare 200, as
    they are written; `renamed` are the keys that are read under an old name too.
    """

    bytes: int = MAX_BYTES
    nodes: int = MAX_NODES
    depth: int = MAX_DEPTH
    any_keys: bool = False
    renamed: tuple[Renamed, ...] = RENAMED


ORDINARY = Limits()

# Where libyaml and PyYAML are not of one mind: blanks and breaks they count differently, `[a?]`,
# `|#` and a tag `!`.
_PARTED = re.compile(
    "[\x85\u2028\u2029\ufeff\t?]|[|>][-+0-9]*#|(?<![A-Za-z0-9])!"
)


class Document(msgspec.Struct, frozen=True):
    """A YAML file as plain data, with the place of every key and value.

    `aliases` leads from a node that a YAML alias repeats to where it stands; `old` holds the keys
    that are written by an old name. In the data, and in every place, they have the new one.
    """

    file: str
    data: Any
    places: dict[Keys, Place]
    aliases: Mapping[Keys, Keys] = {}
    old: Mapping[Keys, Renamed] = {}

    def place(self, keys: Keys) -> Place:
        """The place of the node at `keys`, or of its nearest ancestor that has one."""
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, Place(self.file, 1, 1))

    def problem(
        self,
        keys: Keys,
        code: Code,
        problem: str,
        advice: str = "",
        severity: Severity = "error",
    ) -> Diagnostic:
        """A diagnostic that points at the node at `keys`, by the name it has where it stands."""
        first = self.aliases.get(keys, keys)
        if self.place(first) == self.place(keys):
            keys = first
        return Diagnostic(
            self.place(keys), dotted(keys), code, problem, advice, severity
        )


def dotted(keys: Keys) -> str:
    """`("objects", "clients", 0)` as people write it: `objects.clients[0]`."""
    text = "".join(
        f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys
    )
    return text.removeprefix(".")


def several(written: Any, keys: Keys) -> list[tuple[Keys, Any]]:
    """A value, or each of a list of values, with its place."""
    return (
        [((*keys, at), item) for at, item in enumerate(written)]
        if isinstance(written, list)
        else [(keys, written)]
    )


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2 scalars: no sexagesimals, no `yes`, no dates, zeros kept."""

    depth = 0
    deepest = MAX_DEPTH

    def compose_node(
        self, parent: yaml.Node | None, index: Any
    ) -> yaml.Node | None:
        """One node; what is nested too deeply is refused before the parser runs out of stack."""
        if self.depth == self.deepest and self.check_event(
            yaml.SequenceStartEvent, yaml.MappingStartEvent
        ):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _refused(
                self.name,
                mark.line + 1,
                mark.column + 1,
                "too-large",
                "nested too deeply",
                f"at most {self.deepest} levels",
            )
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_SCALARS = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "int": (r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    "float": (
        r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$",
        "-+0123456789",
    ),
    "merge": (r"^<<$", "<"),
}
_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first)
    )


if yaml.__with_libyaml__:

    class _Scanned(yaml.CSafeLoader, _Loader):
        """The same with libyaml's scanner, ten times as fast; its messages differ."""

        get_single_node = yaml.composer.Composer.get_single_node

        def __init__(self, text: str) -> None:
            yaml.CSafeLoader.__init__(self, text)
            yaml.composer.Composer.__init__(self)


def read(path: Path, shown_as: str = "", limits: Limits = ORDINARY) -> Document:
    """Read a YAML file; raises SpecError with the place of what is wrong, UsageError if
    unreadable.
    """
    name = shown_as or str(path)
    return parse(content(path, name, limits), name, limits)


def content(path: Path, name: str, limits: Limits = ORDINARY) -> str:
    """The text of a file, shown as `name`; raises SpecError and UsageError like `read`."""
    try:
        with path.open("rb") as file:
            raw = file.read(limits.bytes + 1)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{name}: cannot be read: {getattr(error, 'strerror', None) or error} –"
            " check the path"
        ) from None
    return decoded(raw, name, limits)


def decoded(raw: bytes, name: str, limits: Limits = ORDINARY) -> str:
    """The text of a file; raises SpecError where it is too large or not UTF-8."""
    if len(raw) > limits.bytes:
        raise _refused(
            name,
            1,
            1,
            "too-large",
            f"larger than {limits.bytes:,} bytes",
            "split it into several files",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, col = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise _refused(
            name,
            line,
            col,
            "unreadable-file",
            "not UTF-8",
            "save the file as UTF-8",
        ) from None


def parse(
    text: str, name: str = "<text>", limits: Limits = ORDINARY
) -> Document:
    """Parse YAML text; raises SpecError with the place of what is wrong."""
    if yaml.__with_libyaml__ and not _PARTED.search(text):
        with suppress(
            yaml.YAMLError, SpecError, ValueError, OverflowError, RecursionError
        ):
            found = _built(_Scanned(text), name, limits)
            if found.data is not None:
                return found
    return _slowly(
        text, name, limits
    )  # what is wrong is said by one reader only


def _built(loader: _Loader, name: str, limits: Limits) -> Document:
    """The document that a loader reads."""
    loader.name, loader.deepest = name, limits.depth
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    builder = _Builder(name, limits)
    data = builder.build(node, ()) if node is not None else None
    return Document(name, data, builder.places, builder.aliases, builder.old)


def _slowly(text: str, name: str, limits: Limits) -> Document:
    """`parse` in pure Python."""
    loader = None
    try:
        loader = _Loader(text)
        return _built(loader, name, limits)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text, name) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        col = error.position - text.rfind("\n", 0, error.position)
        raise _refused(
            name,
            line,
            col,
            "stray-character",
            f"unprintable character {error.character!r}",
            "remove it",
        ) from None
    # a character beyond Unicode, a version of thousands of digits
    except (ValueError, OverflowError):
        mark = loader.get_mark() if loader else None
        line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _refused(
            name,
            line,
            col,
            "bad-syntax",
            "not valid YAML: this number is too large",
            "correct it, or remove it",
        ) from None
    except RecursionError:
        raise _refused(
            name,
            1,
            1,
            "too-large",
            "nested too deeply",
            f"at most {limits.depth} levels",
        ) from None


def _not_yaml(error: yaml.MarkedYAMLError, text: str, name: str) -> SpecError:
    """Where the parser fails; or, further up, the bracket or quote that was left open."""
    mark, problem = error.problem_mark, f"not valid YAML: {error.problem}"
    assert mark is not None
    begun = _left_open(error, text, mark.line)
    advice = "correct the YAML"
    if begun:
        problem = (
            f"not valid YAML: this bracket or quote is never closed; line {mark.line + 1}:"
            f" {error.problem}"
        )
        mark, advice = begun, "close it"
    elif "undefined alias" in problem and (
        near := did_you_mean(
            problem.split("'")[1], re.findall(r"&([\w-]+)", text)
        )
    ):
        problem, advice = "there is no anchor of this name", near
    elif "another document" in str(error.problem):
        problem = "not valid YAML: a second document begins here"
        advice = "remove the line ---; a file holds one document"
    elif slip := find_slip(text.split("\n"), mark.line, _stumbles):
        return _refused(
            name,
            slip.line + 1,
            slip.col + 1,
            "needs-quotes" if slip.quotes else "bad-syntax",
            f"not valid YAML: {slip.meaning}",
            f"write: {slip.corrected.strip()}",
        )
    return _refused(
        name, mark.line + 1, mark.column + 1, "bad-syntax", problem, advice
    )


def _left_open(
    error: yaml.MarkedYAMLError, text: str, line: int
) -> yaml.Mark | None:
    """The bracket or quote above a line that is never closed."""
    begun = _open_quote(text, line)
    if begun is None and str(error.context).startswith("while parsing a flow"):
        begun = error.context_mark
    return begun if begun and begun.line < line else None


def _stumbles(text: str) -> tuple[int, int] | None:
    """Where the parser fails in a text; None where it does not."""
    try:
        for _ in yaml.parse(text, Loader=_Loader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        return (mark.line, mark.column) if mark else (0, 0)
    except (yaml.reader.ReaderError, ValueError, OverflowError, RecursionError):
        return 0, 0
    return None


def _open_quote(text: str, line: int) -> yaml.Mark | None:
    """Where the quoted text begins that spans several lines and ends in this one."""
    try:
        for token in yaml.scan(text, Loader=_Loader):
            begun: yaml.Mark = token.start_mark
            if (
                isinstance(token, yaml.ScalarToken)
                and not token.plain
                and begun.line < token.end_mark.line == line
            ):
                return begun
    except yaml.MarkedYAMLError as error:
        return (
            error.context_mark
            if error.context == "while scanning a quoted scalar"
            else None
        )
    except (ValueError, OverflowError):
        return None
    return None


def scalar(text: str) -> Any:
    """What a plain YAML 1.2 scalar of this text is: true, false, a number, or the text itself."""
    kind = next(
        (
            tag
            for tag in ("bool", "int", "float")
            if re.match(_SCALARS[tag][0], text)
        ),
        "str",
    )
    try:
        return _plain(kind, text)
    except ValueError:
        return text


def _plain(tag: str, text: str) -> Any:
    """The value of a scalar with a tag; raises ValueError where the text is not of that type."""
    match tag:
        case "str":
            return text
        case "null" if text.lower() in ("", "~", "null"):
            return None
        case "bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "int" | "float" if len(text) <= MAX_DIGITS and re.match(
            _SCALARS["float"][0], text
        ):
            number = (
                int(text) if re.match(_SCALARS["int"][0], text) else float(text)
            )
            if math.isfinite(number):
                return number
    raise ValueError(f"{text[:40]!r} is not a valid {tag}")


def _refused(
    name: str, line: int, col: int, code: Code, problem: str, advice: str
) -> SpecError:
    return SpecError(
        [Diagnostic(Place(name, line, col), "", code, problem, advice)]
    )


_TAG = "tag:yaml.org,2002:"
_TAGS = ("str", "null", "bool", "int", "float", "seq", "map")


def _is_left_out(node: yaml.Node) -> bool:
    """Whether a value is missing where one would stand."""
    return (
        isinstance(node, yaml.ScalarNode)
        and node.value == ""
        and not node.style
    )


class _Builder:
    """Nodes to plain data, noting places; refuses duplicate and non-text keys, cycles and bombs."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self.places: dict[Keys, Place] = {}
        self.aliases: dict[Keys, Keys] = {}
        self.old: dict[Keys, Renamed] = {}
        self.count = 0
        self.open: set[int] = set()
        self.first: dict[int, Keys] = {}  # where each node stands

    def build(self, node: yaml.Node, keys: Keys) -> Any:
        self.count += 1
        first = self.first.setdefault(id(node), keys)
        if first != keys:
            self.aliases[keys] = first
        if keys not in self.places:
            self.places[keys] = self.places.get(first) or self._place(node)
        if self.count > self.limits.nodes:
            raise self._error(
                node,
                "too-large",
                f"more than {self.limits.nodes:,} nodes",
                "aliases multiply: use fewer of them",
            )
        if id(node) in self.open:
            raise self._error(
                node,
                "unsafe-yaml",
                "an alias that contains itself",
                "remove the cycle",
            )
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                self._tag(node)
                return self._mapping(node, keys)
            if isinstance(node, yaml.SequenceNode):
                self._tag(node)
                return [
                    self.build(child, (*keys, index))
                    for index, child in enumerate(node.value)
                ]
            return self._scalar(node)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(node, key_node)
            self._spaced(node, key_node, value_node, key)
            key = self._now(keys, key)
            if key in result:
                problem = f"duplicate key {key!r}"
                if item := self.old.get((*keys, key)):
                    problem += f" ({item.old!r} is its old name)"
                raise self._error(
                    key_node, "duplicate-key", problem, "keep one of them"
                )
            self.places[(*keys, key)] = self._place(key_node)
            result[key] = self.build(value_node, (*keys, key))
        return result

    def _now(self, keys: Keys, key: str) -> str:
        """The name that a key of a mapping has now; where that is another, it is noted."""
        for item in self.limits.renamed:
            if item.old == key and re.fullmatch(item.above, dotted(keys)):
                self.old[(*keys, item.new)] = item
                return item.new
        return key

    def _key(self, node: yaml.MappingNode, key_node: yaml.Node) -> str:
        """A key as text; raises SpecError where it is not text."""
        if key_node.tag == "tag:yaml.org,2002:merge":
            raise self._error(
                key_node,
                "unsafe-yaml",
                "merge keys (<<) are not part of YAML 1.2",
                "repeat the keys or use an alias",
            )
        if not isinstance(key_node, yaml.ScalarNode):
            problem = (
                "a key cannot be a mapping; a template (`{{`) needs quotes"
            )
            raise self._error(
                node, "needs-quotes", problem, "put the value in quotes"
            )

        key = self._scalar(key_node)
        if self.limits.any_keys and key is not None:
            key = str(key_node.value)
        if not isinstance(key, str) or (
            key_node.tag == "tag:yaml.org,2002:null" and key_node.value
        ):
            raise self._error(
                key_node,
                "needs-quotes",
                f"the key {key_node.value!r} is not text",
                "put it in quotes",
            )
        return key

    def _spaced(
        self,
        node: yaml.MappingNode,
        key_node: yaml.ScalarNode,
        value_node: yaml.Node,
        key: str,
    ) -> None:
        """Refuse a special space in a key, and a colon that no space follows."""
        if blank := ODD_BLANK.search(key):
            raise self._error(
                key_node,
                "stray-character",
                f"the key {key!r} holds a special space (U+{ord(blank[0]):04X})",
                "type an ordinary space instead",
            )
        bare = (
            node.flow_style and not key_node.style and _is_left_out(value_node)
        )
        if bare and re.fullmatch(r"[\w.-]+:\S+", key):
            raise self._error(
                key_node,
                "bad-syntax",
                "there is no space after the colon",
                f"write: {key.replace(':', ': ', 1)}",
            )

    def _tag(self, node: yaml.Node) -> str:
        tag = node.tag.removeprefix(_TAG)
        if tag not in _TAGS:
            raise self._error(
                node,
                "unsafe-yaml",
                f"the tag !{tag} is not allowed",
                "remove it; plain YAML only",
            )
        return tag

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return _plain(self._tag(node), str(node.value))
        except ValueError as error:
            raise self._error(
                node,
                "needs-quotes",
                str(error),
                "put it in quotes if it is meant as text",
            ) from None

    def _place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        assert mark is not None  # a node of a text stands in it
        return Place(self.name, mark.line + 1, mark.column + 1)

    def _error(
        self, node: yaml.Node, code: Code, problem: str, advice: str
    ) -> SpecError:
        return SpecError(
            [Diagnostic(self._place(node), "", code, problem, advice)]
        )
