"""Redmine as Debian packages it: had, seeded and started here, and read and changed as people do."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.strangers.servers import (
    Absent,
    Account,
    Dump,
    Row,
    Stranger,
    answered,
    cache,
)

SEED = Path(__file__).with_name("redmine_seed.rb")
KEY = "5ca1ab1e0ddba11c0ffee5eed5b1ade5f1a5c0de"
PACKAGE = "redmine"
NEEDS = "redmine-sqlite"  # the database driver
SEEDING_S = 180


# -- had: the libraries from apt, the program itself unpacked beside the other strangers


def installed() -> Path:
    """Redmine's own files; what they need is installed with apt where it is not there yet. Raises Absent.

    The package itself is only unpacked: its installation makes an account in /var/lib, and breaks off where a security
    update has brought another Bundler.
    """
    folder = cache() / PACKAGE
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "usr/share/redmine/config.ru").exists():
            _unpacked(folder)
    if not shutil.which("bundle"):
        raise Absent(f"{PACKAGE} is in {folder}, but Ruby is gone from this machine – remove that folder, then run again")
    return folder / "usr/share/redmine"


def _unpacked(folder: Path) -> None:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Absent(f"{PACKAGE} cannot be installed here: it comes from Debian with apt, as root – run these tests in a Debian 12 container")
    needs = next((line for line in _apt("apt-cache", "show", PACKAGE).splitlines() if line.startswith("Depends: ")), "")
    _apt("apt-get", "satisfy", "-y", "--no-install-recommends", f"{NEEDS}, {needs.removeprefix('Depends: ')}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    _apt("apt-get", "download", "-o", "APT::Sandbox::User=root", PACKAGE, at=folder)
    _apt("dpkg-deb", "-x", *map(str, folder.glob("*.deb")), str(folder))


def _apt(*command: str, at: Path | None = None) -> str:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(command, cwd=at, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise Absent(f"{PACKAGE} cannot be installed here: {' '.join(command[:2])}: {said[-1][:200]} – is there a Debian mirror?")
    return done.stdout


# -- started


def _command(programs: Path, folder: Path, port: int) -> Sequence[str]:
    """A copy of the program with a database, files and logs of its own, seeded; how it is served."""
    home = folder / "redmine"
    shutil.copytree(programs, home, symlinks=True, ignore=shutil.ignore_patterns("Gemfile.lock", "database.yml", "instances"))
    own = home / "instances/default"
    for name in ("config", "files", "log", "tmp"):
        (own / name).mkdir(parents=True)
    database = f"production: {{adapter: sqlite3, database: {own / 'redmine.sqlite'}, timeout: 15000}}\n"
    (own / "config/database.yml").write_text(database, encoding="utf-8")
    (home / "Gemfile.local").write_text("gem 'webrick'\n", encoding="utf-8")
    gems = (home / "Gemfile").read_text(encoding="utf-8")
    (home / "Gemfile").write_text(gems.replace("/usr/share/redmine/{config,", f"{home}/{{config,"), encoding="utf-8")
    env = _environment(folder, home)
    for step in (["install", "--local", "--quiet"], ["exec", "rake", "db:migrate"], ["exec", "rails", "runner", str(SEED)]):
        done = subprocess.run(
            [*env, "bundle", *step], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SEEDING_S, check=False
        )
        assert done.returncode == 0, f"bundle {' '.join(step)}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return [*env, "bundle", "exec", "rails", "server", "-u", "webrick", "-b", "127.0.0.1", "-p", str(port)]


def _environment(folder: Path, home: Path) -> list[str]:
    """Folder and variables as `env` takes them. Debian's own Bundler knows Debian's gems; Ruby's may be newer and does not."""
    version = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "ruby-bundler"], capture_output=True, text=True, check=True
    ).stdout.partition("-")[0]
    wanted = {
        "BUNDLER_VERSION": version, "BUNDLE_APP_CONFIG": str(folder / "bundle"), "BUNDLE_SILENCE_ROOT_WARNING": "1", "HOME": str(folder),
        "RAILS_ENV": "production", "SECRET_KEY_BASE": KEY * 2, "SEED_KEY": KEY, "SCHEMA": "/dev/null", "LC_ALL": "C.UTF-8", "TZ": "UTC",
    }  # fmt: skip
    return ["env", "-C", str(home), *(f"{name}={value}" for name, value in wanted.items())]


REDMINE = Stranger("redmine", installed, _command, "/login")


# -- read and changed

LISTS = {
    "projects": "status=1|5", "users": "status=", "issues": "status_id=*&sort=id", "time_entries": "", "issue_statuses": "", "trackers": "",
    "issue_priorities": "", "memberships": "", "versions": "",
}  # fmt: skip
BELOW = ("memberships", "versions")  # listed below each project
ALONE = {"projects": "project", "users": "user", "issues": "issue"}  # a single reading tells more
MORE = {"issues": "?include=journals,attachments,relations"}


def redmine_account(origin: str) -> Account:
    """The seeded account, called by its administrator."""
    key = {"x-redmine-api-key": KEY}

    def call(method: str, path: str, body: Any = None) -> Any:
        return answered(httpx.request(method, f"{origin}{path}", headers=key, json=body, timeout=30))

    def read() -> Dump:
        with httpx.Client(base_url=origin, headers=key, timeout=30) as http:
            return _read(http)

    return Account(origin, "REDMINE_BASE_URL", {"REDMINE_API_KEY": KEY}, read, call)


def _read(http: httpx.Client) -> Dump:
    """Every row, with what only a single reading tells and what is in its files."""
    found: Dump = {}
    for name, query in LISTS.items():
        rows = list(_rows(http, name, query, list(found.get("projects", ()))))
        if name in ALONE:
            rows = [answered(http.get(f"/{name}/{row['id']}.json{MORE.get(name, '')}"))[ALONE[name]] for row in rows]
        found[name] = {str(row["id"]): row for row in rows}
    for file in (file for row in found["issues"].values() for file in row.get("attachments", ())):
        file["sha256"] = hashlib.sha256(http.get(file["content_url"]).raise_for_status().content).hexdigest()
    return found


def _rows(http: httpx.Client, name: str, query: str, projects: Sequence[str]) -> Iterator[Row]:
    """Seven at a time; not the way the connector walks."""
    place = f"enumerations/{name}" if name == "issue_priorities" else name
    for path in [f"/projects/{project}/{name}.json" for project in projects] if name in BELOW else [f"/{place}.json"]:
        offset, total = 0, 1
        while offset < total:
            page = answered(http.get(f"{path}?{query}&limit=7&offset={offset}"))
            yield from page[name]
            offset, total = offset + len(page[name]), page.get("total_count", 0)
