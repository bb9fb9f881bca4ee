"""Who came to follow a row or take part in a deal, and who went: the newest first."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.pipedrive import changes
from sandbox.pipedrive.call import Answer, Call, Operation
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.entity import Entity
from sandbox.pipedrive.flow import paged
from sandbox.pipedrive.organizations import ORGANIZATIONS
from sandbox.pipedrive.persons import PERSONS
from sandbox.pipedrive.products import PRODUCTS
from sandbox.pipedrive.store import Record

_QUERY = frozenset({"cursor", "limit"})
_FOLLOWED = (DEALS, PERSONS, ORGANIZATIONS, PRODUCTS)


def _participant(change: Record) -> Record:
    return {
        "actor_user_id": change["user_id"],
        "person_id": int(change["new_value"]),
        "action": change["field_key"],
        "time": change["log_time"],
    }


def _follower(change: Record) -> Record:
    return {
        "actor_user_id": change["user_id"],
        "follower_user_id": int(change["new_value"]),
        "action": change["field_key"],
        "time": f"{change['log_time'].replace(' ', 'T')}Z",
    }


def _history(
    entity: Entity, what: str, shown: Callable[[Record], Record]
) -> Callable[[Call], Answer]:
    def history(call: Call) -> Answer:
        key = entity.need(call)["id"]
        rows = changes.of(call.desk, f"{entity.kind} {what}", key)
        return paged(call, rows, shown)

    return history


OPERATIONS = [
    Operation(
        "getDealParticipantsChangelog",
        "v1",
        "GET",
        "/deals/{id}/participantsChangelog",
        10,
        _history(DEALS, "participants", _participant),
        _QUERY,
    ),
    *(
        Operation(
            f"get{entity.operation}FollowersChangelog",
            "v2",
            "GET",
            f"/{entity.kind}/{{id}}/followers/changelog",
            10,
            _history(entity, "followers", _follower),
            _QUERY,
        )
        for entity in _FOLLOWED
    ),
]
