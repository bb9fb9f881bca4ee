"""What a write returns: the row's id, the row itself, and what the answer says about when and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.connector.client import Written
from engine.connector.model import Bulk, FieldType
from tests.replacing import replace

HEAD = "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n{more}\r\n{body}"
DATE = "Date: Thu, 01 Jan 2026 12:00:00 GMT\r\n"
NOON = 1_767_268_800.0
TEXT = FieldType("text")
BULK = Bulk(10, rows="rows", answers="results", status="status", answer="body")


def raw(status: int, body: str = "", more: str = "") -> bytes:
    return HEAD.format(status=status, size=len(body), more=more, body=body).encode()


def client_of(bench: Any, answers: list[bytes | None], create: Mapping[str, Any], **resource: Any) -> Any:
    """A client whose creation is declared with these settings, before a server that gives these answers."""
    client = bench.client(bench.script(*answers)[0])
    kind = client.connector.resources["rows"]
    operation = replace(kind.operations["create"], **create)
    kind = replace(kind, operations={**kind.operations, "create": operation}, **resource)
    client.connector = replace(client.connector, resources={"rows": kind})
    return client


@pytest.mark.parametrize(
    ("answer", "body", "status", "date", "shown"),
    [
        (raw(201, '{"id": 7, "name": "x"}', DATE), {"name": "x"}, 201, NOON, True),
        (raw(200, '{"id": 7, "name": "x"}', DATE), {"name": "x"}, 200, NOON, True),
        (raw(201, '{"id": 7, "name": null}', DATE), {"name": "x"}, 201, NOON, True),
        (raw(201, '{"id": 7}', DATE), {"name": "x"}, 201, NOON, False),
        (raw(201, '{"id": 7, "ok": true}', DATE), {"name": "x"}, 201, NOON, False),
        (raw(201, '{"id": 7, "name": "x"}', DATE), {"id": 7}, 201, NOON, True),
        (raw(201, '{"id": 7}', DATE), {"id": 7}, 201, NOON, False),
        (raw(201, '{"id": 7}'), {"name": "x"}, 201, None, False),
        (raw(201, '{"id": 7}', "Date: yesterday\r\n"), {"name": "x"}, 201, None, False),
        (raw(201, '{"id": 7}', "Date: Thu, 01 Jan 2026 12:00:00 -0000\r\n"), {"name": "x"}, 201, NOON, False),
        (raw(201, '{"id": 7}', "Date: Thu, 01 Jan 2026 14:00:00 +0200\r\n"), {"name": "x"}, 201, NOON, False),
    ],
)
def test_a_creation_returns_status_date_and_whether_the_row_was_shown(
    bench: Any, answer: bytes, body: dict[str, Any], status: int, date: float | None, shown: bool
) -> None:
    """The server's own clock, not ours; a row counts as shown where a field besides its id came back."""
    written = client_of(bench, [answer], {}, fields={"id": TEXT, "name": TEXT}).write("rows", "create", body)
    assert (written.id, written.status, written.date, written.shown, written.repeated) == ("7", status, date, shown, False)


def test_a_joined_id_alone_is_no_row(bench: Any) -> None:
    """Where the id is made of several fields, an answer with nothing but those does not show the row."""
    client = client_of(bench, [raw(201, '{"id": 7, "company": 3}', DATE)], {}, id="company+id")
    written = client.write("rows", "create", {"company": 3, "name": "x"})
    assert written == Written("3+7", {"id": 7, "company": 3}, 201, NOON, False)


def test_an_update_and_a_deletion_return_the_same(bench: Any) -> None:
    """A deletion that answers nothing shows no row."""
    client = client_of(bench, [raw(200, '{"id": 7, "name": "x"}', DATE), raw(204, "", DATE)], {})
    assert client.write("rows", "update", {"name": "x"}, "7") == Written("7", {"id": 7, "name": "x"}, 200, NOON, True)
    assert client.write("rows", "delete", None, "7") == Written("7", {}, 204, NOON, False)


def test_rows_of_one_call_have_each_their_status_and_together_one_date(bench: Any) -> None:
    """The status is the row's own; the clock is that of the answer they came in."""
    outcomes = '{"status": 201, "body": {"id": 1, "name": "a"}}, {"status": 200, "body": {"id": 2}}'
    client = client_of(bench, [raw(207, f'{{"results": [{outcomes}]}}', DATE)], {"bulk": BULK})
    first, second = client.write_many("rows", "create", [({"name": "a"}, ""), ({"name": "b"}, "")])
    assert first == Written("1", {"id": 1, "name": "a"}, 201, NOON, True)
    assert second == Written("2", {"id": 2}, 200, NOON, False)


def test_a_creation_that_was_sent_twice_says_so(bench: Any) -> None:
    """The first answer was lost: that the second found the row there already does not make it somebody else's."""
    client = client_of(bench, [None, raw(200, '{"id": 7, "name": "x"}', DATE)], {"idempotency": "key"})
    written = client.write("rows", "create", {"name": "x"})
    assert (written.id, written.status, written.repeated) == ("7", 200, True)
