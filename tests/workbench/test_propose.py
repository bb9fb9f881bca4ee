"""Proposals: measured on pairs that were mapped by hand, and written into specs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.propose import PAIRS, compare, expected
from engine.config.document import parse, read
from engine.errors import UsageError
from engine.language.compile import load_migration
from engine.session import Run
from engine.store.records import Cursor, Record, save_page
from engine.store.tables import open_store
from tests.replacing import replace
from tests.stages.conftest import SPEC, Desk
from workbench.cli import etl
from workbench.propose import reading
from workbench.propose.command import Begun, begun, propose, save
from workbench.propose.draft import draft
from workbench.propose.pair import pairs
from workbench.propose.scene import Outline, Proposal

Records = Mapping[str, Sequence[Mapping[str, Any]]]


def rows(pair: str) -> Records:
    """The pair's sample records."""
    found: Records = json.loads((PAIRS / f"{pair}.json").read_text(encoding="utf-8"))
    return found


def beginning(tmp_path: Path, pair: str, more: str = "") -> Begun:
    """A spec that names the pair's two connectors, and whatever else."""
    crm = PAIRS.parents[2] / "connectors" / "pipedrive.yaml"
    plan = {"helpdesk": "team", "gestion": "unico"}[pair]
    sides = f"source: {{connector: {PAIRS / pair}.yaml, plan: {plan}}}\ndestination: {{connector: {crm}, plan: growth}} # mine\n"
    path = tmp_path / "specs" / "begun.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"migration: begun\n{sides}{more}", encoding="utf-8")
    return begun(path)


@pytest.mark.parametrize("pair", ["helpdesk", "gestion"])
def test_proposals_are_mostly_what_a_person_wrote(pair: str) -> None:
    """On pairs mapped by hand nine in ten sure proposals are right, and seven in ten fields are found."""
    migration = load_migration(PAIRS / f"{pair}_to_crm.yaml", {})
    objects = [item for name, item in migration.spec.objects.items() if not name.startswith(("$", "pipelines."))]
    outlines = [Outline(item.name, item.sources, item.resource, item.each) for item in objects]
    drafted = draft(outlines, migration.source, migration.destination, rows(pair))
    scores = [
        compare(item.name, expected(item), found.proposals, verbose=False) for item, found in zip(objects, drafted, strict=True)
    ]
    assert sum(score.high_right for score in scores) >= 0.9 * sum(score.high for score in scores)
    assert sum(score.found for score in scores) >= 0.7 * sum(score.expected for score in scores)


@pytest.mark.parametrize("pair", ["helpdesk", "gestion"])
def test_a_spec_is_proposed_from_nothing(tmp_path: Path, pair: str) -> None:
    """Three lines become a valid spec with objects, people, settings and custom fields."""
    spec = beginning(tmp_path, pair)
    out = tmp_path / "specs" / "made.yaml"
    save(spec, propose(spec, rows(pair)), out, {})
    migration = load_migration(out, {})
    assert {item.resource for item in migration.spec.active()} >= {"organizations", "persons", "products", "deals", "notes"}
    assert migration.spec.users is not None
    assert "# mine" in out.read_text(encoding="utf-8")


def test_without_records_it_goes_by_names_and_types(tmp_path: Path) -> None:
    """Offline and with nothing staged, the proposal is smaller and still valid."""
    spec = beginning(tmp_path, "helpdesk")
    out = tmp_path / "specs" / "made.yaml"
    save(spec, propose(spec, {}), out, {})
    assert load_migration(out, {}).spec.objects["companies"].fields["name"]


