"""Templates as a language: what they may do, how far they may go, and what is known of them before they run."""

from __future__ import annotations

import time
from typing import Any

import pytest

from engine.language.jinja import (
    UNSURE,
    FilterCall,
    View,
    filter_names,
    filters_used,
    misuse,
    paths_used,
    render,
    seen,
    syntax_problem,
)
from engine.language.templates import said
from transforms.found import SHIPPED

DOUBLED = "{% set x = 'aaaaaaaaaaaaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 15


def made(source: str, html: bool = True, known: tuple[str, ...] = (), **values: Any) -> str:
    """What a good template makes of records."""
    assert syntax_problem(source) is None
    return render(source, html, {name: seen(value, frozenset(known)) for name, value in values.items()})


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ x.__init__.__globals__ }}",
        "{{ x._body }}",
        "{{ x._known }}",
        "{{ (x | list) }}",
        "{{ x.__getitem__('a') }}",
        "{{ range.__self__ }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ loop }}",
        "{{ lipsum() }}",
        "{{ cycler }}",
        "{{ joiner }}",
        "{{ namespace() }}",
        "{{ dict(a=1) }}",
        "{{ x | attr('__class__') }}",
        "{{ 'a'.format(1) }}",
        "{{ '%s' | format(1) }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ '{0.__class__}'.format_map(x) }}",
        "{{ 'a'.encode() }}",
        "{{ [1].append(2) }}",
        "{{ {}.update(a=1) }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% for a in x.rows recursive %}{{ loop(x.rows) }}{% endfor %}",
        "{{ x }}",
        "{{ x.rows }}",
        "{{ x.rows | string }}",
        "{{ range }}",
        "{{ 'a'.upper }}",
        "{{ x.rows | upper }}",
        "{{ x.missing }}",
        "{{ missing }}",
        "{{ 1 / 0 }}",
        "{{ 'a' + 1 }}",
        "{{ 1 < 'a' }}",
        "{{ x() }}",
        "{{ x.rows | sum }}",
    ],
)
def test_refused(source: str) -> None:
    """What leads out of the sandbox, into another file or to a Python object's own text is refused, as ValueError or at compiling."""
    if syntax_problem(source) is None:
        with pytest.raises(ValueError, match=r"^the template cannot be rendered: "):
            print(render(source, True, {"x": seen({"a": 1, "rows": [{"b": 1}]}, frozenset())}))


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * 'a' }}",
        "{{ [1] * 1000000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ 'a'.center(1000000000) }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a'.zfill(1000000000) }}",
        "{{ '\t'.expandtabs(1000000000) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a' | indent(1000000000) }}",
        "{{ [1] | batch(1000000000, 'x') }}",
        "{{ [1] | slice(1000000000) }}",
        "{{ {} | tojson(indent=1000000000) }}",
        "{% for a in range(1000000000) %}{% endfor %}",
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% for a in range(10000) %}{{ range(10000) | sum }}{% endfor %}",
        "{% for a in range(90000) %}" + "x" * 50 + "{% endfor %}",
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
        "{% set x = 'aaaa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% set x = 'aaaa' %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
        "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x | string }}",
        "{% set x = [1] %}" + "{% set x = (x, x) %}" * 60 + "{{ x == x }}",
        "{% set x = {'a': 1} %}" + "{% set x = {'a': x, 'b': x} %}" * 60 + "{{ x.a }}",
        "{% set x = 9 %}" + "{% set x = x * x %}" * 60 + "{{ x }}",
        DOUBLED + "{{ x | replace('a', x) }}",
        DOUBLED + "{{ x | join(x) }}",
        DOUBLED + "{{ x | text_replace(old='a', new=x) }}",
        DOUBLED + "{{ x | list | text_join(separator=x) }}",
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    ],
)
def test_bounded(source: str) -> None:
    """No template takes long or makes a large text: it ends in a refusal instead."""
    began = time.process_time()
    if syntax_problem(source) is None:
        with pytest.raises(ValueError, match=r"^the template cannot be rendered: "):
            render(source, True, {})
    assert time.process_time() - began < 3


