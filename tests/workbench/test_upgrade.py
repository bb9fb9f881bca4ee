"""Old names of keys: read as the new ones, told by `etl validate`, rewritten by `etl upgrade`, and nothing else with them."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.document import Limits, parse, read
from engine.config.renamed import RENAMED, Renamed
from engine.errors import SpecError, UsageError
from engine.language.compile import load_migration
from tests.e2e.driving import Done, etl_here
from tests.spec.test_checks import PLAIN, project
from workbench.meaning import digest_of, parts
from workbench.upgrading import rewrite, to_upgrade, upgraded
from workbench.writing import Insertion, inserted

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {path.stem: path for path in sorted((Path(__file__).parent / "upgrades").glob("*.yaml"))}
SPEC = "specs/demo.yaml"


def example(new: str, folder: Path) -> tuple[dict[str, Any], Path]:
    """A project that uses one key by its old name, and what its example says of it."""
    said: dict[str, Any] = read(EXAMPLES[new]).data
    spec = project(folder, PLAIN)
    file = folder / said["file"]
    text = file.read_text(encoding="utf-8")
    assert text.count(said["before"]) == 1
    file.write_text(text.replace(said["before"], said["with_old"]), encoding="utf-8")
    return said, spec


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a project."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.yaml"))}


def meaning(spec: Path) -> tuple[str, str, str]:
    """What an approval covers, and the digests of the spec and of its destination."""
    migration = load_migration(spec, {})
    return digest_of(parts(migration)), migration.spec.digest, migration.destination.digest


def problems(done: Done) -> list[tuple[str, int, int, str, str]]:
    """What `etl validate --json` tells."""
    told = json.loads(done.out)["problems"]
    return [(item["where"]["file"], item["where"]["line"], item["where"]["col"], item["code"], item["severity"]) for item in told]


def test_every_renamed_key_has_an_example() -> None:
    """Whoever renames a key shows a file that uses its old name; the table of the code says which keys those are."""
    assert set(EXAMPLES) == {item.new for item in RENAMED}


@pytest.mark.parametrize("new", [item.new for item in RENAMED])
def test_an_old_key_is_told_and_rewritten(new: str, tmp_path: Path) -> None:
    """It is good with a warning, `--check` finds it, `upgrade` changes this key alone, and what the migration means stays."""
    said, spec = example(new, tmp_path)
    (item,) = [item for item in RENAMED if item.new == new]
    old, before = contents(tmp_path), meaning(spec)

    told = etl_here("validate", SPEC, at=tmp_path, code=0)
    for word in (f"{said['file']}:{said['line']}:{said['col']}: warning: ", item.old, repr(new), item.since, item.until, f"etl upgrade {SPEC}"):
        assert word in told.err
    assert problems(etl_here("validate", SPEC, "--json", at=tmp_path)) == [(said["file"], said["line"], said["col"], "renamed-key", "warning")]

    checked = etl_here("upgrade", SPEC, "--check", at=tmp_path, code=1)
    assert checked.out.startswith(f"{said['file']}:{said['line']}:{said['col']}: {item.old} is {new} now\n")
    assert contents(tmp_path) == old

    done = etl_here("upgrade", SPEC, "--json", at=tmp_path, code=0)
    place = {"file": said["file"], "line": said["line"], "col": said["col"]}
    assert json.loads(done.out) == {"keys": [{**place, "old": item.old, "new": new}]}
    new_text = old[said["file"]].replace(said["with_old"].encode(), said["with_new"].encode())
    assert contents(tmp_path) == {**old, said["file"]: new_text}
    assert meaning(spec) == before

    assert etl_here("upgrade", SPEC, at=tmp_path, code=0).out == "no key has an old name\n"
    etl_here("upgrade", SPEC, "--check", at=tmp_path, code=0)
    assert contents(tmp_path) == {**old, said["file"]: new_text}
    assert problems(etl_here("validate", SPEC, "--json", at=tmp_path)) == []


@pytest.mark.parametrize("path", [*(ROOT / "connectors").glob("*.yaml"), *(ROOT / "specs").glob("*.yaml")], ids=lambda path: path.stem)
def test_what_is_shipped_has_no_old_key(path: Path) -> None:
    """What etl brings along is never rewritten in a project, so it is up to date."""
    assert read(path).old == {}


def test_the_version_in_hand_still_reads_them() -> None:
    """A key goes in the version that the table says, not before; no two rows say something of the same key."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    def number(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(".")))

    for item in RENAMED:
        assert number(item.since)[:2] <= number(version)[:2] < number(item.until)[:2]
        assert number(item.until)[1] >= number(item.since)[1] + 2 or number(item.until)[0] > number(item.since)[0]
    assert len({(item.above, item.old) for item in RENAMED}) == len(RENAMED)


