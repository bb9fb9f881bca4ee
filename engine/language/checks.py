"""What only a spec as a whole can show: what is never used, what cannot work together."""

from __future__ import annotations

from engine.connector.model import Connector
from engine.language.model import ObjectMapping, Path, Spec
from engine.language.problems import Checking

KEY = Path("$key", ("$key",))


def whole(
    spec: Spec,
    told: Checking,
    destination: Connector,
    used: set[str],
) -> None:
    """Tell what is wrong with a compiled spec; `used` are the settings that something reads."""
    for name in spec.settings:
        if name not in used:
            told.problem(
                ("settings", name),
                "unused",
                f"nothing uses the setting {name!r}",
                "remove it",
                "warning",
            )
    _custom_fields(spec, told)
    _same_keys(spec, told)
    for mapping in spec.objects.values():
        _key_written(spec, told, mapping)
        _recognised(spec, told, mapping, destination)
        _written_over(told, mapping, destination)


def _custom_fields(spec: Spec, told: Checking) -> None:
    written = {
        (mapping.resource, field.custom)
        for mapping in spec.objects.values()
        for field in mapping.fields.values()
    }
    for resource, name in spec.custom_fields:
        if (resource, name) not in written:
            told.problem(
                ("custom_fields", resource, name),
                "unused",
                f"no object writes the custom field {name!r} of {resource}",
                "remove it, or map it",
                "warning",
            )


def _key_written(spec: Spec, told: Checking, mapping: ObjectMapping) -> None:
    """Without its source key a row cannot be found again after a lost connection, and would be
    created twice.
    """
    for item in spec.custom_fields.values():
        field = mapping.fields.get(f"custom.{item.name}")
        if item.resource != mapping.resource or not item.key:
            continue
        if field is None:
            told.problem(
                (*mapping.keys, "fields"),
                "key-field",
                f"the key field {item.name!r} of {item.resource} is not filled",
                f"add custom.{item.name}: $key",
            )
        elif field.expr != KEY:
            told.problem(
                field.keys,
                "key-field",
                f"{item.name!r} is the key field of {item.resource}",
                "write $key here",
            )


def _recognised(
    spec: Spec,
    told: Checking,
    mapping: ObjectMapping,
    destination: Connector,
) -> None:
    resource = destination.resources.get(mapping.resource)
    keyed = any(
        item.key
        for item in spec.custom_fields.values()
        if item.resource == mapping.resource
    )
    if (
        resource
        and resource.custom
        and not keyed
        and not resource.recognise
        and not mapping.match
    ):
        told.problem(
            (*mapping.keys, "to"),
            "key-field",
            f"a row of {mapping.resource} cannot be found again after a lost connection",
            f"declare a field for its key: custom_fields.{mapping.resource}.source_key:"
            " {name: ..., type: text, key: true}",
            "warning",
        )


def _written_over(
    told: Checking, mapping: ObjectMapping, destination: Connector
) -> None:
    """A create that may overwrite a row people made must look for such a row first: what was
    overwritten could not be restored.
    """
    resource = destination.resources.get(mapping.resource)
    by = resource.written_over if resource else ""
    if by in mapping.fields and by not in mapping.match:
        told.problem(
            (*mapping.keys, "to"),
            "overwrites-rows",
            f"creating a row of {mapping.resource} overwrites one with the same {by}",
            f"add match: [{by}], so that such a row is adopted and keeps what people entered",
        )


def _same_keys(spec: Spec, told: Checking) -> None:
    """Two objects that create one resource from the same collection would share source keys."""
    made: dict[tuple[str, str], ObjectMapping] = {}
    for item in spec.objects.values():
        for source in item.sources if item.key_field and not item.each else ():
            other = made.setdefault((item.resource, source), item)
            if other.name != item.name and not (other.when and item.when):
                told.problem(
                    item.keys,
                    "overlapping-objects",
                    f"{item.name!r} and {other.name!r} both create {item.resource} from"
                    f" {source}",
                    "merge them, or separate them with `when`",
                )
