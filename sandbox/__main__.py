"""`python -m sandbox`."""

from sandbox.cli import sandbox

sandbox(prog_name="sandbox")
