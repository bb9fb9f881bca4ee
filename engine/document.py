"""YAML as this project reads and writes it: YAML 1.2 scalars, positions, limits, kept comments.

PyYAML is the only reader and ruamel.yaml the only writer (docs/decisions/0001-yaml.md): the two
disagree on `NO`, `12:30`, `0034600` and `on`, which in a mapping corrupts country codes and
phone prefixes.
"""

from __future__ import annotations

import functools
import io
import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from ruamel.yaml import YAML

from engine.errors import Diagnostic, Place, SpecError, UsageError

MAX_BYTES = 2_000_000
MAX_DEPTH = 40
MAX_NODES = 200_000
MAX_DIGITS = 300
WIDE = 130  # columns that a new line and its remark may take together

_ONCE_BOOLEAN = ("yes", "no", "on", "off", "y", "n")

Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as plain data, with the place of every key and value.

    `aliases` leads from a scalar that stands there by a YAML alias to the one it repeats.
    """

    file: str
    data: Any
    places: dict[Keys, Place]
    lines: tuple[str, ...] = ()
    aliases: Mapping[Keys, Keys] = field(default_factory=dict)

    def place(self, keys: Keys) -> Place:
        """The place of the node at `keys`, or of its nearest ancestor that has one."""
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, Place(self.file, 1, 1))

    def problem(
        self, keys: Keys, problem: str, advice: str = "", severity: Literal["error", "warning"] = "error"
    ) -> Diagnostic:
        """A diagnostic that points at the node at `keys`."""
        return Diagnostic(self.place(keys), dotted(keys), problem, advice, severity)


def dotted(keys: Keys) -> str:
    """`("objects", "clients", 0)` as people write it: `objects.clients[0]`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2 scalars: no sexagesimals, no `yes`, no dates, zeros kept."""


_SCALARS = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "int": (r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    "float": (r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-+0123456789"),
    "merge": (r"^<<$", "<"),
}
_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def read(path: Path, shown_as: str = "") -> Document:
    """Read a YAML file; raises SpecError with the place of what is wrong, UsageError if unreadable."""
    name = shown_as or str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror} – check the path") from None
    if len(raw) > MAX_BYTES:
        raise _refused(name, 1, 1, f"larger than {MAX_BYTES:,} bytes", "split it into several files")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, col = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise _refused(name, line, col, "not UTF-8", "save the file as UTF-8") from None
    return parse(text, name)


def parse(text: str, name: str = "<text>") -> Document:
    """Parse YAML text; raises SpecError with the place of what is wrong."""
    _refuse_deep(text, name)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        builder = _Builder(name)
        data = builder.build(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        advice = "indent with spaces, not tabs" if "'\\t'" in str(error.problem) else "correct the YAML"
        raise _refused(name, line, col, f"not valid YAML: {error.problem}", advice) from None
    except yaml.YAMLError as error:
        raise _refused(name, 1, 1, f"not valid YAML: {error}", "correct the YAML") from None
    except RecursionError:
        raise _refused(name, 1, 1, "nested too deeply", f"at most {MAX_DEPTH} levels") from None
    return Document(name, data, builder.places, tuple(text.splitlines()), builder.aliases)


def scalar(text: str) -> Any:
    """What a plain YAML 1.2 scalar of this text is: true, false, a number, or the text itself."""
    kind = next((tag for tag in ("bool", "int", "float") if re.match(_SCALARS[tag][0], text)), "str")
    try:
        return _plain(kind, text)
    except ValueError:
        return text


def _plain(tag: str, text: str) -> Any:
    """The value of a scalar with a tag; raises ValueError where the text is not of its kind."""
    match tag:
        case "str":
            return text
        case "null" if text.lower() in ("", "~", "null"):
            return None
        case "bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "int" | "float" if len(text) <= MAX_DIGITS and re.match(_SCALARS["float"][0], text):
            number = int(text) if re.match(_SCALARS["int"][0], text) else float(text)
            if math.isfinite(number):
                return number
    raise ValueError(f"{text[:40]!r} is not a usable {tag}")


def _refuse_deep(text: str, name: str) -> None:
    """Stop before the parser recurses: the event stream is flat, so depth is cheap to watch."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    mark = event.start_mark
                    line, col = (mark.line + 1, mark.column + 1) if mark else (1, 1)
                    raise _refused(name, line, col, "nested too deeply", f"at most {MAX_DEPTH} levels")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except (yaml.YAMLError, RecursionError):
        return  # the real parse reports it with its place


