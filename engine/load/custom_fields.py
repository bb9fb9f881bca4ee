"""Make what records need before they can be written: custom fields, options, pipelines, stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import structs

from engine.connector.model import CustomFields, Resource
from engine.destination.definitions import (
    DELETED,
    Decision,
    Deleted,
    Found,
    Make,
    Options,
    Remembered,
    Rename,
    Renamed,
    Retyped,
    Row,
    by_code,
    by_name,
    decide,
    known_fields,
    made_for,
    match_options,
    memory,
    remembered,
)
from engine.destination.options import wanted_options
from engine.errors import RequestRejected, UnsafePlan
from engine.language.model import CustomField, NativeOptions
from engine.load.deliver import deliver
from engine.load.writes import Write
from engine.plan.diff import version
from engine.session import Run
from engine.store.links import (
    DEFINITIONS,
    Finding,
    Link,
    clear_findings,
    drop_link,
    forget_written,
    link_of,
    save_findings,
    save_link,
)
from engine.values import is_yes

STAGE = "provision"  # of the findings about definitions
CHOICES = ("enum", "set")  # types that have options


class Provisioned(msgspec.Struct, frozen=True):
    """What was found and what had to be made."""

    fields_found: int
    fields_made: int
    options_made: int
    refused: tuple[str, ...]


class _Tally(msgspec.Struct):
    """What provisioning has come to so far."""

    found: int = 0
    made: int = 0
    options: int = 0
    refused_fields: list[str] = []
    refused_options: list[str] = []


class Decided(msgspec.Struct, frozen=True):
    """A custom field of the spec, what we knew about it, and what is to be done about it."""

    item: CustomField
    custom: CustomFields
    link: Link | None
    decision: Decision

    @property
    def shown(self) -> str:
        """The field as messages name it."""
        return f"{self.item.resource}.{self.item.name}"


Survey = Mapping[str, Sequence[Decided]]  # by the resource that has the fields


# -- what became of the custom fields


def survey(run: Run, remake: bool = False) -> Survey:
    """Look for every custom field of the spec in the account; the destination is only read.

    With `remake`, fields that people have deleted are forgotten, and so are the values we wrote
    into them: they are made anew and filled by this run. Raises UnsafePlan where a field would need
    another type, or where records could not be told apart without a deleted one.
    """
    with run.store.begin() as connection:
        clear_findings(connection, STAGE)
    found = _survey(run)
    _refuse_types(found)
    if remake:
        _forget_deleted(run, found)
        found = _survey(run)
    _refuse_without_keys(found)
    for one in _each(found):
        if text := _news(one):
            run.notice(text)
        if isinstance(one.decision, Deleted):
            _miss(run, one)
    _keep_found(run, found)
    return found


def note_deleted(run: Run) -> None:
    """Note which custom fields people have deleted; the destination is only read."""
    for one in _each(_survey(run)):
        if isinstance(one.decision, Deleted):
            _miss(run, one)


def _keep_found(run: Run, found: Survey) -> None:
    """Keep what the account has and the store does not know yet: the plan needs codes and ids."""
    for one in _each(found):
        unknown = one.link is None or DELETED in one.link.extra
        if unknown and isinstance(one.decision, Found):
            _remember(run, _place_of(run, one), one.decision.row)
    for native in run.spec.native_options:
        with run.store.begin() as connection:
            known = link_of(connection, DEFINITIONS, native.definition)
        row = None if known else _native_row(run, native)
        if row is not None:
            _remember(run, _place_of_native(run, native), row)


def _survey(run: Run) -> Survey:
    found = {}
    for name, resource in run.migration.destination.resources.items():
        wanted = [
            item
            for item in run.spec.custom_fields.values()
            if item.resource == name
        ]
        if wanted and resource.custom is not None:
            found[name] = _decided(run, resource.custom, wanted)
    return found


def _decided(
    run: Run, custom: CustomFields, wanted: Sequence[CustomField]
) -> list[Decided]:
    """The custom fields of one resource."""
    with run.store.begin() as connection:
        there = known_fields(connection, wanted[0].resource)
    names = {item.name for item in wanted}
    links = {name: link for name, link in there.items() if name in names}
    holder = run.resource(custom.resource)
    rows = _rows(run, holder, custom, [link.dest_id for link in links.values()])
    known = {
        name: _by_code(remembered(link), custom, holder, rows)
        for name, link in links.items()
    }
    found = []
    for item in wanted:
        decision = decide(
            item,
            custom,
            known.get(item.name),
            rows,
            taken=_codes(known, without=item.name),
            can_rename=can_rename(holder, custom),
        )
        found.append(Decided(item, custom, links.get(item.name), decision))
    return found


def can_rename(holder: Resource, custom: CustomFields) -> bool:
    """Whether the name of a definition can be changed; never where the name is its code."""
    update = holder.operations.get("update")
    return (
        update is not None
        and custom.name != custom.code
        and custom.name not in update.omit
    )


def _rows(
    run: Run, holder: Resource, custom: CustomFields, codes: Sequence[str]
) -> list[dict[str, Any]]:
    """The account's definitions; one that the list lacks is read by itself, for lists lag
    behind.
    """
    rows = run.listed(custom.resource)
    listed = {str(row.get(custom.code)) for row in rows} | {
        holder.id_of(row) for row in rows
    }
    for code in codes:
        if code not in listed and (row := _read(run, holder, code)):
            rows.append(row)
    return rows


def _read(run: Run, holder: Resource, code: str) -> dict[str, Any] | None:
    """A definition read by itself; None where it is gone, or cannot be read so."""
    if "read" not in holder.operations:
        return None
    try:
        row = run.destination.read(holder.name, code)
    except RequestRejected:
        return None
    return (
        None
        if row is None or (holder.deleted and is_yes(row.get(holder.deleted)))
        else row
    )


def _by_code(
    known: Remembered | None,
    custom: CustomFields,
    holder: Resource,
    rows: Sequence[Row],
) -> Remembered | None:
    """What we know, under the field's code; a run cut off after making it left the row's id."""
    if known is None or by_code(known.code, custom, rows) is not None:
        return known
    row = next((row for row in rows if holder.id_of(row) == known.code), None)
    return (
        known
        if row is None
        else structs.replace(known, code=str(row.get(custom.code)))
    )


def _codes(
    known: Mapping[str, Remembered | None], without: str
) -> frozenset[str]:
    return frozenset(
        one.code
        for name, one in known.items()
        if one is not None and name != without
    )


def _each(found: Survey) -> Iterator[Decided]:
    for decided in found.values():
        yield from decided


def _refuse_types(found: Survey) -> None:
    """A field keeps its type; refuse before anything is written."""
    for one in _each(found):
        if isinstance(one.decision, Retyped):
            raise UnsafePlan(
                f"{one.shown}: the account's field {_name(one)!r} is of type"
                f" {one.decision.was}, the spec says {one.item.type}, and a field"
                " cannot change its type – put the type back; or give the field"
                " another name in the spec (the key, not `name`), so that a new one is"
                " made; or delete it in the account and run with --remake-fields"
            )


def _refuse_without_keys(found: Survey) -> None:
    """Without its key a row cannot be found after a cut connection, and would be made twice."""
    for one in _each(found):
        if isinstance(one.decision, Deleted) and one.item.key:
            raise UnsafePlan(
                f"{one.shown}: people have deleted this field, which carries the keys"
                " that tell our rows apart – run with --remake-fields, so that it is"
                " made anew and filled"
            )


def _forget_deleted(run: Run, found: Survey) -> None:
    for one in _each(found):
        if isinstance(one.decision, Deleted):
            with run.store.begin() as connection:
                drop_link(connection, DEFINITIONS, one.item.definition)
                refill(connection, one.item.resource, one.item.name)


def refill(connection: Any, resource: str, name: str) -> int:
    """Forget the values that were written into a custom field; of how many rows.

    Nothing else that was written is forgotten: the next plan sees an update of exactly this field.
    """
    return forget_written(connection, resource, f"custom.{name}")


def _name(one: Decided) -> str:
    """What the account calls a field."""
    decision = one.decision
    return (
        ""
        if isinstance(decision, Make | Deleted)
        else str(decision.row.get(one.custom.name) or "")
    )


def _news(one: Decided) -> str:
    """What people should read about a custom field now, or ""."""
    match one.decision:
        case Deleted():
            return f"{one.shown}: {_deleted(one)}"
        case Renamed(now=now, by_spec=True):
            names = f"the account calls it {now!r}, the spec {one.item.label!r}"
            return f"{one.shown}: {names}; rename it there or keep"
        case Renamed(now=now, news=True):
            return f"{one.shown}: {_other_name(now, one.item.label)}"
        case Rename(now=now):
            names = (
                f"the account's field {now!r} is renamed to {one.item.label!r}"
            )
            return f"{one.shown}: {names}, as the spec calls it now"
    return ""


def _deleted(one: Decided) -> str:
    twin = isinstance(one.decision, Deleted) and one.decision.twin is not None
    way = "to use the one that was made since" if twin else "to make it anew"
    label = one.item.label
    what = f"people deleted this field ({label!r}) in the account; its values are left out"
    return f"{what} – run with --remake-fields {way} and fill it"


def _other_name(now: str, label: str) -> str:
    return (
        f"the account calls it {now!r}, the spec {label!r}; it is used as it is"
    )


# -- making what is missing


def provision(run: Run) -> Provisioned:
    """Find or make every custom field and option of the spec; raises UnsafePlan if one is refused.

    No record is written before every field is there: without its key it could not be told apart.
    """
    tally = _Tally()
    found = survey(run)
    for name, decided in found.items():
        run.progress(f"custom fields of {name}", 0, len(decided))
        _fields(run, run.resource(name), decided, tally)
        run.progress(f"custom fields of {name}", len(decided), len(decided))
    for native in run.spec.native_options:
        _native(run, native, tally)
    refused = tally.refused_fields
    if refused:
        more = (
            f" (and {len(refused) - 1} more like it)"
            if len(refused) > 1
            else ""
        )
        raise UnsafePlan(
            f"{refused[0]}{more} – records would arrive without these fields; "
            "make room or drop them from the spec"
        )
    return Provisioned(
        tally.found, tally.made, tally.options, tuple(tally.refused_options)
    )


def _fields(
    run: Run, resource: Resource, decided: Sequence[Decided], tally: _Tally
) -> None:
    """The custom fields of one resource: first those that are missing, then what each lacks."""
    missing = [one.item for one in decided if isinstance(one.decision, Make)]
    taken = frozenset(
        str(one.decision.row.get(one.custom.code))
        for one in decided
        if not isinstance(one.decision, Make | Deleted)
    )
    made = _make(run, resource, missing, taken, tally) if missing else {}
    for one in decided:
        match one.decision:
            case Make():
                _adopt(run, one, made.get(one.item.name), tally, {})
                tally.made += one.item.name in made
            case Rename():
                _adopt(run, one, _rename(run, one, one.decision.row), tally)
                tally.found += 1
            case Found(row) | Renamed(row):
                _adopt(run, one, row, tally)
                tally.found += 1


def _make(
    run: Run,
    resource: Resource,
    wanted: list[CustomField],
    taken: frozenset[str],
    tally: _Tally,
) -> dict[str, dict[str, Any]]:
    """Create definitions; those that are there afterwards, by their name in the spec."""
    custom = resource.custom
    assert custom is not None
    names = {item.definition: item.name for item in wanted}
    made, shown = set(), []
    for outcome in deliver(
        run, [_definition(run, resource, item) for item in wanted]
    ):
        if outcome.state == "done":
            made.add(names[outcome.write.key])
            shown.append(dict(outcome.answer.row))
        else:
            name = outcome.write.body[custom.name]
            refused = f"field {name!r} of {resource.name}: {outcome.reason}"
            tally.refused_fields.append(refused)

    def there(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
        free = [row for row in rows if str(row.get(custom.code)) not in taken]
        found = {item.name: by_name(item, custom, free) for item in wanted}
        return {
            name: dict(row) for name, row in found.items() if row is not None
        }

    found = there([*run.listed(custom.resource), *shown])
    if made - found.keys():  # the answers did not show them
        found = there(list(run.destination.rows(custom.resource)))
    return found


def _definition(run: Run, resource: Resource, item: CustomField) -> Write:
    custom = resource.custom
    assert custom is not None
    body: dict[str, Any] = {
        custom.name: item.label,
        custom.type: custom.types[item.type],
    }
    if item.type in CHOICES:
        labels = wanted_options(run, item.options, item.options_from)
        body[custom.options] = [
            {custom.option_label: label} for label in labels or ["-"]
        ]
    return Write(
        DEFINITIONS, item.definition, custom.resource, "create", body, body
    )


def _rename(run: Run, one: Decided, row: Row) -> Row:
    """Give a field that we made the name the spec has for it now; its row as it is then."""
    for outcome in deliver(run, [_renaming(run, one, row)]):
        if outcome.state != "done":
            return _not_renamed(run, one, row, outcome.reason)
    return {**row, one.custom.name: one.item.label}


def _renaming(run: Run, one: Decided, row: Row) -> Write:
    """The call that renames a definition, with what its path and its lock need."""
    link, name = one.link, one.custom.name
    assert link is not None
    holder = run.resource(one.custom.resource)
    path = holder.operations["update"].path
    needed = {key: value for key, value in row.items() if f"{{{key}}}" in path}
    sent = {name: one.item.label}
    return Write(
        object=link.object,
        key=link.key,
        resource=holder.name,
        action="update",
        body={**needed, **version(holder, row), **sent},
        draft=sent,
        dest_id=holder.id_of(row),
        before={name: row.get(name)},
        origin=link.origin,
        extra=link.extra,
    )


def _not_renamed(run: Run, one: Decided, row: Row, reason: str) -> Row:
    """The account refuses the new name: the field is used under its old one."""
    run.notice(
        f"{one.shown}: it could not be renamed to {one.item.label!r} ({reason}); "
        "rename it there or keep"
    )
    with run.store.begin() as connection:
        clear_findings(connection, "write", DEFINITIONS, [one.item.definition])
    return row


def _miss(run: Run, one: Decided) -> None:
    """Note that people have deleted a field: nothing is written into it any more."""
    assert one.link is not None
    with run.store.begin() as connection:
        save_link(
            connection,
            structs.replace(one.link, extra=one.link.extra | {DELETED: True}),
        )
        save_findings(
            connection,
            [
                _finding(
                    one.link.object, one.link.key, "attention", _deleted(one)
                )
            ],
        )


def _finding(name: str, key: str, severity: str, text: str) -> Finding:
    return Finding(name, key, STAGE, "", severity, text)


# -- what the store keeps, and options


class _Place(msgspec.Struct, frozen=True):
    """Where a definition is kept in the store, and what the spec wants of it."""

    key: str
    shown: str  # the field as messages name it
    custom: CustomFields
    label: str
    type: str
    options: tuple[str, ...]
    options_were: tuple[tuple[str, str], ...]


def _adopt(
    run: Run,
    one: Decided,
    row: Row | None,
    tally: _Tally,
    before: Row | None = None,
) -> None:
    """Remember a definition that exists, and add the options it lacks; `before` is what it was
    before this run made its options.
    """
    if row is None:
        return
    place, made = _place_of(run, one), None
    if before is not None:
        made = made_for(place.options, one.custom, before, row)
    _complete(run, place, row, tally, made)


def _place_of(run: Run, one: Decided) -> _Place:
    item = one.item
    choice = item.type in CHOICES
    labels = (
        wanted_options(run, item.options, item.options_from) if choice else []
    )
    return _Place(
        item.definition,
        one.shown,
        one.custom,
        item.label,
        item.type,
        tuple(labels),
        item.options_were,
    )


def _native(run: Run, item: NativeOptions, tally: _Tally) -> None:
    """A built-in field's options: found, or added where the platform allows it."""
    row = _native_row(run, item)
    if row is not None:
        _complete(run, _place_of_native(run, item), row, tally)


