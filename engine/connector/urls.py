"""Addresses out of answers, records and the environment: whatever is none raises ValueError, and
nothing else.
"""

from __future__ import annotations

from functools import lru_cache

import httpx


@lru_cache(maxsize=1024)
def url_of(text: str, page: httpx.URL | None = None) -> httpx.URL:
    """The address in a text, seen from the page it was found in; raises ValueError where it is
    none.

    A host is looked at here, once: `xn--files-.example` is refused by the rules for names, but
    only when it is read.
    """
    try:
        found = page.join(text) if page else httpx.URL(text)
        if found.host or found.scheme not in ("http", "https"):
            return found
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    raise ValueError("it names no host")
