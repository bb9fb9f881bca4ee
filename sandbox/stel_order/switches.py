"""Behaviours nobody could confirm: each can be switched, the default is the likelier one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sandbox.stel_order.layout import KINDS, RECEIPTS

REFERRED = "referred"  # in refuse_deletes: rows that others name
# name -> allowed words, the default first; an empty tuple takes any text
SWITCHES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bad_key_status": ("401", "403"),
        "over_max": ("cap", "refuse"),  # limit above 500
        "start_zero": ("allow", "refuse"),
        "single_shape": ("array", "object"),  # GET /<collection>/<id>
        "work_order_by_id": ("ok", "fail"),
        "modified_bound": ("inclusive", "exclusive"),
        "event_end_bound": ("start", "end"),  # which time of an event end-date is held against
        "creation_date": ("wall", "utc"),
        "header_stamp": ("moves", "stays"),  # of an invoice, when one of its receipts changes
        "minute_window": ("rolling", "fixed"),
        "count_refused": ("off", "on"),  # do 429 answers use up quota
        "retry_after": ("off", "on"),
        "files_quota": ("off", "on"),
        "read_deleted": ("row", "404"),  # GET of a deleted row: for how long it can be read
        "deleted_filter": ("nothing", "rows"),  # what a list answers to `deleted=true`
        "cascade": ("off", "unlink", "delete"),  # what a delete does to the rows that name it
        "refuse_deletes": ("off",),  # collections and `referred`, separated by commas
        "day_zone": ("UTC",),  # any zone name
        "token_round": ("0",),  # any text; another one kills every file link handed out before
        "forbidden": ("",),  # collections answered 403, separated by commas
    }
)
_FREE = ("day_zone", "token_round", "forbidden", "refuse_deletes")
_DELETABLE = ("off", REFERRED, *(kind.name for kind in KINDS), *RECEIPTS)


def read_switches(given: Mapping[str, str]) -> dict[str, str]:
    """Every switch with its value; ValueError for a name or a word nobody knows."""
    for name, word in given.items():
        if name not in SWITCHES:
            raise ValueError(
                f"stel_order has no switch {name!r}; it has: {', '.join(sorted(SWITCHES))}"
            )
        if name not in _FREE and word not in SWITCHES[name]:
            raise ValueError(f"switch {name!r} takes {' or '.join(SWITCHES[name])}, not {word!r}")
    for word in given.get("refuse_deletes", "off").split(","):
        if word not in _DELETABLE:
            raise ValueError(f"switch 'refuse_deletes' takes {', '.join(_DELETABLE)}, not {word!r}")
    return {name: given.get(name, words[0]) for name, words in SWITCHES.items()}
