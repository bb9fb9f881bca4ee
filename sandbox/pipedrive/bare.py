"""What nobody in this account has: mail, calls, goals, projects, teams, webhooks, comments.

Their lists are answered as an account without any answers them, so that a client that reads
everything gets to its end. Nothing of it can be made here: no operation makes it.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.pipedrive.call import Answer, Call, Operation, page
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.listing import ids, limit
from sandbox.pipedrive.refusals import invalid, not_found
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, integer, refused

MOST_ROWS = 500
FOLDERS = ("inbox", "drafts", "sent", "archive")
_START = ("start", "limit")
_CURSOR = ("cursor", "limit")
Act = Callable[[Call], Answer]


def need(call: Call, path: str) -> None:
    """404 where the row that is asked about is not there."""
    kind = path.split("/")[1]
    if kind == "leads" and call.desk.by_uuid(kind, call.path["uuid"]) is None:
        raise not_found(LABELS[kind])
    if kind in LABELS and "{id}" in path and not call.desk.store.has(kind, call.key()):
        raise not_found(LABELS[kind])


def _plain(path: str) -> Act:
    """A list without pages."""

    def act(call: Call) -> Answer:
        need(call, path)
        return Answer({"success": True, "data": []})

    return act


def _by_start(path: str) -> Act:
    """A list in pages by start and limit."""

    def act(call: Call) -> Answer:
        need(call, path)
        rows, additional = cut_out(call, [], MOST_ROWS)
        return Answer({"success": True, "data": rows, "additional_data": additional})

    return act


def _by_cursor(path: str) -> Act:
    """A list in pages by cursor."""

    def act(call: Call) -> Answer:
        need(call, path)
        limit(call, MOST_ROWS)
        return page([], None)

    return act


def _whole(path: str) -> Act:
    """A list that has no pages, in the envelope of those that have."""

    def act(call: Call) -> Answer:
        need(call, path)
        return Answer({"success": True, "data": [], "additional_data": None})

    return act


def _of_user(_: str) -> Act:
    """The teams of a user, who must be there."""
    return _plain("/users/{id}")


def _threads(call: Call) -> Answer:
    folder = call.query.get("folder")
    if folder not in FOLDERS:
        raise refused(f"folder must be one of {', '.join(FOLDERS)}")
    rows, additional = cut_out(call, [], MOST_ROWS)
    return Answer({"success": True, "data": rows, "additional_data": additional})


def _relationships(call: Call) -> Answer:
    key = integer(call.query.get("org_id"), "org_id")
    if not call.desk.store.has("organizations", key):
        raise not_found(LABELS["organizations"])
    return Answer({"success": True, "data": []})


def _goals(_: Call) -> Answer:
    return Answer({"success": True, "data": {"goals": []}})


def _installments(call: Call) -> Answer:
    if not ids(call, "deal_ids"):
        raise invalid("deal_ids", "Required")
    limit(call, MOST_ROWS)
    return Answer({"success": True, "data": []})


def _project_search(call: Call) -> Answer:
    if len(call.query.get("term", "").strip()) < 2:
        raise invalid("term", "Must be at least 2 characters long")
    found: Record = {"items": []}
    return Answer({"success": True, "data": found, "additional_data": {"next_cursor": None}})


def _listed(
    name: str, version: str, path: str, tokens: int, make: Callable[[str], Act], *query: str
) -> Operation:
    return Operation(name, version, "GET", path, tokens, make(path), frozenset(query))


_TEAMS = ("order_by", "skip_users")
_PROJECTS = ("filter_id", "status", "phase_id", *_CURSOR)
_SEARCH = ("term", "fields", "exact_match", "person_id", "organization_id", *_CURSOR)
_CONTACTED = (("deals", "Deal"), ("persons", "Person"), ("organizations", "Organization"))
_SORTED = ("deal_ids", "sort_by", "sort_direction", *_CURSOR)
OPERATIONS = [
    _listed("getUserCallLogs", "v1", "/callLogs", 20, _by_start, *_START),
    _listed("getNoteComments", "v1", "/notes/{id}/comments", 20, _by_start, *_START),
    *(
        _listed(
            f"get{name}MailMessages",
            "v1",
            f"/{kind}/{{id}}/mailMessages",
            20,
            _by_start,
            *_START,
            "include_body",
        )
        for kind, name in _CONTACTED
    ),
    _listed("getUserFollowers", "v1", "/users/{id}/followers", 20, _plain),
    _listed("getUserFollowers", "v2", "/users/{id}/followers", 10, _by_cursor, *_CURSOR),
    _listed("getTeams", "v1", "/legacyTeams", 20, _plain, *_TEAMS),
    _listed("getUserTeams", "v1", "/legacyTeams/user/{id}", 20, _of_user, *_TEAMS),
    _listed("getWebhooks", "v1", "/webhooks", 10, _plain),
    _listed("getCompanyAddons", "v1", "/billing/subscriptions/addons", 20, _plain),
    _listed("getProjectsBoards", "v1", "/projects/boards", 20, _whole),
    _listed("getProjects", "v1", "/projects", 20, _by_cursor, *_PROJECTS, "include_archived"),
    _listed("getProjectTemplates", "v1", "/projectTemplates", 20, _by_cursor, *_CURSOR),
    _listed("getTasks", "v1", "/tasks", 20, _by_cursor, *_CURSOR, "done"),
    Operation(
        "getMailThreads",
        "v1",
        "GET",
        "/mailbox/mailThreads",
        20,
        _threads,
        frozenset({"folder", *_START}),
    ),
    Operation(
        "getOrganizationRelationships",
        "v1",
        "GET",
        "/organizationRelationships",
        20,
        _relationships,
        frozenset({"org_id"}),
    ),
    Operation("getGoals", "v1", "GET", "/goals/find", 20, _goals),
    _listed("getAdditionalDiscounts", "v2", "/deals/{id}/discounts", 10, _plain),
    _listed("getProductVariations", "v2", "/products/{id}/variations", 10, _by_cursor, *_CURSOR),
    _listed("getArchivedProjects", "v2", "/projects/archived", 10, _by_cursor, *_PROJECTS),
    _listed(
        "getProjects",
        "v2",
        "/projects",
        10,
        _by_cursor,
        *_PROJECTS,
        "deal_id",
        "person_id",
        "org_id",
    ),
    _listed("getProjectTemplates", "v2", "/projectTemplates", 10, _by_cursor, *_CURSOR),
    _listed(
        "getTasks",
        "v2",
        "/tasks",
        10,
        _by_cursor,
        *_CURSOR,
        "is_done",
        "is_milestone",
        "assignee_id",
        "project_id",
        "parent_task_id",
    ),
    _listed("getProjectsBoards", "v2", "/boards", 10, _whole),
    Operation(
        "searchProjects",
        "v2",
        "GET",
        "/projects/search",
        20,
        _project_search,
        frozenset(_SEARCH),
    ),
    Operation(
        "getInstallments", "v2", "GET", "/deals/installments", 10, _installments, frozenset(_SORTED)
    ),
]
