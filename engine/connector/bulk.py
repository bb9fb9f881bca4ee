"""Several rows in one call: how they are put together, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from engine.connector.classify import Classified, classify
from engine.connector.encoding import inside, wrapped
from engine.connector.messages import Response
from engine.connector.model import PLACE, Bulk, Connector, ErrorRule, Resource
from engine.connector.pagination import path_of
from engine.errors import OutcomeUnknown
from engine.values import dig, to_json, without


def together(
    bulk: Bulk,
    rows: Sequence[tuple[Any, Mapping[str, str]]],
    resource: Resource,
) -> Any:
    """The body of a call for rows, each with what fills in the places of its item."""
    found = wrapped(
        [_item(bulk, body, places, resource) for body, places in rows],
        bulk.rows,
    )
    return {**bulk.more, **found} if isinstance(found, dict) else found


def _item(
    bulk: Bulk, body: Any, places: Mapping[str, str], resource: Resource
) -> Any:
    values = {
        **(body if isinstance(body, dict) else {}),
        **places,
        "resource": resource.name,
    }
    item = _filled(bulk.item, values, resource)
    used = set(PLACE.findall(str(bulk.item)))
    if not isinstance(item, dict) or not isinstance(body, dict) or not body:
        return item
    row = inside(without(body, used), resource)
    return {**item, **wrapped(row, bulk.wrap)}


def _filled(
    template: Any, values: Mapping[str, Any], resource: Resource
) -> Any:
    """A template with its places filled in; one that is nothing but a place takes the value as
    it is.
    """
    if isinstance(template, dict):
        return {
            key: _filled(item, values, resource)
            for key, item in template.items()
        }
    if not isinstance(template, str):
        return template

    alone = PLACE.fullmatch(template)
    if alone:
        value, field = values.get(alone[1]), resource.fields.get(alone[1])
        whole = field and field.kind == "integer" and str(value).isdecimal()
        return int(str(value)) if whole else value

    in_path = template.startswith("/")
    texts = {
        name: quote(str(value), safe="") if in_path else str(value)
        for name, value in values.items()
    }
    return PLACE.sub(lambda found: texts.get(found[1], ""), template)


def listed(bulk: Bulk, body: Any) -> list[Any] | None:
    """The outcomes that an answer lists; None where it lists none: then it is about the call as
    a whole.
    """
    found = dig(body, path_of(bulk.answers)) if bulk.answers else body
    return found if isinstance(found, list) else None


def outcomes(
    connector: Connector, bulk: Bulk, answer: Classified, many: int
) -> list[Classified]:
    """What the call answered for each row, in their order.

    Raises OutcomeUnknown where the answer lists none, or not one for each row.
    """
    found = listed(bulk, answer.body)
    if found is None or len(found) != many:
        listed_many = "no" if found is None else len(found)
        raise OutcomeUnknown(
            f"{connector.title} answered {many} rows in one call with {listed_many}"
            " outcomes – check `bulk` in the connector"
        )
    return [
        _outcome(connector, bulk, item, answer.response.status_code)
        for item in found
    ]


def _part(status: int, content: bytes = b"") -> Response:
    """What an answer says of one row, as if it were the answer to that row alone."""
    headers = {"content-type": "application/json"} if content else {}
    return Response(status, headers, content)


def _done(wanted: Any, item: Any) -> bool:
    """Whether an outcome says what it has to say of a row that was written."""
    if not wanted:
        return True

    expected = wanted if isinstance(wanted, Mapping) else {wanted: True}
    return all(
        dig(item, path_of(place)) == value for place, value in expected.items()
    )


def _outcome(
    connector: Connector, bulk: Bulk, item: Any, status: int
) -> Classified:
    body = dig(item, path_of(bulk.answer)) if bulk.answer else item
    own_status = dig(item, path_of(bulk.status)) if bulk.status else status
    if not isinstance(own_status, int):
        return Classified(_part(status), body, ErrorRule("unsure"))

    response = _part(own_status, to_json(body))
    failed = bulk.failed and dig(item, path_of(bulk.failed))
    if failed or not _done(bulk.done, item):
        return Classified(response, body, ErrorRule("reject"))
    return classify(connector, response)