def _refused(name: str, line: int, col: int, problem: str, advice: str) -> SpecError:
    return SpecError([Diagnostic(Place(name, line, col), "", problem, advice)])


class _Builder:
    """Nodes to plain data, noting places; refuses duplicate and non-text keys, cycles and bombs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[Keys, Place] = {}
        self.aliases: dict[Keys, Keys] = {}
        self.count = 0
        self.open: set[int] = set()
        self.scalars: dict[int, Keys] = {}  # where each scalar node stood first

    def build(self, node: yaml.Node, keys: Keys) -> Any:
        self.count += 1
        self.places.setdefault(keys, self._place(node))
        if self.count > MAX_NODES:
            raise self._error(node, f"more than {MAX_NODES:,} nodes", "aliases multiply; write less of them")
        if id(node) in self.open:
            raise self._error(node, "an alias that contains itself", "remove the cycle")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, keys)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(child, (*keys, index)) for index, child in enumerate(node.value)]
            first = self.scalars.setdefault(id(node), keys)
            if first != keys:
                self.aliases[keys] = first
            return self._scalar(node)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self._error(key_node, "merge keys (<<) are not part of YAML 1.2", "repeat the keys or use an alias")
            key: Hashable = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if key_node.tag == "tag:yaml.org,2002:null" and key_node.value:
                key = None
            if not isinstance(key, str):
                raise self._error(key_node, f"the key {key_node.value!r} is not text", "put it in quotes")
            if key in result:
                raise self._error(key_node, f"the key {key!r} stands here twice", "keep one of them")
            self.places[(*keys, key)] = self._place(key_node)
            result[key] = self.build(value_node, (*keys, key))
        return result

    def _scalar(self, node: yaml.Node) -> Any:
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        if tag not in ("str", "null", "bool", "int", "float"):
            raise self._error(node, f"the tag !{tag} is not allowed", "remove it; plain YAML only")
        try:
            return _plain(tag, str(node.value))
        except ValueError as error:
            raise self._error(node, str(error), "put it in quotes if it is meant as text") from None

    def _place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self.name, mark.line + 1, mark.column + 1) if mark else Place(self.name, 1, 1)

    def _error(self, node: yaml.Node, problem: str, advice: str) -> SpecError:
        return SpecError([Diagnostic(self._place(node), "", problem, advice)])


# -- writing: lines are added; what stands in the file stays as it is, to the letter


@dataclass(frozen=True, slots=True)
class Insertion:
    """A key to add where it does not stand yet; `live` False writes it commented out."""

    keys: Keys
    value: Any
    comment: str = ""
    live: bool = True


def written(value: Any) -> str:
    """A value on one line of YAML 1.2."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    return _text(value) if isinstance(value, str) else _dumped(value)


@functools.lru_cache(maxsize=4096)
def _text(value: str) -> str:
    """A text, in quotes where a reader of YAML could take it for something else."""
    if value.lower() in _ONCE_BOOLEAN:
        return f'"{value}"'  # readers of YAML 1.1, as in some editors, take them for true and false
    plain = _dumped(value)
    try:
        same = all(parse(template.format(plain)).data == {"k": value} for template in ("{{k: {}}}", "k: {} # remark"))
        same = same and parse(f"{{{plain}: 1}}").data == {value: 1}
    except SpecError:
        same = False
    return plain if same else json.dumps(value, ensure_ascii=False)


