"""What is recorded: a sample migration, every operation the connector declares, and a second migration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.cli.environment import accounts
from engine.connector.client import Client
from engine.connector.model import Verb
from engine.errors import AuthError, NotFound, RequestRejected
from engine.extract.records import stamp
from engine.language.compile import Migration, load_migration
from engine.language.model import Const, Expr, ObjectMapping
from engine.language.model import Path as SourcePath
from engine.pipeline import Result, migrate
from engine.session import wire
from engine.store.tables import Store, open_store
from tests.contract.recorder import Exchange, record
from tests.replacing import replace

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "specs" / "stel_order_to_pipedrive.yaml"
ROWS = Path(__file__).parent / "rows.yaml"
RECORDS = 80
# The emulators' clocks run ahead of the engine's, so that no burst window is ever full: whether a call
# is answered 429 depends on the machine, and what is recorded must not.
ENVIRONMENT = {"ETL_SANDBOX_ARGS": "--speed 4"}
NOWHERE = "999999999"  # an id no row has


# Fields the second migration finds nothing for: what people empty in the source, or a changed state brings.
EMPTIED = {
    "organizations": ("address", "custom.reference"),
    "contacts": ("emails", "phones"),
    "products": ("description",),
    "invoices": ("won_time",),
    "events": ("due_time", "duration"),
}
NOTHING = SourcePath("no-such-field", ("no-such-field",))


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the migration and the round of operations sent, what emptying fields sent, and the results."""

    migration: Migration
    result: Result
    exchanges: list[Exchange]
    emptying: list[Exchange]


def wide(migration: Migration) -> Migration:
    """The migration with every object switched on, between accounts whose limits nobody reaches: what is
    written only where there is something to say is left as the plan has it."""
    spec = migration.spec
    wider = replace(
        spec,
        source=replace(spec.source, plan="unlimited"),
        destination=replace(spec.destination, plan="ultimate", seats=100),
        objects={name: replace(one, enabled=one.enabled or not one.unless_empty) for name, one in spec.objects.items()},
    )
    return replace(migration, spec=wider)


def emptied(migration: Migration) -> Migration:
    """The same migration of a source in which some fields hold nothing any more, and no invoice is paid."""
    spec = migration.spec
    objects = dict(spec.objects)
    for name, targets in EMPTIED.items():
        objects[name] = _with(objects[name], dict.fromkeys(targets, NOTHING))
    objects["invoices"] = _with(objects["invoices"], {"status": Const("open")})
    return replace(migration, spec=replace(spec, objects=objects))


def _with(mapping: ObjectMapping, given: dict[str, Expr]) -> ObjectMapping:
    changed = {target: replace(mapping.fields[target], expr=expr) for target, expr in given.items()}
    return replace(mapping, fields={**mapping.fields, **changed})


def drive(folder: Path) -> Recorded:
    """Run both migrations and the round of operations through the recorder."""
    migration = wide(load_migration(SPEC, {}))
    with (
        accounts(migration, "sandbox", ENVIRONMENT, folder / "sandbox") as found,
        record(found.destination.base_url) as recording,
        _store(folder / "store.sqlite") as store,
    ):
        target = replace(found.destination, base_url=recording.base_url)
        ends = replace(found, destination=target)
        with closing(wire(migration, ends, store, command="contract")) as run:
            result = migrate(run, RECORDS)
            _round(run.destination, folder / "contract.txt")
            stranger = Client(migration.destination, replace(target, secret="x" * 40), run.destination.limiter)
            with closing(stranger), pytest.raises(AuthError):
                stranger.check()
        so_far = len(recording.exchanges)
        with closing(wire(emptied(migration), ends, store, command="contract")) as run:
            migrate(run, RECORDS, yes=True)
    exchanges = recording.exchanges
    return Recorded(migration, result, exchanges[:so_far], exchanges[so_far:])


@contextmanager
def _store(path: Path) -> Iterator[Store]:
    store = open_store(str(path))
    try:
        yield store
    finally:
        store.close()


