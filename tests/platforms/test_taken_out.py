"""What is taken out of a spec, after its rows were written: it stays where it is, and nobody else is blamed for it."""

from __future__ import annotations

from pathlib import Path

from tests.platforms.conftest import Serve
from tests.platforms.fields import members, spec, values
from tests.platforms.project import Project, attention, texts
from tests.platforms.trials import addresses, firms_and_people


def without_tax() -> dict[str, object]:
    """The spec of `members` with neither the field `tax` nor its mapping."""
    found = dict(spec())
    contacts = found["objects"]["contacts"]
    fields = {name: item for name, item in contacts["fields"].items() if name != "custom.tax"}
    return {
        **found,
        "objects": {"contacts": {**contacts, "fields": fields}},
        "custom_fields": {"contacts": {"tier": found["custom_fields"]["contacts"]["tier"]}},
    }


def notices(trial: Project) -> str:
    """All that a plan tells beside its figures."""
    return "\n".join(trial.etl("plan", "--json", code=0).data()["notices"])


def test_a_custom_field_taken_out_of_the_spec_keeps_its_values(serve: Serve, tmp_path: Path) -> None:
    """Nobody edited it: no row is said to be changed by people, one notice says how many keep their value, and
    later changes of the other fields are written as before."""
    trial = members(serve, tmp_path)
    trial.full()
    before = values(trial.platform, "Tax id")
    trial.write_spec(without_tax())

    assert "the custom field 'tax' is no longer in the spec; 3 rows keep what was written" in notices(trial)
    report = trial.run("--yes", code=0)
    assert attention(report) == set()
    assert "people" not in texts(report)
    assert values(trial.platform, "Tax id") == before

    trial.platform.tables["people"][0]["tier"] = "Silver"
    report = trial.delta(code=0)
    assert attention(report) == set()
    assert values(trial.platform, "Tier")["Person 1"] == "Silver"
    assert values(trial.platform, "Tax id") == before
    assert "3 rows keep what was written" in notices(trial)


def test_a_custom_field_that_comes_back_is_ours_still(serve: Serve, tmp_path: Path) -> None:
    """Taken out, and put in again after the source changed and people edited another field: what it holds is what we wrote, and is brought up to date."""
    trial = members(serve, tmp_path)
    trial.full()
    trial.write_spec(without_tax())
    trial.run("--yes", code=0)
    trial.platform.tables["people"][1]["tax"] = "B9"
    trial.platform.tables["people"][1]["tier"] = "Gold"
    trial.delta(code=0)
    trial.platform.one("contacts", name="Person 2")["name"] = "Bea"

    trial.write_spec(spec())
    report = trial.run("--yes")
    assert "tax" not in texts(report)
    assert values(trial.platform, "Tax id") == {"Person 1": "B1", "Bea": "B9", "Person 3": "B3"}
    assert "keep what was written" not in notices(trial)


def test_a_custom_field_under_another_name_is_not_taken_out(serve: Serve, tmp_path: Path) -> None:
    """A field that the spec says had another name is carried over: nothing is told, before that or after."""
    trial = members(serve, tmp_path)
    trial.full()
    trial.write_spec(spec(tax={"name": "Tax id", "type": "text", "was": "tax"}, tax_key="vat"))
    assert "keep what was written" not in "\n".join(trial.run(code=0)["notices"])
    assert "keep what was written" not in notices(trial)


def test_a_field_that_is_no_longer_mapped_is_not_emptied_in_the_source(serve: Serve, tmp_path: Path) -> None:
    """Where the destination cannot empty it, a note says that its value stays; nobody has to look at it. What the
    source did empty needs attention as before."""
    trial = addresses(serve, tmp_path)
    trial.full()
    changed = trial.spec()
    del changed["objects"]["contacts"]["fields"]["email"]
    trial.write_spec(changed)
    trial.platform.tables["people"][1]["phone"] = None

    listed = trial.etl("plan", "--records", code=0).out
    assert "email: no longer mapped; its value stays" in listed
    report = trial.delta("--yes", code=1)
    assert attention(report) == {("contacts", "people/2")}
    told = {(item["key"], item["field"]): (item["severity"], item["text"]) for item in report["findings"]}
    assert told["people/1", "email"] == ("note", "no longer mapped; its value stays")
    assert told["people/2", "phone"][0] == "attention" and told["people/2", "phone"][1].startswith("emptied in")
    assert {row["email"] for row in trial.platform.tables["contacts"]} == {f"p{n}@example.com" for n in (1, 2, 3)}


def test_rows_of_an_object_taken_out_of_the_spec_are_counted(serve: Serve, tmp_path: Path) -> None:
    """Plan and run say how many rows are no longer kept up, and that nobody gave a reason for what is left behind."""
    trial = firms_and_people(serve, tmp_path)
    trial.full()
    changed = trial.spec()
    del changed["objects"]["contacts"]
    trial.write_spec(changed)

    planned = trial.etl("plan", "--json", code=0).data()
    assert "contacts: 3 rows are no longer kept up, for the spec has no such object" in "\n".join(planned["notices"])
    report = trial.run("--yes", code=0)
    assert "contacts: 3 rows are no longer kept up" in "\n".join(report["notices"])
    assert len(trial.platform.tables["contacts"]) == 3


def test_what_is_only_read_for_links_has_no_reason(serve: Serve, tmp_path: Path) -> None:
    """A collection that only links lead through is left behind as well, and that nobody said why is told."""
    trial = firms_and_people(serve, tmp_path)
    trial.full()
    changed = trial.spec()
    del changed["objects"]["companies"]
    contacts = changed["objects"]["contacts"]
    contacts |= {"related": {"of": {"from": "firms", "by": "firm"}}, "fields": {"name": "of.name"}}
    trial.write_spec(changed)

    planned = trial.etl("plan", "--json", code=0).data()
    (firms,) = [item for item in planned["collections_left_behind"] if item["collection"] == "firms"]
    assert (firms["rows"], firms["reason"]) == (2, "read for links; no reason given")
    assert "companies: 2 rows are no longer kept up" in "\n".join(planned["notices"])
