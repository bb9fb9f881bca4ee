"""What the stages ask of a platform: lists, rows, writes and files, as a connector declares
them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import msgspec
from msgspec import structs

from engine.connector.auth import Account
from engine.connector.bulk import outcomes, together
from engine.connector.classify import Classified
from engine.connector.downloads import FileSource
from engine.connector.encoding import new_id, rows_of, the_row, with_parts
from engine.connector.model import Connector, Operation, Resource, Verb
from engine.connector.pagination import (
    COUNTED,
    PAGERS,
    SLIPPED,
    Ask,
    Page,
    path_of,
)
from engine.connector.parallel import in_order
from engine.connector.rate_limit import Clock, RateLimiter
from engine.connector.transport import Calls
from engine.errors import (
    Accepted,
    ApiError,
    EtlError,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    RequestRejected,
    Unavailable,
)
from engine.values import batches, dig, word

# what a connector says where a platform takes a parent without such rows for one that is not there
IF_EMPTY = "if that means that there are none, add `missing_if_empty: true` to the list"
Sight = Literal["there", "deleted", "unclear"]


class Written(msgspec.Struct, frozen=True):
    """A row that was written, and the answer that says so."""

    id: str
    data: dict[str, Any]  # the row of the answer; {} where it holds none
    # HTTP status; for a row that travelled with others its own, where the answer has one for each
    status: int
    # the server's clock in epoch seconds: the answer's `Date`; None where it says none
    date: float | None
    shown: bool  # the answer holds fields of the row, not only its id
    # the write was sent several times: an earlier try may be what made the row
    repeated: bool = False


class Rows(msgspec.Struct, frozen=True):
    """One list page; `next` is the position of the following one, None after the last."""

    rows: list[dict[str, Any]]
    next: Any
    last: bool
    # the answer had no body: it does not even say that there are no rows
    silent: bool = False
    doubt: str = ""  # why the list may have more rows than were read up to here
    at: Any = None  # the position that the page was asked for at
    anew: bool = False  # the list was begun anew: rows come a second time
    date: float | None = None  # the server's clock when it answered


@dataclass(slots=True)
class Client:
    """Calls one account. Threads may share it."""

    connector: Connector
    account: Account
    limiter: RateLimiter
    clock: Clock = field(default_factory=Clock)
    random: Callable[[], float] = random.random
    calls: Calls = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.calls = Calls(
            self.connector, self.account, self.limiter, self.clock, self.random
        )

    def close(self) -> None:
        """Close the connections, and give back what was booked ahead."""
        self.calls.http.close()
        self.limiter.release()

    def now(self) -> float:
        """The platform's clock in epoch seconds, as far as its answers state it; else ours."""
        return self.calls.now()

    def redact(self, text: str) -> str:
        """The text without secrets: what was used to sign in, and the queries of addresses."""
        return self.calls.session.redact(text)

    # -- what the stages use

    def check(self) -> str:
        """Prove that the platform answers and takes the key; the account's own name, or "".
        Raises ApiError.
        """
        connection = self.connector.connection
        answer = self.calls.read(
            connection.check, self.calls.url(connection.check, {}), {}, tries=1
        )
        if not connection.account:
            return ""
        return word(dig(answer.body, path_of(connection.account)))

    def pages(
        self,
        resource: str,
        params: Mapping[str, Any] | None = None,
        position: Any = None,
        newest_first: bool = False,
        doubts: bool = False,
        few: bool = False,
    ) -> Iterator[Rows]:
        """A list, page by page, from a position an earlier page named.

        Where it may have rows that were not read, the page says so with `doubts`, and a list whose
        position is no longer good begins anew; without, Unavailable is raised. `few`: what is asked
        for fits on a page.
        """
        declared = self._resource(resource)
        operation = self._operation(resource, "list")
        if operation.pager is None:
            raise ApiError(
                f"the connector {self.connector.name} declares no pager for the list of"
                f" {resource} – add `pager:` to it"
            )

        if few:
            operation = structs.replace(
                operation, pager=structs.replace(operation.pager, few=True)
            )
        params = {
            **(operation.newest_first if newest_first else {}),
            **(params or {}),
        }
        if operation.parent:
            pages = self._below(
                operation, declared, params, position or {}, doubts
            )
        elif doubts:
            pages = self._steadily(operation, declared, params, position, {})
        else:
            pages = self._walk(operation, declared, params, position, {})
        for page in pages:
            if not doubts:
                self._prove(resource, page)
            yield page

    def _prove(self, resource: str, page: Rows) -> None:
        """A page of a list that has to be whole. Raises Unavailable where rows may be missing."""
        if page.doubt and not page.doubt.startswith(SLIPPED):
            raise doubtful(self.connector.title, resource, page.doubt)

    def _below(
        self,
        operation: Operation,
        resource: Resource,
        params: Mapping[str, Any],
        position: Mapping[str, Any],
        doubts: bool,
    ) -> Iterator[Rows]:
        """The list below each row of the parent; a position names the parents' page, the row and
        the page below it.
        """
        field, parent = operation.parent_id, self._resource(operation.parent)
        above, done = position.get("above"), position.get("done")
        for rows in self.pages(parent.name, position=above, doubts=True):
            ids = [parent.reference_id_of(row) for row in rows.rows]
            begun = ids.index(done) + 1 if done in ids else 0
            for one, row in zip(ids[begun:], rows.rows[begun:], strict=True):
                at = position.get("page") if one == position.get("at") else None
                here = {"above": above, "done": one}
                try:
                    for found in self._steadily(
                        operation, resource, params, at, {field: one}
                    ):
                        yield _below_one(found, resource, field, here, done)
                except NotFound as error:
                    if doubts:
                        row_id = parent.id_of(row)
                        yield from self._hidden(operation, row_id, here, error)
                done = one

            above = rows.next
            if rows.doubt:
                here = {"above": above, "done": done}
                doubt = f"of the {parent.name} above: {rows.doubt}"
                yield Rows([], here, False, doubt=doubt)
        yield Rows([], None, True)

    def _hidden(
        self,
        operation: Operation,
        row_id: str,
        here: Mapping[str, Any],
        error: NotFound,
    ) -> Iterator[Rows]:
        """What a reading says of a list below a parent that is answered as missing."""
        doubt = self._doubt_below(operation, row_id)
        if doubt:
            yield Rows([], here, False, doubt=f"{doubt}: {error}")

    def _doubt_below(self, operation: Operation, row_id: str) -> str:
        """What is in doubt where a parent is said to have no list: nothing if it is gone since it
        was listed, or the connector takes that for an empty list.
        """
        parent = self._resource(operation.parent)
        place = f"a list is hidden below {parent.name} {row_id}"
        if operation.missing_if_empty:
            return ""
        if "read" not in parent.operations:
            return f"{SLIPPED}, or {place}"
        state, now = self.look(parent.name, row_id)
        is_gone = state == "deleted" or now.get(parent.deleted)
        return "" if is_gone else f"{place} ({IF_EMPTY})"

    def _steadily(
        self,
        operation: Operation,
        resource: Resource,
        params: Mapping[str, Any],
        position: Any,
        places: Mapping[str, str],
    ) -> Iterator[Rows]:
        """One list, page by page; once more from its first page where the position is no longer
        good.
        """
        begun, at = False, position
        while True:
            try:
                for page in self._walk(operation, resource, params, at, places):
                    yield structs.replace(page, anew=begun and page.at is None)
                    at = page.next
                return
            except RequestRejected as error:
                if isinstance(error, Forbidden) or at is None:
                    raise  # the list itself is refused, not a position in it
                if begun:
                    doubt = f"two positions were refused on the way: {error}"
                    yield Rows([], None, False, doubt=doubt)
                    return
            begun, at = True, None

    def _walk(
        self,
        operation: Operation,
        resource: Resource,
        params: Mapping[str, Any],
        position: Any,
        places: Mapping[str, str],
    ) -> Iterator[Rows]:
        """One list, page by page."""
        assert operation.pager is not None
        walk = PAGERS[operation.pager.kind](operation.pager, position)
        ask, counted, rows = next(walk), operation.pager.kind in COUNTED, 0
        while True:
            try:
                page, date = self._page(
                    operation, resource, params, ask, places
                )
            except RequestRejected as error:
                at_first = not (rows or position)
                if not counted or at_first or isinstance(error, Forbidden):
                    raise
                doubt = f"page {ask.position} was refused after {rows:,} rows: {error}"
                if ask.probe:
                    doubt = ""
                yield Rows([], None, True, doubt=doubt, at=ask.position)
                return

            rows += len(page.rows)
            silent = page.body is None
            here = Rows(
                page.rows, None, True, silent, at=ask.position, date=date
            )
            try:
                ask = walk.send(page)
            except StopIteration as end:
                yield structs.replace(here, doubt=end.value)
                return
            yield structs.replace(
                here, next=ask.position, last=False, doubt=ask.doubt
            )

    def _page(
        self,
        operation: Operation,
        resource: Resource,
        params: Mapping[str, Any],
        ask: Ask,
        places: Mapping[str, str],
    ) -> tuple[Page, float | None]:
        """One page of a list, and the server's clock; one without a body is asked for once more."""
        url, asked = self.calls.url(operation, places), {**ask.params, **params}
        if ask.url:  # it says everything that was asked for, the filters too
            home = self.calls.home
            url, asked = home.join(self.calls.local(home, ask.url)), {}
        answer = self.calls.read(operation, url, asked)
        if answer.body is None and not (
            operation.pager and operation.pager.few
        ):
            answer = self.calls.read(operation, url, asked)

        response, here = answer.response, answer.response.url
        rows = rows_of(answer, operation, resource, self.connector.title)
        page = Page(
            rows,
            answer.body,
            response.headers,
            follow=lambda link: self.calls.local(here, link),
            keys=[key for key in map(resource.id_of, rows) if key],
            bare=response.status_code != 204 and not response.content.strip(),
        )
        return page, answer.date

    def rows(
        self,
        resource: str,
        params: Mapping[str, Any] | None = None,
        few: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Every row of a list."""
        for page in self.pages(resource, params, few=few):
            yield from page.rows

    def by_ids(self, resource: str, ids: list[str]) -> Iterator[dict[str, Any]]:
        """Rows with these ids: as many a call as the list takes, else one by one, else by the
        lists below their parents.
        """
        declared = self._resource(resource)
        operation = declared.operations.get("list")
        single = declared.operations.get("read")
        if operation and operation.ids and not (single and single.etag):
            yield from self._found_in_list(declared, operation, ids)
        elif operation and operation.parent and single is None:
            yield from self._found_below(declared, operation, ids)
        else:
            rows = (self.read(resource, one) for one in ids)
            yield from (row for row in rows if row is not None)

    def _found_in_list(
        self, resource: Resource, operation: Operation, ids: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        """Rows of a list that takes ids, as many a call as it takes."""
        asked = ids
        if not operation.ids_of:
            asked = [resource.reference_to(one) for one in ids]
        for part in batches(asked, operation.ids_max):
            listed = operation.ids_form.replace("{}", ",".join(part))
            yield from self.rows(
                resource.name, {operation.ids: listed}, few=True
            )

    def _found_below(
        self, resource: Resource, operation: Operation, ids: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        """Rows that only their parents' lists show: of the parents that the ids name, of all
        where an id names none.
        """
        wanted = set(ids)
        parents = {
            resource.parts_of(one).get(operation.parent_id, "") for one in ids
        }
        lists = self.below(resource.name, sorted(parents))
        if "" in parents:
            lists = (page.rows for page in self.pages(resource.name))
        for rows in lists:
            yield from (row for row in rows if resource.id_of(row) in wanted)

    def below(
        self,
        resource: str,
        parents: Iterable[str],
        proof: bool = False,
        doubts: bool = False,
    ) -> Iterator[list[dict[str, Any]]]:
        """The rows below each of these parents, whole lists in the parents' order, several read
        at a time.

        A parent that the platform does not know (NotFound) has no list. Raises ApiError where the
        connector declares no list below a parent; Unavailable where a list may have more rows than
        were read, unless `doubts` are fine, and with `proof` where one has no body.
        """
        declared = self._resource(resource)
        operation = self._operation(resource, "list")
        if not operation.parent:
            raise ApiError(
                f"the connector {self.connector.name} lists {resource} below no parent"
            )

        def listed(parent: str) -> list[dict[str, Any]] | None:
            places = {operation.parent_id: parent}
            rows: list[dict[str, Any]] = []
            try:
                for page in self._steadily(
                    operation, declared, {}, None, places
                ):
                    if page.silent and proof:
                        raise silence(self.connector.title, resource)
                    if not doubts:
                        self._prove(resource, page)
                    rows = page.rows if page.anew else rows + page.rows
            except NotFound:
                doubt = proof and self._doubt_below(operation, parent)
                if doubt:
                    raise doubtful(
                        self.connector.title, resource, doubt
                    ) from None
                return None
            return _placed(rows, declared, operation.parent_id, parent)

        found = in_order(listed, parents, self.connector.connection.concurrency)
        yield from (rows for rows in found if rows is not None)

    def read(self, resource: str, row_id: str) -> dict[str, Any] | None:
        """One row by id; None when there is none."""
        operation = self._operation(resource, "read")
        try:
            answer = self._read_one(operation, resource, row_id)
        except NotFound:
            return None
        declared = self._resource(resource)
        row = the_row(answer.body, operation, declared)
        if row and len(declared.id_fields) > 1:
            row = with_parts(row, declared.parts_of(row_id))
        if row and operation.etag:
            row = row | {
                operation.etag: answer.response.headers.get("etag", "")
            }
        return row or None

    def look(self, resource: str, row_id: str) -> tuple[Sight, dict[str, Any]]:
        """Whether a row is there, deleted, or whether the platform does not say; with the row.

        An answer that holds no row says nothing: not that the row is deleted.
        """
        operation = self._operation(resource, "read")
        try:
            answer = self._read_one(operation, resource, row_id)
        except NotFound:
            return "deleted", {}
        except RequestRejected:
            return "unclear", {}
        row = the_row(answer.body, operation, self._resource(resource))
        return ("there", row) if row else ("unclear", {})

    def _read_one(
        self, operation: Operation, resource: str, row_id: str
    ) -> Classified:
        url = self.calls.url(operation, self._places(resource, row_id))
        return self.calls.read(operation, url, {})

    def write(
        self,
        resource: str,
        verb: Verb,
        body: Any,
        row_id: str = "",
        file: Path | None = None,
    ) -> Written:
        """Create, update or delete; the row's id and what the platform answered.

        Raises RequestRejected (not done, and why) or OutcomeUnknown (perhaps done).
        """
        declared = self._resource(resource)
        operation = self._operation(resource, verb)
        if operation.bulk:
            return _done(self.write_many(resource, verb, [(body, row_id)])[0])

        body, places = self._prepared(declared, verb, operation, body, row_id)
        headers: dict[str, str] = {}
        if operation.idempotency:
            headers[operation.idempotency] = uuid4().hex
        if (
            operation.lock_header
            and isinstance(body, dict)
            and operation.lock in body
        ):
            headers[operation.lock_header] = str(body.pop(operation.lock))
        upserts = verb == "create" and bool(declared.written_over)
        repeatable = upserts or bool(operation.idempotency)
        url = self.calls.url(operation, places)
        answer = self.calls.send(
            operation, url, body, declared, file, headers, repeatable
        )
        return _done(
            self._written(
                declared, verb, operation, (body, places), answer, answer
            )
        )

    def write_many(
        self, resource: str, verb: Verb, rows: Sequence[tuple[Any, str]]
    ) -> list[Written | EtlError]:
        """Write rows, each a body with its id, in one call: what `write` gives for each of them,
        or raises. They lie below one parent, where the call names it.

        Where the call is refused as a whole, what became of its rows is unknown.
        """
        declared = self._resource(resource)
        operation = self._operation(resource, verb)
        call = operation.several or operation
        assert call.bulk is not None
        try:
            sent = [
                self._prepared(declared, verb, call, body, row_id)
                for body, row_id in rows
            ]
            body = together(call.bulk, sent, declared)
            answer = self.calls.send(
                structs.replace(call, wrap=""),
                self.calls.url(call, sent[0][1]),
                body,
                structs.replace(declared, inside=""),
                again=verb == "create" and bool(declared.written_over),
            )
            found = outcomes(self.connector, call.bulk, answer, len(rows))
        except RequestRejected as error:
            if len(rows) == 1:
                return [error]
            # nobody says whether some of them were made: a look shows it
            return [OutcomeUnknown(str(error))] * len(rows)
        except EtlError as error:
            return [error] * len(rows)

        results: list[Written | EtlError] = []
        for one, item in zip(found, sent, strict=True):
            if one.rule:
                results.append(self.calls.failure(one, call))
            else:
                written = self._written(declared, verb, call, item, one, answer)
                results.append(written)
        return results

    def _prepared(
        self,
        resource: Resource,
        verb: Verb,
        operation: Operation,
        body: Any,
        row_id: str,
    ) -> tuple[Any, dict[str, str]]:
        """A body as it travels, and what fills in the places of the path. Raises NotFound."""
        places = self._places(resource.name, row_id)
        if verb == "delete" and operation.lock:
            body = {
                operation.lock: self._live(resource, row_id).get(operation.lock)
            }
        if not isinstance(body, dict):
            return body, places
        names = set(operation.places) - ({"id"} if row_id else set())
        if verb == "update":
            self._stays(resource, body, row_id, names)
            body = (
                self._over_live(resource, body, row_id)
                if operation.whole
                else body
            )
        places |= {
            name: str(body[name])
            for name in {*names, *resource.id_fields}
            if name in body and not places.get(name)
        }
        left_out = {*names, *operation.omit}
        return {key: body[key] for key in body if key not in left_out}, places

    def _written(
        self,
        resource: Resource,
        verb: Verb,
        operation: Operation,
        sent: tuple[Any, Mapping[str, str]],
        answer: Classified,
        call: Classified,
    ) -> Written | EtlError:
        """What the answer says of one row that was sent; `call` is the whole call's answer,
        where several rows travelled.

        OutcomeUnknown where a creation has no id.
        """
        body, places = sent
        data = the_row(answer.body, operation, resource)
        given = {name: value for name, value in places.items() if value}
        row = with_parts(data, given)
        response = answer.response
        row_id: Any = resource.id_of(row)
        if verb == "create":
            row_id = new_id(
                answer.body, response.headers, row, operation, resource
            )
        if row_id in ("", None):
            row_id = resource.id_of(given)
        if verb == "create" and row_id in ("", None):
            return Accepted(
                f"{self.connector.title} answered the creation of {resource.name} without"
                " an id"
            )

        shown = _shows(data, body, resource)
        return Written(
            str(row_id),
            data,
            response.status_code,
            call.date,
            shown,
            call.repeated,
        )

    def _stays(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        row_id: str,
        names: Iterable[str],
    ) -> None:
        """Refuse to send a row to another address than its own. Raises RequestRejected."""
        parts = resource.parts_of(row_id) if len(resource.id_fields) > 1 else {}
        for name in sorted(parts.keys() & set(names)):
            if body.get(name) is not None and str(body[name]) != parts[name]:
                raise RequestRejected(
                    f"{self.connector.title} has row {row_id} of {resource.name} below"
                    f" {name} {parts[name]}, and no call that moves it to {body[name]}"
                    " – move it there by hand, or delete it in the destination"
                )

    def _live(self, resource: Resource, row_id: str) -> dict[str, Any]:
        live = self.read(resource.name, row_id)
        if live is None:
            raise NotFound(
                f"{self.connector.title} has no row {row_id} of {resource.name}",
                404,
            )
        return live

    def _over_live(
        self, resource: Resource, body: dict[str, Any], row_id: str
    ) -> dict[str, Any]:
        """What is to change over everything else that the row holds now, what is not declared
        too. Raises NotFound.
        """
        live = self._live(resource, row_id)
        held = {
            name: value
            for name, value in live.items()
            if resource.is_theirs(name) and name not in resource.id_fields
        }
        container = (
            path_of(resource.custom.container) if resource.custom else ()
        )
        whole = _over(held, body, container)
        return {
            name: value
            for name, value in whole.items()
            if value is not None or resource.emptied(name) != "left_out"
        }

    def download(self, url: str, into: Path) -> tuple[int, str, str]:
        """Stream a file from a link in a record; its size in bytes, SHA-256 and content type.

        Only hosts the connector names; raises RequestRejected for a dead link, another host or
        a file over the limit.
        """
        files = FileSource(
            self.calls.http,
            self.connector.connection,
            self.account.base_url,
            self.calls.session.signature,
        )
        return files.download(url, into, self.calls.tries())

    # -- one call

    def _places(self, resource: str, row_id: str) -> dict[str, str]:
        """What an id fills in of a path; one joined of several fields fills in each of them."""
        declared = self._resource(resource)
        return {
            "id": declared.reference_to(row_id),
            **declared.parts_of(row_id),
        }

    def _resource(self, name: str) -> Resource:
        try:
            return self.connector.resources[name]
        except KeyError:
            raise ApiError(
                f"the connector {self.connector.name} has no resource {name}"
            ) from None

    def _operation(self, resource: str, verb: Verb) -> Operation:
        try:
            return self._resource(resource).operations[verb]
        except KeyError:
            raise ApiError(
                f"the connector {self.connector.name} declares no way to {verb} {resource}"
            ) from None


def _over(
    held: Mapping[str, Any],
    body: Mapping[str, Any],
    container: Sequence[str | int],
) -> dict[str, Any]:
    """A body over what a row holds; the custom fields in the container, `()` for none or
    `custom.values`, one by one.

    Whatever else stands beside them on the way to the container is kept as well.
    """
    whole = {**held, **body}
    if not container:
        return whole

    head, *rest = container
    inner, sent = held.get(str(head)), body.get(str(head))
    if isinstance(inner, Mapping) and isinstance(sent, Mapping | None):
        whole[str(head)] = _over(inner, sent or {}, rest)
    return whole


def _placed(
    rows: list[dict[str, Any]], resource: Resource, field: str, parent: str
) -> list[dict[str, Any]]:
    """Rows of a list below a parent, with the parent's id in each that does not hold it."""
    if field in resource.id_fields:
        return [with_parts(row, {field: parent}) for row in rows]
    return [{field: parent, **row} for row in rows]


def silence(title: str, resource: str) -> Unavailable:
    """A list was answered without a body where it has to show which rows are there."""
    return Unavailable(
        f"{title} answered the list of {resource} without a body: whether rows are"
        " there cannot be known – run the same command again when it answers"
    )


def doubtful(title: str, resource: str, doubt: str) -> Unavailable:
    """A list may have rows that were not read, where all of them have to be known."""
    return Unavailable(
        f"{title} has not shown the whole list of {resource}: {doubt} – run the same"
        " command again"
    )


def _below_one(
    page: Rows,
    resource: Resource,
    field: str,
    here: Mapping[str, Any],
    done: Any,
) -> Rows:
    """A page of the list below one parent as a page of all such lists: `here` is where the next
    parent begins, `done` the parent before this one.
    """
    one, place = here["done"], dict(here)
    if page.next is not None:
        place |= {"done": done, "at": one, "page": page.next}
    rows = _placed(page.rows, resource, field, one)
    return structs.replace(page, rows=rows, next=place, last=False, anew=False)


def _shows(data: Mapping[str, Any], body: Any, resource: Resource) -> bool:
    """Whether an answer holds the row: a field that was sent, besides its id; of a row that is
    all id, any field.
    """
    sent = (
        set(body) - set(resource.id_fields) if isinstance(body, dict) else set()
    )
    known = sent or resource.fields.keys() - set(resource.id_fields)
    return not known.isdisjoint(data)


def _done(found: Written | EtlError) -> Written:
    if isinstance(found, EtlError):
        raise found
    return found
