"""Which rows are taken, and who sees them, is said in the diff, in the mapping document and in cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.driving import SPEC, checkout, etl_here

OTHERWISE = ("inactive_items: false", "inactive_items: true"), ('visible_to: ""', "visible_to: 3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped migration, and beside it one with the settings the other way."""
    at = checkout(tmp_path_factory.mktemp("taken") / "shipped")
    other = checkout(at / "other", *OTHERWISE)
    (at / "specs/other.yaml").write_text((other / SPEC).read_text(encoding="utf-8"), encoding="utf-8")
    return at


def test_the_diff_says_which_rows_are_taken_and_who_sees_them(folder: Path) -> None:
    """Inactive rows that are taken from now on are a change of what arrives, who sees rows is one of their values."""
    text = etl_here("diff", SPEC, "specs/other.yaml", at=folder, code=0).out
    for name in ("products: left out of products", "services: left out of services"):
        assert f"- {name}\n      rows that are inactive → (nothing)" in text
    assert "~ settings: visible_to\n      (nothing) → 3" in text


def test_the_mapping_document_says_it_too(folder: Path) -> None:
    """As shipped, marked rows are left out and nothing is sent for who sees them."""
    told = {}
    for name in (SPEC, "specs/other.yaml"):
        etl_here("docs", name, "--out", "mapping.md", at=folder, code=0)
        told[name] = (folder / "mapping.md").read_text(encoding="utf-8")
    assert "Rows that are marked as inactive are left out." in told[SPEC]
    assert "marked as inactive" not in told["specs/other.yaml"]
    assert "to (empty)" in told[SPEC] and "to (3)" in told["specs/other.yaml"]


def test_a_file_of_cases_may_change_settings_for_all_of_them(folder: Path) -> None:
    """The shipped cases hold in whatever language the migration speaks; a case still has the last word."""
    at = checkout(folder / "spanish", ("language: en", "language: es"))
    assert ", 0 failed" in etl_here("test", SPEC, at=at, code=0).out
    path = at / "specs/stel_order_to_pipedrive.test.yaml"
    record = "records: {products: [{id: 1, name: Bomba, inactive: true}]}"
    path.write_text(
        f"settings: {{inactive_items: true}}\ncases:\n  - case: taken\n    {record}\n"
        "    expect: {products: {products/1: {fields: {name: Bomba}}}}\n"
        f"  - case: left out\n    settings: {{inactive_items: false}}\n    {record}\n"
        "    expect: {products: {products/1: {state: absent}}}\n",
        encoding="utf-8",
    )
    assert "2 passed, 0 failed" in etl_here("test", SPEC, at=at, code=0).out
    path.write_text(path.read_text(encoding="utf-8").replace("settings: {inactive_items: true}", "settings: {inactive_itmes: true}", 1), encoding="utf-8")
    assert "test.yaml:1:12: " in etl_here("test", SPEC, at=at, code=2).err


def test_a_case_may_change_settings(folder: Path) -> None:
    """Its records are mapped with them, those of the next case are not; a setting that there is not is a mistake at its place."""
    record = "records: {products: [{id: 1, name: Bomba, inactive: true}]}"
    text = (
        f"cases:\n  - case: taken\n    settings: {{inactive_items: true, visible_to: 3}}\n    {record}\n"
        "    expect: {products: {products/1: {fields: {visible_to: 3}}}}\n"
        f"  - case: left out\n    {record}\n    expect: {{products: {{products/1: {{state: absent}}}}}}\n"
    )
    path = folder / "specs/stel_order_to_pipedrive.test.yaml"
    path.write_text(text, encoding="utf-8")
    assert "2 passed, 0 failed" in etl_here("test", SPEC, at=folder, code=0).out
    path.write_text(text.replace("inactive_items: true", "inactive_itmes: true"), encoding="utf-8")
    done = etl_here("test", SPEC, at=folder, code=2)
    assert "test.yaml:3:16: " in done.err and "inactive_items" in done.err
