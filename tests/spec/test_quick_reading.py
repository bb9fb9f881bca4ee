"""The fast ways to read and to check a file say what the thorough ones say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.config.conforms import _KNOWN, _NOTES, Unsure, compiled
from engine.config.document import Document, parse
from engine.config.validation import check_shape
from engine.connector.load import _ORDINARY
from engine.connector.urls import url_of
from engine.errors import SpecError

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    path
    for folder in ("specs", "connectors", "tests/spec", "tests/workbench", "workbench")
    for path in sorted((ROOT / folder).rglob("*.yaml"))
]
SHIPPED = [*(ROOT / "connectors").glob("*.yaml"), *(ROOT / "specs").glob("*.yaml")]
SCHEMAS = ("spec", "connector", "cases", "approval")

# What YAML's readers may differ over: indicators, breaks, escapes, anchors, tags, directives, blocks.
PIECES = [
    *" \n:-?[]{}#&*!|>'\"%@`,.~<\\/=01aAé\r\0\x7f\x1b\t\x85\u00a0\u2028\ufeff\U0001f600",
    "\r\n", "- ", "? ", ": ", "--- ", "---\n", "...\n", "%YAML 1.1\n---\n", "%TAG ! x\n---\n", "&a ", "*a", "!!str ", "!x ",
    "! ", "!<a> ", "|\n", ">-\n", "|2\n", "|+\n", "|#", '"\\x41"', '"\\U00110000"', '"\\\n', "''", "[a:b, ?c]", "{a?: 1}",
    '{"a":1}', "{a,b: }", " #x", "a#b", "? a\n: b\n", "<<", "- - a\n", "!!map {}", "[[[[", '"a"b', "k: 'a\n\n b'\n",
    "[" * 41 + "]" * 41, "k: a\n  b\n\n  c\n", "k: >\n a\n\n  b\n c\n",
]  # fmt: skip


# What JSON's rules and Python's may differ over.
ODD: list[Any] = [
    None, True, False, 0, 1, 2, -1, 1.0, 1.5, 0.0, "", "a", "ab", "1", [], [1], [1, 1], [1, True], [1, 1.0], ["a", "a"], ["a", "b"],
    [{}, {}], [[]], {}, {"a": 1}, {"b": 1}, {"a": 1, "b": 2}, {"a": True}, {"ab": 1, "c": []}, {"a": "a", "c": None},
]  # fmt: skip
TEXT: Mapping[str, Any] = {"type": "string"}
RULES: list[Mapping[str, Any]] = [
    *({"type": kind} for kind in ("string", "integer", "number", "boolean", "array", "object", "null")),
    {"type": ["string", "integer", "boolean"]}, {"type": ["number", "null"]}, {"enum": ["a", "1"]}, {"const": "a"}, {"pattern": "^a"},
    {"minLength": 1}, {"minItems": 1}, {"minProperties": 1}, {"maxProperties": 1}, {"minimum": 1}, {"maximum": 1},
    {"exclusiveMinimum": 1}, {"required": ["a"]}, {"required": ["a", "b"]}, {"dependentRequired": {"a": ["b"]}},
    {"dependentSchemas": {"a": {"minProperties": 2}}}, {"properties": {"a": TEXT}}, {"additionalProperties": False},
    {"additionalProperties": TEXT}, {"properties": {"a": {}}, "additionalProperties": False},
    {"properties": {"a": TEXT}, "additionalProperties": {"type": "array"}}, {"propertyNames": {"pattern": "^a"}}, {"items": TEXT},
    {"items": False}, {"uniqueItems": True}, {"anyOf": [TEXT, {"minItems": 2}]}, {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    {"oneOf": [TEXT, {"minLength": 1}, {"type": "integer"}]}, {"not": TEXT}, {"not": {"required": ["a"]}}, {"if": TEXT, "then": {"minLength": 1}},
    {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"minProperties": 1}}, {"if": TEXT, "else": False},
    {"$ref": "#/$defs/t", "minLength": 1, "$defs": {"t": TEXT}},
    {"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [TEXT, {"type": "array", "items": {"$ref": "#/$defs/t"}}]}}},
]  # fmt: skip


@cache
def texts() -> tuple[str, ...]:
    """The YAML of the repository that is quickly read."""
    found = [path.read_text(encoding="utf-8") for path in FILES]
    return tuple(text for text in found if len(text) < 100_000)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Some lines of a file, with pieces put in and taken out."""
    lines = draw(st.sampled_from(texts())).split("\n")
    start = draw(st.integers(0, len(lines) - 1))
    text = "\n".join(lines[start : start + draw(st.integers(0, 20))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(PIECES)) + text[at + draw(st.integers(0, 2)) :]
    return text


def outcome(text: str, quick: bool) -> Any:
    """The document in all its parts and their order, or what is said of the text."""
    with pytest.MonkeyPatch.context() as patch:
        if not quick:
            patch.setattr(yaml, "__with_libyaml__", False)
        try:
            found = parse(text, "x.yaml")
        except SpecError as error:
            return str(error)
    return repr(found.data), list(found.places.items()), dict(found.aliases)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_the_same_with_and_without_libyaml(path: Path) -> None:
    """Data, places, aliases and messages do not depend on how PyYAML was built."""
    text = path.read_text(encoding="utf-8")
    assert outcome(text, quick=True) == outcome(text, quick=False)


@settings(max_examples=400)
@given(mutated())
def test_any_text_is_the_same_with_and_without_libyaml(text: str) -> None:
    """Where the two scanners are not of one mind, the slow one is asked."""
    assert outcome(text, quick=True) == outcome(text, quick=False)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_read_and_checked_fast(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They need neither the scanner in Python nor the whole validator."""

    def slow(*_: Any) -> Document:
        raise AssertionError("the slow way")

    monkeypatch.setattr("engine.config.document._slowly", slow)
    monkeypatch.setattr("engine.config.validation._validator", slow)
    kind = "connector" if path.parent.name == "connectors" else "spec"
    assert check_shape(parse(path.read_text(encoding="utf-8")), "cases" if ".test" in path.name else kind) == []


def test_many_brackets_cost_no_more_than_a_message() -> None:
    """A text nested beyond the limit is refused before any scanner runs out of stack."""
    for text in ("[" * 200_000, "[" * 41 + "]" * 41, "- " * 41, "{a: " * 41 + "1" + "}" * 41):
        assert "nested too deeply" in outcome(text, quick=True) == outcome(text, quick=False)
    text = "[" * 40 + "]" * 40
    assert outcome(text, quick=True) == outcome(text, quick=False) != ""


def parts(value: Any) -> Iterator[Any]:
    """A value and everything in it, keys too."""
    yield value
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield key
        yield from parts(item)


@cache
def schema(name: str) -> Mapping[str, Any]:
    """One of the schemas."""
    data: dict[str, Any] = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    return data


@cache
def definitions() -> list[tuple[Callable[[Any], bool], Draft202012Validator]]:
    """Every schema whole, and each of its definitions by itself: the check and the validator."""
    found = [schema(name) for name in SCHEMAS]
    inner = [{"$ref": f"#/$defs/{name}", "$defs": whole["$defs"]} for whole in found for name in whole.get("$defs", {})]
    return [(compiled(part), Draft202012Validator(part)) for part in (*found, *inner)]


@cache
def values() -> list[Any]:
    """What stands in the repository's files, words of the schemas, and what JSON's rules and Python's differ over."""
    words = [word for name in SCHEMAS for part in parts(schema(name)) if isinstance(part, dict) for word in part.get("properties", ())]
    written = [yaml.safe_load(text) for path, text in zip(FILES, texts(), strict=False) if path.parent.name == "shape"]
    shipped = [parse(path.read_text(encoding="utf-8")).data for path in SHIPPED if ".test" not in path.name]
    inner = [part for whole in (*written, *shipped) for part in parts(whole)]
    return [*ODD, *dict.fromkeys(words), *(part for part in inner if len(str(part)) < 2000)]


@cache
def fitting(at: int) -> list[Any]:
    """Some values that a definition takes."""
    check, _ = definitions()[at]

    def fits(value: Any) -> bool:
        try:
            return check(value)
        except Unsure:
            return False

    return [value for value in values() if fits(value)][:300] or [{}]


def changed(draw: st.DrawFn, value: Any) -> Any:
    """A value of which one part is another."""
    other = draw(st.sampled_from(values()))
    if isinstance(value, dict) and draw(st.booleans()):
        keys = [*value, "zzz", *(key for key in (other,) if isinstance(key, str))]
        key = draw(st.sampled_from(keys))
        return {**value, key: changed(draw, value[key]) if key in value else other}
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], changed(draw, value[at]), *value[at + 1 :], *value[: draw(st.integers(0, 1))]]
    return other


