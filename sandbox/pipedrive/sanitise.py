"""Cleans the HTML of notes the way a web application must: known tags only, nothing that runs."""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser

_KEPT = frozenset(
    [
        "b",
        "i",
        "u",
        "em",
        "strong",
        "a",
        "p",
        "br",
        "div",
        "span",
        "ul",
        "ol",
        "li",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "thead",
        "tbody",
        "tr",
        "td",
        "th",
        "hr",
        "blockquote",
        "pre",
        "code",
    ]
)
_EMPTY = frozenset({"br", "hr"})
_WITH_CONTENT = frozenset({"script", "style", "iframe"})  # dropped together with what is inside
_ATTRIBUTES = frozenset({"href", "title", "target", "rel", "colspan", "rowspan", "align"})
_SCHEMES = ("http:", "https:", "mailto:", "tel:", "/", "#")


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._dropping = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _WITH_CONTENT:
            self._dropping += 1
        elif tag in _KEPT and not self._dropping:
            kept = "".join(
                f' {name}="{escape(value or "")}"'
                for name, value in attrs
                if name in _ATTRIBUTES and (name != "href" or _safe(value or ""))
            )
            self.parts.append(f"<{tag}{kept}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _EMPTY:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in _WITH_CONTENT:
            self._dropping = max(0, self._dropping - 1)
        elif tag in _KEPT and tag not in _EMPTY and not self._dropping:
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")


def _safe(link: str) -> bool:
    # Blanks and control characters inside a scheme are ignored by browsers.
    bare = "".join(c for c in link if c > " ").lower()
    return bare.startswith(_SCHEMES) or ":" not in bare.partition("/")[0]


def sanitise(html: str) -> str:
    """The same text without scripts, styles, frames, event handlers and unknown tags."""
    if "<" not in html:
        return html
    cleaner = _Cleaner()
    cleaner.feed(html)
    cleaner.close()
    return "".join(cleaner.parts)
