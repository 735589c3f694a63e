"""Draw ``explanation/house.svg`` from the imports in the code: ``python docs/house_picture.py``.

A test fails if the picture is out of date.

The floors are the layers of import-linter's contract, and an arrow is an import. Two kinds of arrows are left
out: those that follow from other arrows, and those to the foundation, which nearly every room imports.
"""

from __future__ import annotations

import tomllib
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import grimp

ROOT: Final = Path(__file__).parents[1]
PICTURE: Final = ROOT / "docs" / "explanation" / "house.svg"
PACKAGE: Final = "intouch_import"
FOUNDATION_FROM: Final = "model"  # the layer with this room, and all layers below

# Name and description of each floor, by one of its rooms.
FLOORS: Final = {
    "cli": ("faces", "what people and hosts see"),
    "inbox": ("rooms", "daily lists, and archives"),
    "records": ("records", "what is stored is still there"),
    "settings": ("settings", "of a practice"),
    "moving": ("the move", "only it removes source files"),
    "copies": ("", ""),
    "azure": ("siblings", "do not import each other"),
    "sources": ("", ""),
    "cloud": ("", ""),
    "verdicts": ("pure", "no disk, no clock, no log"),
    "filenames": ("", ""),
    "database": ("ground", "for all of the above"),
    "disk": ("", ""),
}
COLOURS: Final = {
    "faces": "#eef2f7",
    "rooms": "#e8f1fb",
    "records": "#e8f5ee",
    "settings": "#eef2f7",
    "the move": "#fdeee4",
    "siblings": "#e8f5ee",
    "pure": "#f4effb",
    "ground": "#f2f2ef",
}

MONO: Final = 'text-anchor="middle" font-family="Menlo, Consolas, monospace" fill="#22303f"'
TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 1 L10 5 L0 9 z" fill="#51647a"/></marker></defs>'
)
WIDTH: Final = 1080
LEFT: Final = 236  # of the rooms; the names of the floors are to the left
RIGHT: Final = WIDTH - 36
ROW: Final = 96
TOP: Final = 26
BOX_HEIGHT: Final = 38
GAP: Final = 26


class Stop(NamedTuple):
    """A place in a row: a room, or a gap through which an arrow passes."""

    name: str
    row: int


