"""Airbyte's source-pipedrive, run by Airbyte's own CDK: check, discover, then read every stream by itself. Usage: PROGRAM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def say(**told: Any) -> None:
    print(json.dumps(told, ensure_ascii=False), flush=True)


def run(*words: str) -> list[dict[str, Any]]:
    trusting = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "certified")}
    command = [sys.argv[1], *words, "--config", "config.json"]
    done = subprocess.run(command, env=trusting, capture_output=True, text=True, check=False, timeout=120)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [*messages, {"type": "EXIT", "code": done.returncode, "said": done.stderr[-500:]}]


def main() -> None:
    Path("config.json").write_text(
        json.dumps({"api_token": os.environ["PIPEDRIVE_API_TOKEN"], "replication_start_date": "2020-01-01T00:00:00Z", "num_workers": 2})
    )
    checked = [one["connectionStatus"] for one in run("check") if one["type"] == "CONNECTION_STATUS"]
    say(call="check", outcome="answered" if checked and checked[0]["status"] == "SUCCEEDED" else str(checked))
    [catalog] = [one["catalog"] for one in run("discover") if one["type"] == "CATALOG"]
    streams = [
        {"stream": one, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"} for one in catalog["streams"]
    ]
    Path("catalog.json").write_text(json.dumps({"streams": streams}))
    messages = run("read", "--catalog", "catalog.json")
    ended = {
        one["trace"]["stream_status"]["stream_descriptor"]["name"]: one["trace"]["stream_status"]["status"]
        for one in messages
        if one["type"] == "TRACE" and one["trace"]["type"] == "STREAM_STATUS"
    }
    for stream in sorted(one["stream"]["name"] for one in streams):
        if ended.get(stream) == "COMPLETE":
            say(rows=stream, got=[one["record"]["data"] for one in messages if one["type"] == "RECORD" and one["record"]["stream"] == stream])
        else:
            errors = [one["trace"]["error"] for one in messages if one["type"] == "TRACE" and one["trace"]["type"] == "ERROR"]
            mine = [one["message"] for one in errors if one.get("stream_descriptor", {}).get("name") == stream]
            say(call=stream, outcome=f"{ended.get(stream)}: {mine[:1]}"[:300])


if __name__ == "__main__":
    main()