def test_the_page_lists_them() -> None:
    """The table of docs/upgrading.md is that of the code."""
    page = (ROOT / "docs/upgrading.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+) \| ([0-9.]+) \| ([0-9.]+) \|$", page, re.MULTILINE)
    assert [(old, new, since, until) for old, new, _, since, until in rows] == [(item.old, item.new, item.since, item.until) for item in RENAMED]


# -- wherever a key may stand, and however it is written

TABLE = Limits(
    renamed=(
        Renamed("", "own_options", "native_options", "0.2.0", "0.4.0"),
        Renamed(r"objects\.[^.]+", "becomes", "to", "0.2.0", "0.4.0"),
        Renamed(r"objects\.[^.]+\.fields\..+", "or_else", "default", "0.2.0", "0.4.0"),
    )
)
LAYOUTS = {
    "a block": ("objects:\n  people:\n    from: clients\n    becomes: contacts # so\n    fields: {name: name}\n", 1),
    "braces": ("objects: {people: {from: clients, becomes:   contacts, fields: {name: {from: name, or_else: x}}}}\n", 2),
    "quotes": ("objects:\n  people: {\"from\": clients, 'becomes': contacts, \"fields\": {\"name\": {\"from\": name, \"or_else\": 'becomes: x'}}}\n", 2),
    "a question mark": ("objects:\n  people:\n    from: clients\n    ? becomes\n    : contacts\n    fields: {name: name}\n", 1),
    "an alias": ("objects:\n  people: &all {from: clients, becomes: contacts, fields: {name: &n {from: name, or_else: x}, job: *n}}\n", 2),
    "several on a line": (
        "own_options: {}\nobjects: {people: {becomes: contacts, from: clients, fields: {name: {or_else: a, from: name}, job: {or_else: b, from: name}}}}\n", 4,
    ),
    "names of the spec's own": ("settings: {becomes: x, or_else: y}\nobjects: {becomes: {from: clients, to: contacts, fields: {name: {from: name, or_else: $settings.becomes}}}}\n", 1),
    "the same words elsewhere": ("# becomes: no\nobjects:\n  people: # becomes\n    from: clients\n    becomes: contacts\n    label: becomes\n    fields: {name: name}\n", 1),
}  # fmt: skip
HEAD = PLAIN.partition("objects:")[0]


def text_of(path: Path) -> str:
    """A file's text, its line ends as they are."""
    return path.read_bytes().decode("utf-8")


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "marked"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_rewritten(layout: str, mark: str, ends: str, tmp_path: Path) -> None:
    """A spec reads the same before and after, whatever its layout; what is not an old key stays to the letter."""
    written, many = LAYOUTS[layout]
    spec = project(tmp_path, "")
    spec.write_bytes((mark + (HEAD + written).replace("\n", ends)).encode())
    before = read(spec, limits=TABLE)
    found = upgraded(spec, TABLE.renamed)
    assert found and len(found.keys) == many
    rewrite([found])
    after = text_of(spec)
    assert after.startswith(mark) and after.count("\ufeff") == len(mark) and after.count(ends) == after.count("\n")
    assert parse(after.removeprefix("\ufeff")).data == before.data
    assert upgraded(spec, TABLE.renamed) is None
    plain = (after.replace("native_options", "own_options").replace("to: contacts", "becomes: contacts").replace("'to'", "'becomes'")
             .replace("? to\n", "? becomes\n").replace("? to\r", "? becomes\r").replace("to:   contacts", "becomes:   contacts").replace("default", "or_else"))  # fmt: skip
    if layout != "names of the spec's own":
        assert plain == mark + (HEAD + written).replace("\n", ends)


