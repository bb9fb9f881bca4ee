"""The report as a page: one file, harmless whatever the records hold, and usable in a real browser."""

from __future__ import annotations

import copy
import html.parser
import json
import os
import re
import runpy
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine.cli.environment import accounts
from engine.language.compile import load_migration
from engine.pipeline import migrate
from engine.report.document import STATES, WRITTEN, build, write_csv
from engine.report.page import (
    PARTS,
    digest,
    embedded,
    grouped,
    page,
    write_html,
)
from engine.session import wire
from engine.store.tables import open_store
from tests.chromium import driven, sized
from tests.e2e.driving import HURRIED
from tests.stages.conftest import wide

ROOT = Path(__file__).resolve().parents[2]
BENCH = runpy.run_path(str(ROOT / "bench" / "report_page.py"))
SCHEMA = json.loads((ROOT / "schemas" / "report.schema.json").read_text(encoding="utf-8"))
HOSTILE = [
    "<script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "</script><script>window.pwned=1</script>",
    "<!--<script>",
    "javascript:window.pwned=1",
    "<svg onload=window.pwned=1><a xlink:href='javascript:window.pwned=1'>x</a></svg>",
    "${title} $title $script {{ 7*7 }} {% x %}",
    "one\u2028two\u2029three\u0085four",
    "\u202etxet desrever\u202c",
    "🙂👩\u200d🔧 日本 ñ",
    "long " * 1000,
    "x" * 5000,
    "\x00\x1b[2J\x07\ufeff",
    "\ud800 half a pair",
    "' onmouseover='window.pwned=1' x='",
    "]]> &amp; &lt;b&gt; &#60;b&#62; \\u003cb\\u003e",
]
NOTE = (
    "<h4 onclick='window.pwned=1' style='position:fixed'>Head</h4><p>One <b>bold</b></p><script>window.pwned=1</script>"
    "<img src='http://127.0.0.1:9/x.png' onerror='window.pwned=1'><iframe src='http://127.0.0.1:9/'></iframe>"
    "<a href='javascript:window.pwned=1'>link</a><link rel=dns-prefetch href='//a.invalid'>"
    "<meta http-equiv=refresh content='0;url=/'><form action='http://127.0.0.1:9/'><input name=a></form>"
    "<svg><script>window.pwned=1</script><style>a{}</style></svg><style>body{display:none}</style>"
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=window.pwned=1&gt;'>"
)
UNTIDY = "<a href=javascript:window.pwned=1 x'>odd</a>"  # a tag whose attributes only a real parser sees
KEPT = {"state", "unit", "severity", "generated_at", "sha256", "file"}


def poisoned(value: Any) -> Any:
    """The same document with hostile text before every text that is free; alike texts stay alike."""
    if isinstance(value, str):
        return HOSTILE[zlib.crc32(value.encode()) % len(HOSTILE)] + value if not value.startswith("template") else value
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    if isinstance(value, dict):
        return {key: item if key in KEPT and isinstance(item, str) else poisoned(item) for key, item in value.items()}
    return value


def plain() -> dict[str, Any]:
    """A report with some of everything."""
    made: dict[str, Any] = BENCH["synthetic"](260)
    made["findings"] = [
        {
            "object": "object_3",
            "key": "rows/3",
            "stage": "load",
            "field": "name",
            "severity": "attention",
            "text": "is odd",
        },
        {
            "object": "users",
            "key": "people/2",
            "stage": "audit",
            "field": "",
            "severity": "attention",
            "text": "has nobody",
        },
        {
            "object": "users",
            "key": "people/2",
            "stage": "audit",
            "field": "",
            "severity": "note",
            "text": "is only told",
        },
    ]
    made["notices"] = ["Something to know."]
    made["records"][5] |= {
        "unmapped": [["forgotten", "a value"]],
        "state": "skipped",
        "reason": "no organization named",
    }
    made["records"][6]["file"] = {"size": 641, "sha256": "0" * 64, "type": "application/pdf"}
    made["records"][4]["fields"][-1] |= {"live": NOTE, "wanted": NOTE}
    made["records"][8]["fields"][-1] |= {"live": UNTIDY, "wanted": UNTIDY}
    return made


