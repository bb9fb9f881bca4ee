"""What stands in both accounts before the migration, and what people do meanwhile; all of it the same every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.strangers.servers import Account, Row

FIRMS, PEOPLE, REMARKS, OFFERS = 40, 120, 200, 30
WORDS = ("Núñez  &  Hijos", "Oak", "l'été", "<b>Bold</b>", "Ünal", "007", "null", "🙂 Smile", "O\"Neil", "Deal; Co")
ABOUT = (
    "<P CLASS='lead'>Since 1999<BR/>in <STRONG>Alcoi</STRONG> &amp; Ibi</P>", "<p>Plain</p>", None,
    "<UL type=\"disc\"><LI>One</LI><LI>Two &lt;3</LI></UL>",
)  # fmt: skip
SHARED = {12: 11, 52: 51, 92: 91, 120: 119}  # people with the e-mail of another, in other letters
HAD = (5, 25, 46, 47, 83)  # people whom the destination has already, some spelt as in the source
OWN_NAMESAKE = 7  # a firm that the destination has already


def email_of(number: int) -> str:
    """An address that two spell differently."""
    return f"person{number}@example.com"


def firms() -> Iterator[Row]:
    """Firms, by their numbers."""
    for n in range(1, FIRMS + 1):
        yield {
            "name": f" {WORDS[n % len(WORDS)]}  {n} S.L.", "vat": f"B{n:07d}", "active": bool(n % 3),
            "phone": (f"+34 600 10 {n:02d} 00", f"0034 91-555-{n:04d}", f"(600) 20 {n:04d}", None)[n % 4],
            "web": (f"firm{n}.example", f"https://firm{n}.example/a?b=1", None)[n % 3],
            "rating": (4.567, 3, None, 0, 2.126)[n % 5], "founded": f"19{50 + n}-{1 + n % 12:02d}-28",
            "joined": f"2024-{1 + n % 12:02d}-05T{n % 24:02d}:20:30Z", "about": ABOUT[n % 4],
            "kind": ("client", "lead", "partner", None)[n % 4], "region": (" North  West ", "South", None)[n % 3],
            "credit": (1000.555, None, 0, 12.5)[n % 4],
        }  # fmt: skip


def people() -> Iterator[Row]:
    """People, by their numbers; some share an e-mail, one names a firm that is not there."""
    for n in range(1, PEOPLE + 1):
        address = email_of(SHARED.get(n, n))
        firm = 1 + (n * 7) % FIRMS
        yield {
            "name": f"{('Ana', 'Zoë', 'Jürgen  M.', '0', 'Xi 🙂')[n % 5]} {n}",
            "email": (address.upper() if n in SHARED or n % 4 == 1 else f" {address} " if n % 4 == 2 else address) if n % 13 else None,
            "phone": (f"+44 20 7946 {n:04d}", None, f"0044 20-7946-{n:04d}")[n % 3],
            "firm": 999 if n == 110 else None if n % 17 == 0 else firm, "score": (5, 7.255, None, 0)[n % 4],
            "subscribed": (True, False, None)[n % 3], "role": ("boss", "buyer", "dev", None, "chief")[n % 5],
        }  # fmt: skip


def remarks() -> Iterator[Row]:
    """Remarks; two firms have more than a page of them, some say the same twice, one names no firm."""
    for n in range(1, REMARKS + 1):
        firm = 1 if n <= 12 else 2 if n <= 22 else 3 + (n - 22) % (FIRMS - 2)
        same = n - 38 if n in (100, 130) else n  # the same firm, the same words, the same minute
        yield {
            "firm": 999 if n == 199 else firm, "at": f"2025-{1 + same % 12:02d}-{1 + same % 28:02d}T08:{same % 60:02d}:00Z",
            "text": (f"<P STYLE='x'>Called about   {same}<BR/>again</P>", f"<p>{WORDS[same % 3]} {same}</p>", f"Plain {same} & more")[same % 3],
        }  # fmt: skip


def offers() -> Iterator[Row]:
    """Offers, by their numbers."""
    for n in range(1, OFFERS + 1):
        yield {
            "title": f"Offer  {n}", "firm": 1 + n % FIRMS, "person": n * 4 if n % 6 else None, "amount": (1234.567, 0, 99, None)[n % 4],
            "state": ("Open", "Won", "Lost")[n % 3], "due": f"2026-{1 + n % 12:02d}-15" if n % 5 else None,
        }  # fmt: skip


def fill(source: Account, destination: Account) -> None:
    """Both accounts as they are before anything."""
    for name, rows in (("firms", firms()), ("people", people()), ("remarks", remarks()), ("offers", offers())):
        for number, row in enumerate(rows, 1):
            source.call("POST", f"/{name}", {"id": number, **row})
    _people_have(destination)


def _people_have(account: Account) -> None:
    """Rows of their own; some stand for records that will come."""
    make = lambda name, row: account.call("POST", f"/{name}", row)["id"]  # noqa: E731
    colour = make("contactFields", {"label": "Colour", "kind": "string"})
    ours, other = make("companies", {"name": "Own One", "rating": 1.5}), make("companies", {"name": "Own Two", "phone": "1"})
    namesake = " ".join(list(firms())[OWN_NAMESAKE - 1]["name"].split())
    adopted = make("companies", {"name": namesake, "phone": "999", "about": "<p>Theirs</p>"})
    for number in HAD:
        row = {"name": f"Their own {number}", "email": email_of(number), "score": 1, "company": ours, "custom": {colour: "red"}}
        make("contacts", row if number != 47 else {**row, "company": None, "score": None})
    for number in range(4):
        make("contacts", {"name": f"Own contact {number}", "email": f"own{number}@example.com", "company": other})
    make("notes", {"company_id": adopted, "body": "<p>Their note</p>", "at": "2020-01-01T00:00:00Z"})
    make("notes", {"company_id": ours, "body": "<p>Another</p>"})
    pipeline = make("pipelines", {"name": "Own pipeline"})
    stage = make("stages", {"name": "Open", "pipeline": pipeline})
    make("deals", {"title": "Own deal", "company": ours, "stage": stage, "amount": 7})


# -- what happens later


def in_source(source: Account) -> None:
    """People change, add, empty, move and delete records."""
    change = lambda name, number, row: source.call("PATCH", f"/{name}/{number}", row)  # noqa: E731
    change("firms", 1, {"phone": "+34 911 222 333", "name": "Renamed  One"})
    change("firms", 2, {"about": "<P>New words<BR/>here</P>", "region": "East"})
    change("firms", 3, {"phone": "+34 700 000 003"})  # which people change in the destination, too
    change("firms", 4, {"kind": "lead", "rating": None})
    change("firms", 6, {"active": True, "founded": "1971-02-03", "joined": "2025-01-01T00:00:00Z"})
    change("people", 20, {"firm": 9, "score": 8.129})
    change("people", 21, {"email": "New.Address@Example.com"})
    change("people", 22, {"role": "buyer"})
    change("people", 24, {"phone": None})
    change("remarks", 60, {"text": "<P>Corrected &amp; longer</P>"})
    change("offers", 3, {"amount": 4321.999, "state": "Won"})
    for name, number in (("people", 30), ("remarks", 40), ("remarks", 3), ("offers", 5)):
        source.call("DELETE", f"/{name}/{number}")
    _firm_goes(source, 38, keep=True)
    _firm_goes(source, 37, keep=False)
    source.call("POST", "/firms", {"id": 41, "name": "Late  Firm", "web": "late.example", "kind": "client", "active": False})
    source.call("POST", "/people", {"id": 121, "name": "Late One", "email": "LATE@example.com", "firm": 41, "role": "dev"})
    source.call("POST", "/people", {"id": 122, "name": "Late Two", "email": "Own2@Example.com", "firm": 41})  # people's own
    source.call("POST", "/remarks", {"id": 201, "firm": 41, "text": "<P>Late</P>", "at": "2026-01-01T00:00:00Z"})
    source.call("POST", "/remarks", {"id": 202, "firm": 1, "text": "Late, too", "at": "2026-01-02T00:00:00Z"})
    source.call("POST", "/offers", {"id": 31, "title": "Late offer", "firm": 41, "person": 121, "state": "Open"})


def _firm_goes(source: Account, number: int, keep: bool) -> None:
    """A firm is deleted with its remarks; one of its people goes on elsewhere, or all go."""
    rows = source.read()
    staff = [row for row in rows["people"].values() if row["firm"] == number]
    for place, row in enumerate(staff):
        if keep and place == 0:
            source.call("PATCH", f"/people/{row['id']}", {"firm": 39})
        else:
            source.call("DELETE", f"/people/{row['id']}")
    for row in rows["remarks"].values():
        if row["firm"] == number:
            source.call("DELETE", f"/remarks/{row['id']}")
    for row in rows["offers"].values():
        if row["firm"] == number:
            source.call("PATCH", f"/offers/{row['id']}", {"firm": None})
    source.call("DELETE", f"/firms/{number}")


Edits = dict[tuple[str, str], Row]  # (resource, id in the destination) -> what people wrote


def in_destination(account: Account, of: Callable[[str], str | None]) -> Edits:
    """People edit, merge and delete rows that came, and add their own; `of(key)` is the row of a record."""
    edits: Edits = {}

    def edit(name: str, key: str, values: Row) -> None:
        row_id = of(key)
        if row_id:
            stored = account.call("PATCH", f"/{name}/{row_id}", values)
            edits[name, row_id] = {field: stored[field] for field in values}

    edit("companies", "firms/3", {"phone": "+34 111"})
    edit("companies", "firms/8", {"website": "https://corrected.example"})
    edit("contacts", "people/33", {"phone": "+34 222", "score": 9})
    edit("notes", "remarks/70", {"body": "<p>Mine</p>"})
    edit("deals", "offers/7", {"amount": 70})
    if of("people/34") and of("people/35"):
        before = account.read()["contacts"][of("people/35")]
        after = account.call("POST", "/merge/contacts", {"from": of("people/34"), "into": of("people/35")})
        filled = {field: value for field, value in after.items() if field not in ("custom", "updated") and value != before[field]}
        edits["contacts", of("people/35")] = filled
    if of("people/36"):
        account.call("DELETE", f"/contacts/{of('people/36')}")
    if of("firms/37"):
        account.call("POST", "/contacts", {"name": "Own later", "company": int(of("firms/37")), "email": "later@example.com"})
    if of("firms/10"):
        account.call("POST", "/notes", {"company_id": int(of("firms/10")), "body": "<p>Own later</p>"})
    account.call("POST", "/companies", {"name": "Own Later"})
    return edits


RENAMED = {"Region": "Area", "Lead": "Prospect", "Won": "Closed won"}  # a field, an option, a stage
DELETED = "Role"


def renames(account: Account) -> None:
    """People call a field, an option and a stage something else, and delete a field."""
    rows = account.read()
    named = lambda name, label, key="label": next((one for one in rows[name].values() if one[key] == label), None)  # noqa: E731
    field, role, stage = named("companyFields", "Region"), named("contactFields", DELETED), named("stages", "Won", "name")
    kind = named("companyFields", "Kind")
    option = next((one for one in kind["options"] if one["label"] == "Lead"), None) if kind else None
    if field:
        account.call("PATCH", f"/companyFields/{field['id']}", {"label": RENAMED["Region"]})
    if kind and option:
        account.call("PATCH", f"/companyFields/{kind['id']}/options/{option['id']}", {"label": RENAMED["Lead"]})
    if stage:
        account.call("PATCH", f"/stages/{stage['id']}", {"name": RENAMED["Won"]})
    if role:
        account.call("DELETE", f"/contactFields/{role['id']}")