def _native_row(run: Run, item: NativeOptions) -> Row | None:
    """The definition of a built-in field; None, which is reported, where the account has none."""
    resource = run.resource(item.resource)
    holder, _, code = resource.fields[item.field].options.partition("/")
    custom = resource.custom
    row = by_code(code, custom, run.listed(holder)) if custom else None
    if row is None and custom is not None:
        run.notice(
            f"{item.resource}.{item.field}: the account has no built-in field {code!r};"
            " its values stay behind"
        )
    return row


def _place_of_native(run: Run, item: NativeOptions) -> _Place:
    custom = run.resource(item.resource).custom
    assert custom is not None
    labels = tuple(wanted_options(run, item.options, item.options_from))
    key = item.definition
    return _Place(key, key, custom, "", "", labels, item.options_were)


def _complete(
    run: Run,
    place: _Place,
    row: Row,
    tally: _Tally,
    made: Mapping[str, Any] | None = None,
) -> None:
    """Remember a definition, say once what it is called otherwise, and add the options it lacks."""
    options = _remember(run, place, row, made)
    for label, called in options.news:
        run.notice(f"{place.shown}: {_other_option(label, called)}")
    if options.missing:
        tally.options += _add_options(run, place, row, options, tally)


def _other_option(label: str, now: str) -> str:
    return (
        f"the account calls the option {label!r} {now!r}; it is used as it is"
    )


