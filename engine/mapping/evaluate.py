"""Record to draft: what one record should be in the destination, and how each field came about.

Pure: everything it may look at besides the record comes through a `LookupContext`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from engine.connector.references import any_key
from engine.connector.times import is_marked, moment
from engine.connector.typed import Misfit, Reader, as_declared, beyond_float
from engine.language import jinja
from engine.language.model import (
    Cases,
    Children,
    Condition,
    Const,
    Download,
    Each,
    Expr,
    Field,
    First,
    Items,
    Lookup,
    ObjectMapping,
    Parts,
    Path,
    Pipe,
    Related,
    Template,
    Test,
)
from engine.values import (
    LONGEST_KEY,
    Names,
    Row,
    as_link,
    as_list,
    collection_of,
    dig,
    fits_index,
    flag,
    id_in,
    is_empty,
    key_of,
    link,
    quoted,
    segments,
    word,
)

# `etl validate` does without the store, which takes long to import
if TYPE_CHECKING:
    from engine.store.records import Record

Query = tuple[str, str, Names]  # a collection, its field, any of these values
KeyedRows = Sequence[tuple[str, Row]]  # rows with their keys

FALLBACK = "$fallback"
SHOWN = 80
FILLING = ("text.default",)  # steps that make something of nothing


class Source(msgspec.Struct, frozen=True):
    """One source record, as the evaluation sees it."""

    collection: str
    key: str
    body: Row
    # field -> "place: what it holds instead"
    misfits: Mapping[str, Sequence[str]] = {}
    # whether its values are in their declared types already
    is_read: bool = False

    @property
    def id(self) -> str:
        """The id within the collection."""
        return id_in(self.key)


class LookupContext(msgspec.Struct, frozen=True):
    """What an evaluation may look at besides its record."""

    settings: Mapping[str, Any]
    pattern: str  # how a value names a row: "host/{collection}/{id}", or ""
    objects: Mapping[str, ObjectMapping]
    record: Callable[[str], Row | None]
    pointing_at: Callable[[str, str, Sequence[str]], KeyedRows]
    # will this object have a row for this key?
    drafted: Callable[[str, str], bool]
    user: Callable[[str], bool]  # is this person known in the destination?
    typed: Reader  # a record with its values as their fields are declared
    user_source: str = ""
    today: str = ""  # what `$today` is: a date

    def read(self, row: Source | Record) -> Source:
        """A record with its values in their types: several objects may look at it, and it is
        read once.
        """
        found = self.typed(row.collection, row.body)
        return Source(row.collection, row.key, found.row, found.misfits, True)


class Provenance(msgspec.Struct, frozen=True):
    """How one destination field came about."""

    target: str
    how: str  # equal, transformed, defaulted, looked_up, constant, dropped, empty
    sources: tuple[tuple[str, Any], ...]
    steps: Names
    value: Any
    reason: str = ""


class Note(msgspec.Struct, frozen=True):
    """Something about a field that people must see."""

    field: str
    text: str
    severity: str = "attention"


class Evaluation(msgspec.Struct, frozen=True):
    """One draft with its story."""

    key: str
    record: str
    body: dict[str, Any]
    state: str  # ready, skipped, failed
    reason: str
    traces: tuple[Provenance, ...] = ()
    notes: tuple[Note, ...] = ()


class _Skip(Exception):
    """This record is not to be written, by a rule of the spec."""


class _Fail(Exception):
    """This record cannot be written."""


class _Story(msgspec.Struct):
    """What happened on the way to one value."""

    sources: list[tuple[str, Any]] = []
    steps: list[str] = []
    marks: set[str] = set()
    # values that could not be carried over
    notes: list[Note] = []
    # lookups without a hit; forgotten if an alternative has one
    misses: list[Note] = []
    reason: str = ""

    def lose(self, why: str) -> None:
        """A value cannot be carried over."""
        self.reason = why
        self.notes.append(Note("", why))


class _Context(msgspec.Struct):
    """One record (and one element of it) with the records around it."""

    mapping: ObjectMapping
    source: Source
    sight: LookupContext
    key: str
    element: Any = None
    # names that stand beside the record's own fields
    beside: frozenset[str] = frozenset()
    # values that do not fit their type, where one was asked for
    told: dict[str, str] = {}
    _around: dict[str, Any] = {}

    def value(self, path: Path) -> Any:  # noqa: PLR0911
        """The value at a path; None where there is none."""
        head, *rest = path.segments
        if (
            isinstance(head, str)
            and head[:1] != "$"
            and head not in self.beside
        ):
            if rest or self.source.misfits:
                return self.own(path)
            return self.source.body.get(head)  # as nearly always
        match head:
            case "$key":
                return self.key
            case "$record":
                return self.source.key
            case "$id":
                return self.source.id
            case "$collection":
                return self.source.collection
            case "$today":
                return self.sight.today
            case "$settings":
                return self.sight.settings.get(str(rest[0]))
        if head in self.beside:
            return dig(self.around(str(head)), tuple(rest))
        return self.own(path)

    def own(self, path: Path) -> Any:
        """The value at a path of the record's own fields."""
        self.tell("", self.source.misfits.get(str(path.segments[0]), ()))
        return dig(self.source.body, path.segments)

    def tell(self, place: str, misfits: Iterable[str]) -> None:
        """Values that were left out stand in the draft's findings."""
        for text in misfits:
            name, _, what = text.partition(": ")
            self.told.setdefault(place + name, what)

    def read(self, place: str, collection: str, body: Row) -> Row:
        """A related record as its fields are declared."""
        found = self.sight.typed(collection, body)
        self.tell(
            f"{place}.",
            (text for texts in found.misfits.values() for text in texts),
        )
        return found.row

    def around(self, name: str) -> Any:
        """A related record, the list of children, or the element."""
        each = self.mapping.each
        if each and name == each.name:
            self.tell("", self._of_element(each))
            return self.element
        if name not in self._around:
            self._around[name] = (
                self._related(name)
                if name in self.mapping.related
                else self._children(name)
            )
        return self._around[name]

    def _of_element(self, each: Each) -> Iterator[str]:
        """What does not fit in this element, and not in the others of its list."""
        elements = dig(self.source.body, each.path.segments)
        position = next(
            (
                at
                for at, item in enumerate(as_list(elements))
                if item is self.element
            ),
            -1,
        )
        place = f"{each.path.text}[{position}]."
        texts = self.source.misfits.get(str(each.path.segments[0]), ())
        return (text for text in texts if text.startswith(place))

    def _related(self, name: str) -> Any:
        related = self.mapping.related[name]
        rows = [(key, self.sight.record(key)) for key in self.keys_of(related)]
        found = [
            self.read(name, key.partition("/")[0], body)
            for key, body in rows
            if body is not None
        ]
        return found if related.many else next(iter(found), None)

    def keys_of(self, related: Related) -> list[str]:
        """The keys of the rows that a link in the record leads to."""
        value = self.value(related.by)
        values = (value or []) if related.many else [value]
        keys = dict.fromkeys(
            record_key(item, related.sources, self.sight.pattern)
            for item in values
        )
        return [key for key in keys if key]

    def parents_of(self, children: Children) -> list[str]:
        """What children name as their parent; nothing where the record does not say."""
        if children.by is None:
            return [self.source.key, self.source.id]
        value = self.value(children.by)
        if is_empty(value):
            return []
        return [any_key(value, self.sight.pattern) or str(value)]

    def _children(self, name: str) -> Any:
        children = self.mapping.children[name]
        targets = self.parents_of(children)
        if not targets:
            return []
        rows = self.sight.pointing_at(children.source, children.on, targets)
        found = [self.read(name, children.source, body) for _, body in rows]
        return [
            body
            for body in found
            if children.where is None or _holds_in(children.where, body)
        ]

    def template_values(self, template: Template) -> dict[str, Any]:
        """What a template names; a name that leads nowhere is left out, for Jinja to refuse."""
        values: dict[str, Any] = {
            "settings": self.sight.settings,
            "key": self.key,
            "collection": self.source.collection,
        }
        record = jinja.View(self.source.body, template.known)
        for name in template.heads:
            if name in self.beside:
                values[name] = jinja.seen(self.around(name), template.known)
            elif name in record:
                self.tell("", self.source.misfits.get(name, ()))
                values[name] = record[name]
        return values


