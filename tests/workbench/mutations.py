"""Mistakes people make in specs and connectors, one at a time, with the place where each must be told.

Every mutation is a text edit of a shipped file; where it stands is where it must be reported.
`python -m tests.workbench.mutations` prints how many there are of each kind.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.config.document import Keys, read

ROOT = Path(__file__).resolve().parents[2]
SPEC = "specs/stel_order_to_pipedrive.yaml"
CONNECTORS = ("connectors/stel_order.yaml", "connectors/pipedrive.yaml")
SEED = 20_261_123


@dataclass(frozen=True)
class Mutation:
    """One broken file: its new bytes, and the line and column of the mistake."""

    kind: str
    file: str
    text: bytes
    line: int
    col: int
    key: int = 0  # column of the key the mistake stands under, where it may be told as well

    @property
    def name(self) -> str:
        """What a failing test is called."""
        return f"{self.kind} {Path(self.file).stem}:{self.line}:{self.col}"


def everything() -> list[Mutation]:
    """All mutations, the same in every run."""
    found = [*_spec_mutations(), *_template_mutations()]
    for file in (SPEC, *CONNECTORS):
        found += [*_misspelt_keys(file), *_wrong_types(file), *_duplicates(file), *_yaml(file), *_whole_files(file)]
    return list({(item.file, item.text): item for item in found}.values())


def _text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


# -- edits at a place


def _edit(file: str, kind: str, old: str, new: str, mark: str = "", nth: int = 0) -> Mutation:
    """Replace the nth `old`; the mistake is where `mark` (or the new text) begins."""
    text = _text(file)
    start = -1
    for _ in range(nth + 1):
        start = text.index(old, start + 1)
    changed = text[:start] + new + text[start + len(old) :]
    at = start + (new.index(mark) if mark else len(new) - len(new.lstrip()))
    before = changed[changed.rfind("\n", 0, at) + 1 : at]
    keys = [found.start() + 1 for found in re.finditer(r"[\w.-]+(?=: )", before)]
    return Mutation(kind, file, changed.encode(), changed.count("\n", 0, at) + 1, len(before) + 1, keys[-1] if keys else 0)


# Old text, new text, and the part of the new text that is wrong.
SPEC_EDITS: tuple[tuple[str, str, str, str], ...] = (
    ("dangling lookup", "lookup: users, by: agent-path", "lookup: user, by: agent-path", "lookup"),
    ("dangling lookup", "lookup: organizations, by: $key", "lookup: organisations, by: $key", "lookup"),
    ("dangling lookup", "lookup: pipelines.quotes", "lookup: pipelines.quote", "lookup"),
    ("dangling lookup", "lookup: work_orders, by: $key", "lookup: workorders, by: $key", "lookup"),
    ("dangling lookup", "[quotes, orders, invoices, credit_notes], by", "[quotes, order, invoices, credit_notes], by", "order,"),
    ("dangling lookup", "lookup: contacts, by: $key", "lookup: contact_comments, by: $key", "lookup"),
    ("lookup downwards", "org_id: {lookup: organizations, by: $key, on_miss: fail}",
     "org_id: {lookup: contacts, by: $key, on_miss: fail}", "lookup"),
    ("unknown field", "name: {from: [legal-name, name, full-reference]",
     "name: {from: [legal-nam, name, full-reference]", "legal-nam"),
    ("unknown field", "custom.reference: full-reference", "custom.reference: fullreference", "custom.reference"),
    ("unknown field", "custom.discount: discount-percentage", "custom.discount: discount", "custom.discount"),
    ("unknown field", "custom.category: category.name", "custom.category: category.nam", "custom.category"),
    ("unknown field", "when: {comments: {filled: true}}", "when: {coments: {filled: true}}", "coments"),
    ("unknown field", '"assets[*].serial-number"', '"assets[*].serialnumber"', ""),
    ("unknown field", "city: main-address.city-town", "city: main-address.city", "city"),
    ("not a path", "code: full-reference", 'code: "full reference["', "code"),
    ("unknown step", "using: text.squash", "using: text.squish", "using"),
    ("unknown step", "using: ids.tax_id", "using: ids.taxid", "using"),
    ("unknown step", "using: dates.next_from", "using: dates.next_day", "dates.next_day"),
    ("wrong argument", "{phone.e164: {region: $settings.phone_region}}",
     "{phone.e164: {regio: $settings.phone_region}}", "phone.e164"),
    ("wrong argument", "{text.truncate: 255}", "{text.truncate: many}", "text.truncate"),
    ("wrong argument", "{text.join: \", \"}", "{text.join: 5}", "text.join"),
    ("wrong argument", "{text.truncate: 255}", "{text.truncate: {size: 255}}", "text.truncate"),
    ("unknown setting", "zone: $settings.timezone", "zone: $settings.time_zone", "zone"),
    ("unknown setting", "currency: $settings.currency}}}", "currency: $settings.curency}}}", "currency"),
    ("unknown special", "custom.source_key: $key", "custom.source_key: $kye", "custom.source_key"),
    ("unknown collection", "from: accountCategories, by:", "from: accountCategory, by:", "from"),
    ("unknown collection", "  users:\n".lstrip() + "  from: employees", "users:\n  from: employes", "from"),
    ("unknown collection", "    from: contacts\n", "    from: contact\n", "from"),
    ("unknown collection", "{from: assets, on: account-path}", "{from: asset, on: account-path}", "from"),
    ("unknown link field", "{from: assets, on: account-path}", "{from: assets, on: account}", "on:"),
    ("unknown resource", "    to: persons\n", "    to: person\n", "to"),
    ("unknown resource", "    to: deal_products\n", "    to: dealproducts\n", "to"),
    ("unknown target", "      unit: $settings.product_unit", "      units: $settings.product_unit", "units"),
    ("unknown target", "      add_time: {from", "      added: {from", "added"),
    ("undeclared custom field", "custom.tax_id: {from", "custom.taxid: {from", "custom.taxid"),
    ("undeclared custom field", "      custom.fax: {from", "      custom.telefax: {from", "custom.telefax"),
    ("custom field type", "tax_id: {name: Tax id, type: text}", "tax_id: {name: Tax id, type: txt}", "type"),
    ("custom fields of what", "  persons:\n    source_key", "  notes:\n    source_key", "notes"),
    ("unknown plan", "plan: business}", "plan: busines}", "plan"),
    ("unknown plan", "plan: growth, seats", "plan: grow, seats", "plan"),
    ("unknown connector", "../connectors/stel_order.yaml", "../connectors/stel_ordr.yaml", ""),
    ("missing template", "../templates/notes/asset.html.j2", "../templates/notes/assets.html.j2", ""),
    ("template outside", "../templates/notes/asset.html.j2", "../../etc/asset.html.j2", ""),
    ("broken Jinja", "{{ text('Payment') if paid else", "{{ text('Payment') if paid els", "{{"),
    ("broken Jinja", "{{ full_reference }} {{ incident_type.name", "{{ full_reference } {{ incident_type.name", ""),
    ("broken Jinja", "{% for asset in assets %}", "{% for asset in %}", ""),
    ("broken Jinja", "{% endfor %}\", using: text.strip}\n    ignore", "{% endif %}\", using: text.strip}\n    ignore", ""),
    ("name in a template", "{{ text('under maintenance') if asset.subject_to_maintenance",
     "{{ text('under maintenance') if asset.maintenance", ""),
    ("name in a template", "{{ account.legal_name or", "{{ acount.legal_name or", ""),
    ("unknown filter", "{{ amount | money_format(", "{{ amount | money_formt(", ""),
    ("native option", "products.category: {from: productCategories",
     "products.kategory: {from: productCategories", "products.kategory"),
    ("value map without else", "else: fail}\n      custom.category", "els: fail}\n      custom.category", "els"),
    ("miss policy", "on_miss: skip", "on_miss: ignore", "on_miss"),
    ("comparison", "{paid-total-amount: {gt: 0}}", "{paid-total-amount: {more: 0}}", "more"),
    ("left behind", "  suppliers: purchasing", "  supliers: purchasing", "supliers"),
    ("missing fields", "    fields:\n      person_id: {lookup: contacts",
     "    felds:\n      person_id: {lookup: contacts", "felds"),
)  # fmt: skip


def _spec_mutations() -> Iterator[Mutation]:
    for kind, old, new, mark in SPEC_EDITS:
        yield _edit(SPEC, kind, old, new, mark)


def _template_mutations() -> Iterator[Mutation]:
    """Mistakes inside template files are told at the field that uses them, with the template's own line."""
    for path in sorted((ROOT / "templates").rglob("*.j2")):
        file = path.relative_to(ROOT).as_posix()
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        places = [at for at, line in enumerate(lines) if "{{" in line][:3]
        for at in places:
            for kind, old, new, mark in (
                ("broken Jinja", "}}", "}", "}"),
                ("unknown field in a template", "{{ ", "{{ no_such_field ~ ", "no_such_field"),
            ):
                line = lines[at].replace(old, new, 1)
                changed = [*lines[:at], line, *lines[at + 1 :]]
                yield Mutation(kind, file, "".join(changed).encode(), at + 1, line.index(mark) + 1)