def _dumped(value: Any) -> str:
    out, dumper = io.StringIO(), YAML()
    dumper.default_flow_style, dumper.width = True, 1_000_000
    dumper.dump({"k": value}, out)
    return out.getvalue().strip()[len("{k: ") : -1].strip() or "null"


def _key(value: Any) -> str:
    return value if value in _ONCE_BOOLEAN else written(value)


def inserted(text: str, wanted: Sequence[Insertion], name: str = "<text>") -> str:
    """The text with the keys added at the end of the mappings they belong to; keys that stand there already stay.

    Mappings on the way that are missing are made. Nothing that stood in the text is moved or rewritten.
    """
    parse(text, name)  # a text that cannot be read is not written to either
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    lines = text.splitlines()
    edits: dict[tuple[int, int], _Edit] = {}
    for item in wanted if root is not None else ():
        _place(root, item, edits)
    for edit in sorted(edits.values(), key=lambda edit: edit.order, reverse=True):
        edit.apply(lines)
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class _Edit:
    """What is added to one mapping of the text: a tree of new keys, leaves being insertions."""

    line: int  # the lines are put before this one, counted from 0
    column: int  # and their keys begin here
    brace: tuple[int, int] | None = None  # of a mapping in braces: where it closes
    empty: bool = False
    live: bool = True
    order: tuple[int, int] = (0, 0)
    tree: dict[Any, Any] = field(default_factory=dict)

    def add(self, keys: Keys, item: Insertion) -> None:
        tree = self.tree
        for key in keys[:-1]:
            tree = tree.setdefault(key, {})
            if isinstance(tree, Insertion):
                return
        tree.setdefault(keys[-1], item)

    def apply(self, lines: list[str]) -> None:
        if self.brace is None:
            lines[self.line : self.line] = list(_block(self.tree, self.column, self.live))
            return
        line, column = self.brace
        live = [text for text in map(_flow, self.tree, self.tree.values()) if text]
        if live:
            glue = "" if self.empty else ", "
            lines[line] = f"{lines[line][:column]}{glue}{', '.join(live)}{lines[line][column:]}"


def _place(root: yaml.Node | None, item: Insertion, edits: dict[tuple[int, int], _Edit]) -> None:
    """Find the deepest mapping on the way that stands in the text, and note there what is to be added."""
    assert root is not None
    node, above, depth = root, root.start_mark, 0
    while depth < len(item.keys) and isinstance(node, yaml.MappingNode):
        found = next(((key, value) for key, value in node.value if key.value == str(item.keys[depth])), None)
        if found is None:
            edit = edits.setdefault((id(node), above.line), _into(node, above))
            edit.add(item.keys[depth:], item)
            return
        above, node, depth = found[0].start_mark, found[1], depth + 1
    if depth < len(item.keys) and isinstance(node, yaml.ScalarNode) and not node.value:
        below = _Edit(above.line + 1, above.column + 2, order=(above.line + 1, -above.column - 2))
        edits.setdefault((id(node), above.line), below).add(item.keys[depth:], item)


def _into(node: yaml.MappingNode, above: yaml.Mark) -> _Edit:
    if node.start_mark.line < above.line:  # repeated by an alias: what stands there is another's
        return _Edit(above.line + 1, above.column + 2, live=False, order=(above.line + 1, -above.column - 2))
    if node.flow_style:
        end = node.end_mark
        return _Edit(end.line, 0, (end.line, end.column - 1), not node.value, order=(end.line, end.column))
    line = _last_line(node) + 1
    return _Edit(line, node.value[0][0].start_mark.column, order=(line, -node.start_mark.column))


