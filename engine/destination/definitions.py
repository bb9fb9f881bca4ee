"""Which definition of the account is which of the spec: known by code and id, not by name.

A custom field and its options belong to the account once they are there: people rename them, delete
them and make others beside them. What we made or found is known by the code of the field and the
ids of its options, which the store keeps; a name only serves to find a field for the first time.

Everything here is pure: what the spec wants, what we last knew and what the account lists go in, a
decision comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from engine.connector.model import CustomFields, FieldType
from engine.destination.equality import alike
from engine.language.model import CustomField
from engine.store.links import DEFINITIONS, Link, links_of
from engine.values import dig, grouped, is_empty, is_yes, segments

TEXT = FieldType("text")
# the key in a link's extra: people have deleted the definition
DELETED = "gone"

Row = Mapping[str, Any]


class Remembered(msgspec.Struct, frozen=True):
    """What we last knew about a definition; texts are empty where an older store does not say."""

    code: str
    made_by_us: bool
    label: str  # its name in the account
    wanted: str  # its name in the spec
    type: str  # its type, in the words of specs
    options: Mapping[str, Any]  # label -> id, as values travel
    names: Mapping[str, str]  # option id -> its label in the account
    ours: frozenset[str]  # the labels that a spec has asked for


def known_fields(connection: sa.Connection, resource: str) -> dict[str, Link]:
    """What the store knows of a resource's custom fields, by their names in the spec."""
    prefix = f"{resource}.custom."
    return {
        key.removeprefix(prefix): link
        for key, link in links_of(connection, DEFINITIONS).items()
        if key.startswith(prefix)
    }


def remembered(link: Link | None) -> Remembered | None:
    """What a link says about the definition it stands for."""
    if link is None:
        return None

    options = link.extra.get("options", {})
    return Remembered(
        code=link.dest_id,
        made_by_us=link.origin == "created",
        label=link.extra.get("label", ""),
        wanted=link.extra.get("wanted", ""),
        type=link.extra.get("type", ""),
        options=options,
        names=link.extra.get("names", {}),
        ours=frozenset(link.extra.get("ours", options)),
    )


# -- fields


class Found(msgspec.Struct, frozen=True):
    """The account has it, under the name the spec gives it."""

    row: Row


class Renamed(msgspec.Struct, frozen=True):
    """The account has it under another name, which it keeps."""

    row: Row
    now: str
    news: bool  # whether the two names have come apart since we last looked
    by_spec: bool = False  # the spec was changed, not the account


class Make(msgspec.Struct, frozen=True):
    """The account does not have it, and never had."""


class Rename(msgspec.Struct, frozen=True):
    """We made it, the spec calls it otherwise now, and nobody else has renamed it."""

    row: Row
    now: str


class Retyped(msgspec.Struct, frozen=True):
    """The spec gives it another type than it was made with; no field can change its type."""

    row: Row
    was: str  # its type, in the words of specs where we know, else of the platform


class Deleted(msgspec.Struct, frozen=True):
    """People have deleted it; `twin` is one of its name and type that they have made since."""

    twin: Row | None = None


Decision = Found | Renamed | Make | Rename | Retyped | Deleted


def decide(
    item: CustomField,
    custom: CustomFields,
    known: Remembered | None,
    rows: Sequence[Row],
    *,
    taken: frozenset[str] = frozenset(),
    can_rename: bool = False,
) -> Decision:
    """What to do about one custom field of the spec.

    | known | its code | its type | its name in the account   | decision               |
    | ----- | -------- | -------- | ------------------------- | ---------------------- |
    | no    |          |          | one of this name and type | Found                  |
    | no    |          |          | none                      | Make                   |
    | yes   | deleted  |          |                           | Deleted                |
    | yes   | there    | another  |                           | Retyped                |
    | yes   | there    | the same | the spec's                | Found                  |
    | yes   | there    | the same | another, spec as before   | Renamed                |
    | yes   | there    | the same | as before, spec changed   | Rename if ours,        |
    |       |          |          |                           | else Renamed (by_spec) |

    `taken` are the codes of the spec's other fields: what stands for one of those is not found
    by its name. Fields that are the platform's own are none of the spec's, whatever is known.
    """
    twin = by_name(
        item,
        custom,
        [row for row in rows if str(row.get(custom.code)) not in taken],
    )
    row = by_code(known.code, custom, rows) if known else None
    if not known or (row and not is_own(custom, row)):
        return Found(twin) if twin else Make()

    if not row:
        return Deleted(twin)
    if was := _other_type(item, custom, known, row):
        return Retyped(row, was)
    return _by_its_names(item, custom, known, row, can_rename)


