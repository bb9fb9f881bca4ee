"""`replace` for both kinds of records: the engine's are msgspec structs, those of tests and workbench dataclasses."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from msgspec import Struct, structs

Record = TypeVar("Record")


def replace(record: Record, /, **changes: Any) -> Record:
    """The same record with other values."""
    if isinstance(record, Struct):
        return structs.replace(record, **changes)
    return dataclasses.replace(record, **changes)  # type: ignore[type-var]
