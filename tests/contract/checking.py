"""Where an exchange and the published documents disagree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from tests.contract.published import Documents, Published, Schema
from tests.contract.recorder import Exchange

JSON = "application/json"
FORMS = FormatChecker(formats=())


@FORMS.checks("date", raises=ValueError)
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or bool(date.fromisoformat(value))


@FORMS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@FORMS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(UUID(value))


@dataclass(frozen=True, slots=True, order=True)
class Mismatch:
    """One way in which one operation differs from its document.

    `kind` is one of null_value (null where the document has no null), unpublished (a name the
    document does not know), missing, type, value, format, media and status. List positions in
    `path` are written `*`.
    """

    operation: str
    where: str  # request, response, status
    path: str
    kind: str
    told: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.operation}: {self.where} {self.path or '(whole)'}: {self.kind} – {self.told}"


class Checker:
    """Compares exchanges with the documents; validators are made once for each schema."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self._validators: dict[int, Draft202012Validator] = {}

    def check(self, exchange: Exchange) -> Iterator[Mismatch]:
        """Every mismatch of one exchange."""
        found = self.documents.requested(exchange.method, exchange.path)
        if found is None:
            called = f"{exchange.method} {exchange.path}"
            yield Mismatch(called, "request", "", "unpublished", "no such operation is published")
            return
        published, places = found
        yield from self.request(published, places, exchange)
        yield from self.answer(published, exchange)

    def request(self, published: Published, places: Mapping[str, str], exchange: Exchange) -> Iterator[Mismatch]:
        """Mismatches of the key, the path, the query and the body."""
        if published.keys and not published.keys & exchange.headers.keys():
            wanted = ", ".join(sorted(published.keys))
            yield Mismatch(published.key, "request", "header", "missing", f"the key is not in {wanted}")
        for name, text in places.items():
            yield from self._parameter(published, f"path.{name}", published.places.get(name), unquote(text))
        sent = parse_qsl(exchange.query, keep_blank_values=True)
        names = [name for name, _ in sent]
        for name, text in sent:
            yield from self._parameter(published, f"query.{name}", published.query.get(name), text)
            if names.count(name) > 1:
                yield Mismatch(published.key, "request", f"query.{name}", "value", "it is sent more than once")
        for name in published.required.difference(names):
            yield Mismatch(published.key, "request", f"query.{name}", "missing", "the parameter must be sent")
        if exchange.body or published.bodies:
            yield from self._body(published, exchange)

    def _parameter(self, published: Published, path: str, raw: Schema | None, text: str) -> Iterator[Mismatch]:
        if raw is None:
            yield Mismatch(
                published.key, "request", path, "unpublished", f"{text!r} is sent under a name not published"
            )
            return
        listed = raw["schema"].get("type") == "array" and not raw.get("explode", True)
        value = (
            [_plain(one, raw["schema"]["items"]) for one in text.split(",")] if listed else _plain(text, raw["schema"])
        )
        yield from self._against(raw["schema"], value, published.key, "request", path)

    def _body(self, published: Published, exchange: Exchange) -> Iterator[Mismatch]:
        media = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
        schema = published.bodies.get(media)
        if schema is None:
            told = f"{media or 'no type'} is sent, published is {', '.join(published.bodies) or 'no body'}"
            yield Mismatch(published.key, "request", "body", "media", told)
        elif media == JSON:
            yield from self._against(schema, json.loads(exchange.body), published.key, "request", "body")
        else:
            yield from self._against(schema, _parts(exchange, schema), published.key, "request", "body")

    def answer(self, published: Published, exchange: Exchange) -> Iterator[Mismatch]:
        """Mismatches of the status, the content type and the body of an answer."""
        contents = published.answers.get(exchange.status)
        if contents is None:
            told = f"published are {', '.join(map(str, published.answers))}"
            yield Mismatch(published.key, "status", str(exchange.status), "status", told)
            yield from _error_body(published, exchange)
            return
        media = exchange.answer_headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != JSON and media in contents:
            return  # bytes: there is nothing in them to compare
        if media != JSON or JSON not in contents:
            told = f"{media or 'no type'} is answered, published is {', '.join(contents) or 'no body'}"
            yield Mismatch(published.key, "response", "", "media", told)
            return
        yield from self._against(contents[JSON], json.loads(exchange.answer), published.key, "response", "")

    def _against(self, schema: Schema, value: Any, key: str, where: str, path: str) -> Iterator[Mismatch]:
        validator = self._validators.get(id(schema))
        if validator is None:
            validator = self._validators[id(schema)] = Draft202012Validator(schema, format_checker=FORMS)
        for error in validator.iter_errors(value):
            yield from _mismatches(error, key, where, path)


