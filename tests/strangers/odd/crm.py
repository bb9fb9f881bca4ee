"""The rows of a small CRM and what it does with them; a second set of resources makes it a plain desk to migrate from.

Everything odd is a switch (`Switches`), and everything that happens to a row is in the journal with who did it.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.strangers.odd import dialect
from tests.strangers.odd.tidy import PARSED, TIDY

Row = dict[str, Any]
PAGE = 7  # rows on a page, whatever was asked for
KEEP_S = 60.0  # seconds that old versions of rows are kept for lists that lag


@dataclass(frozen=True, slots=True)
class Switches:
    """What is odd, one by one."""

    tidy: bool = True  # values are written as the platform likes them
    lag: float = 5.0  # seconds that lists are behind
    references: bool = True  # answered as objects, in lists and as text
    dedupe: bool = True  # an e-mail that is there answers with its row
    overwrite: bool = False  # ... whose values are written over: nobody can know before
    cascade: bool = True  # a company takes its contacts and notes along
    as_text: bool = True  # flags and numbers are texts
    false_for_empty: bool = False
    odd_pages: bool = False
    drops: float = 0.02  # writes after which the connection is dropped
    errors: float = 0.02  # reads that are answered with 500
    seed: int = 1
    cap: int = 0  # rows on a page at most, and no word of how many there are; 0: as many as asked for
    words: bool = False  # flags are "1", "true" or "Y", from row to row
    zone: float = 0.0  # hours of the account's zone; stamps and filters are by its clock, and do not say so
    clock: float = 0.0  # seconds by which its clock is ahead, as `Date` tells
    refuses: float = 0.0  # calls that are answered 429 or 503, with the wait in milliseconds
    ids: bool = False  # ids hold what means something in addresses and keys
    bin: bool = False  # deleted rows stay in the lists and say that they are deleted


PLAIN = Switches(False, 0.0, False, False, False, False, False, False, False, 0.0, 0.0)
STRANGE: Mapping[str, Sequence[str]] = {  # what the stranger journey turns on
    "desk": (
        "cap=64", "as_text=on", "words=on", "zone=-6", "clock=3600", "refuses=0.03", "errors=0.02", "ids=on", "bin=on",
    ),
    "crm": ("cap=64", "words=on", "zone=5.5", "clock=-3600", "refuses=0.03", "ids=on"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource: its fields with their kinds, how references are answered, and what it stands below."""

    fields: Mapping[str, str]  # a kind of TIDY, `raw`, `wall` (a moment), `to RESOURCE` (no matter whether it is there), or `ref RESOURCE`
    answered: Mapping[str, str] = field(default_factory=dict)  # reference -> object, list, text
    required: tuple[str, ...] = ()
    definitions: str = ""  # resource that holds its custom fields
    below: tuple[str, str] = ("", "")  # parent, and the field that names it
    unique: str = ""  # a row with the same is answered instead of a new one


DESK: Mapping[str, Kind] = {
    "firms": Kind(
        {**dict.fromkeys(("name", "phone", "web", "vat", "rating", "active", "founded", "about", "kind", "region", "credit"), "raw"),
         "joined": "wall"},
    ),
    "people": Kind({**dict.fromkeys(("name", "email", "phone", "score", "subscribed", "role"), "raw"), "firm": "to firms"}),
    "remarks": Kind({"firm": "to firms", "text": "raw", "at": "wall"}),
    "offers": Kind({**dict.fromkeys(("title", "amount", "state", "due"), "raw"), "firm": "to firms", "person": "to people"}),
}  # fmt: skip
_DEFINITION = Kind({"label": "text", "kind": "raw", "options": "raw"}, required=("label", "kind"))
CRM: Mapping[str, Kind] = {
    "companies": Kind(
        {"name": "text", "phone": "phone", "website": "url", "vat": "text", "rating": "number", "active": "flag",
         "founded": "date", "joined": "moment", "about": "html"},
        required=("name",), definitions="companyFields",
    ),
    "contacts": Kind(
        {"name": "text", "email": "email", "phone": "phone", "company": "ref companies", "score": "number",
         "subscribed": "flag"},
        {"company": "object"}, ("name",), "contactFields", unique="email",
    ),
    "notes": Kind(
        {"company_id": "ref companies", "body": "html", "at": "moment"},
        {"company_id": "text"}, ("body", "company_id"), below=("companies", "company_id"),
    ),
    "deals": Kind(
        {"title": "text", "company": "ref companies", "contact": "ref contacts", "stage": "ref stages",
         "amount": "number", "due": "date"},
        {"company": "object", "contact": "list", "stage": "text"}, ("title",), "dealFields",
    ),
    "pipelines": Kind({"name": "text"}, required=("name",)),
    "stages": Kind({"name": "text", "pipeline": "ref pipelines"}, {"pipeline": "text"}, ("name", "pipeline")),
    "companyFields": _DEFINITION,
    "contactFields": _DEFINITION,
    "dealFields": _DEFINITION,
}  # fmt: skip
CASCADES = {"companies": ("contacts", "notes"), "pipelines": ("stages",)}
CUSTOM_KINDS = {"string": "text", "decimal": "number", "day": "date", "choice": "raw"}