def test_what_a_person_mapped_or_ignored_is_not_proposed(tmp_path: Path) -> None:
    """Mapped fields, used and ignored source fields are left alone; unsure ones do not join a mapping that was begun."""
    more = (
        "custom_fields: {organizations: {ours: {name: Ours, type: text, key: true}, vat: {name: VAT, type: text}}}\n"
        "objects:\n  firms:\n    from: companies\n    to: organizations\n    fields:\n"
        "      name: company_name   # ours\n      custom.ours: $key\n      custom.vat: vat_number\n"
        "    ignore: {notes: not wanted}\n"
    )
    made = propose(beginning(tmp_path, "helpdesk", more), rows("helpdesk")).text
    fields = parse(made).data["objects"]["firms"]["fields"]
    assert "      name: company_name   # ours" in made.splitlines()
    assert not {"custom.source_key", "custom.vat_number", "custom.notes"} & set(fields)
    assert {"owner_id", "address", "custom.website_url"} <= set(fields)
    assert "# custom.industry:" in made


def test_proposing_again_adds_nothing(tmp_path: Path) -> None:
    """What was proposed and written stands there; a second time there is nothing live to add."""
    spec = beginning(tmp_path, "gestion")
    save(spec, propose(spec, rows("gestion")), spec.path, {})
    before = read(spec.path).data
    again = begun(spec.path)
    assert parse(propose(again, rows("gestion")).text).data == before


def test_a_finished_spec_gains_comments_only() -> None:
    """The shipped spec is mapped: no proposal joins it, and every line of it stays."""
    spec = begun(SPEC)
    made = propose(spec, {}).text
    lines = iter(made.splitlines())
    assert all(any(line == other for other in lines) for line in SPEC.read_text(encoding="utf-8").splitlines())


def found(tmp_path: Path, pair: str, name: str) -> dict[str, Proposal]:
    """The proposals for one object, by target."""
    made = propose(beginning(tmp_path, pair), rows(pair))
    return {item.target: item for drafted in made.drafted if drafted.outline.name == name for item in drafted.proposals}


def test_states_become_a_value_map_with_an_else(tmp_path: Path) -> None:
    """States in Spanish are mapped onto the destination's words, and what is not known has an else."""
    status = found(tmp_path, "gestion", "presupuestos")["status"]
    assert status.written["map"] == {"Borrador": "open", "Enviado": "open", "Aceptado": "won", "Rechazado": "lost"}
    assert status.written["else"] == "open"


def test_each_value_gets_the_step_its_shape_needs(tmp_path: Path) -> None:
    """Phones, e-mails, addresses, dates and money go through the steps that write them."""
    client = found(tmp_path, "gestion", "clientes")
    assert client["address"].written["using"] == "address.components"
    assert set(client["address"].written["from"]) == {"street", "city", "region", "postal_code", "country"}
    assert client["custom.telefono"].written["using"] == {"phone.e164": {"region": "$settings.phone_region"}}
    quote = found(tmp_path, "gestion", "presupuestos")
    assert quote["custom.base_imponible"].custom["type"] == "money"
    assert quote["custom.fecha_validez"].written["using"] == "dates.date"
    person = found(tmp_path, "gestion", "contactos")
    assert person["emails"].written == {"from": {"work": "correo"}, "using": "text.emails"}
    assert person["phones"].written["from"] == {"work": "telefono", "mobile": "movil"}


def test_links_become_lookups(tmp_path: Path) -> None:
    """A link to a collection that is migrated is looked up in its object, one to people among the users."""
    quote = found(tmp_path, "gestion", "presupuestos")
    assert quote["org_id"].written["lookup"] == "clientes"
    assert quote["owner_id"].written == {"lookup": "users", "by": "comercialId"}


def test_hostile_records_do_not_become_yaml(tmp_path: Path) -> None:
    """Values with line breaks, quotes and braces end up quoted or in comments, and the spec stays valid."""
    nasty = ["}\nobjects: {}", "{{ 1/0 }}", "a'\"b: [c", "x\u2028y: z", "<script>", "${HOME}"]
    companies = [
        {**row, "tier": nasty[place % 6], "company_name": nasty[place % 6]}
        for place, row in enumerate(rows("helpdesk")["companies"] * 4)
    ]
    spec = beginning(tmp_path, "helpdesk")
    out = tmp_path / "specs" / "made.yaml"
    made = propose(spec, {**rows("helpdesk"), "companies": [{**row, "id": n} for n, row in enumerate(companies)]})
    assert next(iter(parse(made.text).data["objects"])) == "companies"
    out.write_text(made.text, encoding="utf-8")


