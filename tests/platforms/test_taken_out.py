"""What is taken out of a spec, after its rows were written: it stays where it is, and nobody else is blamed for it."""

from __future__ import annotations

from pathlib import Path

from tests.platforms.conftest import Serve
from tests.platforms.fields import members, spec, values
from tests.platforms.project import Project, attention, texts


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