def test_what_is_bounded_is_still_wide() -> None:
    """A document of two thousand lines with notes is rendered."""
    lines = [{"name": f"line {number}", "notes": [{"text": "a"}] * 10} for number in range(2000)]
    source = "{% for l in lines %}<tr><td>{{ l.name }}</td>{% for n in l.notes %}<td>{{ n.text }}</td>{% endfor %}</tr>{% endfor %}"
    assert len(made(source, lines=lines)) > 200_000


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ a.items }}{{ a.keys }}{{ a.get }}", "123"),
        ("{{ a['items'] }}", "1"),
        ("{{ b_c.d_e }}", "x"),
        ("{{ b_c.known }}|{{ b_c.known ~ '' }}", "|"),
        ("{{ 'yes' if b_c else 'no' }}{{ 'yes' if none else 'no' }}{{ 'yes' if void else 'no' }}", "yesnono"),
        ("{{ a == a2 }}{{ a == b_c }}", "truefalse"),
        ("{{ name.upper() }}{{ name.split('n') | join('-') }}", "ANAa-a"),
        ("{{ rows[0].n }}{{ (rows | first).n }}{{ (rows | last).n }}{{ rows[1]['n'] }}", "1122"),
        (
            "{{ rows | map(attribute='n') | join('-') }}{{ rows | sum(attribute='n') }}{{ rows | join('+', attribute='n') }}",
            "1-231+2",
        ),
        ("{% for g, l in rows | groupby('n') %}{{ g }}:{{ l | length }} {% endfor %}", "1:1 2:1"),
        ("{% for g in rows | groupby('n') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}", "1121"),
        ("{% for r in rows | selectattr('n', 'gt', 1) %}{{ r.n }}{% endfor %}", "2"),
        ("{% set first, second = (1, 2) %}{{ first + second }}{{ 7 // 2 }}{{ 7 % 4 }}{{ 2 * 3 }}", "3336"),
        ("{% macro row(r) %}[{{ r.n }}]{% endmacro %}{% for r in rows %}{{ row(r) }}{% endfor %}", "[1][2]"),
        ("{% with w = b_c.d_e %}{{ w }}{% endwith %}{% set block %}y{% endset %}{{ block }}", "xy"),
        ("{{ none | default('q', true) }}{{ missing | default('q') }}{{ b_c.missing is defined }}", "qqfalse"),
        ("{{ ['<', none, 1.0] | join(',') }}{{ '<' | safe }}{{ '<' ~ '>' }}", "&lt;,,1<&lt;&gt;"),
        ("{{ {'a': 1}.a }}{{ {'a': 1}['a'] }}", "11"),
        ("{% for i in range(3) %}{{ i }}{{ loop.cycle('a', 'b') }}{% endfor %}", "0a1b2a"),
    ],
)
def test_language(source: str, text: str) -> None:
    """Templates see fields by their names, lists and loops, and nothing of Python behind them."""
    record = {"items": 1, "keys": 2, "get": 3}
    values: dict[str, Any] = {
        "a": record, "a2": dict(record), "b_c": {"d-e": "x"}, "none": None, "void": {}, "name": "ana", "rows": [{"n": 1}, {"n": 2}],
    }  # fmt: skip
    assert made(source, known=("known",), **values) == text


