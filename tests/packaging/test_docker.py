"""The Dockerfile: its steps run as they are written, in a folder that stands for the two images.

There is no daemon here. `COPY` and `RUN` are carried out in their order, with the paths of the images led below the
folder; what would change the machine's users is only noted. Pip fetches what the wheel needs, and that takes its time:
`.ci/wheel` runs this, and a bare `pytest` leaves it out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.harness import edit
from tests.e2e.driving import HURRIED, INSTALLED, SPEC, environment

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "Dockerfile"
PATHS = re.compile(r"(?<![\w./])(/src|/wheels|/opt|/project)\b")
NOTED = ("useradd", "chown")  # commands that would change the machine


def instructions() -> Iterator[tuple[str, str]]:
    """Each instruction of the file with its words, comments left out and lines joined."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        name, _, words = line.partition(" ")
        yield name, words.strip()


def said(name: str) -> list[str]:
    """The words of every instruction of a name."""
    return [words for other, words in instructions() if other == name]


@dataclass(slots=True)
class Images:
    """A folder in which the images are made, one after the other."""

    root: Path
    env: dict[str, str]
    work: Path = field(init=False)
    notes: Path = field(init=False)

    def __post_init__(self) -> None:
        self.work, self.notes = self.root, self.root / "noted"
        shims = self.root / "shims"
        shims.mkdir(parents=True)
        for name in NOTED:
            (shims / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {self.notes}\n', encoding="utf-8")
            (shims / name).chmod(0o755)
        (shims / "python").symlink_to(sys.executable)
        (shims / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n', encoding="utf-8")
        (shims / "pip").chmod(0o755)
        self.env = {**self.env, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"}

    def there(self, path: str) -> Path:
        """Where a path of an image is here."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.work / path

    def led(self, text: str) -> str:
        """A command, or a value, with the paths of the images led below the folder."""
        return PATHS.sub(lambda found: f"{self.root}{found[1]}", text)

    def follow(self, name: str, words: str) -> None:
        """Carry an instruction out."""
        if name == "WORKDIR":
            self.work = self.there(words)
            self.work.mkdir(parents=True, exist_ok=True)
        elif name == "COPY" and not words.startswith("--from"):
            *sources, target = words.split()
            for source in sources:
                self.copy(source, self.there(target) / (source if target == "./" else ""))
        elif name == "ENV":
            for word in words.split():
                key, _, value = word.partition("=")
                self.env[key] = self.led(value).replace("$PATH", self.env["PATH"])
        elif name == "RUN":
            done = subprocess.run(["sh", "-c", self.led(words)], cwd=self.work, env=self.env, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, f"RUN {words}\n{done.stdout}\n{done.stderr}"

    def copy(self, source: str, target: Path) -> None:
        """What a commit would hold of a file or folder."""
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", source], cwd=ROOT, capture_output=True, text=True, check=True
        )
        names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
        assert names, f"COPY {source}: there is no such file"
        for name in names:
            inside = target / Path(name).relative_to(source) if name != source else target
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, inside)


def test_the_image_is_not_roots_and_starts_etl() -> None:
    """Two stages; the last user has a number and owns the project's folder, which is the volume; the entry is etl."""
    assert len(said("FROM")) == 2 and said("USER") == ["etl"]
    assert said("WORKDIR")[-1] == said("VOLUME")[0] == "/project"
    assert json.loads(said("ENTRYPOINT")[0]) == ["etl"] and json.loads(said("CMD")[0]) == ["--help"]
    copied = {source for words in said("COPY") if not words.startswith("--from") for source in words.split()[:-1]}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    assert kept == copied and "**" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.installed
@pytest.mark.skipif(not INSTALLED, reason="pip fetches what the wheel needs; .ci/wheel runs this, with ETL_TEST_BIN")
def test_its_steps_run(tmp_path: Path) -> None:
    """They make an environment that has etl and both extras; in a project's folder it checks the example and runs a sample of it."""
    pytest.importorskip("pip")
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "PYTHONPATH": ""}
    images = Images(tmp_path / "image", environment({**quiet, "ETL_SANDBOX_SIZE": "60", **HURRIED}))
    for name, words in instructions():
        images.follow(name, words)
    assert images.notes.read_text(encoding="utf-8").splitlines() == ["useradd --create-home --uid 1000 etl", f"chown etl: {images.root}/project"]

    entry = json.loads(said("ENTRYPOINT")[0])
    etl = shutil.which(entry[0], path=images.env["PATH"])
    assert etl == str(images.root / "opt/etl/bin/etl")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([etl or "", *words], cwd=images.work, env=images.env, capture_output=True, text=True, timeout=300, check=False)

    assert images.work == images.root / "project" and "rollback" in run(*json.loads(said("CMD")[0])).stdout
    assert run("init", "--example", Path(SPEC).stem, ".").returncode == 0
    edit(images.work / SPEC, ("plan: business", "plan: unlimited"), ("plan: growth", "plan: ultimate"))
    assert run("validate", SPEC).returncode == 0
    ran = run("run", SPEC, "--sample", "20")
    assert ran.returncode in (0, 1) and "records arrived" in ran.stdout, ran.stderr
    code = "import declared_etl, psycopg, starlette; print(declared_etl.__file__)"
    found = subprocess.run([str(images.root / "opt/etl/bin/python"), "-c", code], cwd=images.work, env=images.env, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(images.root / "opt/etl/lib"))