def hostile() -> dict[str, Any]:
    """The same, with hostile text everywhere and each hostile text as a title."""
    made: dict[str, Any] = poisoned(plain())
    for row, text in zip(made["records"], HOSTILE, strict=False):
        row["title"] = text
    return made


def verified() -> dict[str, Any]:
    """What `verify` of a full run gives: no sample, nobody matched, nothing written, records only counted."""
    made = plain()
    for row in made["objects"]:
        for word in (
            "created",
            "updated",
            "adopted",
            "unchanged",
            "skipped",
            "failed",
            "deleted",
            "conflicts",
            "cost",
            "least",
            "reasons",
        ):
            row.pop(word)
    for word in WRITTEN:
        made["verdict"].pop(word)
    empty: dict[str, Any] = {
        "sample": None,
        "provisioned": None,
        "people": [],
        "fallback_owner": "",
        "collections_left_behind": [],
    }
    return made | empty | {"records": [], "records_not_shown": 260, "findings": [], "money": []}


DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {"plain": plain, "hostile": hostile, "verified": verified}


class Outline(html.parser.HTMLParser):
    """The elements of a page and the text of its scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        """Note what is inside a script or a style."""
        if self.cdata_elem in ("script", "style"):
            self.texts[-1] += data


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    found.close()
    return found


# -- the file


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_page_holds_the_report_and_nothing_else_of_it(name: str, tmp_path: Path) -> None:
    """The data round-trip through the page, and the page's elements are the same whatever they hold."""
    report, path = DOCUMENTS[name](), tmp_path / "report.html"
    write_html(report, path)
    found = outline(path.read_text(encoding="utf-8"))
    _, data, needs, script = found.texts
    assert json.loads(data) == json.loads(json.dumps(report))
    assert json.loads(needs) == json.loads(json.dumps(grouped(report)))
    assert script == (PARTS / "script.js").read_text(encoding="utf-8")
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in outline(page(plain())).elements]