def value_at(
    mapping: ObjectMapping,
    source: Source,
    path: Path,
    sight: LookupContext,
) -> Any:
    """What an object reads at a path of one record, outside the list it may go through."""
    return _Context(
        mapping, _typed(source, sight), sight, source.key, beside=mapping.beside
    ).value(path)


def evaluate(
    mapping: ObjectMapping,
    source: Source,
    sight: LookupContext,
    traced: bool = True,
) -> Iterator[Evaluation]:
    """The drafts of one record: one, or one for each element of a list inside it.

    Unless they are `traced`, how each field came about is left out.
    """
    source = _typed(source, sight)
    beside = mapping.beside
    for key, element, fault in _elements(mapping.each, source):
        context = _Context(mapping, source, sight, key, element, beside)
        if _is_meant(context):
            made = (
                Evaluation(key, source.key, {}, "failed", fault)
                if fault
                else _draft(context, traced)
            )
            if not _is_empty(mapping, made):
                yield made
        elif context.told:
            told = [f"{place} {what}" for place, what in context.told.items()]
            yield Evaluation(
                key,
                source.key,
                {},
                "skipped",
                f"its condition cannot be judged: {'; '.join(told)}",
            )


def _is_empty(mapping: ObjectMapping, made: Evaluation) -> bool:
    """Whether a draft has nothing of what the object is for, and nothing was left out of it."""
    needed = mapping.unless_empty
    return (
        bool(needed)
        and made.state == "ready"
        and not made.notes
        and not any(target in made.body for target in needed)
    )


