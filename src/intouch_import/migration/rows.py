"""`PlanRow`, one file of a plan; conditions that select rows; and overrides, which people decide."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from intouch_import import disk
from intouch_import.errors import ConfigError, without_path
from intouch_import.model import (
    Action,
    CompanionRole,
    Destination,
    EntryKind,
    Reason,
    SourceFile,
    TakenFrom,
    printable,
)
from intouch_import.secret import pseudonym

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "CONDITIONS",
    "SIZES",
    "Override",
    "Overrides",
    "OverridesFile",
    "PlanRow",
    "Where",
    "size_class",
    "year_of",
]

SIZES: Final = (
    (0, "empty"),
    (100_000, "up to 100 KB"),
    (1_000_000, "up to 1 MB"),
    (10_000_000, "up to 10 MB"),
    (100_000_000, "up to 100 MB"),
    (math.inf, "over 100 MB"),
)
"""Size classes: the largest size of each in bytes, and its name."""

CONDITIONS: Final = {
    "verdict": ("verdict",), "reason": ("reason",), "patient": ("patient",), "provider": ("provider",),
    "destination": ("destination",), "import_id": ("import_id",), "role": ("role",), "number": (),
    "year": ("taken_at",), "size": ("size_bytes",),
    "folder": ("folder", "raw"), "name": ("name", "raw"), "path": ("folder", "name", "raw"),
}  # fmt: skip
"""What conditions may be about, and the columns of a plan's files that answer them."""


