"""The two schemas and the words in which a breach of them is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.config.document import Document, Keys, parse, read
from engine.config.validation import check_shape
from engine.connector.auth import AUTHS
from engine.connector.oauth import GRANTS
from engine.connector.pagination import PAGERS
from tests.replacing import replace
from tests.spec.expected import described

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted((Path(__file__).parent / "shape").glob("*.yaml"))
SHIPPED = [
    *(
        pytest.param("spec", path, id=path.stem)
        for path in sorted((ROOT / "specs").glob("*.yaml"))
        if ".test" not in path.name
    ),
    *(pytest.param("connector", path, id=path.stem) for path in sorted((ROOT / "connectors").glob("*.yaml"))),
]
SCHEMAS = ["spec", "connector"]
HOLDS_FREE_NAMES = {
    "settings", "custom_fields", "native_options", "pipelines", "objects", "left_behind", "related", "children",
    "fields", "ignore", "map", "when", "where", "using", "rows", "list", "exports", "columns",
}  # fmt: skip
JUNK: list[Any] = [None, True, -1, 1.5, "", " ", "{{", [], {}, [[]], [{}], {"zzz": {"from": 1}}, "$"]


def schema(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    return data


def subschemas(node: Any, at: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, except the tests of `if` and `not`, which describe nothing."""
    if not isinstance(node, dict):
        return
    yield at, node
    for word in ("properties", "$defs", "dependentSchemas"):
        for name, item in node.get(word, {}).items():
            yield from subschemas(item, f"{at}/{word}/{name}")
    for word in ("additionalProperties", "propertyNames", "items", "then", "else"):
        yield from subschemas(node.get(word), f"{at}/{word}")
    for word in ("anyOf", "oneOf", "allOf"):
        for position, item in enumerate(node.get(word, [])):
            yield from subschemas(item, f"{at}/{word}/{position}")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_mistake_is_told_once_at_its_place(path: Path) -> None:
    """A file with one mistake gives exactly the expected problems, in order, with place and code."""
    case = read(path).data
    found = check_shape(parse(case["document"], "case.yaml"), case["schema"])
    told = "\n".join(map(str, found))
    assert len(found) == len(case["expect"]), told
    assert [described(*pair) for pair in zip(found, case["expect"], strict=True)] == case["expect"], told


@pytest.mark.parametrize(("kind", "path"), SHIPPED)
def test_shipped_files_fit(kind: str, path: Path) -> None:
    """The spec and the connectors that ship have no problem."""
    assert check_shape(read(path), kind) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_explained(name: str) -> None:
    """Every key has a description that says something and, unless it is a map of free names, gives an example."""
    for at, node in subschemas(schema(name)):
        for key, item in node.get("properties", {}).items():
            text = item.get("description", "")
            assert len(text) > 20 and text.endswith("."), f"{at}/properties/{key}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_mapping_is_closed(name: str) -> None:
    """A mapping either refuses unknown keys or says what its free names hold."""
    for at, node in subschemas(schema(name)):
        if node.get("type") == "object" and "$ref" not in node and "then" not in node:
            assert "additionalProperties" in node, at


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_keeps_its_own_rules(name: str) -> None:
    """The schema is valid, every reference leads somewhere and is used, and defaults and examples fit."""
    whole = schema(name)
    Draft202012Validator.check_schema(whole)
    used = set()
    for at, node in subschemas(whole):
        used.add(node.get("$ref", "").removeprefix("#/$defs/"))
        values = [*node.get("examples", []), *([node["default"]] if "default" in node else [])]
        for value in values:
            assert Draft202012Validator({**node, "$defs": whole["$defs"]}).is_valid(value), f"{at}: {value!r}"
    assert used - {""} == set(whole["$defs"])


@pytest.mark.parametrize(("part", "known"), [("pager", set(PAGERS)), ("auth", {*AUTHS, *GRANTS})])
def test_kinds_are_those_the_engine_knows(part: str, known: set[str]) -> None:
    """Every kind of pager and of signing in that the schema offers exists, and the other way round."""
    assert {item["properties"]["kind"]["const"] for item in schema("connector")["$defs"][part]["oneOf"]} == known


def free(keys: Keys) -> bool:
    """Whether the last of the keys is a name made up by the spec's writer."""
    names = [key for key in keys if isinstance(key, str)]
    above = names[-2] if len(names) > 1 else ""
    part = above == "from" or (names[0] == "custom_fields" and len(names) == 3)
    return part or above in HOLDS_FREE_NAMES or "using" in names[:-1]


