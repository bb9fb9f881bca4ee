"""How fast records become drafts: every record of a generated account through the shipped spec, no store, no HTTP.

    python bench/project.py [RECORDS] [--profile]
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.connector.references import any_key  # noqa: E402
from engine.connector.typed import reader_of  # noqa: E402
from engine.language.compile import Migration, load_migration  # noqa: E402
from engine.language.dependencies import needed  # noqa: E402
from engine.mapping.evaluate import Evaluation, LookupContext, Source, evaluate  # noqa: E402
from engine.values import dig, segments  # noqa: E402
from sandbox.stel_order.records import COLLECTIONS, all_records  # noqa: E402
from sandbox.stel_order.world import World  # noqa: E402


class Account:
    """A generated account in memory, with the index a store would keep."""

    def __init__(self, migration: Migration, size: int) -> None:
        self.migration = migration
        self.records: dict[str, Mapping[str, Any]] = {}
        wanted = needed(migration.spec)
        world = World(1, size)
        for name in COLLECTIONS:
            if name in wanted:
                for row in list[Mapping[str, Any]](all_records(world, name)):
                    if not row.get("deleted"):
                        self.records[f"{name}/{row['id']}"] = row
        for mapping in migration.spec.objects.values():
            for row in mapping.rows:
                self.records[f"{mapping.sources[0]}/{row['id']}"] = dict(row)
        self.refs: dict[tuple[str, str, str], list[tuple[str, Mapping[str, Any]]]] = {}
        pattern = migration.source.reference.pattern
        for key, row in self.records.items():
            name = key.partition("/")[0]
            for field in wanted.get(name, ()):
                value = dig(row, segments(field))
                if value is not None:
                    self.refs.setdefault((name, field, any_key(value, pattern) or str(value)), []).append((key, row))

    def sight(self) -> LookupContext:
        """What projections may look at."""
        spec = self.migration.spec
        return LookupContext(
            settings=spec.settings,
            pattern=self.migration.source.reference.pattern,
            objects=spec.objects,
            record=self.records.get,
            pointing_at=self._pointing_at,
            drafted=lambda _, key: key in self.records,
            user=lambda key: key in self.records,
            typed=reader_of(self.migration.source),
            user_source=spec.users.source if spec.users else "",
        )

    def _pointing_at(self, name: str, field: str, targets: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
        return [row for target in targets for row in self.refs.get((name, field, target), ())]


def run(account: Account) -> tuple[list[Evaluation], float]:
    """Every draft of the account, and the CPU seconds it took."""
    by_source: dict[str, list[Source]] = {}
    for key, row in account.records.items():
        name = key.partition("/")[0]
        by_source.setdefault(name, []).append(Source(name, key, row))
    sight = account.sight()
    began = time.process_time()
    found = [
        draft
        for mapping in account.migration.spec.objects.values()
        for name in mapping.sources
        for source in by_source.get(name, ())
        for draft in evaluate(mapping, source, sight)
    ]
    return found, time.process_time() - began


def main() -> None:
    """Print the rate, and with --profile where the time goes."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    account = Account(load_migration(ROOT / "specs" / "stel_order_to_pipedrive.yaml", {}), numbers[0] if numbers else 10_000)
    run(account)  # templates are compiled
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        profile.runcall(run, account)
        pstats.Stats(profile).sort_stats("tottime").print_stats(28)
        return
    found, seconds = min((run(account) for _ in range(3)), key=lambda item: item[1])
    states = Counter(draft.state for draft in found)
    print(f"{len(account.records):,} records, {len(found):,} drafts {dict(states)}")
    print(f"{seconds:.2f} CPU s: {len(found) / seconds:,.0f} drafts/s")


if __name__ == "__main__":
    main()
