"""Rows made, read back, changed and removed again; whatever happens, what was made is removed or
named.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import structs

from engine.connector.model import FieldType, Resource
from engine.destination.equality import equivalent
from engine.errors import (
    ApiError,
    EtlError,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    RequestRejected,
    VersionConflict,
)
from engine.values import is_empty
from workbench.probe.bodies import Bodies, extra, made, needs, ours
from workbench.probe.found import (
    Finding,
    Tell,
    confirmed,
    contradicted,
    left,
    untried,
)
from workbench.probe.scene import PAGES, Probe, Row, id_of, ids_of

GIVE = "give its fields with --with FILE"


@dataclass(slots=True)
class Made:
    """A row made here, or one whose making was begun: its id is "" until it is known to be this
    row's.
    """

    resource: Resource
    sent: dict[str, Any]
    id: str = ""
    given: str = ""  # the id that the answer gave


@dataclass(slots=True)
class Trial:
    """What was made so far, with the mark that all of it carries, and the resources that were
    tried.
    """

    probe: Probe
    bodies: Bodies
    mark: str
    tell: Tell
    rows: list[Made] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)

    def reference(self, to: FieldType) -> str | int | None:
        """The id of a row that a field may name: one made here, else the first that is listed."""
        own = [
            item.id
            for name in to.to
            for item in self.rows
            if item.resource.name == name and item.id
        ]
        if not own:
            resources = self.probe.client.connector.resources
            own = [
                one
                for name in to.to
                if "list" in resources[name].operations
                for one in ids_of(
                    self.probe.sample(name).rows, resources[name]
                )[:1]
            ]
        if not own:
            return None
        return int(own[0]) if own[0].isdecimal() else own[0]


def try_writes(
    probe: Probe, names: Sequence[str], bodies: Bodies, tell: Tell
) -> None:
    """Try every writing call of some resources, and remove all that was made, whatever is raised
    meanwhile.
    """
    trial = Trial(probe, bodies, f"etl check {secrets.token_hex(4)}", tell)
    try:
        for name in names:
            _try(trial, name, ())
    finally:
        probe.tape.cleaning = True
        rows = _removed(trial)
        probe.tape.cleaning = False
        for row in rows:
            tell(left(row))


def _try(trial: Trial, name: str, above: tuple[str, ...]) -> None:
    """One resource, after those that its rows name."""
    resource = trial.probe.client.connector.resources[name]
    if name in trial.tried or "create" not in resource.operations:
        return
    trial.tried.add(name)
    if "delete" not in resource.operations:
        trial.tell(
            untried(
                f"create {name}",
                "row",
                "there is no way to delete: it would stay",
            )
        )
        return
    body = trial.bodies.get(name, {})
    for other in needs(resource, body):
        if other not in above:
            _try(trial, other, (*above, name))
    item = _made(trial, resource, body)
    if item is not None and _read_back(trial, item):
        _update(trial, item)


# -- making


def _made(
    trial: Trial, resource: Resource, body: Mapping[str, Any]
) -> Made | None:
    """Make a row, with one more field than needed where that is taken."""
    probe, subject = trial.probe, f"create {resource.name}"
    row = made(
        probe.client.connector, resource, body, trial.mark, trial.reference
    )
    if isinstance(row, str):
        trial.tell(
            untried(subject, "row", f"nothing can be made up for {row}: {GIVE}")
        )
        return None
    more = {} if body else extra(resource, row, trial.mark)
    if not row and not more:
        trial.tell(
            untried(
                subject,
                "row",
                f"no field is required and none is plain text: {GIVE}",
            )
        )
        return None
    try:
        try:
            return _sent(trial, resource, {**row, **more})
        except RequestRejected:
            if not more or not row:
                raise
            return _sent(trial, resource, row)
    except RequestRejected as error:
        trial.tell(_unmade(trial, resource, error, bool(body)))
    except OutcomeUnknown as error:
        at = probe.declared.call(
            resource.name, "create", "id_at", "id_header", "post", "put"
        )
        if probe.tape.status and probe.tape.status < 300:
            advice = "say with `id_at` or `id_header` where the answer holds the new id"
            trial.tell(
                contradicted(
                    subject,
                    "id",
                    str(error),
                    at,
                    advice,
                    probe.tape.exchange(resource.operations["create"]),
                )
            )
        else:
            trial.tell(untried(subject, "row", str(error)))
    return None


def _sent(trial: Trial, resource: Resource, row: dict[str, Any]) -> Made:
    """Make a row and note it before it is sent, so that a cut leaves no row behind that nobody
    knows of.
    """
    item = Made(resource, row)
    trial.rows.append(item)
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = (
                Path(folder) / "check.txt"
                if resource.file and resource.file[0] in row
                else None
            )
            if file:
                file.write_text(trial.mark, encoding="utf-8")
            item.given = trial.probe.client.write(
                resource.name, "create", dict(row), file=file
            ).id
    except OutcomeUnknown:
        raise
    except EtlError:  # refused, or never sent
        trial.rows.remove(item)
        raise
    return item


def _unmade(
    trial: Trial, resource: Resource, error: RequestRejected, stated: bool
) -> Finding:
    """A refused row: of somebody's own fields a contradiction, of made up ones no surprise."""
    subject = f"create {resource.name}"
    if not stated or isinstance(error, Forbidden):
        return untried(subject, "row", f"{error}; {GIVE}")
    at = trial.probe.declared.path(resource.name, "create")
    evidence = trial.probe.tape.exchange(resource.operations["create"])
    return contradicted(
        subject,
        "row",
        f"refused: {error}",
        at,
        "correct the call, or what --with gives",
        evidence,
    )


