"""A changed spec under the names of the one before it, where it says what these were (`was`).

The store speaks in old names until the next run, and so does the old spec: with the new one put
into the same names, what is left is what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import Struct, structs

from engine.language.compile import Migration
from engine.language.model import (
    CustomField,
    Field,
    Lookup,
    ObjectMapping,
    Spec,
)
from workbench.diff.differences import Difference
from workbench.diff.effect import Effect


@dataclass(frozen=True, slots=True)
class Renamed:
    """New names and what they were: of objects, and of custom fields by their resource."""

    objects: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[tuple[str, str], str] = field(default_factory=dict)
    # of objects, by their new names
    labels: Mapping[str, str] = field(default_factory=dict)

    def differences(self) -> list[Difference]:
        """The renamings themselves."""
        objects = [
            _renaming(new, "", was, new) for new, was in self.objects.items()
        ]
        fields = [
            _renaming("custom_fields", f"{of}.{new}", was, new)
            for (of, new), was in self.fields.items()
        ]
        return [*objects, *fields]

    def in_new_names(self, found: Sequence[Difference]) -> list[Difference]:
        """What differs, named as in the new spec."""
        return [replace(item, area=self._now(item.area)) for item in found]

    def effects_in_new_names(self, found: Sequence[Effect]) -> list[Effect]:
        """What that does to the data, named as in the new spec."""
        for item in found:
            item.object = self._now(item.object)
            item.label = self.labels.get(item.object, item.label)
        return list(found)

    def _now(self, name: str) -> str:
        return next(
            (new for new, was in self.objects.items() if was == name), name
        )


def _renaming(area: str, name: str, was: str, now: str) -> Difference:
    return Difference(area, name, "renamed", "none", (("", was, now),))


def renamed(old: Spec, new: Spec) -> Renamed:
    """What the new spec says it has renamed, as far as the old one has it."""
    objects = {
        item.name: item.was
        for item in new.objects.values()
        if item.was in old.objects and item.name not in old.objects
    }
    fields = {
        at: item.was
        for at, item in new.custom_fields.items()
        if (item.resource, item.was) in old.custom_fields
        and at not in old.custom_fields
    }
    return Renamed(
        objects, fields, {name: new.objects[name].label for name in objects}
    )


def in_old_names(migration: Migration, names: Renamed) -> Migration:
    """The migration with everything that was renamed under its old name."""
    if not names.objects and not names.fields:
        return migration
    spec = migration.spec
    objects = [_object(item, names) for item in spec.objects.values()]
    fields = [_custom(item, names) for item in spec.custom_fields.values()]
    changed = structs.replace(
        spec,
        objects={item.name: item for item in objects},
        custom_fields={(item.resource, item.name): item for item in fields},
        exports=tuple(
            structs.replace(
                item, object=names.objects.get(item.object, item.object)
            )
            for item in spec.exports
        ),
    )
    return structs.replace(migration, spec=changed)


def _custom(item: CustomField, names: Renamed) -> CustomField:
    return structs.replace(
        item, name=names.fields.get((item.resource, item.name), item.name)
    )


def _object(mapping: ObjectMapping, names: Renamed) -> ObjectMapping:
    was = names.objects.get(mapping.name, mapping.name)
    fields = [
        _field(item, mapping.resource, names)
        for item in mapping.fields.values()
    ]
    targets = {
        new: old.target for new, old in zip(mapping.fields, fields, strict=True)
    }
    return structs.replace(
        mapping,
        name=was,
        label=was if mapping.label == mapping.name else mapping.label,
        sources=tuple(
            f"$rows.{was}" if name == f"$rows.{mapping.name}" else name
            for name in mapping.sources
        ),
        fields={item.target: item for item in fields},
        match=tuple(targets[name] for name in mapping.match),
    )


def _field(item: Field, resource: str, names: Renamed) -> Field:
    was = names.fields.get((resource, item.custom)) if item.custom else None
    target = f"custom.{was}" if was else item.target
    return structs.replace(
        item, target=target, expr=_looking_up(item.expr, names.objects)
    )


def _looking_up(value: Any, objects: Mapping[str, str]) -> Any:
    """An expression whose lookups ask the objects by their old names."""
    if isinstance(value, Lookup):
        value = structs.replace(
            value,
            objects=tuple(objects.get(name, name) for name in value.objects),
        )
    if isinstance(value, Struct):
        parts = {
            name: _looking_up(getattr(value, name), objects)
            for name in value.__struct_fields__
        }
        return structs.replace(value, **parts)
    if isinstance(value, tuple):
        return tuple(_looking_up(item, objects) for item in value)
    if isinstance(value, Mapping):
        return {
            name: _looking_up(item, objects) for name, item in value.items()
        }
    return value