def looked_at(
    mapping: ObjectMapping,
    source: Source,
    sight: LookupContext,
    by_field: Sequence[tuple[Lookup, Path]],
) -> Iterator[str | Query]:
    """Keys and queries that the drafts of a record may ask for, as far as its own fields tell.

    `by_field` are the object's lookups by a field of their target's records, with what they look
    for.
    """
    own = mapping.beside - {mapping.each.name if mapping.each else ""}
    for key, element, _ in _elements(mapping.each, source):
        context = _Context(mapping, source, sight, key, element, mapping.beside)
        for related in mapping.related.values():
            if related.by.segments[0] not in own:
                yield from context.keys_of(related)
        for children in mapping.children.values():
            if children.by is None or children.by.segments[0] not in own:
                targets = context.parents_of(children)
                if targets:
                    yield children.source, children.on, tuple(targets)
        for lookup, path in by_field:
            if path.segments[0] not in own:
                yield from _asked(lookup, context.value(path), context)


def _asked(lookup: Lookup, value: Any, context: _Context) -> Iterator[Query]:
    """The queries of a lookup by a field of its target's records."""
    for name in () if is_empty(value) else lookup.objects:
        for collection in context.sight.objects[name].sources:
            yield collection, lookup.on, tuple(_spellings(value, context))


def takes_part(
    mapping: ObjectMapping, source: Source, sight: LookupContext
) -> bool:
    """Whether an object has a draft of this record, or of an element of it; no field is looked
    at.
    """
    source = _typed(source, sight)
    found = (
        _Context(mapping, source, sight, key, element, mapping.beside)
        for key, element, _ in _elements(mapping.each, source)
    )
    return any(_is_meant(context) or context.told for context in found)


def _typed(source: Source, sight: LookupContext) -> Source:
    return source if source.is_read else sight.read(source)


def _is_meant(context: _Context) -> bool:
    """Whether the object is made of this record, and of this element of it."""
    conditions = (
        context.mapping.each and context.mapping.each.where,
        context.mapping.when,
    )
    body = context.source.body
    marks = context.mapping.marks.get(context.source.collection, {})
    return not any(
        is_marked(body.get(name)) for name in marks.values()
    ) and all(
        holds(condition, context.value) for condition in conditions if condition
    )


def _elements(
    each: Each | None, source: Source
) -> Iterator[tuple[str, Any, str]]:
    """Key, element and what is wrong with it: only a key of its own tells an element apart for
    good.
    """
    if each is None:
        yield source.key, None, ""
        return
    found = dig(source.body, each.path.segments)
    taken: set[str] = set()
    place, path = f"{source.key}#{each.name}/", each.path.text
    for position, element in enumerate(
        [] if is_empty(found) else as_list(found)
    ):
        name = word(dig(element, segments(each.key)))
        key, fault = place + quoted(name), ""
        by_position, this = f"[{position}]", f"element {position} of {path}"
        if not isinstance(found, list):
            fault = f"{path} is not a list"
        elif not name:
            key, fault = place + by_position, f"{this} has no {each.key}"
        elif not fits_index(name):
            key = place + by_position
            fault = (
                f"the {each.key} of {this} is longer than {LONGEST_KEY:,} bytes"
            )
        elif key in taken:
            fault = f"two elements of {path} have the {each.key} {name}"
        while key in taken:
            key += by_position
        taken.add(key)
        yield key, element, fault


