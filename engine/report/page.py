"""The report as one page: everything in one file, nothing fetched, no text of a record ever taken
for markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from engine.report.attention import attention, causes
from engine.report.document import private
from engine.report.words import in_part
from engine.values import well_formed

PARTS = Path(__file__).parent / "page"
# What could end the data's element, begin another, or is no text a file can hold (halves of a
# surrogate pair).
_RISKY = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
POLICY = (
    "default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:;"
    " base-uri 'none'; form-action 'none'; require-trusted-types-for 'script';"
    " trusted-types notes"
)


def write_html(report: Mapping[str, Any], path: Path) -> None:
    """The report as a page that needs no network, readable by this user only."""
    private(path).write_text(page(report), encoding="utf-8", newline="\n")


def page(report: Mapping[str, Any]) -> str:
    """The text of the page."""
    style, script = _part("style.css"), _part("script.js")
    return Template(_part("page.html")).substitute(
        title=html.escape(
            well_formed(f"{report['title']}: {report['command']}")
        ),
        policy=POLICY.format(style=digest(style), script=digest(script)),
        style=style,
        script=script,
        in_part="yes" if in_part(report["command"]) else "",
        report=embedded(report),
        attention=embedded(grouped(report)),
    )


def grouped(report: Mapping[str, Any]) -> list[list[Any]]:
    """What needs a person, by cause: the object, the text, whether it is the same for all, keys and
    texts.
    """
    return [
        [cause.object, cause.text, cause.alike, cause.records]
        for cause in causes(attention(report))
    ]


def embedded(data: Any) -> str:
    """Data as JSON that is safe between the tags of a script element."""
    text = json.dumps(
        data, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return _RISKY.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def digest(text: str) -> str:
    """How the policy identifies a style or a script."""
    return (
        "sha256-"
        + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")
