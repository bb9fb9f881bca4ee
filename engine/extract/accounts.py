"""Whose store it is: it belongs to one migration and to the two accounts that it was begun with.

Ids that an account gave mean nothing in another one: rows would count as written that are not
there, and a rollback would ask for rows of somebody else.
"""

from __future__ import annotations

import json
from typing import NoReturn

from engine.connector.auth import Account
from engine.connector.client import Client
from engine.errors import UnsafePlan
from engine.extract.records import cursors_of
from engine.language.dependencies import needed
from engine.session import Run
from engine.store.tables import recall, remember
from engine.values import Row

# the name in `meta` of the migration that a store belongs to
OWNER = "migration"


def belongs(run: Run, rebind: bool = False) -> None:
    """Refuse a store of another migration or of other accounts; raises UnsafePlan.

    An account under another key or address is asked for its name, where it can say it. With
    `rebind`, what the store was begun with is forgotten.
    """
    if rebind:
        for name in (OWNER, *map(_place, _sides(run))):
            remember(run.store, name, "")
    of_migration(run)
    remember(run.store, OWNER, run.spec.name)
    for side, client in _sides(run).items():
        known = _known(run, side)
        if known and known["key"] != _key(client.account):
            _claim(run, side, client, client.check() if known["name"] else "")


def of_migration(run: Run) -> None:
    """Refuse a store that belongs to another migration; raises UnsafePlan."""
    owner = recall(run.store, OWNER)
    if owner and owner != run.spec.name:
        raise UnsafePlan(
            f"this store belongs to the migration {owner}, not to {run.spec.name} –"
            f" {_OWN}, or where the migration was only given another name, say so: etl"
            " audit SPEC --rebind"
        )


_OWN = (
    "give it a store of its own with --store, such as another file, or ?schema=NAME"
    " behind the address of a database"
)


def check_accounts(run: Run, reads: bool = False) -> None:
    """Both platforms answer, take their keys and are the accounts of this store; raises ApiError
    or UnsafePlan.

    A source that is known is asked only where nothing of it is about to be read: the first page
    shows as much. With `reads`, something is about to be in any case.
    """
    cursors = cursors_of(run)
    staged = not reads and all(
        name in cursors and cursors[name].complete for name in needed(run.spec)
    )
    asked = _sides(run)
    if not staged and _known(run, "source"):
        del asked["source"]
    for side, client in run.each("signing in", asked.items()):
        _claim(run, side, client, client.check())


def _sides(run: Run) -> dict[str, Client]:
    return {"source": run.source, "destination": run.destination}


def _place(side: str) -> str:
    return f"{side} account"


def _known(run: Run, side: str) -> Row:
    """The account that a store was begun with; {} for a new store."""
    return dict(json.loads(recall(run.store, _place(side)) or "{}"))


def _key(account: Account) -> str:
    """Address and key as a digest. What the sandbox holds lies beside the store and moves with
    it.
    """
    return "sandbox" if account.name else account.id


def _claim(run: Run, side: str, client: Client, name: str) -> None:
    """The store is this account's from now on; raises UnsafePlan where it is another's."""
    known, account = _known(run, side), client.account
    found = {
        "name": name,
        "key": _key(account),
        "at": client.redact(account.base_url),
    }
    by = "name" if name and known.get("name") else "key"
    if known and known[by] != found[by]:
        _refuse(side, known, found)
    if known != found:
        remember(run.store, _place(side), json.dumps(found))


def _refuse(side: str, known: Row, found: Row) -> NoReturn:
    before, now = (
        " ".join(filter(None, (item["at"], item["name"])))
        for item in (known, found)
    )
    another = (
        f"not with {now}" if now != before else "and now there is another key"
    )
    raise UnsafePlan(
        f"this store was begun with the {side} account {before}, {another} – {_OWN}; "
        "where it is the same account, say so: etl audit SPEC --rebind"
    )
