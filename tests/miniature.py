"""A practice in miniature: patients, providers, a photo folder, and inboxes over them."""

from __future__ import annotations

import hashlib
import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from PIL import Image

from intouch_import.clock import Clock
from intouch_import.inbox import Inbox
from intouch_import.model import Patient, Provider
from intouch_import.repositories.base import PatientRepository
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.model import StoredAttachment
    from intouch_import.reports import Report
    from intouch_import.sources import Source

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENTS = (
    Patient(id="10042", name="Ada Marsh"),
    Patient(id="10043", name="Ben Okafor"),
    Patient(id="10044", name="Chiara Lindqvist", active=False),
)
PROVIDERS = (Provider(id="DRJ", name="Dr Jones"), Provider(id="DRK", name="Dr Kaur"))


def jpeg(seed: str = "") -> bytes:
    """A whole, tiny JPEG; other bytes for every seed."""
    red, green, blue = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()[:3]
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (red, green, blue)).save(out, "JPEG", comment=repr(seed).encode())
    return out.getvalue()


@attrs.frozen
class Practice:
    """One practice in a temporary folder.

    Args:
        root: The folder.
        database: URL of a database elsewhere; by default it is a SQLite file in the folder.
    """

    root: Path
    database: str | None = attrs.field(default=None)

    @property
    def photos(self) -> Path:
        """The folder that files are taken from."""
        return self.root / "photos"

    @property
    def files(self) -> Path:
        """Where the repository keeps bytes."""
        return self.root / "files"

    @property
    def url(self) -> str:
        """The database of the patient records and of the ledger."""
        return self.database or f"sqlite:///{self.root / 'clinic.db'}"

    def records(self) -> SqlRepository:
        """Open the patient records."""
        return SqlRepository.open(self.url, files=self.files)

    def source(self, folder: Path | None = None, **options: Any) -> Source:
        """Open the photo folder."""
        return open_source(folder or self.photos, **options)

    def inbox(self, *sources: Source, records: Any = None, **options: Any) -> Inbox:
        """Open an inbox that waits for nothing, in UTC."""
        options = {"zone": "UTC", "settle_s": 0.0, "clock": Clock(now=lambda: NOW), **options}
        return Inbox(records or self.records(), sources or [self.source()], **options)

    def photo(self, name: str, content: bytes | None = None, *, folder: Path | None = None) -> Path:
        """Put a file into the photo folder."""
        path = (folder or self.photos) / name
        path.write_bytes(jpeg(name) if content is None else content)
        return path

    def imported(self, names: Sequence[str]) -> list[StoredAttachment]:
        """Import photos with these names for patient 10042, and return what is stored, by name."""
        for name in names:
            self.photo(name)
        self.inbox().refresh()
        with self.records() as records:
            return sorted(records.attachments("10042"), key=lambda one: one.name)

    def left(self) -> list[str]:
        """What is in the photo folder."""
        return sorted(os.listdir(self.photos))


def reasons(report: Report) -> dict[str, tuple[str, str]]:
    """By name: state and reason."""
    return {outcome.name: (outcome.state.value, outcome.reason.value) for outcome in report.outcomes}


class HostRecords(PatientRepository):
    """A host that brings no database of ours: all it does is done by another repository."""

    ledger: Any = None

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def find_patient(self, patient_id: str) -> Any:
        return self._inner.find_patient(patient_id)

    def find_provider(self, provider_id: str) -> Any:
        return self._inner.find_provider(provider_id)

    def add(self, attachment: Any, content: Any) -> Any:
        return self._inner.add(attachment, content)

    def find_attachment(self, import_ids: Any) -> Any:
        return self._inner.find_attachment(import_ids)

    def open_attachment(self, attachment_id: str) -> Any:
        return self._inner.open_attachment(attachment_id)