def language_keys(document: Document) -> list[tuple[Keys, int, int]]:
    """The keys of a document that belong to the language, each place once, in order."""
    found: dict[tuple[int, int], Keys] = {}
    for keys, place in document.places.items():
        if keys and isinstance(keys[-1], str) and not free(keys):
            found.setdefault((place.line, place.col), keys)
    return [(keys, line, col) for (line, col), keys in sorted(found.items())]


def misspelt(word: str, way: int) -> str:
    """A slip of the fingers: two letters swapped, one left out, one typed twice."""
    return (word[1] + word[0] + word[2:], word[:-1], word + word[-1])[way % 3]


def slips() -> list[Any]:
    """Sixty keys from all over the spec, every other one among the long tests."""
    path = ROOT / "specs" / "stel_order_to_pipedrive.yaml"
    keys = language_keys(read(path))
    step = max(1, len(keys) // 60)
    marks = ((), pytest.mark.chaos)
    return [
        pytest.param(path, *item, way, id=f"line {item[1]} {item[0][-1]}", marks=marks[way % 2])
        for way, item in enumerate(keys[::step])
    ]


@pytest.mark.parametrize(("path", "keys", "line", "col", "way"), slips())
def test_a_slip_in_any_key_is_told_once_on_its_line(path: Path, keys: Keys, line: int, col: int, way: int) -> None:
    """One misspelt key in the shipped spec gives one problem, at that key, with the right word."""
    word = str(keys[-1])
    lines = path.read_text(encoding="utf-8").splitlines()
    before, after = lines[line - 1][: col - 1], lines[line - 1][col - 1 :]
    assert after.startswith(word)
    lines[line - 1] = before + misspelt(word, way) + after.removeprefix(word)
    found = check_shape(parse("\n".join(lines), "slip.yaml"), "spec")
    assert [(item.where.line, item.where.col) for item in found if item.where] == [(line, col)], "\n".join(
        map(str, found)
    )
    assert found[0].code == "unknown-key"
    assert repr(word) in found[0].advice


def with_value(data: Any, keys: Keys, value: Any) -> Any:
    """The data with another value at the keys."""
    if not keys:
        return value
    copy: Any = dict(data) if isinstance(data, dict) else list(data)
    copy[keys[0]] = with_value(data[keys[0]], keys[1:], value)
    return copy


@pytest.mark.parametrize("many", [15, pytest.param(60, marks=pytest.mark.chaos)])
@pytest.mark.parametrize(("kind", "path"), SHIPPED)
def test_junk_anywhere_is_told_in_words(kind: str, path: Path, many: int) -> None:
    """Whatever stands wherever, the check neither fails nor falls back on a keyword for want of words."""
    document = read(path)
    places = list(document.places)
    for keys, junk in zip(places[:: len(places) // many], cycle(JUNK), strict=False):
        found = check_shape(replace(document, data=with_value(document.data, keys, junk)), kind)
        where = [(item.where.line, item.where.col) for item in found if item.where]
        assert where == sorted(where)
        assert len({(item.where, item.problem) for item in found}) == len(found)
        assert not any("does not fit (" in item.problem for item in found)


def test_deep_nesting_is_checked_without_giving_up() -> None:
    """A mistake at the depth the reader allows is still found, and quickly."""
    head = "migration: m\nsource: {connector: a, plan: p}\ndestination: {connector: b, plan: p}\n"
    value = "{frm: x}"
    for _ in range(35):
        value = f"[{value}]"
    text = f"{head}objects:\n  a:\n    from: a\n    to: b\n    fields:\n      name: {value}\n"
    found = check_shape(parse(text, "deep.yaml"), "spec")
    assert [item.code for item in found] == ["unknown-key"]


def test_a_secret_is_never_repeated() -> None:
    """A key pasted into a connector does not reach the message, whatever type YAML gives it."""
    text = (ROOT / "connectors" / "pipedrive.yaml").read_text(encoding="utf-8")
    for secret in ("abc-hunter2", "7777712345", "[hunter2, 77777]"):
        document = parse(text.replace("secret: PIPEDRIVE_API_TOKEN", f"secret: {secret}"), "c.yaml")
        (problem,) = check_shape(document, "connector")
        assert "hunter2" not in str(problem) and "77777" not in str(problem)