def _keys_of(file: str) -> list[tuple[Keys, int, int]]:
    """Every key of a file where it stands first."""
    found: dict[tuple[int, int], Keys] = {}
    for keys, place in read(ROOT / file).places.items():
        if keys and isinstance(keys[-1], str):
            found.setdefault((place.line, place.col), keys)
    return [(keys, line, col) for (line, col), keys in sorted(found.items())]


FREE = frozenset("fields settings ignore map shapes resources types amount related children when where from plans".split(" "))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LANGUAGE = {
    SPEC: _words("""
        migration source destination custom_fields objects from to fields lookup by using map template on_miss related children
        each label when cases download plan pipelines stages native_options users email fallback type list"""),
    **dict.fromkeys(
        CONNECTORS,
        _words("""
            connection auth base_url check timeout plans limits unit per window amount errors then pagers kind defaults list
            read shapes resources fields create update delete like custom_fields types container code cost pager required
            writable"""),
    ),
}


def _misspelt_keys(file: str) -> Iterator[Mutation]:
    """A slip of the fingers in a word of the language."""
    lines = _text(file).splitlines(keepends=True)
    made: Counter[str] = Counter()
    for keys, line, col in _keys_of(file):
        word, above = str(keys[-1]), str(keys[-2]) if len(keys) > 1 else ""
        free = above in FREE
        free = free or (keys[0] == "custom_fields" and len(keys) == 3)
        if word not in LANGUAGE[file] or free or ("fields" in keys[2:-2] and file != SPEC) or made[word]:
            continue
        before, after = lines[line - 1][: col - 1], lines[line - 1][col - 1 :]
        if not after.startswith(f"{word}:"):
            continue
        made[word] += 1
        slip = word[:1] + word[2:3] + word[1:2] + word[3:] if len(word) > 2 and word[1] != word[2] else word + word[-1]
        changed = [*lines[: line - 1], before + slip + after.removeprefix(word), *lines[line:]]
        yield Mutation("misspelt key", file, "".join(changed).encode(), line, col)


