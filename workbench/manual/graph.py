"""What leads to what, as a layered picture: plain SVG, no script."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Edges = Mapping[str, frozenset[str]]  # a node and the nodes it leads to

WIDTH, BOX, HEIGHT, GAP, RISE = 760, 138, 54, 16, 46
ACROSS = 5  # boxes in a row
LETTERS = 18  # of a line in a box


@dataclass(frozen=True, slots=True)
class Node:
    """One box: what it is called, and what it becomes."""

    name: str
    label: str
    becomes: str


def picture(nodes: Sequence[Node], edges: Edges) -> str:
    """The graph as an SVG element; what is led to stands above."""
    rows = _rows([node.name for node in nodes], edges)
    places = _places(rows)
    height = len(rows) * (HEIGHT + RISE) - RISE + 2 * GAP
    lines = [
        _line(places[name], places[target])
        for name, targets in reduced(edges).items()
        for target in sorted(targets)
    ]
    boxes = [_box(node, *places[node.name]) for node in nodes]
    title = f"{len(nodes)} kinds of records and how they are linked"
    return (
        '<svg class="graph" role="img" aria-labelledby="graph-title"'
        f' viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="graph-title">{title}</title>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>'
        f"{''.join(lines)}{''.join(boxes)}</svg>"
    )


def layers(names: Sequence[str], edges: Edges) -> dict[str, int]:
    """How many steps each node stands below the ones that lead nowhere."""
    depth: dict[str, int] = {}
    # a spec's lookups point upwards only, so what a node leads to came before it
    for name in names:
        depth[name] = max(
            (
                depth[target] + 1
                for target in edges.get(name, ())
                if target in depth
            ),
            default=0,
        )
    return depth


def reduced(edges: Edges) -> dict[str, frozenset[str]]:
    """Without the edges that follow from two others."""

    def reach(name: str) -> frozenset[str]:
        return frozenset().union(
            *({target} | reach(target) for target in edges.get(name, ()))
        )

    return {
        name: frozenset(
            target
            for target in targets
            if not any(target in reach(other) for other in targets - {target})
        )
        for name, targets in edges.items()
    }


def _rows(names: Sequence[str], edges: Edges) -> list[list[str]]:
    """The layers in rows of a few, each node near the ones it leads to."""
    depth = layers(names, edges)
    rows: list[list[str]] = []
    column: dict[str, float] = {}
    for level in range(max(depth.values(), default=-1) + 1):
        layer = sorted(
            (name for name in names if depth[name] == level),
            key=lambda name: _middle(name, edges, column),
        )
        count = -(-len(layer) // ACROSS)
        for row in (
            layer[part * len(layer) // count : (part + 1) * len(layer) // count]
            for part in range(count)
        ):
            column |= {
                name: (place + 0.5) / len(row) for place, name in enumerate(row)
            }
            rows.append(row)
    return rows


def _middle(name: str, edges: Edges, column: Mapping[str, float]) -> float:
    found = [
        column[target] for target in edges.get(name, ()) if target in column
    ]
    return sum(found) / len(found) if found else 0.0


def _places(rows: Sequence[Sequence[str]]) -> dict[str, tuple[int, int]]:
    """The upper left corner of each box."""
    found = {}
    for level, row in enumerate(rows):
        left = (WIDTH - len(row) * BOX - (len(row) - 1) * GAP) // 2
        for place, name in enumerate(row):
            found[name] = (
                left + place * (BOX + GAP),
                GAP + level * (HEIGHT + RISE),
            )
    return found


def _line(lower: tuple[int, int], upper: tuple[int, int]) -> str:
    x1, y1 = lower[0] + BOX // 2, lower[1]
    x2, y2 = upper[0] + BOX // 2, upper[1] + HEIGHT
    bend = max(RISE // 2, (y1 - y2) // 2)
    curve = f"M{x1} {y1}C{x1} {y1 - bend} {x2} {y2 + bend} {x2} {y2 + 2}"
    return f'<path class="edge" marker-end="url(#tip)" d="{curve}"/>'


def _box(node: Node, x: int, y: int) -> str:
    lines = _folded(node.label)
    top = y + (18 if len(lines) > 1 else 24)
    texts = "".join(
        f'<text x="{x + BOX // 2}" y="{top + 14 * place}">{safe(line)}</text>'
        for place, line in enumerate(lines)
    )
    x_text, y_text = x + BOX // 2, top + 14 * len(lines) + 1
    becomes = safe(_short(node.becomes))
    return (
        f"<g><title>{safe(node.label)} become {safe(node.becomes)}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="5"/>{texts}'
        f'<text class="becomes" x="{x_text}" y="{y_text}">{becomes}</text></g>'
    )


def _folded(label: str) -> list[str]:
    """A label on at most two lines."""
    lines = textwrap.wrap(label, LETTERS, break_long_words=True) or [""]
    return (
        [*lines[:1], _short(" ".join(lines[1:]))] if len(lines) > 1 else lines
    )


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def safe(text: str) -> str:
    """A text as it may stand in the page."""
    return html.escape(
        text.encode(errors="replace").decode().replace("\x00", "�")
    )