def test_the_policy_lets_only_our_own_style_and_script_act() -> None:
    """Everything is forbidden but what has the right digest; there is no inline handler and no address to fetch."""
    found = outline(page(hostile()))
    policy = (
        next(attrs["content"] for _, attrs in found.elements if attrs.get("http-equiv") == "Content-Security-Policy")
        or ""
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    style, _, _, script = found.texts
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'{digest(style)}'"
    assert rules["script-src"] == f"'{digest(script)}'"
    assert rules["img-src"] == "data:"
    assert rules["require-trusted-types-for"] == "'script'"
    assert [name for _, attrs in found.elements for name in attrs if name.startswith("on")] == []
    addresses = [
        attrs[name] or "" for _, attrs in found.elements for name in ("src", "href", "action") if name in attrs
    ]
    assert [address for address in addresses if not address.startswith(("#", "data:"))] == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_escaped(text: str) -> None:
    """No character that could end the data is left in them, and what was meant comes back."""
    made = embedded({text: [text]})
    assert not re.search("[<>&\u2028\u2029\ud800-\udfff]", made)
    assert json.loads(made) == {text: [text]}


def test_the_title_of_the_page_is_text() -> None:
    """The one place where the report's text stands in the markup is escaped."""
    made = page(plain() | {"title": "</title><script>window.pwned=1</script>\ud800"})
    assert "<title>&lt;/title&gt;&lt;script&gt;" in made
    made.encode()


def test_the_page_is_for_the_user_alone(tmp_path: Path) -> None:
    """Nobody else may read the file, even where it was there with other rights."""
    path = tmp_path / "deep" / "report.html"
    path.parent.mkdir()
    path.touch(mode=0o666)
    write_html(plain(), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_numbers_that_json_does_not_know_are_refused() -> None:
    """A page whose data no browser can read is not written."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded({"sum": float("nan")})


@pytest.mark.parametrize("part", ["page.html", "style.css", "script.js"])
def test_the_parts_name_no_platform_and_cannot_end_their_element(part: str) -> None:
    """Names come from the data; style and script hold no end tag."""
    text = (PARTS / part).read_text(encoding="utf-8")
    assert not re.search("stel|pipedrive", text, re.IGNORECASE)
    assert part == "page.html" or not re.search("</(script|style)|<!--", text)
    assert "innerHTML" not in text
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert len(text.splitlines()) < {"page.html": 100, "style.css": 350, "script.js": 665}[part]


def test_every_state_of_a_field_has_its_word_and_colour() -> None:
    """What a report counts is in the schema, and on the page with a meaning and a colour in light and dark."""
    script, style = ((PARTS / name).read_text(encoding="utf-8") for name in ("script.js", "style.css"))
    listed = re.search(r"const FIELD_STATES = \{(.*?)\n\};", script, re.DOTALL)
    assert listed
    assert tuple(re.findall(r"^  (\w+): \[", listed[1], re.MULTILINE)) == STATES
    assert tuple(SCHEMA["$defs"]["field"]["properties"]["state"]["enum"]) == STATES
    assert tuple(SCHEMA["$defs"]["field_counts"]["properties"]) == STATES
    for state in STATES:
        assert len(re.findall(rf"--{state}: #", style)) == 2, state
        assert f".f-{state} {{ fill: var(--{state}); }}" in style, state
    unmarked = [state for state in STATES if f".s-{state}, .b-{state}" not in style]
    assert unmarked == ["empty"]  # the colour of a chip that says nothing else


def test_the_csv_tells_in_which_form_a_value_is_stored(tmp_path: Path) -> None:
    """A field that is stored otherwise has its state, both values and the reason in one line."""
    report, path = plain(), tmp_path / "report.csv"
    report["records"][0]["fields"][0] |= {"state": "stored_as", "wanted": "1.005", "live": "1.01", "reason": "as 1.01"}
    write_csv(report, path)
    line = path.read_text(encoding="utf-8-sig").splitlines()[1]
    assert "stored_as" in line
    assert line.endswith("1.005,1.01,as 1.01")


# -- the schema


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The report of a small sample run on fresh sandbox accounts."""
    folder = tmp_path_factory.mktemp("run")
    migration = wide(load_migration(ROOT / "specs" / "stel_order_to_pipedrive.yaml", {}))
    with (
        closing(open_store(str(folder / "store.sqlite"))) as store,
        accounts(migration, "sandbox", {"ETL_SANDBOX_SIZE": "300", **HURRIED}, folder / "sandbox") as found,
        closing(wire(migration, found, store, command="test")) as run,
    ):
        yield json.loads(json.dumps(build(run, migrate(run, 20), "run --sample", "sandbox")))


def problems(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:100]}" for error in Draft202012Validator(SCHEMA).iter_errors(document)]


def test_a_real_run_gives_a_report_of_the_schemas_shape(example: dict[str, Any]) -> None:
    """What a sample run on the sandbox gives is what the schema says."""
    assert problems(example) == []
    assert example["records"]
    assert example["sample"]["chosen"] >= 20


@pytest.mark.parametrize("name", DOCUMENTS)
def test_made_up_reports_have_the_schemas_shape(name: str) -> None:
    """The reports of these tests are such as runs give."""
    assert problems(DOCUMENTS[name]()) == []


MISTAKES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("a part is missing", lambda report: report.pop("verdict")),
    ("an unknown part", lambda report: report.update(more=1)),
    ("an unknown state of a record", lambda report: report["records"][0].update(state="lost")),
    ("an unknown state of a field", lambda report: report["records"][0]["fields"][0].update(state="gone")),
    ("a value that is no text", lambda report: report["records"][0]["fields"][0].update(wanted=7)),
    ("a source without value", lambda report: report["records"][0]["fields"][0].update(sources=[["path"]])),
    ("half of the counts of writing", lambda report: report["objects"][0].pop("least")),
    ("a moment without zone", lambda report: report.update(generated_at="2026-01-02 03:04:05")),
]