def test_a_view_gives_no_text() -> None:
    """A record has no text form that could slip into a note."""
    with pytest.raises(TypeError, match="cannot be written as text"):
        str(View({"a": 1}, frozenset()))


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("{{ a }}{{ b.c }}", ["a", "b.c"]),
        ("{{ a['b-c'].d }}{{ a[0].e }}", ["a.b-c.d", "a.*.e"]),
        ("{% for l in lines %}{{ l.untis }}{{ loop.index }}{% endfor %}", ["lines", "lines.*.untis"]),
        ("{% for l in lines | sort(attribute='order') if not l.gone %}{{ l.n }}{% else %}{{ z }}{% endfor %}",
         ["lines", "lines.*.order", "lines.*.gone", "lines.*.n", "z"]),
        ("{% for l in lines %}{% for n in l.notes %}{{ n.text }}{% endfor %}{% endfor %}", ["lines", "lines.*.notes", "lines.*.notes.*.text"]),
        ("{% for k, v in pairs %}{{ k }}{{ v.x }}{% endfor %}", ["pairs"]),
        ("{% for l in lines %}{{ l }}{% endfor %}{{ l }}", ["lines", "lines.*", "l"]),
        ("{{ lines | selectattr('gone', 'equalto', total.value) | list }}", ["lines", "lines.*.gone", "total.value"]),
        ("{{ (lines | first).id }}{{ lines | map(attribute='a.b') | join }}", ["lines.*.id", "lines", "lines.*.a.b"]),
        ("{{ lines | sum(attribute='n') }}{{ lines | length }}", ["lines", "lines.*.n"]),
        ("{% set x = account.address %}{{ x.city }}", ["account.address", "account.address.city"]),
        ("{% set x = account if paid else other %}{{ x.city }}", ["account", "paid", "other"]),
        ("{% set a, b = pair %}{{ a.x }}{{ c }}", ["pair", "c"]),
        ("{% macro m(p, q=d) %}{{ p.x }}{{ q }}{{ g }}{{ varargs }}{% endmacro %}{{ m(arg.z) }}", ["d", "g", "arg.z"]),
        ("{% call m(x) %}{{ y }}{% endcall %}", ["m", "x", "y"]),
        ("{% with w = b.c %}{{ w.d }}{% endwith %}{{ w }}", ["b.c", "b.c.d", "w"]),
        ("{% set t %}{{ inner }}{% endset %}{{ t }}", ["inner"]),
        ("{{ name.upper() }}{{ name.startswith(prefix) }}", ["name", "prefix"]),
        ("{{ a | money_format(currency=code or settings.currency) }}", ["a", "code", "settings.currency"]),
        ("{{ a | default(b.c) }}{{ x if y else z }}{{ not u and (v or w) }}{{ 1 + n }}{{ s ~ t }}{{ p < q }}",
         ["a", "b.c", "x", "y", "z", "u", "v", "w", "n", "s", "t", "p", "q"]),
        ("{{ [a.b, {'k': c}] }}{{ d[e] }}", ["a.b", "c", "d", "e"]),
    ],
)  # fmt: skip
def test_paths_used(source: str, paths: list[str]) -> None:
    """Every name a template reads is known before it runs, through loops, filters, sets, macros and blocks."""
    found = [".".join(path) for path, _ in paths_used(source)]
    assert set(found) == set(paths)


def test_lines_of_paths() -> None:
    """A name is told with the line it stands in."""
    assert paths_used("{{ a }}\n{% for l in b %}\n\n{{ l.c }}{% endfor %}") == (
        (("a",), 1), (("b",), 2), (("b", "*", "c"), 4),
    )  # fmt: skip


def test_filters_used() -> None:
    """A filter is known with its arguments, with its line, and whether it is handed escaped text."""
    source = "{{ a | text_paragraphs | safe }}\n{{ b | safe }}{{ c | money_format(currency='EUR') }}{{ '<b>' | safe }}{{ d | join(e, *f) }}"
    assert filters_used(source) == [
        FilterCall("safe", 1, (), {}, True, False),
        FilterCall("text_paragraphs", 1, (), {}, False, False),
        FilterCall("safe", 2, (), {}, False, False),
        FilterCall("money_format", 2, (), {"currency": "EUR"}, False, False),
        FilterCall("safe", 2, (), {}, True, False),
        FilterCall("join", 2, (UNSURE,), {}, False, True),
    ]


