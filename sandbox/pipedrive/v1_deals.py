"""Lists of deals that v1 still has: by product, pipeline and stage, and the archived ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive import filtering, v1_rows
from sandbox.pipedrive.call import Answer, Call, Operation
from sandbox.pipedrive.deals import STATUSES
from sandbox.pipedrive.desk import LABELS
from sandbox.pipedrive.listing import Cut, whole
from sandbox.pipedrive.participants import contact, organization
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import cut_out, listed, page, refused

MOST_ROWS = 500
_SORTS = ("add_time", "update_time")
_COLUMNS = {
    "user_id": "owner_id",
    "person_id": "person_id",
    "org_id": "org_id",
    "pipeline_id": "pipeline_id",
    "stage_id": "stage_id",
}
_SOLD = "id IN (SELECT deal_id FROM deal_products WHERE is_deleted=0 AND product_id=?)"


def _need(call: Call, kind: str) -> Record:
    return call.desk.one(kind, call.key(), LABELS[kind])


def _status(call: Call, cut: Cut) -> None:
    """Deleted deals are shown to whoever asks for them."""
    said = call.query.get("status", "all_not_deleted")
    if said not in (*STATUSES, "deleted", "all_not_deleted"):
        raise refused(f"status must be one of {', '.join(STATUSES)}, deleted, all_not_deleted")
    cut.add(f"is_deleted={int(said == 'deleted')}")
    if said in STATUSES:
        cut.add("status=?", said)


def _choose(call: Call, cut: Cut) -> None:
    """What narrows a list where no saved filter does."""
    if filtering.narrow(call, cut, "deals"):
        return
    if call.query.get("owned_by_you") == "1":
        cut.add("owner_id=?", call.user_id)
    for name, column in _COLUMNS.items():
        value = whole(call, name)
        if value is not None and not (name == "user_id" and "owned_by_you" in call.query):
            cut.add(f"{column}=?", value)


def _within(kind: str, column: str) -> Callable[[Call], Answer]:
    """The deals of a pipeline or of a stage."""

    def act(call: Call) -> Answer:
        cut = Cut("is_deleted=0", "is_archived=0")
        cut.add(f"{column}=?", _need(call, kind)["id"])
        _choose(call, cut)
        rows, additional = page(call, "deals", cut, _SORTS, MOST_ROWS)
        return listed([v1_rows.deal(call, row) for row in rows], additional)

    return act


def _archived(call: Call) -> Answer:
    cut = Cut("is_archived=1")
    _status(call, cut)
    _choose(call, cut)
    rows, additional = page(call, "deals", cut, _SORTS, MOST_ROWS)
    return listed([_full(call, row) for row in rows], additional)


def _of_product(call: Call) -> Answer:
    cut = Cut()
    cut.add(_SOLD, _need(call, "products")["id"])
    _status(call, cut)
    rows, additional = page(call, "deals", cut, _SORTS, MOST_ROWS)
    return listed([_full(call, row) for row in rows], additional)


def _full(call: Call, record: Record) -> Record:
    """A deal whose links are objects."""
    plain = v1_rows.deal(call, record)
    people = {
        name: {**v1_rows.user(call, plain[name]), "has_pic": False}
        for name in ("creator_user_id", "user_id")
    }
    person: Any = call.desk.store.get("persons", record["person_id"] or 0)
    company: Any = call.desk.store.get("organizations", record["org_id"] or 0)
    return {
        **plain,
        **people,
        "person_id": person and {**contact(person), "value": person["id"]},
        "org_id": company and {**organization(call, company), "value": company["id"]},
    }


def _products_of_person(call: Call) -> Answer:
    """Each product of each deal of a person, below the number of the deal."""
    key = _need(call, "persons")["id"]
    store, found = call.desk.store, []
    for deal in store.find("deals", "is_deleted=0 AND person_id=?", (key,)):
        for line in store.find("deal_products", "is_deleted=0 AND deal_id=?", (deal["id"],)):
            product = store.get("products", line["product_id"])
            if product is not None:
                found.append((deal, product))
    rows, additional = cut_out(call, found, MOST_ROWS)
    return listed([_pair(call, deal, product) for deal, product in rows], additional)


def _pair(call: Call, deal: Record, product: Record) -> Record:
    company = {"company_id": call.desk.company_id}
    sold = v1_rows.product(call, product)
    del sold["prices"]
    row = {name: value for name, value in v1_rows.deal(call, deal).items() if name not in _NOT_HERE}
    return {
        str(deal["id"]): {
            "deal": {**row, **company},
            "product": {**sold, **company, "deal_id": deal["id"]},
        }
    }


_NOT_HERE = (
    "is_archived", "origin", "origin_id", "channel", "channel_id", "acv", "arr", "mrr",
    "person_name", "org_name", "owner_name",
)  # fmt: skip
_PAGING = frozenset({"start", "limit"})
_CHOSEN = _PAGING | {"filter_id", "user_id", "everyone"}
_ALL = _PAGING | {"filter_id", "status", "sort", "owned_by_you", *_COLUMNS}
_READ: tuple[tuple[str, str, int, Callable[[Call], Answer], frozenset[str]], ...] = (
    ("getProductDeals", "/products/{id}/deals", 20, _of_product, _PAGING | {"status"}),
    ("getPersonProducts", "/persons/{id}/products", 20, _products_of_person, _PAGING),
    (
        "getPipelineDeals",
        "/pipelines/{id}/deals",
        20,
        _within("pipelines", "pipeline_id"),
        _CHOSEN | {"stage_id"},
    ),
    ("getStageDeals", "/stages/{id}/deals", 20, _within("stages", "stage_id"), _CHOSEN),
    ("getArchivedDeals v1", "/deals/archived", 40, _archived, _ALL),
)
OPERATIONS = [
    Operation(name, "v1", "GET", path, tokens, act, query)
    for name, path, tokens, act, query in _READ
]
