"""The effect that `etl diff` foretells is what the next delta does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine import pipeline
from engine.config.document import parse, read
from engine.language.compile import Migration, load_migration
from engine.store.links import count_drafts
from engine.store.tables import Store
from tests.stages.conftest import SPEC, Desk
from workbench.diff.differences import RENAMES, differences
from workbench.diff.effect import Effect, effect
from workbench.diff.renamed import in_old_names, renamed
from workbench.meaning import digest_of, parts
from workbench.staged import runs

Edit = Callable[[str], str]

# One edit of the shipped spec each, and the objects it must reach.
EDITS: dict[str, tuple[str, str, set[str]]] = {
    "value map": ("En curso: open, Aceptada: won, Cerrada", "En curso: won, Aceptada: won, Cerrada", {"quotes"}),
    "fixed value": ("custom.kind: {value: Service}", "custom.kind: {value: Product}", {"services"}),
    "inline template": ("under maintenance", "in maintenance", {"organizations"}),
    "steps": ("custom.comments: {from: comments, using: html.text}", "custom.comments: {from: comments, using: [html.text, text.upper]}",
              {"organizations"}),
    "condition": ("    when: {comments: {filled: true}}\n", "    when: {comments: {empty: true}}\n", {"contact_comments"}),
    "another source field": ("custom.number: full-reference\n      custom.external_id: external-id\n      custom.subject: {from: title, using: [html.text, text.squash]}\n"
                             "      custom.follows: [parent.full-reference, {from: parent-document-path, using: ids.from_path}]\n"
                             "      custom.document_date: {from: date, using: dates.date}\n      custom.validity_date",
                             "custom.number: reference\n      custom.external_id: external-id\n      custom.subject: {from: title, using: [html.text, text.squash]}\n"
                             "      custom.follows: [parent.full-reference, {from: parent-document-path, using: ids.from_path}]\n"
                             "      custom.document_date: {from: date, using: dates.date}\n      custom.validity_date", {"quotes"}),
    "dropped field": ("      custom.fax: {from: fax, using: text.squash}\n", "", {"organizations"}),
    "lookup by another field": ("owner_id: {lookup: users, by: account.agent-path}", "owner_id: {lookup: users, by: $none}",
                                {"contacts"}),
    "dropped declaration": ("    fax: {name: Fax, type: text}\n", "", set()),
    "steps of a template": ("{template: ../templates/stock.j2, using: text.strip}", "{template: ../templates/stock.j2, using: text.upper}", {"products"}),
    "rows that once held the dropped field": ("custom.website: {from: website, using: text.strip}",
                                              "custom.website: {from: website, using: text.upper}", {"organizations"}),
}  # fmt: skip


def foretold(store: Store, old: Migration, new: Migration) -> dict[str, Effect]:
    """The effect by object, told from the store alone."""
    found = differences(parts(old), parts(new))
    with runs(store, old, new) as (first, second):
        return {item.object: item for item in effect(first, second, found)}


def apply(names: Sequence[str]) -> Edit:
    """Several edits on top of each other."""

    def edit(text: str) -> str:
        for name in names:
            old, new, _ = EDITS[name]
            assert old in text, name
            text = text.replace(old, new)
        return text

    return edit


@pytest.mark.journeys
@pytest.mark.parametrize("names", [list(EDITS)[::2], list(EDITS)[1::2]], ids=["first half", "second half"])
def test_numbers_are_those_of_the_next_delta(migrated: Desk, changed: Callable[[Edit], Desk], names: list[str]) -> None:
    """Edit after edit, the delta updates and creates per object exactly the foretold numbers of rows."""
    before, rewritten = migrated.migration, 0
    for position, name in enumerate(names):
        other = changed(apply(names[: position + 1]))
        told = foretold(migrated.store, before, other.migration)
        assert set(told) == EDITS[name][2], name
        result = pipeline.delta(other.run(), yes=True)
        done = {item.object: (item.updated, item.created) for item in result.loaded if item.updated or item.created}
        wanted = {item.object: (item.rewritten, item.created) for item in told.values() if item.rewritten or item.created}
        assert done == wanted, name
        rewritten += sum(item.rewritten for item in told.values())
        before = other.migration
    assert rewritten


COUNTED = {
    "quotes": ("En curso: open, Aceptada", "En curso: won, Aceptada"),
    "account_persons": ("name: {from: [name, legal-name, full-reference], using: text.squash}\n      owner_id: {lookup: users, by: agent-path}\n      visible_to: $settings.visible_to\n      org_id",
                        "name: {from: [legal-name, name, full-reference], using: text.squash}\n      owner_id: {lookup: users, by: agent-path}\n      visible_to: $settings.visible_to\n      org_id"),
    "item_images": ("{{ image.order }} {{ image.item_image_id }}", "{{ image.item_image_id }}"),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTED)
def test_records_are_counted_as_a_run_counts_them(name: str, migrated: Desk, changed: Callable[[Edit], Desk]) -> None:
    """Records of an object, be they several of a row or of only some rows; not the rows that it is from."""
    old, new = COUNTED[name]
    other = changed(lambda text: text.replace(old, new, 1))
    told = foretold(migrated.store, migrated.migration, other.migration)[name]
    with migrated.store.begin() as connection:
        assert told.records == sum(count_drafts(connection, name).values())


def test_effect_makes_no_call(migrated: Desk, changed: Callable[[Edit], Desk]) -> None:
    """The effect is told with both accounts out of reach, and leaves drafts and links as they were."""
    before = _kept(migrated)
    other = changed(lambda text: text.replace(EDITS["value map"][0], EDITS["value map"][1]))
    with runs(migrated.store, migrated.migration, other.migration) as (first, second):
        effect(first, second, differences(parts(migrated.migration), parts(other.migration)))
        assert [run.source.limiter.calls + run.destination.limiter.calls for run in (first, second)] == [0, 0]
    assert _kept(migrated) == before


def _kept(desk: Desk) -> list[object]:
    with desk.store.begin() as connection:
        tables = ("drafts", "links", "journal")
        return [connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2").all() for table in tables]


def test_another_way_to_write_it_changes_nothing(desk: Desk, changed: Callable[[Edit], Desk]) -> None:
    """Comments, key order, other notations and labels differ in text and in nothing else."""
    def edit(text: str) -> str:
        text = text.replace("using: text.squash}", "using: [text.squash]}").replace("# -----", "# =====")
        text = text.replace("&document_title", "&heading").replace("*document_title", "*heading")
        return text.replace("Aceptada: won, Cerrada: won", "Cerrada: won, Aceptada: won")

    other = changed(edit)
    assert differences(parts(desk.migration), parts(other.migration)) == []
    assert digest_of(parts(other.migration)) == digest_of(parts(desk.migration))


def test_what_is_only_renamed_has_no_effect(sampled: Desk, changed: Callable[[Edit], Desk]) -> None:
    """An object and a field that say what they were, and a new label of a field, are renamings; the numbers are those of the rest."""

    def edit(text: str) -> str:
        text = text.replace("\n  events:\n", "\n  agenda:\n    was: events\n").replace("    fax: {name: Fax,", "    telefax: {was: fax, name: Fax,")
        return text.replace("custom.fax:", "custom.telefax:").replace("{name: Tax id,", "{name: NIF/CIF,")

    old, new = sampled.migration, changed(edit).migration
    names = renamed(old.spec, new.spec)
    found = differences(parts(old), parts(in_old_names(new, names)))
    assert [(item.kind, item.title, item.category) for item in found] == [("renamed", "custom_fields: organizations.tax_id", RENAMES)]
    assert [(item.kind, item.area, item.name) for item in names.differences()] == [
        ("renamed", "agenda", ""), ("renamed", "custom_fields", "organizations.telefax")
    ]  # fmt: skip
    with runs(sampled.store, old, in_old_names(new, names)) as (first, second):
        assert effect(first, second, found) == []


def test_a_renamed_object_is_compared_with_what_it_was(sampled: Desk, changed: Callable[[Edit], Desk]) -> None:
    """What else changed in a renamed object is foretold under its new name, in the rows it has."""

    def edit(text: str) -> str:
        text = text.replace("\n  events:\n", "\n  agenda:\n    was: events\n")
        return text.replace("Llamada: call, Reunión: meeting", "Llamada: task, Reunión: meeting")

    old, other = sampled.migration, changed(edit)
    names = renamed(old.spec, other.migration.spec)
    new = in_old_names(other.migration, names)
    found = differences(parts(old), parts(new))
    assert [item.title for item in names.in_new_names(found)] == ["agenda: type"]
    with runs(sampled.store, old, new) as (first, second):
        told = names.effects_in_new_names(effect(first, second, found))
    result = pipeline.migrate(other.run(), 60, yes=True)
    assert {item.object: item.updated for item in result.loaded if item.updated or item.created} == {"agenda": 1}
    assert {item.object: item.rewritten for item in told} == {"agenda": 1}


def test_after_a_sample_no_link_counts_as_lost(sampled: Desk, changed: Callable[[Edit], Desk]) -> None:
    """Records that nobody has drafted yet fail and come by no change: another time zone moves times and nothing else."""
    other = changed(lambda text: text.replace("timezone: Europe/Madrid", "timezone: Atlantic/Canary"))
    told = foretold(sampled.store, sampled.migration, other.migration)
    assert sum(item.rewritten for item in told.values()) > 0
    assert {name: (item.failing, item.created, item.gone) for name, item in told.items() if item.failing or item.created or item.gone} == {}
    lost = [one for item in told.values() for one in item.examples if one.before and not one.after]
    assert lost == []


def test_why_records_fail_is_told(sampled: Desk, changed: Callable[[Edit], Desk]) -> None:
    """A closed quote that is lost fails, for its `won_time` stays: the reason stands beside the number, with a record."""
    edit = changed(lambda text: text.replace("Aceptada: won, Cerrada: won", "Aceptada: won, Cerrada: lost"))
    told = foretold(sampled.store, sampled.migration, edit.migration)["quotes"]
    assert told.failing > 0 and [reason.split(":")[0] for reason in told.reasons] == ["won_time"]
    assert told.spoilt == {"won_time": told.failing}
    assert all(key.startswith("salesEstimates/") for key in told.reasons.values())


def test_another_language_changes_words_and_no_identity() -> None:
    """Pipelines and stages that are called otherwise are the same rows: their names are rewritten, and no fresh sample is asked for."""
    old, new = (load_migration(SPEC, {}), _with(SPEC, "language: en", "language: es"))
    found = {item.title: item.weight for item in differences(parts(old), parts(new))}
    assert found["$pipelines: rows"] == found["pipelines.invoices: rows"] == "data"
    assert "identity" not in found.values()


def test_a_stage_that_comes_is_a_matter_of_identity() -> None:
    """Other rows, or another order of them, ask for a fresh sample as before."""
    old, new = (load_migration(SPEC, {}), _with(SPEC, "stages: [Unpaid, Partly paid, Paid]", "stages: [Partly paid, Unpaid, Paid]"))
    found = {item.title: item.weight for item in differences(parts(old), parts(new))}
    assert found["pipelines.invoices: rows"] == "identity"


def test_lines_of_a_connector_that_begin_to_count_are_no_differences() -> None:
    """An object that is switched on is told; the lines of the connector that it brings into play are as they were."""
    old, new = (load_migration(SPEC, {}), _with(SPEC, "native_line_items: false", "native_line_items: true"))
    found = differences(parts(old), parts(new))
    assert found and not [item.title for item in found if item.area.endswith("connector")]


def _with(spec: Path, before: str, after: str) -> Migration:
    document = read(spec, str(spec))
    text = spec.read_text(encoding="utf-8")
    assert before in text
    changed = parse(text.replace(before, after), str(spec))
    return load_migration(spec, {}, replace(document, data=changed.data))