def test_a_filter_that_jinja_wraps_is_judged_by_its_own_arguments() -> None:
    """What Jinja hands to a wrapper of its own is none of the arguments that a template writes."""
    assert misuse(FilterCall("list", 1, (), {}, False, False)) == ""


def test_only_what_a_template_runs_is_said_in_a_language() -> None:
    """Prose that looks like a call stays as it is, and quotes inside of a text belong to it."""
    source = r"""text('a') {{ text('a') }} {% if x == text("it's \"b\"") %}text('a'){% endif %}"""
    wanted = r"""text('a') {{ 'A' }} {% if x == 'IT\'S "B"' %}text('a'){% endif %}"""
    assert said(source, str.upper) == wanted


@pytest.mark.parametrize("name", filter_names(SHIPPED))
def test_a_filter_without_arguments_is_judged(name: str) -> None:
    """Whatever a filter is made of, a call can be held against what it takes; one argument too many is found where there is a most."""
    assert isinstance(misuse(FilterCall(name, 1, (), {}, False, False)), str)
    many = misuse(FilterCall(name, 1, (1,) * 9, {}, False, False))
    assert bool(many) is (name not in ("map", "reject", "rejectattr", "select", "selectattr"))


@pytest.mark.parametrize(
    ("source", "line"), [("{{ x", 1), ("\n\n{% endfor %}", 3), ("{{ a | nofilter }}", 1), ("\n{% include 'x' %}", 2)]
)
def test_syntax_problems_have_lines(source: str, line: int) -> None:
    """What cannot be compiled is told with its line."""
    found = syntax_problem(source)
    assert found is not None
    assert found[1] == line


BIG = "{% set big %}{% for i in range(1000) %}" + "Ab " * 300 + "{% endfor %}{% endset %}"


@pytest.mark.parametrize(
    "loop",
    [
        "{% if big|title == 'z' %}a{% endif %}", "{% if big|striptags == 'z' %}a{% endif %}", "{{ big.split('A')|sort|first }}",
        "{% if big.upper() == 'z' %}a{% endif %}", "{% if 'zz' in big %}a{% endif %}", "{{ big|wordcount }}",
    ],
)  # fmt: skip
def test_a_rendering_comes_to_an_end(loop: str) -> None:
    """However often a template goes over a large text, it is refused within seconds."""
    begun = time.thread_time()
    with pytest.raises(ValueError, match="cannot be rendered"):
        render(BIG + "{% for i in range(99000) %}" + loop + "{% endfor %}", True, {})
    assert time.thread_time() - begun < 4


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(1) %}" * 21 + "a" + "{% endfor %}" * 21, "{% if name %}" * 101 + "a" + "{% endif %}" * 101,
        "{% macro m(a,a) %}{% endmacro %}x", '{{ "a"|join(d=1,d=2) }}', "{{ 1" + "+1" * 300 + " }}", "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
        "{{ " + "not " * 2000 + "1 }}", "{{ name" + "|upper" * 500 + " }}", "{{ a" + ".b" * 500 + " }}", "{% set range.x = 1 %}",
    ],
    ids=lambda source: source[:24],
)  # fmt: skip
def test_what_python_cannot_compile_is_a_mistake_in_the_template(source: str) -> None:
    """It is told, or it is compiled; nothing else is raised."""
    found = syntax_problem(source)
    assert found is None or (found[0] and found[1] >= 1)


@pytest.mark.parametrize("source", ["{{ 'abc'|truncate(2) }}", "{{ 'a'|truncate('x') }}", "{{ range(1, 'a') }}", "{{ [1]|map('nosuch')|list }}"])
def test_what_a_filter_refuses_is_told(source: str) -> None:
    """An argument that makes no sense fails the one record."""
    with pytest.raises(ValueError):
        render(source, True, {})
