"""How case files are read: by libyaml where PyYAML has it, for collecting the tests reads thousands of lines."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

Plain: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(Plain):
    """YAML with the scalars of JSON only: `2025-03-04`, `no` and `0034` stay text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


for tag, pattern, begins in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(0|[1-9]\d*)", list("-0123456789")),
    ("float", r"-?(0|[1-9]\d*)\.\d+", list("-0123456789")),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), begins)
