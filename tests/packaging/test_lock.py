"""What pyproject.toml says of packages and Pythons: the lock holds every package that it asks for, and the Pythons that it names are tried."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pinned() -> dict[str, set[Version]]:
    """Each distribution of the lock with its versions: several where they differ by Python or system."""
    found = defaultdict(set)
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([a-z0-9-]+)==([^ ]+) (?:; .+ )?\\$", line):
            found[match[1]].add(Version(match[2]))
    return found


def wanted(*extras: str) -> list[Requirement]:
    """What the project asks for with these extras; an extra may name others."""
    found = [Requirement(text) for text in PROJECT["dependencies"]]
    for extra in extras:
        for text in PROJECT["optional-dependencies"][extra]:
            item = Requirement(text)
            found += wanted(*item.extras) if item.name == PROJECT["name"] else [item]
    return found


def test_all_that_is_asked_for_is_pinned() -> None:
    """Every dependency, those of development and of PostgreSQL included, is in the lock within its bounds."""
    versions = pinned()
    wrong = [
        f"{item}: {sorted(map(str, versions[canonicalize_name(item.name)])) or 'not in the lock'}"
        for item in wanted("dev", "postgres")
        if not versions[canonicalize_name(item.name)] or not all(map(item.specifier.contains, versions[canonicalize_name(item.name)]))
    ]
    assert wrong == []


def test_every_pin_has_hashes() -> None:
    """Each distribution is followed by the hashes of its files, so that pip installs no others."""
    text = LOCK.read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9-]+==.+$(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?$)+", text, re.MULTILINE)
    assert len(pins) == len(re.findall("==.* \\\\$", text, re.MULTILINE)) > 60


def test_the_command_that_makes_it_is_written_down() -> None:
    """CONTRIBUTING.md has the command by which the lock says that it was made."""
    made = re.search(r"^#    (uv pip compile .+)$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert made and made[1] in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {"--extra dev", "--extra postgres", "--generate-hashes", "--universal"} <= {match[0] for match in re.finditer(r"--[a-z-]+(?: (?!--)[a-z]+)?", made[1])}


def test_the_pythons_that_are_named_are_tried() -> None:
    """Classifiers name only Pythons that .ci/wheel installs the wheel under, from the first that is supported on."""
    named = {text.rpartition(" ")[2] for text in PROJECT["classifiers"] if text.startswith("Programming Language :: Python :: 3.")}
    tried = re.search(r"^pythons=\((.+)\)$", (ROOT / ".ci/wheel").read_text(encoding="utf-8"), re.MULTILINE)
    assert tried and {PROJECT["requires-python"].removeprefix(">=")} <= named <= set(tried[1].split())
