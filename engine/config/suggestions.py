"""Unknown words, and the known ones that were probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or ""."""
    folded = {other.casefold(): other for other in known}
    small = word.casefold()
    swapped = [other for other in folded if sorted(other) == sorted(small)]
    close = next(
        filter(
            None,
            (
                difflib.get_close_matches(text, folded, 1, 0.65)
                for text in (small, small.partition(" ")[0])
            ),
        ),
        [],
    )
    close += [
        other
        for other in folded
        if other.startswith((small + "-", small + "_"))
    ]
    return next((folded[other] for other in swapped + close), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word as advice; nothing where none is near."""
    found = nearest(word, known)
    return f"did you mean {found!r}?" if found else ""


def suggest(word: str, known: Collection[str]) -> str:
    """Advice for an unknown word: the nearest known one, or the list."""
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    listed = ", ".join(sorted(known)[:20]) or "none"
    return did_you_mean(word, known) or f"known: {listed}{more}"
