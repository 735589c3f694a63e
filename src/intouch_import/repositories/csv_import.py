"""Read lists of patients and providers from CSV files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intouch_import.errors import ConfigError
from intouch_import.model import Patient, Provider
from intouch_import.repositories.tables import is_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["patients_in", "providers_in"]

_ACTIVE = {
    "": True, "yes": True, "true": True, "1": True, "y": True,
    "no": False, "false": False, "0": False, "n": False,
}  # fmt: skip


def patients_in(path: str | os.PathLike[str]) -> Iterator[Patient]:
    """Iterate over the patients in a CSV file; see `SqlRepository.load_patients_csv`."""
    for row in _rows(path):
        birth_date = row.get("birth_date") or None
        yield Patient(id=row["id"], name=row["name"], active=row["active"], birth_date=birth_date)


def providers_in(path: str | os.PathLike[str]) -> Iterator[Provider]:
    """Iterate over the providers in a CSV file; see `SqlRepository.load_providers_csv`."""
    for row in _rows(path):
        yield Provider(id=row["id"], name=row["name"], active=row["active"])


def _rows(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = {"id", "name"} - set(reader.fieldnames or [])
            if missing:
                raise ConfigError(f"the CSV file lacks the column {' and '.join(sorted(missing))}")
            seen: dict[str, tuple[Any, ...]] = {}
            for row in reader:
                if None in row:
                    raise ConfigError(f"line {reader.line_num} of the CSV file has too many fields")
                active = _ACTIVE.get((row.get("active") or "").strip().lower())
                identity = (row["id"] or "").strip()
                if not identity or active is None or not all(map(is_text, filter(None, row.values()))):
                    raise ConfigError(
                        f"line {reader.line_num} of the CSV file has no id or no clear 'active'"
                    )
                name = (row["name"] or "").strip()
                person = (name, active, row.get("birth_date") or None)
                # If a spreadsheet has dropped leading zeros, two people may have the same id.
                if seen.setdefault(identity, person) != person:
                    raise ConfigError(
                        f"line {reader.line_num} of the CSV file has the id of another line for somebody else"
                    )
                yield {**row, "id": identity, "name": name, "active": active}
    except OSError as exc:
        raise ConfigError("the CSV file can't be opened", errno=exc.errno) from None
    except (csv.Error, UnicodeDecodeError):
        raise ConfigError("the file is not CSV text in UTF-8") from None
