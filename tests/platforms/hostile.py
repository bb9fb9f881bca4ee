"""Mutated files and hostile answers, the same for the same seed: what no command may end with code 70 for."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.platforms.platform import Answer, Platform, Request

SIGNS = (
    b"\0", b"\xff", b"\xc3", b"\t", b"\r", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\xa0", b"&a ", b"*a", b"!!python/object:os.system ",
    b"!!binary ", b"!x ", b"<<: ", b"? ", b": ", b"- ", b"|", b">", b"%", b"@", b"`", b'"', b"'", b"{", b"}", b"[", b"]", b"#", b"---\n",
    b"\xed\xa0\x80", b'"\\UFFFFFFFF"', b"\\xZZ", b"{{", b"}}", b"{%", b"%}", b"{#", b"|safe", b"0" * 400, b"9" * 5000, b"1e999",
    b"[" * 60, b"a" * 70_000, b"http://[::1", b"https://xn--files-.x/", b"../..", b"$settings.", b"$key", b"a[*].b", b"{id}", b"{id!r}",
    b"Europa/Madrid", b"(a+)+$", b"truncate(2)", b"\xf0\x9f\x98\x80", b"-1", b"null", b"true", b"[]", b"{}", b"' '",
)  # fmt: skip


def mutated(rng: random.Random, raw: bytes) -> bytes:
    """A text with one to five slips in it."""
    text = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(5):
            case 0:
                text[at:at] = rng.choice(SIGNS)
            case 1:
                del text[at : at + rng.choice((1, 2, 10, 200))]
            case 2:
                text[at : at + 1] = rng.choice(SIGNS)
            case 3:
                other = rng.randrange(len(text) + 1)
                text[at:at] = text[other : other + rng.choice((1, 20, 500))]
            case 4:
                end = text.find(b"\n", at)
                text[at : end if end > 0 else len(text)] = rng.choice(SIGNS)
    return rng.choice((bytes, bytes, bytes, _other_ends, _latin, _wide))(bytes(text))


def _other_ends(raw: bytes) -> bytes:
    return raw.replace(b"\n", b"\r\n")


def _latin(raw: bytes) -> bytes:
    return raw.decode(errors="replace").encode("latin-1", "replace")


def _wide(raw: bytes) -> bytes:
    return raw.decode(errors="replace").encode("utf-16")


ROW = b'{"id": 1, "name": "a", "email": "a@x.es"}'
BODIES: dict[str, bytes] = {
    "nothing": b"", "blank": b"  \n", "null": b"null", "text": b'"ok"', "number": b"5", "true": b"true", "list of lists": b"[[1], [2]]",
    "mixed": b"[" + ROW + b", null, 7]", "empty row": b"[{}]", "no id": b'[{"name": "a"}]', "object": b'{"data": ' + ROW + b"}",
    "html": b"<html><h1>busy</h1>", "cut": b'[{"id": 1, "na', "nan": b'[{"id": NaN}]', "big float": b'[{"id": 1, "name": 1e999, "email": -1e999}]',
    "big id": b'[{"id": 1e999, "name": "a", "email": "b"}]', "digits": b'[{"id": ' + b"9" * 5000 + b', "name": "a", "email": "b"}]',
    "deep": b'[{"id": 1, "name": "a", "email": "b", "x": ' + b"[" * 900 + b"]" * 900 + b"}]", "too deep": b"[" * 200_000 + b"]" * 200_000,
    "unclosed": b"[" * 200_000, "half": b'[{"id": "\\ud800", "name": "\\udfff\\u0000", "email": "\\u001b[2J"}]', "twice": b"[" + ROW + b"," + ROW + b"]",
    "utf-16": ROW.decode().encode("utf-16"), "bom": b"\xef\xbb\xbf[" + ROW + b"]", "latin": '[{"id": 1, "name": "ñ"}]'.encode("latin-1"),
    "id object": b'[{"id": {"a": 1}, "name": "a", "email": "b"}]', "long": b'[{"id": "' + b"x" * 100_000 + b'", "name": "a", "email": "b"}]',
    "escapes": b'{"error": "\\u001b]0;T\\u0007\\u001b[2J", "id": 1}', "key": b'{"error": {"a": [1, {"b": null}]}, "id": true}',
}  # fmt: skip
STATUSES = (200, 201, 202, 204, 301, 400, 401, 403, 404, 408, 409, 422, 429, 500, 503)


def hostile(rng: random.Random) -> Callable[[Platform, Request], Answer | None]:
    """Answers some of the calls with something that no platform should."""
    body, status = rng.choice(list(BODIES.values())), rng.choice(STATUSES if rng.random() < 0.5 else (200, 201))
    what = rng.choice(("reads", "creates", "writes", "every"))
    left = [rng.choice((1, 2, 10**6))]

    def hook(_: Platform, request: Request) -> Answer | None:
        table = "people" if what in ("reads", "every") else "contacts"
        meant = what == "every" or getattr(request, what)(table)
        if not meant or left[0] <= 0:
            return None
        left[0] -= 1
        return Answer(status, raw=b"" if status == 204 else body, cut=rng.random() < 0.05)

    return hook


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a project that somebody writes."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def options(rng: random.Random) -> list[str]:
    """Options with values that make no sense."""
    odd = (
        "",
        "²",
        "-1",
        "9" * 30,
        "1e5",
        "\ud800",
        "\x1b[2J",
        "../..",
        "/proc/x",
        "postgresql://u:p@[::1/x",
        "x" * 5000,
        "nul",
        "=",
    )
    names = ("--sample", "--every", "--until", "--store", "--run", "--env", "--nosuch", "--out", "--delta", "--json")
    found: list[Any] = []
    for _ in range(rng.choice((1, 2, 3))):
        found += [rng.choice(names), *([rng.choice(odd)] if rng.random() < 0.8 else [])]
    return [word for word in found if "\0" not in word]
