"""Mistakes in the shape of a spec hide none of the others that do not follow from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from engine.config.document import Keys, parse, read
from engine.config.validation import check_shape
from engine.errors import Diagnostic, Place
from engine.language.compile import load_migration
from engine.values import dig
from tests.spec.expected import described
from tests.spec.test_checks import CASES as MISTAKES
from tests.spec.test_checks import project, told
from workbench import beside
from workbench.beside import beside_shape

HERE = Path(__file__).parent
CASES = sorted((HERE / "beside").glob("*.yaml"))
WHOLE = (HERE / "whole.yaml").read_text(encoding="utf-8")
SOME = 23  # one of so many places, with the other tests


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_all_mistakes_are_told_in_one_go(path: Path, tmp_path: Path, quick_etl: Callable[..., tuple[int, str]]) -> None:
    """`etl validate` tells those of the shape, and what is wrong in the parts that can be checked; nothing twice."""
    case = read(path).data
    code, told = quick_etl("validate", str(project(tmp_path / "project", case["spec"])), "--json")
    assert code == 2
    found = [
        Diagnostic(Place(**item["where"]), item["path"], item["code"], item["problem"], item["advice"])
        for item in json.loads(told)["problems"]
    ]
    assert [described(*pair) for pair in zip(found, case["expect"], strict=True)] == case["expect"]


# what is put at the end of a spec, where the head may go on
IN_THE_HEAD = {
    "unknown key": "odd: 1",
    "unknown section": "odd: {one: {two: 3}}",
    "misspelt section": "smple: {records: 5}",
    "section of another type": "sample: 5",
}


@pytest.mark.parametrize("name", IN_THE_HEAD)
def test_a_mistake_in_the_head_hides_no_other(name: str, tmp_path: Path) -> None:
    """A mistake of the cases for compiled specs is told just the same beside one in the shape of the head, and nothing more."""
    written = IN_THE_HEAD[name]
    for path in MISTAKES[[*IN_THE_HEAD].index(name) :: len(IN_THE_HEAD)]:  # a few with each
        case = read(path).data
        spec = project(tmp_path / path.stem, case["spec"], case.get("files"))
        env = case.get("env") or {}
        alone = told(spec, env)
        if any(item.severity == "warning" for item in alone):
            continue  # such a spec is good
        spec.write_text(f"{case['spec'].rstrip()}\n{written}\n", encoding="utf-8")
        found = {*told(spec, env), *beside_shape(spec, read(spec), env).found}
        head = {item for item in found if item.where and item.where.line > case["spec"].rstrip().count("\n") + 1}
        assert len(head) == 1, path.stem
        missed = {item.problem for item in alone} - {item.problem for item in found}
        assert not {text for text in missed if "`users`" not in text and "'users'" not in text}, path.stem
        assert not found - head - {*alone}, path.stem


@pytest.mark.parametrize("value", ["${OTHER}", "${other}", "${}", "a ${broken"])
def test_the_value_of_a_variable_is_no_variable(value: str, tmp_path: Path) -> None:
    """What a variable holds is taken as it is beside a mistake of the shape, as it is without one."""
    written = WHOLE.replace("label: Accounts", "label: ${TITLE}")
    env = {"TITLE": value}
    spec = project(tmp_path, written)
    assert not told(spec, env)
    spec.write_text(f"{written}odd: 1\n", encoding="utf-8")
    assert beside_shape(spec, read(spec), env).found == ()


def test_a_broken_variable_is_told_once(tmp_path: Path) -> None:
    """One that nothing can fill is told with the mistakes of the shape, and not a second time beside them."""
    written = WHOLE.replace("label: Accounts", "label: ${title}")
    spec = project(tmp_path, f"{written}odd: 1\n")
    assert [item.code for item in told(spec)] == ["bad-format", "unknown-key"]
    assert beside_shape(spec, read(spec), {}).found == ()


def places(value: Any, keys: Keys = ()) -> Iterator[Keys]:
    """Every place in a spec."""
    if keys:
        yield keys
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from places(item, (*keys, key))


def with_name(above: Any, key: Any, name: str) -> None:
    """Give a key of a mapping another name, where it stands."""
    items = [(name if old == key else old, value) for old, value in above.items()]
    above.clear()
    above.update(items)


HOW: tuple[Any, ...] = ("odd", "swapped", "away", 5, None, [[]], "no path?")


def broken(data: Any) -> Iterator[tuple[str, Any]]:
    """The spec with one place of it broken in one way."""
    for keys in places(data):
        for how in HOW:
            copy = deepcopy(data)
            above, key = dig(copy, keys[:-1]), keys[-1]
            if how == "away":
                above.pop(key)
            elif how not in ("odd", "swapped"):
                above[key] = how
            elif isinstance(key, str):
                with_name(above, key, how if how == "odd" else f"{key[:-2]}{key[-1]}{key[-2:-1]}")
            yield f"{'.'.join(map(str, keys))}: {how}", copy


def noise(spec: Path, some: int) -> list[str]:
    """What is told beside the shape of a spec that has nothing else wrong with it."""
    wrong = []
    for number, (name, data) in enumerate(broken(parse(WHOLE).data)):
        document = parse(json.dumps(data, indent=1), "demo.yaml")
        if number % some == 0 and check_shape(document, "spec"):
            wrong += [f"{name}: {item}" for item in beside_shape(spec, document, {}).found]
    return wrong


def test_the_whole_spec_is_good(tmp_path: Path) -> None:
    """The spec that the next tests break has nothing wrong with it, and every section there is."""
    load_migration(project(tmp_path / "project", WHOLE), {})
    schema = json.loads((HERE.parents[1] / "schemas/spec.schema.json").read_text(encoding="utf-8"))
    assert schema["properties"].keys() - parse(WHOLE).data.keys() == {"languages", "beyond_plan"}


def test_nothing_is_told_that_follows_from_the_shape(tmp_path: Path) -> None:
    """A spec with one mistake, in its shape, is told that one: at some places, in every way."""
    assert noise(project(tmp_path / "project", WHOLE), SOME) == []


def test_very_many_mistakes_of_shape_are_told_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is looked for in the whole spec: where there are more than can be looked for soon, nothing beside them is told."""
    monkeypatch.setattr(beside, "MOST", 3)
    head = "migration: demo\nsource: {connector: ../connectors/erp.yaml, plan: basic}\ndestination: {connector: ../connectors/crm.yaml, plan: pro}\n"
    objects = "objects:\n  clients: {from: clients, to: companies, fields: {name: nmae}}\n"
    spec = project(tmp_path / "project", head + objects)
    for many, found in ((3, 1), (4, 0)):
        text = head + objects + "".join(f"zz{number}: 1\n" for number in range(many))
        assert len(beside_shape(spec, parse(text, "demo.yaml"), {}).found) == found


@pytest.mark.chaos
def test_nothing_ever_follows_from_the_shape(tmp_path: Path) -> None:
    """The same for each place."""
    assert noise(project(tmp_path / "project", WHOLE), 1) == []