def _mismatches(error: ValidationError, key: str, where: str, start: str) -> Iterator[Mismatch]:
    steps = [start, *("*" if isinstance(step, int) else step for step in error.absolute_path)]
    here = ".".join(step for step in steps if step)
    if error.validator == "additionalProperties":
        for name in error.instance.keys() - error.schema["properties"].keys():  # type: ignore[union-attr,index]
            told = f"{_short(error.instance[name])} stands under a name not published"  # type: ignore[index]
            yield Mismatch(key, where, f"{here}.{name}".lstrip("."), "unpublished", told)
    elif error.validator == "required":
        for name in error.validator_value:  # type: ignore[union-attr]
            if name not in error.instance:  # type: ignore[operator]
                yield Mismatch(key, where, f"{here}.{name}".lstrip("."), "missing", "it must be there")
    elif error.validator in ("anyOf", "oneOf") and isinstance(error.instance, dict) and error.context:
        for inner in _nearest(error.context):
            yield from _mismatches(inner, key, where, start)
    elif error.instance is None:
        yield Mismatch(key, where, here, "null_value", "null is not published for it")
    else:
        kind = str(error.validator) if error.validator in ("type", "format") else "value"
        yield Mismatch(key, where, here, kind, f"{_short(error.instance)}: {error.validator} {error.validator_value}")


def _nearest(errors: Iterable[ValidationError]) -> list[ValidationError]:
    """Of the mismatches with several forms those with the form that is meant: its fixed words fit."""
    forms: dict[Any, list[ValidationError]] = {}
    for error in errors:
        forms.setdefault(error.schema_path[0], []).append(error)
    return min(forms.values(), key=lambda found: (sum(one.validator == "enum" for one in found), len(found)))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _error_body(published: Published, exchange: Exchange) -> Iterator[Mismatch]:
    """No document draws an error's body: the dossier's section 7 does."""
    body = json.loads(exchange.answer)
    if exchange.status < 400:
        return
    if body.get("success") is not False or not isinstance(body.get("error"), str) or "error_info" not in body:
        told = f"an error must say success false, error and error_info: {_short(body)}"
        yield Mismatch(published.key, "response", "", "value", told)


def _plain(text: str, schema: Schema) -> Any:
    """What the text of a parameter stands for; the text itself where it does not have the type."""
    try:
        match schema.get("type"):
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}.get(text, text)
    except ValueError:
        pass
    return text


def _parts(exchange: Exchange, schema: Schema) -> dict[str, Any]:
    """The fields of a multipart body by name; a file stands as its own name."""
    head = f"Content-Type: {exchange.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + exchange.body)
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        file = part.get_filename()
        text = bytes(part.get_payload(decode=True))
        found[name] = file if file is not None else _plain(text.decode(), schema["properties"].get(name, {}))
    return found


def mismatches(checker: Checker, exchanges: Iterable[Exchange]) -> dict[Mismatch, int]:
    """Every kind of mismatch in a recording and in how many places it was found."""
    found: dict[Mismatch, int] = {}
    for exchange in exchanges:
        for one in checker.check(exchange):
            found[one] = found.get(one, 0) + 1
    return found
