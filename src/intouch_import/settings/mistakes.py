"""What is wrong with settings, or looks wrong: where, which key, and what was expected."""

from __future__ import annotations

from typing import Any

import attrs

from intouch_import.model import printable

__all__ = ["Mistake"]


@attrs.frozen(kw_only=True)
class Mistake:
    """One thing that is wrong, or, as a warning, doubtful. No value is in it: it may be a secret.

    Args:
        file: The settings file as it was named, or ``"environment"``.
        key: The setting, dotted: ``"provider.DRJ.azure_folder"``; or a variable; empty for the whole file.
        text: What was expected, and what is wrong.
    """

    file: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(printable(part) for part in (self.file, self.key, self.text) if part)

    def to_dict(self) -> dict[str, Any]:
        """The mistake as JSON values."""
        return {"file": printable(self.file), "key": printable(self.key), "text": printable(self.text)}