def _wrong_types(file: str) -> Iterator[Mutation]:
    """A list, a number or nothing where text or a mapping belongs."""
    edits = {
        SPEC: [("label: Contacts\n", "label: [Contacts]\n"), ("    to: products\n", "    to: {products: 1}\n"),
               ("records: 200", "records: many"), ("seats: 5", "seats: [5]"), ("  email: email", "  email: 5"),
               ("fields:\n      subject", "fields: 5\n    felds:\n      subject"), ("pages: 4", "pages: 0"),
               ("enabled: $settings.native_line_items", "enabled: [1]"),
               ("ignore: &account_rest", "ignore: &account_rest []\n    x:"),
               ("options: [Product, Service]", "options: Product"), ("label: name, order: order", "label: [name], order: order")],
        CONNECTORS[0]: [("production: https://app.stelorder.com/app}", "production: [5]}"), ("plans: [", "plans: 5 #[")],
        CONNECTORS[1]: [("timeout: 30", "timeout: soon"), ("concurrency: 16", "concurrency: [16]"), ("cost: 2}", "cost: two}"),
                        ("window: rolling", "window: 5"), ("per: 86400", "per: day"), ("per_seat: true", "per_seat: perhaps"),
                        ("required: true, max: 255", "required: 1, max: 255"), ("max: 255", "max: long"),
                        ("unit: calls", "unit: [calls]"), ("[lite, growth", "5 # [lite, growth")],
    }  # fmt: skip
    for old, new in edits[file]:
        if old in _text(file) and old != new:
            yield _edit(file, "wrong type", old, new)


