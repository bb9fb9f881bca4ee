"""What Prometheus asks a worker: every migration's state, speed and attention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from engine.errors import UsageError
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
        spent = GaugeMetricFamily(
            "etl_migration_spent",
            "what is spent of a limit of a day or longer",
            labels=("name", "account", "limit"),
        )
        for row in rows:
            for use in row["today"]:
                labels = (row["name"], use["account"], use["limit"])
                spent.add_metric(labels, float(use["spent"]))
        yield spent

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is asked of the database before Prometheus asks."""
        return []


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
