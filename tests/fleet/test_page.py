"""docs/fleet.md does what it says: an operator with nothing but the page starts three migrations on two workers."""

from __future__ import annotations

import asyncio
import configparser
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click
import pytest
import yaml
from dotenv import dotenv_values

from engine.connector.auth import redactor
from fleet.cli import fleet_group
from fleet.ending import AFTER_REFUSAL
from fleet.secrets import Secrets, hidden, variables
from fleet.wording import STEPS
from tests import loopback
from tests.e2e.driving import (
    AS_INSTALLED,
    BIN,
    SPEC,
    checkout,
    environment,
    pair,
)
from tests.fleet.driving import KEYS, RESTING, fleet, turn

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```shell\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
INSTALL, INIT, ADD, TRY, WORKER, WORK, LATER = BLOCKS
UNITS = re.findall(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SECRETS = {"acme": "acme", "bolt": "bolt", "crane": "crane_2026"}


@pytest.mark.fleet
@pytest.mark.long
@pytest.mark.installed
def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    """In their order, in one folder; after each start the migrations are waited for, as the operator would."""
    with ExitStack() as stack:
        made = stack.enter_context(fleet(tmp_path))
        for reference in SECRETS.values():
            there = stack.enter_context(pair(source=KEYS, destination=KEYS, size=8))
            made.secret(reference, there)
        env = environment({"ETL_FLEET_DB": made.url, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **AS_INSTALLED})

        def typed(line: str) -> None:
            done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}\n{made.log()}"

        assert INIT.splitlines()[0].startswith("export ETL_FLEET_DB=")
        for line in [*INIT.splitlines()[1:], *ADD.splitlines()]:
            typed(line)
        words = WORKER.split()[3:]
        assert WORKER.startswith("etl fleet worker ") and words[:2] == ["--secrets", "secrets"]
        for _ in range(2):
            made.worker(*words[2:], program=(str(BIN / "etl"), "fleet", "worker"), more=AS_INSTALLED)
        for line in [*WORK.splitlines(), *LATER.splitlines()]:
            typed(line.replace("--every 30m", "--every 1s"))
            if line.startswith("etl fleet start") and "--every" not in line:
                made.wait(*made.status(), until=lambda row: row["state"] in RESTING, seconds=400)
                codes = [row["code"] for row in made.status().values()]
                assert set(codes) <= {0, 1}, f"{line}: {made.status()}"
            if "--every" in line:
                made.wait("acme", until=lambda row: len(made.turns("acme")) >= 5, seconds=400)
        assert (tmp_path / "status.html").read_text(encoding="utf-8").startswith("<!doctype html>")
        assert (tmp_path / "reports/acme/report.html").exists()
        assert sorted(made.status()) == ["acme", "bolt"]
        assert len({row[0] for row in made.workers_of()}) == 2


def free_ports(many: int) -> int:
    """The first of so many ports in a row that are free."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            with suppress(OSError, OverflowError):
                for more in range(1, many):
                    stack.enter_context(socket.create_server(("127.0.0.1", first + more)))
                return int(first)


@pytest.mark.fleet
def test_a_fleet_can_be_tried_without_live_accounts(tmp_path: Path) -> None:
    """The emulators that the page starts are accounts of three customers, each of which a turn takes from the file that the page writes."""
    made = checkout(tmp_path / "demo")
    block = TRY.replace("8101", str(free_ports(2 * len(SECRETS))))
    env = environment({"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"})
    served = subprocess.Popen(["bash", "-c", f"{block}wait"], cwd=tmp_path, env=env, start_new_session=True)
    try:
        end = time.monotonic() + 120
        ready = [tmp_path / f"{name}-{side}.json" for name in SECRETS.values() for side in ("source", "destination")]
        while not all(path.exists() and path.read_text(encoding="utf-8") for path in ready):
            assert time.monotonic() < end and served.poll() is None
            time.sleep(0.1)
        companies = set()
        for name in SECRETS.values():
            keys = asyncio.run(variables(Secrets(tmp_path / "secrets"), name))
            answer = loopback.get(keys["PIPEDRIVE_BASE_URL"] + "/v1/users/me", headers={"x-api-token": keys["PIPEDRIVE_API_TOKEN"]})
            companies.add(answer.json()["data"]["company_id"])
        assert len(companies) == len(SECRETS)
        planned = asyncio.run(turn("plan", made / SPEC, keys))
        assert planned["code"] == 0 and planned["verdict"]["calls"] > 0, planned
    finally:
        os.killpg(served.pid, signal.SIGTERM)
        served.wait(20)


def test_the_keys_of_the_page_hide_no_word() -> None:
    """A value of four characters and more is hidden wherever it stands, a piece of a long one too: no key of the example is a part of what etl says."""
    file = TRY.partition("<<END\n")[2].partition("END\n")[0]
    given = re.findall(r"--key (\S+)", TRY)
    assert all(f"={key}\n" in file for key in given) and len(given) == 2
    said = PAGE.replace(TRY, "") + "".join(instead for _, instead in STEPS)
    for name in SECRETS.values():
        written = file.replace("$((port + 1))", "8102").replace("$port", "8101").replace("$name", name)
        found = dotenv_values(stream=io.StringIO(written))
        assert redactor(hidden({key: value or "" for key, value in found.items()}))(said) == said


def options(command: str) -> set[str]:
    """The options of a command of `etl fleet`."""
    found = fleet_group.commands[command]
    assert isinstance(found, click.Command)
    return {name for param in found.params for name in param.opts}


def test_every_option_that_is_named_exists() -> None:
    """Whatever the page, compose.yaml and the unit call is there."""
    for command, rest in re.findall(r"etl fleet (\w+)([^`\n]*)", PAGE):
        assert command in fleet_group.commands, command
        assert set(re.findall(r"--[\w-]+", rest.partition("#")[0])) <= options(command), rest
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.read_string(UNITS[1])
    assert set(re.findall(r"--[\w-]+", unit["Service"]["ExecStart"])) <= options("worker")
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name in ("first", "second"):
        _, command, *words = services[name]["command"]
        assert {word for word in words if word.startswith("--")} <= options(command)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """It knows every key, and finds nothing to say of any value."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    unit = tmp_path / "etl-fleet.service"
    unit.write_text(UNITS[1].replace("/srv/etl/.venv/bin/etl", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "etl-fleet" in line]) == (0, [])


def test_the_pauses_that_the_page_names_are_those_of_the_code() -> None:
    """Minutes after which a platform is asked again."""
    told = re.search(r"again after ([\d, and]+) minutes", PAGE)
    assert told and [int(number) * 60 for number in re.findall(r"\d+", told[1])] == list(AFTER_REFUSAL)


def test_every_command_is_explained() -> None:
    """No command is missing from the page."""
    assert {name for name in fleet_group.commands if f"`{name}" not in PAGE and f"etl fleet {name}" not in PAGE} == set()
