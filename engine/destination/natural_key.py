"""What identifies rows without a key of ours: fields, and what was or would be sent in them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.connector.model import Connector, CustomFields, Resource
from engine.destination.match import Wanted, field_values
from engine.destination.rows import RowCodec
from engine.store.journal import Entry
from engine.values import as_file


class SentFile(msgspec.Struct, frozen=True):
    """A file that a body asks for."""

    target: str  # the field that asks for it
    described: Mapping[str, Any]  # its name and its address in the source
    path: Path  # where its copy lies until the outcome of the upload is known


def file_of(folder: Path, name: str, key: str, body: Any) -> SentFile | None:
    """The file that the body of an object's record asks for, or None."""
    found = file_in(body)
    if found is None:
        return None
    target, described = found
    mark = hashlib.sha256(
        f"{name}{key}{described['url']}".encode()
    ).hexdigest()[:32]
    return SentFile(target, described, folder / mark)


def file_in(body: Any) -> tuple[str, dict[str, Any]] | None:
    """The field of a body that asks for a file, and what it says of it; None where none does."""
    for target, value in body.items() if isinstance(body, dict) else ():
        if isinstance(value, dict) and (described := as_file(value)):
            return target, described
    return None


def holders(connector: Connector) -> set[str]:
    """Resources whose rows are the definitions of custom fields."""
    resources = connector.resources.values()
    return {
        resource.custom.resource for resource in resources if resource.custom
    }


def defining(connector: Connector, resource: Resource) -> CustomFields:
    """How the definitions that a resource holds are written."""
    blocks = (one.custom for one in connector.resources.values() if one.custom)
    return next(custom for custom in blocks if custom.resource == resource.name)


def natural_key_fields(
    connector: Connector, resource: Resource
) -> tuple[str, ...]:
    """The fields that identify rows of a resource; () where the connector names none."""
    if resource.recognise:
        return resource.recognise
    if resource.name in holders(connector):
        custom = defining(connector, resource)
        return custom.name, custom.type

    create = resource.operations.get("create")
    return (create.upsert,) if create and create.upsert else ()


def wanted_of_entry(
    entry: Entry, connector: Connector, codec: RowCodec, files: Path
) -> Wanted:
    """What an intended creation sent; a file is shown as the fields that describe it."""
    resource = codec.resource
    fields = natural_key_fields(connector, codec.resource)
    values = field_values(codec, entry.body, fields)
    sent = file_of(files, entry.object, entry.key, entry.body)
    if sent and resource.file and sent.path.exists():
        _, name, size = resource.file
        values |= {
            name: sent.described.get("name"),
            size: sent.path.stat().st_size,
        }
    return Wanted(str(entry.id), values, fields)


def wanted_of_body(
    key: str, body: Mapping[str, Any], connector: Connector, codec: RowCodec
) -> Wanted:
    """What a draft would send; the size of a file is not known before it is fetched."""
    resource = codec.resource
    fields = natural_key_fields(connector, codec.resource)
    values = field_values(codec, body, fields)
    described = as_file(body.get(resource.file[0])) if resource.file else None
    if resource.file and described:
        _, name, size = resource.file
        values[name] = described.get("name")
        fields = tuple(field for field in fields if field != size)
    return Wanted(key, values, fields)
