"""Creations that failed and are not simply sent once more, told by the reason of their failure.

The destination took their record for another's, or they may have made a row, and nobody knows
which: sent once more, they would write over the one and make the other twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.destination.resolve import Resolved
from engine.store.journal import Entry
from engine.store.links import Draft
from engine.values import digest

# what to do where no row is the record's
ONCE_MORE = (
    "`etl run SPEC --failed --yes` sends it once more, and all others in doubt"
)
TAKEN = "it takes the two for one"
# a row was made, but as which is not to be found out
UNTOLD = "its row was made, but the answer does not say which of its rows it is"
# one may have been made, for people may have merged what it refers to
ASTRAY = (
    "it got no answer, and what it refers to is gone since, as after a merge: its row may be"
    " there and refer to another; find it there and remove it, or see that there is none:"
    f" then {ONCE_MORE}"
)
# one may have been made and got something else into it
NEAR = "it got no answer, and its row may be there with other values"


def refused(
    failed: Mapping[str, Entry], only_in_doubt: bool
) -> dict[str, Entry]:
    """The creations that no usual run sends once more.

    Those that were answered with another record's row are sent when the record has changed, or,
    `only_in_doubt`, when somebody asks for it.
    """
    return {
        key: entry
        for key, entry in failed.items()
        if is_in_doubt(entry.reason)
        or (TAKEN in entry.reason and not only_in_doubt)
    }


def is_in_doubt(reason: str) -> bool:
    """Whether a creation failed though it may have made a row, and nobody knows which."""
    return any(mark in reason for mark in (UNTOLD, ASTRAY, NEAR))


def sent_before(entry: Entry, draft: Draft, resolved: Resolved) -> bool:
    """Whether a write sent what a draft says, or what the account has the fields for."""
    return digest(entry.draft) in (draft.digest, digest(resolved.effective))
