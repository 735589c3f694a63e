"""Which rows of a plan: conditions as data."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from intouch_import.migration.rows import PlanRow

__all__ = ["COLUMNS", "OVER", "SIZES", "Where", "size_class", "year_of"]

SIZES: Final = (
    (0, "empty"),
    (100_000, "up to 100 KB"),
    (1_000_000, "up to 1 MB"),
    (10_000_000, "up to 10 MB"),
    (100_000_000, "up to 100 MB"),
)
"""Classes of sizes: the most bytes of each, and its name."""

OVER: Final = "over 100 MB"
"""The class of what is larger."""

COLUMNS: Final = {
    "verdict": ("verdict",), "reason": ("reason",), "patient": ("patient",), "provider": ("provider",),
    "destination": ("destination",), "import_id": ("import_id",), "number": (),
    "year": ("taken_at",), "size": ("size_bytes",),
    "folder": ("folder", "raw"), "name": ("name", "raw"), "path": ("folder", "name", "raw"),
}  # fmt: skip
"""What a condition may be about, and the columns of a plan that say it."""


def size_class(size_bytes: int) -> str:
    """The class that a size is in."""
    return next((name for most, name in SIZES if size_bytes <= most), OVER)


def year_of(row: PlanRow) -> str:
    """The year (UTC) that a file was taken in, as far as the plan knows."""
    return str(row.taken_at.year) if row.taken_at is not None else "unknown"


_SAYS: Final[dict[str, Callable[[PlanRow], Any]]] = {
    "verdict": lambda row: row.verdict.value,
    "reason": lambda row: row.reason.value,
    "patient": lambda row: row.patient,
    "provider": lambda row: row.provider,
    "destination": lambda row: row.destination.value,
    "year": year_of,
    "size": lambda row: size_class(row.size_bytes),
    "number": lambda row: row.number,
    "import_id": lambda row: row.import_id,
}
_GLOBS: Final[dict[str, Callable[[PlanRow], str]]] = {
    "folder": lambda row: row.folder,
    "name": lambda row: row.name,
    "path": lambda row: row.path,
}


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(values) - set(_SAYS) - set(_GLOBS)
    if unknown:
        known = ", ".join((*_SAYS, *_GLOBS))
        raise ConfigError(f"a condition is about one of {known}")
    return {name: _listed(value) for name, value in values.items()}


def _listed(value: Any) -> list[Any]:
    several = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    return [str(one) if isinstance(one, str) else one for one in several]


@attrs.frozen
class Where:
    """Conditions that a row must meet, all of them.

    Args:
        values: By what is looked at: ``verdict``, ``reason``, ``patient``, ``provider``, ``destination``,
            ``year``, ``size``, ``number``, ``import_id`` (a value, or several of which one must hold), and
            ``folder``, ``name``, ``path`` (shell patterns, letter case counts).
    """

    values: dict[str, list[Any]] = attrs.field(converter=_checked)

    def __call__(self, row: PlanRow) -> bool:
        """Whether a row meets them."""
        for name, wanted in self.values.items():
            if name in _GLOBS:
                text = _GLOBS[name](row)
                if not any(fnmatchcase(text, pattern) for pattern in wanted):
                    return False
            elif _SAYS[name](row) not in wanted:
                return False
        return True
