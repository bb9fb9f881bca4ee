"""Products on deals (v2): the line items."""

from __future__ import annotations

from datetime import date

from sandbox.pipedrive import removal
from sandbox.pipedrive.billing import FREQUENCIES, MOST_CYCLES, check_billing
from sandbox.pipedrive.call import Answer, Call, Operation, data, page
from sandbox.pipedrive.checks import (
    boolean,
    day,
    fields,
    integer,
    nullable,
    number,
    one_of,
    text,
)
from sandbox.pipedrive.deals import DEALS
from sandbox.pipedrive.listing import MOST_IDS, SORTED, Cut, ids, walk
from sandbox.pipedrive.refusals import (
    Refused,
    forbidden,
    invalid,
    not_found,
    over_count,
)
from sandbox.pipedrive.store import Record

MOST_AT_ONCE = 100
MOST_RECURRING = 20
_YEARS_AWAY = 10
_PARTS = {
    "product_id": integer(),
    "item_price": number(),
    "quantity": number(),
    "tax": number(0),
    "comments": text(),
    "discount": number(0),
    "is_enabled": boolean,
    "tax_method": one_of(("exclusive", "inclusive", "none")),
    "discount_type": one_of(("percentage", "amount")),
    "product_variation_id": nullable(integer()),
    "billing_frequency": one_of(FREQUENCIES),
    "billing_frequency_cycles": nullable(integer(1, MOST_CYCLES)),
    "billing_start_date": nullable(day),
}
_create = fields(_PARTS, ("product_id", "item_price", "quantity"))
_change = fields(_PARTS)


def _sum(line: Record) -> float:
    full = line["item_price"] * line["quantity"]
    if line["discount_type"] == "percentage":
        return float(round(full * (1 - line["discount"] / 100), 2))
    return float(round(full - line["discount"], 2))


def _settle(call: Call, deal: Record, line: Record, checked: Record) -> None:
    product = call.desk.need("products", line["product_id"], "product_id")
    assert product is not None
    line["name"] = product["name"]
    if checked.get("product_variation_id") is not None:
        raise invalid("product_variation_id", "Product variation not found")
    check_billing(call, line, checked)
    start = line["billing_start_date"]
    if "billing_start_date" in checked and start is not None:
        away = abs(date.fromisoformat(start).year - int(call.now[:4]))
        if away > _YEARS_AWAY:
            raise invalid("billing_start_date", "Must be within 10 years of today")
    line["sum"] = _sum(line)
    if "tax_method" in checked:
        _one_method(call, deal["id"], line["tax_method"])


def _one_method(call: Call, deal: int, method: str) -> None:
    """The tax method of one line is that of all lines of the deal."""
    call.desk.store.db.execute(
        "UPDATE deal_products SET body=json_set(body, '$.tax_method', ?)"
        " WHERE deal_id=? AND is_deleted=0",
        (method, deal),
    )


def _lines(call: Call, deal: int) -> list[Record]:
    return call.desk.store.find("deal_products", "deal_id=? AND is_deleted=0", (deal,))


def _deal(call: Call) -> Record:
    return DEALS.need(call)


def _fresh(call: Call, deal: Record, others: list[Record], checked: Record) -> Record:
    return {
        "sum": 0,
        "tax": 0,
        "deal_id": deal["id"],
        "name": "",
        "product_id": checked["product_id"],
        "product_variation_id": None,
        "order_nr": max((one["order_nr"] for one in others), default=0) + 1,
        "add_time": call.now,
        "update_time": call.now,
        "comments": "",
        "currency": deal["currency"],
        "discount": 0,
        "discount_type": "percentage",
        "tax_method": others[0]["tax_method"] if others else "inclusive",
        "is_enabled": True,
        "billing_frequency": "one-time",
        "billing_frequency_cycles": None,
        "billing_start_date": None,
    }


def _add(call: Call, deal: Record, checked: Record) -> Record:
    others = _lines(call, deal["id"])
    most = call.desk.switches.most_lines_per_deal
    if most and len(others) >= most:
        raise over_count("product", "deal")
    line = {**_fresh(call, deal, others, checked), **checked}
    _settle(call, deal, line, checked)
    recurring = [one for one in (*others, line) if one["billing_frequency"] != "one-time"]
    if len(recurring) > MOST_RECURRING:
        raise forbidden(f"A deal can have at most {MOST_RECURRING} recurring products")
    line["id"] = call.desk.store.insert("deal_products", line)
    return line


def _total(call: Call, deal: Record) -> None:
    """With the switch on, the deal is worth the sum of its lines."""
    if call.desk.switches.line_value == "sum":
        lines = _lines(call, deal["id"])
        deal["value"] = round(sum(one["sum"] for one in lines if one["is_enabled"]), 2)
        DEALS.rewrite(call, deal)