def _draft(context: _Context, traced: bool) -> Evaluation:
    body: dict[str, Any] = {}
    traces: list[Provenance] = []
    found: list[Note] = []
    state, reason = "ready", ""
    for target, item in context.mapping.fields.items():
        story = _Story()
        try:
            value = _evaluate(item.expr, context, story)
        except _Skip as stop:
            value, state, reason = None, "skipped", f"{target}: {stop}"
        except _Fail as stop:
            value, reason = None, reason or f"{target}: {stop}"
            state = "failed" if state != "skipped" else state
        if is_empty(value):
            value = None
        else:
            body[target] = value
        if traced:
            traces.append(_trace(item, story, value))
        found += [
            Note(target, note.text, note.severity)
            for note in (*story.notes, *story.misses)
        ]
    found += [
        Note("", f"{place} is left out: {what}")
        for place, what in context.told.items()
    ]
    return Evaluation(
        context.key,
        context.source.key,
        body,
        state,
        reason,
        tuple(traces),
        tuple(found),
    )


def _trace(item: Field, story: _Story, value: Any) -> Provenance:
    filled = tuple(
        (path, found) for path, found in story.sources if not is_empty(found)
    )
    if value is None:
        how = (
            "dropped"
            if (filled or story.notes) and "unmet" not in story.marks
            else "empty"
        )
    elif "fallback" in story.marks or "default" in story.marks:
        how = "defaulted"
    elif "lookup" in story.marks:
        how = "looked_up"
    elif not filled and "template" not in story.marks:
        how = "constant"
    elif len(filled) == 1 and filled[0][1] == value:
        how = "equal"
    else:
        how = "transformed"
    return Provenance(
        item.target, how, filled, tuple(story.steps), value, story.reason
    )


# -- expressions


def _evaluate(expr: Expr, context: _Context, story: _Story) -> Any:
    return _HEADS[type(expr)](expr, context, story)


def _path(expr: Path, context: _Context, story: _Story) -> Any:
    value = context.value(expr)
    story.sources.append((expr.text, value))
    return value


def _const(expr: Const, _: _Context, __: _Story) -> Any:
    return expr.value


def _parts(expr: Parts, context: _Context, story: _Story) -> dict[str, Any]:
    values = (
        (name, _evaluate(item, context, story))
        for name, item in expr.values.items()
    )
    return {name: value for name, value in values if not is_empty(value)}


def _cases(expr: Cases, context: _Context, story: _Story) -> Any:
    for condition, item in expr.cases:
        seen = {
            test.path.text: context.value(test.path)
            for tests in condition.any_of
            for test in tests
        }
        story.sources += [
            found for found in seen.items() if found not in story.sources
        ]
        if holds(condition, context.value):
            return _evaluate(item, context, story)
    return _evaluate(expr.otherwise, context, story)


def _first(expr: First, context: _Context, story: _Story) -> Any:
    """The first that is not empty; that lookups before it found nothing is then no loss."""
    value, attempt, misses = None, _Story(), []
    for option in expr.options:
        attempt = _Story()
        value = _evaluate(option, context, attempt)
        story.sources += attempt.sources
        story.notes += attempt.notes
        misses += attempt.misses
        if not is_empty(value):
            misses = attempt.misses
            break
    story.misses += misses
    story.steps += attempt.steps
    story.marks |= attempt.marks
    story.reason = attempt.reason
    return value


def _items(expr: Items, context: _Context, story: _Story) -> list[Any]:
    """Objects of a list; one whose record values are all empty is left out."""
    found = []
    for item in expr.items:
        values = _parts(item, context, story)
        moving = [
            name
            for name, part in item.values.items()
            if not isinstance(part, Const)
        ]
        if not moving or any(name in values for name in moving):
            found.append(values)
    return found


def _pipe(pipe: Pipe, context: _Context, story: _Story) -> Any:
    if pipe.when and not holds(pipe.when, context.value):
        story.marks.add("unmet")
        story.reason = "its condition does not hold"
        return None
    value = _evaluate(pipe.head, context, story)
    for step in pipe.steps:
        if is_empty(value) and step.name not in FILLING:
            continue
        story.steps.append(step.name)
        try:
            value = step.run(value)
        except ValueError as error:
            story.lose(f"{step.name}: {error}")
            value = None
    if pipe.mapping:
        value = _map(pipe, value, story)
    if is_empty(value) and pipe.default is not None:
        story.marks.add("default")
        return pipe.default
    return value


