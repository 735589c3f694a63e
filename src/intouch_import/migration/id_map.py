"""Old ids of patients and their new ids, for practices that gave their patients new ids."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from intouch_import.errors import ConfigError
from intouch_import.migration.list_files import UNREADABLE, csv_lines, excel_lines, excel_text, is_excel
from intouch_import.migration.rule_results import similar_ids
from intouch_import.model import Reason

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from intouch_import.migration.rule_results import RuleResult

__all__ = ["id_map", "read_ids", "translate"]

_TWO: Final = 2


def read_ids(
    path: str | os.PathLike[str], *, sheet: str | None = None, encoding: str | None = None
) -> dict[str, str]:
    """Read a list of two columns, the old and the new id of each patient, for ``ids=`` of a rule.

    The first line may be a header. In Excel, format the columns as text: a number has no leading zeros.

    Args:
        path: Path of a CSV file or an Excel workbook.
        sheet: As for `ManifestRule`.
        encoding: As for `ManifestRule`.

    Returns:
        The new ids by the old ids.

    Raises:
        ConfigError: The list can't be read, a line does not have two ids, or an old id has two new ids.
        MissingExtraError: openpyxl is not installed.
    """
    place = Path(path).expanduser()
    ids: dict[str, str] = {}
    lines: Iterator[list[Any]]
    with contextlib.ExitStack() as stack:
        if is_excel(place):
            rows, _ = stack.enter_context(excel_lines(place, sheet=sheet))
            lines = (list(map(excel_text, row)) for row in rows)
        else:
            lines = stack.enter_context(
                csv_lines(place, encoding=encoding, fits=lambda names: len(names) == _TWO)
            )
        for number, cells in enumerate(lines, 1):
            pair = [cell.strip() if isinstance(cell, str) else cell for cell in cells if cell is not None]
            if not any(pair):
                continue  # an empty line
            if len(pair) != _TWO or UNREADABLE in pair or not all(pair):
                raise ConfigError(f"line {number} of the list does not have two ids")
            if ids.setdefault(*pair) != pair[1]:
                raise ConfigError(f"line {number} of the list gives an old id a second new id")
    return ids


def id_map(value: Mapping[str, str] | None) -> dict[str, str] | None:
    """Check the ``ids=`` of a rule.

    Raises:
        ConfigError: It is not a dictionary of texts.
    """
    if value is None:
        return None
    try:
        ids = dict(value)
    except (TypeError, ValueError):
        raise ConfigError("ids= takes a dictionary of old and new ids, such as read_ids returns") from None
    if not all(isinstance(one, str) and one for pair in ids.items() for one in pair):
        raise ConfigError("ids= takes ids that are text, and not empty")
    return ids


def translate(result: RuleResult, ids: Mapping[str, str] | None) -> RuleResult:
    """Replace the old ids in a result by new ones, all at once. An old id without a new one names nobody."""
    if ids is None:
        return result
    other_ids = tuple(ids.get(one, one) for one in result.other_ids)
    if result.patient is None:
        return result._replace(other_ids=other_ids)
    patient = ids.get(result.patient)
    if patient is None:
        return result._replace(
            patient=None, reason=None, weak=None, no_patient=Reason.ID_NOT_MAPPED, other_ids=other_ids
        )
    return result._replace(patient=patient, other_ids=(*other_ids, *similar_ids(patient)))
