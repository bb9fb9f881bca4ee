"""Puts the stand-in together: `create(options)` is what `sandbox.platforms` calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from sandbox.options import Options
from sandbox.pipedrive import (
    absent,
    access,
    activities,
    activity_types,
    bare,
    currencies,
    deals,
    fields,
    files,
    filters,
    flow,
    followers,
    histories,
    leads,
    lines,
    merging,
    notes,
    organizations,
    participants,
    persons,
    pipelines,
    products,
    recents,
    search,
    statistics,
    tools,
    users,
    v1_deals,
    v1_fields,
)
from sandbox.pipedrive.account import PipedriveAccount
from sandbox.pipedrive.desk import Desk
from sandbox.pipedrive.gateway import Gateway

OPERATIONS = [
    operation
    for module in (
        bare,  # before the records too: /deals/installments
        search,  # before the records: /deals/search also fits other patterns
        lines,
        organizations,
        persons,
        deals,
        products,
        activities,
        pipelines,
        fields,
        v1_fields,
        merging,
        participants,
        followers,
        filters,
        leads,
        notes,
        files,
        recents,
        users,
        activity_types,
        currencies,
        access,
        flow,
        histories,
        statistics,
        v1_deals,
        tools,
        absent,
    )
    for operation in module.OPERATIONS
]


def create(options: Options) -> Starlette:
    """One Pipedrive account as an application; ValueError for an unknown plan or switch."""
    desk = Desk(options)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        desk.close()

    gateway = Gateway(desk, OPERATIONS)
    # One route and not one per path: keys are checked before paths are looked at, so that an
    # unknown path without a key is a 401.
    app = Starlette(routes=[Route("/{path:path}", gateway)], lifespan=lifespan)
    app.state.account = PipedriveAccount(desk)
    app.state.refusal = gateway.refusal
    return app
