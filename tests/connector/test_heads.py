"""The head of a request where a connector or an address says something that every request says."""

from __future__ import annotations

import httpx
import pytest

from engine.connector.messages import request


@pytest.mark.parametrize("name", ["Accept", "User-Agent", "Accept-Encoding"])
def test_a_header_of_the_connector_takes_the_place_of_ours(name: str) -> None:
    """A header that the connector writes with capital letters is sent once, as the connector says it."""
    lines = request("GET", httpx.URL("http://x.example/"), {name: "application/json"}).lines
    said = [line for line in lines.split(b"\r\n") if line.lower().startswith(name.lower().encode() + b":")]
    assert [line.partition(b": ")[2] for line in said] == [b"application/json"]