def _round(client: Client, file: Path) -> None:
    """Make, read, list, change and delete one row of every resource, as far as each of them can be."""
    file.write_text("contract\n", encoding="utf-8")
    rows = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    ids: dict[str, Any] = {"users": next(client.rows("users"))["id"], "category": _category(client)}
    for name, row in rows.items():
        ids["labels"] = _label(client, name)
        if "bare" in row:
            client.write(name, "create", _filled(row["bare"], ids))
        path = file if name == "files" else None
        ids[name] = _number(client.write(name, "create", _filled(row["create"], ids), file=path).id)
    for name in client.connector.resources:
        _read(client, name, ids)
    for name, row in rows.items():
        _change(client, name, row, ids)
    for name in client.connector.resources:
        _read(client, name, ids)
    for name in reversed(rows):
        parents = _filled(rows[name]["create"], ids) if name == "deal_products" else {}
        client.write(name, "delete", parents, str(ids[name]))
    _refusals(client)


def _read(client: Client, name: str, ids: dict[str, Any]) -> None:
    """Read one row, and ask its list in every way the connector declares."""
    operations = client.connector.resources[name].operations
    if "read" in operations:
        client.read(name, str(ids.get(name, 1)))
    if "list" not in operations:
        return
    listing = operations["list"]
    asked: list[dict[str, Any]] = [] if listing.ids_of else [{}]
    if listing.ids:
        asked.append({listing.ids: f"{ids['deals' if listing.ids_of else name]},{NOWHERE}"})
    if listing.since:
        asked.append({listing.since: stamp(0.0, listing.since_style)})
    given = {"status": "won", "deal_id": ids["deals"], "person_id": ids["persons"], "org_id": ids["organizations"]}
    asked += [{one: given.get(one, ids["users"])} for one in listing.filters]
    if listing.pager and listing.pager.size and not listing.ids_of:
        asked.append({listing.pager.params["limit"]: 1})
    for params in asked:
        for position, _ in enumerate(client.pages(name, params)):
            if position:
                break  # the second page is there to see its cursor or start travel
    if listing.newest_first:
        next(iter(client.pages(name, newest_first=True)))


def _change(client: Client, name: str, row: dict[str, Any], ids: dict[str, Any]) -> None:
    """Update a row, or add and remove a field's options."""
    ids["labels"] = _label(client, name)
    verbs: tuple[Verb, ...] = ("update", "add_options", "remove_options")
    for verb in verbs:
        if verb in client.connector.resources[name].operations:
            if verb == "remove_options":
                field = client.read(name, str(ids[name])) or {}
                ids["option"] = field["options"][-1]["id"]
            client.write(name, verb, _filled(row[verb], ids), str(ids[name]))


def _refusals(client: Client) -> None:
    """Answers that are no success: rows that are not there, a link to nowhere, an empty v1 list."""
    for name in ("deals", "notes", "files"):
        assert client.read(name, NOWHERE) is None
        with pytest.raises(NotFound):
            client.write(name, "delete", {}, NOWHERE)
    with pytest.raises(RequestRejected):
        client.write("persons", "create", {"name": "Nobody", "org_id": int(NOWHERE)})
    assert list(client.rows("notes", {"deal_id": NOWHERE})) == []


def _category(client: Client) -> Any:
    row = next(one for one in client.rows("productFields") if one["field_code"] == "category")
    return int(row["options"][0]["id"])  # bodies take numbers


def _label(client: Client, name: str) -> Any:
    """A label of a resource, made if there is none; labels are options of a built-in field."""
    kind = client.connector.resources[name]
    if kind.custom is None or "label_ids" not in kind.fields:
        return None
    fields = {row["field_code"]: row for row in client.rows(kind.custom.resource)}
    if not fields["label_ids"]["options"]:
        client.write(kind.custom.resource, "add_options", [{"label": "Contract"}], "label_ids")
        fields = {row["field_code"]: row for row in client.rows(kind.custom.resource)}
    return int(fields["label_ids"]["options"][0]["id"])  # bodies take numbers


def _number(text: str) -> Any:
    return int(text) if text.isdigit() else text


def _filled(value: Any, ids: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, ids) for item in value]
    return ids[value[1:]] if isinstance(value, str) and value.startswith("$") else value
