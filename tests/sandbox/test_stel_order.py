"""The STEL Order emulator answers reads as the reference says, over real loopback HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sandbox.stel_order.records import COLLECTIONS
from tests import loopback
from tests.sandbox.stel_order_account import Account, Record, account


@pytest.fixture(scope="module")
def stel() -> Iterator[Account]:
    """An account of the default size that no test changes."""
    with account() as opened:
        yield opened


def test_key_is_accepted_in_header_query_and_form(stel: Account) -> None:
    """Each of the three places for the key must do."""
    bare = loopback.client(base_url=stel.http.base_url)
    with bare:
        assert bare.get("rates", headers={"APIKEY": stel.key}).status_code == 200
        assert bare.get("rates", params={"APIKEY": stel.key}).status_code == 200
        assert bare.request("GET", "rates", data={"APIKEY": stel.key}).status_code == 200


def test_wrong_key_is_refused_except_for_error_codes(stel: Account) -> None:
    """A bad key gets E000004, yet /errorCodes answers it."""
    with loopback.client(base_url=stel.http.base_url, headers={"APIKEY": "wrong"}) as stranger:
        answer = stranger.get("clients")
        assert (answer.status_code, answer.json()[0]["error-code"]) == (401, "E000004")
        codes = stranger.get("errorCodes").json()
    assert [row["error-code"] for row in codes] == [f"E{n:06d}" for n in range(1, 19)]


def test_list_is_a_bare_array_of_a_hundred_at_most(stel: Account) -> None:
    """Without limit a list holds 100 rows; above 500 the limit is capped."""
    with account("--size", "9000") as big:
        assert len(big.get("clients")) == 100
        assert len(big.get("clients", limit=501)) == 500
    assert isinstance(stel.get("clients"), list)
    assert stel.get("clients", start=100_000) == []


@pytest.mark.parametrize("limit", [7, 100, 500])
def test_paging_yields_each_row_once(stel: Account, limit: int) -> None:
    """Whatever the page size, the pages of every collection are its live rows, each once."""
    dumped: dict[str, list[Record]] = {name: [] for name in COLLECTIONS}
    for line in stel.control("dump").text.splitlines():
        entry = json.loads(line)
        dumped[entry["resource"]].append(entry["record"])
    assert set(dumped) == set(COLLECTIONS)
    for collection, rows in dumped.items():
        for row in rows:
            row.pop("rate-id", None) if collection.endswith(("lients", "suppliers")) else None
        assert stel.everything(collection, limit) == rows, collection
        idents = [row["id"] for row in rows if "id" in row]
        assert len(set(idents)) == len(idents) == len(rows) * (collection != "productWarehouses")


@pytest.mark.parametrize(
    "params",
    [
        {"offset": 100},
        {"date-from": "2025-01-01T00:00:00+0000"},
        {"sort": "id:asc"},
        {"sort": "creation-date"},
        {"sort": "original-element-id:asc"},
        {"limit": "x"},
        {"limit": 0},
        {"start": -1},
        {"id": 1200101},
        {"main-address": 1},
        {"rate-id": 2807},
        {"utc-last-modification-date": "2025-03-04"},
        {"creation-date": "ayer"},
        {"agent-id": "Lucía"},
        {"agent-id": "nan"},
        {"agent-id": "in:8100,"},
        {"limit": "9" * 5_000},
        {"sort": ":"},
        {"creation-date": "2025-13-01T00:00:00+0000"},
    ],
)
def test_unsupported_parameters_are_refused(stel: Account, params: Record) -> None:
    """Nothing unknown or malformed is ignored: 400 with E000003."""
    (error,) = stel.get("clients", status=400, **params)
    assert error["error-code"] == "E000003"


def test_products_refuse_the_modification_filter(stel: Account) -> None:
    """Products alone do not take the lower bound on their stamp."""
    since = {"utc-last-modification-date": "2020-01-01T00:00:00+0000"}
    assert stel.get("products", status=400, **since)[0]["error-code"] == "E000003"
    assert len(stel.everything("services", **since)) <= len(stel.everything("services"))


@pytest.mark.parametrize(
    "collection", ["clients", "salesOrders", "ordinaryInvoiceReceipts", "events"]
)
def test_modification_bound_is_inclusive(stel: Account, collection: str) -> None:
    """The bound holds for the stamp itself, and for an offset other than zero."""
    field = "utc-last-modification-date"
    rows = stel.everything(collection)
    middle = sorted(row[field] for row in rows)[len(rows) // 2]
    wanted = [row for row in rows if row[field] >= middle]
    assert stel.everything(collection, **{field: middle}) == wanted
    with account("--set", "modified_bound=exclusive") as strict:
        later = [row for row in rows if row[field] > middle]
        assert strict.everything(collection, **{field: middle}) == later


@pytest.mark.parametrize(
    "collection", ["products", "clients", "workOrders", "ordinaryInvoiceReceipts"]
)
def test_sorting_orders_all_pages(stel: Account, collection: str) -> None:
    """Sorted pages hold the same rows, in order, in both directions."""
    rows = stel.everything(collection)
    fields = {"utc-last-modification-date", "creation-date", "original-element-id"} & set(rows[0])
    for field in fields:
        up = stel.everything(collection, 9, sort=f"{field}:asc")
        assert up == sorted(rows, key=lambda row: row[field])
        down = stel.everything(collection, 9, sort=f"{field}:desc")
        assert down == up[::-1]


@pytest.mark.parametrize(
    ("collection", "field"),
    [
        ("contacts", "account-id"),
        ("ordinaryInvoices", "account-id"),
        ("ordinaryInvoiceReceipts", "original-element-id"),
        ("ordinaryInvoiceReceipts", "paid"),
        ("salesDeliveryNotes", "full-reference"),
        ("workOrders", "reference"),
        ("events", "event-state"),
        ("incidents", "priority"),
        ("assets", "serial-number"),
        ("products", "sales-price"),
        ("documentStates", "type"),
        ("workOrders", "date"),
    ],
)
def test_equality_filter_finds_exactly_the_matching_rows(
    stel: Account, collection: str, field: str
) -> None:
    """A filter answers what comparing every row would."""
    rows = stel.everything(collection)
    values = {row[field] for row in rows[:12]} - {None}
    for value in values:
        asked = str(value).lower() if isinstance(value, bool) else value
        assert stel.everything(collection, **{field: asked}) == [
            r for r in rows if r[field] == value
        ]


def test_several_values_and_null_tests(stel: Account) -> None:
    """in: takes any of its values; the null words part the rows in two."""
    rows = stel.everything("contacts")
    two = f"in:{rows[0]['id']},{rows[4]['id']}"
    assert stel.get("contacts", id=two) == [rows[0], rows[4]]
    loose = stel.get("contacts", account_id="IS_NULL_VALUE")
    bound = stel.get("contacts", account_id="IS_NOT_NULL_VALUE")
    assert loose and all(row["account-id"] is None for row in loose)
    assert len(loose) + len(bound) == len(rows)


def test_date_bounds_of_documents_and_events(stel: Account) -> None:
    """start-date and end-date bound a document's date and an event's start, both ends included."""
    first, last = "2021-01-01T00:00:00+0000", "2023-12-31T00:00:00+0000"
    for collection, field in (("ordinaryInvoices", "date"), ("events", "start-date")):
        rows = [row for row in stel.everything(collection) if first <= row[field] <= last]
        assert stel.everything(collection, start_date=first, end_date=last) == rows != []


def test_deleted_rows_are_found_by_id_only(stel: Account) -> None:
    """A deleted record leaves lists, answers by id with deleted true, and cannot change."""
    gone = stel.get(f"clients/{1_200_101 + 11 * 7}")[0]
    assert gone["deleted"] is True
    assert gone["id"] not in {row["id"] for row in stel.everything("clients")}
    stel.send("PUT", f"clients/{gone['id']}", {"name": "x"}, status=400)
    stel.get("clients/1", status=404)
    stel.get("clients/abc", status=404)
    stel.get("quotes", status=404)


def test_single_record_is_an_array_of_one_with_the_rate(stel: Account) -> None:
    """By id comes an array of one; only there has a client its rate."""
    listed = stel.get("clients", limit=1)[0]
    (single,) = stel.get(f"clients/{listed['id']}")
    assert "rate-id" in single and "rate-id" not in listed
    assert {k: v for k, v in single.items() if k != "rate-id"} == listed
    (general,) = stel.get("warehouses/-2")
    assert general["path"] == "app.stelorder.com/app/warehouses/-2"


def test_switches_change_what_nobody_could_confirm(stel: Account) -> None:
    """Each unknown behaviour can be turned the other way."""
    words = "bad_key_status=403 over_max=refuse start_zero=refuse single_shape=object".split()
    words += ["work_order_by_id=fail", "creation_date=utc", "forbidden=expenses,rates"]
    with account(*[part for word in words for part in ("--set", word)]) as other:
        assert loopback.get(f"{other.http.base_url}clients").status_code == 403
        other.get("clients", status=400, limit=501)
        other.get("clients", status=400, start=0)
        client = other.get("clients", limit=1)[0]
        assert other.get(f"clients/{client['id']}")["id"] == client["id"]
        other.get("workOrders/60100010", status=400)
        assert other.get("expenses", status=403)[0]["error-code"] == "E000006"
        local = stel.get("clients", limit=1)[0]["creation-date"]
        assert (
            local[:13] != client["creation-date"][:13]
            and local[14:] == client["creation-date"][14:]
        )


def test_unknown_switch_or_plan_stops_the_start() -> None:
    """A mistyped switch must not pass silently."""
    for options in (("--set", "over_maximum=cap"), ("--set", "over_max=maybe"), ("--plan", "gold")):
        with pytest.raises(RuntimeError), account(*options, plan=""):
            pass


def test_answers_of_planned_faults_are_shaped_like_the_platform() -> None:
    """A 429 on purpose carries the error array."""
    with account("--fault", "429=1.0", "--set", "retry_after=on") as broken:
        answer = broken.http.get("clients")
        assert (answer.status_code, answer.json()[0]["error-code"]) == (429, "E000001")
        assert answer.headers["Retry-After"] == "61"
