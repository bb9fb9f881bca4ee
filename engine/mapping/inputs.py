"""What the drafts of an object came from: as long as it is the same, they are kept.

An evaluation is a pure function of the record, the mapping and what it looks at. What it looks at
is noted while it runs, record by record; the same inputs would look at the same again.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

import transforms
from engine.mapping.evaluate import KeyedRows, LookupContext
from engine.store.seen import (
    changed_since,
    compare_keys,
    compare_records,
    dependents_of,
    place_of,
    targets_of,
)
from engine.store.tables import Store
from engine.values import Row, collection_of, indexed

ENGINE = Path(__file__).resolve().parents[1]
READERS = (
    "values.py",
    "connector/typed.py",
    "connector/references.py",
    "connector/times.py",
)
LIBRARIES = (
    "jinja2",
    "nh3",
    "phonenumbers",
    "tzdata",
)  # whose versions may change what a step makes of a value


class DependencyLog(msgspec.Struct):
    """What evaluations have looked at: places in all, and what the current record's did.

    A record is noted by its key, a query as `?collection field value`, the question whether an
    object has a row for a key as `=object key`.
    """

    places: set[str] = set()
    found: set[str] = set()

    def recording(self, sight: LookupContext) -> LookupContext:
        """The same context, noting what is looked at."""

        def record(key: str) -> Row | None:
            self.places.add(collection_of(key))
            self.found.add(key)
            return sight.record(key)

        def pointing_at(
            collection: str, name: str, targets: Sequence[str]
        ) -> KeyedRows:
            rows = sight.pointing_at(collection, name, targets)
            self.places.add(collection)
            self.found.update(query(collection, name, one) for one in targets)
            self.found.update(key for key, _ in rows)
            return rows

        def drafted(name: str, key: str) -> bool:
            self.places.add(place_of(name))
            self.found.add(existence_note(name, key))
            return sight.drafted(name, key)

        def user(key: str) -> bool:
            self.places.add(place_of("users"))
            self.found.add(existence_note("users", key))
            return sight.user(key)

        return structs.replace(
            sight,
            record=record,
            pointing_at=pointing_at,
            drafted=drafted,
            user=user,
        )

    def drain(self) -> list[str]:
        """What the current record's evaluation has looked at; the next one begins."""
        found = sorted(self.found)
        self.found.clear()
        return found


def query(collection: str, name: str, value: str) -> str:
    """The note that records were looked for by a value of a field."""
    return f"?{collection} {name} {indexed(value)}"


def existence_note(name: str, key: str) -> str:
    """The note that it was asked whether an object has a row for a key."""
    return f"{place_of(name)} {key}"


def digest_of(*values: Any) -> str:
    """One short text for compiled parts of a spec or a connector."""
    return hashlib.blake2b(
        repr(values).encode(errors="surrogatepass"), digest_size=16
    ).hexdigest()


@cache
def digest_of_code() -> str:
    """What turns records into drafts besides the spec: our code and the libraries of steps."""
    folders = [
        Path(transforms.__file__).parent,
        ENGINE / "mapping",
        ENGINE / "language",
    ]
    libraries = [f"{name} {version(name)}" for name in LIBRARIES]
    libraries.append(
        sys.version
    )  # it writes numbers, reads dates, folds letters
    return digest_of(digest_of_files(folders, READERS), libraries)


def digest_of_files(folders: Iterable[Path], names: Iterable[str]) -> str:
    """One short text for the code in some folders, and in some files of the engine."""
    found = hashlib.blake2b(digest_size=16)
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    for path in sorted([*paths, *(ENGINE / name for name in names)]):
        found.update(path.read_bytes())
    return found.hexdigest()


class Watch(msgspec.Struct):
    """One comparison of the store with what drafts were made of; each place is compared once."""

    store: Store
    mark: int
    shared: str  # a digest of what all objects have in common
    _compared: set[str] = set()

    def compare(self, places: Iterable[str]) -> None:
        """Note what is different in these places."""
        for place in set(places) - self._compared:
            if place.startswith("="):
                compare_keys(self.store, place[1:], self.mark)
            else:
                compare_records(self.store, place, self.mark)
            self._compared.add(place)

    def made(self, name: str) -> None:
        """The drafts of an object have been made: other keys may have one."""
        self._compared.discard(place_of(name))

    def changed(self, places: Iterable[str], mark: int) -> dict[str, list[str]]:
        """The keys in these places of what is not as it was at a mark."""
        self.compare(places)
        with self.store.begin() as connection:
            found = {
                place: changed_since(connection, place, mark)
                for place in places
            }
        return {place: keys for place, keys in found.items() if keys}

    def affected(
        self, name: str, changed: Mapping[str, Sequence[str]]
    ) -> set[str]:
        """The records of an object whose drafts looked at what has changed."""
        notes = set[str]()
        with self.store.begin() as connection:
            for place, keys in changed.items():
                if place.startswith("="):
                    notes.update(f"{place} {key}" for key in keys)
                    continue
                notes.update(keys)
                named = targets_of(connection, place, keys)
                notes.update(
                    f"?{place} {field} {value}" for field, value in named
                )
        return set(dependents_of(self.store, name, frozenset(notes)))
