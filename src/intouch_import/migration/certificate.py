"""`Certificate`: what became of every file of a plan, in numbers that add up, or say what does not.

A certificate is three files. ``files.jsonl`` has a line for every planned file, with exactly one outcome, the
record in which it was found, and the digest of what is in that record. ``certificate.html`` is for people.
``certificate.json`` has the counts, the digests of the other files, and its own digest: SHA-256 of its
canonical JSON without that entry. Keep that one number elsewhere, on paper for example. With it,
`verify_certificate` detects every later change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import import disk
from intouch_import.errors import ConfigError, kind_and_place, without_path
from intouch_import.migration.outcomes import Tally
from intouch_import.migration.plan_file import write_json, write_whole
from intouch_import.migration.report import page_of
from intouch_import.migration.walking import Folders, open_root
from intouch_import.model import printable
from intouch_import.repositories.base import PatientRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.migration.plan_file import StoredPlan
    from intouch_import.sources.base import Source

__all__ = ["READ_AGAIN", "Certificate", "certify", "verify_certificate"]

log = logging.getLogger(__name__)

FILES, CERTIFICATE, REPORT = "files.jsonl", "certificate.json", "certificate.html"
READ_AGAIN: Final = 10_000
"""Of how many files, about, the stored bytes are read again, unless the caller says otherwise."""
# Stands in the page for the certificate's own digest, while the digest of the page is taken.
_NO_DIGEST: Final = "0" * 64


@attrs.frozen(kw_only=True)
class Certificate:
    """The certificate of a migration.

    Args:
        values: All values, as in ``certificate.json``.
        directory: Its folder.
    """

    values: dict[str, Any] = attrs.field(repr=False)
    directory: Path = attrs.field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Number of files by outcome: imported, duplicate, waiting, ignored, failed, not yet."""
        return dict(self.values["counts"])

    @property
    def planned(self) -> int:
        """Number of planned files."""
        return int(self.values["planned"])

    @property
    def closes(self) -> bool:
        """Whether every planned file has its outcome, and all numbers agree."""
        return not self.open_points

    @property
    def open_points(self) -> list[str]:
        """What does not add up or is left to do, a sentence each."""
        return list(self.values["open_points"])

    @property
    def sha256(self) -> str:
        """The certificate's own digest."""
        return str(self.values["sha256"])

    @property
    def report(self) -> Path:
        """The report for people: an HTML page that needs no network."""
        return self.directory / REPORT

    def __str__(self) -> str:
        parts = " + ".join(f"{count:,} {name}" for name, count in self.counts.items())
        ends = "" if self.closes else f"; {len(self.open_points)} open point(s)"
        return f"{self.planned:,} planned = {parts}{ends}"


def certify(
    stored: StoredPlan,
    *,
    records: PatientRepository | Callable[[], PatientRepository] | None,
    archive: Callable[[], Source] | None,
    sample: int | None = READ_AGAIN,
    to: Path | None = None,
) -> Certificate:
    """Write the certificate of a plan in its present state.

    Args:
        stored: The plan.
        records: The records, or a callable that opens them.
        archive: Opens the archive.
        sample: As for `Plan.certificate`.
        to: A folder for the certificate.

    Raises:
        ConfigError: The folder can't be written.
        RepositoryError: The records can't be read.
    """
    header = stored.header
    folder = to if to is not None else stored.directory / "certificate"
    digest = hashlib.sha256()
    stored.overrides_file.read()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        disk.create_private(folder / FILES)
        with (
            _opened(records) as repository,
            _folders_of(archive, header.source_id) as folders,
            (folder / FILES).open("wb") as file,
        ):
            tally = Tally(stored, repository, folders, sample=sample)
            for line in tally.lines():
                encoded = (json.dumps(line, ensure_ascii=True) + "\n").encode()
                digest.update(encoded)
                file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
        values: dict[str, Any] = {
            "form": 2,
            "plan": header.id,
            "planned_at": header.created_at.isoformat(),
            "certified_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "mode": header.mode,
            "location": header.location,
            "archive": printable(header.label),
            "source_id": header.source_id,
            "rule": header.rule,
            "zone": header.zone,
            "planned": header.rows,
            "planned_bytes": header.size_bytes,
            **tally.values(),
            "overrides": len(stored.overrides.all),
            "files_sha256": digest.hexdigest(),
        }
        page = page_of({**values, "sha256": _NO_DIGEST})
        values["report_sha256"] = hashlib.sha256(page).hexdigest()
        values["sha256"] = _own_digest(values)
        write_json(folder / CERTIFICATE, values)
        write_whole(folder / REPORT, page.replace(_NO_DIGEST.encode(), values["sha256"].encode()))
    except OSError as exc:
        raise ConfigError("the certificate can't be written", errno=exc.errno) from without_path(exc)
    return Certificate(values=values, directory=folder)


def verify_certificate(directory: str | os.PathLike[str]) -> list[str]:
    """Check that a certificate was not changed. Return what is wrong; an empty list if nothing is.

    The page for people is checked, too.

    Raises:
        ConfigError: There is no certificate.
    """
    folder = Path(directory)
    try:
        values = json.loads((folder / CERTIFICATE).read_text("utf-8"))
        with (folder / FILES).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ConfigError("there is no certificate in that folder", errno=exc.errno) from without_path(exc)
    except ValueError:
        return ["certificate.json is damaged"]
    if not isinstance(values, dict):
        return ["certificate.json is damaged"]
    wrong = []
    if values.get("sha256") != _own_digest(values):
        wrong.append("certificate.json was changed")
    if values.get("files_sha256") != found:
        wrong.append("files.jsonl was changed")
    try:
        page = (folder / REPORT).read_bytes()
    except OSError:
        wrong.append("certificate.html is missing")
    else:
        own = str(values.get("sha256")).encode()
        blank = page.replace(own, _NO_DIGEST.encode())
        if own not in page or values.get("report_sha256") != hashlib.sha256(blank).hexdigest():
            wrong.append("certificate.html was changed")
    return wrong


@contextlib.contextmanager
def _opened(
    records: PatientRepository | Callable[[], PatientRepository] | None,
) -> Iterator[PatientRepository | None]:
    """Open the records, and close them if they were opened here; None if they can't be opened."""
    if records is None or isinstance(records, PatientRepository):
        yield records
        return
    try:
        repository = records()
    except Exception as exc:  # noqa: BLE001  # code of the host
        log.warning("the records can't be opened for a certificate", extra=kind_and_place(exc))
        yield None
        return
    try:
        yield repository
    finally:
        with contextlib.suppress(Exception):  # a host's own; they were only read
            getattr(repository, "close", lambda: None)()


@contextlib.contextmanager
def _folders_of(archive: Callable[[], Source] | None, source_id: str) -> Iterator[Folders | None]:
    """Open the archive; None if it can't be opened."""
    try:
        root = open_root(archive, source_id=source_id) if archive is not None else None
    except Exception as exc:  # noqa: BLE001  # a caller's callable may raise anything
        log.warning("the archive can't be opened for a certificate", extra=kind_and_place(exc))
        root = None
    if root is None:
        yield None
        return
    with contextlib.closing(root), contextlib.closing(Folders(root)) as folders:
        yield folders


def _own_digest(values: dict[str, Any]) -> str:
    rest = {name: value for name, value in values.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
