"""Users (v1, read only here: adding one takes a paid seat)."""

from __future__ import annotations

from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.refusals import Refused
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import flag, refused

COMPANY = {
    "company_name": "Instalaciones Levante",
    "company_domain": "instalaciones-levante",
    "company_country": "ES",
    "company_industry": "Construction",
    "language": {"language_code": "es", "country_code": "ES"},
}


def _shown(call: Call, user: Record) -> Record:
    return {**user, "is_you": user["id"] == call.user_id}


def _users(call: Call) -> list[Record]:
    return [_shown(call, one) for one in call.desk.store.find("users", "is_deleted=0", ())]


def _list(call: Call) -> Answer:
    return data(_users(call))


def _me(call: Call) -> Answer:
    user = call.desk.store.get("users", call.user_id)
    assert user is not None
    return data({**_shown(call, user), "company_id": call.desk.company_id, **COMPANY})


def _read(call: Call) -> Answer:
    user = call.desk.store.get("users", call.key())
    if user is None:
        raise Refused(404, "User not found")
    return data(_shown(call, user))


def _find(call: Call) -> Answer:
    term = call.query.get("term", "").strip().casefold()
    if not term:
        raise refused("term is required")
    field = "email" if flag(call.query.get("search_by_email", "0"), "search_by_email") else "name"
    return data([one for one in _users(call) if term in one[field].casefold()] or None)


OPERATIONS = [
    Operation("getUsers", "v1", "GET", "/users", 20, _list),
    Operation("findUsersByName", "v1", "GET", "/users/find", 40, _find),
    Operation("getCurrentUser", "v1", "GET", "/users/me", 2, _me),
    Operation("getUser", "v1", "GET", "/users/{id}", 2, _read),
]
