"""Records that have moved between the collections of one object: they keep their row.

A lead that becomes a client is read under another collection, and so under another key. It is
taken for the same record where its id is the same, the record under the old key is deleted, and
what was written of it has most of its name in common with what is wanted now, or a word of it and
an address or a long number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

from engine.extract.records import is_deleted
from engine.language.dependencies import walk
from engine.language.model import (
    Field,
    Lookup,
    ObjectMapping,
    Path,
    Template,
)
from engine.session import Run
from engine.store.links import (
    Draft,
    Finding,
    Link,
    any_links,
    drop_drafts,
    linked_keys,
    links_of,
    rename_key,
    save_findings,
    stream_drafts,
)
from engine.store.records import gone_of, mark_gone
from engine.values import collection_of, leaves

STAGE = "move"
_DATE = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
SHORTEST = 4  # letters of a word that may show that two records are one
FEWEST_DIGITS = 7  # of a number that two records do not share by chance: a postcode has five


def follow_moves(run: Run) -> int:
    """Carry the links of records that have moved over to their new keys; how many did."""
    moved = 0
    # a row that several objects are made of is asked for once
    has_left = cache(partial(_has_left, run))
    for mapping in run.spec.active():
        sources = [name for name in mapping.sources if not name.startswith("$")]
        if len(sources) < 2 or mapping.each is not None:
            continue
        for batch in _unlinked(run, mapping):
            moved += _of_batch(run, mapping, sources, batch, has_left)
    return moved


def _unlinked(run: Run, mapping: ObjectMapping) -> Iterator[list[Draft]]:
    """The drafts without a row; none where no record has a row that could have been theirs."""
    with run.store.begin() as connection:
        if not any_links(connection, mapping.name):
            return
    yield from stream_drafts(
        run.store, mapping.name, without=linked_keys(mapping.name)
    )


def _of_batch(
    run: Run,
    mapping: ObjectMapping,
    sources: Sequence[str],
    drafts: Sequence[Draft],
    has_left: Callable[[str], bool],
) -> int:
    with run.store.begin() as connection:
        linked = links_of(
            connection, mapping.name, [draft.key for draft in drafts]
        )
        fresh = [
            draft
            for draft in drafts
            if draft.key not in linked and draft.state == "ready"
        ]
        elsewhere = [
            key for draft in fresh for key in _siblings(draft.key, sources)
        ]
        before = links_of(connection, mapping.name, elsewhere)

    moved = 0
    for draft in fresh:
        link = next(
            (
                before[key]
                for key in _siblings(draft.key, sources)
                if key in before
            ),
            None,
        )
        if link and _is_same(run, mapping, draft, link) and has_left(link.key):
            _carry_over(run, mapping, draft, link)
            moved += 1
    return moved


def _siblings(key: str, sources: Sequence[str]) -> Iterator[str]:
    """The keys that a record would have in the object's other collections."""
    collection, _, row_id = key.partition("/")
    yield from (f"{name}/{row_id}" for name in sources if name != collection)


def _is_same(
    run: Run, mapping: ObjectMapping, draft: Draft, link: Link
) -> bool:
    """Whether what was written and what is wanted now is of one record: one name has all words of
    the other; or most, and no address or long number tells them apart; or one, and such a mark.
    """
    pairs = {
        target: (value, draft.body[target])
        for target, value in link.written.items()
        if target != mapping.key_field
        and target in draft.body
        and _is_own(mapping.fields.get(target))
    }
    called = [
        pairs[target]
        for target in run.resource(mapping.resource).called
        if target in pairs
    ]
    names = [_words([pair[side] for pair in called]) for side in (0, 1)]
    common = names[0] & names[1]
    marks = [(_marks(before), _marks(now)) for before, now in pairs.values()]
    if not common or any(before & now for before, now in marks):
        return bool(common)
    fewest = min(map(len, names))
    told_apart = any(before and now for before, now in marks)
    return len(common) == fewest or (
        not told_apart and 2 * len(common) > fewest
    )


def _marks(value: object) -> set[str]:
    """What of a value belongs to one alone: an e-mail address, a phone or tax number."""
    texts = [leaf for _, leaf in leaves(value) if isinstance(leaf, str)]
    return {
        text.casefold().strip()
        for text in texts
        if "@" in text
        or (
            len(re.findall(r"\d", text)) >= FEWEST_DIGITS
            and not _DATE.match(text)
        )
    }


def _is_own(item: Field | None) -> bool:
    """Whether a field holds something of its record alone: many have a fixed value, the words of a
    template or an owner in common.
    """
    parts = list(walk(item.expr)) if item else []
    paths = [part.text for part in parts if isinstance(part, Path)]
    is_link = any(isinstance(part, Lookup | Template) for part in parts)
    return not is_link and any(path[0] != "$" for path in paths)


def words_in(value: object) -> set[str]:
    """The words of a value that are long enough to show that two rows are about one thing."""
    return {word for word in _words(value) if len(word) >= SHORTEST}


def _words(value: object) -> set[str]:
    texts = [leaf for _, leaf in leaves(value) if isinstance(leaf, str)]
    texts = [text for text in texts if "@" not in text and "/" not in text]
    return {
        word for text in texts for word in re.findall(r"\w+", text.casefold())
    }


def _has_left(run: Run, key: str) -> bool:
    name = collection_of(key)
    with run.store.begin() as connection:
        if gone_of(connection, [key]):
            return True
    can_look = "read" in run.collection(name).operations
    return can_look and is_deleted(run, name, key)


def _carry_over(
    run: Run, mapping: ObjectMapping, draft: Draft, link: Link
) -> None:
    text = f"{link.key} is {draft.key} now; its row {link.dest_id} is kept"
    with run.store.begin() as connection:
        mark_gone(connection, [link.key])
        drop_drafts(connection, link.key)
        rename_key(connection, mapping.name, link.key, draft.key)
        save_findings(
            connection,
            [Finding(mapping.name, draft.key, STAGE, "", "note", text)],
        )
