"""Every step by example: the case files, the examples of the docstrings, and the shape of the signatures."""

import inspect
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml

from tests.yamls import Loader
from transforms import STEPS

NEEDED = inspect.Parameter.empty


def load(text: str) -> Any:
    """Read YAML as the cases mean it."""
    return yaml.load(text, Loader)


FILES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
CASES = [case for path in FILES for case in load(path.read_text("utf-8"))]
STEP_ITEMS = pytest.mark.parametrize(("name", "step"), STEPS.items(), ids=STEPS)


def same(left: Any, right: Any) -> bool:
    """Equal and of the same types throughout, as JSON tells 1, 1.0 and true apart."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def arguments(step: Any) -> list[inspect.Parameter]:
    """The keyword arguments of a step."""
    return list(inspect.signature(step).parameters.values())[1:]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['step']}: {case['name']}")
def test_case(case: dict[str, Any]) -> None:
    """A step gives what its case says, or refuses with the words its case says, and leaves its value alone."""
    before = json.dumps(case["in"])
    step, args = STEPS[case["step"]], case.get("args", {})
    if "error" in case:
        with pytest.raises(ValueError, match=re.escape(case["error"])) as caught:
            step(case["in"], **args)
        assert type(caught.value) is ValueError
    else:
        given = step(case["in"], **args)
        assert same(given, case["out"]), given
    assert json.dumps(case["in"]) == before


def test_cases_are_sound() -> None:
    """There are enough cases, each of its own name and with one outcome, and every step has at least one."""
    assert len(CASES) >= 120
    assert [name for name, count in Counter(case["name"] for case in CASES).items() if count > 1] == []
    assert [case["name"] for case in CASES if ("out" in case) == ("error" in case)] == []
    assert [case["name"] for case in CASES if set(case) - {"name", "step", "args", "in", "out", "error"}] == []
    assert {case["step"] for case in CASES} == set(STEPS)


@STEP_ITEMS
def test_docstring(name: str, step: Any) -> None:
    """A step's documentation has a sentence, an example that its signature takes, and the outcome it really has."""
    text = inspect.getdoc(step) or ""
    assert re.match(r"[A-Z][^\n]*\.(\n|\Z)", text)
    fence = re.search(r"```yaml\n(.*?)```\n(.*)", text, re.DOTALL)
    assert fence is not None
    using = load(fence[1])["using"]
    assert (using if isinstance(using, str) else next(iter(using))) == name
    given = {} if isinstance(using, str) else using[name]
    kwargs = given if isinstance(given, dict) else {arguments(step)[0].name: given}
    outcome = re.fullmatch(r"`(.*)` becomes\s`(.*)`\.", fence[2])
    assert outcome is not None
    assert same(step(json.loads(outcome[1]), **kwargs), json.loads(outcome[2]))
    assert all(f"`{argument.name}" in text for argument in arguments(step))


@STEP_ITEMS
def test_signature(name: str, step: Any) -> None:
    """A step takes its value first and then only keywords of plain types whose defaults have that type."""
    value, *_ = inspect.signature(step).parameters.values()
    assert value.kind is value.POSITIONAL_OR_KEYWORD
    assert value.default is NEEDED
    for argument in arguments(step):
        kind = argument.annotation
        assert argument.kind is argument.KEYWORD_ONLY
        assert kind in (str, int, float, bool) or (get_origin(kind), get_args(kind)) in (
            (list, (str,)),
            (dict, (str, str)),
        )
        assert argument.default is NEEDED or type(argument.default) is (get_origin(kind) or kind)


def test_steps_are_named_by_topic() -> None:
    """Every step stands under its topic and its function's name, and no topic hides a public function."""
    for name, step in STEPS.items():
        assert name == f"{step.__module__.rpartition('.')[2]}.{step.__name__}"
    assert {name.partition(".")[0] for name in STEPS} == {"text", "html", "phone", "money", "dates", "address", "ids"}
