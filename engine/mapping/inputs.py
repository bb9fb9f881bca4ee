"""What the drafts of an object came from, as digests: as long as it is the same, they are kept.

An evaluation is a pure function of the record, the mapping and what it looks at. What it looked
at is noted while it runs; the same inputs would look at the same again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import transforms
from engine.mapping.evaluate import LookupContext

ENGINE = Path(__file__).resolve().parents[1]
READERS = (
    "values.py",
    "connector/typed.py",
    "connector/references.py",
    "connector/times.py",
)
LIBRARIES = (
    "jinja2",
    "phonenumbers",
    "tzdata",
)  # whose versions may change what a step makes of a value


@dataclass(slots=True)
class Seen:
    """Collections and objects that projections have looked at."""

    collections: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)

    def watched(self, sight: LookupContext) -> LookupContext:
        """The same sight, with notes of what is looked at."""

        def record(key: str) -> Mapping[str, Any] | None:
            self.collections.add(key.partition("/")[0])
            return sight.record(key)

        def pointing_at(
            collection: str, name: str, targets: Sequence[str]
        ) -> Sequence[tuple[str, Mapping[str, Any]]]:
            self.collections.add(collection)
            return sight.pointing_at(collection, name, targets)

        def drafted(name: str, key: str) -> bool:
            self.objects.add(name)
            return sight.drafted(name, key)

        return replace(sight, record=record, pointing_at=pointing_at, drafted=drafted)


def digest_of(*values: Any) -> str:
    """One short text for compiled parts of a spec or a connector."""
    return hashlib.blake2b(
        repr(values).encode(errors="surrogatepass"), digest_size=16
    ).hexdigest()


@cache
def digest_of_code() -> str:
    """What turns records into drafts besides the spec: our code and the libraries of steps."""
    found = hashlib.blake2b(digest_size=16)
    folders = (
        Path(transforms.__file__).parent,
        ENGINE / "mapping",
        ENGINE / "language",
    )
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    paths += [ENGINE / name for name in READERS]
    for path in sorted(paths):
        found.update(path.read_bytes())
    for name in LIBRARIES:
        found.update(f"{name} {version(name)}".encode())
    return found.hexdigest()


Digest = Callable[[str], str]


@dataclass(slots=True)
class Digests:
    """Digests of collections and of objects' keys, each made once until something is written."""

    shared: str  # of what all objects have in common
    of_collection: Digest
    of_keys: Digest  # the keys that an object has a draft or a row for
    _collections: dict[str, str] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)

    def looked_at(self, seen: Seen) -> str:
        """What was looked at, as it is now."""
        for name in seen.collections - self._collections.keys():
            self._collections[name] = self.of_collection(name)
        for name in seen.objects - self._keys.keys():
            self._keys[name] = self.of_keys(name)
        return digest_of(
            [(name, self._collections[name]) for name in sorted(seen.collections)],
            [(name, self._keys[name]) for name in sorted(seen.objects)],
        )

    def forget_keys(self, name: str) -> None:
        """The drafts of an object have been made anew."""
        self._keys.pop(name, None)