def _map(pipe: Pipe, value: Any, story: _Story) -> Any:
    rules = pipe.mapping
    assert rules is not None
    story.steps.append("map")
    entry = (
        word(value)
        if word(value) in rules.entries
        else _meant(rules.entries, value)
    )
    if entry is not None:
        return rules.entries[entry]
    if rules.fail:
        raise _Fail(f"the value map has no entry for {_shown(value)}")
    if rules.report and not is_empty(value):
        story.lose(f"the value map has no entry for {_shown(value)}")
        return None
    if rules.otherwise is not None:
        story.marks.add("default")
    return rules.otherwise


def _meant(entries: Mapping[str, Any], value: Any) -> str | None:
    """The entry that means a flag: `yes`, `1` and `true` are one value, written in several ways."""
    return (
        next((entry for entry in entries if flag(entry) is value), None)
        if isinstance(value, bool)
        else None
    )


def _template(expr: Template, context: _Context, story: _Story) -> Any:
    story.steps.append(f"template {expr.name}" if expr.name else "template")
    story.marks.add("template")
    story.sources += [(use, None) for use in expr.uses]
    try:
        return (
            jinja.render(
                expr.source,
                expr.html,
                context.template_values(expr),
                expr.steps,
            )
            or None
        )
    except ValueError as error:
        story.lose(str(error))
        return None


def _download(expr: Download, context: _Context, story: _Story) -> Any:
    url = _evaluate(expr.url, context, story)
    if is_empty(url):
        return None
    naming = _Story()
    name = _evaluate(expr.name, context, naming)
    story.notes += naming.notes
    story.steps.append("download")
    return {"$file": {"url": url, "name": name or "file"}}


# -- lookups


def _lookup(expr: Lookup, context: _Context, story: _Story) -> Any:
    value = _evaluate(expr.by, context, story)
    story.marks.add("lookup")
    if expr.objects == ("users",):
        return _user(value, context, story)
    if is_empty(value):
        # Nothing to look up is a miss only for a link the record cannot do without.
        return (
            _missed(expr, None, context, story)
            if expr.on_miss in ("skip", "fail", "fallback")
            else None
        )
    story.steps.append(f"lookup {', '.join(expr.objects)}")
    found = [
        hit
        for name in expr.objects
        for hit in _hits(name, value, expr.on, context)
    ]
    if not found:
        return _missed(expr, value, context, story)
    if len(found) > 1 and expr.on_many != "first":
        text = f"{len(found)} rows of {', '.join(expr.objects)} answer to {_shown(value)}"
        if expr.on_many == "fail":
            raise _Fail(text)
        story.notes.append(Note("", f"{text}; the first is taken"))
    return link(*found[0])


def _hits(
    name: str, value: Any, on: str, context: _Context
) -> Iterator[tuple[str, str]]:
    target = context.sight.objects.get(name)
    if target is None:
        return
    if on:
        for source in target.sources:
            for found, _ in context.sight.pointing_at(
                source, on, _spellings(value, context)
            ):
                if context.sight.drafted(name, found):
                    yield name, found
        return
    found_key = record_key(value, target.sources, context.sight.pattern)
    if found_key and context.sight.drafted(name, found_key):
        yield name, found_key


def _spellings(value: Any, context: _Context) -> list[str]:
    """How fields of other records may name this value: a row by its key or by its bare id,
    anything else as it is.
    """
    text = str(value)
    key = any_key(value, context.sight.pattern) or (
        text if text.partition("/")[0] in context.mapping.sources else ""
    )
    return [key, id_in(key)] if id_in(key) else [text]


def _missed(expr: Lookup, value: Any, context: _Context, story: _Story) -> Any:
    named = (
        f"for {_shown(value)}" if value is not None else "named in the record"
    )
    text = f"no {' or '.join(expr.objects)} {named}"
    match expr.on_miss:
        case "skip":
            raise _Skip(text)
        case "fail":
            raise _Fail(text)
        case "fallback":
            hit = next(
                (
                    hit
                    for name in expr.objects
                    for hit in _hits(name, expr.fallback, "", context)
                ),
                None,
            )
            if hit:
                story.marks.add("fallback")
                if value is not None:
                    stands = f"{text}: {expr.fallback} stands in for it"
                    story.notes.append(Note("", stands, "note"))
                return link(*hit)
            text += f", nor for the fallback {expr.fallback}"
            story.misses.append(Note("", text))
        case "report":
            story.misses.append(Note("", text))
    if expr.on_miss == "omit":
        # the spec expects this miss: there is nothing to carry over
        story.marks.add("unmet")
    story.reason = text
    return None


