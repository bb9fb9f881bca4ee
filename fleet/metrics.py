"""What Prometheus asks a worker: every migration's state, speed and attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from engine.errors import UsageError
from fleet.ending import State
from fleet.status import looked
from fleet.waits import DEAD

Row = Mapping[str, Any]
FIGURES = {
    "rate": "rows a second in the stage that goes on",
    "done": "rows done in the stage that goes on",
    "total": "rows that the stage has in all",
    "arrived": "records that have arrived, by the last sample, run or verification",
    "attention": "findings that need attention, by the last sample, run, verification or delta",
    "changed": "records that the last delta since then has changed",
    "next": "when the next turn begins, in epoch seconds",
}


class Migrations(Collector):
    """The figures of `etl fleet status`, asked when Prometheus asks."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Whether the database answers; if so, the workers and the figures of each migration."""
        try:
            found = looked(self._engine)
        except sa.exc.SQLAlchemyError:
            found = None
        yield GaugeMetricFamily(
            "etl_fleet_up",
            "whether the fleet's database answers",
            value=float(found is not None),
        )
        if found is not None:
            yield _workers(found["workers"])
            yield _states(found["migrations"])
            yield from _figures(found["migrations"])
            yield _spent(found["migrations"])

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is asked of the database before Prometheus asks."""
        return []


def _workers(versions: Mapping[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(
        "etl_fleet_workers",
        f"workers that were seen within {DEAD:.0f} seconds",
        labels=("version",),
    )
    for version, many in versions.items():
        gauge.add_metric((version,), float(many))
    return gauge


def _states(rows: Sequence[Row]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(
        "etl_migration_state",
        "1 for the state that it is in",
        labels=("name", "state"),
    )
    for row in rows:
        for each in get_args(State):
            gauge.add_metric((row["name"], each), float(row["state"] == each))
    return gauge


def _figures(rows: Sequence[Row]) -> Iterator[GaugeMetricFamily]:
    for figure, meaning in FIGURES.items():
        gauge = GaugeMetricFamily(
            f"etl_migration_{figure}", meaning, labels=("name",)
        )
        for row in rows:
            if row[figure] is not None:
                gauge.add_metric((row["name"],), float(row[figure]))
        yield gauge


def _spent(rows: Sequence[Row]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(
        "etl_migration_spent",
        "what is spent of a limit of a day or longer",
        labels=("name", "account", "limit"),
    )
    for row in rows:
        for use in row["today"]:
            labels = (row["name"], use["account"], use["limit"])
            gauge.add_metric(labels, float(use["spent"]))
    return gauge


def serve(engine: sa.Engine, port: int, address: str) -> None:
    """Answer `/metrics` from a thread of its own; raises UsageError where that cannot be."""
    registry = CollectorRegistry()
    registry.register(Migrations(engine))
    try:
        start_http_server(port, addr=address, registry=registry)
    except OSError as error:
        raise UsageError(
            f"--metrics {port} cannot be answered at {address}: {error.strerror}"
        ) from None
