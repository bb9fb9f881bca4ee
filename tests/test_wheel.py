"""etl installed from a wheel, far from the checkout, does what it does in the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.harness import edit
from tests.e2e.driving import HURRIED, SPEC, checkout, environment, once
from tests.packaging.building import rewriter

ROOT = Path(__file__).resolve().parent.parent
DOOR = "declared_etl"
PACKAGES = ("engine", "fleet", "sandbox", "transforms", "workbench")
DATA = ("connectors", "schemas", "specs", "templates")
SOURCES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", DOOR, *PACKAGES, *DATA)
NOT_READ = {f"{DOOR}/sandbox/stel_order/ODDITIES.md"}  # for people who change the emulator
EXTRA = ("starlette", "uvicorn", "python_multipart", "multipart")  # what the extra `sandbox` brings

pytestmark = pytest.mark.journeys


@dataclass(frozen=True, slots=True)
class Installed:
    """The sdist and the wheel, and two environments that the wheel is installed in: with the sandbox's parts, and without."""

    sdist: Path
    wheel: Path
    bin: Path
    bare: Path

    def run(self, program: str, *args: str, at: Path, bare: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a program of an environment in a folder; nothing leads it to the checkout."""
        return subprocess.run(
            [str((self.bare if bare else self.bin) / program), *args],
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


def done(*command: str, at: Path | None = None) -> None:
    """A command that ends well."""
    ended = subprocess.run(command, cwd=at, env=elsewhere(), capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def built(kind: str, source: Path, folder: Path) -> Path:
    """The sdist or the wheel of a folder of sources, by what pip calls too."""
    script = f"import setuptools.build_meta as backend; backend.build_{kind}({str(folder)!r})"
    done(sys.executable, "-c", script, at=source)
    (found,) = folder.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return found


def borrowed(folder: Path, without: tuple[str, ...]) -> Path:
    """A folder of links to what this environment has installed, our own distribution left out."""
    folder.mkdir()
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(place).iterdir():
            ours = path.suffix == ".pth" or path.name.lower().startswith(("declared_etl", "__editable__"))
            if not ours and path.name.partition("-")[0] not in without:
                (folder / path.name).symlink_to(path)
    return folder


def environment_of(wheel: Path, folder: Path, without: tuple[str, ...] = ()) -> Path:
    """The programs of a new environment that has the wheel, and borrows this one's other packages."""
    done(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    install = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python), "install")
    done(sys.executable, *install, "--no-index", "--no-deps", str(wheel))
    (own,) = (folder / "lib").glob("python*/site-packages")
    links = borrowed(folder / "borrowed", without)
    (own / "borrowed.pth").write_text(f"{links}\n", encoding="utf-8")
    return python.parent