@pytest.mark.parametrize(("name", "spoil"), MISTAKES, ids=[name for name, _ in MISTAKES])
def test_the_schema_finds_a_mistake(name: str, spoil: Callable[[dict[str, Any]], Any]) -> None:
    """Each mistake is one breach of the schema."""
    report = plain()
    report["records"] = report["records"][:12]  # the other two hundred and fifty are no different
    spoil(report)
    assert len(problems(report)) == 1


def test_the_schema_describes_everything() -> None:
    """The schema is one, and every property in it has a description."""
    Draft202012Validator.check_schema(SCHEMA)
    assert [place for place, node in properties(SCHEMA, "#") if not node.get("description")] == []


def properties(node: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of the schema with its place."""
    if isinstance(node, list):
        for position, item in enumerate(node):
            yield from properties(item, f"{at}/{position}")
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield from ((f"{at}/{name}", item) for name, item in node["properties"].items())
        for name, item in node.items():
            yield from properties(item, f"{at}/{name}")


# -- in a browser

browser = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium with a fresh profile."""
    with driven(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


class Tab:
    """A report open in the browser."""

    def __init__(self, driver: Any, path: Path) -> None:
        self.driver, self.path = driver, path

    def open(self, report: dict[str, Any], at: str = "", width: int = 1280, dark: bool = False) -> Tab:
        """Write the report and open it at a place, in a window of this width."""
        write_html(report, self.path)
        sized(self.driver, width, dark)
        self.driver.get("about:blank")
        self.driver.get(self.path.as_uri() + at)
        self.wait("Number(document.documentElement.dataset.ready) > 0")
        return self

    def js(self, text: str, *values: Any) -> Any:
        """What a piece of script gives."""
        return self.driver.execute_script(text, *values)

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other."""
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.driver, duration=0).send_keys(key).perform()

    def rows(self) -> list[str]:
        """The keys of the records in the table."""
        found: list[str] = self.js(
            "return [...document.querySelectorAll('#rows tr')].map((row) => records[row.dataset.at].key)"
        )
        return found

    def focused(self) -> str:
        """The key of the record whose row has the focus, or the focused element."""
        return str(self.js(
            "const node = document.activeElement, row = node.closest('#rows tr');"
            "return row ? records[row.dataset.at].key : `${node.tagName} ${node.id}`"
        ))  # fmt: skip

    def opened(self) -> str:
        """The key of the record that is open side by side; empty for none."""
        return str(self.js("return document.getElementById('record').open ? view.r.split('|').pop() : ''"))

    def wait(self, text: str) -> None:
        """Wait until a piece of script gives something true."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 30, 0.02).until(lambda _: self.js(f"return {text}"))


@pytest.fixture
def tab(chromium: Any, tmp_path: Path) -> Iterator[Tab]:
    """A tab; whatever a test did in it, no error was told and nothing of the text acted."""
    made = Tab(chromium, tmp_path / "report.html")
    yield made
    assert made.js("return [typeof window.pwned, performance.getEntriesByType('resource').length]") == ["undefined", 0]
    assert [entry for entry in chromium.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


FOREIGN = """
const own = new Set((
  "A B BDI BODY BUTTON CAPTION DD DETAILS DIALOG DIV DL DT FORM H1 H2 H3 H4 HEAD HEADER HTML INPUT KBD LABEL LI LINK " +
  "MAIN META NAV NOSCRIPT OL OPTION P RECT SCRIPT SECTION SELECT SPAN STRONG STYLE SUMMARY SVG TABLE TBODY TD TH " +
  "THEAD TITLE TR U UL").split(" "));
const all = [...document.querySelectorAll("*")];
const names = all.flatMap((node) => [...node.attributes].map((item) => item.name));
const addressed = all.filter((node) => node.getAttribute("href"));
return [
  ...all.filter((node) => !own.has(node.tagName.toUpperCase())).map((node) => node.tagName),
  ...names.filter((name) => name.startsWith("on") || name === "style" || name === "src"),
  ...addressed.filter((node) => !/^(#|data:,$)/.test(node.getAttribute("href"))).map((node) => node.outerHTML),
  ...(document.scripts.length === 3 ? [] : [`${document.scripts.length} scripts`]),
  ...[...document.querySelectorAll(".note *")].filter((node) => node.attributes.length).map((node) => node.outerHTML),
];
"""


@browser
def test_hostile_text_never_becomes_an_element(tab: Tab) -> None:
    """Every record with hostile text everywhere can be opened, and the page holds only its own elements."""
    tab.open(hostile())
    assert tab.js(FOREIGN) == []
    for position in range(20):
        tab.js("open(records[arguments[0]])", position)
        assert tab.js(FOREIGN) == []
    title = tab.js("open(records[0]); return document.getElementById('record-title').textContent")
    assert title == HOSTILE[0]


@browser
def test_a_note_is_shown_as_the_destination_will_without_its_attributes(tab: Tab) -> None:
    """Known tags are drawn, everything else of a note is left out, and the text as stored stands below."""
    tab.open(plain()).js("open(records[4])")
    tags = tab.js("return [...document.querySelectorAll('.note *')].map((node) => node.tagName)")
    assert tags[:3] == ["H4", "P", "B"]
    assert not {"SCRIPT", "IMG", "IFRAME", "STYLE", "SVG", "FORM", "INPUT", "LINK", "META"} & set(tags)
    assert tab.js("return document.querySelector('details .value').textContent") == NOTE
    assert tab.js(FOREIGN) == []
    tab.js("open(records[8])")
    assert tab.js("return document.querySelector('.note').textContent") == "odd"
    assert tab.js(FOREIGN) == []


@browser
def test_the_browser_itself_refuses_markup_from_text(tab: Tab) -> None:
    """Even a mistake in the script could not turn text into elements."""
    tab.open(plain())
    refused = "try { document.body.innerHTML = '<b>x</b>'; return 'taken' } catch (error) { return error.name }"
    assert tab.js(refused) == "TypeError"
    tab.driver.get_log("browser")  # the refusal is told there


@browser
@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"skipped": 2}, "Nothing had changed, "),
        ({"failed": 2, "changed": 0}, "Nothing had changed in the source, "),
        ({"failed": 2, "changed": 1}, "0 of 2 records arrived, "),
    ],
)
def test_a_delta_with_nothing_to_do_says_so(tab: Tab, counts: dict[str, int], words: str) -> None:
    """That none of two records arrived would alarm people: they are skipped, or fail, as before."""
    idle = dict.fromkeys(("arrived", "missing", "failed", "skipped", "created", "updated", "adopted", "deleted"), 0)
    made = plain()
    tab.open({**made, "command": "run --delta", "verdict": {**made["verdict"], **idle, **counts}})
    assert tab.js("return document.getElementById('verdict-title').textContent").startswith(words)


