"""Documents are strangers' texts: whatever they hold, the draft can be read or one clear error says why not."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config.document import parse
from engine.errors import UsageError
from tests.replacing import replace
from tests.workbench.openapi.test_openapi_cases import (
    BARE,
    ROWS,
    cases,
    document,
    drafted,
)
from workbench.openapi import reading
from workbench.openapi.draft import Wish, draft
from workbench.openapi.reading import opened

DOCUMENTS = [document(case.values[0]) for case in cases()]
NASTY = (
    "a: b", "#", "- x", "*x", "&x", "!!python/object", "{", "}", "[", "]", ": ", " #", "'", '"', "\\", "\n", "\r", "\u2028", "\u0085", "\x00",
    "\x1b[31m", "\ufeff", "\u202e", "../../etc", "..", "/", "no", "null", "1e9", "<<", "=", "|", ">", "%", "@", "`", "", " ", "a" * 400, "é", "\ud800",
    "{id}", "{", "id.x", "x+y", "# ask: mine", "---", "...", "~", "0x1F", "12:30", "2026-01-01",
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**12), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(NASTY),
    st.text(max_size=12), st.just([]), st.just({}), st.just({"$ref": "#/paths"}), st.just({"$ref": "#/components/schemas/Loop"}),
    st.just({"$ref": "other.yaml#/x"}), st.just({"type": "array", "items": {"type": "array"}}), st.just({"allOf": [{"$ref": "#"}]}),
    st.just([{"name": "x", "in": "query"}]), st.just({"type": ["string", "null"], "enum": [None, 1, {"a": 1}]}),
)  # fmt: skip


def places(data: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [found for key, item in items for found in ((*above, key), *places(item, (*above, key)))]


def changed(data: Any, at: tuple[Any, ...], value: Any, rename: bool) -> None:
    """Put a value, or a key of that text, at a place."""
    for key in at[:-1]:
        data = data[key]
    if rename and isinstance(data, dict):
        data[str(value)] = data.pop(at[-1])
    else:
        data[at[-1]] = value


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_a_document_holds(data: st.DataObject) -> None:
    """A document with up to four parts replaced by anything is drafted so that it loads, or refused with one usage error."""
    hostile = copy.deepcopy(data.draw(st.sampled_from(DOCUMENTS)))
    hostile.setdefault("components", {}).setdefault("schemas", {}).setdefault("Loop", {"properties": {"loop": {"$ref": "#/components/schemas/Loop"}}})
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(places(hostile)))
        changed(hostile, at, copy.deepcopy(data.draw(VALUES)), data.draw(st.booleans()))
    try:
        made = drafted(hostile)
    except UsageError as error:
        assert str(error).isprintable() or "\n" not in str(error), str(error)
        return
    assert made.connector.resources
    assert_plain(made.text)


def assert_plain(text: str) -> None:
    """Nothing in a draft but printable lines, and every comment one of ours."""
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.encode().decode() == text and "\r" not in text and "\u2028" not in text


@pytest.mark.parametrize("nasty", NASTY)
def test_names_cannot_become_markup_or_a_path(nasty: str) -> None:
    """A name that is YAML, a path or a control sequence stays a name, is changed, or is left out – wherever it stands."""
    field = {"type": "array", "items": {"properties": {"id": {"type": "integer"}, nasty: {"type": "string", "description": nasty, "enum": [nasty, "x"]}}}}
    call = {"summary": nasty, "parameters": [{"name": nasty, "in": "query", "schema": {"type": "string"}}], "responses": _ok(field)}
    data = {
        **BARE,
        "info": {"title": f"Acme {nasty}", "description": f"{nasty} 100 requests per minute {nasty}"},
        "servers": [{"url": f"https://api.acme.example/{nasty}"}],
        "paths": {"/contacts": {"get": call}, f"/{nasty}": {"get": call}, f"/{nasty}/{{id}}": {"get": call}},
        "components": {"securitySchemes": {nasty: {"type": "apiKey", "in": "header", "name": nasty or "x"}}},
    }
    made = drafted(data)
    assert_plain(made.text)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", made.name)
    read = parse(made.text).data
    assert read["connector"] == made.name and "contacts" in read["resources"]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in read["resources"])
    shown = yaml.safe_load(made.text)  # another reader finds the same keys
    assert set(shown) == set(read)


def _ok(schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"content": {"application/json": {"schema": schema}}}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "[unsupported]"),
        ("[1, 2]", "[unsupported]"),
        ("a: [", "[bad-syntax]"),
        ('{"a": 1,}', "acme.yaml:1:9: .* [bad-syntax]"),
        ('{"a": 1, "a": 2}', "'a'.* [bad-syntax]"),
        ('{"a": NaN}', "NaN .*[bad-syntax]"),
        ("[" * 100_000, "[too-large]"),
        ('{"a":' * 300 + "1" + "}" * 300, "[too-large]"),
        ("openapi: 4.0.0\npaths: {/a: {}}", "acme.yaml:1:1: openapi: .*'4.0.0'.* [unsupported]"),
        ("openapi: 3.0.0\ninfo: {}", "[missing-key]"),
        ("openapi: 3.0.0\npaths: []", "acme.yaml:2:1: paths: .* [missing-key]"),
        ("openapi: 3.0.0\ninfo: {title: Acme}\npaths: {/a: {get: {responses: {200: {}}}}}", "no collection of rows"),
        ("openapi: 3.0.0\npaths: {/a: {get: {}}}", "no title to make a name of – give one with --name"),
        ("openapi: 3.0.0\ninfo: {title: Acme}\npaths:\n  /a: {$ref: 'https://evil.example/x.yaml'}", "acme.yaml:4:8: paths./a.$ref: .*'https://evil.example/x.yaml'.* [bad-reference]"),
        ("openapi: 3.0.0\ninfo: {title: Acme}\npaths:\n  /a: {$ref: 'file:///etc/passwd'}", "[bad-reference]"),
        ("openapi: 3.0.0\ninfo: {title: Acme}\npaths:\n  /a: {$ref: '#/components/x'}", "[bad-reference]"),
        ("openapi: 3.0.0\ninfo: {title: Acme}\npaths:\n  /a: {$ref: '#/paths/~1b'}\n  /b: {$ref: '#/paths/~1a'}", "[bad-reference]"),
        ("a: &a [x, *a]", "[unsafe-yaml]"),
        ("a: !!python/name:os.system x", "acme.yaml:1:4: .*!python/name:os.system.* [unsafe-yaml]"),
    ],
)  # fmt: skip
def test_bad_documents_are_told(text: str, says: str) -> None:
    """One usage error (exit code 2) with the place and the code; `.*` stands for any words."""
    with pytest.raises(UsageError) as caught:
        draft(opened(text.encode(), "acme.yaml"), Wish("acme.yaml"))
    assert re.search(".*".join(map(re.escape, says.split(".*"))), str(caught.value), re.DOTALL)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("nodes", [50_000, pytest.param(reading.LARGE.nodes, marks=pytest.mark.chaos)])
def test_large_and_multiplying_documents_end(monkeypatch: pytest.MonkeyPatch, nodes: int) -> None:
    """Size and aliases are bounded, under a lower bound (or, at length, the one that ships)."""
    assert reading.LARGE.nodes == 2_000_000
    monkeypatch.setattr(reading, "LARGE", replace(reading.LARGE, nodes=nodes))
    with pytest.raises(UsageError, match="larger than"):
        opened(b" " * (reading.LARGE.bytes + 1), "large.yaml")
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    with pytest.raises(UsageError, match="aliases multiply"):
        opened(bomb.encode(), "bomb.yaml")


@pytest.mark.parametrize("fields", [6, pytest.param(30, marks=pytest.mark.chaos)])
def test_schemas_that_double_at_every_step_are_looked_at_once_each(fields: int) -> None:
    """Looked at as often as they are named, they would never end."""
    schemas: dict[str, Any] = {f"S{n}": {"allOf": [{"$ref": f"#/components/schemas/S{n + 1}"}] * 2} for n in range(60)}
    schemas["S60"] = {"properties": {f"f{n}": {"$ref": "#/components/schemas/S0"} for n in range(fields)}}
    data = copy.deepcopy(BARE) | {"components": {"schemas": schemas}}
    data["paths"]["/trees"] = {"get": {"responses": _ok({"type": "array", "items": {"$ref": "#/components/schemas/S0"}})}}
    assert "trees" in drafted(data).connector.resources


def test_numbers_as_keys_and_yaml_words_are_taken_as_written() -> None:
    """Statuses without quotes, and words that YAML 1.1 takes for true, are what they look like."""
    text = """
