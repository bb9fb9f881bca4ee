"""The outcome of a trial: one declaration, the verdict, what was seen, and where the declaration
is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.config.document import Document, Keys
from engine.connector.model import Verb
from engine.errors import Diagnostic

Word = Literal["confirmed", "contradicted", "not tried", "note", "left"]
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Finding:
    """One declaration compared with the server.

    `keys` lead to its place in the file, `evidence` is what was sent and answered.
    """

    subject: str  # what was tried: "list contacts"
    claim: str  # what the file says of it: "since"
    verdict: Word
    detail: str = ""
    keys: Keys = ()
    advice: str = ""
    evidence: str = ""


Tell = Callable[[Finding], None]


def confirmed(subject: str, claim: str, detail: str = "") -> Finding:
    """The server does as the file says."""
    return Finding(subject, claim, "confirmed", detail)


def untried(subject: str, claim: str, why: str) -> Finding:
    """Nothing could be found out, and why."""
    return Finding(subject, claim, "not tried", why)


def noted(subject: str, claim: str, detail: str) -> Finding:
    """Something to know that contradicts nothing."""
    return Finding(subject, claim, "note", detail)


def left(row: str) -> Finding:
    """A row made here that could not be removed again."""
    return Finding("left behind", "row", "left", row)


def contradicted(
    subject: str,
    claim: str,
    detail: str,
    keys: Keys,
    advice: str,
    evidence: str = "",
) -> Finding:
    """The server does not do as the file says."""
    return Finding(
        subject, claim, "contradicted", detail, keys, advice, evidence
    )


@dataclass(frozen=True, slots=True)
class Declared:
    """Where a connector file says things: in a resource, in its shapes, or in the defaults."""

    document: Document

    def diagnostic(self, finding: Finding) -> Diagnostic:
        """A contradiction as a diagnostic."""
        advice = finding.advice
        if finding.keys[:1] == ("defaults",):
            advice += f"; where just {finding.subject.rpartition(' ')[2]} differs, say so there"
        return self.document.problem(
            finding.keys,
            "contradicted",
            f"{finding.subject}: {finding.claim}: {finding.detail}",
            advice,
        )

    def call(self, resource: str, verb: Verb, *names: str) -> Keys:
        """The first of the names that the call says, in its own words or the defaults'; the call
        itself where none is.
        """
        own: Keys = ("resources", resource, verb)
        homes = [
            keys
            for keys in (own, ("defaults", verb))
            if isinstance(self._at(keys), Mapping)
        ]
        for name in names:
            for home in homes:
                if name in self._at(home):
                    return (*home, name)
            if name == "select" and "select" in self._at(("defaults",)):
                return ("defaults", "select")
        return homes[0] if homes else ("resources", resource)

    def path(self, resource: str, verb: Verb) -> Keys:
        """The call's method and path."""
        return self.call(resource, verb, *METHODS)

    def pager(self, resource: str, *names: str) -> Keys:
        """The first of the names that the list's pager says; the pager itself where none is."""
        pager: Keys = ("pagers", self._at(self.call(resource, "list", "pager")))
        return next(
            ((*pager, name) for name in names if name in self._at(pager)), pager
        )

    def said(self, resource: str, name: str) -> Keys:
        """What a resource says of itself, such as `id` and `modified`, or the defaults for it."""
        own: Keys = ("resources", resource, name)
        homes: tuple[Keys, ...] = (own, ("defaults", name))
        return next(
            (keys for keys in homes if name in self._at(keys[:-1])), own[:-1]
        )

    def field(self, resource: str, path: tuple[str, ...], *names: str) -> Keys:
        """A field, or a field of a shape in it; the first of the names that it says of itself,
        else the field.
        """
        keys = self._field(resource, path[0])
        for inner in path[1:]:
            written = self._at(keys)
            field_type = (
                written.get("type", "")
                if isinstance(written, Mapping)
                else written
            )
            keys = ("shapes", str(field_type).partition(" ")[2], inner)
        written = self._at(keys)
        return next(
            (
                (*keys, name)
                for name in names
                if isinstance(written, Mapping) and name in written
            ),
            keys,
        )

    def _field(self, resource: str, name: str) -> Keys:
        homes: list[Keys] = [("resources", resource, "fields")]
        homes += [
            ("shapes", shape)
            for shape in reversed(
                self._at(("resources", resource)).get("like", ())
            )
        ]
        return next(
            ((*home, name) for home in homes if name in self._at(home)),
            ("resources", resource),
        )

    def _at(self, keys: Keys) -> Any:
        found = self.document.data
        for key in keys:
            found = found.get(key, {}) if isinstance(found, Mapping) else {}
        return found
