"""Singer's tap-pipedrive: discovery, then a sync of every stream, each in a run of its own. Usage: PROGRAM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def say(**told: Any) -> None:
    print(json.dumps(told, ensure_ascii=False), flush=True)


def run(*words: str) -> tuple[str, str]:
    """What it wrote, and the last line it said where it failed."""
    done = subprocess.run([sys.argv[1], "--config", "config.json", *words], capture_output=True, text=True, check=False)
    return done.stdout, "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def selected(catalog: dict[str, Any], name: str) -> dict[str, Any]:
    for stream in catalog["streams"]:
        [root] = [one for one in stream["metadata"] if one["breadcrumb"] == []]
        root["metadata"]["selected"] = stream["tap_stream_id"] == name
    return catalog


def main() -> None:
    Path("config.json").write_text(json.dumps({"api_token": os.environ["PIPEDRIVE_API_TOKEN"], "start_date": "2020-01-01T00:00:00Z"}))
    said, problem = run("--discover")
    say(call="discover", outcome=problem or "answered")
    catalog = json.loads(said)
    properties = {one["tap_stream_id"]: sorted(one["schema"]["properties"]) for one in catalog["streams"]}
    say(discovered=properties)
    for name in properties:
        Path("catalog.json").write_text(json.dumps(selected(catalog, name)))
        said, problem = run("--catalog", "catalog.json")
        if problem:
            say(call=name, outcome=problem)
            continue
        messages = [json.loads(line) for line in said.splitlines()]
        say(rows=name, got=[one["record"] for one in messages if one["type"] == "RECORD"])


if __name__ == "__main__":
    main()
