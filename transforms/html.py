"""Steps for text that people may have written as HTML: `html.*`.

A text counts as HTML where it holds a tag or an entity by its known name; `<ana@x.es>` and `5 <b`
are no tags, and stay. The cleaning is done by nh3, which reads HTML as browsers do.
"""

import html
import re
from functools import cache
from typing import Any

from .text import paragraphs, plain, strip, strip_html

__all__ = ["clean", "text"]

_LETTERS = "abipqsu"  # tags of one letter: in prose, `a <b` compares
_INLINE = (
    "abbr big br cite code del em font ins kbd mark samp small span strike strong sub sup"
    " tt wbr"
)
_BLOCKS = "blockquote h1 h2 h3 h4 h5 h6 hr li ol pre table tbody td tfoot th thead tr ul"
# they begin a line, as a paragraph does
_LIKE_P = (
    "address article caption center dd div dl dt footer header main section"
)
# known so that they are taken out: with what is in them, or as a tag that shows nothing
_UNWANTED = (
    "applet area audio base body button canvas embed form frame frameset head html iframe img"
    " input label link map math meta noscript object option script select source style svg"
    " template textarea title track video"
)
_FORMATTING = (
    "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i ins li ol p pre s strong sub sup"
    " table tbody td tfoot th thead tr u ul"
)
_ATTRIBUTES = {"a": {"href"}, "td": {"colspan"}, "th": {"colspan"}}
_DROPPED = {"script", "style", "title", "template", "noscript", "iframe"}
_SCHEMES = {"http", "https", "mailto", "tel"}


def _any(names: str) -> str:
    return "|".join(names.split())


# Where a name ends is where a browser ends it; a tag may be cut off where the text is.
_KNOWN = (
    rf"/?(?:{_any(f'{_INLINE} {_BLOCKS} {_LIKE_P} {_UNWANTED}')})(?=[\s/>]|\Z)"
    rf"|/?[{_LETTERS}]\s*/?>|[{_LETTERS}]\s[^<>=]*=[^<>]*>"
)
_TAG = re.compile(f"<(?:{_KNOWN})", re.IGNORECASE)
_NO_TAG = re.compile(f"<(?!{_KNOWN}|!--|!doctype)", re.IGNORECASE)
_BLOCK = re.compile(
    rf"</?(?:p|{_any(f'{_BLOCKS} {_LIKE_P}')})(?=[\s/>]|\Z)", re.IGNORECASE
)
_BREAK = re.compile(rf"<br(?=[\s/>]|\Z)|{_BLOCK.pattern}", re.IGNORECASE)
_PARAGRAPH = re.compile(
    rf"<(/?)(?:{_any(_LIKE_P)})(?=[\s/>]|\Z)", re.IGNORECASE
)
# elements of which nothing is shown, and comments: where they begin and end
_HIDING = re.compile(
    rf"<({'|'.join(sorted(_DROPPED))})(?=[\s/>]|\Z)|<!--", re.IGNORECASE
)
_HIDDEN = re.compile(rf"</({'|'.join(sorted(_DROPPED))})|-->", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]+|#\d+|#[xX][0-9a-fA-F]+);")


def clean(value: Any) -> str | None:
    """Keep the formatting of an HTML text and nothing else of it; plain text becomes paragraphs.

    Paragraphs, lists, tables, headings, emphasis and links (http, https, mailto, tel) stay;
    scripts, styles, frames, pictures, handlers and every other attribute go.

    ```yaml
    using: html.clean
    ```
    `"<p onclick='x()'>a <b>b</b></p><script>x()</script>"` becomes `"<p>a <b>b</b></p>"`.
    """
    written = plain(value)
    if written is None:
        return None
    if not _is_html(written):
        return paragraphs(written)
    found = _cleaner()(_PARAGRAPH.sub(r"<\1p", _whole(_ended(written))))
    found = re.sub(r"<p>\s*</p>", "", found).strip()
    if not strip_html(found) and "<hr" not in found:
        return None
    return found if _BLOCK.search(found) else f"<p>{found}</p>"


def text(value: Any) -> str | None:
    """Show an HTML text without its tags; plain text stays as it is, without blanks at its ends.

    ```yaml
    using: html.text
    ```
    `"<p>a &amp; <b>b</b></p><ul><li>c</li></ul>"` becomes `"a & b\\n\\nc"`.
    """
    written = plain(value)
    if written is None:
        return None
    if not _is_html(written):
        return strip(written)
    return strip_html(_whole(_ended(written)))


def _ended(written: str) -> str:
    """The text, in which a hidden element or comment that never ends is text: all that follows it
    would be lost.
    """
    ends = {
        (found[1] or "").lower(): found.start()
        for found in _HIDDEN.finditer(written)
    }

    def as_text(found: re.Match[str]) -> str:
        is_ended = found.start() < ends.get((found[1] or "").lower(), -1)
        return found[0] if is_ended else f"&lt;{found[0][1:]}"

    last = written.rfind(">") + 1  # no tag begins after it
    written = written[:last] + written[last:].replace("<", "&lt;")
    return _HIDING.sub(as_text, written)


def _is_html(written: str) -> bool:
    tags = _ended(written)
    return bool(
        _TAG.search(tags)
        or "<!--" in tags
        or any(
            html.unescape(found[0]) != found[0]
            for found in _ENTITY.finditer(written)
        )
    )


def _whole(written: str) -> str:
    """HTML in which what is no tag is text, and a line break counts where no tag makes one."""
    written = _NO_TAG.sub("&lt;", written)
    if _BREAK.search(written):
        return written
    return re.sub(r"\r\n|\r|\n", "<br>", written.strip())


@cache
def _cleaner() -> Any:
    import nh3  # what is not cleaned need not wait for it

    return nh3.Cleaner(
        tags=set(_FORMATTING.split()),
        clean_content_tags=_DROPPED,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    ).clean
