"""A folder of one's own for migrations: what stands around specs, and shipped examples to begin
with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from engine.config.suggestions import suggest
from engine.config.validation import schema_path
from engine.connector.auth import variables
from engine.connector.load import SHIPPED, load_connector
from engine.connector.model import Connector
from engine.errors import UsageError

FRAME = Path(__file__).with_name("frame")
EXAMPLES = SHIPPED.parent / "specs"
TEMPLATES = SHIPPED.parent / "templates"
SCHEMAS = ("spec", "connector", "cases", "approval", "report")
_TEMPLATE = re.compile(r"\.\./templates/([\w/.-]+\.(?:j2|yaml))")
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")
_BY_PATH = re.compile(r"(?<=connector: )\.\./connectors/(\w+)\.yaml")


@dataclass(frozen=True, slots=True)
class Framed:
    """What a project is about: its first spec, as it is written, and both connectors."""

    spec: Path  # from the project's folder
    text: str
    source: Connector
    destination: Connector
    remark: str = ""  # what the first run of an example ends with


def begun(folder: Path) -> bool:
    """Whether a folder is a project already."""
    return any((folder / "specs").glob("*.yaml"))


def examples() -> list[str]:
    """The shipped migrations by name."""
    return sorted(
        path.stem
        for path in EXAMPLES.glob("*.yaml")
        if not path.stem.endswith((".test", ".approval"))
    )


def example(name: str) -> Mapping[Path, str]:
    """The files of a project with a shipped migration; raises UsageError where there is none of
    that name.
    """
    if name not in examples():
        raise UsageError(
            f"there is no example {name!r} – {suggest(name, examples())}"
        )
    written = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    text = _BY_PATH.sub(r"\1", written)
    sides = [
        load_connector(SHIPPED / f"{side}.yaml")
        for side in _BY_PATH.findall(written)
    ]
    spec = Path("specs") / f"{name}.yaml"
    cases = spec.with_name(f"{name}.test.yaml")
    files = {
        spec: text,
        cases: (EXAMPLES / cases.name).read_text(encoding="utf-8"),
    }
    for template in dict.fromkeys(_TEMPLATE.findall(text)):
        files[Path("templates") / template] = (TEMPLATES / template).read_text(
            encoding="utf-8"
        )
    remark = "  # exit 1: some records need attention"
    return {**files, **frame(Framed(spec, text, sides[0], sides[1], remark))}


def frame(about: Framed) -> Mapping[Path, str]:
    """The files around the specs of a project."""
    words = {
        "TITLE": f"{about.source.title} to {about.destination.title}",
        "SOURCE": about.source.title,
        "DESTINATION": about.destination.title,
        "SPEC": about.spec.as_posix(),
        "REMARK": about.remark,
        "VERSION": version("declared-etl"),
    }
    files = {
        "README.md": "readme.md",
        "requirements.txt": "requirements.txt",
        ".gitignore": "gitignore",
        ".pre-commit-config.yaml": "pre-commit-config.yaml",
        ".github/workflows/mapping.yml": "mapping.yml",
        ".gitlab-ci.yml": "gitlab-ci.yml",
        "connectors/README.md": "connectors.md",
        "templates/README.md": "templates.md",
        "transforms/README.md": "transforms.md",
    }
    made = {
        Path(name): _filled((FRAME / part).read_text(encoding="utf-8"), words)
        for name, part in files.items()
    }
    made[Path(".env.example")] = "\n".join([*_settings(about), ""])
    for name in SCHEMAS:
        file = schema_path(name)
        made[Path("schemas") / file.name] = file.read_text(encoding="utf-8")
    return made


def _filled(text: str, words: Mapping[str, str]) -> str:
    """A text with the words of this project."""
    return re.sub(
        rf"\b({'|'.join(words)})\b|REMARK",
        lambda match: words[match[0]],
        text,
    )


def _settings(about: Framed) -> Iterator[str]:
    """The variables of live accounts, one a line."""
    yield (
        "# Copy to .env (which git ignores), fill in, and run with --env live. The"
        " process environment goes before this file."
    )
    for connector in (about.source, about.destination):
        connection = connector.connection
        yield f"# {connector.title}: its address, and what signs in there"
        yield f"{connection.base_url_env}={connection.base_url}"
        yield from _empty(list(variables(connection.auth)))
    if own := _VARIABLE.findall(about.text):
        yield "# what the spec takes from the environment"
        yield from _empty(own)


def _empty(names: Sequence[str]) -> Iterator[str]:
    yield from (f"{name}=" for name in dict.fromkeys(names))
