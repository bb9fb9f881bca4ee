"""Answers spoiled on purpose: what a client sees and what the account kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from sandbox.faults import KINDS, Faults, check_rates
from sandbox.launch import Running, launch
from tests import loopback


@pytest.fixture(scope="module")
def spoiled() -> Iterator[Running]:
    """An account whose fault rates the tests change."""
    with launch("pipedrive", plan="ultimate", seats=100) as running:
        yield running


@pytest.fixture
def api(spoiled: Running) -> Iterator[httpx.Client]:
    """A client of a freshly reset account."""
    headers = {"x-api-token": spoiled.key}
    with loopback.client(base_url=spoiled.base_url, headers=headers, timeout=5) as client:
        client.post("/__sandbox__/faults", json={})
        client.post("/__sandbox__/reset")
        yield client


def spoil(api: httpx.Client, **rates: float) -> None:
    """Use these rates from now on."""
    named = {kind.replace("_", "-").removeprefix("x"): rate for kind, rate in rates.items()}
    answer = api.post("/__sandbox__/faults", json=named)
    assert answer.json() == named


def made(api: httpx.Client) -> int:
    """How many organizations were created since the reset."""
    rows: dict[str, int] = api.get("/__sandbox__/stats").json()["rows"]
    return rows["organizations"] - 3


def create(api: httpx.Client) -> httpx.Response:
    """A write that a fault may hit."""
    return api.post("/api/v2/organizations", json={"name": "x"})


def test_refused_with_429_before_anything_happens(api: httpx.Client) -> None:
    """A made-up 429 looks like the platform's own and the write did not happen."""
    spoil(api, x429=1)
    answer = create(api)
    assert answer.status_code == 429 and answer.json()["success"] is False
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert made(api) == 0


def test_500_comes_before_or_after_the_write(api: httpx.Client) -> None:
    """About half of the writes answered with 500 took effect."""
    spoil(api, x500=1)
    for _ in range(40):
        answer = create(api)
        assert answer.status_code == 500 and answer.json()["success"] is False
    assert 10 <= made(api) <= 30


def test_timeout_after_write(api: httpx.Client) -> None:
    """The client waits in vain although the record exists."""
    spoil(api, timeout_after_write=1)
    with pytest.raises(httpx.ReadTimeout):
        api.post("/api/v2/organizations", json={"name": "x"}, timeout=0.3)
    assert made(api) == 1


def test_cut_connection_is_a_transport_error(api: httpx.Client) -> None:
    """The socket closes with no answer or half of one, before or after the write."""
    spoil(api, cut_connection=1)
    seen = set()
    for _ in range(40):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
            create(api)
        seen.add("incomplete" in str(caught.value) or "peer closed" in str(caught.value))
    assert seen == {True, False}
    assert 10 <= made(api) <= 30


def test_html_403_and_garbage(api: httpx.Client) -> None:
    """The block page is HTML and writes nothing; garbage is a 200 that is no JSON, after it did."""
    spoil(api, html_403=1)
    answer = create(api)
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert made(api) == 0
    spoil(api, garbage_json=1)
    answer = create(api)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert made(api) == 1


def test_slow_answers_arrive(api: httpx.Client) -> None:
    """A slow answer takes a second or more and is otherwise honest."""
    spoil(api, slow=1)
    answer = create(api)
    assert answer.is_success and answer.elapsed.total_seconds() >= 1


def test_control_routes_are_never_spoiled(api: httpx.Client) -> None:
    """Whatever the rates, the emulator can be asked, changed and put back."""
    spoil(api, cut_connection=1)
    assert api.get("/__sandbox__/stats").is_success
    assert api.get("/__sandbox__/dump").is_success
    assert api.post("/__sandbox__/reset").is_success
    wrong = api.post("/__sandbox__/faults", json={"earthquake": 1})
    assert wrong.status_code == 400 and "earthquake" in wrong.json()["error"]
    assert api.post("/__sandbox__/faults", json={}).json() == {}
    assert create(api).is_success


def test_same_seed_same_faults() -> None:
    """Two runs of one seed spoil the same requests in the same way, another seed does not."""

    async def nothing(*_: object) -> None:
        return None

    rates = dict.fromkeys(KINDS, 0.1)
    runs = [[Faults(nothing, rates, seed)] * 200 for seed in (7, 7, 8)]
    first, second, other = ([one.draw() for one in run] for run in runs)
    assert first == second != other
    assert {fate.kind for fate in first} == {*KINDS, ""}


@pytest.mark.parametrize(
    "rates", [{"429": 1.5}, {"429": -0.1}, {"429": True}, {"nope": 0.1}, {"429": 0.6, "500": 0.6}]
)
def test_impossible_rates_are_refused(rates: dict[str, float]) -> None:
    """Unknown kinds, rates outside 0..1 and sums above 1 are errors."""
    with pytest.raises(ValueError, match=r"rate|fault|more than 1"):
        check_rates(rates)
