"""What the connectors and the spec say of a platform's switches, as an analyst would write it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.strangers.odd.crm import Switches

Edit = tuple[str, str]  # a text of the file, and what stands there instead
ZONES = {-6.0: "America/Costa_Rica", 5.5: "Asia/Kolkata"}
BURST = "{unit: calls, per: 1, window: rolling, amount: {own: 10000}, headers: {reset: x-reset}}"


def connector(text: str, on: Switches) -> str:
    """A connector that declares what the platform does."""
    return _edited(text, _of_connector(on))


def source(text: str, on: Switches) -> str:
    """The connector of a desk, whose moments are wall time where it has a zone."""
    moments = [
        ("      joined: datetime\n", "      joined: wall_time\n"),
        ("text: html, at: datetime}", "text: html, at: wall_time}"),
    ]
    return connector(_edited(text, moments if on.zone else []), on)


def spec(text: str, on: Switches) -> str:
    """A spec that reads the moments of a source as it writes them."""
    if not on.zone:
        return text
    utc = f"using: {{dates.to_utc: {{zone: {ZONES[on.zone]}, wall: true}}}}"
    moments = [(f"      {name}: {name}\n", f"      {name}: {{from: {name}, {utc}}}\n") for name in ("joined", "at")]
    return _edited(text, moments)


def _of_connector(on: Switches) -> Iterator[Edit]:
    if on.cap:
        yield ", size: 50, total: total}", ", size: 500}"  # more than it gives
    if on.zone:
        yield "since: updated_since}", f"since: updated_since, since_style: space, since_zone: {ZONES[on.zone]}}}"
    if on.refuses:
        yield "  timeout: 10\n", "  timeout: 10\n  wait_unit: milliseconds\n"
        yield "limits: {}\n", f"limits:\n  burst: {BURST}\n"
        yield "errors:\n", "errors:\n  - {when: {status: 429}, then: wait, limit: burst, after: 1}\n"
    if on.ids:
        yield "  row:\n    id: {type: integer,", "  row:\n    id: {type: text,"
    if on.bin:
        yield "  created: created\n", "  created: created\n  deleted: deleted\n"
        yield "  row:\n", "  row:\n    deleted: {type: boolean, writable: false}\n"


def _edited(text: str, edits: Iterator[Edit] | list[Edit]) -> str:
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
        text = text.replace(old, new)
    return text
