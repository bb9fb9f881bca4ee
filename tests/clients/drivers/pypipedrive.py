"""pypipedrive-client, models over v1 and v2: every model's list and one row, every reading method of a row, and writes."""

from __future__ import annotations

import inspect
import json
from typing import Any

from pypipedrive import models
from pypipedrive.orm.model import Model

# model -> table of the account; the others are rows this account has none of, or definitions
TABLES = {
    "Organizations": "organizations", "Persons": "persons", "Deals": "deals", "Products": "products", "Activities": "activities",
    "Pipelines": "pipelines", "Stages": "stages", "Notes": "notes", "Files": "files", "Leads": "leads", "LeadLabels": "lead_labels",
    "ActivityTypes": "activity_types", "Filters": "filters", "Currencies": "currencies",
}  # fmt: skip
ONE = ("Organizations", "Persons", "Deals", "Products", "Activities", "Pipelines", "Stages", "Files", "Leads")
WRITES = {
    "Organizations": ({"name": "Pai SL"}, {"name": "Pai SA"}),
    "Persons": ({"name": "Ada Pai"}, {"name": "Ada B. Pai"}),
    "Deals": ({"title": "Trato"}, {"title": "Trato II"}),
    "Products": ({"name": "Tornillo"}, {"name": "Tornillo II"}),
    "Activities": ({"subject": "Llamar", "type": "call"}, {"subject": "Escribir"}),
    "LeadLabels": ({"name": "Tibio", "color": "green"}, {"name": "Templado", "color": "green"}),
    "ActivityTypes": ({"name": "Pai", "icon_key": "car"}, {"name": "Pai II", "icon_key": "car"}),
}
QUIET = {"fields", "to_record", "exists", "fetch", "download", "statistics"}
GIVEN = {
    "user_id": 1, "person_id": 1, "org_id": 1, "conversion_id": "00000000-0000-4000-8000-000000000001", "term": "Reforma",
    "deal_ids": [1], "start_date": "2026-11-01", "end_date": "2026-11-30", "interval": "month", "amount": 2, "field_key": "add_time",
}  # fmt: skip


def say(**told: Any) -> None:
    print(json.dumps(told, default=str, ensure_ascii=False), flush=True)


def attempt(name: str, call: Any, *given: Any, **named: Any) -> Any:
    try:
        found = call(*given, **named)
    except Exception as problem:
        say(call=name, outcome=f"{type(problem).__name__}: {problem}"[:300])
        return None
    say(call=name, outcome="answered")
    return found


def plain(row: Model) -> dict[str, Any]:
    return dict(row.to_record()["fields"], id=row.id) if isinstance(row, Model) else row


def reading(model: type[Model], row: Model) -> None:
    for name, method in inspect.getmembers(row, callable):
        if name.startswith(("_", "add", "delete", "update", "merge", "convert", "duplicate", "save", "batch", "from", "get", "all", "remote")):
            continue
        if name in QUIET or name not in vars(model):
            continue
        wanted = [one for one in inspect.signature(method).parameters if one in GIVEN]
        attempt(f"{model.__name__}.{name}", method, **{one: GIVEN[one] for one in wanted})


def main() -> None:
    for name in models.__all__:
        model = getattr(models, name)
        if name in ("ItemSearch", "Channels", "CallLogs", "Goals", "OrganizationRelationships"):
            continue
        rows = attempt(f"{name}.all", model.all) or []
        if name in TABLES:
            say(rows=TABLES[name], got=[plain(row) for row in rows])
        if name in ONE and rows:
            say(one=TABLES[name], got=plain(model.get(id=rows[0].id)))
        if rows and isinstance(rows[0], Model):
            reading(model, rows[0])
    attempt("CallLogs.all", models.CallLogs.all)
    attempt("OrganizationRelationships.all", models.OrganizationRelationships.all, org_id=1)
    attempt("Goals.find", getattr(models.Goals, "find", models.Goals.all))
    attempt("ItemSearch.search", models.ItemSearch.search, term="Reforma", item_types=["deal"])
    for name, (made, changed) in WRITES.items():
        model = getattr(models, name)
        row = saved(model, made)
        for key, value in changed.items():
            setattr(row, key, value)
        row.save()
        say(kept=TABLES[name], id=row.id, sent={**made, **changed})
        gone = saved(model, made)
        gone.delete()
        say(deleted=TABLES[name], id=gone.id)


def saved(model: type[Model], made: dict[str, Any]) -> Model:
    """A new row. The client stumbles over the custom fields of its answer, but knows the id by then."""
    row = model(**made)
    if attempt(f"{model.__name__}.save", row.save) is None:
        return model.get(id=row.id)
    return row


if __name__ == "__main__":
    main()
