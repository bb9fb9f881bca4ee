"""Makes a site of these pages and checks it: `python docs/website.py [FOLDER]`.

It needs the extra `docs`. Pages link to files beside docs/, which a site does not have: those are
laid beside the pages as plain text, under `source/`. Exits with 1 and a line for each link of a
made page that leads nowhere.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
TITLES = {
    "workbench": "Working on a mapping",
    "connectors": "Connectors",
    "orchestrators": "Schedulers",
    "decisions": "Decisions",
}
FIRST = (
    "index.md",
    "spec.md",
    "cli.md",
    "transforms.md",
    "report.md",
    "operations.md",
    "sandbox.md",
    "mistakes.md",
)


def main(words: list[str]) -> int:
    """Make the site in a folder; the exit code."""
    target = Path(words[0] if words else ROOT / "var" / "site").resolve()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pages = lay_out(work / "docs")
        (work / "zensical.toml").write_text(
            configuration(pages), encoding="utf-8"
        )
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        made = subprocess.run(
            command, cwd=work, capture_output=True, text=True, check=False
        )
        if made.returncode:
            print(made.stdout, made.stderr, sep="\n", file=sys.stderr)
            return 1
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(work / "site", target)
    dead = list(dead_links(target))
    print(*dead, sep="\n", file=sys.stderr)
    print(f"{len(pages)} pages in {target}; {len(dead)} dead links")
    return 1 if dead else 0


def lay_out(folder: Path) -> list[PurePosixPath]:
    """Pages as the site has them, with the files that they link to; the pages' paths."""
    found = {PurePosixPath("index.md"): ROOT / "README.md"}
    for page in sorted(DOCS.rglob("*.md")):
        found[PurePosixPath(page.relative_to(DOCS).as_posix())] = page
    for path, page in found.items():
        text = LINK.sub(
            lambda link, page=page, path=path: moved(link, page, path, folder),
            page.read_text(encoding="utf-8"),
        )
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return list(found)


def moved(
    link: re.Match[str], page: Path, path: PurePosixPath, folder: Path
) -> str:
    """A link as it stands in the site."""
    name, _, anchor = link[2].partition("#")
    if not name or urlsplit(name).scheme:
        return link[0]
    aimed = (page.parent / unquote(name)).resolve()
    up = "../" * (len(path.parts) - 1)
    if aimed.is_relative_to(DOCS) and aimed.is_file():
        inside = aimed.relative_to(DOCS).as_posix()
        if aimed.suffix != ".md":
            copy(aimed, folder / inside)
        return f"{link[1]}{up}{inside}{'#' + anchor if anchor else ''}{link[3]}"
    if aimed == ROOT / "README.md":
        return f"{link[1]}{up}index.md{'#' + anchor if anchor else ''}{link[3]}"
    return f"{link[1]}{up}{beside(aimed, folder)}{link[3]}"


def beside(aimed: Path, folder: Path) -> str:
    """Where a file of the checkout stands as plain text, or the list of a folder's files."""
    if not aimed.is_relative_to(ROOT) or not aimed.exists():
        raise SystemExit(f"{aimed} is linked to and is not there")
    inside = aimed.relative_to(ROOT).as_posix()
    shown = inside.replace("/.", "/").lstrip(
        "."
    )  # what begins with a dot is left out of a site
    if aimed.is_file():
        copy(aimed, folder / "source" / f"{shown}.txt")
        return f"source/{shown}.txt"
    listed = folder / "source" / shown / "files.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(
        one.relative_to(ROOT).as_posix()
        for one in aimed.rglob("*")
        if one.is_file()
    )
    listed.write_text(
        "\n".join(name for name in names if "__pycache__" not in name),
        encoding="utf-8",
    )
    return f"source/{shown}/files.txt"


def copy(source: Path, target: Path) -> None:
    """One file, its folder made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def configuration(pages: list[PurePosixPath]) -> str:
    """The site's settings: every page in its place, nothing fetched from elsewhere."""
    top = sorted(
        (page for page in pages if len(page.parts) == 1),
        key=lambda page: (rank(page), str(page)),
    )
    lines = [
        "[project]",
        'site_name = "etl"',
        'site_description = "Moves a company\'s records as a YAML spec says"',
        "nav = [",
    ]
    lines += [f'  "{page}",' for page in top]
    for name, title in TITLES.items():
        inner = ", ".join(
            f'"{page}"' for page in sorted(pages) if page.parts[0] == name
        )
        lines.append(f'  {{ "{title}" = [{inner}] }},')
    return "\n".join([*lines, "]", "[project.theme]", "font = false", ""])


def rank(page: PurePosixPath) -> int:
    """What a reader wants first."""
    return FIRST.index(str(page)) if str(page) in FIRST else len(FIRST)


class Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        """Take what leads somewhere, and what can be led to."""
        for name, value in attrs:
            if name in ("href", "src") and value and tag != "link":
                self.links.append(value)
            if name == "id" and value:
                self.anchors.add(value)


def dead_links(site: Path) -> Iterator[str]:
    """A line for every link of the made pages that leads to no file, or to no anchor of a page."""
    parsed = {}
    for page in sorted(site.rglob("*.html")):
        parsed[page] = Links()
        parsed[page].feed(page.read_text(encoding="utf-8"))
    for page, found in parsed.items():
        if page.name != "404.html":  # it may stand anywhere
            for link in found.links:
                if not is_alive(link, page, parsed):
                    yield f"{page.relative_to(site)}: {link} leads nowhere"


def is_alive(link: str, page: Path, parsed: Mapping[Path, Links]) -> bool:
    """Whether a link of a page leads to a file and, where it names one, to an anchor in it."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    aimed = (
        (page.parent / unquote(parts.path)).resolve() if parts.path else page
    )
    if aimed.is_dir():
        aimed /= "index.html"
    if not aimed.is_file():
        return False
    anchor = unquote(parts.fragment)
    return not anchor or aimed not in parsed or anchor in parsed[aimed].anchors


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
