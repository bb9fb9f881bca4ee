"""Words for people, wherever they are shown."""

from __future__ import annotations

import unicodedata


def counted(many: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{many:,} {word}{'' if many == 1 else 's'}"


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
