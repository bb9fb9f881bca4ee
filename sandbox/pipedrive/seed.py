"""What is in the account before any tool writes to it. The same for every account of a seed."""

from __future__ import annotations

from sandbox.pipedrive.activities import ACTIVITIES
from sandbox.pipedrive.activity_types import new_type
from sandbox.pipedrive.built_in_fields import built_in, definition
from sandbox.pipedrive.call import Call
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.desk import OWNER_ID, Desk
from sandbox.pipedrive.leads import new_label
from sandbox.pipedrive.moments import ZONE
from sandbox.pipedrive.notes import blank
from sandbox.pipedrive.organizations import ORGANIZATIONS
from sandbox.pipedrive.persons import PERSONS
from sandbox.pipedrive.products import PRODUCTS
from sandbox.pipedrive.store import Record

WHEN, SQL_WHEN = "2025-03-10T09:00:00Z", "2025-03-10 09:00:00"
_THEN = {"add_time": WHEN, "update_time": WHEN}
_STAGES = ("Qualified", "Contact Made", "Demo Scheduled", "Proposal Made", "Negotiations Started")
_TYPES = (
    ("Call", "call"),
    ("Meeting", "meeting"),
    ("Task", "task"),
    ("Deadline", "deadline"),
    ("Email", "email"),
    ("Lunch", "lunch"),
)
_DOMAIN = "instalaciones-levante.example"
# The same people as in the other emulator: mixed case, one inactive, one address used twice.
_USERS = (
    ("Olga Owner", "owner@example.com", True),
    ("Lucía Ferrer", f"lucia.ferrer@{_DOMAIN}", True),
    ("Javier Ortega", f"Javier.Ortega@{_DOMAIN}", True),
    ("Marta Soler", f"marta.soler@{_DOMAIN}", False),
    ("Técnico Uno", f"tecnico@{_DOMAIN}", True),
    ("Técnico Dos", f"tecnico@{_DOMAIN}", True),
    ("Comercial", f"comercial@{_DOMAIN}", True),
)


def seed(desk: Desk) -> None:
    """Fill an empty account."""
    store = desk.store
    for at, (name, email, active) in enumerate(_USERS):
        store.insert("users", _user(at, name, email, active=active))
    for at, (name, key) in enumerate(_TYPES, 1):
        kept = new_type(name, key, at, SQL_WHEN, key=key, custom=False)
        store.insert("activity_types", kept)
    _seed_fields(desk)
    stamps: Record = {"is_deleted": False, **_THEN}
    pipeline = {"name": "Pipeline", "order_nr": 1, "is_deal_probability_enabled": False}
    home = store.insert("pipelines", {**pipeline, **stamps})
    for at, name in enumerate(_STAGES, 1):
        stage: Record = {"order_nr": at, "name": name, "deal_probability": 100}
        stage |= {"pipeline_id": home, "is_deal_rot_enabled": False, "days_to_rotten": None}
        store.insert("stages", {**stage, **stamps})
    call = Call(desk, {}, {}, b"", "", "", OWNER_ID)
    for name, colour in (("Hot", "red"), ("Cold", "blue"), ("Warm", "yellow")):
        label = {**new_label(call, name, colour), "add_time": WHEN, "update_time": WHEN}
        store.insert("lead_labels", label)
    _seed_records(call)


def _user(at: int, name: str, email: str, *, active: bool) -> Record:
    access: list[Record] = [{"app": "sales", "admin": at == 0, "permission_set_id": _set_id(1)}]
    if at == 0:
        access.append({"app": "global", "admin": True, "permission_set_id": _set_id(2)})
    if at == 1:
        # The real list leaves `admin` out for some users instead of saying false.
        del access[0]["admin"]
    return {
        "name": name,
        "default_currency": "EUR",
        "locale": "es_ES",
        "lang": 5,
        "email": email,
        "phone": None,
        "activated": True,
        "last_login": SQL_WHEN,
        "created": SQL_WHEN,
        "modified": SQL_WHEN,
        "has_created_company": at == 0,
        "access": access,
        "active_flag": active,
        "timezone_name": ZONE,
        "timezone_offset": "+01:00",
        "role_id": 1,
        "icon_url": None,
        "is_deleted": False,
    }


def _set_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def _seed_fields(desk: Desk) -> None:
    for entity in ("organization", "person", "deal", "product", "activity"):
        first = desk.store.count("options", 0) + 1
        for field in built_in(entity, first, WHEN):
            desk.store.insert("fields", field)
            desk.store.count("options", len(field["options"] or ()))
    origin = definition("deal", "Origen", desk.new_code(), "varchar", None, custom=True, when=WHEN)
    desk.store.insert("fields", origin)
    for field in built_in("project", 0, WHEN):
        desk.store.insert("fields", field)
    desk.forget_fields()


def _seed_records(call: Call) -> None:
    """A few records made by people, so that no tool may take the account for empty."""
    orgs = [
        ORGANIZATIONS.keep(call, {**ORGANIZATIONS.fresh(call), **_THEN, "name": name})
        for name in ("Talleres Aurora SL", "Comunidad Calle Mayor 12", "Hotel Bahía Azul SA")
    ]
    people = [
        _person(call, "Ana", "Beltrán", orgs[0], "ana.beltran@talleres-aurora.example"),
        _person(call, "Pablo", "Nadal", orgs[2], "compras@hotel-bahia-azul.example"),
    ]
    first = _deal(call, "Reforma cuadro eléctrico", 1850, 1, people[0], orgs[0])
    _deal(call, "Climatización", 9200, 2, people[1], orgs[2])
    product: Record = {**PRODUCTS.fresh(call), **_THEN, "name": "Hora de oficial"}
    PRODUCTS.keep(call, {**product, "code": "MO-01", "unit": "h", "tax": 21})
    note = {**blank(OWNER_ID, SQL_WHEN), "content": "<p>Llamar antes de ir.</p>"}
    call.desk.store.insert("notes", {**note, "deal_id": first})
    visit: Record = {**ACTIVITIES.fresh(call), **_THEN, "subject": "Visita previa"}
    visit |= {"type": "meeting", "deal_id": first, "org_id": orgs[0], "due_date": "2025-03-14"}
    ACTIVITIES.keep(call, visit)
    # People made these long ago: the search has known them ever since.
    call.desk.store.db.execute("UPDATE words SET since=0")


def _person(call: Call, first: str, last: str, org: int, email: str) -> int:
    person: Record = {**PERSONS.fresh(call), **_THEN, "name": f"{first} {last}"}
    person |= {"first_name": first, "last_name": last, "org_id": org}
    person["emails"] = [{"value": email, "primary": True, "label": "work"}]
    return PERSONS.keep(call, person)


def _deal(call: Call, title: str, value: int, stage: int, person: int, org: int) -> int:
    origin = call.desk.custom_fields("deal")[0]["field_code"]
    deal: Record = {**DEALS.fresh(call), **_THEN, "title": title, "value": value}
    deal |= {"pipeline_id": 1, "stage_id": stage, "person_id": person, "org_id": org}
    deal |= {"origin": "ManuallyCreated", "custom_fields": {origin: "Web"}}
    return DEALS.keep(call, deal)
