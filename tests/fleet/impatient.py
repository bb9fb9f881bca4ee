"""`python -m tests.fleet.impatient worker --secrets DIR --work DIR`: a worker that takes others for dead after three seconds."""

from __future__ import annotations

from fleet import waits

if __name__ == "__main__":
    waits.DEAD, waits.HEARTBEAT = 3.0, 0.5  # before anything has read them
    from fleet.cli import fleet_group

    fleet_group()
