"""dlt's verified source, v1 and v2: extracts every resource by itself, then loads what can be had into a DuckDB. Usage: FOLDER_OF_SOURCES."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

sys.path.insert(0, sys.argv[1])
os.environ.update(DLT_TELEMETRY="false", RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="CRITICAL", RUNTIME__REQUEST_MAX_ATTEMPTS="2")

import dlt
from pipedrive import pipedrive_source, pipedrive_v2_source

KEY = os.environ["PIPEDRIVE_API_TOKEN"]


def say(**told: Any) -> None:
    print(json.dumps(told, default=str, ensure_ascii=False), flush=True)


def sources() -> dict[str, Any]:
    everything = ["activities", "deals", "persons", "organizations", "products", "pipelines", "stages"]
    return {
        "v1": lambda: pipedrive_source(pipedrive_api_key=KEY),
        "v2": lambda: pipedrive_v2_source(pipedrive_api_key=KEY, company_domain="instalaciones", resources=everything),
    }


def main() -> None:
    loadable: dict[str, list[str]] = {"v1": [], "v2": []}
    for version, make in sources().items():
        for name in make().resources:
            try:
                got = list(make().with_resources(name))
            except Exception as problem:
                said = str(problem.__cause__ or problem).splitlines()[-1]
                say(call=f"{version} {name}", outcome=f"{type(problem).__name__}: {said}"[:300])
                continue
            loadable[version].append(name)
            say(rows=f"{version} {name}", got=got)
    for version, make in sources().items():
        pipeline = dlt.pipeline(f"etl_{version}", pipelines_dir="pipelines", destination=dlt.destinations.duckdb(f"{version}.db"))
        pipeline.run(make().with_resources(*loadable[version]))
        counted = pipeline.last_trace.last_normalize_info.row_counts
        say(loaded=version, got={name: n for name, n in counted.items() if "__" not in name and not name.startswith("_")})


if __name__ == "__main__":
    main()
