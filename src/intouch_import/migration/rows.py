"""`PlanRow`, one file of a plan; conditions on rows; and what people decided about them."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import ConfigError
from intouch_import.model import Action, Destination, EntryKind, Reason, SourceFile, TakenFrom, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = [
    "COLUMNS",
    "OVER",
    "SIZES",
    "Decisions",
    "Override",
    "Overrides",
    "PlanRow",
    "Where",
    "override_of",
    "size_class",
    "year_of",
]

_WRITTEN_WITHIN_S: Final = 2.0
_TRIES: Final = 10
_FIELDS = ("where", "patient", "provider", "taken_at", "leave_out", "restore", "by", "at", "note")


@attrs.frozen(kw_only=True)
class PlanRow:
    """One file of a plan: what it is, whose it is, and what is to become of it.

    Args:
        number: Its place in the plan, from 0.
        folder: Folders from the top of the archive, joined by slashes; empty for the top.
        name: Base name.
        size_bytes: Size in bytes.
        version: The version that the plan is pinned to: if the file changes, it is left alone.
        patient, provider: Ids, as far as they are known.
        taken_at: When it was taken as the plan has it, aware, UTC; what the camera wrote may go before it.
        taken_from: Who says so.
        destination: Images or notes.
        verdict: What is to be done: ``IMPORT``, ``FINISH`` (it is in the record already), ``WAIT``,
            ``ARRIVING`` (it is empty) or ``IGNORE``.
        reason: Why.
        import_id: Its import id.
        modified_ns, vendor_hash, handle: As in `SourceFile`.
    """

    number: int
    folder: str = attrs.field(repr=False)
    name: str = attrs.field(repr=False)
    size_bytes: int
    version: str
    patient: str | None = attrs.field(default=None, repr=False)
    provider: str | None = None
    taken_at: datetime | None = None
    taken_from: TakenFrom | None = None
    destination: Destination
    verdict: Action
    reason: Reason
    import_id: str
    modified_ns: int | None = None
    vendor_hash: str | None = None
    handle: str | None = None

    @property
    def path(self) -> str:
        """From the top of the archive, with slashes."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def file(self) -> SourceFile:
        """The file as it was listed."""
        return SourceFile(
            name=self.name,
            kind=EntryKind.FILE,
            size_bytes=self.size_bytes,
            modified_ns=self.modified_ns,
            version=self.version,
            vendor_hash=self.vendor_hash,
            handle=self.handle,
        )

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON values, names made printable."""
        return {
            "number": self.number,
            "path": printable(self.path),
            "size_bytes": self.size_bytes,
            "version": self.version,
            "patient": self.patient,
            "provider": self.provider,
            "taken_at": self.taken_at.isoformat() if self.taken_at is not None else None,
            "taken_from": self.taken_from.value if self.taken_from is not None else None,
            "destination": self.destination.value,
            "verdict": self.verdict.value,
            "reason": self.reason.value,
            "text": self.reason.text,
            "import_id": self.import_id,
        }


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


def _conditions(where: Mapping[str, Any]) -> dict[str, list[Any]]:
    return Where(where).values


@attrs.frozen(kw_only=True)
class Override:
    """One decision.

    Args:
        where: Which rows it is about, as `Where` takes it.
        patient, provider, taken_at: What holds instead of what the plan says; None leaves it.
        leave_out: They are not imported.
        restore: What the plan says holds again, whatever was decided before.
        by: Who, as the host names its staff.
        at: When, aware.
        note: Why.
    """

    where: dict[str, list[Any]] = attrs.field(repr=False, converter=_conditions)
    patient: str | None = attrs.field(default=None, repr=False)
    provider: str | None = None
    taken_at: datetime | None = None
    leave_out: bool = False
    restore: bool = False
    by: str | None = attrs.field(default=None, repr=False)
    at: datetime
    note: str = attrs.field(default="", repr=False)

    def to_json(self) -> str:
        """One line."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        values["at"] = self.at.astimezone(UTC).isoformat()
        values["taken_at"] = self.taken_at and self.taken_at.astimezone(UTC).isoformat()
        return json.dumps(values, ensure_ascii=True)

    @classmethod
    def from_json(cls, line: str) -> Override:
        """From `to_json`."""
        values = json.loads(line)
        values["at"] = datetime.fromisoformat(values["at"])
        if values["taken_at"] is not None:
            values["taken_at"] = datetime.fromisoformat(values["taken_at"])
        return cls(**values)


