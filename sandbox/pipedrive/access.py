"""Who may do and see what (v1, read only here): roles, permission sets, who sees a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.refusals import not_found
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, listed

MOST_ROWS = 500
_OPEN = ("deals", "persons", "organizations", "products")
_PAGING = frozenset({"start", "limit"})


def _users(call: Call) -> list[Record]:
    return call.desk.store.find("users", "is_deleted=0", ())


def _roles(call: Call) -> Answer:
    """Everybody is in the one role an account begins with."""
    role: Record = {"id": 1, "parent_role_id": None, "name": "(Unassigned users)", "level": 1}
    role |= {"active_flag": True, "sub_role_count": "0"}
    role["assignment_count"] = str(sum(user["role_id"] == 1 for user in _users(call)))
    return listed(*cut_out(call, [role], MOST_ROWS))


def _permission_sets(call: Call) -> Answer:
    """Those that users have."""
    found: dict[str, Record] = {}
    for user in _users(call):
        for one in user["access"]:
            kind = "admin" if one["app"] == "global" else "regular"
            name = f"{one['app'].capitalize()} {kind}"
            fresh = {"id": one["permission_set_id"], "name": name, "app": one["app"], "type": kind}
            found.setdefault(one["permission_set_id"], {**fresh, "assignment_count": 0})
            found[one["permission_set_id"]]["assignment_count"] += 1
    app = call.query.get("app")
    return data([one for one in found.values() if app in (None, one["app"])])


def _permitted(need: Callable[[Call], Any]) -> Callable[[Call], Answer]:
    """Every user who is active: rows are open to the whole company unless somebody narrows that."""

    def permitted(call: Call) -> Answer:
        record = need(call)
        users = [user["id"] for user in _users(call) if user["active_flag"]]
        # 1 is the owner and the followers alone; followers of leads do not exist.
        alone = str(record["visible_to"]) == "1"
        return data([record["owner_id"]] if alone else users)

    return permitted


def _row(kind: str) -> Callable[[Call], Any]:
    def need(call: Call) -> Any:
        record = call.desk.store.get(kind, call.key())
        if record is None:
            raise not_found(LABELS[kind])
        return record

    return need


def _lead(call: Call) -> Any:
    record = call.desk.by_uuid("leads", call.path["uuid"])
    if record is None:
        raise not_found("Lead")
    return record


def _name(kind: str) -> str:
    return f"get{kind[:-1].capitalize()}Users"


OPERATIONS = [
    Operation("getRoles", "v1", "GET", "/roles", 20, _roles, _PAGING),
    Operation(
        "getPermissionSets",
        "v1",
        "GET",
        "/permissionSets",
        20,
        _permission_sets,
        frozenset({"app"}),
    ),
    Operation("getLeadUsers", "v1", "GET", "/leads/{uuid}/permittedUsers", 10, _permitted(_lead)),
    *(
        Operation(
            _name(kind), "v1", "GET", f"/{kind}/{{id}}/permittedUsers", 10, _permitted(_row(kind))
        )
        for kind in _OPEN
    ),
]
