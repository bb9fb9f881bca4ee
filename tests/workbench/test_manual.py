"""The document a customer signs: complete, masked, and never markup by accident."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from engine.errors import UsageError
from engine.language.compile import load_migration
from tests.replacing import replace
from tests.stages.conftest import SPEC, Desk
from workbench.cli import etl
from workbench.manual import page as manual_page
from workbench.manual import text as manual_text
from workbench.manual.graph import Node, layers, picture, reduced
from workbench.manual.model import FieldRow, Manual, Table, manual, mask
from workbench.manual.page import as_page
from workbench.manual.text import as_markdown

HOSTILE = (
    "</td><script>alert(1)</script>\n| [x](javascript:y) ![i](http://e.example) **b** `c` "
    "<b onload=x> &amp; \x00 \ud800 \u202e a@b.example www.e.example"
)


class Tags(HTMLParser):
    """Every start tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "col", "br", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(page: str) -> Tags:
    """The tags of a page, which close in the order they open."""
    found = Tags()
    found.feed(page)
    assert found.open == []
    return found


@pytest.fixture(scope="module")
def told() -> Manual:
    """The shipped spec's document, without records."""
    return manual(load_migration(SPEC, {}), None, masked=True)


def test_nothing_of_the_spec_is_missing(told: Manual) -> None:
    """Every object, field, value map, custom field, ignored field and collection left behind is told, in both forms."""
    spec = load_migration(SPEC, {}).spec
    objects = [item for item in spec.active() if not item.name.startswith(("$", "pipelines."))]
    assert [len(chapter.rows) for chapter in told.chapters] == [len(item.fields) for item in objects]
    page, text = as_page(told), as_markdown(told)
    words = [
        *spec.left_behind.values(),
        *(why for item in objects for why in item.ignore.values()),
        *(c.label for c in spec.custom_fields.values()),
    ]
    for word in words:
        assert manual_page.safe(word) in page
        assert manual_text.safe(word) in text
    assert "Rechazada" in page
    assert "owner@example.com" in page
    assert told.digest in page


def test_conditions_on_settings_show_what_is_set(told: Manual) -> None:
    """A reader sees how a setting stands, in conditions as well, and never the name that the spec gives it."""
    text = as_markdown(told)
    assert "$settings" not in text
    assert r"only if the setting contacts\_added\_when\_changed (no) is yes" in text


def test_page_stands_alone_and_is_accessible(told: Manual) -> None:
    """No script, nothing fetched, a language, one main heading, headed and captioned tables, a named picture."""
    page = as_page(told)
    found = tags(page)
    assert not {"script", "img", "link", "iframe", "object", "form", "base"} & set(found.tags)
    assert not [
        value
        for name, value in found.attributes
        if name.startswith("on") or ((name != "xmlns" and value) or "").startswith(("http:", "javascript:"))
    ]
    assert not [value for name, value in found.attributes if name == "src"]
    assert "url(" not in page.partition("<body>")[0]
    assert ("lang", "en") in found.attributes
    assert found.tags.count("h1") == 1
    assert found.tags.count("table") == found.tags.count("caption") == found.tags.count("thead")
    assert found.tags.count("main") == 1
    assert 'role="img" aria-labelledby="graph-title"' in page
    targets = {value for name, value in found.attributes if name == "id"}
    assert {str(value)[1:] for name, value in found.attributes if name == "href"} <= targets


def hostile(told: Manual) -> Manual:
    """The document with hostile text wherever text can stand."""
    row = FieldRow(HOSTILE, (HOSTILE,), (HOSTILE, HOSTILE), (HOSTILE, f"{HOSTILE}!"))
    table = Table(HOSTILE, (HOSTILE, HOSTILE), ((HOSTILE, HOSTILE),))
    chapter = replace(
        told.chapters[0],
        label=HOSTILE,
        sources=(HOSTILE,),
        becomes=HOSTILE,
        remarks=(HOSTILE,),
        rows=(row,),
        maps=(table,),
        left=((HOSTILE, HOSTILE),),
    )
    return replace(
        told, title=HOSTILE, source=HOSTILE, destination=HOSTILE, digest=HOSTILE, chapters=(chapter,), edges={"n": frozenset()},
        nodes=(Node("n", HOSTILE, HOSTILE),), people=(HOSTILE,), customs=table, pipelines=table, left=((HOSTILE, HOSTILE),),
        to_know=((HOSTILE, HOSTILE, HOSTILE),),
    )  # fmt: skip