def _last_line(node: yaml.Node) -> int:
    """The last line, counted from 0, that a node's own text stands on."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        key, value = last if isinstance(last, tuple) else (last, last)
        if value.start_mark.line < key.start_mark.line:
            return int(key.end_mark.line)  # an alias
        return max(int(key.end_mark.line), _last_line(value))
    end = node.end_mark
    below = end.column == 0 and end.line > node.start_mark.line
    return int(end.line) - 1 if below else int(end.line)


def _block(tree: Mapping[Any, Any], column: int, live: bool) -> Iterator[str]:
    """Lines of new keys; what is not live is commented out as a whole."""
    pad = " " * column
    for key, inner in tree.items():
        alive = live and _any_live(inner)
        if not alive:
            yield from (f"{pad}# {line}" for line in _entry(key, inner, 0, True))
        else:
            yield from ["", *_entry(key, inner, column, False)] if column == 0 else _entry(key, inner, column, False)


def _entry(key: Any, inner: Any, column: int, dead: bool) -> Iterator[str]:
    pad = " " * column
    if not isinstance(inner, Insertion):
        yield f"{pad}{_key(key)}:"
        for name, item in inner.items():
            yield from _entry(name, item, column + 2, True) if dead else _block({name: item}, column + 2, True)
        return
    line, remark = f"{pad}{_key(key)}: {written(inner.value)}", " ".join(inner.comment.split())
    if remark and not dead and len(line) + len(remark) > WIDE:
        yield f"{pad}# {remark}:"
        remark = ""
    yield f"{line} # {remark}" if remark else line


def _any_live(tree: Any) -> bool:
    return tree.live if isinstance(tree, Insertion) else any(map(_any_live, tree.values()))


def _flow(key: Any, tree: Any) -> str:
    """A new key inside braces, where no comment can stand."""
    data = _plain_tree(tree)
    return f"{_key(key)}: {written(data)}" if data is not None else ""


def _plain_tree(tree: Any) -> Any:
    if isinstance(tree, Insertion):
        return tree.value if tree.live else None
    found = {key: inner for key, value in tree.items() if (inner := _plain_tree(value)) is not None}
    return found or None


# -- writing: ruamel.yaml, which keeps comments


def write(path: Path, data: Any, head: str = "") -> None:
    """Write a YAML file anew, `head` (comments) first; it reads back as the same data."""
    out = io.StringIO()
    out.write(head)
    _writer().dump(data, out)
    _replace(path, out.getvalue(), data, ())


def append(path: Path, key: str, items: list[Any], head: str = "") -> None:
    """Add items to the list at a top-level key of a YAML file; what stands there keeps its comments and layout."""
    if not path.exists():
        write(path, {key: items}, head)
        return
    before = read(path)
    data = {**before.data, key: [*before.data[key], *items]}
    last = before.data[key] and key == list(before.data)[-1] and before.places[key, 0].line > before.places[(key,)].line
    text = path.read_text(encoding="utf-8-sig")
    _replace(path, _lengthened(text, before, key, items) if last else _extended(text, key, items), data, (key,))


def _lengthened(text: str, before: Document, key: str, items: list[Any]) -> str:
    """The text with items added below: nothing that stands in it is touched."""
    out = io.StringIO()
    _writer().dump({key: items}, out)
    dash = before.lines[before.places[key, 0].line - 1].index("-")
    added = out.getvalue().splitlines()[1:]
    return "\n".join([text.rstrip("\n"), *(" " * dash + line[2:] for line in added)]) + "\n"


def _extended(text: str, key: str, items: list[Any]) -> str:
    """The text with items added in the middle, written anew with its comments."""
    writer, out = _writer(), io.StringIO()
    data = writer.load(text)
    data[key].extend(items)
    writer.dump(data, out)
    return out.getvalue()


def _writer() -> Any:
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = 130
    writer.indent(mapping=2, sequence=4, offset=2)
    return writer


def _replace(path: Path, text: str, data: Any, keys: Keys) -> None:
    """Put a text in place of a file, whole or not at all, once it is sure that it says what it should."""
    if parse(text, str(path)).data != data:
        what = dotted(keys) or "the file"
        raise UsageError(f"{path}: {what} cannot be written so that it reads back the same – edit it by hand")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8", newline="\n")
    beside.replace(path)