# -- reading back


def _live(trial: Trial, item: Made, row_id: str = "") -> dict[str, Any] | None:
    """The row as the server has it now: read by its id, else looked for in the list."""
    resource, probe, row_id = item.resource, trial.probe, row_id or item.id
    if "read" in resource.operations:
        return probe.client.read(resource.name, row_id)
    listing = resource.operations.get("list")
    if listing is None or listing.pager is None:
        return None
    own = {}
    if listing.ids:
        wanted = (
            item.sent.get(listing.ids_of, row_id) if listing.ids_of else row_id
        )
        own[listing.ids] = str(wanted)
    pages = islice(probe.client.pages(resource.name, own), PAGES)
    return next(
        (
            row
            for page in pages
            for row in page.rows
            if id_of(row, resource) == row_id
        ),
        None,
    )


def _read_back(trial: Trial, item: Made) -> bool:
    """Whether the id leads to the row that was made; each field then holds what was sent.

    An id that leads to anything else is forgotten: what stands there is not to be changed or
    removed.
    """
    resource, subject = item.resource, f"create {item.resource.name}"
    declared = trial.probe.declared
    evidence = trial.probe.tape.exchange(resource.operations["create"])
    try:
        live = _live(trial, item, item.given)
    except ApiError as error:
        trial.tell(
            untried(subject, "id", f"the row cannot be read back: {error}")
        )
        return False
    if live is None or not ours(live, item.sent, resource, trial.mark):
        at = declared.call(
            resource.name, "create", "id_at", "id_header", "post", "put"
        )
        text = (
            "no row is found by the id that the answer gives"
            if live is None
            else "the id that the answer gives is another row's"
        )
        trial.tell(
            contradicted(
                subject,
                "id",
                text,
                at,
                "say with `id_at` or `id_header` where the answer holds the new id",
                evidence,
            )
        )
        return False
    item.id = item.given
    trial.tell(confirmed(subject, "id", "leads to the row that was made"))
    _compared(trial, resource, subject, item.sent, live)
    return True


def _compared(
    trial: Trial, resource: Resource, subject: str, sent: Row, live: Row
) -> None:
    """Each field that was sent against what the row holds."""
    wanted = {
        name: value
        for name, value in sent.items()
        if not (resource.file and name == resource.file[0])
    }
    wrong = [
        name
        for name, value in wanted.items()
        if not equivalent(value, live.get(name), resource.fields.get(name))
    ]
    for name in wrong:
        state = (
            "is empty" if is_empty(live.get(name)) else "holds something else"
        )
        at = trial.probe.declared.field(resource.name, (name,))
        advice = "writable: false, or say how it travels"
        trial.tell(
            contradicted(
                subject, "fields", f"{name} was sent, and {state}", at, advice
            )
        )
    if not wrong:
        trial.tell(
            confirmed(
                subject, "fields", f"{', '.join(wanted) or 'nothing'} as sent"
            )
        )


# -- changing


def _update(trial: Trial, item: Made) -> None:
    """Change one text of the row; the others stay."""
    resource, subject = item.resource, f"update {item.resource.name}"
    operation = resource.operations.get("update")
    if operation is None:
        return
    names = [
        name
        for name, value in item.sent.items()
        if _changeable(resource, name, value)
    ]
    if not names:
        trial.tell(
            untried(
                subject, "row", f"no text was sent that an update takes: {GIVE}"
            )
        )
        return
    name = names[0]
    change = {name: _changed(resource, name, item.sent[name])}
    try:
        before = _live(trial, item) or {}
        lock = (
            {operation.lock: before.get(operation.lock)}
            if operation.lock
            else {}
        )
        trial.probe.client.write(
            resource.name,
            "update",
            {**_own(resource, item), **change, **lock},
            item.id,
        )
        after = _live(trial, item) or {}
    except ApiError as error:
        evidence = trial.probe.tape.exchange(operation)
        at = trial.probe.declared.path(resource.name, "update")
        trial.tell(
            contradicted(
                subject,
                "row",
                f"refused: {error}",
                at,
                "correct the call, or `omit` what it does not take",
                evidence,
            )
        )
        return
    item.sent |= change
    _compared(trial, resource, subject, change, after)
    if operation.lock:
        _locked(trial, item, name, lock)
    else:
        _whole(trial, item, name, before, after)


def _changeable(resource: Resource, name: str, value: Any) -> bool:
    operation, known = resource.operations["update"], resource.fields.get(name)
    free = (
        known is not None
        and known.writable
        and known.kind in ("text", "html")
        and not (known.one_of or known.options)
    )
    return (
        free
        and isinstance(value, str)
        and name not in (*operation.omit, *resource.id.split("+"))
        and f"{{{name}}}" not in operation.path
    )


def _changed(resource: Resource, name: str, value: str) -> str:
    """Another text of the same length or a little longer, the mark still in it."""
    known = resource.fields[name]
    longer = (
        value[: -len("</p>")] + " 2</p>"
        if value.endswith("</p>")
        else f"{value} 2"
    )
    if not known.max or len(longer) <= known.max:
        return longer
    return value[:-1] + ("2" if value[-1] != "2" else "3")


def _own(resource: Resource, item: Made) -> dict[str, Any]:
    """What an update needs besides the change: the fields its path names, and the id where it
    travels in the body.
    """
    path = resource.operations["update"].path
    named = {
        name: value
        for name, value in item.sent.items()
        if f"{{{name}}}" in path
    }
    return {**named, **({resource.id: item.id} if resource.json_api else {})}


def _whole(
    trial: Trial, item: Made, name: str, before: Row, after: Row
) -> None:
    """Whether what an update does not send stays or is emptied, as `whole` says."""
    resource, probe = item.resource, trial.probe
    subject = f"update {resource.name}"
    operation = resource.operations["update"]
    others = [
        one
        for one in item.sent
        if one != name
        and not is_empty(before.get(one))
        and f"{{{one}}}" not in operation.path
    ]
    emptied = [one for one in others if is_empty(after.get(one))]
    at = probe.declared.call(
        resource.name, "update", "whole", "put", "patch", "post"
    )
    if emptied:
        text = f"{', '.join(emptied)} was not changed, and is empty after it"
        advice = (
            "`whole` sends what fields declare: declare it writable"
            if operation.whole
            else "whole: true"
        )
        trial.tell(contradicted(subject, "whole", text, at, advice))
    elif not others:
        trial.tell(
            untried(
                subject, "whole", "nothing else was sent that could be emptied"
            )
        )
    elif operation.whole:
        _bare(trial, item, name, others)
    else:
        trial.tell(
            confirmed(subject, "whole", f"as before: {', '.join(others)}")
        )


def _bare(trial: Trial, item: Made, name: str, others: Sequence[str]) -> None:
    """An update of one field alone, where the file says that this empties the others."""
    resource, subject = item.resource, f"update {item.resource.name}"
    plain = trial.probe.asking(
        resource,
        structs.replace(resource.operations["update"], whole=False),
        "update",
    )
    try:
        plain.client.write(
            resource.name,
            "update",
            {**_own(resource, item), name: item.sent[name]},
            item.id,
        )
        live = _live(trial, item) or {}
    except ApiError as error:
        trial.tell(
            confirmed(
                subject, "whole", f"a part of the row is refused: {error}"
            )
        )
        return
    if any(is_empty(live.get(one)) for one in others):
        trial.tell(confirmed(subject, "whole", "what is not sent is emptied"))
        return
    at = trial.probe.declared.call(resource.name, "update", "whole")
    text = f"{', '.join(others)} was not sent, and stays"
    trial.tell(
        contradicted(
            subject,
            "whole",
            text,
            at,
            "drop `whole`: it costs a read for each update",
        )
    )


