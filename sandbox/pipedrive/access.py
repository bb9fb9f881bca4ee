"""Who may do and see what (v1, read only here): roles, permission sets, who sees a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.listing import flag
from sandbox.pipedrive.refusals import not_found
from sandbox.pipedrive.shared_parts import default_visibility
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, listed

MOST_ROWS = 500
ROLE: Record = {"id": 1, "parent_role_id": None, "name": "(Unassigned users)"}
_VISIBLE = ("deal", "lead", "org", "person", "product")
_ACCESS = ("deal", "org", "person", "product")
# What a user may do; the second group takes an administrator.
_REGULAR = (
    "can_add_products",
    "can_add_prospects_as_leads",
    "can_bulk_edit_items",
    "can_change_visibility_of_items",
    "can_convert_deals_to_leads",
    "can_create_own_workflow",
    "can_delete_activities",
    "can_edit_products",
    "can_edit_shared_filters",
    "can_export_data_from_lists",
    "can_follow_other_users",
    "can_merge_deals",
    "can_merge_organizations",
    "can_merge_people",
    "can_modify_labels",
    "can_see_company_wide_statistics",
    "can_see_deals_list_summary",
    "can_see_hidden_items_names",
    "can_see_other_users",
    "can_see_other_users_statistics",
    "can_share_filters",
    "can_share_insights",
    "can_use_api",
    "can_use_email_tracking",
)
_ADMIN = (
    "can_add_custom_fields",
    "can_delete_custom_fields",
    "can_delete_deals",
    "can_edit_custom_fields",
    "can_edit_deals_closed_date",
    "can_see_security_dashboard",
    "can_use_import",
)
_OPEN = ("deals", "persons", "organizations", "products")
_PAGING = frozenset({"start", "limit"})


def _users(call: Call) -> list[Record]:
    return call.desk.store.find("users", "is_deleted=0", ())


def _role(call: Call) -> Record:
    """Everybody is in the one role an account begins with."""
    count = str(sum(user["role_id"] == ROLE["id"] for user in _users(call)))
    return {**ROLE, "active_flag": True, "assignment_count": count, "sub_role_count": "0"}


def _need_role(call: Call) -> Record:
    if call.key() != ROLE["id"]:
        raise not_found("Role")
    return _role(call)


def _roles(call: Call) -> Answer:
    return listed(*cut_out(call, [{**_role(call), "level": 1}], MOST_ROWS))


def _settings(call: Call) -> Record:
    """Rows are open to the whole company unless somebody narrows that."""
    everyone = default_visibility(call)
    visible = {f"{name}_default_visibility": everyone for name in _VISIBLE}
    return visible | {f"{name}_access_level": everyone for name in _ACCESS}


def _read_role(call: Call) -> Answer:
    additional = {"settings": _settings(call)}
    return Answer({"success": True, "data": _need_role(call), "additional_data": additional})


def _role_settings(call: Call) -> Answer:
    _need_role(call)
    return data(_settings(call))


def _assigned(call: Call, users: list[Record]) -> Answer:
    """Which user has which role."""
    found = [
        {
            "user_id": user["id"],
            "role_id": user["role_id"],
            "parent_role_id": ROLE["parent_role_id"],
            "name": ROLE["name"],
            "active_flag": user["active_flag"],
            "type": "1",
        }
        for user in users
    ]
    return listed(*cut_out(call, found, MOST_ROWS))


def _assignments(call: Call) -> Answer:
    key = _need_role(call)["id"]
    return _assigned(call, [user for user in _users(call) if user["role_id"] == key])


def _role_pipelines(call: Call) -> Answer:
    """Every role sees every pipeline, so that none is hidden from it."""
    _need_role(call)
    visible = flag(call, "visible") is not False
    keys = call.desk.store.ids("pipelines", "1", ()) if visible else []
    return data({"pipeline_ids": keys, "visible": visible})


def _need_user(call: Call) -> Record:
    return call.desk.one("users", call.key(), "User")


def _user_settings(call: Call) -> Answer:
    _need_user(call)
    return data(_settings(call))


def _permissions(call: Call) -> Answer:
    admin = any(one.get("admin") for one in _need_user(call)["access"])
    return data({**dict.fromkeys(_REGULAR, True), **dict.fromkeys(_ADMIN, admin)})


def _sets(call: Call) -> dict[str, Record]:
    """The permission sets that users have, by id."""
    found: dict[str, Record] = {}
    for user in _users(call):
        for one in user["access"]:
            kind = "admin" if one["app"] == "global" else "regular"
            name = f"{one['app'].capitalize()} {kind}"
            fresh = {"id": one["permission_set_id"], "name": name, "app": one["app"], "type": kind}
            found.setdefault(one["permission_set_id"], {**fresh, "assignment_count": 0})
            found[one["permission_set_id"]]["assignment_count"] += 1
    return found


def _permission_sets(call: Call) -> Answer:
    app = call.query.get("app")
    return data([one for one in _sets(call).values() if app in (None, one["app"])])


def _need_set(call: Call) -> Record:
    found = _sets(call).get(call.path["uuid"])
    if found is None:
        raise not_found("Permission set")
    return found


def _permission_set(call: Call) -> Answer:
    """One of them with what it allows; the published example has it as the only one of a list."""
    found = _need_set(call)
    allowed = sorted({*_REGULAR, *_ADMIN} if found["type"] == "admin" else _REGULAR)
    seen = {name: value for name, value in found.items() if name != "type"}
    return data([{**seen, "description": found["name"], "contents": allowed}])


def _set_assignments(call: Call) -> Answer:
    found = _need_set(call)
    rows = [
        {"user_id": user["id"], "permission_set_id": found["id"], "name": found["name"]}
        for user in _users(call)
        if any(one["permission_set_id"] == found["id"] for one in user["access"])
    ]
    return data(cut_out(call, rows, MOST_ROWS)[0])


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


_APP = frozenset({"app"})
_VISIBILITY = frozenset({"visible"})
_NONE: frozenset[str] = frozenset()
_READ = (
    ("getRoles", "/roles", 20, _roles, _PAGING),
    ("getRole", "/roles/{id}", 2, _read_role, _NONE),
    ("getRoleSettings", "/roles/{id}/settings", 20, _role_settings, _NONE),
    ("getRoleAssignments", "/roles/{id}/assignments", 10, _assignments, _PAGING),
    ("getRolePipelines", "/roles/{id}/pipelines", 20, _role_pipelines, _VISIBILITY),
    ("getUserPermissions", "/users/{id}/permissions", 10, _permissions, _NONE),
    (
        "getUserRoleAssignments",
        "/users/{id}/roleAssignments",
        10,
        lambda call: _assigned(call, [_need_user(call)]),
        _PAGING,
    ),
    ("getUserRoleSettings", "/users/{id}/roleSettings", 10, _user_settings, _NONE),
    ("getPermissionSets", "/permissionSets", 20, _permission_sets, _APP),
    ("getPermissionSet", "/permissionSets/{uuid}", 2, _permission_set, _NONE),
    (
        "getPermissionSetAssignments",
        "/permissionSets/{uuid}/assignments",
        20,
        _set_assignments,
        _PAGING,
    ),
)
OPERATIONS = [
    *(
        Operation(name, "v1", "GET", path, tokens, act, query)
        for name, path, tokens, act, query in _READ
    ),
    Operation("getLeadUsers", "v1", "GET", "/leads/{uuid}/permittedUsers", 10, _permitted(_lead)),
    *(
        Operation(
            _name(kind), "v1", "GET", f"/{kind}/{{id}}/permittedUsers", 10, _permitted(_row(kind))
        )
        for kind in _OPEN
    ),
]
