"""STEL Order (our emulator) to Kinto: what is seeded, what people do meanwhile, and what must arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.launch import Running, launch
from tests.strangers.journey import Accounts, Edits, Kill, Pair, Words
from tests.strangers.servers import HTTP, Account, Dump, Row, answered, kinto

COLLECTIONS = ("clients", "contacts", "products", "quotes", "quote_lines", "notes")
STATES = {"Aceptada": "won", "Rechazada": "lost"}
HOSTILE = '</p><script>alert("x")</script>{{ 7*7 }} ${HOME} \' OR 1=1 --'
LONG = "Año tras año, Ñandú & Cía. 🛠️ " * 700


@contextmanager
def opened(folder: Path) -> Iterator[Accounts]:
    """The emulator with some nasty records more, and two Kintos."""
    with (
        launch("stel_order", plan="unlimited", extra_args=["--size", "60"]) as served,
        kinto(folder / "calm", COLLECTIONS) as calm,
        kinto(folder / "wild", COLLECTIONS) as wild,
    ):
        source = stel_order(served)
        _nasty(source)
        for account in (calm, wild):
            _people_have(account, source.read())
        yield Accounts(source, calm, wild)


def stel_order(served: Running) -> Account:
    """An emulator as an account."""

    def read() -> Dump:
        found: Dump = {}
        for line in HTTP.get(f"{served.base_url.removesuffix('/app')}/__sandbox__/dump").text.splitlines():
            row = json.loads(line)
            found.setdefault(row["resource"], {})[str(row["id"])] = row["record"]
        return found

    def call(method: str, path: str, body: Any = None) -> Any:
        found = answered(HTTP.request(method, f"{served.base_url}{path}", headers={"apikey": served.key}, json=body))
        return found[0] if isinstance(found, list) else found

    return Account(served.base_url, "STEL_ORDER_BASE_URL", {"STEL_ORDER_API_KEY": served.key}, read, call)


def _nasty(source: Account) -> None:
    rows = source.read()
    clients, products = list(rows["clients"]), list(rows["products"])
    source.call("PUT", f"/clients/{clients[2]}", {"legal-name": HOSTILE, "comments": HOSTILE, "tax-identification-number": "00012345"})
    source.call("PUT", f"/clients/{clients[3]}", {"comments": LONG, "phone": "0034 000", "name": "\u202etloc \u200f ﷽"})
    source.call("PUT", f"/clients/{clients[4]}", {"comments": "zero\u200bwidth\u00a0and\tnull:\u0000.", "email": "NULL"})
    source.call("PUT", f"/products/{products[1]}", {"name": "0e0", "description": HOSTILE, "sales-price": 0.1 + 0.2})
    source.call("PUT", f"/products/{products[2]}", {"name": "👩‍👩‍👧‍👦 familia", "sales-price": 1e21})


def _people_have(account: Account, source: Dump) -> None:
    """Rows of their own, and a client who will come from the source as well."""
    known = list(source["clients"].values())[1]
    both = {"name": " ".join(known["legal-name"].split()), "tax_id": known["tax-identification-number"].strip(), "comments": "ours"}
    account.call("PUT", "/collections/clients/records/people-1", {"name": "Casa propia", "tags": ["own", None], "discount": 0})
    account.call("PUT", "/collections/clients/records/people-2", both)
    account.call("PUT", "/collections/contacts/records/people-3", {"name": "Eva", "client_id": "people-2", "phone": "007"})


# -- what must arrive, worked out without the engine


def expect(source: Dump, before: Words) -> Words:
    """What Kinto must hold."""
    found: Words = {name: dict(before[name]) for name in COLLECTIONS}
    category = {row["path"]: row["name"] for row in source["accountCategories"].values()}
    state = {row["path"]: row["name"] for row in source["documentStates"].values()}
    quotes = sorted(source["salesEstimates"].values(), key=lambda row: row["id"])
    ids: dict[str, str] = {}  # path of a client or lead -> id in Kinto
    for collection, kind in (("clients", "client"), ("potentialClients", "lead")):
        for row in source[collection].values():
            made = _client(row, kind, category)
            name = next((name for name, held in before["clients"].items() if _is(held, made)), f"{collection}-{row['id']}")
            found["clients"][name] = {**made, **before["clients"].get(name, {})}
            ids[row["path"]] = name
            if filled(row["comments"]):
                found["notes"][f"{collection}-{row['id']}"] = {
                    "client_id": name, "content": _note(row, quotes), "date": moment(row["utc-last-modification-date"], "UTC"),
                }  # fmt: skip
    for row in source["contacts"].values():
        name = next(text for text in (row["name"], row["email"], row["phone"], f"contacts/{row['id']}") if filled(text))
        plain = {key: stripped(row[key]) for key in ("position", "email", "phone")}
        found["contacts"][f"contacts-{row['id']}"] = some(name=squashed(name), client_id=ids.get(row["account-path"]), **plain)
    for row in source["products"].values():
        found["products"][f"products-{row['id']}"] = some(
            name=squashed(row["name"]) or row["full-reference"], code=row["full-reference"], description=row["description"],
            price=row["sales-price"], stock=row["real-stock"],
        )  # fmt: skip
    for row in quotes:
        found["quotes"][f"salesEstimates-{row['id']}"] = some(
            number=row["full-reference"], client_id=ids.get(row["account-path"]), title=squashed(row["title"]), date=row["date"][:10],
            state=STATES.get(state.get(row["document-state-path"], ""), "open"), total=row["total-amount"],
            currency=row["currency-code"] or "EUR",
        )  # fmt: skip
        for line in row["lines"]:
            if not line["deleted"]:
                found["quote_lines"][f"salesEstimates-{row['id']}-line-{line['id']}"] = _line(row, line, source)
    return found


def _is(held: Row, made: Row) -> bool:
    return all(held.get(key) == made.get(key) for key in ("tax_id", "name"))


def _client(row: Row, kind: str, category: dict[str, str]) -> Row:
    place = row["main-address"] or {}
    parts = {"street": "address-data", "city": "city-town", "postal_code": "postal-code", "country": "country-code"}
    return some(
        name=squashed(row["legal-name"]) or squashed(row["name"]) or row["full-reference"], kind=kind,
        tax_id=stripped(row["tax-identification-number"]), email=stripped(row["email"]), phone=stripped(row["phone"]),
        address=some(**{name: place.get(key) for name, key in parts.items()}) or None,
        category=category.get(row["account-category-path"]), comments=row["comments"],
        since=moment(row["creation-date"], "Europe/Madrid"), discount=row["discount-percentage"],
    )  # fmt: skip


def _line(quote: Row, line: Row, source: Dump) -> Row:
    product = (line["item-path"] or "").partition("/products/")[2]
    return some(
        quote_id=f"salesEstimates-{quote['id']}", product_id=f"products-{product}" if product in source["products"] else None,
        text=squashed(line["item-name"]) or squashed(line["item-description"]), units=line["units"], price=line["item-base-price"],
    )  # fmt: skip


def _note(row: Row, quotes: list[Row]) -> str:
    theirs = [quote for quote in quotes if quote["account-path"] == row["path"]]
    items = "".join(f"<li>{escaped(quote['full-reference'])}: {plain(quote['total-amount'])}</li>" for quote in theirs)
    return f"<h3>{escaped(row['name'])}</h3>\n<p>{escaped(row['comments'])}</p>\n<ul>{items}</ul>"


def filled(value: Any) -> bool:
    """Whether there is something to send."""
    return value is not None and (not isinstance(value, str) or bool(value.strip())) and value not in ([], {})


def some(**values: Any) -> Row:
    """The fields that have a value: an empty one is never sent."""
    return {key: value for key, value in values.items() if filled(value)}


def squashed(text: str | None) -> str:
    """One blank for every run of white space."""
    return " ".join((text or "").split())


def stripped(text: str | None) -> str:
    """Without white space around."""
    return (text or "").strip()


def moment(text: str | None, zone: str) -> str | None:
    """A wall clock's reading as an instant."""
    if not text:
        return None
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(number: float) -> str:
    """A whole number without a point."""
    return str(int(number)) if number == int(number) else str(number)


