"""The stories that the end-to-end tests look at; each is told once in a test run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.driving import (
    SPEC,
    Dump,
    Record,
    checkout,
    etl,
    etl_here,
    once,
    pair,
)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A sample, the same sample again, and every command that looks at what is there; with both accounts' dumps."""

    def tell(folder: Path) -> Record:
        at = checkout(folder / "sample")
        with pair() as accounts:
            def say(*args: str) -> Any:
                return etl(args[0], SPEC, *args[1:], "--env", "live", at=at, env=accounts.env)

            def look(*args: str) -> Any:
                return etl_here(args[0], SPEC, *args[1:], "--env", "live", at=at, env=accounts.env)

            told: Record = {"before": accounts.destination.dump()}
            told["first"] = say("run", "--sample", "--json")
            told["after"] = accounts.destination.dump()
            told["categories"] = accounts.destination.options("productFields", "category")
            told["cost"] = accounts.destination.stats()
            told["second"] = say("run", "--sample", "--json")
            told["again"] = accounts.destination.dump()
            told["source"] = accounts.source.dump()
            told["verify"] = look("verify", "--json")
            told["audit"] = look("audit", "--json")
            told["plan"] = look("plan", "--sample", "--json")
            told["text"] = say("run", "--sample")
            told["status"] = look("status", "--json")
            told["export"] = look("export", "--out", "tables")
        told["folder"] = str(at)
        told["keys"] = [accounts.source.key, accounts.destination.key]
        return told

    found: Record = once(tmp_path_factory, "sample", tell)
    return found


@pytest.fixture(scope="session")
def report(sample: Record) -> Record:
    """The first run's report."""
    import json

    found: Record = json.loads(sample["first"]["out"])
    return found


@pytest.fixture(scope="session")
def there(sample: Record) -> Dump:
    """The destination after the first run."""
    found: Dump = sample["after"]
    return found


@pytest.fixture(scope="session")
def source(sample: Record) -> dict[str, Record]:
    """Every source row by its key, `collection/id`."""
    return {f"{name}/{row.get('id')}": row for name, rows in sample["source"].items() for row in rows}
