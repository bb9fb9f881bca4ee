"""The shipped templates over a whole generated account: a misspelt name shows only when a template is rendered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.project import Account
from engine.language.compile import load_migration
from engine.language.dependencies import walk
from engine.language.model import ObjectMapping, Template
from engine.mapping.evaluate import Evaluation, Source, evaluate
from tests.replacing import replace

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "templates").glob("**/*.j2"))
HOSTILE = "<script>alert('1')</script>\"{{ 7 * 7 }}\n\n& <img src=x onerror=alert(1)>"
KEPT = re.compile(r"(.*-(path|date|type|state|code|id)|id|path|date|currency-code)$")  # no text that people write
WRITTEN_BY_STEPS = {"p", "br"}
FORMATTING = {"b", "i", "u", "ul", "ol", "li", "strong", "em"}  # what people may write, and is kept


class Tags(HTMLParser):
    """The tags and attributes a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag, and each attribute with it."""
        self.found |= {tag, *(f"{tag} {name}" for name, _ in attrs)}


@pytest.fixture(scope="module")
def account() -> Account:
    """A generated account with all its oddities."""
    return Account(load_migration(ROOT / "specs" / "stel_order_to_pipedrive.yaml", {}), 800)


def noted(account: Account) -> Iterator[tuple[ObjectMapping, str, Path]]:
    """The objects with a field that a template file fills."""
    folder = ROOT / "specs"
    for mapping in account.migration.spec.objects.values():
        for target, field in mapping.fields.items():
            for expr in walk(field.expr):
                if isinstance(expr, Template) and expr.name:
                    yield mapping, target, (folder / expr.name).resolve()


def of_html(account: Account) -> Iterator[tuple[ObjectMapping, str, Path]]:
    """The same, of templates that make HTML."""
    return (found for found in noted(account) if found[2].name.endswith(".html.j2"))


def drafts(
    account: Account, mapping: ObjectMapping, change: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda body: body
) -> Iterator[Evaluation]:
    """The object's drafts of all its records, changed first, beside records changed in the same way."""
    sight = account.sight()
    look = sight.record

    def record(key: str) -> Mapping[str, Any] | None:
        found = look(key)
        return change(found) if found is not None else None

    sight = replace(sight, record=record)
    for key, body in account.records.items():
        name = key.partition("/")[0]
        if name in mapping.sources:
            yield from evaluate(mapping, Source(name, key, change(body)), sight)


def tags_of(path: Path) -> set[str]:
    """What a template itself writes."""
    return Tags(re.sub(r"{[{%].*?[%}]}", "", path.read_text("utf-8"))).found | WRITTEN_BY_STEPS


def hostile(body: Any) -> Any:
    """The record with markup, Jinja and quotes in every text that people write."""
    if isinstance(body, dict):
        return {key: value if isinstance(value, str) and KEPT.match(key) else hostile(value) for key, value in body.items()}
    return [hostile(item) for item in body] if isinstance(body, list) else HOSTILE if isinstance(body, str) else body


def test_every_template_is_used(account: Account) -> None:
    """Each shipped template fills a field of the shipped spec, and each is rendered at least once."""
    used: Counter[Path] = Counter()
    for mapping, target, path in noted(account):
        used[path] += sum(bool(draft.body.get(target)) for draft in drafts(account, mapping))
    assert set(used) == set(SHIPPED)
    assert [path.name for path in SHIPPED if not used[path]] == []


def test_templates_render_over_a_whole_account(account: Account) -> None:
    """No record of an account with all its oddities makes any template fail, and no record's text becomes markup but formatting."""
    for mapping, target, path in noted(account):
        html = path.name.endswith(".html.j2")
        for draft in drafts(account, mapping):
            assert [note.text for note in draft.notes if note.field == target] == [], draft.key
            if html:
                assert draft.body[target], draft.key
                assert Tags(draft.body[target]).found <= tags_of(path) | FORMATTING, draft.key


def test_hostile_texts_stay_text(account: Account) -> None:
    """With markup and Jinja in every text of every record a note has the template's own tags and nothing is evaluated."""
    shown = 0
    for mapping, target, path in of_html(account):
        for draft in drafts(account, mapping, hostile):
            text = draft.body[target]
            assert Tags(text).found <= tags_of(path), draft.key
            assert "49" not in re.sub(r"\d{3,}|\d+[/.,:]\d+", "", text) or "{{ 7 * 7 }}" in text
            shown += "&lt;script&gt;" in text
    assert shown > 100


def lacking(body: Mapping[str, Any], key: str, gone: str) -> dict[str, Any]:
    """The record without one of its fields, or with nothing in it."""
    if gone == "absent":
        return {name: value for name, value in body.items() if name != key}
    return {**body, key: "" if gone == "empty" and isinstance(body.get(key), str) else None}


@pytest.mark.parametrize("gone", ["absent", "null", "empty"])
def test_templates_render_whatever_is_missing(account: Account, gone: str) -> None:
    """A record that lacks any one of its fields, or has nothing in it, still has its note."""
    sight = account.sight()
    for mapping, target, _ in noted(account):
        few = [found for found in account.records if found.partition("/")[0] in mapping.sources][:2]
        for key, field in [(found, name) for found in few for name in account.records[found]]:
            source = Source(key.partition("/")[0], key, lacking(account.records[key], field, gone))
            for draft in evaluate(mapping, source, sight):
                assert [note.text for note in draft.notes if note.field == target] == [], f"{key} without {field}"