def _remember(
    run: Run, place: _Place, row: Row, made: Mapping[str, Any] | None = None
) -> Options:
    """Keep what a definition is now; what each of its options means."""
    with run.store.begin() as connection:
        before = link_of(connection, DEFINITIONS, place.key)
        options = match_options(
            place.options,
            place.options_were,
            place.custom,
            remembered(before),
            row,
            made,
        )
        link = Link(
            object=DEFINITIONS,
            key=place.key,
            resource=place.custom.resource,
            dest_id=str(row[place.custom.code]),
            digest="",
            written=before.written if before else {},
            origin=before.origin if before else "matched",
            run=before.run if before else run.id,
            at=run.clock.now(),
            extra=memory(place.label, place.type, place.custom, row, options),
        )
        save_link(connection, link)
    return options


def _add_options(
    run: Run, place: _Place, row: Row, options: Options, tally: _Tally
) -> int:
    """Add the options a definition lacks; afterwards its ids are read, whatever the answer was."""
    custom, wanted = place.custom, options.missing
    code = str(row[custom.code])
    body = [{custom.option_label: label} for label in wanted]
    write = Write(
        DEFINITIONS, place.key, custom.resource, "add_options", body, {}, code
    )
    refused = [
        outcome.reason
        for outcome in deliver(run, [write])
        if outcome.state != "done"
    ]

    now = by_code(code, custom, list(run.destination.rows(custom.resource)))
    made = {} if refused else made_for(wanted, custom, row, now or row)
    options = _remember(run, place, now or row, made)
    if refused:
        labels = ", ".join(options.missing)
        tally.refused_options.append(
            f"options {labels} of {place.shown}: {refused[0]}"
        )
        run.notice(
            f"{place.shown}: options were refused ({refused[0]}); "
            "their values stay behind and are listed"
        )
    return len(wanted) - len(options.missing)
