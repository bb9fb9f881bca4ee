"""What only a spec as a whole can show: what is never used, what cannot work together."""

from __future__ import annotations

from collections.abc import Iterator

from engine.config.document import Document
from engine.connector.model import Connector
from engine.errors import Diagnostic
from engine.language.model import ObjectMapping, Path, Spec

KEY = Path("$key", ("$key",))


def whole(
    spec: Spec,
    document: Document,
    destination: Connector,
    used: set[str],
) -> Iterator[Diagnostic]:
    """Problems and warnings about a compiled spec; `used` are the settings that something reads."""
    for name in spec.settings:
        if name not in used:
            yield document.problem(
                ("settings", name),
                "unused",
                f"nothing uses the setting {name!r}",
                "remove it",
                "warning",
            )
    yield from _custom_fields(spec, document)
    yield from _same_keys(spec, document)
    for mapping in spec.objects.values():
        yield from _key_written(spec, document, mapping)
        yield from _recognised(spec, document, mapping, destination)
        yield from _written_over(document, mapping, destination)


def _custom_fields(spec: Spec, document: Document) -> Iterator[Diagnostic]:
    written = {
        (mapping.resource, field.custom)
        for mapping in spec.objects.values()
        for field in mapping.fields.values()
    }
    for resource, name in spec.custom_fields:
        if (resource, name) not in written:
            text = f"no object writes the custom field {name!r} of {resource}"
            yield document.problem(
                ("custom_fields", resource, name),
                "unused",
                text,
                "remove it, or map it",
                "warning",
            )


def _key_written(
    spec: Spec, document: Document, mapping: ObjectMapping
) -> Iterator[Diagnostic]:
    """Without its source key a row cannot be found again after a lost connection, and would be
    created twice.
    """
    for item in spec.custom_fields.values():
        field = mapping.fields.get(f"custom.{item.name}")
        if item.resource != mapping.resource or not item.key:
            continue
        if field is None:
            text = (
                f"the key field {item.name!r} of {item.resource} is not filled"
            )
            yield document.problem(
                (*mapping.keys, "fields"),
                "key-field",
                text,
                f"add custom.{item.name}: $key",
            )
        elif field.expr != KEY:
            yield document.problem(
                field.keys,
                "key-field",
                f"{item.name!r} is the key field of {item.resource}",
                "write $key here",
            )


def _recognised(
    spec: Spec,
    document: Document,
    mapping: ObjectMapping,
    destination: Connector,
) -> Iterator[Diagnostic]:
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
        text = f"a row of {mapping.resource} cannot be found again after a lost connection"
        advice = (
            f"declare a field for its key: custom_fields.{mapping.resource}.source_key:"
            " {name: ..., type: text, key: true}"
        )
        yield document.problem(
            (*mapping.keys, "to"), "key-field", text, advice, "warning"
        )


def _written_over(
    document: Document, mapping: ObjectMapping, destination: Connector
) -> Iterator[Diagnostic]:
    """A create that may overwrite a row people made must look for such a row first: what was
    overwritten could not be restored.
    """
    resource = destination.resources.get(mapping.resource)
    by = resource.written_over if resource else ""
    if by in mapping.fields and by not in mapping.match:
        text = f"creating a row of {mapping.resource} overwrites one with the same {by}"
        advice = f"add match: [{by}], so that such a row is adopted and keeps what people entered"
        yield document.problem(
            (*mapping.keys, "to"), "overwrites-rows", text, advice
        )


def _same_keys(spec: Spec, document: Document) -> Iterator[Diagnostic]:
    """Two objects that create one resource from the same collection would share source keys."""
    made: dict[tuple[str, str], ObjectMapping] = {}
    for item in spec.objects.values():
        for source in item.sources if item.key_field and not item.each else ():
            other = made.setdefault((item.resource, source), item)
            if other.name != item.name and not (other.when and item.when):
                text = (
                    f"{item.name!r} and {other.name!r} both create {item.resource} from"
                    f" {source}"
                )
                yield document.problem(
                    item.keys,
                    "overlapping-objects",
                    text,
                    "merge them, or separate them with `when`",
                )
