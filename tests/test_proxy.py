"""What stands between a program and a server: it passes everything on, and strikes when it is told to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.watch import watch
from tests.platforms.platform import Platform, served
from tests.strangers.relay import relay


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform with a row."""
    with served(Platform({"contacts": [{"id": 7, "name": "Ann"}]})) as found:
        yield found


def changes(verb: str, _: str) -> bool:
    """Whether a call writes."""
    return verb != "GET"


@pytest.mark.parametrize("early", [True, False])
def test_a_write_that_is_struck_has_no_answer(platform: Platform, early: bool) -> None:
    """The second write fails for who asked, done or not as it was aimed; the others pass, and are counted."""
    struck = list[int]()
    with relay(platform.base_url, changes) as before, httpx.Client(base_url=before.origin, trust_env=False) as client:
        before.aim(2, early, lambda: struck.append(before.writes))
        assert client.post("/contacts", json={"name": "Bob"}).json() == {"id": 1001, "name": "Bob"}
        assert client.get("/contacts/7").json()["name"] == "Ann"
        with pytest.raises(httpx.TransportError):
            client.patch("/contacts/7", json={"name": "Eve"})
        assert client.delete("/contacts/1001").status_code == 204
    assert (struck, before.writes, before.struck.is_set()) == ([2], 3, True)
    assert platform.tables["contacts"] == [{"id": 7, "name": "Ann" if early else "Eve"}]


def test_whatever_host_is_called_over_tls_the_platform_answers(platform: Platform, tmp_path: Path) -> None:
    """A client that trusts the certificate gets rows for a host of the vendor's; each call is written down, a refusal with its words."""
    with watch(platform.base_url, tmp_path) as found:
        trusted = ssl.create_default_context(cafile=str(found.certificate))
        with httpx.Client(proxy=found.origin, verify=trusted, trust_env=False) as client:
            where = "https://api.pipedrive.com"
            assert client.get(f"{where}/contacts/7?a=1&b=2").json() == {"id": 7, "name": "Ann"}
            made = client.post(f"{where}/contacts", content=iter([b'{"name": ', b'"Bob"}']))  # in chunks
            assert made.json() == {"id": 1001, "name": "Bob"}
            assert client.get(f"{where}/contacts/9").status_code == 404
    assert [(one.verb, one.path, one.query, one.status) for one in found.calls] == [
        ("GET", "/contacts/7", (("a", "1"), ("b", "2")), 200),
        ("POST", "/contacts", (), 201),
        ("GET", "/contacts/9", (), 404),
    ]
    assert [b"no such row" in one.said for one in found.calls] == [False, False, True]