@attrs.frozen(kw_only=True)
class PlanRow:
    """One file of a plan: what it is, its patient, and what the run will do with it.

    Args:
        number: Its position in the plan, from 0.
        folder: Folders from the top of the archive, joined by slashes; empty for the top.
        name: Base name.
        size_bytes: Size in bytes.
        version: The planned version. If the file changes, the run leaves it alone.
        patient, provider: Ids; None if not known.
        taken_at: When it was taken according to the plan, aware, UTC. What the camera wrote may override it.
        taken_from: Where ``taken_at`` was found.
        times_differ: Whether another rule found another time.
        destination: Images or notes.
        verdict: What to do: ``IMPORT``, ``FINISH`` (it is in the record already), ``WAIT``, ``ARRIVING`` (it
            is empty, or in iCloud only) or ``IGNORE``.
        reason: Why.
        import_id: Its import id.
        modified_ns, vendor_hash, handle: As in `SourceFile`.
        role: What the file is to the one it belongs to (`CompanionRole`); None if it belongs to no other.
        behind: How many rows before this one the row of that file is; 0 if it belongs to no other.
        parts: The number of files that belong to this one. Their rows follow this row.
        accept_content: Whether a person decided to import the file whatever its content is.
    """

    number: int
    folder: str = attrs.field(repr=pseudonym)
    name: str = attrs.field(repr=pseudonym)
    size_bytes: int
    version: str
    patient: str | None = attrs.field(default=None, repr=pseudonym)
    provider: str | None = None
    taken_at: datetime | None = None
    taken_from: TakenFrom | None = None
    times_differ: bool = False
    destination: Destination
    verdict: Action
    reason: Reason
    import_id: str
    modified_ns: int | None = None
    vendor_hash: str | None = None
    handle: str | None = None
    role: CompanionRole | None = None
    behind: int = 0
    parts: int = 0
    accept_content: bool = False

    @property
    def path(self) -> str:
        """Path from the top of the archive, with slashes."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def owner(self) -> int:
        """The number of the row of the file that this one belongs to; its own number if it is no part."""
        return self.number - self.behind

    @property
    def is_sidecar(self) -> bool:
        """Whether the file shows nothing of its own, and is kept with the file that it belongs to."""
        return self.role is not None and self.role.is_sidecar

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
        """Return the row as JSON values, with printable names."""
        return {
            "number": self.number,
            "path": printable(self.path),
            "size_bytes": self.size_bytes,
            "version": self.version,
            "patient": self.patient,
            "provider": self.provider,
            "taken_at": self.taken_at.isoformat() if self.taken_at is not None else None,
            "taken_from": self.taken_from.value if self.taken_from is not None else None,
            "times_differ": self.times_differ,
            "destination": self.destination.value,
            "verdict": self.verdict.value,
            "reason": self.reason.value,
            "text": self.reason.text,
            "import_id": self.import_id,
            "role": self.role.value if self.role is not None else None,
            "owner": self.owner if self.behind else None,
        }


def size_class(size_bytes: int) -> str:
    """Return the size class of a file."""
    return next(name for largest, name in SIZES if size_bytes <= largest)


def year_of(row: PlanRow) -> str:
    """Return the year (UTC) of the time in the plan, or ``"unknown"``."""
    return str(row.taken_at.year) if row.taken_at is not None else "unknown"


def _checked(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    if not values.keys() <= CONDITIONS.keys():
        raise ConfigError(f"a condition is about one of {', '.join(CONDITIONS)}")
    return {name: _listed(value) for name, value in values.items()}


def _listed(value: Any) -> list[Any]:
    several = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    return [str(one) if isinstance(one, str) else one for one in several]


@attrs.frozen
class Where:
    """Conditions on a row, which must all be met: names and values, as `Plan.rows` describes them."""

    values: dict[str, list[Any]] = attrs.field(converter=_checked)
    numbers: frozenset[int] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: frozenset(self.values.get("number", ())), takes_self=True),
    )

    def matches(self, row: PlanRow) -> bool:
        """Return whether a row meets all conditions."""
        for name, wanted in self.values.items():
            match name:
                case "folder" | "name" | "path":
                    text = getattr(row, name)
                    meets = any(fnmatchcase(text, pattern) for pattern in wanted)
                case "year":
                    meets = year_of(row) in wanted
                case "size":
                    meets = size_class(row.size_bytes) in wanted
                case "number":
                    meets = row.number in self.numbers
                case _:
                    meets = getattr(row, name) in wanted
            if not meets:
                return False
        return True


@attrs.frozen(kw_only=True)
class Override:
    """A decision of a person about some rows, as `Plan.override` describes it; ``at`` is aware.

    The conditions are about the rows as they were planned. So overrides do not chain: a file whose patient
    was changed from A to B does not meet the conditions of the next override, from B to C.
    """

    where: Where = attrs.field(repr=False)
    patient: str | None = attrs.field(default=None, repr=pseudonym)
    provider: str | None = None
    taken_at: datetime | None = None
    accept_content: bool = False
    leave_out: bool = False
    restore: bool = False
    by: str | None = attrs.field(default=None, repr=False)
    at: datetime = attrs.field(factory=lambda: datetime.now(UTC))
    note: str = attrs.field(default="", repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the override as JSON values."""
        return attrs.asdict(self, recurse=False) | {
            "where": {name: list(wanted) for name, wanted in self.where.values.items()},
            "at": self.at.astimezone(UTC).isoformat(),
            "taken_at": self.taken_at and self.taken_at.astimezone(UTC).isoformat(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make an override from what `to_dict` returned."""
        taken_at = values["taken_at"]
        return cls(
            **values
            | {
                "where": Where(values["where"]),
                "at": datetime.fromisoformat(values["at"]),
                "taken_at": datetime.fromisoformat(taken_at) if taken_at is not None else None,
            }
        )

    def can_change(self, planned: PlanRow) -> bool:
        """Return whether this override can change a planned row that meets its conditions."""
        if not planned.import_id:
            return self.leave_out or self.restore  # a link, a folder or a hidden file: it can't be imported
        # A file that is in a patient's record already can be left in the archive, and nothing else.
        return planned.verdict is not Action.FINISH or self.leave_out or self.restore

    def apply(self, row: PlanRow, planned: PlanRow) -> PlanRow:
        """Apply this override to a row with all earlier overrides."""
        if not self.can_change(planned):
            return row
        return planned if self.restore else attrs.evolve(row, **self.changes)

    @property
    def changes(self) -> dict[str, Any]:
        """The values that it sets, by column."""
        if self.leave_out:
            return {"verdict": Action.IGNORE, "reason": Reason.LEFT_OUT}
        changes: dict[str, Any] = {}
        if self.patient is not None:
            changes |= {"patient": self.patient, "verdict": Action.IMPORT, "reason": Reason.CHOSEN}
        if self.provider is not None:
            changes["provider"] = self.provider
        if self.taken_at is not None:
            changes |= {"taken_at": self.taken_at, "taken_from": None, "times_differ": False}
        if self.accept_content:
            changes["accept_content"] = True
        return changes


@attrs.define(eq=False)
class Overrides:
    """The overrides of a plan, oldest first. They apply in order, so a later one wins."""

    all: list[Override] = attrs.field(factory=list, init=False)
    # An override of a single row is found by the row's number; the others are tried on every row.
    _by_number: dict[int, list[int]] = attrs.field(factory=dict, init=False)
    _others: list[int] = attrs.field(factory=list, init=False)

    def add(self, override: Override) -> None:
        """Add an override, the newest."""
        at = len(self.all)
        self.all.append(override)
        if set(override.where.values) == {"number"}:
            for number in override.where.values["number"]:
                self._by_number.setdefault(number, []).append(at)
        else:
            self._others.append(at)

    def between(self, first: int, stop: int, *, known: int) -> list[Override]:
        """Return the overrides that may change rows with these numbers, among the first ``known`` ones."""
        found = set(self._others)
        if self._by_number:
            found.update(at for number in range(first, stop) for at in self._by_number.get(number, ()))
        return [self.all[at] for at in sorted(found) if at < known]

    def apply(self, planned: PlanRow) -> PlanRow:
        """Return a planned row with all overrides."""
        row = planned
        numbered = self._by_number.get(row.number, ())
        for at in sorted([*self._others, *numbered]) if numbered else self._others:
            override = self.all[at]
            if override.where.matches(planned):
                row = override.apply(row, planned)
        return row

    def apply_all(self, planned: Sequence[PlanRow]) -> list[PlanRow]:
        """Return planned rows with all overrides."""
        return [self.apply(row) for row in planned] if self.all else list(planned)


@attrs.define(eq=False)
class OverridesFile:
    """The file of a plan's overrides, a line of JSON each. Thread-safe; other processes may add lines.

    Every line has its own digest, and the digest of a line before it, the last one that its writer has seen.
    So a line that was changed, moved, or removed before other lines is noticed. The end of a line that was
    not written completely, because the disk was full or the power failed, is skipped.

    Args:
        plan: The id of the plan, from which the first line continues.

    Attributes:
        known: All overrides that were read.
        torn: Whether the file ends with an override that was not written completely.
    """

    _path: Path
    _plan: str = ""
    known: Overrides = attrs.field(factory=Overrides, init=False)
    torn: bool = attrs.field(default=False, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _size_bytes: int = attrs.field(default=0, init=False)
    _whole_bytes: int = attrs.field(default=0, init=False)
    # The digests of all lines that were read, in their order.
    _digests: dict[str, None] = attrs.field(factory=dict, init=False)

    def read(self) -> Overrides:
        """Return all overrides made so far, by any process. Reads what was added to the file since.

        Raises:
            ConfigError: The file can't be read, or was changed.
        """
        with self._lock:
            self._read()
            return self.known

    def add(self, override: Override) -> None:
        """Append an override, durably.

        Raises:
            ConfigError: The file can't be read or written, or was changed.
        """
        with self._lock:
            self._read()
            values = {**override.to_dict(), "after": next(reversed(self._digests), self._plan)}
            line = json.dumps({**values, "sha256": _digest_of(values)}, ensure_ascii=True)
            try:
                disk.create_private(self._path)
                with self._path.open("ab") as file:
                    # What was not written completely becomes a line that is no override.
                    file.write(("#\n" * self.torn + line + "\n").encode("ascii"))
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as exc:
                raise ConfigError("the override can't be written", errno=exc.errno) from without_path(exc)
            self._read()

    def _read(self) -> None:
        try:
            size_bytes = self._path.stat().st_size if self._path.exists() else 0
            if size_bytes == self._size_bytes:
                return
            with self._path.open("rb") as file:
                file.seek(self._whole_bytes)
                data = file.read()
        except OSError as exc:
            raise ConfigError("the plan's overrides can't be read", errno=exc.errno) from without_path(exc)
        if size_bytes < self._whole_bytes:
            raise ConfigError("the plan's overrides can't be read: a line was removed")
        *lines, rest = data.split(b"\n")
        for override, digest in self._overrides_of(lines, torn=bool(rest)):
            self.known.add(override)
            self._digests[digest] = None
        self._whole_bytes += len(data) - len(rest)
        self._size_bytes, self.torn = self._whole_bytes + len(rest), bool(rest)

    def _overrides_of(self, lines: Sequence[bytes], *, torn: bool) -> list[tuple[Override, str]]:
        """Return the overrides of lines, and the digests of these lines. An incomplete line may follow."""
        found: list[tuple[Override, str]] = []
        before = {self._plan, *self._digests}
        broken = False
        for line in filter(None, lines):
            try:
                values = json.loads(line)
                digest, after = values.pop("sha256"), values["after"]
            except (ValueError, TypeError, KeyError, AttributeError):
                broken = True  # not an override, if a later one was added without it
                continue
            if digest != _digest_of(values) or after not in before:
                raise ConfigError("the plan's overrides can't be read: a line was changed or is damaged")
            del values["after"]
            found.append((Override.from_dict(values), digest))
            before.add(digest)
            broken = False
        if broken and not torn:
            raise ConfigError("the plan's overrides can't be read: the last line is damaged")
        return found


def _digest_of(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