@pytest.mark.parametrize("layout", ["a block", "braces", "quotes", "several on a line"])
def test_a_spec_with_old_keys_compiles_to_the_same(layout: str, tmp_path: Path) -> None:
    """Under its old names a spec is the migration that it is under the new ones; mistakes point at the old places."""
    spec = project(tmp_path, HEAD + LAYOUTS[layout][0].replace(", job: {or_else: b, from: name}", ""))
    old = load_migration(spec, {}, read(spec, limits=TABLE))
    found = upgraded(spec, TABLE.renamed)
    assert found
    rewrite([found])
    new = load_migration(spec, {})
    assert digest_of(parts(old)) == digest_of(parts(new)) and old.spec.digest == new.spec.digest
    spec.write_text(HEAD + "objects:\n  people:\n    from: clients\n    becomes: contakts\n    fields: {name: name}\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_migration(spec, {}, read(spec, limits=TABLE))
    assert [(item.code, item.where.line, item.where.col) for item in caught.value.diagnostics if item.where] == [("unknown-resource", 7, 5)]


WORDS = ["becomes", "from", "fields", "or_else", "note", "own_options", "x"]
values = st.recursive(
    st.sampled_from(["1", "becomes", "'or_else: y'", '"# no"', "[a, own_options]", "{becomes: or_else}"]),
    lambda inner: st.dictionaries(st.sampled_from(WORDS), inner, min_size=1, max_size=4),
    max_leaves=12,
)


def as_text(value: Any, draw: st.DrawFn, depth: int = 0) -> list[str]:
    """A tree as YAML, with quotes, comments, blank lines and braces as they come."""
    lines: list[str] = []
    for key, inner in value.items():
        quote = draw(st.sampled_from(["", "", "'", '"']))
        begin = f"{'  ' * depth}{quote}{key}{quote}:{' ' * draw(st.integers(0, 2))}"
        remark = draw(st.sampled_from(["", "", "  # becomes: or_else", " # ñ"]))
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from(["", "# own_options: 1"])))
        if isinstance(inner, str):
            lines.append(f"{begin} {inner}{remark}")
        else:
            lines += [begin + remark, *as_text(inner, draw, depth + 1)]
    return lines


@st.composite
def specs(draw: st.DrawFn) -> str:
    """A text that looks like a spec, with old names in places where they are some, and in others."""
    fields = st.dictionaries(st.sampled_from(["name", "becomes", "or_else"]), values, min_size=1, max_size=3)
    item = st.fixed_dictionaries({}, optional={"becomes": values, "from": values, "note": values, "fields": fields})
    top = st.fixed_dictionaries(
        {}, optional={"own_options": values, "note": values, "objects": st.dictionaries(st.sampled_from(["a", "becomes"]), item.filter(bool), min_size=1)}
    )
    return "\n".join(as_text(draw(top.filter(bool)), draw)) + "\n"