def by_name(
    item: CustomField, custom: CustomFields, rows: Sequence[Row]
) -> Row | None:
    """The definition with this name and type; names alone are not unique."""
    wanted = (item.label, custom.types[item.type])
    return next(
        (
            row
            for row in rows
            if (row.get(custom.name), row.get(custom.type)) == wanted
            and is_own(custom, row)
        ),
        None,
    )


def is_own(custom: CustomFields, row: Row) -> bool:
    """Whether people may have made a definition: only an explicit no says that they did not."""
    said = dig(row, segments(custom.own)) if custom.own else None
    return is_empty(said) or is_yes(said)


def by_code(code: str, custom: CustomFields, rows: Sequence[Row]) -> Row | None:
    """The definition with this code."""
    return next(
        (row for row in rows if str(row.get(custom.code)) == code), None
    )


def _other_type(
    item: CustomField, custom: CustomFields, known: Remembered, row: Row
) -> str:
    """The type a field has, where that is not the one the spec wants; "" where it is."""
    wanted = custom.types[item.type]
    if known.type:
        return known.type if custom.types.get(known.type) != wanted else ""

    held = str(row.get(custom.type))
    return held if held != wanted else ""


def _by_its_names(
    item: CustomField,
    custom: CustomFields,
    known: Remembered,
    row: Row,
    can_rename: bool,
) -> Decision:
    now, wanted = name_of(custom, row), item.label.strip()
    if now == wanted:
        return Found(row)
    if known.wanted in ("", wanted):
        return Renamed(row, now, news=now != known.label)

    untouched = now == known.label == known.wanted
    if untouched and known.made_by_us and can_rename:
        return Rename(row, now)
    return Renamed(row, now, news=True, by_spec=True)


def name_of(custom: CustomFields, row: Row) -> str:
    """What people call a definition."""
    return str(row.get(custom.name) or "").strip()


# -- options


class Options(msgspec.Struct, frozen=True):
    """The options of a field: which one each label stands for, and what is still to be done."""

    # label -> id: the account's labels, and over them ours
    ids: Mapping[str, Any]
    names: Mapping[str, str]  # id -> its label in the account
    ours: frozenset[str]  # the labels that a spec has asked for
    missing: tuple[str, ...]  # labels to add
    # a label of ours, and what the account calls that option
    renamed: tuple[tuple[str, str], ...]
    # those of them that have come apart since we last looked
    news: tuple[tuple[str, str], ...]


def match_options(
    labels: Sequence[str],
    were: Sequence[tuple[str, str]],
    custom: CustomFields,
    known: Remembered | None,
    row: Row,
    made: Mapping[str, Any] | None = None,
) -> Options:
    """Which option of a definition each label stands for.

    A label of ours stands for the option it stood for before as long as that is there, whatever
    people call it now; any other label stands for the option of that name. `were` gives labels that
    are new in the spec the option of an old one, `made` those that the account calls otherwise the
    option that was just made for them.
    """
    wanted = list(dict.fromkeys(label.strip() for label in labels))
    listed = row.get(custom.options) or []
    called = _options(custom, row)
    by_label: dict[str, Any] = dict(called)
    names = {str(option_id): label for label, option_id in called}
    by_label |= {**_folded(wanted, by_label), **(made or {})}
    ids = by_label | _carried(were, known, names)
    there = {_label(custom, option) for option in listed} | ids.keys()
    renamed = tuple(
        (label, names[str(ids[label])])
        for label in wanted
        if label in ids and names[str(ids[label])] != label
    )
    return Options(
        ids=ids,
        names=names,
        ours=frozenset(wanted) | (known.ours if known else frozenset()),
        missing=tuple(label for label in wanted if label not in there),
        renamed=renamed,
        news=tuple(pair for pair in renamed if _is_news(pair, ids, known)),
    )