def _user(value: Any, context: _Context, story: _Story) -> Any:
    """People are never missing: whoever is not known is stood in for by the fallback owner."""
    story.steps.append("lookup users")
    sight = context.sight
    key = record_key(value, (sight.user_source,), sight.pattern)
    if key and sight.user(key):
        return link("users", key)
    story.marks.add("fallback")
    story.reason = (
        f"{_shown(value)} has no user in the destination"
        if key
        else "no person named"
    )
    return link("users", FALLBACK)


def record_key(value: Any, sources: Sequence[str], pattern: str) -> str | None:
    """The key ("collection/id") of the row a value names, among these collections; else None."""
    if is_empty(value) or isinstance(value, dict | list):
        return None
    return _key_named(word(value).strip(), tuple(sources), pattern)


@functools.lru_cache(maxsize=16_384)
def _key_named(text: str, sources: Names, pattern: str) -> str | None:
    """Records name the same rows often: their state, their category, the one in charge."""
    found = any_key(text, pattern)
    if found:
        return found if collection_of(found) in sources else None
    head, _, rest = text.partition("/")
    if rest and head in sources:
        return text
    return key_of(sources[0], text) if len(sources) == 1 else None


_HEADS: Mapping[type, Callable[[Any, _Context, _Story], Any]] = {
    Path: _path,
    Const: _const,
    First: _first,
    Parts: _parts,
    Items: _items,
    Cases: _cases,
    Template: _template,
    Lookup: _lookup,
    Download: _download,
    Pipe: _pipe,
}


# -- conditions


def holds(
    condition: Condition,
    value: Callable[[Path], Any],
) -> bool:
    """Whether any of the condition's lists of tests holds as a whole."""
    return any(
        all(_passes(test, value(test.path)) for test in tests)
        for tests in condition.any_of
    )


def _holds_in(condition: Condition, body: Row) -> bool:
    """Whether the condition holds in a record of its own."""
    return holds(condition, lambda path: dig(body, path.segments))


def _passes(test: Test, found: Any) -> bool:  # noqa: PLR0911
    wanted = test.value
    match test.op:
        case "filled":
            return is_empty(found) is not bool(wanted)
        case "empty":
            return is_empty(found) is bool(wanted)
        case "equals":
            return _same(found, wanted)
        case "not":
            return not any(_same(found, item) for item in as_list(wanted))
        case "in":
            return any(_same(found, item) for item in wanted)
    found, wanted = _in_one_form(found, wanted)
    if isinstance(found, str) and not isinstance(wanted, str):
        found = beyond_float(found)
    if (
        found is None
        or isinstance(found, bool | list | dict)
        or isinstance(found, str) != isinstance(wanted, str)
    ):
        return False
    return bool(_ORDERS[test.op](found, wanted))


_ORDERS = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def _same(found: Any, wanted: Any) -> bool:
    """Whether a value is the one that the spec names, also where the spec writes it as a text."""
    if isinstance(found, bool) and isinstance(wanted, str):
        return flag(wanted) is found
    if isinstance(found, bool) != isinstance(wanted, bool):
        return False
    if isinstance(found, int | float) and isinstance(wanted, str):
        return word(found) == wanted.strip()
    found, wanted = _in_one_form(found, wanted)
    if isinstance(found, str) and isinstance(wanted, str):
        return found.strip() == wanted.strip()
    return bool(found == wanted)


def _in_one_form(found: Any, wanted: Any) -> tuple[Any, Any]:
    """What a record holds and what the spec names, comparable: two instants in any zone, a
    number beside one written as text.
    """
    if not isinstance(wanted, str) or not isinstance(found, int | float | str):
        return found, wanted
    if isinstance(found, str):
        instants = [
            moment(text) if ":" in text else None for text in (found, wanted)
        ]
        return (
            (found, wanted) if None in instants else (instants[0], instants[1])
        )
    try:
        return found, as_declared(wanted, "number")
    except Misfit:
        return found, wanted


def _shown(value: Any) -> str:
    text = str(value) if as_link(value) is None else str(as_link(value))
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")
