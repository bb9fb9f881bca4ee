"""Pipedrive's published OpenAPI documents: which operations there are and what travels with them.

OpenAPI 3.0 schemas become JSON Schema 2020-12, strict where the documents are silent: a property
that is not published is a mismatch, whether or not they say `additionalProperties: false`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference" / "pipedrive"
FILES = {"/api/v1": "openapi-v1.yaml", "/api/v2": "openapi-v2.yaml"}
VERBS = ("get", "post", "put", "patch", "delete")
LARGEST_PAGE = 500  # of lists whose document names no maximum: dossier section 4.1, PAG [D]

Schema = Mapping[str, Any]

_KEPT = (
    "type", "enum", "required", "format", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "uniqueItems", "multipleOf",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Published:
    """One published operation; `key` is its verb and path template, as in "GET /api/v2/deals/{id}"."""

    key: str
    method: str
    template: str
    cost: int | None
    required: frozenset[str]  # query parameters that must be there
    query: Mapping[str, Schema]  # the raw parameters, by name
    places: Mapping[str, Schema]  # the raw path parameters, by name
    bodies: Mapping[str, Schema]  # media type -> JSON schema of the request
    answers: Mapping[int, Mapping[str, Schema]]  # status -> media type -> JSON schema
    keys: frozenset[str]  # headers a key may travel in

    @property
    def largest_page(self) -> int:
        """The published maximum of `limit`: in its schema, in its description, or the general one."""
        limit = self.query["limit"]
        told = re.search(r"maximum value of (\d+)", limit.get("description", ""))
        return int(limit["schema"].get("maximum") or (told[1] if told else LARGEST_PAGE))


class Documents:
    """Every published operation, found by verb and path."""

    def __init__(self, operations: list[Published]) -> None:
        self.by_shape = {(one.method, shape(one.template)): one for one in operations}
        self._patterns = sorted(
            ((re.compile(re.sub(r"\{[^}]+\}", "([^/]+)", one.template)), one) for one in operations),
            key=lambda found: found[1].template.count("{"),
        )

    def declared(self, method: str, template: str) -> Published | None:
        """The operation with this path template, whatever the names of its places are."""
        return self.by_shape.get((method, shape(template)))

    def requested(self, method: str, path: str) -> tuple[Published, dict[str, str]] | None:
        """The operation that answers this path, and what stands in its places."""
        for pattern, one in self._patterns:
            found = pattern.fullmatch(path) if one.method == method else None
            if found:
                return one, dict(zip(re.findall(r"\{([^}]+)\}", one.template), found.groups(), strict=True))
        return None


def shape(template: str) -> str:
    """A path template without the names of its places."""
    return re.sub(r"\{[^}]+\}", "{}", template)


def available() -> bool:
    """Whether the documents are in this checkout."""
    return all((FOLDER / name).is_file() for name in FILES.values())


def load() -> Documents:
    """Read both documents."""
    operations: list[Published] = []
    for prefix, name in FILES.items():
        with (FOLDER / name).open("rb") as file:
            document = yaml.load(file, yaml.CSafeLoader)
        for path, item in document["paths"].items():
            operations += [_operation(document, prefix + path, verb, item) for verb in VERBS if verb in item]
    return Documents(operations)


def _operation(document: Schema, template: str, verb: str, item: Schema) -> Published:
    raw = item[verb]
    parameters = [_resolved(one, document) for one in (*item.get("parameters", ()), *raw.get("parameters", ()))]
    query = {one["name"]: one for one in parameters if one["in"] == "query"}
    answers = {int(status): _resolved(answer, document) for status, answer in raw["responses"].items()}
    schemes = document["components"]["securitySchemes"]
    keys = (schemes[name] for choice in raw.get("security", ()) for name in choice)
    return Published(
        key=f"{verb.upper()} {template}",
        method=verb.upper(),
        template=template,
        cost=raw.get("x-token-cost"),
        required=frozenset(name for name, one in query.items() if one.get("required")),
        query=query,
        places={one["name"]: one for one in parameters if one["in"] == "path"},
        bodies=_contents(_resolved(raw.get("requestBody", {}), document), document),
        answers={status: _contents(answer, document) for status, answer in answers.items()},
        keys=frozenset(one["name"].lower() for one in keys if one.get("in") == "header"),
    )


def _contents(holder: Schema, document: Schema) -> dict[str, Schema]:
    found = holder.get("content", {}).items()
    return {media: as_json_schema(one["schema"], document) for media, one in found if "schema" in one}


def _resolved(node: Schema, document: Schema) -> Schema:
    """The node itself, or what its `$ref` points to."""
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def _flat(node: Schema, document: Schema) -> dict[str, Any]:
    """A schema with its `allOf` parts merged into it, so that all its properties stand side by side."""
    node = _resolved(node, document)
    merged: dict[str, Any] = {}
    for part in (*(_flat(one, document) for one in node.get("allOf", ())), node):
        for key, value in part.items():
            if key == "properties":
                known = merged.setdefault("properties", {})
                for name, inner in value.items():
                    known[name] = {"allOf": [known[name], inner]} if name in known else inner
            elif key == "required":
                merged["required"] = sorted({*merged.get("required", ()), *value})
            elif key != "allOf":
                merged[key] = value
    return merged


def as_json_schema(node: Schema, document: Schema) -> Schema:
    """OpenAPI 3.0 to JSON Schema: null as a type, no property but the published ones."""
    flat = _flat(node, document)
    result: dict[str, Any] = {key: flat[key] for key in _KEPT if key in flat}
    if "properties" in flat:
        result["properties"] = {name: as_json_schema(inner, document) for name, inner in flat["properties"].items()}
        result["additionalProperties"] = False
    if isinstance(flat.get("additionalProperties"), dict):
        result["additionalProperties"] = as_json_schema(flat["additionalProperties"], document)
    if "items" in flat:
        result["items"] = as_json_schema(flat["items"], document)
    for word in ("oneOf", "anyOf"):
        if word in flat:
            result[word] = [as_json_schema(inner, document) for inner in flat[word]]
    if not flat.get("nullable"):
        return result
    if "type" in result and "enum" not in result:
        return result | {"type": [result["type"], "null"]}
    return {"anyOf": [result, {"type": "null"}]}


def properties(schema: Schema) -> Iterator[str]:
    """The names of an object's properties, or of the rows' in a list."""
    yield from schema.get("items", schema).get("properties", {})
