"""Users who follow a record (v2, and v1 as it is still listed)."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.pipedrive import changes, removal
from sandbox.pipedrive.call import Answer, Call, Operation, data, page
from sandbox.pipedrive.checks import fields, integer
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.entity import Entity
from sandbox.pipedrive.listing import PAGING, Cut, walk
from sandbox.pipedrive.moments import sql
from sandbox.pipedrive.organizations import ORGANIZATIONS
from sandbox.pipedrive.persons import PERSONS
from sandbox.pipedrive.products import PRODUCTS
from sandbox.pipedrive.refusals import Refused, not_found
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, listed, refused
from sandbox.pipedrive.v1 import integer as v1_integer

MOST_ROWS = 500
_body = fields({"user_id": integer()}, ("user_id",))


@dataclass(frozen=True, slots=True)
class Following:
    """The followers of one kind of record."""

    entity: Entity
    column: str
    v1_status: int = 200

    def _rows(self, call: Call, key: int) -> list[Record]:
        where = f"{self.column}=? AND is_deleted=0"
        return call.desk.store.find("followers", where, (key,))

    def _add(self, call: Call, user: int) -> Record:
        key = self.entity.need(call)["id"]
        if any(one["user_id"] == user for one in self._rows(call, key)):
            raise Refused(400, "User is already following this item")
        record = {"user_id": user, self.column: key, "add_time": call.now}
        record["id"] = call.desk.store.insert("followers", record)
        changes.came(call.desk, f"{self.entity.kind} followers", key, user, call.user_id)
        return record

    def _remove(self, call: Call, name: str) -> Record:
        key, wanted = self.entity.need(call)["id"], call.key("follower_id")
        record = next((one for one in self._rows(call, key) if one[name] == wanted), None)
        if record is None:
            raise not_found("Follower")
        removal.delete(call.desk, "followers", record)
        user = record["user_id"]
        changes.went(call.desk, f"{self.entity.kind} followers", key, user, call.user_id)
        return record

    def collection(self, call: Call) -> Answer:
        """GET all, v2."""
        cut = Cut("is_deleted=0")
        cut.add(f"{self.column}=?", self.entity.need(call)["id"])
        rows, cursor = walk(call, "followers", cut, ())
        return page([_shown(row) for row in rows], cursor)

    def create(self, call: Call) -> Answer:
        """POST, v2."""
        user = _body(call.json(), "")["user_id"]
        call.desk.need("users", user, "user_id")
        return data(_shown(self._add(call, user)), 201)

    def delete(self, call: Call) -> Answer:
        """DELETE, v2: the last part of the path is the id of the user."""
        return data({"user_id": self._remove(call, "user_id")["user_id"]})

    def v1_collection(self, call: Call) -> Answer:
        """GET all, v1."""
        rows = self._rows(call, self.entity.need(call)["id"])
        cut, additional = cut_out(call, rows, MOST_ROWS)
        return listed([self._v1_shown(row) for row in cut], additional)

    def v1_create(self, call: Call) -> Answer:
        """POST, v1."""
        body = call.object()
        if body.get("user_id") is None:
            raise refused("user_id is required")
        user = v1_integer(body["user_id"], "user_id")
        if not call.desk.store.has("users", user):
            raise not_found("User")
        return data(self._v1_shown(self._add(call, user)), self.v1_status)

    def v1_delete(self, call: Call) -> Answer:
        """DELETE, v1: the last part of the path is the id of the following itself."""
        return data({"id": self._remove(call, "id")["id"]})

    def _v1_shown(self, record: Record) -> Record:
        same = {name: record[name] for name in ("user_id", "id", self.column)}
        return {**same, "add_time": sql(record["add_time"])}

    def operations(self) -> list[Operation]:
        """Three of each version."""
        path, stem = f"/{self.entity.kind}/{{id}}/followers", f"{self.entity.operation}Follower"
        one = f"{path}/{{follower_id}}"
        return [
            Operation(f"get{stem}s", "v2", "GET", path, 10, self.collection, PAGING),
            Operation(f"add{stem}", "v2", "POST", path, 5, self.create),
            Operation(f"delete{stem}", "v2", "DELETE", one, 3, self.delete),
            Operation(f"get{stem}s v1", "v1", "GET", path, 20, self.v1_collection),
            Operation(f"add{stem} v1", "v1", "POST", path, 10, self.v1_create),
            Operation(f"delete{stem} v1", "v1", "DELETE", one, 6, self.v1_delete),
        ]


def _shown(record: Record) -> Record:
    return {"user_id": record["user_id"], "add_time": record["add_time"]}


OPERATIONS = [
    operation
    for following in (
        Following(DEALS, "deal_id"),
        Following(PERSONS, "person_id"),
        Following(ORGANIZATIONS, "org_id"),
        Following(PRODUCTS, "product_id", v1_status=201),
    )
    for operation in following.operations()
]
