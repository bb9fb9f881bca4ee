"""Sandbox accounts for the workbench; the same as those of the stages."""

from tests.stages.conftest import changed, desk

__all__ = ["changed", "desk"]