def move(call: Call, gone: Record, kept: Record) -> None:
    """Hand the lines of a deal over to another: behind its own, in its currency and tax method."""
    own = _lines(call, kept["id"])
    for at, line in enumerate(_lines(call, gone["id"]), 1):
        line |= {"deal_id": kept["id"], "currency": kept["currency"]}
        line["order_nr"] = max((one["order_nr"] for one in own), default=0) + at
        if own:
            line["tax_method"] = own[0]["tax_method"]
        call.desk.store.replace("deal_products", line["id"], line)
    _total(call, kept)


def _create_one(call: Call) -> Answer:
    deal = _deal(call)
    line = _add(call, deal, _create(call.json(), ""))
    _total(call, deal)
    return data(line, 201)


def _create_many(call: Call) -> Answer:
    deal = _deal(call)
    body = fields({"data": lambda value, _: value}, ("data",))(call.json(), "")
    wanted = body["data"]
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST_AT_ONCE:
        raise invalid("data", f"Expected an array of 1 to {MOST_AT_ONCE} items")
    lines = []
    for at, one in enumerate(wanted):
        call.desk.store.db.execute("SAVEPOINT line")
        try:
            lines.append(_add(call, deal, _create(one, f"data[{at}]")))
        except Refused as refusal:
            call.desk.store.db.execute("ROLLBACK TO line")
            # Nobody has published what becomes of the others.
            if call.desk.switches.bulk_lines == "all":
                raise
            if call.desk.switches.bulk_lines == "before":
                _total(call, deal)
                return Answer(refusal.answer(), refusal.status, kept=True)
    _total(call, deal)
    # Nor in which order they are answered.
    if call.desk.switches.bulk_order == "reversed":
        lines.reverse()
    return data(lines, 201)


def _need(call: Call, deal: Record) -> Record:
    line = call.desk.store.get("deal_products", call.key("product_attachment_id"))
    if line is None or line["deal_id"] != deal["id"]:
        raise not_found("Deal product")
    return line


def _update(call: Call) -> Answer:
    deal = _deal(call)
    before = _need(call, deal)
    checked = _change(call.json(), "")
    if not checked:
        raise invalid("", "Request body must contain at least one field")
    line = {**before, **checked, "update_time": call.now}
    _settle(call, deal, line, checked)
    call.desk.store.replace("deal_products", line["id"], line)
    _total(call, deal)
    return data(line)


def _remove(call: Call, line: Record) -> None:
    removal.delete(call.desk, "deal_products", line)


def _delete_one(call: Call) -> Answer:
    deal = _deal(call)
    line = _need(call, deal)
    _remove(call, line)
    _total(call, deal)
    return data({"id": line["id"]})


def _delete_many(call: Call) -> Answer:
    deal = _deal(call)
    wanted = ids(call)
    lines = _lines(call, deal["id"])
    chosen = [one for one in lines if wanted is None or one["id"] in wanted][:MOST_IDS]
    for line in chosen:
        _remove(call, line)
    _total(call, deal)
    more = wanted is None and len(lines) > len(chosen)
    answer = data({"ids": [line["id"] for line in chosen]})
    answer.body["additional_data"] = {"more_items_in_collection": more}
    return answer


def _list(call: Call) -> Answer:
    deal = _deal(call)
    cut = Cut("is_deleted=0")
    cut.add("deal_id=?", deal["id"])
    return page(*walk(call, "deal_products", cut, ("add_time", "update_time", "order_nr")))


def _list_of_deals(call: Call) -> Answer:
    wanted = ids(call, "deal_ids")
    if not wanted:
        raise invalid("deal_ids", "Required parameter is missing")
    cut = Cut("is_deleted=0")
    cut.add(f"deal_id IN ({','.join('?' * len(wanted))})", *wanted)
    sorts = ("add_time", "update_time", "order_nr", "deal_id")
    return page(*walk(call, "deal_products", cut, sorts))


_ALL, _ONE = "/deals/{id}/products", "/deals/{id}/products/{product_attachment_id}"
OPERATIONS = [
    Operation(
        "getDealsProducts",
        "v2",
        "GET",
        "/deals/products",
        10,
        _list_of_deals,
        SORTED | {"deal_ids"},
    ),
    Operation("getDealProducts", "v2", "GET", _ALL, 10, _list, SORTED),
    Operation("addDealProduct", "v2", "POST", _ALL, 5, _create_one),
    Operation("deleteManyDealProducts", "v2", "DELETE", _ALL, 15, _delete_many, frozenset({"ids"})),
    Operation("addManyDealProducts", "v2", "POST", f"{_ALL}/bulk", 25, _create_many),
    Operation("updateDealProduct", "v2", "PATCH", _ONE, 5, _update),
    Operation("deleteDealProduct", "v2", "DELETE", _ONE, 3, _delete_one),
]
