"""What Prometheus asks a worker: every migration's state, speed and attention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from fleet.ending import State
from fleet.status import collected

FIGURES = {
    "rate": "rows a second in the stage that goes on",
    "done": "rows done in the stage that goes on",
    "total": "rows that the stage has in all",
    "arrived": "records that have arrived, by the last turn that ended",
    "attention": "findings that need attention, by the last turn that ended",
    "at": "when the next turn begins, in epoch seconds",
}


class Migrations(Collector):
    """The figures of `etl fleet status`, asked when Prometheus asks."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge for each figure, and one with the states."""
        rows = collected(self._engine)
        state = GaugeMetricFamily(
            "etl_migration_state",
            "1 for the state that it is in",
            labels=("name", "state"),
        )
        for row in rows:
            for each in get_args(State):
                state.add_metric(
                    (row["name"], each), float(row["state"] == each)
                )
        yield state
        for figure, meaning in FIGURES.items():
            gauge = GaugeMetricFamily(
                f"etl_migration_{figure}", meaning, labels=("name",)
            )
            for row in rows:
                if row[figure] is not None:
                    gauge.add_metric((row["name"],), float(row[figure]))
            yield gauge

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is asked of the database before Prometheus asks."""
        return []


def serve(engine: sa.Engine, port: int) -> None:
    """Answer `/metrics` on this machine from a thread of its own."""
    registry = CollectorRegistry()
    registry.register(Migrations(engine))
    start_http_server(port, addr="127.0.0.1", registry=registry)