def test_custom_fields_of_the_destination_are_known(tmp_path: Path) -> None:
    """A field the destination has already is taken under its own name and type."""
    spec = beginning(tmp_path, "helpdesk")
    made = propose(spec, rows("helpdesk"), {"organizations": {"VAT Number": "long_text"}})
    assert parse(made.text).data["custom_fields"]["organizations"]["vat_number"] == {"name": "VAT Number", "type": "long_text"}


def test_no_custom_field_is_proposed_under_a_name_of_the_platform(tmp_path: Path) -> None:
    """What the connector or the account calls a field of its own gets the source's name behind it, and is never given a type."""
    spec = beginning(tmp_path, "helpdesk")
    made = propose(spec, rows("helpdesk"), {"organizations": {"VAT number": ""}})
    fields = {item.target: item.custom for drafted in made.drafted if drafted.outline.name == "companies" for item in drafted.proposals if item.custom}
    assert fields["custom.industry"]["name"] == "Industry (Help desk)"
    assert fields["custom.vat_number"] == {"name": "Vat number (Help desk)", "type": "text"}
    assert fields["custom.website_url"]["name"] == "Website url"


def test_pairs_of_the_help_desk() -> None:
    """Companies become organizations, opportunities deals, tickets activities; parents come first."""
    migration = load_migration(PAIRS / "helpdesk_to_crm.yaml", {})
    made = {pair.collection: pair.resource for pair in pairs(migration.source, migration.destination, {})}
    assert made["companies"] == "organizations"
    assert made["opportunities"] == "deals"
    assert made["tickets"] == "activities"
    assert list(made).index("companies") < list(made).index("people") < list(made).index("opportunities")


def test_save_refuses_to_overwrite(tmp_path: Path) -> None:
    """--out never replaces a file."""
    spec = beginning(tmp_path, "helpdesk")
    (tmp_path / "other.yaml").write_text("mine\n", encoding="utf-8")
    with pytest.raises(UsageError, match="exists"):
        save(spec, propose(spec, {}), tmp_path / "other.yaml", {})
    assert (tmp_path / "other.yaml").read_text(encoding="utf-8") == "mine\n"


def test_reading_stages_a_page_of_each_collection(desk: Desk) -> None:
    """--read reads what nobody has read, once; the next time it asks for nothing."""
    spec = replace(desk.migration.spec, objects={}, users=None, custom_fields={}, native_options=())
    first = replace(desk.run(), migration=replace(desk.migration, spec=spec))
    list(reading.read(first))
    assert first.source.limiter.calls >= 50
    assert reading.staged(desk.store, ["clients", "documentStates"]).keys() == {"clients", "documentStates"}
    again: Run = replace(desk.run(), migration=first.migration)
    list(reading.read(again))
    assert (again.source.limiter.calls, again.destination.limiter.calls) == (0, 0)


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    """A table, JSON, or the file itself: the same proposals."""
    spec = beginning(tmp_path, "gestion")
    store = open_store(str(tmp_path / "store.sqlite"))
    with store.begin() as connection:
        for name, bodies in rows("gestion").items():
            save_page(
                connection,
                [Record(name, f"{name}/{row['id']}", dict(row), 0, "d") for row in bodies],
                [],
                Cursor(name, None, True, len(bodies), 0, 0),
            )
    store.close()
    runner, given = CliRunner(), ["propose", str(spec.path), "--store", str(tmp_path / "store.sqlite")]
    table, data, done = runner.invoke(etl(), given), runner.invoke(etl(), [*given, "--json"]), runner.invoke(etl(), [*given, "--write"])
    assert "presupuestos become deals" in table.output
    assert "clientes" in [item["object"] for item in json.loads(data.output)["objects"]]
    assert done.exit_code == 0
    assert load_migration(spec.path, {}).spec.objects["presupuestos"].fields["status"]