@given(specs())
def test_whatever_is_written_only_old_keys_change(text: str) -> None:
    """Of any text: it reads the same, every line without an old key is the same, comments stay, and once is enough."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "any.yaml"
        file.write_text(text, encoding="utf-8")
        before = read(file, limits=TABLE)
        found = upgraded(file, TABLE.renamed)
        assert (found is None) == (not before.old)
        if found is None:
            return
        rewrite([found])
        after = text_of(file)
        assert parse(after).data == before.data and parse(after, limits=TABLE).old == {}
        touched = {place.line for place in found.keys}
        old_lines, new_lines = text.split("\n"), after.split("\n")
        assert {at for at, (one, other) in enumerate(zip(old_lines, new_lines, strict=True), 1) if one != other} == touched
        assert [line.partition("#")[2] for line in old_lines if line.lstrip().startswith("#")] == [line.partition("#")[2] for line in new_lines if line.lstrip().startswith("#")]


# -- what is refused, and what is not touched

BY_HAND = {
    "escapes in the key": 'objects: {people: {from: clients, "beco\\u006des": contacts, fields: {name: name}}}\n',
    "an anchor on the key": "objects: {people: {from: clients, &k becomes: contacts, fields: {name: name}}}\n",
    "repeated where the old name has no other": "objects: {people: &p {from: clients, becomes: contacts, fields: {name: name}}}\nnote: *p\n",
}


@pytest.mark.parametrize("why", BY_HAND)
def test_what_cannot_be_rewritten_is_refused(why: str, tmp_path: Path) -> None:
    """The place and the new name are said, and the file stays as it is."""
    spec = project(tmp_path, HEAD + BY_HAND[why])
    with pytest.raises(SpecError) as caught:
        upgraded(spec, TABLE.renamed)
    assert [item.code for item in caught.value.diagnostics] == ["renamed-key"] and "'to'" in str(caught.value)
    assert text_of(spec) == HEAD + BY_HAND[why]


@pytest.mark.parametrize("both", ["  settle_after: 1\n  reconcile_after: 2\n", "  reconcile_after: 2\n  settle_after: 1\n"])
def test_both_names_in_one_mapping_are_a_mistake(both: str, tmp_path: Path) -> None:
    """Nobody knows which of the two counts: validate and upgrade end with 2, and no other file is rewritten either."""
    example("reconcile_after", tmp_path)
    other = tmp_path / "connectors/erp.yaml"
    other.write_text(other.read_text().replace("connection:\n", f"connection:\n{both}"), encoding="utf-8")
    before = contents(tmp_path)
    for command in ("validate", "upgrade"):
        done = etl_here(command, SPEC, at=tmp_path, code=2)
        assert "connectors/erp.yaml:6:3: " in done.err and "'settle_after' is its old name" in done.err and "[duplicate-key]" in done.err
    assert contents(tmp_path) == before


def test_connectors_of_others_are_told_and_left(tmp_path: Path) -> None:
    """A connector that does not lie in the project is not rewritten; the warning says to do it there."""
    _, spec = example("reconcile_after", tmp_path / "here")
    there = tmp_path / "there.yaml"
    (tmp_path / "here/connectors/crm.yaml").rename(there)
    spec.write_text(PLAIN.replace("../connectors/crm.yaml", "../../there.yaml"), encoding="utf-8")
    before = there.read_bytes()
    told = etl_here("validate", SPEC, at=tmp_path / "here", code=0)
    assert "there.yaml:5:3: warning" in told.err and "not of this project" in told.err and "etl upgrade" not in told.err
    etl_here("upgrade", SPEC, "--check", at=tmp_path / "here", code=0)
    etl_here("upgrade", SPEC, at=tmp_path / "here", code=0)
    assert there.read_bytes() == before


def test_rights_and_links_stay(tmp_path: Path) -> None:
    """A file that only its owner may read stays so; what a link leads to is rewritten, not the link."""
    example("reconcile_after", tmp_path)
    kept = tmp_path / "connectors/kept.yaml"
    (tmp_path / "connectors/crm.yaml").rename(kept)
    (tmp_path / "connectors/crm.yaml").symlink_to(kept)
    kept.chmod(0o600)
    etl_here("upgrade", SPEC, at=tmp_path, code=0)
    assert (tmp_path / "connectors/crm.yaml").is_symlink() and kept.stat().st_mode & 0o777 == 0o600
    assert "reconcile_after" in kept.read_text()
    assert [path.name for path in (tmp_path / "connectors").iterdir() if path.name.startswith(".")] == []


def with_two_old_files(folder: Path) -> dict[str, bytes]:
    """A project whose two connectors hold an old name; its files."""
    example("reconcile_after", folder)
    other = folder / "connectors/erp.yaml"
    other.write_text(other.read_text().replace("connection:\n", "connection:\n  settle_after: 1\n"), encoding="utf-8")
    return contents(folder)


@pytest.mark.parametrize("name", ["erp", "crm"])
def test_a_file_that_cannot_be_written_keeps_all_as_they_are(name: str, tmp_path: Path) -> None:
    """Nothing is replaced before every new text is on the disk; the file is named, and nothing is left beside it."""
    before = with_two_old_files(tmp_path)
    in_its_way = tmp_path / f"connectors/.{name}.yaml.new"
    in_its_way.mkdir()
    done = etl_here("upgrade", SPEC, at=tmp_path, code=2)
    assert f"connectors/{name}.yaml: cannot be written" in done.err and "no file changed" in done.err
    assert contents(tmp_path) == before
    in_its_way.rmdir()
    assert [path.name for path in (tmp_path / "connectors").iterdir() if path.name.startswith(".")] == []
    etl_here("upgrade", SPEC, at=tmp_path, code=0)
    etl_here("upgrade", SPEC, "--check", at=tmp_path, code=0)


def test_what_was_replaced_before_a_failure_is_said(tmp_path: Path) -> None:
    """Where a file cannot be replaced at the very end, those that were are named; the rest stays, and nothing beside it."""
    with_two_old_files(tmp_path)
    first, second = to_upgrade([tmp_path / SPEC])
    second.file.unlink()
    second.file.mkdir()
    with pytest.raises(UsageError) as caught:
        rewrite([first, second])
    assert str(caught.value).startswith(f"{second.file}: cannot be written") and f"only {first.file} changed" in str(caught.value)
    assert upgraded(first.file) is None
    assert [path.name for path in (tmp_path / "connectors").iterdir() if path.name.startswith(".")] == []


def test_additions_find_a_mapping_by_its_old_name() -> None:
    """What `etl propose --write` adds goes into the mapping that stands there, not into a second one."""
    text = "own_options:\n  a.b: [X]\n"
    added = inserted(text, [Insertion(("native_options", "c.d"), [5])], renamed=TABLE.renamed)
    assert added == "own_options:\n  a.b: [X]\n  c.d: [5]\n"