def escaped(text: str) -> str:
    """As text in HTML."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(character, entity)
    return text


# -- what people do meanwhile


def in_source(source: Account) -> None:
    """They change, add and delete."""
    rows = source.read()
    clients, contacts, quotes = list(rows["clients"]), list(rows["contacts"]), list(rows["salesEstimates"])
    source.call("PUT", f"/clients/{clients[0]}", {"phone": "0099", "comments": "Llamado 🙂"})
    source.call("PUT", f"/clients/{clients[1]}", {"phone": None})
    source.call("PUT", f"/contacts/{contacts[0]}", {"email": None, "position": "Jefa"})
    source.call("DELETE", f"/contacts/{contacts[3]}")
    source.call("DELETE", f"/salesEstimates/{quotes[4]}")
    made = source.call("POST", "/clients", {"name": "Nueva SL", "legal-name": "Nueva  Empresa SL", "comments": HOSTILE})
    link = {"account-id": made["id"], "account-path": made["path"]}
    source.call("POST", "/contacts", {"name": "Eva Nueva", "email": "eva@nueva.example", **link})
    line = {"item-name": "Visita", "units": 2, "item-base-price": 10.5}
    source.call("POST", "/salesEstimates", {"title": "Presupuesto", "lines": [line], **link})


def in_destination(account: Account, rows: Dump) -> Edits:
    """They correct what came, in a field that the source changes as well and in others."""
    first = next(iter(sorted(name for name in rows["clients"] if name.startswith("clients-"))))
    contact = next(iter(sorted(name for name in rows["contacts"] if name.startswith("contacts-"))))
    edits = {
        ("clients", first): {"phone": "+34 600", "tags": ["vip"]},
        ("clients", "people-2"): {"comments": "ours, changed"},
        ("contacts", contact): {"position": "Gerente"},
        ("notes", next(iter(sorted(rows["notes"])))): {"content": "<p>Corregido</p>"},
    }
    for (resource, name), values in edits.items():
        account.call("PATCH", f"/collections/{resource}/records/{name}", values)
    account.call("PUT", "/collections/clients/records/people-9", {"name": "Otra"})
    return {**edits, ("clients", "people-9"): {"name": "Otra"}}


PAIR = Pair(
    name="stel_order_to_kinto",
    open=opened,
    expect=expect,
    named=lambda _, row: row["id"],
    links={
        "contacts": {"client_id": "clients"}, "quotes": {"client_id": "clients"}, "notes": {"client_id": "clients"},
        "quote_lines": {"quote_id": "quotes", "product_id": "products"},
    },
    stamps=("id", "last_modified"),
    writes=lambda method, path: method in ("PUT", "PATCH", "DELETE", "POST"),
    in_source=in_source,
    in_destination=in_destination,
    kills=(Kill(1), Kill(6, early=True), Kill(4), Kill(7), Kill(2, early=True)),
    kills_back=(Kill(1), Kill(17, early=True), Kill(29)),
)  # fmt: skip