@browser
@pytest.mark.parametrize(("arrived", "more"), [(0, " Lost in records that did not arrive: 11."), (11, "")])
def test_the_verdict_says_where_fields_are_lost(tab: Tab, arrived: int, more: str) -> None:
    """Not "0 lost" above "11 lost": the second count is of all records, and says how many of them did not arrive."""
    made = plain()
    fields = {**made["verdict"]["fields"], "lost": 11}
    tab.open({**made, "verdict": {**made["verdict"], "fields": fields, "lost_in_arrived": arrived}})
    assert f"{arrived} fields lost in records that arrived" in tab.js("return document.querySelector('.tiles').textContent")
    told = tab.js("return document.querySelector('#verdict .fields').textContent")
    assert told.startswith("Fields of all records: ") and " 11 lost, " in told
    assert told.endswith(f" empty.{more}")


@browser
def test_a_verification_shows_no_count_of_writing(tab: Tab) -> None:
    """What `verify` does not count is not shown as nothing: neither above nor as columns of the objects; a run shows both."""
    for name, wrote in (("plain", True), ("verified", False)):
        tab.open(DOCUMENTS[name]())
        assert ("created" in tab.js("return byId('verdict').textContent")) is wrote
        heads = tab.js("return [...document.querySelectorAll('#objects thead th')].map((cell) => cell.textContent)")
        assert [word in heads for word in ("Records", "created", "failed", "Minimum")] == [True, wrote, wrote, wrote]
        assert tab.js("return document.querySelector('#objects tbody tr:last-child').children.length") == len(heads)


