"""A connector checked against a server of the tests' own, in this process, over loopback HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.config.document import read
from engine.connector.addressing import addressed
from engine.connector.auth import Account
from engine.connector.client import Client
from engine.connector.load import load_connector
from engine.connector.rate_limit import Clock, RateLimiter
from engine.store.tables import open_store
from tests.connector.conftest import serving
from tests.replacing import replace
from tests.workbench.probe.acme import KEY, Acme
from workbench.probe.bodies import Bodies
from workbench.probe.check import Bound, Choice, bound, check
from workbench.probe.found import Declared, Finding
from workbench.probe.scene import Probe
from workbench.probe.tape import Tape

FILE = Path(__file__).with_name("acme.yaml")


@dataclass
class Checked:
    """What a check found, and the server it was made against."""

    found: list[Finding]
    declared: Declared
    server: Acme
    text: str
    bound: Bound
    calls: int
    redact: Callable[[str], str]
    cut: bool = False

    def of(self, *verdicts: str) -> list[Finding]:
        """The findings with these verdicts."""
        return [item for item in self.found if item.verdict in verdicts]

    def place(self, finding: Finding) -> str:
        """The text of the file from the place of a contradiction on."""
        where = self.declared.diagnostic(finding).where
        assert where is not None
        lines = self.text.splitlines(keepends=True)
        return "".join(lines[where.line - 1 :])[where.col - 1 :]


Check = Callable[..., Checked]


@pytest.fixture
def checked(tmp_path: Path) -> Iterator[Check]:
    """Checks acme.yaml, some text of it replaced, against a server that misbehaves in some ways."""
    with ExitStack() as stack:

        def run(
            *wrong: str, only: str = "", file: dict[str, str] | None = None, write: bool = False, key: bool = False,
            bodies: Bodies | None = None, most: int = 100_000, server: Acme | None = None, tell: Callable[[Finding], None] = lambda _: None,
        ) -> Checked:  # fmt: skip
            text = FILE.read_text(encoding="utf-8")
            for old, new in (file or {}).items():
                assert old in text
                text = text.replace(old, new, 1)
            path = tmp_path / "acme.yaml"
            path.write_text(text, encoding="utf-8")
            connector, server = addressed(load_connector(path)), server or Acme(frozenset(wrong))
            base = stack.enter_context(serving(server.app()))
            store = open_store(str(tmp_path / "store.sqlite"))
            stack.callback(store.close)
            clock = Clock(sleep=lambda _: None)
            account = Account(base, KEY, secrets={"ACME_KEY": KEY})
            client = Client(replace(connector, tries=1), account, RateLimiter(store, "acme", connector.limits, "small", 1, clock=clock), clock)
            stack.callback(client.close)
            tape, found = Tape(most), list[Finding]()
            tape.listen(client)
            choice = Choice([name.strip() for name in only.split(",")] if only else list(connector.resources), key, write, bodies)
            probe = Probe(client, Declared(read(path)), tape, 100)
            checked = Checked(found, probe.declared, server, text, bound(connector, choice), 0, client.redact)

            def heard(finding: Finding) -> None:
                found.append(finding)
                tell(finding)

            try:
                check(probe, choice, heard)
            except KeyboardInterrupt:
                checked.cut = True
            checked.calls = tape.calls
            return checked

        yield run


@pytest.fixture
def seeded() -> Any:
    """The rows that a fresh server has."""
    return Acme().rows
