"""Says what the destination must hold, from the source alone, and what of it is not so; knows nothing of the engine.

Values are compared as a person would: an e-mail whatever its capitals, a phone by its digits, HTML by its words. A
difference need not be a fault: people's edits win, a firm that is not there cannot be named. But it must be reported.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.strangers.servers import Dump, Row

OBJECTS = {"firms": "companies", "people": "contacts", "remarks": "notes", "offers": "deals"}
REFERENCES = {
    "contacts": {"company": "companies"}, "notes": {"company_id": "companies"},
    "deals": {"company": "companies", "contact": "contacts", "stage": "stages"}, "stages": {"pipeline": "pipelines"},
}  # fmt: skip
FIELDS = {"companies": "companyFields", "contacts": "contactFields", "deals": "dealFields"}
CUSTOM = {"kind": "Kind", "region": "Region", "credit": "Credit", "role": "Role", "source_key": "Desk key"}
STAMPS = ("updated", "created")
KINDS = {"client": "Client", "lead": "Lead", "partner": "Partner"}
ROLES = {"boss": "Boss", "buyer": "Buyer", "dev": "Developer"}


# -- values


def _words(value: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", str(value))).split())


def _digits(value: Any) -> str:
    return re.sub(r"^00", "", re.sub(r"\D", "", str(value)))


def _moment(value: Any) -> Any:
    try:
        at = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return str(value)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


MEANT: Mapping[str, Callable[[Any], Any]] = {
    "text": lambda value: " ".join(str(value).split()),
    "email": lambda value: str(value).strip().lower(),
    "phone": _digits,
    "url": lambda value: re.sub(r"^https?://", "", str(value).strip()),
    "flag": lambda value: str(value).lower() in ("1", "true"),
    "html": _words,
    "date": lambda value: str(value)[:10],
    "moment": _moment,
    "link": str,
}


def means(kind: str, one: Any, other: Any) -> bool:
    """Whether both say the same to a person."""
    if one in (None, "") or other in (None, ""):
        return one in (None, "") and other in (None, "")
    if kind == "number":
        return abs(float(one) - float(other)) < 0.0051
    return bool(MEANT[kind](one) == MEANT[kind](other))


# -- what must be there


@dataclass(frozen=True, slots=True)
class Wanted:
    """One record as it must be: field -> kind and value; a link names the record it leads to."""

    object: str
    key: str
    values: Mapping[str, tuple[str, Any]]


def wanted(source: Dump) -> dict[str, Wanted]:
    """Every record of the source, as the mapping reads."""
    found = {}
    for name, make in (("firms", _firm), ("people", _person), ("remarks", _remark), ("offers", _offer)):
        for row_id, row in source[name].items():
            key = f"{name}/{row_id}"
            found[key] = Wanted(name, key, make(row))
    return found


def _link(name: str, row_id: Any) -> tuple[str, Any]:
    return "link", f"{name}/{row_id}" if row_id is not None else None


def _firm(row: Row) -> dict[str, tuple[str, Any]]:
    return {
        "name": ("text", row["name"]), "phone": ("phone", row.get("phone")), "website": ("url", row.get("web")),
        "vat": ("text", row.get("vat")), "rating": ("number", row.get("rating")), "active": ("flag", row.get("active")),
        "founded": ("date", row.get("founded")), "joined": ("moment", row.get("joined")), "about": ("html", row.get("about")),
        "custom.kind": ("text", KINDS.get(row.get("kind") or "", row.get("kind"))),
        "custom.region": ("text", row.get("region")), "custom.credit": ("number", row.get("credit")),
    }  # fmt: skip


def _person(row: Row) -> dict[str, tuple[str, Any]]:
    return {
        "name": ("text", row["name"]), "email": ("email", row.get("email")), "phone": ("phone", row.get("phone")),
        "company": _link("firms", row.get("firm")), "score": ("number", row.get("score")),
        "subscribed": ("flag", row.get("subscribed")), "custom.role": ("text", ROLES.get(row.get("role") or "", row.get("role"))),
    }  # fmt: skip


def _remark(row: Row) -> dict[str, tuple[str, Any]]:
    return {"company_id": _link("firms", row.get("firm")), "body": ("html", row["text"]), "at": ("moment", row.get("at"))}


def _offer(row: Row) -> dict[str, tuple[str, Any]]:
    return {
        "title": ("text", row["title"]), "company": _link("firms", row.get("firm")), "contact": _link("people", row.get("person")),
        "stage": ("text", row.get("state")), "amount": ("number", row.get("amount")), "due": ("date", row.get("due")),
    }  # fmt: skip


# -- what is there


@dataclass(slots=True)
class There:
    """The destination as it is, with the words people have given to things."""

    rows: Dump
    journal: list[Row]
    labels: Mapping[str, str] = field(default_factory=dict)  # ours -> people's
    own: dict[tuple[str, str], str] = field(default_factory=dict)  # who made a row: key or people
    plain: Callable[[str], str] = str  # a record's key with the number of its row

    def __post_init__(self) -> None:
        for entry in self.journal:
            if entry["action"] == "created":
                self.own[entry["resource"], entry["id"]] = entry["who"]

    def code(self, resource: str, name: str) -> str:
        """The code of a custom field, by its label or what people call it now."""
        labels = {CUSTOM[name], self.labels.get(CUSTOM[name], CUSTOM[name])}
        rows = self.rows.get(FIELDS.get(resource, ""), {})
        return next((row_id for row_id, row in rows.items() if row["label"] in labels), "")

    def keyed(self, resource: str) -> dict[str, list[str]]:
        """Ids of rows by the key of the record that they carry."""
        code, found = self.code(resource, "source_key"), {}
        for row_id, row in self.rows[resource].items():
            key = (row.get("custom") or {}).get(code)
            if key:
                found.setdefault(self.plain(key), []).append(row_id)
        return found

    def value(self, resource: str, row: Row, target: str) -> Any:
        """A field in words: an option by its label, a stage by its name."""
        if target == "stage":
            return self._ours(self.rows["stages"].get(str(row.get("stage")), {}).get("name"))
        if not target.startswith("custom."):
            return row.get(target)
        code = self.code(resource, target[7:])
        value = (row.get("custom") or {}).get(code)
        options = self.rows[FIELDS[resource]].get(code, {}).get("options") or []
        labels = {str(one["id"]): one["label"] for one in options}
        return self._ours(labels.get(str(value), value)) if labels else value

    def _ours(self, label: Any) -> Any:
        return next((old for old, new in self.labels.items() if new == label), label)


# -- what was reported


@dataclass(frozen=True, slots=True)
class Told:
    """What a command and `etl status` say: of records, of fields of records, and in all."""

    records: frozenset[str] = frozenset()
    fields: frozenset[tuple[str, str]] = frozenset()
    alarms: frozenset[tuple[str, str]] = frozenset()  # (key, field or "") that are said to need attention
    good: bool | None = None  # nothing needs attention; None: no verdict
    definitions: frozenset[str] = frozenset()  # custom fields that are reported as a whole

    def knows(self, key: str, target: str) -> bool:
        """Whether a person who reads would know."""
        return key in self.records or (key, target) in self.fields or target in self.definitions


def told(report: Row | None, status: Row, code: int, plain: Callable[[str], str] = str) -> Told:
    """From a report document and what the status says."""
    records, fields, alarms, definitions = set(), set(), set(), set()
    for item in [*(report or {}).get("findings", []), *status.get("attention", [])]:
        if not item["object"]:
            definitions.add(item["key"].partition(".")[2])
            continue
        place = (plain(item["key"]), item.get("field") or "")
        (fields if place[1] else records).add(place if place[1] else place[0])
        if item["severity"] == "attention":
            alarms.add(place)
    for row in (report or {}).get("records", []):
        key = plain(row["key"])
        if row["state"] != "arrived":
            records.add(key)
            alarms.add((key, ""))
            continue
        for item in row["fields"]:
            if item["state"] in ("lost", "dropped", "changed_by_people"):
                fields.add((key, item["target"]))
            if item["state"] in ("lost", "changed_by_people"):
                alarms.add((key, item["target"]))
    verdict = (report or {}).get("verdict")
    good = verdict["state"] == "good" and code == 0 if verdict else None
    known = [frozenset(found) for found in (records, fields, alarms)]
    return Told(*known, good, frozenset(definitions))


# -- the judgement


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it must be."""

    kind: str
    where: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the destination does not hold as the source says; a fault where nobody says so."""

    key: str
    target: str  # "" for the whole record
    what: str
    theirs: bool = False  # people have done it


Edits = Mapping[tuple[str, str], Row]


@dataclass(slots=True)
class Case:
    """One look at the destination, and everything a judge may know."""

    source: Dump
    there: There
    before: Dump  # what people had before anything, with what they made since
    edits: Edits  # what people wrote over rows that came
    said: Told
    only: frozenset[str] | None = None  # a sample: just these records can be expected
    changes: bool = False  # a delta: what people did to rows that the source left alone, it need not know
    last: Mapping[str, Wanted] = field(default_factory=dict)  # what was wanted when people last looked
    rows_of: dict[str, str] = field(default_factory=dict)  # key -> id of its row
    known: frozenset[Difference] = frozenset()  # reported earlier, and the same since
    gone: frozenset[str] = frozenset()  # keys whose rows people deleted or merged away

    def theirs(self, resource: str, row_id: str, target: str) -> Any:
        """What people have in a field of a row, of their own or written over what came."""
        written = self.edits.get((resource, row_id), {})
        return written.get(target, self.before.get(resource, {}).get(row_id, {}).get(target))


def judge(case: Case) -> list[Fault]:
    """Every fault of an account that a migration has been run to."""
    faults: list[Fault] = []
    expected = wanted(case.source)
    differences: list[Difference] = []
    faults += _identify(case, expected, differences)
    faults += _remarks(case, expected, differences)
    for item in expected.values():
        if item.key in case.rows_of:
            differences += _fields(case, item)
    if case.only is not None:
        differences = [one for one in differences if one.key in case.only]
    silent = [
        one for one in differences
        if not case.said.knows(one.key, one.target) and one not in case.known and not (case.changes and _harmless(case, expected, one))
    ]  # fmt: skip
    faults += [_silent(one) for one in silent]
    case.known = frozenset(differences) - frozenset(silent)
    faults += _false_alarms(case, differences)
    if case.said.good and differences:
        shown = ", ".join(sorted({one.key for one in differences})[:5])
        faults.append(Fault("says good", "report", f"{len(differences)} differences, of {shown}"))
    return [*faults, *leftovers(case, expected), *people_keep(case)]


def _harmless(case: Case, expected: Mapping[str, Wanted], one: Difference) -> bool:
    """What people did in the destination, where the source says the same as before: no conflict."""
    before, now = case.last.get(one.key), expected[one.key]
    return one.theirs and before is not None and (before.values.get(one.target) == now.values.get(one.target))


def _silent(one: Difference) -> Fault:
    return Fault("wrong silently" if one.target else "lost silently", f"{one.key} {one.target}".strip(), one.what)


def _identify(case: Case, expected: Mapping[str, Wanted], differences: list[Difference]) -> Iterator[Fault]:
    """Which row each record is: the one that carries its key."""
    for name in ("firms", "people", "offers"):
        keyed = case.there.keyed(OBJECTS[name])
        for key, ids in keyed.items():
            if len(ids) > 1:
                yield Fault("doubled", key, f"{OBJECTS[name]} {', '.join(ids)}")
            case.rows_of[key] = ids[0]
        for key, item in expected.items():
            if item.object == name and key not in keyed:
                differences.append(Difference(key, "", "has no row", key in case.gone))


def _remarks(case: Case, expected: Mapping[str, Wanted], differences: list[Difference]) -> Iterator[Fault]:
    """Remarks carry no key: as many rows as records must say these words below this company."""
    rows = case.there.rows["notes"]
    ours = {row_id: row for row_id, row in rows.items() if case.there.own.get(("notes", row_id)) == "key"}
    edited = {row_id for name, row_id in case.edits if name == "notes"}
    free: dict[tuple[str, str], list[str]] = {}
    for row_id, row in ours.items():
        if row_id not in edited:
            free.setdefault((str(row.get("company_id")), _words(row.get("body"))), []).append(row_id)
    without: list[str] = []
    for key, item in expected.items():
        if item.object != "remarks":
            continue
        if case.rows_of.get(key) in edited:
            continue
        company = case.rows_of.get(str(item.values["company_id"][1]), "")
        same = free.get((company, _words(item.values["body"][1])), [])
        at = item.values["at"][1]
        best = next((one for one in same if means("moment", rows[one].get("at"), at)), same[0] if same else None)
        if best is None:
            without.append(key)
        else:
            same.remove(best)
            case.rows_of[key] = best
    for key in without:  # its row may say the old words still
        group = next((left for left in free.values() if case.rows_of.get(key) in left), None)
        if group:
            group.remove(case.rows_of[key])
        else:
            case.rows_of.pop(key, None)
            differences.append(Difference(key, "", "has no row"))
    texts = Counter((company, text) for (company, text), left in free.items() for _ in left)
    for (company, text), left in texts.items():
        twin = any(i.object == "remarks" and _words(i.values["body"][1]) == text for i in expected.values())
        yield Fault("doubled" if twin else "left behind", f"notes below {company}", f"{left} too many of {text[:40]!r}")


def _fields(case: Case, item: Wanted) -> Iterator[Difference]:
    """Fields of a record that differ from what the source says."""
    resource, row_id = OBJECTS[item.object], case.rows_of[item.key]
    row = case.there.rows[resource].get(row_id)
    if row is None:
        yield Difference(item.key, "", "its row is gone")
        return
    for target, (kind, value) in item.values.items():
        live = case.there.value(resource, row, target)
        if kind == "link":
            there = case.rows_of.get(str(value)) if value else None
            good = str(live) == there if there and live else (live is None) == (value is None)
        else:
            good = means(kind, live, value)
        theirs = live == case.theirs(resource, row_id, target) and (live is not None or target in case.edits.get((resource, row_id), {}))
        if not good and not (theirs and value is None):
            theirs = theirs or (kind == "link" and live is None and value in case.gone)
            yield Difference(item.key, target, f"is {live!r}, should be {value!r}", theirs)


def _false_alarms(case: Case, differences: Iterable[Difference]) -> Iterator[Fault]:
    """What is said to need attention and does not: counted by record and field."""
    off = {(one.key, one.target) for one in differences}
    records = {one.key for one in differences}
    expected = wanted(case.source)
    for key, target in sorted(case.said.alarms):
        if not key or key in case.gone or key not in expected:
            continue
        if (target and (key, target) not in off and (key, "") not in off) or (not target and key not in records):
            yield Fault("false alarm", f"{key} {target}".strip())


def deleted_by_people(journal: Iterable[Row], rows_of: Mapping[str, str]) -> frozenset[str]:
    """Keys of records whose rows people deleted or merged away."""
    gone = {(entry["resource"], entry["id"]) for entry in journal if entry["who"] == "people" and entry["after"] is None}
    return frozenset(key for key, row_id in rows_of.items() if (OBJECTS[key.split("/")[0]], row_id) in gone)


def leftovers(case: Case, expected: Mapping[str, Wanted]) -> Iterator[Fault]:
    """Rows that came and whose record is no longer in the source; ones without a key."""
    needed = kept_rows(case.there, case.edits)
    for name in ("firms", "people", "offers"):
        resource = OBJECTS[name]
        keyed = {row_id: key for key, ids in case.there.keyed(resource).items() for row_id in ids}
        for row_id in case.there.rows[resource]:
            if case.there.own.get((resource, row_id)) != "key":
                continue
            key = keyed.get(row_id, "")
            if not key:
                yield Fault("doubled", f"{resource} {row_id}", "came without a key")
            elif key not in expected and (resource, row_id) not in needed and key not in case.said.records:
                yield Fault("left behind", key, f"{resource} {row_id}")


def kept_rows(
    there: There, edits: Edits, more: Iterable[tuple[str, str]] = (), edited: bool = True
) -> set[tuple[str, str]]:
    """Rows that came and may stay: people changed them (`edited`), or rows that stay name them; and what `more` rows need."""
    people = [(name, row_id) for name in REFERENCES for row_id in there.rows[name] if there.own.get((name, row_id)) == "people"]
    changed = {
        (e["resource"], e["id"]) for e in there.journal
        if e["who"] == "people" and e["action"] in ("updated", "merged", "let go") and there.own.get((e["resource"], e["id"])) == "key"
    }  # fmt: skip
    waiting = [*people, *edits, *(changed if edited else ()), *more]
    found: set[tuple[str, str]] = set()
    while waiting:
        name, row_id = waiting.pop()
        if (name, row_id) in found or row_id not in there.rows.get(name, {}):
            continue
        found.add((name, row_id))
        row = there.rows[name][row_id]
        waiting += [(to, str(row[key])) for key, to in REFERENCES.get(name, {}).items() if row.get(key) is not None]
    return found


def people_keep(case: Case, after_rollback: bool = False, force: bool = False) -> Iterator[Fault]:
    """People's rows are as they left them: adopted ones may be filled where they were empty, until the rollback."""
    for name, rows in case.before.items():
        filled = {row_id for key, row_id in case.rows_of.items() if OBJECTS[key.split("/")[0]] == name and not after_rollback}
        links = REFERENCES.get(name, {}) if force else {}  # a row that they named may be gone by force
        for row_id, row in rows.items():
            live = case.there.rows.get(name, {}).get(row_id)
            if live is None:
                yield Fault("people's row lost", f"people's {name} {row_id}", str(row.get("name") or row.get("body") or ""))
            else:
                yield from _changed(f"people's {name} {row_id}", row, live, row_id in filled, (*STAMPS, *links))
    for (name, row_id), values in ({} if force else case.edits).items():
        live = case.there.rows.get(name, {}).get(row_id)
        for key, value in values.items():
            if live is None or live.get(key) != value:
                now = live.get(key) if live else "gone"
                yield Fault("people's value lost", f"{name} {row_id} {key}", f"was {value!r}, is {now!r}")


