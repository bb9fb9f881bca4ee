"""Quotas, public files, size and repeatability of the STEL Order emulator, over loopback HTTP."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.stel_order_account import Account, account


@pytest.fixture(scope="module")
def stel() -> Iterator[Account]:
    """An account of the default size that no test changes."""
    with account() as opened:
        yield opened


def test_minute_quota_rolls() -> None:
    """The sixty-first call within a minute is refused, and does not count."""
    with account(plan="business") as stel:
        for _ in range(60):
            assert stel.code() == "200"
        assert {stel.code() for _ in range(5)} == {"E000001"}
        refused = stel.http.get("rates")
        assert (refused.status_code, refused.headers.get("Retry-After")) == (429, None)
        stats = stel.control("stats").json()
        assert (stats["quota"]["day"], stats["answers_429"]) == (60, 6)
        stel.wait(61)
        assert stel.code() == "200"


def test_fixed_minutes_and_counted_refusals_are_switchable() -> None:
    """In a fixed window the budget is back at the full minute; refusals may use up the day."""
    words = ("--set", "minute_window=fixed", "--set", "count_refused=on", "--set", "retry_after=on")
    with account(*words, plan="business") as stel:
        answers = [stel.http.get("rates") for _ in range(125)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused and all(1 <= int(answer.headers["Retry-After"]) <= 61 for answer in refused)
        stats = stel.control("stats").json()
        assert stats["quota"]["day"] == 125
        stel.wait(60)
        assert stel.code() == "200"


def test_day_quota_outlives_a_restart_and_ends_with_the_utc_day(tmp_path: Path) -> None:
    """The day's budget is kept in the file and comes back with the next UTC day."""
    data = tmp_path / "account.sqlite"
    with account(plan="lite", data=data) as stel:
        stel.wait(-stel.wait(0) % 86_400)  # midnight, so that no day ends within the test
        for _ in range(4):
            assert {stel.code() for _ in range(60)} == {"200"}
            stel.wait(61)
        now = stel.wait(0)
    with account(plan="lite", data=data) as stel:
        stel.wait(now - stel.wait(0))
        assert [stel.code() for _ in range(61)] == ["200"] * 60 + ["E000002"]
        stel.wait(86_400 - 600)
        assert stel.code() == "E000002"
        stel.wait(600)
        assert stel.code() == "200"


@pytest.mark.parametrize(("plan", "per_day"), [("", 1_000), ("pro", 2_000), ("unlimited", None)])
def test_each_plan_has_its_day_quota(plan: str, per_day: int | None) -> None:
    """Business is the default plan; unlimited is for benches."""
    with account(plan=plan) as stel:
        quota = stel.control("stats").json()["quota"]
    assert (quota["plan"], quota["per_day"]) == (plan or "business", per_day)


def test_documents_and_pictures_open_without_a_key(stel: Account) -> None:
    """Each link on a page of records opens a file of the right kind; dead ones answer 404 HTML."""
    kinds = {
        "pdf-path": b"%PDF-",
        "item-image-path": b"\x89PNG",
        "asset-image-path": b"\xff\xd8\xff",
    }
    seen, dead = set(), 0
    for collection in ("ordinaryInvoices", "products", "services", "assets", "itemImages"):
        text = stel.http.get(collection).text
        for key, link in re.findall(r'"([\w-]+-path)":"(https://app[^"]+)"', text):
            answer = stel.file(link)
            if answer.status_code == 404:
                assert answer.headers["content-type"].startswith("text/html")
                dead += 1
            else:
                assert answer.content.startswith(kinds[key])
                assert int(answer.headers["content-length"]) == len(answer.content)
                seen.add(key)
    assert (
        seen == set(kinds) and dead == 4
    )  # two pictures, each in the product and in the flat list


def test_parts_of_a_big_file_are_served(stel: Account) -> None:
    """The big attachment comes whole or in ranges, the same bytes each time."""
    link = stel.http.get("entityAttachments").json()[0]["file-path"]
    whole = stel.file(link)
    assert len(whole.content) > 1_500_000 and whole.headers["content-type"] == "application/pdf"
    middle = stel.file(link, Range="bytes=1000-1999")
    assert (middle.status_code, middle.content) == (206, whole.content[1_000:2_000])
    assert middle.headers["content-range"] == f"bytes 1000-1999/{len(whole.content)}"
    assert stel.file(link, Range="bytes=-10").content == whole.content[-10:]
    assert stel.file(link, Range="bytes=9999999-").status_code == 416


def test_a_new_round_of_tokens_kills_old_links(stel: Account) -> None:
    """Rotating the tokens leaves old links dead and new ones alive."""
    old = stel.http.get("salesEstimates").json()[0]["pdf-path"]
    with account("--set", "token_round=1") as rotated:
        assert rotated.file(old).status_code == 404
        new = rotated.http.get("salesEstimates").json()[0]["pdf-path"]
        assert rotated.file(new).content == stel.file(old).content


def test_files_cost_quota_only_when_switched_on() -> None:
    """Downloads are free by default."""
    with account("--set", "files_quota=on", plan="lite") as stel:
        link = stel.http.get("salesEstimates").json()[0]["pdf-path"]
        assert [stel.file(link).status_code for _ in range(61)].count(429) == 2


def test_two_processes_tell_the_same(stel: Account) -> None:
    """The account depends on seed and size alone, not on the process or the day."""

    def digest(opened: Account) -> str:
        return hashlib.sha256(opened.control("dump").content).hexdigest()

    with account() as again, account("--seed", "2") as other:
        assert digest(again) == digest(stel) != digest(other)


def test_a_million_records_cost_little_more_than_a_thousand() -> None:
    """To start, to answer the last page, a sorted one and filters takes little more of the processor, and little memory."""
    (few, _), (many, size) = _asked(1_000), _asked(1_000_000)
    assert many < 20 * few
    assert size < 150_000


def _asked(records: int) -> tuple[float, int]:
    """Seconds of processor that an account takes to start and to answer, and its memory in KiB."""
    with account("--size", str(records), alone=True) as stel:
        rows = stel.control("stats").json()["rows"]
        assert sum(rows.values()) > 0.95 * records
        questions: list[dict[str, str | int]] = [
            {"start": max(rows["ordinaryInvoices"] - 500, 0), "limit": 500},
            {"sort": "utc-last-modification-date:desc", "limit": 500},
            {"utc-last-modification-date": "2026-11-10T00:00:00+0000", "limit": 500},
            {"account-id": "1200129", "limit": 500},
        ]
        for params in questions:
            page: list[Any] = stel.http.get("ordinaryInvoices", params=params, timeout=60).json()
            assert page or records < 1_000_000
        process = Path(f"/proc/{stel.pid}")
        spent = process.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
        memory = re.findall(r"VmRSS:\s+(\d+)", process.joinpath("status").read_text())[0]
    return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK"), int(memory)
