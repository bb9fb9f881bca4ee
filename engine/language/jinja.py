"""Jinja, the one door to it: notes and titles, sandboxed, strict, bounded, escaped where they are
HTML.

A template sees records through `View`s. What it may do is bounded: the turns of its loops, the
length of its text; and it can call only what cannot blow up a small text.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import jinja2
import msgspec
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from engine.values import word
from transforms.found import SHIPPED, Steps

MAX_TEXT = 1_000_000  # characters of any text made on the way
MAX_TURNS = 100_000  # turns of all loops of one rendering
# characters and items that all filters and methods of one rendering are handed
MAX_WORK = 5_000_000
# of the processor for one rendering: what no count foresees ends here
MAX_SECONDS = 2.0
_TEXT = (
    "capitalize",
    "e",
    "escape",
    "lower",
    "replace",
    "safe",
    "string",
    "striptags",
    "title",
    "trim",
    "truncate",
    "upper",
    "wordcount",
)
_LISTS = (
    "count",
    "first",
    "groupby",
    "last",
    "length",
    "list",
    "map",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "sort",
    "sum",
    "unique",
)
_ALLOWED = (
    *_TEXT,
    *_LISTS,
    "abs",
    "d",
    "default",
    "float",
    "int",
    "join",
    "max",
    "min",
    "round",
)
_METHODS = (
    "lower",
    "upper",
    "strip",
    "lstrip",
    "rstrip",
    "startswith",
    "endswith",
    "split",
    "capitalize",
    "title",
)
_REFUSED: dict[type[nodes.Node], str] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
}
_FAILS = (
    jinja2.TemplateError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    AssertionError,
    MemoryError,
)
UNSURE = object()
_A_CALL = 100  # what a call counts for beside the text that it goes over
_A_LOOK = 10_000  # so much is done between two looks at the clock
ESCAPING = ("text_paragraphs", "text_html_escape", "html_clean", "escape", "e")


class _Allowance(msgspec.Struct):
    """What one rendering may still do."""

    turns: int = MAX_TURNS
    work: int = MAX_WORK
    unseen: int = 0  # what was done since the clock was looked at
    # by the thread's clock; 0 while there is too little to look
    until: float = 0.0

    def take(self, turns: int, work: int) -> None:
        """Count it; raises SecurityError once it is too much."""
        self.turns -= turns
        self.work -= work
        if self.turns < 0:
            raise SecurityError(f"its loops run more than {MAX_TURNS:,} times")
        if self.work < 0 or self._is_late(work):
            raise SecurityError("it spends too long on large texts or lists")

    def _is_late(self, work: int) -> bool:
        """Whether the time is over. Asking the thread's clock takes longer than a small text."""
        self.unseen += _A_CALL + work
        if self.unseen < _A_LOOK:
            return False
        self.unseen, now = 0, time.thread_time()
        self.until = self.until or now + MAX_SECONDS
        return now > self.until


_left: ContextVar[_Allowance] = ContextVar("left")


class _Turns(list[Any]):
    """What a loop iterates over; each turn checks the clock."""

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            _left.get().take(0, 0)
            yield item


class _Unknown(jinja2.StrictUndefined):
    """An unknown name, reported in the words of a spec."""

    @property
    def _undefined_message(self) -> str:
        why = f"there is no field {self._undefined_name!r}"
        if self._undefined_obj is None:
            why = f"there is nothing to take {self._undefined_name!r} from"
        return self._undefined_hint or why


class View:
    """A record as templates see it: `full-reference` is `full_reference`, and nothing else is
    accessible.

    A plain dict would answer `order.items` with its own method.
    """

    __slots__ = ("_body", "_known")

    def __init__(self, body: Mapping[str, Any], known: frozenset[str]) -> None:
        self._body = body
        self._known = known

    def __getitem__(self, name: str) -> Any:
        key = name if name in self._body else name.replace("_", "-")
        if key not in self._body:
            key = next(
                (
                    other
                    for other in self._body
                    if other.replace("-", "_") == name
                ),
                name,
            )
        if key in self._body:
            return seen(self._body[key], self._known)
        if name in self._known:
            return None
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        try:
            self[name]
        except KeyError:
            return False
        return True

    def __bool__(self) -> bool:
        return bool(self._body)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, View) and self._body == other._body

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        raise TypeError(
            "a record cannot be written as text; name one of its fields"
        )


