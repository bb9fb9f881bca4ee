"""Which emulators exist. Each is imported only when it is asked for, to keep the start quick."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from sandbox.options import Options

# name -> "module:function", of this package; the function takes Options and returns a Starlette
# application whose state.account answers the Account protocol.
PLATFORMS = {
    "stel_order": ".stel_order.app:create",
    "pipedrive": ".pipedrive.app:create",
}

# What stands where the platform's own host (and fixed prefix) stands in a client's settings.
BASE_PATHS = {"stel_order": "/app", "pipedrive": ""}


# What the emulators are made of; it comes with an extra of its own.
PARTS = ("starlette", "uvicorn", "python_multipart")


def missing() -> str:
    """What to do where the emulators' parts are not installed; nothing where they are."""
    gone = [name for name in PARTS if find_spec(name) is None]
    if not gone:
        return ""
    return (
        f"the emulators need {', '.join(gone)} – to install what they need:"
        " pip install 'declared-etl[sandbox]'"
    )


def create(options: Options) -> Starlette:
    """The application that plays the platform named in the options."""
    module, _, function = PLATFORMS[options.name].partition(":")
    return cast("Starlette", getattr(import_module(module, __package__), function)(options))


def base_url(name: str, port: int) -> str:
    """The address clients of that platform are given."""
    return f"http://127.0.0.1:{port}{BASE_PATHS[name]}"