def _locked(trial: Trial, item: Made, name: str, lock: Row) -> None:
    """An update with the version from before the last one must be refused."""
    resource, probe = item.resource, trial.probe
    subject = f"update {resource.name}"
    at = probe.declared.call(resource.name, "update", "lock")
    if is_empty(next(iter(lock.values()), None)):
        trial.tell(
            contradicted(
                subject,
                "lock",
                f"the row has no {next(iter(lock))}",
                at,
                "name the field that holds the version",
            )
        )
        return
    try:
        change = {name: _changed(resource, name, item.sent[name])}
        probe.client.write(
            resource.name,
            "update",
            {**_own(resource, item), **change, **lock},
            item.id,
        )
    except VersionConflict:
        trial.tell(
            confirmed(
                subject,
                "lock",
                f"an old version is refused with {probe.tape.status}",
            )
        )
        return
    except ApiError as error:
        text = (
            f"an old version is refused otherwise than with 409 or 412: {error}"
        )
        advice = "see how the version is sent"
    else:
        text = "an update with an old version is taken: a change in between is lost"
        advice = "see how the version is sent, or drop `lock`"
    evidence = probe.tape.exchange(resource.operations["update"])
    trial.tell(contradicted(subject, "lock", text, at, advice, evidence))


# -- removing


def _removed(trial: Trial) -> list[str]:
    """Remove all that was made, the last first; what is left, with its id. A second interruption
    ends it.
    """
    rest: list[str] = []
    cut = False
    for item in reversed(trial.rows):
        try:
            if cut or not _remove(trial, item):
                rest.append(_named(trial, item))
        except EtlError as error:
            rest.append(f"{_named(trial, item)}: {error}")
        except KeyboardInterrupt:
            cut = True
            rest.append(_named(trial, item))
    return rest


def _named(trial: Trial, item: Made) -> str:
    return (
        f"{item.resource.name} {item.id}"
        if item.id
        else f"{item.resource.name}: look for {trial.mark!r}"
    )


def _remove(trial: Trial, item: Made) -> bool:
    """Remove one row and see that it is gone; one whose id is not known is looked for by its
    mark.
    """
    resource, client = item.resource, trial.probe.client
    subject = f"delete {resource.name}"
    if not item.id:
        item.id = _found(trial, item)
    if not item.id:
        return False
    places = {
        name: value
        for name, value in item.sent.items()
        if f"{{{name}}}" in resource.operations["delete"].path
    }
    try:
        client.write(resource.name, "delete", places or None, item.id)
    except NotFound:
        if _live(trial, item) is not None:
            raise
    evidence = trial.probe.tape.exchange(resource.operations["delete"])
    live = _live(trial, item)
    if live is None or (resource.deleted and live.get(resource.deleted)):
        trial.tell(
            confirmed(
                subject,
                "row",
                "gone" if live is None else f"{resource.deleted} says so",
            )
        )
        return True
    at = trial.probe.declared.path(resource.name, "delete")
    advice = (
        "name with `deleted` the field that says so"
        if any("delet" in name or "archiv" in name for name in live)
        else "correct the call"
    )
    trial.tell(
        contradicted(
            subject,
            "row",
            "the row is still read after it",
            at,
            advice,
            evidence,
        )
    )
    return advice.startswith("name")


def _found(trial: Trial, item: Made) -> str:
    """The id of the row that was made: the one given, if it is this row's, else that of a row
    that carries the mark.

    It is looked for on the first pages of its list, newest first where it can be had so.
    """
    resource = item.resource
    live = _live(trial, item, item.given) if item.given else None
    if live is not None and ours(live, item.sent, resource, trial.mark):
        return item.given
    listing = resource.operations.get("list")
    if listing is None or listing.pager is None:
        return ""
    newest = bool(listing.newest_first)
    pages = islice(
        trial.probe.client.pages(resource.name, newest_first=newest), PAGES
    )
    known = {
        one.id
        for one in trial.rows
        if one.resource.name == resource.name and one.id
    }
    rows = (
        row
        for page in pages
        for row in page.rows
        if ours(row, item.sent, resource, trial.mark)
    )
    return next(
        (
            one
            for row in rows
            if (one := id_of(row, resource)) and one not in known
        ),
        "",
    )