def _duplicates(file: str) -> Iterator[Mutation]:
    """A key that stands twice is told at the second."""
    lines = _text(file).splitlines(keepends=True)
    plain = [at for at, line in enumerate(lines) if re.fullmatch(r" *[a-z_.]+: [a-z][\w .-]*\n", line)]
    for at in plain[:: max(1, len(plain) // 8)][:8]:
        changed = [*lines[: at + 1], lines[at], *lines[at + 1 :]]
        yield Mutation("duplicate key", file, "".join(changed).encode(), at + 2, len(lines[at]) - len(lines[at].lstrip()) + 1)


def _yaml(file: str) -> Iterator[Mutation]:
    """Tabs, open brackets and quotes, keys that are no text, tags, merges, cycles."""
    lines = _text(file).splitlines(keepends=True)
    indented = [at for at, line in enumerate(lines) if re.match(r"  +[a-z_]+:", line)]
    rng = random.Random(SEED)
    for at in rng.sample(indented, 4):
        line = lines[at]
        yield _put(file, "tab", lines, at, "\t" + line.lstrip(), at + 1, 1)
    flow = [at for at in indented if lines[at].rstrip().endswith("}") and lines[at].count("{") == 1]
    for at in rng.sample(flow, 3):
        broken = lines[at].rstrip()[:-1] + "\n"
        yield _put(file, "open bracket", lines, at, broken, at + 1, broken.index("{") + 1)
    for at in rng.sample([n for n in indented if re.fullmatch(r" +[a-z_]+: [a-z_]+\n", lines[n])] or indented, 2):
        key = lines[at].partition(":")[0]
        pad = len(key) - len(key.lstrip())
        yield _put(file, "open quote", lines, at, f'{key}: "open\n', at + 1, len(key) + 3)
        yield _put(file, "tag", lines, at, f"{key}: !!python/object:os.system x\n", at + 1, len(key) + 3)
        yield _put(file, "merge key", lines, at, f"{' ' * pad}<<: {{a: b}}\n", at + 1, pad + 1)
        yield _put(file, "key that is a number", lines, at, f"{' ' * pad}12: x\n", at + 1, pad + 1)
        yield _put(file, "unknown alias", lines, at, f"{key}: *nowhere\n", at + 1, len(key) + 3)
        yield _put(file, "cycle", lines, at, f"{key}: &c [*c]\n", at + 1, len(key) + 3)


def _put(file: str, kind: str, lines: list[str], at: int, new: str, line: int, col: int) -> Mutation:
    return Mutation(kind, file, "".join([*lines[:at], new, *lines[at + 1 :]]).encode(), line, col)


def _whole_files(file: str) -> Iterator[Mutation]:
    """Not UTF-8, empty, no mapping, huge, nested too deeply, aliases that multiply."""
    raw = (ROOT / file).read_bytes()
    line = raw.count(b"\n", 0, 400) + 1
    col = 400 - raw.rfind(b"\n", 0, 400)
    yield Mutation("not UTF-8", file, raw[:400] + b"\xff\xfe" + raw[400:], line, col)
    yield Mutation("not UTF-8", file, "migration: señor\n".encode("latin-1"), 1, 14)
    yield Mutation("not UTF-8", file, raw.decode().encode("utf-16"), 1, 1)
    yield Mutation("empty", file, b"", 1, 1)
    yield Mutation("only a comment", file, b"# nothing\n", 1, 1)
    yield Mutation("a list", file, b"- a\n- b\n", 1, 1)
    yield Mutation("a text", file, b"just words\n", 1, 1)
    yield Mutation("two documents", file, b"a: 1\n---\nb: 2\n", 2, 1)
    yield Mutation("huge", file, raw + b"# " + b"x" * 2_100_000, 1, 1)
    yield Mutation("deep", file, b"a: " + b"[" * 200 + b"]" * 200 + b"\n", 1, 43)
    yield Mutation("deep", file, b"".join(b" " * at + b"k:\n" for at in range(300)), 41, 41)
    bomb = b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)
    )
    yield Mutation("aliases multiply", file, bomb, 1, bomb.index(b"x]") + 1)  # the value that is one too many
    yield Mutation("nothing printable", file, b"a: \x07\x00b\n", 1, 4)


if __name__ == "__main__":
    for kind, many in Counter(item.kind for item in everything()).most_common():
        print(f"{many:4} {kind}")
    print(f"{len(everything()):4} in all")