def installation(folder: Path) -> dict[str, str]:
    """The sdist of the files that a commit would hold, the wheel of what the sdist holds, and two environments."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *SOURCES],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("no git repository here")
    source = folder / "source"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    sdist = built("sdist", source, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (inside,) = (folder / "unpacked").iterdir()
    wheel = built("wheel", inside, folder)
    return {
        "sdist": str(sdist),
        "wheel": str(wheel),
        "bin": str(environment_of(wheel, folder / "venv")),
        "bare": str(environment_of(wheel, folder / "bare", EXTRA)),
    }


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Made once, whatever the number of workers."""
    pytest.importorskip("pip")
    told = once(tmp_path_factory, "wheel", installation)
    return Installed(**{name: Path(path) for name, path in told.items()})


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packaged() -> set[str]:
    """Every file of the packages and of what is shipped, as a wheel names them."""
    found: set[Path] = set()
    for name in (*PACKAGES, *DATA, DOOR):
        inside = [path for path in (ROOT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        found |= {(Path() if name == DOOR else Path(DOOR)) / path.relative_to(ROOT) for path in inside}
    return {path.as_posix() for path in found} - NOT_READ


def test_one_name_is_taken(installed: Installed) -> None:
    """The wheel holds one package, and says so; no other name stands beside it."""
    inside = contents(installed.wheel)
    assert {name.partition("/")[0] for name in inside} == {DOOR, f"{DOOR}-0.2.0.dist-info"}
    assert inside[f"{DOOR}-0.2.0.dist-info/top_level.txt"].split() == [DOOR.encode()]


def test_every_file_rides_along(installed: Installed) -> None:
    """The wheel holds the packages' files, the shipped migration and the schemas, and no other."""
    inside = {name for name in contents(installed.wheel) if ".dist-info/" not in name}
    assert inside == packaged()
    assert f"{DOOR}/specs/stel_order_to_pipedrive.test.yaml" in inside


def test_only_imports_differ(installed: Installed) -> None:
    """Every file is that of the checkout, but for what its imports of our packages begin with; steps are the same."""
    rewritten = rewriter()
    for name, body in contents(installed.wheel).items():
        if ".dist-info/" in name:
            continue
        here = ROOT / (name if (ROOT / name).is_file() else name.removeprefix(f"{DOOR}/"))
        same = here.read_bytes() == body
        assert same or rewritten(here.read_text(encoding="utf-8")).encode() == body, name
        assert same or not name.startswith(f"{DOOR}/transforms/"), name


def test_the_names_of_others_stay_free(installed: Installed, tmp_path: Path) -> None:
    """Nothing called engine, transforms, workbench or sandbox can be imported, and using all of the door imports none."""
    script = (
        "import importlib.util, sys, declared_etl\n"
        "for name in declared_etl.__all__: getattr(declared_etl, name)\n"
        f"names = {PACKAGES!r}\n"
        "assert not [name for name in names if importlib.util.find_spec(name)]\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in names]\n"
        "print(declared_etl.open.__module__)"
    )
    told = installed.run("python", "-c", script, at=tmp_path)
    assert told.stdout == "declared_etl.engine.library.migration\n", told.stderr


def test_a_sample_runs_far_from_the_checkout(installed: Installed, tmp_path: Path) -> None:
    """In a folder of specs, connectors and templates: validate, a sample, and what looks at it."""
    at = checkout(tmp_path / "project")
    checked = installed.run("etl", "validate", SPEC, at=at)
    assert checked.returncode == 0, checked.stderr
    ran = installed.run("etl", "run", SPEC, "--sample", "40", "--json", at=at)
    assert ran.returncode in (0, 1), ran.stderr
    assert '"missing": 0' in ran.stdout
    seen = installed.run("etl", "status", SPEC, at=at)
    assert seen.returncode == 0 and "organizations" in seen.stdout
    for line in ("test SPEC", "docs SPEC --out mapping.html", "sandbox serve --help", "connector new --help"):
        ended = installed.run("etl", *line.replace("SPEC", SPEC).split(), at=at)
        assert ended.returncode == 0, f"{line}: {ended.stderr}"


def test_each_command_starts(installed: Installed, tmp_path: Path) -> None:
    """In an empty folder `etl` and `python -m declared_etl` name every command, and the version of the distribution."""
    helped = installed.run("etl", "--help", at=tmp_path)
    assert helped.returncode == 0 and "rollback" in helped.stdout and "sandbox" in helped.stdout
    assert installed.run("etl", "--version", at=tmp_path).stdout == "etl, version 0.2.0\n"
    assert installed.run("python", "-m", DOOR, "--help", at=tmp_path).returncode == 0


def test_without_the_sandbox_the_line_to_type_is_said(installed: Installed, tmp_path: Path) -> None:
    """Without the extra every command but those that need it works; those end with 2 and say what to install."""
    at = checkout(tmp_path / "project")
    for line in ("validate SPEC", "test SPEC", "docs SPEC --out mapping.html", "sandbox --help"):
        ended = installed.run("etl", *line.replace("SPEC", SPEC).split(), at=at, bare=True)
        assert ended.returncode == 0, f"{line}: {ended.stderr}"
    for line in ("run SPEC --sample", "sandbox serve pipedrive"):
        ended = installed.run("etl", *line.replace("SPEC", SPEC).split(), at=at, bare=True)
        assert ended.returncode == 2 and "pip install 'declared-etl[sandbox]'" in ended.stderr, ended.stderr
        assert "starlette, uvicorn, python_multipart" in ended.stderr


def test_a_project_begins_in_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    """An example, and a first spec for a pair, from nothing but the wheel: valid, tested, a sample moved."""
    (line,) = re.findall("`(etl init --example .+)`", (ROOT / "README.md").read_text(encoding="utf-8"))  # what people are told to type
    begin, into, sample = line.split(" && ")
    made = installed.run(*begin.split(), at=tmp_path)
    assert made.returncode == 0, made.stderr
    demo = tmp_path / into.removeprefix("cd ")
    edit(demo / SPEC, ("plan: business", "plan: unlimited"), ("plan: growth", "plan: ultimate"))
    for line, codes in (("etl validate SPEC", (0,)), ("etl test SPEC", (0,)), (f"{sample} 40", (0, 1))):
        ended = installed.run(*line.replace("SPEC", SPEC).split(), at=demo)
        assert ended.returncode in codes, f"{line}: {ended.stderr}"
    given = ("--source", "stel_order", "--destination", "pipedrive", "--name", "first", "--yes", "other")
    made = installed.run("etl", "init", *given, at=tmp_path)
    assert made.returncode == 0, made.stderr
    checked = installed.run("etl", "validate", "specs/first.yaml", at=tmp_path / "other")
    assert checked.returncode == 0, checked.stderr
