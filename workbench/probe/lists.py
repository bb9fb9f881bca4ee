"""Whether a list answers, and where the rows stand in the answer."""

from __future__ import annotations

from engine.connector.model import Resource
from engine.connector.pagination import path_of
from engine.errors import (
    AuthError,
    Forbidden,
    NotFound,
    RequestRejected,
    Unavailable,
)
from engine.values import dig
from workbench.probe.found import (
    Finding,
    Tell,
    confirmed,
    contradicted,
    noted,
    untried,
)
from workbench.probe.scene import Probe, Sample
from workbench.probe.tape import lists_in


def try_list(probe: Probe, resource: Resource, tell: Tell) -> bool:
    """Ask for the first rows; whether there is something to look at."""
    subject = f"list {resource.name}"
    if resource.operations["list"].pager is None:
        tell(untried(subject, "answers", "the file says no pager"))
        return False
    found = probe.sample(resource.name)
    if found.error is not None and not found.rows:
        tell(_refused(probe, resource, found))
        return False
    if not found.rows:
        tell(_empty(probe, resource, found))
        return False
    all_of_them = ", all there are" if found.whole else ""
    tell(confirmed(subject, "answers", f"{len(found.rows)} rows{all_of_them}"))
    return True


def _refused(probe: Probe, resource: Resource, found: Sample) -> Finding:
    """What a list that cannot be read says about the file."""
    subject, said = f"list {resource.name}", str(found.error)
    here = probe.declared.path(resource.name, "list")
    match found.error:
        case AuthError():
            advice = "give the key the right, or read this answer as `forbid`"
            return contradicted(
                subject,
                "errors",
                "the key that the check call takes is refused here",
                here,
                advice,
                found.evidence,
            )
        case Forbidden():
            return untried(
                subject, "answers", f"the key has no right to it: {said}"
            )
        case NotFound():
            return contradicted(
                subject,
                "path",
                "there is no such list",
                here,
                "correct the path",
                found.evidence,
            )
        case RequestRejected():
            return contradicted(
                subject,
                "answers",
                f"refused: {said}",
                here,
                "correct the path and `params`",
                found.evidence,
            )
        case Unavailable() if 200 <= found.status < 300:
            return _elsewhere(probe, resource, found) or untried(
                subject, "answers", said
            )
    return untried(subject, "answers", said)


def _empty(probe: Probe, resource: Resource, found: Sample) -> Finding:
    return _elsewhere(probe, resource, found) or untried(
        f"list {resource.name}",
        "rows",
        "it answers, and the account has no rows of it",
    )


def _elsewhere(
    probe: Probe, resource: Resource, found: Sample
) -> Finding | None:
    """A good answer without rows: an error in disguise, a walk that begins past the first page,
    or rows in another place.
    """
    operation, subject = resource.operations["list"], f"list {resource.name}"
    said = [
        path
        for path in probe.client.connector.message
        if dig(found.body, path_of(path))
    ]
    if said:
        text = f"answers {found.status} with a text at {said[0]}, which no rule reads as an error"
        advice = f"add a rule such as {{when: {{status: {found.status}, body: …}}, then: reject}}"
        return contradicted(
            subject, "errors", text, ("errors",), advice, found.evidence
        )
    if isinstance(found.error, Unavailable) and "does not end" in str(
        found.error
    ):
        return contradicted(
            subject,
            "pager",
            str(found.error),
            probe.declared.pager(resource.name),
            "correct it",
            found.evidence,
        )
    places = [
        (path, rows)
        for path, rows in lists_in(found.body)
        if path != operation.select
    ]
    if operation.each and "check `each`" in str(found.error):
        text, at = (
            f"the items have no {operation.each}",
            probe.declared.call(resource.name, "list", "each"),
        )
        return contradicted(
            subject,
            "each",
            text,
            at,
            "name the key that holds the row, or drop `each`",
            found.evidence,
        )
    if found.error is None and not places:
        return _begun_late(probe, resource, found)
    written = (
        f"at {operation.select}" if operation.select else "in the body itself"
    )
    at = probe.declared.call(resource.name, "list", "select", "get")
    advice = (
        f"select: {places[0][0] or chr(34) * 2}"
        if places
        else "say with `select` where the rows stand"
    )
    return contradicted(
        subject,
        "select",
        f"there are no rows {written}",
        at,
        advice,
        found.evidence,
    )


def _begun_late(
    probe: Probe, resource: Resource, found: Sample
) -> Finding | None:
    """Pages that are counted from 0 and asked for from 1, or the other way round: a short list
    then seems empty.
    """
    pager = resource.operations["list"].pager
    if pager is None or pager.kind != "page" or found.params:
        return None
    try:
        rows = [
            row
            for page in probe.pages(resource, position=int(not pager.first))
            for row in page.rows
        ]
    except (RequestRejected, Unavailable):
        return None
    if not rows:
        return None
    text = f"page {int(pager.first)} is empty and page {int(not pager.first)} has rows"
    at, advice = (
        probe.declared.pager(resource.name, "first", "page"),
        f"first: {'false' if pager.first else 'true'}",
    )
    return contradicted(
        f"list {resource.name}",
        "pager",
        text,
        at,
        advice,
        probe.tape.exchange(resource.operations["list"]),
    )


def note_single(probe: Probe, resource: Resource, tell: Tell) -> None:
    """A list that is said to come whole and has a round number of rows may be a page of more."""
    rows = len(probe.sample(resource.name).rows)
    if rows >= 20 and rows in (20, 25, 30, 50, 100, 200, 250, 500, 1000):
        tell(
            noted(
                f"list {resource.name}",
                "pager",
                f"exactly {rows} rows came in one answer: see that there is no second page",
            )
        )
