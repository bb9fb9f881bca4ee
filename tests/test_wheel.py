"""etl installed from a wheel, far from the checkout, does what it does in the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.driving import HURRIED, SPEC, checkout, environment

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("engine", "sandbox", "transforms", "workbench")
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*.egg-info", ".*", "build", "dist", "var", "tests", "bench"
)
NOT_READ = {"sandbox/stel_order/ODDITIES.md"}  # for people who change the emulator

pytestmark = pytest.mark.long


@dataclass(frozen=True, slots=True)
class Installed:
    """A wheel, and an environment that it is installed in."""

    wheel: Path
    bin: Path

    def run(self, program: str, *args: str, at: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in a folder; nothing leads it to the checkout."""
        return subprocess.run(
            [str(self.bin / program), *args],
            cwd=at,
            env=elsewhere(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def elsewhere() -> dict[str, str]:
    """This process's environment without the checkout among the places that are imported from."""
    paths = [
        path
        for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if path and Path(path).resolve() != ROOT
    ]
    return environment({"PYTHONPATH": os.pathsep.join(paths), "ETL_SANDBOX_SIZE": "150", **HURRIED})


def pip(*args: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *args]
    done = subprocess.run(
        command, env=elsewhere(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this checkout in a new environment that borrows this one's other packages."""
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT, symlinks=True)
    offline = ("--no-index", "--no-deps")
    pip(
        "wheel",
        *offline,
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(folder / "source"),
    )
    shutil.rmtree(folder / "source")
    (wheel,) = folder.glob("*.whl")

    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")],
        check=True,
        timeout=60,
    )
    python = folder / "venv" / "bin" / "python"
    pip("--python", str(python), "install", *offline, str(wheel))
    # A folder named in a .pth file is imported from, but its own .pth files are not read: those
    # may lead to the checkout.
    borrowed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (own,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (own / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed), encoding="utf-8")
    return Installed(wheel, python.parent)


def packaged() -> set[str]:
    """Every file of the packages, those behind links included, as a wheel names them."""
    found = set()
    for package in PACKAGES:
        for folder, _, names in os.walk(ROOT / package, followlinks=True):
            if not folder.endswith("__pycache__"):
                found |= {(Path(folder) / name).relative_to(ROOT).as_posix() for name in names}
    return found - NOT_READ


def test_every_file_rides_along(installed: Installed) -> None:
    """The wheel holds the packages' files, schemas, words and styles among them, and no other."""
    with zipfile.ZipFile(installed.wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == packaged()
    assert {f"engine/schemas/{path.name}" for path in (ROOT / "schemas").iterdir()} <= inside
    assert {f"{name}/py.typed" for name in ("engine", "transforms", "workbench")} <= inside


def test_a_sample_runs_far_from_the_checkout(installed: Installed, tmp_path: Path) -> None:
    """In a folder of specs, connectors and templates: validate, a sample, and what looks at it."""
    at = checkout(tmp_path / "project")
    where = installed.run(
        "python", "-c", "import engine, sandbox; print(engine.__file__, sandbox.__file__)", at=at
    ).stdout
    assert where.count(str(installed.bin.parent)) == 2 and str(ROOT) not in where

    checked = installed.run("etl", "validate", SPEC, at=at)
    assert checked.returncode == 0, checked.stderr
    ran = installed.run("etl", "run", SPEC, "--sample", "40", "--json", at=at)
    assert ran.returncode in (0, 1), ran.stderr
    assert '"missing": 0' in ran.stdout
    seen = installed.run("etl", "status", SPEC, at=at)
    assert seen.returncode == 0 and "organizations" in seen.stdout
    for line in ("test SPEC", "docs SPEC --out mapping.html"):
        done = installed.run("etl", *line.replace("SPEC", SPEC).split(), at=at)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_a_project_begins_far_from_the_checkout(installed: Installed, tmp_path: Path) -> None:
    """A spec that `etl init` begins is valid, and its first line leads to the installed schemas."""
    connectors = checkout(tmp_path / "project") / "connectors"
    given = (
        "--source",
        str(connectors / "stel_order.yaml"),
        "--destination",
        str(connectors / "pipedrive.yaml"),
    )
    made = installed.run("etl", "init", *given, "--name", "first", "--yes", at=tmp_path)
    assert made.returncode == 0, made.stderr
    checked = installed.run("etl", "validate", "specs/first.yaml", at=tmp_path)
    assert checked.returncode == 0, checked.stderr
    line = (tmp_path / "specs" / "first.yaml").read_text(encoding="utf-8").splitlines()[0]
    schema = (tmp_path / "specs" / line.partition("$schema=")[2]).resolve()
    assert schema.name == "spec.schema.json" and schema.is_relative_to(
        installed.bin.parent.resolve()
    )