@browser
@pytest.mark.parametrize(("command", "all_arrived"), [("run", False), ("verify", False), ("run --delta", True), ("run --failed", True)])
def test_what_a_run_in_part_skips_is_not_missed(tab: Tab, command: str, all_arrived: bool) -> None:
    """Of a command that compares just what it wrote, skipped records are no part of the whole."""
    made = plain()
    made["verdict"] |= {"arrived": 5, "skipped": 2, "missing": 0, "failed": 0}
    tab.open(made | {"command": command})
    told = tab.js("return document.getElementById('verdict-title').textContent")
    assert told.startswith("All 5 records arrived, " if all_arrived else "5 of 7 records arrived, ")


@browser
def test_the_verdict_names_what_needs_attention_and_leads_to_it(tab: Tab) -> None:
    """The first lines say it in words and numbers, and a click on a record in the list opens it."""
    tab.open(plain())
    needs = tab.js("return waiting.size")
    assert f"{needs} need attention" in tab.js("return document.getElementById('verdict-title').textContent")
    tab.driver.find_element("css selector", "#attention a.open").click()
    assert tab.opened() == "rows/3"
    assert "r=object_3%7Crows%2F3" in tab.driver.current_url


@browser
def test_everything_is_reached_by_keyboard(tab: Tab) -> None:
    """`/` searches, j, k and arrows move, Enter opens, Esc closes and gives the focus back."""
    from selenium.webdriver.common.keys import Keys

    tab.open(plain())
    tab.keys("j")
    assert tab.focused() == "rows/0"
    tab.keys("j", Keys.ARROW_DOWN, "k")
    assert tab.focused() == "rows/1"
    tab.keys(Keys.ENTER)
    assert tab.opened() == "rows/1"
    tab.keys("j")
    assert tab.opened() == "rows/2"
    tab.keys(Keys.ESCAPE)
    # The browser gives the focus back first, the page's own "close" event comes a moment later.
    tab.wait("!document.getElementById('record').open && document.activeElement.closest('#rows tr')?.dataset.at === '2'")
    assert (tab.opened(), tab.focused()) == ("", "rows/2")
    tab.keys("/", *"value 42-", Keys.ENTER)
    assert (tab.focused(), len(tab.rows())) == ("rows/42", 3)
    tab.keys("/")
    assert tab.focused() == "INPUT search"


@browser
def test_moving_past_the_end_of_a_page_turns_it(tab: Tab) -> None:
    """The rows come in pages of a hundred that the keys walk through."""
    tab.open(plain(), "#page=0")
    tab.js("current = 99; focusCurrent()")
    tab.keys("j")
    assert (tab.focused(), tab.rows()[0], len(tab.rows())) == ("rows/100", "rows/100", 100)
    tab.keys("k")
    assert tab.focused() == "rows/99"
    tab.js("turn(1); turn(1)")
    assert len(tab.rows()) == 60


@browser
def test_an_open_record_keeps_the_focus(tab: Tab) -> None:
    """Tab goes round inside the record, in both directions."""
    from selenium.webdriver.common.keys import Keys

    tab.open(plain()).js("open(records[4])")
    inside = "return document.getElementById('record').contains(document.activeElement)"
    seen = set()
    for key in [Keys.TAB] * 12 + [Keys.SHIFT + Keys.TAB + Keys.SHIFT] * 12:
        tab.keys(key)
        assert tab.js(inside)
        seen.add(tab.js("return document.activeElement.textContent.slice(0, 20)"))
    assert len(seen) > 3


