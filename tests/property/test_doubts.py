"""The question before a save: properties of every name."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intouch_import.errors import CaptureNameError
from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming
from intouch_import.inbox import DoubtKind, Inbox, Severity
from intouch_import.model import CaptureName, Patient
from intouch_import.testing import MemoryFolder, MemoryRepository

if TYPE_CHECKING:
    from pathlib import Path

PATIENTS = tuple(
    Patient(id=one, name=f"Name {one}") for one in ("1", "10042", "10043", "2019", "A-7", "a-7", "0042")
)
PATTERNS = (
    DEFAULT_PATTERN,
    "{taken:%Y%m%d_%H%M%S}_{provider}_{patient}[_{sequence}]",
    "[{sequence}.]{patient}.{provider}.{taken:%d%m%Y%H%M%S}",
)
ids = st.sampled_from([patient.id for patient in PATIENTS])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_file_that_identifies_another_patient_is_saved_without_a_doubt(
    tmp_path: Path, pattern: str
) -> None:
    """With any rest of the name and any chosen patient, a doubt of kind `other_patient` has this file and both patients."""
    naming = CaptureNaming(pattern)
    records, folder = MemoryRepository(PATIENTS), MemoryFolder()
    inbox = Inbox(
        records,
        folder.open(),
        zone="UTC",
        settle_s=0.0,
        auto_import=False,
        naming=naming,
        ledger=tmp_path / "ledger.db",
    )

    @given(
        named=ids,
        chosen=ids,
        provider=st.sampled_from(["DRJ", "9"]),
        taken=st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)),
        sequence=st.sampled_from([None, "7", "007"]),
        extension=st.sampled_from([".jpg", ".JPG", ".dcm", ".mp4", ".jpg.xmp", " (1).jpg", ".jpg~"]),
        content=st.sampled_from([b"", b"x"]),
    )
    def check(
        named: str,
        chosen: str,
        provider: str,
        taken: datetime,
        sequence: str | None,
        extension: str,
        content: bytes,
    ) -> None:
        capture = CaptureName(
            patient=named,
            provider=provider,
            taken_local=taken.replace(microsecond=0),
            sequence=sequence,
            extension=".x",
        )
        try:
            name = naming.format(capture).removesuffix(".x") + extension
        except CaptureNameError:
            return
        folder.write(name, content or b"\xff")
        inbox.scan()
        request = inbox.prepare([row for row in inbox.rows if row.name == name], patient=chosen)
        folder.delete(name)
        others = [doubt for doubt in request.doubts if doubt.kind is DoubtKind.OTHER_PATIENT]
        if named == chosen:
            assert others == []
            return
        (doubt,) = others
        assert (doubt.severity, doubt.rows) == (Severity.CONFIRM, request.rows)
        assert doubt.patient == records.find_patient(named)
        for one in (named, chosen):
            assert f"Name {one} ({one})" in (request.warning or "")

    with inbox:
        check()