class Overrides:
    """All decisions about a plan, in their order: a later one holds.

    Args:
        path: The file that they are kept in.

    Attributes:
        size_bytes: How much of the file was read.

    Raises:
        ConfigError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all: list[Override] = []
        self._wheres: list[Where] = []
        self._rules: list[tuple[int, Where, Override]] = []
        self._by_number: dict[int, list[tuple[int, Override]]] = {}
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as exc:
            raise ConfigError("the plan's overrides can't be read", errno=exc.errno) from None
        self.size_bytes = len(data)
        try:
            for line in data.decode("ascii").splitlines():
                self._take(Override.from_json(line))
        except (ValueError, TypeError, KeyError):
            raise ConfigError("the plan's overrides can't be read: a line is damaged") from None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Any:
        return iter(self._all)

    @property
    def names(self) -> set[str]:
        """All that their conditions are about."""
        return {name for where in self._wheres for name in where.values}

    def about(self, first: int, stop: int, *, known: int) -> list[tuple[Where, Override]]:
        """Of the first so many, those that may be about rows of these numbers, each with its conditions."""
        found = {at for at, _, _ in self._rules}
        if self._by_number:
            found.update(at for number in range(first, stop) for at, _ in self._by_number.get(number, ()))
        return [(self._wheres[at], self._all[at]) for at in sorted(found) if at < known]

    def add(self, override: Override) -> None:
        """Keep one more, durably."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(override.to_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._take(override)

    def apply(self, row: PlanRow) -> PlanRow:
        """The row as it stands after all decisions."""
        if not self._all:
            return row
        planned = row
        numbered = self._by_number.get(row.number, ())
        for _, where, override in (
            sorted(
                [(at, None, one) for at, one in numbered]
                + [(at, where, one) for at, where, one in self._rules],
                key=lambda entry: entry[0],
            )
            if numbered
            else self._rules
        ):
            if where is None or where(row):
                row = _changed(row, planned, override)
        return row

    def _take(self, override: Override) -> None:
        at = len(self._all)
        where = Where(override.where)
        self._all.append(override)
        self._wheres.append(where)
        if set(override.where) == {"number"}:
            for number in override.where["number"]:
                self._by_number.setdefault(number, []).append((at, override))
        else:
            self._rules.append((at, where, override))


class Decisions:
    """All decisions until now, for whoever carries out a plan while people go on deciding.

    Args:
        path: The file that they are kept in.

    Raises:
        ConfigError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = Overrides(path)

    def now(self) -> Overrides:
        """Those made until now, on whatever machine.

        Raises:
            ConfigError: The file is damaged.
        """
        with self._lock:
            for left in reversed(range(_TRIES)):
                try:
                    if self._size_now() != self._known.size_bytes:
                        self._known = Overrides(self._path)
                    break
                except ConfigError:  # a decision is being written at this moment; it stays so if it is not
                    if not left:
                        raise
                    time.sleep(_WRITTEN_WITHIN_S / _TRIES)
            return self._known

    def _size_now(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as exc:
            raise ConfigError("the plan's overrides can't be read", errno=exc.errno) from None


def _changed(row: PlanRow, planned: PlanRow, override: Override) -> PlanRow:
    if not row.import_id:
        return row  # a link, a folder, a hidden file: nothing that could be imported
    if override.restore:
        return planned
    if override.leave_out:
        return attrs.evolve(row, verdict=Action.IGNORE, reason=Reason.LEFT_OUT)
    if planned.verdict is Action.FINISH:
        return row  # it is in a record: whose it is, is no question of the plan any more
    changes: dict[str, Any] = {}
    if override.patient is not None:
        changes |= {"patient": override.patient, "verdict": Action.IMPORT, "reason": Reason.CHOSEN}
    if override.provider is not None:
        changes["provider"] = override.provider
    if override.taken_at is not None:
        changes["taken_at"] = override.taken_at
        changes["taken_from"] = None
    return attrs.evolve(row, **changes)


def override_of(where: Mapping[str, Any], **values: Any) -> Override:
    """A decision of now."""
    return Override(where=dict(where), at=datetime.now(UTC), **values)
