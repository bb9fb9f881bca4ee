"""Words for people, wherever they are shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def counted(many: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{many:,} {word}{'' if many == 1 else 's'}"


def needing(many: int, what: str = "") -> str:
    """`1 finding needs attention`, `2 findings need attention`, `2 need attention`."""
    subject = counted(many, what) if what else f"{many:,}"
    return f"{subject} {'needs' if many == 1 else 'need'} attention"


def row_counts(rows: Iterable[tuple[str, int | None]]) -> str:
    """`clients: 40 rows, clients.fax: 3 filled`: the counts that are known."""
    return ", ".join(
        f"{name}: {many:,} {'filled' if '.' in name else 'rows'}"
        for name, many in rows
        if many is not None and many >= 0
    )


def apart(before: str, after: str, wide: int) -> tuple[str, str]:
    """Two texts cut to a width, so that their first difference is seen."""
    if max(len(before), len(after)) <= wide:
        return before, after
    pairs = enumerate(zip(before, after, strict=False))
    shorter = min(len(before), len(after))
    differ = next((at for at, (one, two) in pairs if one != two), shorter)
    begin = max(0, differ - wide // 4)
    return clipped(before, wide, begin), clipped(after, wide, begin)


def clipped(text: str, wide: int, begin: int = 0) -> str:
    """A text from a place on, cut to a width; what is left out is marked."""
    shown = f"…{text[begin + 1 :]}" if begin else text
    return shown if len(shown) <= wide else f"{shown[: wide - 1]}…"


def clean(text: str) -> str:
    """One line of text in which nothing can move the cursor, change the title or turn the
    direction.
    """
    return "".join(_visible(char) for char in text)


def _visible(char: str) -> str:
    if char in "\n\r\t":
        return " "
    harmful = (
        unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and char not in "\u200c\u200d"
    )
    return f"\\u{ord(char):04x}" if harmful else char


# what etl calls its own things, and what people call them
_OWN = {
    "$rows.$pipelines": "pipelines",
    "$rows.": "",
    "$pipelines": "pipelines",
    "$fallback": "the fallback owner",
}


# what the store says before the message of a run's end that is no failure
PAUSED = "paused: "
REFUSED = "refused: "


def in_part(command: str) -> bool:
    """Whether a command compares just what it wrote; what it skips it has not looked at again."""
    return command.endswith(("--delta", "--failed"))


def is_whole(command: str) -> bool:
    """Whether a command compares everything that was moved."""
    return not in_part(command) and "--sample" not in command


def were_there(many: int) -> str:
    """What a rollback says of rows that it has nothing to do with any more."""
    was, stays = ("was", "stays") if many == 1 else ("were", "stay")
    return (
        f"{counted(many, 'row')} that {was} there before the migration {stays}"
    )


def known(text: str) -> str:
    """A text in which nothing is called by a name that only etl knows."""
    for own, word in _OWN.items() if "$" in text else ():
        text = text.replace(own, word)
    return text
