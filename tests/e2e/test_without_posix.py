"""What cannot be run here: systems without POSIX's modules. They are taken away from our code, and it works."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.driving import HURRIED, ROOT, SPEC, environment

OURS = ("engine", "transforms", "workbench", "sandbox")
MODULES = ("crypt", "curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
NAMES = {  # what Windows lacks in modules that it has
    "os": ("chown", "fork", "forkpty", "geteuid", "getgid", "getpgid", "getuid", "killpg", "mkfifo", "nice", "openpty",
           "setsid", "setuid", "sync", "uname", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY"),
    "select": ("poll", "epoll", "kqueue"),
    "signal": ("SIGALRM", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "alarm", "pause", "setitimer"),
    "socket": ("AF_UNIX", "socketpair"),
    "time": ("tzset",),
}

START = f"""
import builtins, sys, types

MODULES, NAMES, OURS = {MODULES!r}, {NAMES!r}, {OURS!r}
found = builtins.__import__


class Without(types.ModuleType):
    \"\"\"A module as Windows has it.\"\"\"

    def __init__(self, module):
        super().__init__(module.__name__)
        self.__dict__["whole"] = module

    def __getattr__(self, name):
        if name in NAMES[self.__name__]:
            raise AttributeError(f"{{self.__name__}}.{{name}} is not to be had here")
        return getattr(self.__dict__["whole"], name)


def without(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {{}}).get("__name__", "").split(".")[0] not in OURS:
        return found(name, globals, locals, fromlist, level)
    if name in MODULES:
        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    module = found(name, globals, locals, fromlist, level)
    return Without(module) if name in NAMES else module


builtins.__import__ = without
from workbench.cli import main

sys.argv = ["etl", *sys.argv[1:]]
main()
"""


def etl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `etl` without those modules."""
    env = environment({"PYTHONPATH": str(ROOT), **HURRIED})
    command = [sys.executable, "-c", START, *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.journeys
def test_a_sample_runs_without_posix(tmp_path: Path) -> None:
    """A sample and a look at where it stands work where the POSIX modules are missing."""
    store = ["--store", str(tmp_path / "store.sqlite")]
    ran = etl(tmp_path, "run", str(ROOT / SPEC), "--sample", "20", *store)
    assert ran.returncode in (0, 1), ran.stderr
    assert etl(tmp_path, "status", str(ROOT / SPEC), *store).returncode == 0


def test_a_second_command_is_kept_out_without_posix(tmp_path: Path) -> None:
    """The lock on a store does not need `fcntl` from us."""
    from filelock import FileLock

    with FileLock(tmp_path / "store.sqlite.lock"):
        kept_out = etl(tmp_path, "plan", str(ROOT / SPEC), "--store", str(tmp_path / "store.sqlite"))
    assert kept_out.returncode == 5 and "another etl command is using this store" in kept_out.stderr


def test_no_module_of_ours_needs_posix() -> None:
    """What only POSIX has is asked for nowhere, but for what a line beside it says is guarded."""
    wrong = []
    for folder in OURS:
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                asked = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
                lacks = asked and node.attr in NAMES.get(node.value.id, ())
                guarded = lacks and f'hasattr({node.value.id}, "{node.attr}")' in text
                if set(names) & set(MODULES) or (lacks and not guarded):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []
