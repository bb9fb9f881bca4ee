"""Pipelines and their stages (v2)."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.pipedrive import removal
from sandbox.pipedrive.call import Answer, Call, Operation, data, page
from sandbox.pipedrive.checks import boolean, fields, integer, nullable, text
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.listing import SORTED, Cut, walk, whole
from sandbox.pipedrive.refusals import invalid
from sandbox.pipedrive.store import Record

_PIPELINE = {"name": text(255, filled=True), "is_deal_probability_enabled": boolean}
_STAGE = {
    "name": text(255, filled=True),
    "pipeline_id": integer(),
    "deal_probability": integer(0, 100),
    "is_deal_rot_enabled": boolean,
    "days_to_rotten": nullable(integer(1)),
}


def _need(call: Call, kind: str) -> Record:
    return call.desk.one(kind, call.key(), LABELS[kind])


def _read(kind: str) -> Callable[[Call], Answer]:
    return lambda call: data(_need(call, kind))


def _status(call: Call) -> int:
    return int(call.desk.switches.create_status)


def _last(call: Call, kind: str, where: str, *values: int) -> int:
    found = call.desk.store.find(kind, f"is_deleted=0{where}", values)
    return max((one["order_nr"] for one in found), default=0)


def _list_pipelines(call: Call) -> Answer:
    return page(*walk(call, "pipelines", Cut("is_deleted=0"), ("add_time", "update_time")))


def _add_pipeline(call: Call) -> Answer:
    body = fields(_PIPELINE, ("name",))(call.json(), "")
    record = {
        "name": body["name"],
        "order_nr": _last(call, "pipelines", "") + 1,
        "is_deleted": False,
        "is_deal_probability_enabled": body.get("is_deal_probability_enabled", False),
        "add_time": call.now,
        "update_time": call.now,
    }
    record["id"] = call.desk.store.insert("pipelines", record)
    return data(record, _status(call))


def _change(call: Call, kind: str, body: Record) -> Answer:
    if not body:
        raise invalid("", "Request body must contain at least one field")
    record = {**_need(call, kind), **body, "update_time": call.now}
    call.desk.store.replace(kind, record["id"], record)
    return data(record)


def _change_pipeline(call: Call) -> Answer:
    return _change(call, "pipelines", fields(_PIPELINE)(call.json(), ""))


def _delete_pipeline(call: Call) -> Answer:
    record = _need(call, "pipelines")
    removal.delete(call.desk, "pipelines", record)
    return data({"id": record["id"]})


def _list_stages(call: Call) -> Answer:
    cut = Cut("is_deleted=0")
    pipeline = whole(call, "pipeline_id")
    if pipeline is not None:
        cut.add("pipeline_id=?", pipeline)
    return page(*walk(call, "stages", cut, ("add_time", "update_time", "order_nr")))


def _add_stage(call: Call) -> Answer:
    body = fields(_STAGE, ("name", "pipeline_id"))(call.json(), "")
    call.desk.need("pipelines", body["pipeline_id"], "pipeline_id")
    record = {
        "order_nr": _last(call, "stages", " AND pipeline_id=?", body["pipeline_id"]) + 1,
        "name": body["name"],
        "is_deleted": False,
        "deal_probability": body.get("deal_probability", 100),
        "pipeline_id": body["pipeline_id"],
        "is_deal_rot_enabled": body.get("is_deal_rot_enabled", False),
        "days_to_rotten": body.get("days_to_rotten"),
        "add_time": call.now,
        "update_time": call.now,
    }
    record["id"] = call.desk.store.insert("stages", record)
    return data(record, _status(call))


def _change_stage(call: Call) -> Answer:
    body = fields(_STAGE)(call.json(), "")
    call.desk.need("pipelines", body.get("pipeline_id"), "pipeline_id")
    return _change(call, "stages", body)


def _delete_stage(call: Call) -> Answer:
    record = _need(call, "stages")
    removal.delete(call.desk, "stages", record)
    return data({"id": record["id"]})


_ALL, _ONE = "/pipelines", "/pipelines/{id}"
OPERATIONS = [
    Operation("getPipelines", "v2", "GET", _ALL, 5, _list_pipelines, SORTED),
    Operation("addPipeline", "v2", "POST", _ALL, 5, _add_pipeline),
    Operation("getPipeline", "v2", "GET", _ONE, 1, _read("pipelines")),
    Operation("updatePipeline", "v2", "PATCH", _ONE, 5, _change_pipeline),
    Operation("deletePipeline", "v2", "DELETE", _ONE, 3, _delete_pipeline),
    Operation("getStages", "v2", "GET", "/stages", 5, _list_stages, SORTED | {"pipeline_id"}),
    Operation("addStage", "v2", "POST", "/stages", 5, _add_stage),
    Operation("getStage", "v2", "GET", "/stages/{id}", 1, _read("stages")),
    Operation("updateStage", "v2", "PATCH", "/stages/{id}", 5, _change_stage),
    Operation("deleteStage", "v2", "DELETE", "/stages/{id}", 3, _delete_stage),
]
