"""The smallest plan on both sides: what does not fit is said, and stands in notes; nothing is half made."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.driving import (
    SPEC,
    SPEED,
    Pair,
    checkout,
    edit,
    etl_here,
    serve,
)

OWN = "  note: {to: notes, text: content, about: {organizations: org_id, persons: person_id, deals: deal_id}}"


def test_a_lite_account_goes_through(tmp_path: Path) -> None:
    """Refused with the counts while people's own field leaves too little room; with room for it, everything arrives and goes again."""
    at = checkout(tmp_path / "lite", plans=("lite", "lite"))
    edit(at / "connectors/stel_order.yaml", ("calls, per: 60,", f"calls, per: {60 // SPEED},"))
    with (
        serve("stel_order", "--plan", "lite", "--speed", str(SPEED), "--size", "150") as source,
        serve("pipedrive", "--plan", "lite", "--seats", "5", "--speed", str(SPEED), "--size", "150") as destination,
    ):
        env = Pair(source, destination).env
        words = ("--sample", "40", "--env", "live")
        before = destination.dump()
        refused = etl_here("run", SPEC, *words, at=at, env=env, code=4)
        assert "custom fields: the account has 1 and 30 more are to be made, but the plan lite allows 30" in refused.err
        assert "`room: 29`" in refused.err
        assert destination.dump() == before

        spec = at / SPEC
        spec.write_text(spec.read_text().replace(OWN, f"  room: 29\n{OWN}"))
        done = etl_here("run", SPEC, *words, "--json", at=at, env=env).data()
        assert done["verdict"]["missing"] == 0 and done["provisioned"]["fields_made"] == 29
        assert any("of which 29 are made, as `room` says" in notice for notice in done["notices"])
        beyond = [row for row in done["records"] if row["object"].endswith("_beyond_plan")]
        assert beyond and all(row["state"] == "arrived" for row in beyond)
        assert etl_here("run", SPEC, *words, "--json", at=at, env=env).data()["verdict"]["created"] == 0

        etl_here("rollback", SPEC, "--yes", "--env", "live", at=at, env=env, code=0)
        assert {name: len(rows) for name, rows in destination.dump().items()} == {name: len(rows) for name, rows in before.items()}
