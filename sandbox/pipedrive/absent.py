"""One row of what nobody in this account has: the answer is that it is not there.

Nothing of it can be made here, so no id leads to one; the row above it must be there all the same.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.pipedrive.bare import need
from sandbox.pipedrive.call import Answer, Call, Operation
from sandbox.pipedrive.moments import is_day
from sandbox.pipedrive.refusals import invalid, not_found
from sandbox.pipedrive.v1 import integer, refused

# name, version, path, tokens, what is not there
_ROWS = (
    ("getCallLog", "v1", "/callLogs/{uuid}", 2, "Call log"),
    ("getMailMessage", "v1", "/mailbox/mailMessages/{id}", 2, "Mail message"),
    ("getMailThread", "v1", "/mailbox/mailThreads/{id}", 20, "Mail thread"),
    ("getMailThreadMessages", "v1", "/mailbox/mailThreads/{id}/mailMessages", 20, "Mail thread"),
    ("getComment", "v1", "/notes/{id}/comments/{uuid}", 2, "Comment"),
    ("getOrganizationRelationship", "v1", "/organizationRelationships/{id}", 2, "Relationship"),
    ("getProjectTemplate", "v1", "/projectTemplates/{id}", 2, "Project template"),
    ("getProjectsBoard", "v1", "/projects/boards/{id}", 2, "Board"),
    ("getProjectsPhase", "v1", "/projects/phases/{id}", 2, "Phase"),
    ("getProject", "v1", "/projects/{id}", 2, "Project"),
    ("getProjectActivities", "v1", "/projects/{id}/activities", 20, "Project"),
    ("getProjectGroups", "v1", "/projects/{id}/groups", 20, "Project"),
    ("getProjectPlan", "v1", "/projects/{id}/plan", 20, "Project"),
    ("getProjectTasks", "v1", "/projects/{id}/tasks", 20, "Project"),
    ("getTask", "v1", "/tasks/{id}", 2, "Task"),
    ("getTeam", "v1", "/legacyTeams/{id}", 2, "Team"),
    ("getTeamUsers", "v1", "/legacyTeams/{id}/users", 20, "Team"),
    ("getProjectsBoard", "v2", "/boards/{id}", 10, "Board"),
    ("getDealConversionStatus", "v2", "/deals/{id}/convert/status/{uuid}", 1, "Conversion"),
    ("getLeadConversionStatus", "v2", "/leads/{uuid}/convert/status/{conversion}", 1, "Conversion"),
    ("getPersonPicture", "v2", "/persons/{id}/picture", 1, "Picture"),
    ("getProductImage", "v2", "/products/{id}/images", 10, "Image"),
    ("getProjectsPhase", "v2", "/phases/{id}", 10, "Phase"),
    ("getProjectTemplate", "v2", "/projectTemplates/{id}", 1, "Project template"),
    ("getProject", "v2", "/projects/{id}", 1, "Project"),
    ("getProjectChangelog", "v2", "/projects/{id}/changelog", 10, "Project"),
    ("getProjectUsers", "v2", "/projects/{id}/permittedUsers", 5, "Project"),
    ("getTask", "v2", "/tasks/{id}", 1, "Task"),
)
# What may stand in the query of some of them; v1 passes over it anyway.
_QUERY = {
    "getProjectChangelog": frozenset({"cursor", "limit"}),
}


def _row(path: str, what: str) -> Callable[[Call], Answer]:
    def act(call: Call) -> Answer:
        need(call, path)
        raise not_found(what)

    return act


def _phases_v1(call: Call) -> Answer:
    integer(call.query.get("board_id"), "board_id")
    raise not_found("Board")


def _phases(call: Call) -> Answer:
    if not call.query.get("board_id", "").isdecimal():
        raise invalid("board_id", "Expected a valid integer")
    raise not_found("Board")


def _goal_results(call: Call) -> Answer:
    for name in ("period.start", "period.end"):
        if not is_day(call.query.get(name, "")):
            raise refused(f"{name} must be a date")
    raise not_found("Goal")


_BOARD = frozenset({"board_id"})
_PERIOD = frozenset({"period.start", "period.end"})
OPERATIONS = [
    Operation("getProjectsPhases", "v1", "GET", "/projects/phases", 20, _phases_v1, _BOARD),
    Operation("getProjectsPhases", "v2", "GET", "/phases", 10, _phases, _BOARD),
    Operation("getGoalResult", "v1", "GET", "/goals/{uuid}/results", 20, _goal_results, _PERIOD),
    *(
        Operation(
            name, version, "GET", path, tokens, _row(path, what), _QUERY.get(name, frozenset())
        )
        for name, version, path, tokens, what in _ROWS
    ),
]
