"""Small specs compiled, and what a projection may look at, without a store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.connector.load import load_connector
from engine.connector.references import named
from engine.connector.typed import reader_of
from engine.language.compile import load_migration
from engine.language.model import Spec
from engine.mapping.evaluate import Evaluation, LookupContext, Source, evaluate
from engine.values import dig, segments

HERE = Path(__file__).parent
ERP = HERE.parent / "spec" / "connectors" / "erp.yaml"
Record = Mapping[str, Any]


class Desk:
    """Compiles specs written as data, and projects records through their objects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(HERE.parent / "spec" / "connectors" / "erp.yaml", folder / "erp.yaml")
        shutil.copy(HERE / "shop.yaml", folder / "shop.yaml")

    def spec(self, objects: Mapping[str, Any], **parts: Any) -> Spec:
        """A spec of these objects; every object may write `custom.any`."""
        data = {
            "migration": "demo",
            "source": {"connector": "erp.yaml", "plan": "basic"},
            "destination": {"connector": "shop.yaml", "plan": "pro"},
            "users": {"from": "people", "email": "email", "fallback": "owner@example.com"},
            "custom_fields": {"things": {"any": {"name": "Any", "type": "address"}}},
            "objects": objects,
            **parts,
        }
        path = self.folder / "specs.yaml"
        path.write_text(json.dumps(data), encoding="utf-8")
        return load_migration(path, {}).spec

    def project(
        self, objects: Mapping[str, Any], records: Mapping[str, Record], key: str, *, users: Sequence[str] = (),
        undrafted: Sequence[str] = (), **parts: Any,
    ) -> list[Evaluation]:  # fmt: skip
        """The drafts the last object makes of the record with this key."""
        spec = self.spec(objects, **parts)
        mapping = list(spec.objects.values())[-1]
        sight = sight_on(spec, records, users, undrafted)
        return list(evaluate(mapping, Source(key.rpartition("/")[0], key, records[key]), sight))


def sight_on(spec: Spec, records: Mapping[str, Record], users: Sequence[str] = (), undrafted: Sequence[str] = ()) -> LookupContext:
    """Records in memory as a projection sees them; all of them become drafts but those told."""
    pattern = "erp.test/api/v1/{collection}/{id}"

    def pointing_at(name: str, field: str, targets: Sequence[str]) -> list[tuple[str, Record]]:
        def names(row: Record) -> bool:
            return bool(set(named(dig(row, segments(field)), pattern)) & set(targets))

        return [(key, row) for key, row in records.items() if key.startswith(f"{name}/") and names(row)]

    rows = {f"{item.sources[0]}/{row['id']}" for item in spec.objects.values() for row in item.rows}
    return LookupContext(
        settings=spec.settings,
        pattern=pattern,
        objects=spec.objects,
        record=records.get,
        pointing_at=pointing_at,
        drafted=lambda name, key: key in {*records, *rows} and f"{name} {key}" not in undrafted,
        user=lambda key: key in users,
        typed=reader_of(load_connector(ERP)),
        user_source="people",
        today="2025-03-04",
    )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk in a folder of its own."""
    return Desk(tmp_path)