@pytest.mark.parametrize("rule", RULES, ids=json.dumps)
def test_each_keyword_is_the_validators(rule: Mapping[str, Any]) -> None:
    """A rule of JSON Schema by itself, on every kind of value: where the check says anything, it says the same."""
    check, validator = compiled(rule), Draft202012Validator(rule)
    for value in ODD:
        try:
            found = check(value)
        except Unsure:
            continue
        assert found == validator.is_valid(value), value


def test_no_keyword_of_the_schemas_is_left_out() -> None:
    """Every rule that is compiled has been tried by itself."""
    assert {word for rule in RULES for word in rule} >= _KNOWN - _NOTES


@settings(max_examples=80)
@given(st.data())
def test_yes_and_no_are_the_validators(data: st.DataObject) -> None:
    """Of a definition and any value, the compiled check says what JSON Schema says, or that it is unsure."""
    same_verdict(data)


@pytest.mark.chaos
@settings(max_examples=2000)
@given(st.data())
def test_yes_and_no_are_the_validators_at_length(data: st.DataObject) -> None:
    """The same of two thousand values, of every definition."""
    same_verdict(data)


def same_verdict(data: st.DataObject) -> None:
    """Draw a definition and a value, and ask both."""
    at = data.draw(st.integers(0, len(definitions()) - 1))
    check, validator = definitions()[at]
    value = changed(data.draw, data.draw(st.sampled_from(fitting(at))))
    try:
        found = check(value)
    except Unsure:
        return
    assert found == validator.is_valid(value)


def test_a_keyword_that_is_not_known_is_left_to_the_validator() -> None:
    """A schema may grow: what the check has no rule for is no mistake of the file, and is not passed over."""
    with pytest.raises(Unsure):
        compiled({"maxLength": 3})("")
    with pytest.raises(Unsure):
        compiled({"enum": [1]})(1)
    with pytest.raises(Unsure):
        compiled({"uniqueItems": True})([1, 1.0])


@settings(max_examples=300)
@given(st.from_regex(_ORDINARY, fullmatch=True))
def test_an_address_beyond_doubt_is_one(text: str) -> None:
    """What a connector's address is let through for without a look is an address to the one who calls it."""
    assert url_of(text).host