def seen(value: Any, known: frozenset[str]) -> Any:
    """A value as templates see it; fields in `known` that a record lacks are empty, not unknown."""
    if isinstance(value, dict):
        return View(value, known)
    if isinstance(value, list):
        return [seen(item, known) for item in value]
    return value


def _bare(value: Any) -> Any:
    """The value behind what a template sees."""
    if isinstance(value, View):
        return value._body
    return [_bare(item) for item in value] if isinstance(value, list) else value


# -- what a template may do


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with operators that cannot multiply text and methods that cannot lengthen it."""

    compiled: Callable[[str], jinja2.Template]
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def wrap_str_format(self, value: Any) -> None:
        """No `format`: it pads a text to any length."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, tuple) and attr in ("grouper", "list"):
            return True
        if isinstance(obj, str | bytes | list | tuple | dict | int | float):
            return isinstance(obj, str) and attr in _METHODS
        return super().is_safe_attribute(obj, attr, value)

    def call(
        __self,  # noqa: N805
        __context: Any,
        __obj: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """A method of a text goes over it."""
        _left.get().take(0, _size(getattr(__obj, "__self__", "")))
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(
        self, context: Any, operator: str, left: Any, right: Any
    ) -> Any:
        numbers = all(
            isinstance(item, int | float) and abs(item) < 1e30
            for item in (left, right)
        )
        if operator == "**" or not (
            numbers
            or (
                operator == "+"
                and isinstance(left, str)
                and isinstance(right, str)
            )
        ):
            raise SecurityError(f"{operator} works with numbers only")
        return _bounded(super().call_binop(context, operator, left, right))


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise SecurityError(f"the text is longer than {MAX_TEXT:,} characters")
    return value


def _shown(value: Any) -> Any:
    """A value as it is put into the text: nothing is empty, and a list or record is refused."""
    if isinstance(value, str | jinja2.Undefined):
        return _bounded(value)
    if value is None or isinstance(value, int | float):
        return word(value)
    raise SecurityError(
        "a list or record cannot be written as text; join the list, or name a field of the"
        " record"
    )


def _turning(items: Any) -> list[Any]:
    """What a loop iterates over, its turns counted."""
    found = [] if items is None else list(items)
    _left.get().take(len(found), 0)
    return _Turns(found)


def _range(*args: int) -> list[int]:
    return _turning(range(*args)[: MAX_TURNS + 1])


def _flat(items: Any) -> Any:
    """A list written in the template; lists of lists could double without end."""
    if any(
        isinstance(item, list | tuple | dict)
        for item in (items.values() if isinstance(items, dict) else items)
    ):
        raise SecurityError("a list in a template cannot hold lists")
    return items


def _guarded(
    function: Callable[..., Any], name: str = ""
) -> Callable[..., Any]:
    """A filter that refuses to multiply large texts; one of texts gets a text, and one without a
    name, which is a step, the plain value.
    """
    # how many arguments are Jinja's own, before the value
    place = hasattr(function, "jinja_pass_arg")

    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        value, *rest = args[place:]
        _left.get().take(0, _size(value))
        longest = max(
            (
                len(item)
                for item in [*rest, *named.values()]
                if isinstance(item, str)
            ),
            default=0,
        )
        if longest > 100 and longest * _size(value) > MAX_TEXT:
            raise SecurityError("the text becomes too long")
        if name in _LISTS and value is None:
            value = []  # a list that is not there is empty, as everywhere in a spec
        elif name in _TEXT:
            value = _shown(value)
        elif not name:
            value = _bare(value)
        return _bounded(function(*args[:place], value, *rest, **named))

    return run


def _join(join: Callable[..., str]) -> Callable[..., str]:
    """Jinja's join, for texts only; what is nothing is left empty."""

    @functools.wraps(join)
    def run(
        context: Any, value: Any, d: str = "", attribute: str | None = None
    ) -> str:
        value = [] if value is None else value
        _left.get().take(0, _size(value))
        picked = (
            [context.environment.getitem(item, attribute) for item in value]
            if attribute
            else value
        )
        parts = [_shown(item) for item in picked]
        if (
            len(d) * len(parts) + sum(len(str(part)) for part in parts)
            > MAX_TEXT
        ):
            raise SecurityError("the text becomes too long")
        return join(context, parts, d)

    return run


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 1


class _Bounding(NodeTransformer):
    """Counts every turn of a loop and every call of a macro, and checks every text that is output
    or joined.
    """

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802 - Jinja's names
        self.generic_visit(node)
        node.nodes = [
            part
            if isinstance(part, nodes.TemplateData)
            else _through("shown_", part)
            for part in node.nodes
        ]
        return node

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        self.generic_visit(node)
        node.iter = _through("turning_", node.iter)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:  # noqa: N802
        self.generic_visit(node)
        turn = nodes.List(
            [nodes.Const(1, lineno=node.lineno)], lineno=node.lineno
        )
        node.body = [
            nodes.ExprStmt(_through("turning_", turn), lineno=node.lineno),
            *node.body,
        ]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_through("shown_", part) for part in node.nodes]
        return _through("shown_", node)

    def _written(self, node: nodes.Node) -> nodes.Node:
        self.generic_visit(node)
        target = isinstance(node, nodes.Tuple) and node.ctx != "load"
        return node if target else _through("flat_", node)

    visit_List = visit_Dict = visit_Tuple = _written  # noqa: N815


