"""Kinto to Datasette, from one server by other people to another: seeds, what people do meanwhile, what must arrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.strangers.journey import Accounts, Edits, Kill, Pair, Words
from tests.strangers.servers import (
    Account,
    Dump,
    Row,
    datasette,
    datasette_account,
    kinto,
    running,
)
from tests.strangers.stel_order_to_kinto import (
    COLLECTIONS,
    HOSTILE,
    LONG,
    escaped,
    filled,
    some,
    squashed,
    stripped,
)

COLUMNS = {
    "clients": "name TEXT NOT NULL, kind, tax_id, email, phone, street, city, discount REAL, comments, since, tags",
    "contacts": "client_id INTEGER REFERENCES clients(id), name TEXT NOT NULL, email, position",
    "products": "code, name TEXT NOT NULL, description, price REAL",
    "quotes": "client_id INTEGER REFERENCES clients(id), number TEXT NOT NULL, date, state, total REAL",
    "quote_lines": "quote_id INTEGER NOT NULL REFERENCES quotes(id), product_id INTEGER REFERENCES products(id), text, units REAL, price REAL",
    "notes": "client_id INTEGER NOT NULL REFERENCES clients(id), body TEXT NOT NULL",
}
# `source_key` is not unique here: the database would hide a row that was made twice.
TABLE = """
CREATE TABLE {name} (id INTEGER PRIMARY KEY, source_key TEXT, {columns}, updated TEXT DEFAULT ({now}));
CREATE TRIGGER {name}_moves AFTER UPDATE ON {name} WHEN new.updated IS old.updated
BEGIN UPDATE {name} SET updated = {now} WHERE id = new.id; END;
"""
NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
SCRIPT = "".join(
    TABLE.format(name=name, now=NOW, columns=", ".join(word if " " in word else f"{word} TEXT" for word in columns.split(", ")))
    for name, columns in COLUMNS.items()
)
KINDS, POSITIONS = {"client": "C", "lead": "L"}, {"boss": "Manager", "dev": "Developer"}
TEXTS = ("Ana", "Núñez & Hijos", "0", "007", "null", HOSTILE, "🙂🙃", "  twice   blank ", "a\u0000b", "‘’“”", "=1+1", "%s %(x)s {0}", "l'été\r\n")


@contextmanager
def opened(folder: Path) -> Iterator[Accounts]:
    """A Kinto that people have filled, and a Datasette with two equal databases."""
    with kinto(folder / "source", COLLECTIONS) as source, running(datasette(SCRIPT, ("calm", "wild")), folder / "datasette") as origin:
        _seed(source)
        calm, wild = (datasette_account(origin, name, list(COLUMNS)) for name in ("calm", "wild"))
        for account in (calm, wild):
            _people_have(account)
        yield Accounts(source, calm, wild)


def _put(account: Account, collection: str, row_id: str, row: Row) -> None:
    account.call("PUT", f"/collections/{collection}/records/{row_id}", row)


def _seed(source: Account) -> None:
    """Some dozens of records of each kind, with what goes wrong elsewhere."""
    for number in range(26):
        text = TEXTS[number % len(TEXTS)]
        client = {
            "name": f"{text} {number}" if number % 5 else None, "email": f" C{number}@Example.COM ", "kind": ("client", "lead", "gone")[number % 3],
            "tax_id": f"{number:08d}", "phone": ("0034 600", "", None)[number % 3], "discount": (0, 12.5, None, 1e-9)[number % 4],
            "address": ({"street": text, "city": None}, {"city": "Alcoi"}, None, {})[number % 4],
            "comments": (text, None, LONG if number == 14 else "", "<b>x</b>\n\n&amp;")[number % 4],
            "since": ("31/12/2025", "01/02/2003", "yesterday", None)[number % 4], "tags": (["b", "a", "b", ""], [], None)[number % 3],
        }  # fmt: skip
        _put(source, "clients", f"c{number:02d}", {key: value for key, value in client.items() if number % 7 or value is not None})
    for number in range(30):
        contact = {"name": TEXTS[number % len(TEXTS)], "email": f"p{number}@example.com", "client_id": f"c{number % 20:02d}"}
        _put(source, "contacts", f"p{number:02d}", {**contact, "position": ("boss", "dev", "chief", None)[number % 4]})
    _put(source, "contacts", "orphan", {"name": "Nobody's", "client_id": "c99"})
    for number in range(15):
        product = {"name": f"{TEXTS[number % len(TEXTS)]} {number}", "code": f"{number:04d}", "price": (0.1 + 0.2, 1e15, 0, -3.5)[number % 4]}
        _put(source, "products", f"a{number:02d}", {**product, "description": TEXTS[-1 - number % len(TEXTS)]})
    for number in range(20):
        lines = [
            {"n": place, "product_id": f"a{(number + place) % 16:02d}", "text": TEXTS[(number * place) % len(TEXTS)], "units": place / 3}
            for place in range(1, number % 5)
        ]
        quote = {"number": f"{number:05d}", "client_id": f"c{number:02d}", "date": f"2025-{12 - number % 12:02d}-01", "state": "open"}
        _put(source, "quotes", f"q{number:02d}", {**quote, "total": number * 1.1, "lines": lines if number != 5 else None})


def _people_have(account: Account) -> None:
    """Rows of their own, and a client who will come from the source as well."""
    both = {
        "name": "a\u0000b 21", "tax_id": "00000021", "kind": "C", "email": "c21@example.com", "phone": "0034 600", "city": "Alcoi",
        "discount": 12.5, "since": "2003-01-31T23:00:00Z", "tags": "b; a",
    }  # fmt: skip
    for client in ({"name": "Ours alone", "discount": 3}, {"name": "007 3", "tax_id": "00000003", "phone": "ours"}, both):
        account.call("POST", "/clients/-/insert", {"row": client})
    account.call("POST", "/contacts/-/insert", {"rows": [{"name": "Eva", "client_id": 2}]})
    account.call("POST", "/products/-/insert", {"rows": [{"name": "Own product", "code": "0003"}]})


def named(resource: str, row: Row) -> str:
    """Our key; the name of a row that people had."""
    return row["source_key"] or f"own {row['name']}"


# -- what must arrive, worked out without the engine


def expect(source: Dump, before: Words) -> Words:
    """What Datasette must hold."""
    found: Words = {name: dict(before[name]) for name in COLUMNS}
    clients: dict[str, str] = {}  # id in Kinto -> name of the row
    for row_id, row in source["clients"].items():
        made = _client(row_id, row)
        name = next((name for name, held in before["clients"].items() if held.get("tax_id") == made["tax_id"]), made["source_key"])
        clients[row_id] = name
        found["clients"][name] = {**{key: value for key, value in made.items() if key != "source_key" or name == value}, **before["clients"].get(name, {})}
        if filled(row.get("comments")):
            theirs = [one for _, one in sorted(source["contacts"].items()) if one.get("client_id") == row_id]
            found["notes"][f"clients/{row_id}"] = {"source_key": f"clients/{row_id}", "client_id": name, "body": _note(row, theirs)}
    for row_id, row in source["contacts"].items():
        found["contacts"][f"contacts/{row_id}"] = some(
            source_key=f"contacts/{row_id}", client_id=clients.get(row.get("client_id", "")), name=squashed(row["name"]) or row["email"],
            email=stripped(row.get("email")), position=POSITIONS.get(row.get("position") or ""),
        )  # fmt: skip
    for row_id, row in source["products"].items():
        plain = {key: row.get(key) for key in ("code", "description", "price")}
        found["products"][f"products/{row_id}"] = some(source_key=f"products/{row_id}", name=squashed(row["name"]), **plain)
    for row_id, row in source["quotes"].items():
        plain = {key: row.get(key) for key in ("number", "date", "state", "total")}
        found["quotes"][f"quotes/{row_id}"] = some(source_key=f"quotes/{row_id}", client_id=clients.get(row["client_id"]), **plain)
        for line in row.get("lines") or []:
            name, product = f"quotes/{row_id}#line/{line['n']}", line["product_id"]
            found["quote_lines"][name] = some(
                source_key=name, quote_id=f"quotes/{row_id}", product_id=f"products/{product}" if product in source["products"] else None,
                text=line["text"], units=line["units"], price=line.get("price", 0),
            )  # fmt: skip
    return found


def _client(row_id: str, row: Row) -> Row:
    place = row.get("address") or {}
    tags = [tag for tag in dict.fromkeys(row.get("tags") or []) if tag]
    return some(
        source_key=f"clients/{row_id}", name=squashed(row.get("name")) or squashed(row["email"]), kind=KINDS.get(row["kind"]),
        tax_id=row["tax_id"], email=stripped(row["email"]).lower(), phone=row.get("phone"), street=place.get("street"),
        city=place.get("city"), discount=row.get("discount") or 0, comments=row.get("comments"), since=_since(row.get("since")),
        tags="; ".join(tags),
    )  # fmt: skip


def _since(text: Any) -> str | None:
    """Midnight in Madrid, unless it is no date."""
    if text is None or not text[0].isdigit():
        return None
    day = datetime.strptime(text, "%d/%m/%Y").replace(tzinfo=ZoneInfo("Europe/Madrid"))
    return day.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _note(row: Row, contacts: list[Row]) -> str:
    items = "".join(f"<li>{escaped(one['name'])} &lt;{escaped(one['email'])}&gt;</li>" for one in contacts)
    return f"<blockquote>{escaped(row['comments'])}</blockquote>\n<ol>{items}</ol>"


# -- what people do meanwhile


def in_source(source: Account) -> None:
    """They change, add and delete; Kinto lists what was deleted by itself."""
    source.call("PATCH", "/collections/clients/records/c01", {"phone": "0099", "tags": ["new"], "email": "new@example.com"})
    source.call("PATCH", "/collections/clients/records/c02", {"since": "05/06/2024", "discount": 7})
    source.call("PATCH", "/collections/contacts/records/p03", {"position": "boss", "client_id": "c04"})
    source.call("DELETE", "/collections/contacts/records/p05")
    source.call("DELETE", "/collections/quotes/records/q09")
    source.call("DELETE", "/collections/products/records/a02")  # which lines name
    source.call("DELETE", "/collections/clients/records/c21")  # whom people had in the destination before: that row stays
    source.call("DELETE", "/collections/clients/records/c25")
    _put(source, "clients", "c50", {"name": "New & Co", "email": "n@example.com", "tax_id": "n", "kind": "lead", "comments": HOSTILE})
    _put(source, "contacts", "p50", {"name": "Newcomer", "client_id": "c50", "email": "x@example.com"})
    _put(source, "quotes", "q50", {"number": "50", "client_id": "c50", "lines": [{"n": 1, "product_id": "a01", "text": "1", "units": 1}]})


def in_destination(account: Account, rows: Dump) -> Edits:
    """They correct what came, in a field that the source changes as well and in others."""
    ids = {(table, named(table, row)): row["id"] for table, found in rows.items() for row in found.values()}
    edits = {
        ("clients", "clients/c01"): {"phone": "+34 1", "street": "Corrected"},
        ("contacts", "contacts/p03"): {"email": "right@example.com"},
        ("clients", "own 007 3"): {"phone": "still ours"},
        ("notes", "clients/c04"): {"body": "<p>Mine</p>"},
    }
    for (table, name), values in edits.items():
        account.call("POST", f"/{table}/{ids[table, name]}/-/update", {"update": values})
    account.call("POST", "/products/-/insert", {"row": {"name": "Later"}})
    return {**edits, ("products", "own Later"): {"name": "Later"}}


PAIR = Pair(
    name="kinto_to_datasette",
    open=opened,
    expect=expect,
    named=named,
    links={
        "contacts": {"client_id": "clients"}, "quotes": {"client_id": "clients"}, "notes": {"client_id": "clients"},
        "quote_lines": {"quote_id": "quotes", "product_id": "products"},
    },
    stamps=("id", "updated"),
    writes=lambda method, path: method == "POST",
    in_source=in_source,
    in_destination=in_destination,
    kills=(Kill(1), Kill(17, early=True), Kill(23), Kill(28), Kill(5, early=True)),
    kills_back=(Kill(1), Kill(31, early=True), Kill(37)),
    delta=("--delta",),
)  # fmt: skip