FILTERED = [
    pytest.param("object", "object_3", lambda row: row["object"] == "object_3", id="object"),
    pytest.param("state", "skipped", lambda row: row["state"] == "skipped", id="record-state"),
    pytest.param("field", "lost", lambda row: any(item["state"] == "lost" for item in row["fields"]), id="field-state"),
    pytest.param(
        "field", "stored_as", lambda row: any(item["state"] == "stored_as" for item in row["fields"]), id="stored-as"
    ),
    pytest.param("field", "unmapped", lambda row: bool(row["unmapped"]), id="unmapped"),
    pytest.param("reason", "no organization named", lambda row: row["reason"] == "no organization named", id="reason"),
]


@browser
@pytest.mark.parametrize(("name", "wanted", "fits"), FILTERED)
def test_records_are_filtered(tab: Tab, name: str, wanted: str, fits: Callable[[dict[str, Any]], bool]) -> None:
    """A choice leaves the records that fit it, and `Clear` brings back all."""
    from selenium.webdriver.support.select import Select

    report = plain()
    tab.open(report)
    Select(tab.driver.find_element("id", f"filter-{name}")).select_by_value(wanted)
    expected = [row["key"] for row in report["records"] if fits(row)]
    assert tab.rows() == expected[:100]
    assert f"{name}=" in tab.driver.current_url
    tab.driver.find_element("id", "clear").click()
    assert len(tab.rows()) == 100
    assert "=" not in tab.driver.current_url


SEARCHES = [
    ("AVILA 42-1", ["rows/42", "rows/142", "rows/242"]),
    ("forgotten", ["rows/5"]),
    ("0000000000", ["rows/6"]),
    ("no such thing", []),
]


@browser
@pytest.mark.parametrize(("text", "keys"), SEARCHES)
def test_records_are_searched(tab: Tab, text: str, keys: list[str]) -> None:
    """All words must occur somewhere in the record; accents and case do not matter."""
    tab.open(plain())
    tab.driver.find_element("id", "search").send_keys(text)
    tab.wait("view.q.length > 8")
    assert tab.rows() == keys


@browser
def test_an_address_brings_back_what_was_seen(tab: Tab) -> None:
    """Filters, search and the open record are in the address, and the way back works."""
    tab.open(plain(), "#r=object_3%7Crows%2F43&q=avila&object=object_3")
    assert (tab.opened(), len(tab.rows())) == ("rows/43", 13)
    assert tab.js("return ['search', 'filter-object'].map((id) => byId(id).value)") == ["avila", "object_3"]
    tab.driver.find_element("id", "close").click()
    tab.wait("!location.hash.includes('r=')")
    assert tab.focused() == "rows/43"
    tab.driver.find_element("css selector", "#rows tr:nth-child(2) td").click()
    assert tab.opened() == "rows/23"
    tab.driver.back()
    tab.wait("!document.getElementById('record').open")
    assert len(tab.rows()) == 13


ODD = ["#r=nothing%7Cat%20all", "#page=99", "#object=none&state=%3Cb%3E", "#at=nowhere", "#%E0%A4%A", "#page=-3&r="]


@browser
@pytest.mark.parametrize("address", ODD)
def test_an_address_of_another_report_does_no_harm(tab: Tab, address: str) -> None:
    """What the report does not have is passed over."""
    tab.open(plain(), address)
    assert tab.opened() == ""
    assert tab.js(FOREIGN) == []


@browser
def test_a_report_without_records_says_so(tab: Tab) -> None:
    """A full run in good order names no record; the page counts them."""
    tab.open(verified())
    assert "260 records more arrived" in tab.js("return document.getElementById('left-out').textContent")
    tab.keys("j", "/")
    assert tab.js("return document.getElementById('browser').hidden")


@browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_nothing_is_wider_than_the_window(tab: Tab, name: str, width: int, dark: bool, tmp_path: Path) -> None:
    """On a phone and on a desk, whatever the text: the body never scrolls sideways, and neither does an open record."""
    tab.open(DOCUMENTS[name](), width=width, dark=dark)
    assert tab.js(
        "return document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth"
    )
    tab.driver.save_screenshot(str(tmp_path / "page.png"))
    for position in range(20):
        over = tab.js(
            "open(records[arguments[0]]); return byId('body').scrollWidth - byId('body').clientWidth", position
        )
        assert over <= 0, position
    tab.driver.save_screenshot(str(tmp_path / "record.png"))


@browser
def test_ten_thousand_records_open(tab: Tab) -> None:
    """A large report shows its first page; how long it took is only printed here, bench/report_page.py measures it."""
    tab.open(BENCH["synthetic"](10_000))
    print(f"10,000 records usable after {tab.js('return document.documentElement.dataset.ready')} ms")
    assert len(tab.rows()) == 100
    assert tab.js("return shown.length") == 10_000


@browser
def test_a_real_report_opens(tab: Tab, example: dict[str, Any]) -> None:
    """The report of a real run shows every section, and every one of its records opens."""
    tab.open(example)
    sections = tab.js("return [...document.querySelectorAll('main > section')].map((part) => part.id)")
    assert sections == ["verdict", "money", "attention", "sample", "objects", "charts", "people", "left", "to-know", "records"]
    assert "Aceptada → won" in tab.js("return document.getElementById('charts').textContent")
    drawn = tab.js("return records.map((row) => { byId('body').replaceChildren(...recordBody(row)); return row.key })")
    assert drawn == [row["key"] for row in example["records"]]
    assert tab.js(FOREIGN) == []


@browser
@pytest.mark.parametrize(("ticks", "columns"), [([], 0), ([0], 0), ([0, 5], 2), ([0, 20], 5), ([0, 600], 41)])
def test_calls_over_time_are_drawn_from_two_stretches_on(tab: Tab, ticks: list[int], columns: int) -> None:
    """One column for each stretch, empty ones too, at most sixty; a run of under five seconds has no chart."""
    document = copy.deepcopy(plain())
    start = 1_767_323_045
    for account in document["accounts"].values():
        account["over_time"] = [[start + seconds, 3, 30.0] for seconds in ticks]
    tab.open(document)
    drawn = "return [...document.querySelectorAll('#charts svg.columns')].map((image) => image.children.length - 1)"
    assert tab.js(drawn) == ([columns] * len(document["accounts"]) if columns else [])


SHOTS = {  # picture: width, dark, what is done before it is taken
    "verdict": (1280, False, "scrollTo(0, 0)"),
    "charts": (1280, False, "byId('charts').scrollIntoView()"),
    "records": (1280, False, "byId('search').value = 'talleres'; search(); byId('records').scrollIntoView()"),
    "record": (1280, False, "open(records.find((row) => row.object === 'organizations'))"),
    "phone": (390, True, "open(records.find((row) => row.object === 'quotes'))"),
}


@browser
@pytest.mark.parametrize("name", SHOTS)
def test_pictures_of_the_docs_are_taken(tab: Tab, example: dict[str, Any], name: str, tmp_path: Path) -> None:
    """Each picture docs/report.md shows is taken of a real report; `ETL_SCREENSHOTS=docs/images` keeps them."""
    width, dark, script = SHOTS[name]
    tab.open(example, width=width, dark=dark)
    tab.js(script)
    file = Path(os.environ.get("ETL_SCREENSHOTS", tmp_path)) / f"report-{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    assert tab.driver.save_screenshot(str(file)) and file.stat().st_size > 10_000
    kept = ROOT / "docs" / "images" / file.name
    assert f"images/{file.name}" in (ROOT / "docs" / "report.md").read_text(encoding="utf-8") and kept.exists()
