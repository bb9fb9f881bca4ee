"""Runs `etl` as people do, on real loopback HTTP, in a copy of the checkout.

`etl` starts the installed program as a process; `etl_here` runs the same `main` in this process,
which has loaded the program already, and takes half the time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import loopback
from tests.chaos.harness import SPEED, edit, hurry
from tests.platforms.project import call

ROOT = Path(__file__).resolve().parents[2]
ETL = Path(sys.executable).parent / "etl"
# The programs of an environment that the wheel was installed in, where .ci/run says so: tests with the mark `installed` use them.
INSTALLED = os.environ.get("ETL_TEST_BIN", "")
BIN = Path(INSTALLED or ETL.parent)
AS_INSTALLED = {"PYTHONPATH": ""} if INSTALLED else {}  # nothing leads there to the checkout, and pip may ask its index
SPEC = "specs/stel_order_to_pipedrive.yaml"
OWNER = "owner@example.com"
DEFINITIONS = {
    "organizations": "organization_fields",
    "persons": "person_fields",
    "deals": "deal_fields",
    "products": "product_fields",
}
HURRIED = {"ETL_SANDBOX_ARGS": f"--speed {SPEED}"}  # `--env sandbox` on accounts as fast as `checkout` says they are
OURS = ("STEL_ORDER_", "PIPEDRIVE_", "ETL_", "FALLBACK_")

Record = dict[str, Any]
Dump = dict[str, list[Record]]


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def data(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anything that would lead to somebody's account."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**plain, **(extra or {})}


def etl(*args: str, at: Path, env: Mapping[str, str] | None = None, code: int | None = None) -> Done:
    """Run `etl` in a folder and wait; with `code`, insist on that exit code."""
    done = subprocess.run(
        [str(ETL), *args], cwd=at, env=environment(env), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    if code is not None:
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return Done(done.returncode, done.stdout, done.stderr)


def etl_here(*args: str, at: Path, env: Mapping[str, str] | None = None, code: int | None = None) -> Done:
    """The same as `etl`, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        found = call(at, env or {}, *args)
    assert found.code != 70 and "Traceback" not in found.err + found.out, found.err
    if code is not None:
        assert found.code == code, str(found)
    return Done(found.code, found.out, found.err)


def checkout(
    folder: Path, *changes: tuple[str, str], plans: tuple[str, str] = ("unlimited", "ultimate"), hurried: bool = True
) -> Path:
    """A copy of what a migration is made of, with short waits and on plans that let tests be quick.

    It is for a destination whose clock runs `SPEED` times faster, unless not `hurried`. Texts of the spec may be changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("specs", "connectors", "templates"):
        shutil.copytree(ROOT / name, folder / name)
    edit(folder / SPEC, ("plan: business", f"plan: {plans[0]}"), ("plan: growth", f"plan: {plans[1]}"), *changes)
    if hurried:
        hurry(folder)
    return folder


# -- emulators of one's own


@dataclass(frozen=True, slots=True)
class Served:
    """A running emulator."""

    base_url: str
    key: str

    @property
    def origin(self) -> str:
        """Where its control routes stand."""
        return self.base_url.removesuffix("/app")

    def dump(self) -> Dump:
        """Every live record, by resource."""
        found: Dump = {}
        answer = loopback.get(f"{self.origin}/__sandbox__/dump", timeout=60)
        for line in answer.raise_for_status().text.splitlines():
            row = json.loads(line)
            found.setdefault(row["resource"], []).append(row["record"])
        return found

    def options(self, kind: str, code: str) -> dict[str, str]:
        """The options of a built-in field, by id."""
        answer = loopback.get(f"{self.origin}/api/v2/{kind}", params={"limit": 500}, headers={"x-api-token": self.key}, timeout=60)
        field = next(row for row in answer.raise_for_status().json()["data"] if row["field_code"] == code)
        return {str(option["id"]): option["label"] for option in field["options"] or []}

    def stats(self) -> Record:
        """Requests, tokens, 429s."""
        found: Record = loopback.get(f"{self.origin}/__sandbox__/stats", timeout=60).raise_for_status().json()
        return found


@contextmanager
def serve(name: str, *args: str) -> Iterator[Served]:
    """`etl sandbox serve NAME` while the block runs."""
    command = [str(ETL), "sandbox", "serve", name, "--with-parent", *args]
    process = subprocess.Popen(
        command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield Served(told["base_url"], told["key"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both accounts, served."""

    source: Served
    destination: Served

    @property
    def env(self) -> dict[str, str]:
        """What `--env live` reads."""
        return {
            "STEL_ORDER_BASE_URL": self.source.base_url,
            "STEL_ORDER_API_KEY": self.source.key,
            "PIPEDRIVE_BASE_URL": self.destination.base_url,
            "PIPEDRIVE_API_TOKEN": self.destination.key,
            "FALLBACK_OWNER_EMAIL": OWNER,
        }


@contextmanager
def pair(source: Sequence[str] = (), destination: Sequence[str] = (), size: int = 800) -> Iterator[Pair]:
    """Both emulators on the plans that `checkout` writes into the spec."""
    with ExitStack() as stack:
        left = stack.enter_context(serve("stel_order", "--plan", "unlimited", "--size", str(size), *source))
        quick = ("--plan", "ultimate", "--speed", str(SPEED))
        right = stack.enter_context(serve("pipedrive", *quick, "--size", str(size), *destination))
        yield Pair(left, right)


# -- stories: what several tests look at happens once, whatever the number of workers


def once(factory: pytest.TempPathFactory, name: str, tell: Callable[[Path], Mapping[str, Any]]) -> Any:
    """What `tell` returned, from disk where another worker has told the story already."""
    base = factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, result = shared / f"story-{name}", shared / f"story-{name}.json"
    with (shared / f"story-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            folder.mkdir(exist_ok=True)
            told = json.dumps(tell(folder), default=asdict)
            result.write_text(told, encoding="utf-8")
    return json.loads(result.read_text(encoding="utf-8"))


# -- reading a destination


def by_key(dump: Dump, resource: str) -> dict[str, Record]:
    """Our rows of a resource by the source key they carry; fails where two carry the same."""
    code = field_codes(dump, resource)["STEL key"]
    found: dict[str, Record] = {}
    for row in dump[resource]:
        key = row["custom_fields"].get(code)
        if key:
            assert key not in found, f"{resource}: {key} twice"
            found[key] = row
    return found


def field_codes(dump: Dump, resource: str) -> dict[str, str]:
    """Names of custom fields and the keys this account gave them."""
    return {row["field_name"]: row["field_code"] for row in dump[DEFINITIONS[resource]]}


def custom(dump: Dump, resource: str, row: Record, name: str) -> Any:
    """A custom field's value by the name people see; options by their label."""
    field = next(item for item in dump[DEFINITIONS[resource]] if item["field_name"] == name)
    value = row["custom_fields"].get(field["field_code"])
    options = {option["id"]: option["label"] for option in field.get("options") or []}
    return options.get(value, value) if isinstance(value, int) else value