class Refused(Exception):
    """An answer that is no row: status and what is wrong."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


@dataclass(slots=True)
class Platform:
    """One account."""

    kinds: Mapping[str, Kind]
    on: Switches
    time: Callable[[], float] = time.time
    rows: dict[str, dict[str, Row]] = field(default_factory=dict)
    journal: list[Row] = field(default_factory=list)
    versions: dict[str, dict[str, list[tuple[float, Row | None]]]] = field(default_factory=dict)
    binned: dict[str, dict[str, Row]] = field(default_factory=dict)
    last: int = 0
    luck: random.Random = field(default_factory=random.Random)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.luck.seed(self.on.seed)
        for name in self.kinds:
            self.rows.setdefault(name, {})
            self.versions.setdefault(name, {})
            self.binned.setdefault(name, {})

    def now(self) -> float:
        """What its clock says."""
        return self.time() + self.on.clock

    # -- reading

    def listed(self, name: str, since: str = "", parent: str = "") -> list[Row]:
        """The rows of a list, as they were a while ago."""
        bound = self.now() - self.on.lag
        found = (self._as_of(name, row_id, bound) for row_id in sorted(self.versions[name], key=_order))
        rows = [row for row in found if row is not None]
        above = self.kinds[name].below[1]
        if above:
            rows = [row for row in rows if str(row.get(above)) == parent]
        if not since:
            return rows
        try:
            since = dialect.bound(since, self.on.zone) if self.on.zone else since
        except ValueError:
            raise Refused(422, f"{since!r} is no moment here") from None
        return [row for row in rows if row["updated"] >= since]

    def _as_of(self, name: str, row_id: str, bound: float) -> Row | None:
        past = [row for at, row in self.versions[name][row_id] if at <= bound]
        return past[-1] if past else None

    def one(self, name: str, row_id: str) -> Row:
        """A row as it is now. Raises Refused."""
        try:
            return self.rows[name][row_id]
        except KeyError:
            raise Refused(404, f"no {name} {row_id}") from None

    def looked_up(self, name: str, row_id: str) -> Row:
        """A row as the API knows it, which may be in the bin. Raises Refused."""
        found = self.binned[name].get(row_id)
        return found if found is not None else self.one(name, row_id)

    def meant(self, name: str, written: str) -> str:
        """The number of the row that an id in an address or a body means. Raises Refused."""
        if not self.on.ids or name.endswith("Fields"):
            return written
        try:
            return str(dialect.number_of(written))
        except ValueError as error:
            raise Refused(404, str(error)) from None

    def shown(self, name: str, row: Row) -> Row:
        """A row as it is answered."""
        kind, found = self.kinds[name], self._shown_marks(name, row)
        number = number_in(row["id"])
        for key, value in row.items():
            answered = kind.answered.get(key, "")
            if key == "custom":
                found[key] = {code: self._shown_value("", one, number) for code, one in value.items()}
            elif key not in found:
                found[key] = self._shown_value(kind.fields.get(key, "raw"), value, number, answered)
        return found

    def _shown_marks(self, name: str, row: Row) -> Row:
        """Id and stamps, and whether the row is in the bin."""
        found = {"id": row["id"] if name.endswith("Fields") else self.shown_id(row["id"])}
        for key in ("updated", "created"):
            found[key] = dialect.local(row[key], self.on.zone) if self.on.zone else row[key]
        if self.on.bin:
            found["deleted"] = self._shown_value("raw", bool(row.get("deleted")), number_in(row["id"]))
        return found

    def shown_id(self, number: int) -> int | str:
        """The id of a row as it is answered."""
        return dialect.odd_id(number) if self.on.ids else number

    def _shown_value(self, kind: str, value: Any, number: int, answered: str = "") -> Any:
        if value is None:
            return False if self.on.false_for_empty else None
        if kind.startswith("ref "):
            return self._reference(kind[4:], value, answered) if self.on.references else self.shown_id(value)
        if kind.startswith("to "):
            return self.shown_id(value)
        if kind == "wall":
            return dialect.wall(value, self.on.zone)
        if self.on.words and isinstance(value, bool):
            return dialect.flag(value, number)
        if self.on.as_text and isinstance(value, bool):
            return "1" if value else "0"
        if self.on.as_text and isinstance(value, int | float):
            tidied = kind == "number" or (self.on.tidy and isinstance(value, float))
            return f"{value:.2f}" if tidied else str(value)
        return value

    def _reference(self, target: str, value: int, answered: str) -> Any:
        row, shown = self.rows[target].get(str(value), {}), self.shown_id(value)
        if answered == "object":
            return {"id": shown, "name": row.get("name") or row.get("title")}
        return [{"id": shown}] if answered == "list" else str(shown)

    # -- writing

    def create(self, name: str, body: Row, who: str) -> tuple[Row, bool]:
        """A new row, or the one that stands for it already; whether it is new. Raises Refused."""
        kind = self.kinds[name]
        values = self._taken(name, body, who)
        for wanted in kind.required:
            if values.get(wanted) in (None, ""):
                raise Refused(422, f"{wanted} is empty")
        same = self._same(name, values) if who != "people" else None
        if same is not None:
            self.counts["deduplicated"] = self.counts.get("deduplicated", 0) + 1
            if self.on.overwrite:
                self._change(name, same, values, who, "deduplicated")
            return same, False
        self.last = max(self.last + 1, int(body.get("id") or 0))
        row_id: int | str = int(body.get("id") or self.last)
        if name.endswith("Fields"):
            row_id = f"f_{self.last}"
            values["options"] = self._with_ids(values.get("options") or [])
        row = {"id": row_id, **dict.fromkeys(kind.fields), **values, "created": self._stamp()}
        if kind.definitions:
            row.setdefault("custom", {})
        self._keep(name, row, who, "created", None)
        return row, True

    def _same(self, name: str, values: Row) -> Row | None:
        unique = self.kinds[name].unique
        wanted = str(values.get(unique) or "").strip().lower() if unique and self.on.dedupe else ""
        found = (row for row in self.rows[name].values() if str(row.get(unique) or "").lower() == wanted)
        return next(found, None) if wanted else None

    def update(self, name: str, row_id: str, body: Row, who: str) -> Row:
        """A changed row. Raises Refused."""
        row = self.one(name, row_id)
        return self._change(name, row, self._taken(name, body, who), who, "updated")

    def _change(self, name: str, row: Row, values: Row, who: str, action: str) -> Row:
        before = copy.deepcopy(row)
        custom = {**row.get("custom", {}), **values.pop("custom", {})}
        row.update(values)
        if "custom" in row:
            row["custom"] = {code: value for code, value in custom.items() if value is not None}
        self._keep(name, row, who, action, before)
        return row

    def delete(self, name: str, row_id: str, who: str, action: str = "deleted") -> None:
        """Delete a row, and what the platform takes along. Raises Refused."""
        row = self.one(name, row_id)
        for below in CASCADES.get(name, ()):
            if self.on.cascade and below in self.kinds:
                for inner in [key for key, one in self.rows[below].items() if _names(self.kinds[below], one, name, row_id)]:
                    self.delete(below, inner, who, "cascaded")
        if name.endswith("Fields"):
            self._without_field(name, row_id, who)
        del self.rows[name][row_id]
        last = {**row, "updated": self._stamp(), "deleted": True} if self.on.bin else None
        if last is not None:
            self.binned[name][row_id] = last
        self._note(name, row_id, who, action, row, None, last)
        self._let_go(name, row_id, who)

    def _let_go(self, name: str, row_id: str, who: str) -> None:
        """Rows that named a deleted one name none."""
        for other, kind in self.kinds.items():
            links = [key for key, one in kind.fields.items() if one == f"ref {name}"]
            for row in list(self.rows[other].values()):
                gone = {key: None for key in links if str(row.get(key)) == row_id}
                if gone:
                    self._change(other, row, gone, who, "let go")

    def _without_field(self, name: str, code: str, who: str) -> None:
        owner = next(key for key, kind in self.kinds.items() if kind.definitions == name)
        for row in self.rows[owner].values():
            if code in row["custom"]:
                self._change(owner, row, {"custom": {code: None}}, who, "lost a field")

    def merge(self, name: str, gone: str, into: str, who: str) -> Row:
        """People make one row of two: what is empty is filled, what named the other names this one."""
        old, new = self.one(name, gone), self.one(name, into)
        for other, kind in self.kinds.items():
            for key, one in kind.fields.items():
                for row in self.rows[other].values():
                    if one == f"ref {name}" and str(row.get(key)) == gone:
                        self._change(other, row, {key: new["id"]}, who, "merged")
        filled = {key: old[key] for key in self.kinds[name].fields if new.get(key) is None}
        self._change(name, new, filled, who, "merged")
        self.delete(name, gone, who, "merged away")
        return new

    def options(self, name: str, code: str, wanted: list[Row], who: str) -> Row:
        """Add options to a definition."""
        row = self.one(name, code)
        return self._change(name, row, {"options": [*row["options"], *self._with_ids(wanted)]}, who, "updated")

    def without_options(self, name: str, code: str, gone: list[Row], who: str) -> Row:
        """Take options out of a definition."""
        row, ids = self.one(name, code), {str(one["id"]) for one in gone}
        left = [one for one in row["options"] if str(one["id"]) not in ids]
        return self._change(name, row, {"options": left}, who, "updated")

    def rename_option(self, name: str, code: str, option: str, label: str, who: str) -> Row:
        """People call an option something else."""
        row = self.one(name, code)
        found = [{**one, "label": label} if str(one["id"]) == option else one for one in row["options"]]
        return self._change(name, row, {"options": found}, who, "updated")

    def _with_ids(self, options: list[Row]) -> list[Row]:
        found = []
        for one in options:
            self.last += 1
            found.append({"id": self.last, "label": one["label"]})
        return found

    # -- values

    def _taken(self, name: str, body: Row, who: str) -> Row:
        """What is stored of a body: known fields, as the platform writes them. Raises Refused."""
        kind = self.kinds[name]
        found = {key: self._value(kind.fields[key], value, who) for key, value in body.items() if key in kind.fields}
        if kind.definitions and "custom" in body:
            known = self.rows[kind.definitions]
            found["custom"] = {
                code: self._value(CUSTOM_KINDS[known[code]["kind"]], value, who)
                for code, value in (body["custom"] or {}).items() if code in known
            }  # fmt: skip
        return found

    def _value(self, kind: str, value: Any, who: str) -> Any:
        if value is None or value == "":
            return None
        if kind.startswith("ref "):
            value = self.meant(kind[4:], value) if who == "key" else value
            if str(value) not in self.rows[kind[4:]]:
                raise Refused(422, f"no {kind[4:]} {value}")
            return int(value)
        tidy = TIDY if self.on.tidy else PARSED
        try:
            return tidy[kind](value) if kind in tidy else value
        except ValueError:
            raise Refused(422, f"{value!r} is no {kind}") from None

    # -- keeping

    def _stamp(self) -> str:
        now = self.now()
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"

    def _keep(self, name: str, row: Row, who: str, action: str, before: Row | None) -> None:
        row["updated"] = self._stamp()
        self.rows[name][str(row["id"])] = row
        self._note(name, str(row["id"]), who, action, before, copy.deepcopy(row))

    def _note(
        self, name: str, row_id: str, who: str, action: str, before: Row | None, after: Row | None, listed: Row | None = None
    ) -> None:  # fmt: skip
        now = self.now()
        past = self.versions[name].setdefault(row_id, [])
        past.append((now, after or listed))
        while len(past) > 1 and past[1][0] < now - KEEP_S:
            past.pop(0)
        self.journal.append(
            {"n": len(self.journal), "at": now, "who": who, "action": action, "resource": name, "id": row_id,
             "before": before, "after": after}
        )  # fmt: skip

    def state(self) -> Row:
        """What a file keeps."""
        return {"rows": self.rows, "journal": self.journal, "last": self.last}

    def restore(self, state: Row) -> None:
        """Go on from a file."""
        self.rows, self.journal, self.last = state["rows"], state["journal"], state["last"]
        for name, rows in self.rows.items():
            self.versions[name] = {row_id: [(0.0, copy.deepcopy(row))] for row_id, row in rows.items()}


def number_in(row_id: int | str) -> int:
    """The number of a row or of a definition."""
    return int(str(row_id).removeprefix("f_"))


def _order(row_id: str) -> tuple[int, str]:
    return (number_in(row_id), row_id)


def _names(kind: Kind, row: Row, target: str, row_id: str) -> bool:
    return any(one == f"ref {target}" and str(row.get(key)) == row_id for key, one in kind.fields.items())