_BOUNDS = ("turning_", "shown_", "flat_")


def _through(name: str, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


@functools.lru_cache(maxsize=16)
def _environment(html: bool, steps: Steps) -> _Environment:
    environment = _Environment(
        undefined=_Unknown,
        autoescape=html,
        # no loader: no include, no import: a template is one file
        trim_blocks=True,
        lstrip_blocks=True,
        # folding constants takes a third of the time to compile, and changes what is inspected
        optimized=False,
    )
    environment.filters = {
        **{name: _guarded(FILTERS[name], name) for name in _ALLOWED},
        **{
            filter: _guarded(steps.functions[name])
            for filter, name in steps.filters.items()
        },
        "turning_": _turning,
        "shown_": _shown,
        "flat_": _flat,
        "join": _join(FILTERS["join"]),
    }
    environment.globals = {"range": _range}
    # kept as long as the environment, and with it the steps
    environment.compiled = functools.lru_cache(maxsize=512)(
        functools.partial(_compile, environment)
    )
    return environment


def filter_names(steps: Steps) -> list[str]:
    """Every filter that a template may name."""
    found = _environment(True, steps).filters
    return [name for name in found if not name.endswith("_")]


def _compile(environment: _Environment, source: str) -> jinja2.Template:
    code = environment.compile(_parsed(source), filename="<template>")
    return jinja2.Template.from_code(
        environment, code, dict(environment.globals)
    )


@functools.lru_cache(maxsize=64)
def _parsed(source: str) -> nodes.Template:
    """A template, to inspect and to compile, with its bounds."""
    environment = _environment(True, SHIPPED)
    tree: nodes.Template = _Bounding().visit(environment.parse(source))
    tree.set_environment(environment)
    return tree


def syntax_problem(
    source: str, steps: Steps = SHIPPED
) -> tuple[str, int] | None:
    """What is wrong with a template and in which of its lines; None when it can be compiled."""
    try:
        kinds: tuple[type[nodes.Node], ...] = (nodes.For, *_REFUSED)
        for node in _parsed(source).find_all(kinds):
            name = _REFUSED.get(type(node), "a recursive loop")
            if not isinstance(node, nodes.For) or node.recursive:
                return (
                    f"{name} is not allowed: a template is a single file that has to end",
                    node.lineno,
                )
        _environment(True, steps).compiled(source)
        return _unknown(source, steps)
    except jinja2.TemplateSyntaxError as error:
        return error.message or "not a template", error.lineno
    except (
        SyntaxError
    ) as error:  # Python's own: an argument twice, blocks too deep
        return str(error.msg), 1
    except (RecursionError, MemoryError):
        return "it is nested too deeply, or one expression is too long", 1
    except (jinja2.TemplateError, ValueError, AssertionError) as error:
        return str(error), 1


def _unknown(source: str, steps: Steps) -> tuple[str, int] | None:
    """A filter or a test that does not exist in a branch: Jinja looks for it when that is taken."""
    known = _environment(True, steps)
    for kind, node_type, names in (
        ("filter", nodes.Filter, known.filters),
        ("test", nodes.Test, known.tests),
    ):
        for node in _parsed(source).find_all(node_type):
            if node.name not in names:
                return f"No {kind} named {node.name!r}.", node.lineno
    return None


def render(
    source: str, html: bool, values: Mapping[str, Any], steps: Steps = SHIPPED
) -> str:
    """The text a template renders from the values; raises ValueError where it cannot."""
    template = _environment(html, steps).compiled(source)
    token = _left.set(_Allowance())
    try:
        return "".join(_chunks(template, values)).strip()
    except _FAILS as error:
        raise ValueError(f"the template cannot be rendered: {error}") from None
    finally:
        _left.reset(token)


def _chunks(
    template: jinja2.Template, values: Mapping[str, Any]
) -> Iterator[str]:
    length = 0
    for chunk in template.root_render_func(template.new_context(dict(values))):
        length += len(chunk)
        if length > MAX_TEXT:
            raise SecurityError(
                f"the text is longer than {MAX_TEXT:,} characters"
            )
        yield chunk


# -- what a template reads


Names = tuple[str, ...]
Bound = dict[str, Names | None]
Uses = Iterator[tuple[Names, int]]  # each with its line
_SAME = (
    "sort",
    "selectattr",
    "rejectattr",
    "select",
    "reject",
    "list",
    "reverse",
    "unique",
    "default",
    "d",
    *_BOUNDS,
)
_ONE = ("first", "last")
_BY_NAME = (
    "sort",
    "map",
    "selectattr",
    "rejectattr",
    "groupby",
    "sum",
    "min",
    "max",
    "unique",
)


@functools.lru_cache(maxsize=64)
def paths_used(source: str) -> tuple[tuple[Names, int], ...]:
    """Every name a template reads, as a path, with its line.

    A loop variable is followed to what it loops over: in `{% for l in lines %}{{ l.units }}` the
    path `("lines", "*", "units")` is used.
    """
    return tuple(_walk(_parsed(source), {}))


class FilterCall(msgspec.Struct, frozen=True):
    """A filter as a template calls it; an argument that only a record decides is UNSURE."""

    name: str
    line: int
    args: tuple[Any, ...]
    named: Mapping[str, Any]
    escaped: bool  # whether it is handed escaped text
    open: bool  # further arguments come from a list or mapping of the record


def filters_used(source: str) -> list[FilterCall]:
    """Every filter a template calls."""
    return [
        FilterCall(
            node.name,
            node.lineno,
            tuple(_constant(item) for item in node.args),
            {str(item.key): _constant(item.value) for item in node.kwargs},
            _is_escaped(node.node),
            bool(node.dyn_args or node.dyn_kwargs),
        )
        for node in _parsed(source).find_all(nodes.Filter)
        if node.name not in _BOUNDS
    ]


def filters_named(source: str) -> set[str]:
    """Every filter that a template may call, also those that `map` is given the names of."""
    tree = _parsed(source)
    named = {str(node.value) for node in tree.find_all(nodes.Const)}
    return named | {node.name for node in tree.find_all(nodes.Filter)}


def _constant(node: nodes.Expr) -> Any:
    try:
        return node.as_const()
    except (nodes.Impossible, *_FAILS):
        return UNSURE


def _is_escaped(node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.Const) or (
        isinstance(node, nodes.Filter) and node.name in ESCAPING
    )


def misuse(call: FilterCall, steps: Steps = SHIPPED) -> str:
    """Why a filter cannot be called with so many arguments of these names; "" where it can."""
    function = _environment(True, steps).filters[call.name]
    # what is handed to Jinja's own wrapper is no argument of the filter that it wraps
    places = 1 + hasattr(inspect.unwrap(function), "jinja_pass_arg")
    try:
        inspect.signature(function).bind(
            *range(places), *call.args, **call.named
        )
    except TypeError as error:
        return str(error)
    except ValueError:  # a function of C that does not show what it takes
        return ""
    return ""


def _walk(node: nodes.Node, bound: Bound) -> Uses:
    match node:
        case nodes.For():
            yield from _walk(node.iter, bound)
            inner = {**bound, "loop": None} | _bind(
                node.target, _path(node.iter, bound), element=True
            )
            for child in [*node.body, *([node.test] if node.test else [])]:
                yield from _walk(child, inner)
            yield from _walk_all(node.else_, bound)
        case nodes.Assign():
            yield from _walk(node.node, bound)
            bound |= _bind(node.target, _path(node.node, bound))
        case nodes.Call(
            node=nodes.Getattr(node=owner)
        ):  # a method: `name.upper()`
            yield from _walk_all([owner, *node.args, *node.kwargs], bound)
        case (
            nodes.AssignBlock()
            | nodes.With()
            | nodes.Macro()
            | nodes.CallBlock()
        ):
            yield from _walk_scope(node, bound)
        case _:
            path = _path(node, bound)
            if path:
                yield path, node.lineno
                yield from _besides(node, bound)
            else:
                yield from _walk_all(node.iter_child_nodes(), bound)
                yield from _by_name(node, bound)


def _walk_all(children: Iterable[nodes.Node], bound: Bound) -> Uses:
    for child in children:
        yield from _walk(child, bound)


def _walk_scope(
    node: nodes.AssignBlock | nodes.With | nodes.Macro | nodes.CallBlock,
    bound: Bound,
) -> Uses:
    """Blocks with names of their own: the arguments of a macro are not followed."""
    before: list[nodes.Expr] = []
    if isinstance(node, nodes.Macro):
        bound[node.name] = None
        before = node.defaults
    elif isinstance(node, nodes.With):
        before = node.values
    elif isinstance(node, nodes.CallBlock):
        before = [node.call]
    yield from _walk_all(before, bound)

    inner = dict(bound)
    if isinstance(node, nodes.Macro | nodes.CallBlock):
        own = ["caller", "varargs", "kwargs", *(arg.name for arg in node.args)]
        inner |= dict.fromkeys(own)
    elif isinstance(node, nodes.With):
        for target, value in zip(node.targets, node.values, strict=True):
            inner |= _bind(target, _path(value, bound))
    yield from _walk_all(node.body, inner)
    if isinstance(node, nodes.AssignBlock):
        bound |= _bind(node.target, None)


def _bind(
    target: nodes.Node, path: Names | None, element: bool = False
) -> Bound:
    """The names that a loop or a `set` binds; a path only where one name stands for one value."""
    if isinstance(target, nodes.Name):
        return {target.name: (*path, "*") if path and element else path}
    return {name.name: None for name in target.find_all(nodes.Name)}


def _besides(node: nodes.Node | None, bound: Bound) -> Uses:
    """What is read beside the path in a node that is one: by the arguments of its filters."""
    while isinstance(node, nodes.Filter | nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Filter):
            yield from _walk_all([*node.args, *node.kwargs], bound)
            yield from _by_name(node, bound)
        node = node.node


def _by_name(node: nodes.Node, bound: Bound) -> Uses:
    """Fields named by a text: `sort(attribute='order')`, `selectattr('deleted')`."""
    if not isinstance(node, nodes.Filter) or node.name not in _BY_NAME:
        return
    over = _path(node.node, bound) if node.node else None
    if not over:
        return
    named = [item.value for item in node.kwargs if item.key == "attribute"]
    if node.name in ("selectattr", "rejectattr", "groupby"):
        named += node.args[:1]
    for item in named:
        if isinstance(item, nodes.Const) and isinstance(item.value, str):
            yield (*over, "*", *item.value.split(".")), node.lineno


def _path(node: nodes.Node, bound: Mapping[str, Names | None]) -> Names | None:
    """The path a node reads, or None where it is not a plain path."""
    last: Names = ()
    match node:
        case nodes.Name():
            return bound.get(node.name, (node.name,))
        case nodes.Getattr(node=of):
            last = (node.attr,)
        case nodes.Getitem(node=of, arg=nodes.Const(value=place)):
            last = (place if isinstance(place, str) else "*",)
        case nodes.Filter(node=nodes.Node() as of) if node.name in _ONE:
            last = ("*",)
        case nodes.Filter(node=nodes.Node() as of) if node.name in _SAME:
            pass
        case _:
            return None
    inner = _path(of, bound)
    return (*inner, *last) if inner else None
