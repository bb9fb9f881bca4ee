"""Connector files: what they compile to, and every mistake in them told at its place."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from engine.config.suggestions import suggest
from engine.connector.load import load_connector
from engine.errors import SpecError

ROOT = Path(__file__).resolve().parents[2]

GOOD = """\
connector: acme
title: Acme
connection:
  base_url: {env: ACME_BASE_URL, production: https://api.acme.example/}
  auth: {kind: bearer, secret: ACME_TOKEN}
  check: {get: /me, cost: 2, limits: [slow]}
plans: [basic, pro]
limits:
  minute: {unit: calls, per: 60, window: rolling, amount: {basic: 10, pro: 20}}
  slow: {unit: calls, per: 1, window: rolling, amount: {"*": 1}, general: false}
  day: {unit: cost, per: 86400, window: calendar, amount: {basic: 100, "*": 200}, per_seat: true}
errors:
  - {when: {status: 429}, then: pause, limit: day}
pagers:
  rows: {kind: offset, start: start, limit: limit, size: 100}
defaults:
  id: uid
  select: data
  list: {get: "/{resource}", pager: rows, cost: 3}
  read: {get: "/{resource}/{id}"}
shapes:
  stamps: {created: datetime, maker: ref people}
  line: {price: number, inner: list line}
users: {resource: people, email: email}
pipelines: {resource: boards, name: name, stages: columns, stage_name: name, parent: board}
custom_fields: {code: code, name: name, type: type, types: {text: string}}
resources:
  people: {fields: {email: text}, read: none}
  boards: {fields: {name: text}}
  columns: {fields: {name: text, board: ref boards}}
  definitions: {fields: {code: text}}
  deals:
    like: [stamps]
    fields: {title: {type: text, required: true}, owner: ref people|boards, lines: list line}
    list: {post: /deals/search, limits: [slow]}
    create: {post: "/boards/{owner}/deals", cost: 5}
    update: {patch: "/deals/{id}"}
    custom_fields: definitions
"""


def load(folder: Path, text: str) -> object:
    path = folder / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return load_connector(path, "c.yaml")


def problems(folder: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    assert caught.value.exit_code == 2
    return [(item.where.line if item.where else 0, item.code, item.advice) for item in caught.value.diagnostics]


def test_a_connector_compiles(tmp_path: Path) -> None:
    """Defaults fill in what a resource does not say; a method of its own replaces the default's and keeps the rest."""
    path = tmp_path / "c.yaml"
    path.write_text(GOOD, encoding="utf-8")
    connector = load_connector(path)
    deals, people = connector.resources["deals"], connector.resources["people"]
    listing = deals.operations["list"]
    assert (listing.method, listing.path, listing.cost, listing.select) == ("POST", "/deals/search", 3, "data")
    assert listing.limits == ("slow",) and listing.pager is not None and listing.pager.size == 100
    assert people.operations["list"].path == "/people"
    assert "read" not in people.operations and "create" not in people.operations
    assert (deals.id, deals.fields["maker"].to, deals.fields["owner"].to) == ("uid", ("people",), ("people", "boards"))
    assert deals.fields["lines"].shape is not None and deals.fields["lines"].shape["inner"].kind == "list"
    assert deals.custom is not None and deals.custom.resource == "definitions"
    assert connector.connection.base_url == "https://api.acme.example"
    day = connector.limits[2]
    assert (day.allowance("basic", 3), day.allowance("pro", 3)) == (300.0, 600.0)


@pytest.mark.parametrize("path", sorted((ROOT / "connectors").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_connectors_compile(path: Path) -> None:
    """Every operation has a method, a list has a pager, and limits know every plan."""
    connector = load_connector(path)
    for resource in connector.resources.values():
        for verb, operation in resource.operations.items():
            assert operation.method and operation.path.startswith("/")
            assert verb != "list" or operation.pager is not None, resource.name
    for limit in connector.limits:
        assert all(limit.allowance(plan, 1) > 0 for plan in connector.plans)


def test_how_the_fields_of_stel_order_are_known() -> None:
    """Each declared field is published, seen or inferred, as the notes on the API mark it, those marked unknown among the inferred."""
    connector = load_connector(ROOT / "connectors" / "stel_order.yaml")
    resources = connector.resources
    found = Counter(item.evidence_of(name) for item in resources.values() for name in item.fields)
    assert found == {"published": 40, "seen": 712, "inferred": 379 + 5}
    places = ["account-path", "agent-path", "lines[*].units", "lines[*].primary-tax-path", "lines"]
    assert [resources["salesOrders"].evidence_of(place) for place in places] == ["seen", "inferred", "seen", "inferred", "seen"]
    assert resources["products"].evidence_of("composite") == "seen"
    assert resources["products"].evidence_of("colour") == "undeclared"


MISTAKES = [
    ("pager: rows, cost: 3", "pager: rose, cost: 3", "unknown-name", "rows"),
    ("limits: [slow]}\nplans", "limits: [slov]}\nplans", "unknown-name", "slow"),
    ("search, limits: [slow]", "search, limits: [slow, fast]", "unknown-name", ""),
    ("search, limits: [slow]", "search, pager: all", "unknown-name", ""),
    ("users: {resource: people", "users: {resource: peeple", "unknown-name", "people"),
    ("pipelines: {resource: boards", "pipelines: {resource: board", "unknown-name", "boards"),
    ("stages: columns", "stages: colums", "unknown-name", "columns"),
    ('update: {patch: "/deals/{id}"}', "update: {cost: 5}", "missing-key", ""),
    ("custom_fields: {code: code, name: name, type: type, types: {text: string}}\n", "",
     "missing-key", ""),
    ("custom_fields: definitions", "custom_fields: definition", "unknown-name", "definitions"),
    ("like: [stamps]", "like: [stamp]", "unknown-name", "stamps"),
    ("lines: list line}", "lines: list lime}", "unknown-name", "line"),
    ("inner: list line", "inner: object lin", "unknown-name", "line"),
    ("maker: ref people", "maker: ref persons", "unknown-name", ""),
    ("then: pause, limit: day", "then: pause, limit: dai", "unknown-name", "day"),
    ("then: pause, limit: day", "then: pause", "missing-key", ""),
    ("amount: {basic: 10, pro: 20}", "amount: {basic: 10, prp: 20}", "unknown-name", "pro"),
    ("amount: {basic: 10, pro: 20}", "amount: {basic: 10}", "missing-key", ""),
    ("custom_fields: definitions", "json_api: {type: deals, relationships: {owned: owner}}", "unknown-name", "owner"),
    ("post: /deals/search", 'post: "/boards/{owner}/deals"', "unbound-parameter", ""),
    ("search, limits: [slow]", "search, parent: bords, parent_id: owner", "unknown-name", "boards"),
    ("search, limits: [slow]", "search, detail: [lins]", "unknown-name", "lines"),
    ('create: {post: "/boards/{owner}/deals"', 'create: {bulk: {most: 9}, post: "/boards/{id}/deals"',
     "unbound-parameter", ""),
    ('create: {post: "/boards/{owner}/deals"', 'create: {bulk: {most: 9, put: "/{id}"}, post: "/boards/{owner}/deals"',
     "unbound-parameter", ""),
    ('create: {post: "/boards/{owner}/deals"', 'create: {bulk: {most: 9, put: "/{onwer}"}, post: "/boards/{owner}/deals"',
     "unknown-name", "owner"),
    ('patch: "/deals/{id}"', 'patch: /deals, params: {by: "{uic}"}', "unknown-name", ""),
    ('list: {get: "/{resource}", pager: rows, cost: 3}', "list: {pager: rows}", "missing-key", ""),
    ("like: [stamps]", "like: !seq [stamps]", "unsafe-yaml", ""),
    ("people: {fields", "people: !!python/dict {fields", "unsafe-yaml", ""),
    ("/boards/{owner}/deals", "/boards/{owned}/deals", "unknown-name", "owner"),
    ("boards: {fields: {name: text}}", "boards: {fields: {name: text}, inferred: [nmae]}", "unknown-name", "name"),
    ("boards: {fields: {name: text}}", "boards: {fields: {name: text}, seen: [nmae.first]}", "unknown-name", "name"),
    ("boards: {fields: {name: text}}", "boards: {fields: {name: text}, published: [nmae]}", "unknown-name", "name"),
    ("boards: {fields: {name: text}}", "boards: {fields: {name: text}, flags: {archived: nmae}}", "unknown-name", "name"),
    ("users: {resource: people", "to_know: [{text: x, rows: [bords]}]\nusers: {resource: people", "unknown-name", "boards"),
    ("users: {resource: people", "to_know: [{text: x, rows: [boards.nmae]}]\nusers: {resource: people", "unknown-name", "name"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "code", "meant"), MISTAKES)
def test_a_name_that_nothing_defines_is_told_at_its_place(
    tmp_path: Path, right: str, wrong: str, code: str, meant: str
) -> None:
    """One mistake gives a diagnostic on its line, with the word that was probably meant."""
    assert GOOD.count(right) == 1
    text = GOOD.replace(right, wrong)
    found = problems(tmp_path, text)
    line = text[: text.index(wrong or "custom_fields: definitions")].count("\n") + 1
    advice = [item[2] for item in found if item[:2] == (line, code)]
    assert advice, found
    assert not meant or repr(meant) in advice[0]
    # an amount for a plan that there is not is one that the plan lacks
    assert len(found) == (2 if "prp" in wrong else 1), found


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Three unknown names, three problems."""
    text = GOOD.replace("users: {resource: people", "users: {resource: x").replace("stages: columns", "stages: y")
    text = text.replace("like: [stamps]", "like: [z]")
    assert len(problems(tmp_path, text)) == 3


def test_shapes_may_hold_themselves(tmp_path: Path) -> None:
    """A line with lines in it is cut at the second turn, not followed for ever."""
    assert load(tmp_path, GOOD.replace("inner: list line", "inner: object line, other: list stamps"))


@pytest.mark.parametrize(
    ("word", "known", "advice"),
    [("pepole", ["people", "boards"], "did you mean 'people'?"), ("zzz", ["b", "a"], "known: a, b"), ("x", [], "known: none")],
)
def test_the_nearest_word_is_offered(word: str, known: list[str], advice: str) -> None:
    """Or, where none is near, what there is."""
    assert suggest(word, known) == advice


TWINS = [
    ({"*-id": "*-path"}, "account-id", ["account-path"]),
    ({"*-id": "*-path"}, "account-path", []),
    ({"*-id": "*-path"}, "id", []),
    ({"fk_*": "url_*"}, "fk_owner", ["url_owner"]),
    ({"*Id": "*Link", "ownerId": "owner"}, "ownerId", ["ownerLink", "owner"]),
    ({"a*a": "b*b"}, "a", []),
    ({"path": "id"}, "path", ["id"]),
]


@pytest.mark.parametrize(("same_as", "name", "said_by"), TWINS)
def test_fields_that_say_the_same(tmp_path: Path, same_as: dict[str, str], name: str, said_by: list[str]) -> None:
    """A pattern stands for the same text on both sides and names one direction only."""
    path = tmp_path / "c.yaml"
    path.write_text(f"{GOOD}same_as: {json.dumps(same_as)}\n", encoding="utf-8")
    assert list(load_connector(path).said_by(name)) == said_by


UNITS = [("", "units"), ("cost_unit: credits\n", "credits")]


@pytest.mark.parametrize(("more", "unit"), UNITS)
def test_the_unit_of_cost(tmp_path: Path, more: str, unit: str) -> None:
    """What the connector says; without it calls, unless a call costs something else than one."""
    path = tmp_path / "c.yaml"
    path.write_text(GOOD + more, encoding="utf-8")
    assert load_connector(path).cost_unit == unit
    path.write_text(re.sub(r", cost: \d", "", GOOD), encoding="utf-8")
    assert load_connector(path).cost_unit == "calls"


def test_money_names_fields_of_the_resource(tmp_path: Path) -> None:
    """An amount in a field that the resource does not have is a mistake, told where it stands."""
    with pytest.raises(SpecError, match=r"c.yaml:\d+:\d+: resources.deals.money.amount: .*'totl'.* \[unknown-name\]"):
        load(tmp_path, f"{GOOD}    money: {{amount: totl, currency: title}}\n")
