"""Many migrations on many machines: a queue in PostgreSQL, and workers that take turns from it.

The queue is Procrastinate's (docs/decisions/0036-a-fleet.md); this package says what is queued and
what the end of a turn means. The door is `fleet.cli`.
"""

from importlib.util import find_spec

from engine.errors import UsageError

NEEDED = ("procrastinate", "psycopg", "prometheus_client")

if not all(map(find_spec, NEEDED)):
    raise UsageError(
        "a fleet needs more packages – pip install 'declared-etl[fleet]'"
    )
