"""Jinja, the one door to it: notes and titles, sandboxed, strict, escaped where they are HTML."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from transforms import STEPS

MAX_RANGE = 10_000


def _environment(html: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        autoescape=html,
        loader=None,  # no include, no import: a template is one file
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name.replace(".", "_"): step for name, step in STEPS.items()}
    environment.globals = {"range": lambda *args: range(*args)[:MAX_RANGE]}
    return environment


_ENVIRONMENTS = {html: _environment(html) for html in (True, False)}


@functools.lru_cache(maxsize=512)
def _compiled(source: str, html: bool) -> jinja2.Template:
    return _ENVIRONMENTS[html].from_string(source)


def syntax_problem(source: str) -> tuple[str, int] | None:
    """What is wrong with a template and in which of its lines; None when it can be compiled."""
    try:
        _compiled(source, True)
    except jinja2.TemplateSyntaxError as error:
        return error.message or "not a template", error.lineno
    except jinja2.TemplateError as error:
        return str(error), 1
    return None


def render(source: str, html: bool, values: Mapping[str, Any]) -> str:
    """The text a template makes of the values; raises ValueError where it cannot."""
    try:
        return _compiled(source, html).render(values).strip()
    except (jinja2.TemplateError, TypeError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"the template cannot be rendered: {error}") from None


def names(value: Any) -> Any:
    """A record as templates see it: `full-reference` is `full_reference`."""
    if isinstance(value, Mapping):
        return {key.replace("-", "_"): names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [names(item) for item in value]
    return value


def paths_used(source: str) -> list[tuple[tuple[str, ...], int]]:
    """Every name a template reads, as a path, with its line.

    A loop variable is followed to what it loops over: in `{% for l in lines %}{{ l.units }}` the
    path `("lines", "*", "units")` is used.
    """
    tree = _ENVIRONMENTS[True].parse(source)
    return list(_walk(tree, {}))


def _walk(node: nodes.Node, bound: dict[str, tuple[str, ...] | None]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, nodes.For):
        over = _path(node.iter, bound)
        yield from _walk(node.iter, bound)
        inner = {**bound, "loop": None}
        for name in node.target.find_all(nodes.Name) if not isinstance(node.target, nodes.Name) else [node.target]:
            inner[name.name] = (*over, "*") if over and isinstance(node.target, nodes.Name) else None
        for child in [*node.body, *node.else_, *([node.test] if node.test else [])]:
            yield from _walk(child, inner)
        return
    if isinstance(node, nodes.Assign):
        yield from _walk(node.node, bound)
        for name in [node.target] if isinstance(node.target, nodes.Name) else node.target.find_all(nodes.Name):
            bound[name.name] = _path(node.node, bound)
        return
    path = _path(node, bound)
    if path:
        yield path, node.lineno
        return
    for child in node.iter_child_nodes():
        yield from _walk(child, bound)


def _path(node: nodes.Node, bound: Mapping[str, tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """The path a node reads, or None where it is not a plain path."""
    if isinstance(node, nodes.Name):
        return bound[node.name] if node.name in bound else (node.name,)
    if isinstance(node, nodes.Getattr):
        inner = _path(node.node, bound)
        return (*inner, node.attr) if inner else None
    if isinstance(node, nodes.Filter) and node.name in ("sort", "selectattr", "rejectattr", "list", "reverse"):
        return _path(node.node, bound) if node.node else None
    return None
