"""Redmine to Pipedrive (our emulator): what people do meanwhile, and what must arrive."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from sandbox.launch import launch
from tests.strangers.journey import PROJECTS, Accounts, Edits, Kill, Pair, Words
from tests.strangers.pipedrive import LINKS, STAMPS, named, pipedrive_account
from tests.strangers.redmine import KEY, REDMINE, redmine_account
from tests.strangers.servers import Account, Dump, Row, running
from tests.strangers.stel_order_to_kinto import escaped, some, squashed

NAME = "redmine_to_pipedrive"
OPTIONS = {"deals": ("tracker", "priority", "paid", "channels"), "organizations": ("state",)}
WORDS = {"text": "varchar", "long_text": "text", "number": "double", "date": "date", "enum": "enum", "set": "set"}
CHANNELS = ["Phone", "Web", "Visit & <call>"]


def declared() -> Mapping[str, Mapping[str, Row]]:
    """The custom fields of the spec: only their names and types are taken from it."""
    found: Mapping[str, Mapping[str, Row]] = yaml.safe_load((PROJECTS / NAME / f"specs/{NAME}.yaml").read_text("utf-8"))["custom_fields"]
    return found


@contextmanager
def opened(folder: Path) -> Iterator[Accounts]:
    """One Redmine, and two emulators that hold what people have had there."""
    names = {resource: {item["name"]: key for key, item in fields.items()} for resource, fields in declared().items()}
    quick = ["--speed", "20", "--set", "index_delay=0"]
    with (
        running(REDMINE, folder) as origin,
        launch("pipedrive", plan="ultimate", seats=5000, extra_args=quick) as calm,
        launch("pipedrive", plan="ultimate", seats=5000, extra_args=quick) as wild,
    ):
        yield Accounts(redmine_account(origin), pipedrive_account(calm, names), pipedrive_account(wild, names))


# -- what must arrive, worked out without the engine


def expect(source: Dump, before: Words) -> Words:
    """What Pipedrive must hold."""
    found: Words = {name: dict(rows) for name, rows in before.items()}
    statuses = source["issue_statuses"].values()
    found["pipelines"]["Issues"] = {"name": "Issues"}
    found["stages"] |= {row["name"]: {"name": row["name"], "pipeline_id": "Issues"} for row in statuses}
    _definitions(source, found)
    owner = _owners(source, before)
    for row in source["projects"].values():
        key = f"projects/{row['id']}"
        found["organizations"][key] = _project(row, source) | {"owner_id": owner[None], "custom.source_key": key}
        _note(found, "org_id", key, row["created_on"], paragraphs(row["description"]))
    for row in source["users"].values():
        if not row["admin"]:
            found["persons"][f"users/{row['id']}"] = _person(row, source) | {"owner_id": owner.get(row["id"], owner[None])}
    for row in source["issues"].values():
        key, name = f"issues/{row['id']}", (row.get("assigned_to") or {}).get("id")
        found["deals"][key] = _issue(row, source) | {"owner_id": owner.get(name, owner[None]), "custom.source_key": key}
        _note(found, "deal_id", key, row["created_on"], paragraphs(row["description"]))
        for journal in row["journals"]:
            _note(found, "deal_id", key, journal["created_on"], _journal(journal))
        for file in row.get("attachments", ()):
            made = _file(file, key)
            found["files"][made["name"]] = made
    for row in source["time_entries"].values():
        made = _time(row) | {"owner_id": owner.get(row["user"]["id"], owner[None])}
        found["activities"][named("activities", made)] = made
    return found


def _definitions(source: Dump, found: Words) -> None:
    """Custom fields with their options."""
    options = {
        "deals tracker": [row["name"] for row in source["trackers"].values()],
        "deals priority": [row["name"] for row in source["issue_priorities"].values()],
        "deals paid": ["Yes", "No"], "deals channels": CHANNELS, "organizations state": ["Active", "Closed"],
    }  # fmt: skip
    for resource, fields in declared().items():
        for key, item in fields.items():
            name = f"{resource} {key}"
            found["fields"][name] = some(name=name, type=WORDS[item["type"]], options=options.get(name))
    found["options"] |= {f"{name}: {label}": {"name": f"{name}: {label}"} for name, labels in options.items() for label in labels}


def _owners(source: Dump, before: Words) -> dict[int | None, str]:
    """Who stands for whom: the only active user with that address, else the fallback (None)."""
    active = [(name, row["email"].lower()) for name, row in before["users"].items() if row.get("active_flag", True)]
    found: dict[int | None, str] = {None: next(name for name, email in active if email == "owner@example.com")}
    for row in source["users"].values():
        names = [name for name, email in active if email == row["mail"].lower()]
        found |= {row["id"]: names[0]} if len(names) == 1 else {}
    return found


def _custom(row: Row, name: str) -> Any:
    return next((item["value"] for item in row["custom_fields"] if item["name"] == name), None)


def _project(row: Row, source: Dump) -> Row:
    parent = source["projects"].get(str((row.get("parent") or {}).get("id")))
    return {"name": squashed(row["name"]), "add_time": row["created_on"]} | custom(
        identifier=row["identifier"], tax_id=_custom(row, "Tax id"), website=row.get("homepage"),
        parent=squashed(parent["name"]) if parent else None, state=f"organizations state: {'Closed' if row['status'] == 5 else 'Active'}",
    )  # fmt: skip


def _person(row: Row, source: Dump) -> Row:
    theirs = [item["project"]["id"] for item in source["memberships"].values() if item["user"]["id"] == row["id"]]
    phone = {"961 234 567": "+34961234567", "0034600111222": "+34600111222"}.get(_custom(row, "Phone"), _custom(row, "Phone"))
    return {
        "name": squashed(f"{row['firstname']} {row['lastname']}"), "add_time": row["created_on"],
        "emails": [{"value": row["mail"].lower(), "label": "work", "primary": True}],
        "phones": [{"value": phone, "label": "work", "primary": True}] if phone else [],
        **some(org_id=f"projects/{theirs[0]}" if theirs else None), **custom(login=row["login"], source_key=f"users/{row['id']}"),
    }  # fmt: skip


def _issue(row: Row, source: Dump) -> Row:
    title, status, closed = squashed(f"#{row['id']} {row['subject']}"), row["status"]["name"], row["closed_on"] or row["updated_on"]
    version = row.get("fixed_version")
    author = source["users"][str(row["author"]["id"])]
    relations = ", ".join(f"#{item['issue_id']} {item['relation_type']} #{item['issue_to_id']}" for item in row.get("relations", ()))
    paid = {"1": "deals paid: Yes", "0": "deals paid: No"}.get(_custom(row, "Paid"))
    budget = _custom(row, "Budget")
    return some(
        title=title if len(title) <= 255 else f"{title[:254]}…", org_id=f"projects/{row['project']['id']}",
        person_id=None if author["admin"] else f"users/{author['id']}", pipeline_id="Issues", stage_id=status, currency="EUR",
        status="lost" if status == "Rejected" else "won" if row["status"]["is_closed"] else "open", value=float(budget) if budget else 0,
        won_time=closed if row["status"]["is_closed"] and status != "Rejected" else None, lost_time=closed if status == "Rejected" else None,
        expected_close_date=row["due_date"],
    ) | custom(
        tracker=f"deals tracker: {row['tracker']['name']}", priority=f"deals priority: {row['priority']['name']}",
        category=(row.get("category") or {}).get("name"), version=version and version["name"],
        version_due=version and source["versions"][str(version["id"])]["due_date"], start=row["start_date"], done=row["done_ratio"],
        estimated=row["estimated_hours"], spent=row["spent_hours"], erp_code=_custom(row, "ERP code"), paid=paid,
        signed=_custom(row, "Signed on"), channels=[f"deals channels: {label}" for label in _custom(row, "Channels") if label],
        relations=relations, parent=f"#{row['parent']['id']}" if row.get("parent") else None, created=spaced(row["created_on"]),
    )  # fmt: skip


def _journal(row: Row) -> str:
    parts = [f"<p>{escaped(row['user']['name'])}{' (private)' if row['private_notes'] else ''}, {spaced(row['created_on'])} UTC</p>"]
    parts += [paragraphs(row["notes"])] if paragraphs(row["notes"]) else []
    changes = [(item["name"], *(escaped(item[word] or "nothing") for word in ("old_value", "new_value"))) for item in row["details"]]
    parts += ["<ul>", *(f"<li>{name}: {old} → {new}</li>" for name, old, new in changes), "</ul>"] if changes else []
    return "\n".join(parts)


def _note(found: Words, link: str, key: str, when: str, content: str) -> None:
    if content:
        made = {link: key, "content": content, "add_time": spaced(when)}
        found["notes"][named("notes", made)] = made


def _file(row: Row, key: str) -> Row:
    """Its content is compared as well: a log-in page would be a file, too."""
    name, _, ending = f"{row['id']} {row['filename']}".rpartition(".")
    whole, size = f"{name[: 119 - len(ending)]}.{ending}", row["filesize"]
    return {
        "name": whole, "deal_id": key, "file_size": size, "sha256": row["sha256"], "file": {"name": whole, "size": size},
    }  # fmt: skip


def _time(row: Row) -> Row:
    minutes = round(row["hours"] * 60)
    hours = f"{row['hours']:g}"
    said = paragraphs(row["comments"])
    note = [f"<p>{hours} h of {row['activity']['name']} by {escaped(row['user']['name'])}</p>", said, f"<p>Redmine time entry {row['id']}</p>"]
    return some(
        subject=squashed(f"{row['activity']['name']}: {row['comments'] or f'{hours} h'}"), type="task", done=True, due_date=row["spent_on"],
        duration=f"{minutes // 60:02}:{minutes % 60:02}:00", org_id=f"projects/{row['project']['id']}",
        deal_id=f"issues/{row['issue']['id']}" if "issue" in row else None, note="\n".join(part for part in note if part),
    ) | {"participants": []}  # fmt: skip


def custom(**values: Any) -> Row:
    """Custom fields that have a value."""
    return {f"custom.{key}": value for key, value in some(**values).items()}


def spaced(stamp: str) -> str:
    """A stamp with a blank in it."""
    return stamp.replace("T", " ").removesuffix("Z")


def paragraphs(text: str | None) -> str:
    """Plain text as paragraphs: blank lines part them, other breaks stay."""
    lines = [squashed(line) for line in (text or "").replace("\r\n", "\n").split("\n")]
    blocks = [block.strip("\n") for block in "\n".join(lines).split("\n\n")]
    return "".join(f"<p>{html.escape(block).replace(chr(10), '<br>')}</p>" for block in blocks if block)


# -- what people do meanwhile


HOSTILE = '</p><script>alert("x")</script>{{ 7*7 }} \u202e h1. título "a":javascript:alert(1)'


def in_source(source: Account) -> None:
    """They change, add and delete."""
    numbers = {item["name"]: item["id"] for item in source.call("GET", "/custom_fields.json")["custom_fields"]}
    code = [{"id": numbers["ERP code"], "value": "007"}, {"id": numbers["Channels"], "value": ["Web"]}]
    changed = {"subject": "Cambiado 🙂", "notes": HOSTILE, "custom_fields": code}
    source.call("PUT", "/issues/1.json", {"issue": changed})
    source.call("PUT", "/issues/2.json", {"issue": {"status_id": 5, "private_notes": True, "notes": "cerrado"}})
    source.call("PUT", "/issues/3.json", {"issue": {"due_date": "", "assigned_to_id": "", "description": HOSTILE}})
    source.call("PUT", "/projects/1.json", {"project": {"name": "Núñez & hijas", "homepage": "https://example.com/<nuevo>"}})
    source.call("DELETE", "/issues/4.json")
    source.call("DELETE", "/time_entries/2.json")
    source.call("DELETE", "/attachments/2.json")
    person = {"login": "nueva", "firstname": "Eva", "lastname": "Nueva", "mail": "eva@nueva.example", "password": KEY}
    eva = source.call("POST", "/users.json", {"user": person})["user"]["id"]
    source.call("POST", "/projects/2/memberships.json", {"membership": {"user_id": eva, "role_ids": [5]}})
    made = {"project_id": 2, "tracker_id": 3, "priority_id": 4, "subject": "  Nueva   incidencia", "description": HOSTILE, "assigned_to_id": 6}
    new = source.call("POST", "/issues.json", {"issue": made})["issue"]["id"]
    spent = {"issue_id": new, "hours": 1.75, "activity_id": 8, "spent_on": "2025-07-01", "comments": "<i>"}
    source.call("POST", "/time_entries.json", {"time_entry": spent})


def in_destination(account: Account, rows: Dump) -> Edits:
    """They correct what came, in a field that the source changes as well and in others."""
    ids = {row["custom.source_key"]: number for part in ("deals", "organizations", "persons") for number, row in rows[part].items() if row.get("custom.source_key")}
    stage = next(number for number, row in rows["stages"].items() if row["name"] == "Feedback")
    account.call("PATCH", f"/api/v2/deals/{ids['issues/1']}", {"title": "Nuestro título"})
    account.call("PATCH", f"/api/v2/deals/{ids['issues/7']}", {"stage_id": int(stage), "value": 99})
    account.call("PATCH", f"/api/v2/organizations/{ids['projects/2']}", {"name": "Taller de siempre"})
    account.call("POST", "/api/v2/organizations", {"name": "Otra", "add_time": "2025-01-01T00:00:00Z"})
    return {
        ("deals", "issues/1"): {"title": "Nuestro título"},
        ("deals", "issues/7"): {"stage_id": "Feedback", "value": 99},
        ("organizations", "projects/2"): {"name": "Taller de siempre"},
        ("organizations", "Otra"): {"name": "Otra", "add_time": "2025-01-01T00:00:00Z", "owner_id": "Olga Owner 1"},
    }


def leans(resource: str, row: Row) -> list[tuple[str, str]]:
    """A value stands in a field, and a field has its options."""
    if resource == "fields":
        return [("options", f"{row['name']}: {label}") for label in row.get("options", ())]
    return [("fields", f"{resource} {key.removeprefix('custom.')}") for key in row if key.startswith("custom.")]


PAIR = Pair(
    name=NAME,
    open=opened,
    expect=expect,
    named=named,
    links={
        **dict.fromkeys(("stages", "persons", "notes", "files", "activities"), LINKS),
        **{resource: LINKS | {f"custom.{key}": "options" for key in OPTIONS[resource]} for resource in OPTIONS},
    },
    stamps=STAMPS,
    writes=lambda method, path: method in ("PUT", "PATCH", "DELETE", "POST"),
    in_source=in_source,
    in_destination=in_destination,
    leans=leans,
    kills=(Kill(1), Kill(31, early=True), Kill(45), Kill(29, early=True)),
    kills_back=(Kill(1), Kill(40, early=True), Kill(63)),
)  # fmt: skip
