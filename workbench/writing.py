"""YAML, written: lines added to an existing file, and new small files; each reads back as what was
asked for.
"""

from __future__ import annotations

import functools
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import structs
from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from engine.config.document import (
    ORDINARY,
    Document,
    Keys,
    dotted,
    parse,
    read,
)
from engine.config.renamed import RENAMED, Renamed
from engine.config.suggestions import suggest
from engine.errors import SpecError, UsageError

WIDE = 130  # columns that a new line and its remark may take together
_ONCE_BOOLEAN = ("yes", "no", "on", "off", "y", "n")


# -- lines are added; what stands in the file stays as it is, to the letter


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
        return (
            "{"
            + ", ".join(
                f"{_key(key)}: {written(item)}" for key, item in value.items()
            )
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    return _text(value) if isinstance(value, str) else _dumped(value)


@functools.lru_cache(maxsize=4096)
def _text(value: str) -> str:
    """A text, in quotes where a reader of YAML could take it for something else."""
    if value.lower() in _ONCE_BOOLEAN:
        # readers of YAML 1.1, as in some editors, take them for true and false
        return f'"{value}"'
    plain = _dumped(value)
    try:
        same = all(
            parse(template.format(plain)).data == {"k": value}
            for template in ("{{k: {}}}", "k: {} # remark")
        )
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


def inserted(
    text: str,
    wanted: Sequence[Insertion],
    name: str = "<text>",
    renamed: tuple[Renamed, ...] = RENAMED,
) -> str:
    """The text with the keys added at the end of the mappings they belong to; keys that stand
    there already stay, also those that stand there by an old name.

    Mappings on the way that are missing are made. Nothing that stood in the text is moved or
    rewritten.
    """
    # a text that cannot be read is not written to either
    old = parse(text, name, structs.replace(ORDINARY, renamed=renamed)).old
    root = YAML(typ="safe", pure=True).compose(text)
    lines = text.splitlines()
    edits: dict[tuple[int, int], _Edit] = {}
    for item in wanted if root is not None else ():
        _place(root, item, old, edits)
    for edit in sorted(
        edits.values(), key=lambda edit: edit.order, reverse=True
    ):
        edit.apply(lines)
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class _Edit:
    """What is added to one mapping of the text: a tree of new keys, leaves being insertions."""

    line: int  # the lines are put before this one, counted from 0
    column: int  # and their keys begin here
    # of a mapping in braces: where it closes
    brace: tuple[int, int] | None = None
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
            lines[self.line : self.line] = list(
                _block(self.tree, self.column, self.live)
            )
            return
        line, column = self.brace
        live = [
            text for text in map(_flow, self.tree, self.tree.values()) if text
        ]
        if live:
            glue = "" if self.empty else ", "
            lines[line] = (
                f"{lines[line][:column]}{glue}{', '.join(live)}{lines[line][column:]}"
            )


def _place(
    root: Node | None,
    item: Insertion,
    old: Mapping[Keys, Renamed],
    edits: dict[tuple[int, int], _Edit],
) -> None:
    """Find the deepest mapping on the way that stands in the text, and note there what is to be
    added.
    """
    assert root is not None
    node, above, depth = root, root.start_mark, 0
    while depth < len(item.keys) and isinstance(node, MappingNode):
        renamed = old.get(item.keys[: depth + 1])
        name = renamed.old if renamed else str(item.keys[depth])
        found = next(
            ((key, value) for key, value in node.value if key.value == name),
            None,
        )
        if found is None:
            edit = edits.setdefault((id(node), above.line), _into(node, above))
            edit.add(item.keys[depth:], item)
            return
        above, node, depth = found[0].start_mark, found[1], depth + 1
    if (
        depth < len(item.keys)
        and isinstance(node, ScalarNode)
        and not node.value
    ):
        below = _Edit(
            above.line + 1,
            above.column + 2,
            order=(above.line + 1, -above.column - 2),
        )
        edits.setdefault((id(node), above.line), below).add(
            item.keys[depth:], item
        )


def _into(node: MappingNode, above: Any) -> _Edit:
    # repeated by an alias: what stands there is another's
    if node.start_mark.line < above.line:
        return _Edit(
            above.line + 1,
            above.column + 2,
            live=False,
            order=(above.line + 1, -above.column - 2),
        )
    if node.flow_style:
        end = node.end_mark
        return _Edit(
            end.line,
            0,
            (end.line, end.column - 1),
            not node.value,
            order=(end.line, end.column),
        )
    line = _last_line(node) + 1
    return _Edit(
        line,
        node.value[0][0].start_mark.column,
        order=(line, -node.start_mark.column),
    )


def _last_line(node: Node) -> int:
    """The last line, counted from 0, that a node's own text stands on."""
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
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
            yield from (
                f"{pad}# {line}" for line in _entry(key, inner, 0, True)
            )
        else:
            yield from (
                ["", *_entry(key, inner, column, False)]
                if column == 0
                else _entry(key, inner, column, False)
            )


def _entry(key: Any, inner: Any, column: int, dead: bool) -> Iterator[str]:
    pad = " " * column
    if not isinstance(inner, Insertion):
        yield f"{pad}{_key(key)}:"
        for name, item in inner.items():
            yield from (
                _entry(name, item, column + 2, True)
                if dead
                else _block({name: item}, column + 2, True)
            )
        return
    line, remark = (
        f"{pad}{_key(key)}: {written(inner.value)}",
        " ".join(inner.comment.split()),
    )
    if remark and not dead and len(line) + len(remark) > WIDE:
        yield f"{pad}# {remark}:"
        remark = ""
    yield f"{line} # {remark}" if remark else line


def _any_live(tree: Any) -> bool:
    return (
        tree.live
        if isinstance(tree, Insertion)
        else any(map(_any_live, tree.values()))
    )


def _flow(key: Any, tree: Any) -> str:
    """A new key inside braces, where no comment can stand."""
    data = _plain_tree(tree)
    return f"{_key(key)}: {written(data)}" if data is not None else ""


def _plain_tree(tree: Any) -> Any:
    if isinstance(tree, Insertion):
        return tree.value if tree.live else None
    found = {
        key: inner
        for key, value in tree.items()
        if (inner := _plain_tree(value)) is not None
    }
    return found or None


# -- whole files, with their comments


def write(path: Path, data: Any, head: str = "") -> None:
    """Write a whole YAML file, `head` (comments) first; it reads back as the same data."""
    out = io.StringIO()
    out.write(head)
    _writer().dump(data, out)
    replace_text(path, out.getvalue(), data, ())


def append(path: Path, key: str, items: list[Any], head: str = "") -> None:
    """Add items to the list at a top-level key of a YAML file; what stands there keeps its
    comments and layout.
    """
    if not path.exists():
        write(path, {key: items}, head)
        return
    before = read(path)
    data = {**before.data, key: [*before.data[key], *items]}
    last = (
        before.data[key]
        and key == list(before.data)[-1]
        and before.places[key, 0].line > before.places[(key,)].line
    )
    text = path.read_text(encoding="utf-8-sig")
    replace_text(
        path,
        _lengthened(text, before, key, items)
        if last
        else _extended(text, key, items),
        data,
        (key,),
    )


def settings_changed(path: Path, values: Mapping[str, Any]) -> str:
    """A spec's text with other values of some of its settings; raises UsageError where it has none
    of that name.
    """
    writer, out = _writer(), io.StringIO()
    data = writer.load(path.read_text(encoding="utf-8-sig"))
    known = data.get("settings", {})
    for name, value in values.items():
        if name not in known:
            raise UsageError(
                f"{path} has no setting {name!r} – {suggest(name, known)}"
            )
        known[name] = value
    writer.dump(data, out)
    return out.getvalue()


def _lengthened(text: str, before: Document, key: str, items: list[Any]) -> str:
    """The text with items added below: nothing that stands in it is touched."""
    out = io.StringIO()
    _writer().dump({key: items}, out)
    dash = text.splitlines()[before.places[key, 0].line - 1].index("-")
    added = out.getvalue().splitlines()[1:]
    return (
        "\n".join(
            [text.rstrip("\n"), *(" " * dash + line[2:] for line in added)]
        )
        + "\n"
    )


def _extended(text: str, key: str, items: list[Any]) -> str:
    """The text with items added in the middle, rewritten with its comments."""
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


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file and its new text, which reads as `data`; `keys` is what was added to it."""

    path: Path
    text: str
    data: Any
    keys: Keys = ()


def replace_text(path: Path, text: str, data: Any, keys: Keys = ()) -> None:
    """Replace a file by a text, completely or not at all; who may read and write it stays.

    Raises UsageError where the text would not read back as `data`; `keys` is what was added to it.
    """
    item = Replacement(path, text, data, keys)
    _check(item)
    _written_beside(item).replace(path.resolve())


def replace_all(items: Sequence[Replacement]) -> None:
    """Replace files as `replace_text` does, none of them before all new texts are on the disk.

    Raises UsageError where that fails; it says which files were replaced in spite of that.
    """
    for item in items:
        _check(item)
    beside = list[Path]()
    done = list[str]()
    try:
        for item in items:
            beside.append(_written_beside(item))
        for item, new in zip(items, beside, strict=True):
            new.replace(item.path.resolve())
            done.append(str(item.path))
    except OSError as error:
        for new in beside[len(done) :]:
            new.unlink(missing_ok=True)
        failed = items[len(done) if len(beside) == len(items) else len(beside)]
        changed = (
            f"only {', '.join(done)} changed" if done else "no file changed"
        )
        raise UsageError(
            f"{failed.path}: cannot be written: {error.strerror or error} – {changed}; see to"
            " this file, then run the same command again"
        ) from None


def _check(item: Replacement) -> None:
    if parse(item.text, str(item.path)).data != item.data:
        what = dotted(item.keys) or "the file"
        raise UsageError(
            f"{item.path}: {what} cannot be written so that it reads back the same – edit it by"
            " hand"
        )


def _written_beside(item: Replacement) -> Path:
    """The new text in a file of its own, beside the one that it is to replace; where it cannot be
    written whole, no file is left. Raises OSError.
    """
    item.path.parent.mkdir(parents=True, exist_ok=True)
    path = item.path.resolve()  # of a link, what it leads to
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(item.text, encoding="utf-8", newline="\n")
        if path.exists():
            shutil.copymode(path, beside)
    except OSError:
        if beside.is_file():
            beside.unlink()
        raise
    return beside


# -- whole files made of blocks, with remarks


@dataclass(frozen=True, slots=True)
class Noted:
    """A value on one line, with a remark behind it and lines of comment above it."""

    value: Any
    remark: str = ""
    above: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Keys below one another; whole numbers as keys make a list."""

    entries: Mapping[str | int, Noted | Block]
    above: tuple[str, ...] = ()

    @property
    def data(self) -> Any:
        """The data, without the comments."""
        plain = {
            key: item.data if isinstance(item, Block) else item.value
            for key, item in self.entries.items()
        }
        return (
            list(plain.values())
            if plain and all(isinstance(key, int) for key in plain)
            else plain
        )


def composed(block: Block, head: Sequence[str] = ()) -> str:
    """A YAML file with its remarks, one line each; raises UsageError where it would not read
    back as the block.
    """
    lines = [*(f"# {line}" for line in head), *_composed(block, 0)]
    text = "\n".join(lines) + "\n"
    if parse(text).data != block.data:
        raise UsageError(
            "the file cannot be written so that it reads back the same – this is an internal error,"
            " please report it"
        )
    return text


def _composed(block: Block, column: int) -> Iterator[str]:
    pad, apart = " " * column, False
    for key, item in block.entries.items():
        if column == 0 and (apart or item.above or isinstance(item, Block)):
            yield ""
        apart = isinstance(item, Block)
        yield from (f"{pad}# {' '.join(line.split())}" for line in item.above)
        name = "-" if isinstance(key, int) else f"{_key(key)}:"
        if isinstance(item, Block) and item.entries:
            yield f"{pad}{name}"
            yield from _composed(item, column + 2)
        else:
            value, remark = (
                ({}, "")
                if isinstance(item, Block)
                else (item.value, " ".join(item.remark.split()))
            )
            line = f"{pad}{name} {written(value)}"
            if remark and len(line) + len(remark) + 3 > WIDE:
                yield f"{pad}# {remark}:"
                remark = ""
            yield f"{line} # {remark}" if remark else line