def test_hostile_text_is_no_markup_of_the_page(told: Manual) -> None:
    """Whatever stands in records or spec, the page has the tags it would have had anyway, and is valid UTF-8."""
    page = as_page(hostile(told))
    found = tags(page)
    assert not {"script", "b", "img"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    page.encode()


def test_hostile_text_is_no_markup_of_the_markdown(told: Manual) -> None:
    """Every character that could open a tag, link, image, emphasis, cell or mention stands escaped."""
    text = as_markdown(hostile(told))
    assert "<" not in text
    assert not re.search(r"(?<!\\)[\[*`]", text)
    assert not re.search(r"(?<!\\)@", text)
    assert {line.count(" | ") for line in text.splitlines() if line.startswith("| Destination")} == {3}
    assert all(
        line.replace("\\|", "").count("|") == 5 for line in text.splitlines() if line.startswith("| \\<") or HOSTILE[:5] in line
    )


def test_a_mask_keeps_the_shape_only() -> None:
    """Letters and digits of any script are hidden; what is left tells the form."""
    assert mask("Pérez & Hijos, S.L. 12-B") == "Xxxxx & Xxxxx, X.X. 00-X"
    assert mask("+34 600 000 004") == "+00 000 000 000"
    assert mask("2024-05-06T07:08:09+0000") == "0000-00-00T00:00:00+0000"
    assert mask("山田 🍤") == "xx ·"


def test_examples_are_masked_unless_asked_for(sampled: Desk) -> None:
    """Without --examples no name, address, number or mail of a record stands in the document; with it they do."""
    shown = as_page(manual(sampled.migration, sampled.run(), masked=False))
    hidden = as_page(manual(sampled.migration, sampled.run(), masked=True))
    text = as_markdown(manual(sampled.migration, sampled.run(), masked=True))
    with sampled.store.begin() as connection:
        bodies = [
            json.loads(row[0])
            for row in connection.exec_driver_sql("SELECT body FROM records WHERE collection IN ('clients', 'contacts')")
        ]
    personal = {
        str(body[name])
        for body in bodies
        for name in ("name", "email", "tax-identification-number", "phone")
        if body.get(name) and len(str(body[name])) > 5
    }
    assert sum(manual_page.safe(value) in shown for value in personal) >= 3
    assert not [value for value in personal if manual_page.safe(value) in hidden]
    assert not [value for value in personal if manual_text.safe(value) in text]
    assert "the record of organizations" in hidden


def test_picture_is_layered() -> None:
    """What is led to stands above; an edge that follows from two others is not drawn; the SVG is well formed."""
    edges = {"a": frozenset[str](), "b": frozenset({"a"}), "c": frozenset({"a", "b"})}
    assert layers(["a", "b", "c"], edges) == {"a": 0, "b": 1, "c": 2}
    assert reduced(edges)["c"] == {"b"}
    drawn = picture([Node(name, f"{name} <&>", "x") for name in "abc"], edges)
    svg = ElementTree.fromstring(drawn)
    assert len(svg.findall(".//{*}rect")) == 3
    assert len([path for path in svg.findall(".//{*}path") if path.get("class") == "edge"]) == 2


def test_picture_of_many_stays_inside() -> None:
    """However many objects there are, every box lies within the picture and none covers another."""
    names = [f"n{number}" for number in range(23)]
    svg = ElementTree.fromstring(picture([Node(name, "a long label of this object", "x") for name in names], {}))
    boxes = {(int(rect.get("x", "")), int(rect.get("y", ""))) for rect in svg.findall(".//{*}rect")}
    assert len(boxes) == 23
    assert min(x for x, _ in boxes) >= 0
    assert max(x for x, _ in boxes) + 138 <= 760


@pytest.mark.parametrize(("name", "begins"), [("m.html", "<!doctype html>"), ("m.md", "# ")])
def test_the_command_goes_by_the_ending(tmp_path: Path, name: str, begins: str) -> None:
    """The form follows the file's ending; without staged records there are no examples; others cannot read the file."""
    out = tmp_path / name
    done = CliRunner().invoke(etl(), ["docs", str(SPEC), "--out", str(out), "--store", "sandbox", "--env", "live"])
    assert done.exit_code == 0, done.output
    assert out.read_text(encoding="utf-8").startswith(begins)
    assert out.stat().st_mode & 0o077 == 0


def test_the_command_refuses_other_endings(tmp_path: Path) -> None:
    """What would be HTML under the name of a PDF is not written; the formats are named, and one that is asked for is written."""
    out = tmp_path / "m.pdf"
    words = ["docs", str(SPEC), "--out", str(out), "--store", "sandbox", "--env", "live"]
    with pytest.raises(UsageError, match=r"m\.pdf.*\.html.*\.md"):
        CliRunner().invoke(etl(), words, catch_exceptions=False)
    assert not out.exists()
    assert CliRunner().invoke(etl(), [*words, "--format", "html"]).exit_code == 0 and out.exists()