def _changed(where: str, row: Row, live: Row, adopted: bool, apart: Iterable[str]) -> Iterator[Fault]:
    """Values of a row that are not as people left them."""
    for key, value in row.items():
        now = live.get(key)
        if key == "custom" and adopted:
            now = {code: now.get(code) for code in value}
        if now != value and key not in apart and not (adopted and value is None):
            yield Fault("people's value lost", f"{where} {key}", f"was {value!r}, is {now!r}")


def taken_back(case: Case, kept: Iterable[str], force: bool) -> list[Fault]:
    """Faults of an account that a rollback has been run on; `kept` are the keys it says stay."""
    listed = set(kept)
    keyed = {OBJECTS[name]: case.there.keyed(OBJECTS[name]) for name in ("firms", "people", "offers")}
    told_of = [(name, row_id) for name, keys in keyed.items() for key in listed & set(keys) for row_id in keys[key]]
    allowed = kept_rows(case.there, {}, (), edited=False) if force else kept_rows(case.there, case.edits, told_of)
    faults = [
        Fault("left behind", f"{name} {row_id}", json.dumps(row, ensure_ascii=False)[:80])
        for name, rows in case.there.rows.items() if name not in FIELDS.values()
        for row_id, row in rows.items() if case.there.own.get((name, row_id)) == "key" and (name, row_id) not in allowed
    ]  # fmt: skip
    return faults + list(people_keep(case, after_rollback=True, force=force))
