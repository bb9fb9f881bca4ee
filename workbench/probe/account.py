"""What the file says about the account as a whole: the check call, the key, limits, custom fields,
people, pipelines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs

from engine.config.document import Keys
from engine.connector.auth import Account, parts, variables
from engine.connector.client import Client
from engine.connector.model import Connector, CustomFields, Limit, Resource
from engine.errors import (
    ApiError,
    AuthError,
    ClientBlocked,
    RequestRejected,
    Unavailable,
)
from engine.values import dig, segments
from workbench.probe.found import (
    Finding,
    Tell,
    confirmed,
    contradicted,
    noted,
    untried,
)
from workbench.probe.scene import Probe, Row

WRONG = "etl-check-wrong-key"


def try_connection(probe: Probe, wrong_key: bool, tell: Tell) -> None:
    """The check call; raises AuthError, Blocked or Unavailable, for then nothing else can be
    tried.
    """
    connection = probe.client.connector.connection
    at: Keys = ("connection", "check")
    try:
        probe.client.check()
        tell(
            confirmed(
                "connection",
                "check",
                f"{connection.check.method} {connection.check.path} answers {probe.tape.status}",
            )
        )
    except (AuthError, ClientBlocked, Unavailable):
        raise
    except RequestRejected as error:
        tell(
            contradicted(
                "connection",
                "check",
                f"refused: {error}",
                at,
                "name a call that any key may make",
                probe.tape.exchange(connection.check),
            )
        )
    except ApiError as error:
        where = ("connection", "base_url", "production")
        tell(
            contradicted(
                "connection",
                "base_url",
                str(error),
                where,
                "correct the address",
                probe.tape.exchange(connection.check),
            )
        )
    tell(
        _wrong_key(probe)
        if wrong_key
        else untried(
            "connection",
            "auth",
            "a wrong key is sent with --wrong-key only: some lock an account for it",
        )
    )


def _wrong_key(probe: Probe) -> Finding:
    """One call with an invalid key must be refused, and understood as a refusal."""
    connector, account = probe.client.connector, probe.client.account
    names = list(variables(connector.connection.auth, secret=True))
    if not names:
        return untried("connection", "auth", "there is no key")
    if any(
        part["kind"] == "refresh_token"
        for part in parts(connector.connection.auth)
    ):
        return untried(
            "connection",
            "auth",
            "a refresh token that is exchanged is not put at risk",
        )
    wrong = Account(
        account.base_url,
        WRONG,
        account.name,
        {**account.secrets, **dict.fromkeys(names, WRONG)},
    )
    client = Client(
        structs.replace(connector, tries=0),
        wrong,
        probe.client.limiter,
        probe.client.clock,
    )
    probe.tape.listen(client)
    check = connector.connection.check
    try:
        client.check()
    except AuthError:
        return confirmed(
            "connection",
            "auth",
            f"a wrong key is answered {probe.tape.status} and refused",
        )
    except ClientBlocked:
        return untried(
            "connection", "auth", "a wrong key shuts this client out"
        )
    except ApiError as error:
        text = (
            f"a wrong key is answered {probe.tape.status}, and not read as refuse:"
            f" {type(error).__name__}"
        )
        advice = f"add {{when: {{status: {probe.tape.status}}}, then: refuse}}"
        return contradicted(
            "connection",
            "errors",
            text,
            ("errors",),
            advice,
            probe.tape.exchange(check),
        )
    finally:
        client.close()
    return contradicted(
        "connection",
        "check",
        "it answers a wrong key too, so it proves nothing",
        ("connection", "check"),
        "name a call that takes a good key",
        probe.tape.exchange(check),
    )


# -- limits


def try_limits(probe: Probe, tell: Tell) -> None:
    """Declared headers against those of the answers, and amounts against what headers say."""
    connector, seen = probe.client.connector, probe.tape.headers
    for limit in connector.limits:
        subject = f"limit {limit.name}"
        used = limit.general or any(
            limit.name in item.limits
            for resource in connector.resources.values()
            for item in resource.operations.values()
        )
        if limit.methods:
            used = not probe.tape.methods.isdisjoint(limit.methods)
        if limit.headers and not used:
            tell(
                untried(
                    subject,
                    "headers",
                    "no call counts against it, or none was made",
                )
            )
            continue
        for word, name in limit.headers.items():
            tell(_header(subject, limit, word, name, name.lower() in seen))
        stated = seen.get(limit.headers.get("limit", "").lower(), "")
        if stated.replace(".", "", 1).isdecimal():
            tell(_amount(probe, limit, float(stated)))
    _retry(probe, tell)


def _header(
    subject: str, limit: Limit, word: str, name: str, there: bool
) -> Finding:
    if there:
        return confirmed(subject, "headers", f"{word}: {name}")
    if word == "reset":
        return noted(
            subject,
            "headers",
            f"no answer had {name}; some send it with a refusal only",
        )
    at: Keys = ("limits", limit.name, "headers", word)
    return contradicted(
        subject,
        "headers",
        f"no answer had the header {name}",
        at,
        "name the header that answers have, or drop it",
    )


def _amount(probe: Probe, limit: Limit, stated: float) -> Finding:
    """What the header says is allowed, against the plans."""
    subject, plan, seats = (
        f"limit {limit.name}",
        probe.client.limiter.plan,
        probe.client.limiter.seats,
    )
    if stated == limit.allowance(plan, seats):
        return confirmed(subject, "amount", f"{stated:g}, as for {plan}")
    fitting = [
        name
        for name, amount in limit.amount.items()
        if amount
        and stated % amount == 0
        and (limit.per_seat or stated == amount)
    ]
    if fitting:
        return noted(
            subject,
            "amount",
            f"the header says {stated:g}: that is {' or '.join(fitting)}, not {plan} with"
            f" {seats} seats",
        )
    said = ", ".join(
        f"{name} {amount:g}" for name, amount in limit.amount.items()
    )
    text = f"the header says {stated:g}, and the file {said}"
    return contradicted(
        subject,
        "amount",
        text,
        ("limits", limit.name, "amount"),
        "correct the amounts; the header is believed",
    )


def _retry(probe: Probe, tell: Tell) -> None:
    if not probe.tape.limited:
        tell(
            untried("limits", "Retry-After", "no call was refused for its rate")
        )
    elif probe.tape.retry_stated:
        tell(confirmed("limits", "Retry-After", "comes with a refusal"))
    else:
        tell(
            noted(
                "limits",
                "Retry-After",
                f"{probe.tape.limited} refusals came without it; the reset header or `after` holds",
            )
        )


# -- the blocks below the resources


def try_blocks(probe: Probe, names: Sequence[str], tell: Tell) -> None:
    """Custom fields, people and pipelines: the keys that the file names stand in the rows."""
    connector = probe.client.connector
    for finding in (
        *_custom(probe, connector, names),
        *_people(probe, connector, names),
        *_pipelines(probe, connector, names),
    ):
        tell(finding)


def _custom(
    probe: Probe, connector: Connector, names: Sequence[str]
) -> Iterator[Finding]:
    customs = [
        resource
        for name, resource in connector.resources.items()
        if name in names and resource.custom
    ]
    for resource in customs:
        assert resource.custom is not None
        rows = probe.sample(resource.custom.resource).rows
        subject = f"custom fields of {resource.name}"
        if rows:
            needed = {
                word: getattr(resource.custom, word)
                for word in ("code", "name", "type")
            }
            yield from _keys(subject, "custom_fields", needed, rows)
            maybe = {
                word: getattr(resource.custom, word)
                for word in ("options", "own", "demanded")
            }
            yield from _keys(subject, "custom_fields", maybe, rows, sure=False)
        else:
            yield untried(
                subject, "definitions", f"no rows of {resource.custom.resource}"
            )
        yield from _container(probe, resource, resource.custom, rows)


def _container(
    probe: Probe,
    resource: Resource,
    custom: CustomFields,
    definitions: Sequence[Row],
) -> Iterator[Finding]:
    rows, subject = (
        probe.sample(resource.name).rows,
        f"custom fields of {resource.name}",
    )
    if not custom.container or not rows:
        return
    held = [
        row[custom.container]
        for row in rows
        if isinstance(row.get(custom.container), dict)
    ]
    if not held:
        text, at = (
            f"no row has an object at {custom.container}",
            (
                "custom_fields",
                "container",
            ),
        )
        yield contradicted(
            subject,
            "container",
            text,
            at,
            "name the key that holds the values, or drop it where they stand in the row",
        )
        return
    codes, used = (
        {str(row.get(custom.code)) for row in definitions},
        {code for item in held for code in item},
    )
    if used and codes and not used & codes:
        text, at = (
            (
                f"none of {len(used)} codes in {custom.container} is a {custom.code} of"
                " a definition"
            ),
            ("custom_fields", "code"),
        )
        yield contradicted(
            subject,
            "code",
            text,
            at,
            "name the key of a definition that stands in the rows",
        )
    else:
        yield confirmed(
            subject, "container", f"{custom.container} holds {len(used)} values"
        )


def _people(
    probe: Probe, connector: Connector, names: Sequence[str]
) -> Iterator[Finding]:
    users = connector.users
    rows = (
        probe.sample(users.resource).rows
        if users and users.resource in names
        else []
    )
    if users and rows:
        yield from _keys(
            "users",
            "users",
            {"email": users.email, "active": users.active},
            rows,
        )
        for name in users.name:
            yield from _keys("users", "users", {"name": name}, rows)


def _pipelines(
    probe: Probe, connector: Connector, names: Sequence[str]
) -> Iterator[Finding]:
    lines = connector.pipelines
    if lines is None:
        return
    parts = (
        (lines.resource, {"name": lines.name}),
        (
            lines.stages,
            {"stage_name": lines.stage_name, "parent": lines.parent},
        ),
    )
    for resource, needed in parts:
        rows = probe.sample(resource).rows if resource in names else []
        if rows:
            yield from _keys("pipelines", "pipelines", needed, rows)


def _keys(
    subject: str,
    block: str,
    needed: dict[str, str],
    rows: Sequence[Row],
    sure: bool = True,
) -> Iterator[Finding]:
    """Whether any row has each key; one that only some rows ever have is a note."""
    for said, name in needed.items():
        if not name:
            continue
        if any(dig(row, segments(name)) is not None for row in rows):
            yield confirmed(subject, said, name)
        elif sure:
            likely = ", ".join(sorted(rows[0])[:8])
            yield contradicted(
                subject,
                said,
                f"no row has {name}",
                (block, said),
                f"rows have {likely}",
            )
        else:
            yield noted(subject, said, f"none of {len(rows)} rows has {name}")