def rooms_by_row() -> list[list[str]]:
    """Return the layers of the contract, without rooms that do not exist yet."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = next(one for one in config["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    rows = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    return [names for row in rows if (names := [name for name in row if _exists(name)])]


def foundation() -> list[list[str]]:
    """Return the rows that nearly every room imports."""
    rows = rooms_by_row()
    return rows[next(number for number, row in enumerate(rows) if FOUNDATION_FROM in row) :]


def _exists(name: str) -> bool:
    there = ROOT / "src" / PACKAGE / name.strip("()")
    return there.is_dir() or there.with_suffix(".py").is_file()


def imports() -> set[tuple[str, str]]:
    """Return which room imports which at run time, including imports inside functions."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    pairs = {
        (_room(importer), _room(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return {(one, other) for one, other in pairs if one and other and one != other}


def _room(module: str) -> str:
    return [*module.split("."), ""][1]


def drawn(edges: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the arrows that are drawn."""
    below: dict[str, set[str]] = {}
    ground = {name for row in foundation() for name in row}

    def reach(room: str) -> set[str]:
        if room not in below:
            below[room] = set()
            for one, other in edges:
                if one == room:
                    below[room] |= {other} | reach(other)
        return below[room]

    return sorted(
        (one, other)
        for one, other in edges
        if other not in ground
        and not any(other in reach(between) for start, between in edges if start == one)
    )


class Plan:
    """The position of everything: rows of stops, each as close to its neighbours by arrow as possible."""

    def __init__(self) -> None:
        self.rows = rooms_by_row()[: -len(foundation())]
        self.row_of = {name.strip("()"): number for number, row in enumerate(self.rows) for name in row}
        self.arrows = drawn(imports())
        self.ways = {arrow: self._way(*arrow) for arrow in self.arrows}
        self.order = self._order()
        self.x = self._places()

    def _way(self, one: str, other: str) -> list[Stop]:
        top, bottom = self.row_of[one], self.row_of[other]
        if top >= bottom:
            raise ValueError(f"{one} imports {other}: an arrow that points up or sideways")
        passing = [Stop(f"{one}>{other}", row) for row in range(top + 1, bottom)]
        return [Stop(one, top), *passing, Stop(other, bottom)]

    def _order(self) -> list[list[Stop]]:
        order = [[Stop(name.strip("()"), number) for name in row] for number, row in enumerate(self.rows)]
        for way in self.ways.values():
            for stop in way[1:-1]:
                order[stop.row].append(stop)
        for _ in range(24):
            place = {stop: at / len(row) for row in order for at, stop in enumerate(row)}
            for row in order:
                row.sort(key=lambda stop: (self._mean(stop, place), stop))
                place |= {stop: (at + 0.5) / len(row) for at, stop in enumerate(row)}
        return order

    def _mean(self, stop: Stop, place: dict[Stop, float]) -> float:
        near = [place[other] for other in self._joined(stop)]
        return sum(near) / len(near) if near else place[stop]

    def _joined(self, stop: Stop) -> list[Stop]:
        ways = self.ways.values()
        return [
            other for way in ways for pair in pairwise(way) if stop in pair for other in pair if other != stop
        ]

    def _places(self) -> dict[Stop, float]:
        x: dict[Stop, float] = {}
        for row in self.order:
            for at, stop in enumerate(row):
                x[stop] = LEFT + (RIGHT - LEFT) * (at + 0.5) / len(row)
        for _ in range(60):
            for row in self.order:
                wanted = {stop: self._mean(stop, x) for stop in row}
                x |= _apart(row, wanted)
        return x


def width_of(stop: Stop) -> float:
    """Return the width of a stop: a box around its name, or the space for an arrow."""
    return 6 if ">" in stop.name else 34 + 9.2 * len(stop.name)


def _apart(row: list[Stop], wanted: dict[Stop, float]) -> dict[Stop, float]:
    """Move stops as close to the wanted positions as possible, without overlap, and within the picture."""
    x = dict(wanted)
    for _ in range(40):
        for one, other in pairwise(row):
            need = (width_of(one) + width_of(other)) / 2 + GAP
            overlap = need - (x[other] - x[one])
            if overlap > 0:
                x[one] -= overlap / 2
                x[other] += overlap / 2
        for stop in row:
            half = width_of(stop) / 2
            x[stop] = min(max(x[stop], LEFT + half), RIGHT - half)
    return x


def svg() -> str:
    """Return the picture."""
    plan = Plan()
    bottom = TOP + ROW * len(plan.rows)
    height = bottom + 122
    size = f'width="{WIDTH}" height="{height}" font-family="Helvetica, Arial, sans-serif"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {size} role="img">',
        "<title>The rooms of intouch_import, and which imports which</title>",
        TIP,
        f'<rect width="{WIDTH}" height="{height}" rx="14" fill="#ffffff"/>',
        *_floors(plan),
        *_foundation(bottom),
        *(_arrow(plan, way) for way in plan.ways.values()),
        *(_box(plan, stop) for row in plan.order for stop in row if ">" not in stop.name),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _floors(plan: Plan) -> list[str]:
    parts = []
    floors: list[tuple[str, str, int, int]] = []
    for number, row in enumerate(plan.rows):
        title, about = next(FLOORS[name] for name in (room.strip("()") for room in row) if name in FLOORS)
        if title:
            floors.append((title, about, number, 1))
        else:
            title, about, first, count = floors.pop()
            floors.append((title, about, first, count + 1))
    for title, about, first, count in floors:
        y, high, colour = TOP + ROW * first, ROW * count - 10, COLOURS[title]
        parts += [
            f'<rect x="16" y="{y}" width="{WIDTH - 32}" height="{high}" rx="8" fill="{colour}"/>',
            f'<text x="34" y="{y + 39}" font-size="17" font-weight="bold" fill="#22303f">{title}</text>',
            f'<text x="34" y="{y + 60}" font-size="13" fill="#5a6877">{about}</text>',
        ]
    return parts


def _foundation(y: float) -> list[str]:
    rows = foundation()
    parts = [
        f'<rect x="16" y="{y}" width="{WIDTH - 32}" height="106" rx="8" fill="#e4e6e9"/>',
        f'<text x="34" y="{y + 48}" font-size="17" font-weight="bold" fill="#22303f">foundation</text>',
        f'<text x="34" y="{y + 69}" font-size="13" fill="#5a6877">used by every floor</text>',
    ]
    for number, row in enumerate(rows):
        width = (RIGHT - LEFT - 12 * (len(row) - 1)) / len(row)
        for at, name in enumerate(row):
            parts.append(_slab(LEFT + at * (width + 12), y + 12 + number * 43, width, name))
    return parts


def _slab(x: float, y: float, width: float, name: str) -> str:
    return (
        f'<g data-room="{name}"><rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="36" rx="6" '
        f'fill="#ffffff" stroke="#8b96a3"/><text x="{x + width / 2:.0f}" y="{y + 24:.0f}" font-size="16" '
        f"{MONO}>{escape(name)}</text></g>"
    )


def _box(plan: Plan, stop: Stop) -> str:
    width = width_of(stop)
    middle, y = plan.x[stop], _y(stop)
    x, top = middle - width / 2, y - BOX_HEIGHT / 2
    bold = stop.name == "moving"
    stroke = 'stroke="#c8560f" stroke-width="2.5"' if bold else 'stroke="#51647a" stroke-width="1.2"'
    return (
        f'<g data-room="{stop.name}"><rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{BOX_HEIGHT}" '
        f'rx="7" fill="#ffffff" {stroke}/><text x="{middle:.1f}" y="{y + 5.5:.1f}" font-size="16" '
        f"{MONO}>{stop.name}</text></g>"
    )


def _arrow(plan: Plan, way: list[Stop]) -> str:
    start, end = way[0], way[-1]
    points = [(_port(plan, way, start), _y(start) + BOX_HEIGHT / 2)]
    points += [(plan.x[stop], _y(stop)) for stop in way[1:-1]]
    points.append((_port(plan, way, end), _y(end) - BOX_HEIGHT / 2 - 2))
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (to_x, to_y) in pairwise(points):
        bend = (to_y - y) * 0.5
        path += f" C{x:.1f} {y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {to_y:.1f}"
    return (
        f'<path data-import="{start.name} {end.name}" d="{path}" fill="none" stroke="#51647a" '
        f'stroke-width="1.4" marker-end="url(#tip)"/>'
    )


def _port(plan: Plan, way: list[Stop], stop: Stop) -> float:
    """Return where an arrow touches a box: beside the others, in the order of their other ends."""
    leaves = stop == way[0]
    others = [one for one in plan.ways.values() if one[0 if leaves else -1] == stop]
    others.sort(key=lambda one: (plan.x[one[1 if leaves else -2]], one))
    share = width_of(stop) - 24
    return plan.x[stop] - share / 2 + share * (others.index(way) + 0.5) / len(others)


def _y(stop: Stop) -> float:
    return TOP + ROW * stop.row + (ROW - 10) / 2


if __name__ == "__main__":
    PICTURE.write_text(svg(), "utf-8")
