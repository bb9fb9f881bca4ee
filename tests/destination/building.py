"""Codecs and case files for tests of the destination's pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from engine.connector.model import CustomFields, FieldType, Operation, Resource
from engine.destination.rows import Definition, RowCodec
from tests.yamls import Loader

CASES = Path(__file__).parent / "cases"
ID_NAMES = {"firms": "id", "people": "number"}


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file, each of a name of its own."""
    found: list[dict[str, Any]] = yaml.load((CASES / name).read_text("utf-8"), Loader)
    names = [case["name"] for case in found]
    assert len(set(names)) == len(names), f"{name} has two cases of one name"
    return found


def kind_of(described: Any) -> FieldType:
    """A field's type from its kind alone, or from all that is to be known of it."""
    if isinstance(described, str):
        return FieldType(described)

    shape = described.get("shape")
    inner = {name: kind_of(item) for name, item in shape.items()} if shape else None
    return FieldType(**{**described, "shape": inner, "to": tuple(described.get("to", ()))})


def codec_with(
    fields: Mapping[str, Any],
    container: str | None = None,
    definitions: Mapping[str, str] | None = None,
    update: Operation | None = None,
    **more: Any,
) -> RowCodec:
    """A codec of contacts; with a container, one whose custom fields stand there ("" = flat)."""
    custom = None
    if container is not None:
        custom = CustomFields("definitions", "code", "name", "type", {}, container=container)

    kinds = {name: kind_of(item) for name, item in fields.items()}
    operations = {"update": update or Operation("PATCH", "/contacts/{id}")}
    resource = Resource("contacts", operations, kinds, custom=custom, **more)
    known = {("contacts", f"custom.{name}"): Definition(code) for name, code in (definitions or {}).items()}
    return RowCodec(resource, known, ID_NAMES)
