"""Signing in, and keeping the key out of every text."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.connector.auth import AUTHS, redactor, sign
from engine.library.opening import NO_KEY

KEY = 'k3y "quoted" /+=ñ?'


@pytest.mark.parametrize(
    ("auth", "headers", "params"),
    [
        ({"kind": "header", "name": "x-key"}, {"x-key": "k"}, {}),
        ({"kind": "header", "name": "x-key", "prefix": "Token "}, {"x-key": "Token k"}, {}),
        ({"kind": "query", "name": "api_key"}, {}, {"api_key": "k"}),
        ({"kind": "bearer"}, {"Authorization": "Bearer k"}, {}),
        ({"kind": "basic", "user": "me"}, {"Authorization": "Basic " + base64.b64encode(b"me:k").decode()}, {}),
        ({"kind": "none"}, {}, {}),
    ],
)
def test_each_kind_of_signing_in(auth: dict[str, str], headers: dict[str, str], params: dict[str, str]) -> None:
    """What a request carries, and none of it in the signature's repr."""
    signature = AUTHS[auth["kind"]](auth, "k")
    assert (signature.headers, signature.params) == (headers, params)
    assert repr(signature) == "Signature()"


@pytest.mark.parametrize("kind", AUTHS)
def test_a_command_that_calls_nobody_needs_no_key(kind: str) -> None:
    """What stands in for the key, in `etl export` and `etl status`, passes every way of signing in."""
    assert sign({"kind": kind, "name": "x", "prefix": "Token ", "user": "me"}, lambda _: NO_KEY)


@pytest.mark.parametrize(
    "form",
    [KEY, quote(KEY), quote(KEY, safe=""), quote_plus(KEY), json.dumps(KEY), json.dumps(KEY)[1:-1], repr(KEY)],
)
def test_a_key_is_found_in_every_form(form: str) -> None:
    """As it is, as an address quotes it, as JSON and Python write it."""
    redact = redactor((KEY,))
    text = redact(f"before {form} after")
    assert "k3y" not in text and "***" in text
    assert text.startswith("before ") and text.endswith(" after")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://x.example/f/1?sig=abc&e=1, or not", "see https://x.example/f/1?***, or not".replace("***,", "***")),
        ("at http://me:pw@x.example/a", "at http://***@x.example/a"),
        ("mail me@x.example about https://x.example/a", "mail me@x.example about https://x.example/a"),
        ("nothing here", "nothing here"),
    ],
)
def test_links_lose_what_makes_them_capabilities(text: str, shown: str) -> None:
    """Queries and passwords in addresses go, the rest stays readable."""
    assert redactor(())(text) == shown


@given(st.text(min_size=4, max_size=40), st.text(max_size=60), st.text(max_size=60))
def test_no_key_survives(secret: str, before: str, after: str) -> None:
    """Whatever stands around it, a key of four letters or more is not in what comes out, unless a mask spells it."""
    text = redactor((secret,))(before + secret + after)
    assert secret not in text or secret in "***" * 20 or "*" in secret


def test_short_words_are_not_taken_for_keys() -> None:
    """An empty or tiny secret would blank out every text."""
    assert redactor(("", "ab"))("abracadabra") == "abracadabra"


LONG_KEY = "canary-src-7Hq2Zx"


@pytest.mark.parametrize(
    "shown",
    [
        LONG_KEY[:14], LONG_KEY[-9:], LONG_KEY[4:12], LONG_KEY.upper(), LONG_KEY[::-1], LONG_KEY.title(),
        base64.b64encode(LONG_KEY.encode()).decode(), f"{LONG_KEY[:8]}…", f"{LONG_KEY[:9]}{LONG_KEY[5:]}", LONG_KEY[:10] * 3,
    ],
)  # fmt: skip
def test_a_piece_of_a_key_is_found(shown: str) -> None:
    """Platforms echo a key cut short, in other capitals, turned round or in base 64."""
    text = redactor((LONG_KEY,))(f"the key {shown} is none of ours")
    assert text.startswith("the key ***") and text.endswith(" is none of ours")
    assert not any(LONG_KEY[at : at + 8].lower() in text.lower() for at in range(len(LONG_KEY) - 7))


@given(st.text(min_size=12, max_size=60), st.data())
def test_no_piece_of_a_long_key_is_left(key: str, data: st.DataObject) -> None:
    """Wherever a piece of eight characters stands, and whatever stands around it."""
    begin = data.draw(st.integers(0, len(key) - 8))
    piece = key[begin : begin + data.draw(st.integers(8, len(key)))]
    text = redactor((key,))(data.draw(st.text()) + piece + data.draw(st.text()))
    assert piece not in text


@pytest.mark.parametrize("text", ["canary", "src-7Hq", "a source", "7Hq2Zx", ""])
def test_what_is_shorter_than_a_piece_stays(text: str) -> None:
    """A word that a key happens to hold is no key."""
    assert redactor((LONG_KEY, "short1"))(text) == text