def _folded(
    wanted: Sequence[str], by_label: Mapping[str, Any]
) -> dict[str, Any]:
    """Labels that the account has with other blanks between their words."""
    found = {}
    for label in wanted:
        words = label.split()
        like = [
            one for shown, one in by_label.items() if shown.split() == words
        ]
        if label not in by_label and len(like) == 1:
            found[label] = like[0]
    return found


def made_for(
    labels: Sequence[str], custom: CustomFields, before: Row, after: Row
) -> dict[str, Any]:
    """The new options that an account has made of these labels and calls otherwise: by their form,
    or the one that is left for the label that is left. Options of one name are told apart by
    nobody.
    """
    old = {str(option_id) for _, option_id in _options(custom, before)}
    fresh = [
        (shown, option_id)
        for shown, option_id in _options(custom, after)
        if str(option_id) not in old
    ]
    exact = {shown for shown, _ in fresh} & {*labels}
    fresh = [one for one in fresh if one[0] not in exact]
    found = _by_form([label for label in labels if label not in exact], fresh)
    left = [label for label in labels if label not in exact | found.keys()]
    fresh = [one for one in fresh if one[1] not in found.values()]
    # where people have added one meanwhile, or one was left out, nobody knows
    is_one = len(_options(custom, after)) == len(old) + len({*labels})
    if is_one and len(left) == len(fresh) == 1:
        found[left[0]] = fresh[0][1]
    return found


def _by_form(
    labels: Sequence[str], fresh: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
    """The options that show a label in another form, or cut: as many as there are such labels, for
    one that was left out must not get what is shown for another.
    """
    pairs: list[tuple[str, Any]] = []
    for shown, ids in grouped(fresh).items():
        like = [label for label in labels if _is_form(label, shown)]
        if len(like) == len(ids):
            pairs += zip(like, ids, strict=True)
    return {
        label: ids[0] for label, ids in grouped(pairs).items() if len(ids) == 1
    }


def _is_form(label: str, shown: str) -> bool:
    is_part = shown != "" and label.startswith(shown)
    return is_part or alike(label, shown, TEXT)


def _options(custom: CustomFields, row: Row) -> list[tuple[str, Any]]:
    """The options of a definition: what each is called, and its id."""
    return [
        (_label(custom, option), option[custom.option_id])
        for option in row.get(custom.options) or []
        if custom.option_id in option
    ]


def _carried(
    were: Sequence[tuple[str, str]],
    known: Remembered | None,
    names: Mapping[str, str],
) -> dict[str, Any]:
    """Labels of ours whose option is still there, with its id."""
    if known is None:
        return {}
    ours = {
        label: found
        for label, found in known.options.items()
        if label in known.ours and str(found) in names
    }
    return {
        label.strip(): ours[was.strip()]
        for label, was in were
        if was.strip() in ours
    } | ours


def _is_news(
    pair: tuple[str, str], ids: Mapping[str, Any], known: Remembered | None
) -> bool:
    label, now = pair
    return (
        known is None
        or label not in known.options
        or known.names.get(str(ids[label])) != now
    )


def _label(custom: CustomFields, option: Row) -> str:
    return str(option[custom.option_label]).strip()


def memory(
    wanted: str,
    type_name: str,
    custom: CustomFields,
    row: Row,
    options: Options,
) -> dict[str, Any]:
    """What a link keeps of a definition; `wanted` and `type_name` are what the spec calls it."""
    return {
        "label": name_of(custom, row),
        "wanted": wanted.strip(),
        "type": type_name,
        "options": dict(options.ids),
        "names": dict(options.names),
        "ours": sorted(options.ours),
    }