openapi: 3.0.0
info: {title: Acme}
paths:
  /contacts:
    get:
      responses:
        200: {content: {application/json: {schema: {type: array, items: {properties: {id: {type: integer}, on: {type: string, enum: [yes, no, off]}}}}}}}
"""
    made = draft(opened(text.encode(), "acme.yaml"), Wish("acme.yaml"))
    assert made.connector.resources["contacts"].fields["on"].one_of == ("yes", "no", "off")
    assert 'one_of: ["yes", "no", "off"]' in made.text


def test_a_document_in_both_writings_is_one_draft() -> None:
    """JSON and YAML of the same document give the same draft."""
    for data in DOCUMENTS[:10]:
        as_json = draft(opened(json.dumps(data).encode(), "acme"), Wish("acme"))
        as_yaml = draft(opened(yaml.safe_dump(data, sort_keys=False).encode(), "acme"), Wish("acme"))
        assert as_json.text == as_yaml.text


def test_only_draws_what_was_asked_for() -> None:
    """--only takes names in any style and the rows above them; an unknown one is told with what is near."""
    data = copy.deepcopy(BARE)
    data["paths"]["/orders"] = data["paths"]["/deals"] = data["paths"]["/contacts"]
    data["paths"]["/orders/{id}/orderLines"] = data["paths"]["/contacts"]
    assert list(drafted(data, "Contacts").connector.resources) == ["contacts"]
    assert list(drafted(data, "order_orderlines").connector.resources) == ["orders", "order_orderLines"]
    with pytest.raises(UsageError, match="has no 'contcts' – did you mean 'contacts'"):
        drafted(data, "contcts")
    assert ROWS == {"type": "array", "items": {"properties": {"id": {"type": "integer"}}}}
