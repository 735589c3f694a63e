"""The values that are passed between rooms: patients, files, verdicts, attachments, progress.

All of them are frozen. The ``repr`` of a value shows no person, no title and no comments, and shows patient
ids and file names as tags (`pseudonym`).
"""

from __future__ import annotations

import enum
import hashlib
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import attrs

from intouch_import.errors import ConfigError
from intouch_import.reasons import Reason
from intouch_import.secret import pseudonym

__all__ = [
    "Action",
    "Attachment",
    "CaptureName",
    "CompanionRole",
    "ContentCheck",
    "Destination",
    "EntryKind",
    "Patient",
    "Progress",
    "Provider",
    "Reason",
    "Soundness",
    "SourceFile",
    "Stage",
    "State",
    "StoredAttachment",
    "TakenAtFlag",
    "TakenFrom",
    "Verdict",
    "import_id",
    "normal_form",
    "printable",
]

_LONGEST_PART: Final = 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Destination(enum.StrEnum):
    """Where a file appears in the patient's record.

    ``IMAGES``: on the *Images* tab. ``NOTES``: as an external document under *Notes*.
    """

    IMAGES = "images"
    NOTES = "notes"


class EntryKind(enum.StrEnum):
    """The kind of a directory entry. Only a `FILE` is ever opened."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special"


class Action(enum.StrEnum):
    """What should happen to a file, in a verdict.

    ``IMPORT``: import the file automatically for the patient of the verdict. ``WAIT``: a person must decide.
    ``ARRIVING``: the file may be incomplete; a later refresh checks again. ``FINISH``: the file is already in
    a record; finish its interrupted move. ``IGNORE``: the entry is neither a photo nor a document.
    """

    IMPORT = "import"
    WAIT = "wait"
    ARRIVING = "arriving"
    FINISH = "finish"
    IGNORE = "ignore"


class State(enum.StrEnum):
    """What has happened to a file.

    ``WAITING``: nothing yet; the file is in its source. ``IMPORTED``: it is in the patient's record and no
    longer in its source. ``STORED``: it is in the record, and still in its source. ``IGNORED``: it is neither
    a photo nor a document. ``FAILED``: it should have been imported and was not; it is where it was.
    """

    WAITING = "waiting"
    IMPORTED = "imported"
    STORED = "stored"
    IGNORED = "ignored"
    FAILED = "failed"

    @property
    def is_in_record(self) -> bool:
        """Whether the file is in the patient's record, still in its source or not."""
        return self in (State.IMPORTED, State.STORED)


class TakenAtFlag(enum.StrEnum):
    """How often a wall time occurred in the time zone of the practice.

    ``EXACT``: once. ``SKIPPED``: never, because the clocks were put forward. ``REPEATED``: twice, because the
    clocks were put back.
    """

    EXACT = "exact"
    SKIPPED = "skipped"
    REPEATED = "repeated"


class TakenFrom(enum.StrEnum):
    """Where the capture time of a file was found.

    ``NAME``: in the file name. ``EXIF``, ``QUICKTIME``: written into the file by the camera. ``GPS``: the
    clock of the satellites that a camera saw. ``XMP``: the original time that a program wrote. ``DIGITIZED``:
    when the photo was made or scanned, in a file without an original time. ``CONTAINER``: the creation time
    in the index of a movie; UTC by most standards, but often the camera's wall time. ``SOURCE``: the
    modification time in the location; it is never used as a capture time. ``FOLDER``, ``LIST``: found by a
    migration in the names of folders, or in a list of files.
    """

    NAME = "name"
    EXIF = "exif"
    QUICKTIME = "quicktime"
    GPS = "gps"
    XMP = "xmp"
    DIGITIZED = "digitized"
    CONTAINER = "container"
    SOURCE = "source"
    FOLDER = "folder"
    LIST = "list"


class CompanionRole(enum.StrEnum):
    """What a file is to the photo or movie that it belongs to.

    ``MOVIE``: the movie of a live photo, or one that was recorded with a photo. ``RAW``: the RAW of a photo.
    ``EDITED``: the photo or movie after edits. ``VERSION``: the same photo or movie in another format.
    ``BURST``: another photo of the same burst. ``SIDECAR``: edits or metadata (``.aae``, ``.xmp``,
    ``.json``). ``PREVIEW``: a small copy that the camera wrote (``.thm``, ``.lrv``, ``.lrf``).
    """

    MOVIE = "movie"
    RAW = "raw"
    EDITED = "edited"
    VERSION = "version"
    BURST = "burst"
    SIDECAR = "sidecar"
    PREVIEW = "preview"

    @property
    def is_sidecar(self) -> bool:
        """Whether such a file shows nothing of its own: it is kept with its owner, and not shown to staff."""
        return self in {CompanionRole.SIDECAR, CompanionRole.PREVIEW}


class Soundness(enum.StrEnum):
    """Whether the content of a file could be decoded.

    ``VERIFIED``: every picture in the file was decoded to its last line. This finds missing data, not changed
    data: most flipped bits can be decoded. ``UNVERIFIED``: no fault was found, but the file was not decoded
    completely. ``DAMAGED``: the file ends too early, or the decoder reports an error.
    """

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    DAMAGED = "damaged"


def _check_id(_instance: object, _attribute: object, value: Any) -> None:
    """Refuse an id that no capture name and no database would match. The message does not contain it."""
    if not isinstance(value, str) or not value or value != value.strip() or not _is_storable(value):
        raise ConfigError(
            "an id is a text, not empty, without blanks around it and without control characters"
        )


def _is_storable(text: str) -> bool:
    """Return whether a text has no control characters and no lone surrogates."""
    return text.isprintable() or not any(unicodedata.category(char) in {"Cc", "Cs"} for char in text)


@attrs.frozen(kw_only=True)
class Patient:
    """What this library needs to know about a patient.

    Args:
        id: The practice's id of the patient, as in capture names: a text without blanks around it.
        name: Name to show to people; never in a log or a ``repr``.
        active: Whether files may be imported for the patient automatically.
        birth_date: ISO date (``YYYY-MM-DD``), so that people can distinguish patients of one name; None if
            not known.

    Raises:
        ConfigError: The id is no text, is empty, or contains blanks around it or control characters.
    """

    id: str = attrs.field(repr=pseudonym, validator=_check_id)
    name: str = attrs.field(default="", repr=False)
    active: bool = True
    birth_date: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Provider:
    """A provider (the doctor).

    Args:
        id: The practice's id of the provider, as in capture names: a text without blanks around it.
        name: Name to show to people; never in a log or a ``repr``.
        active: Whether the provider still works at the practice. Files are imported in either case.

    Raises:
        ConfigError: As for `Patient`.
    """

    id: str = attrs.field(validator=_check_id)
    name: str = attrs.field(default="", repr=False)
    active: bool = True


@attrs.frozen(kw_only=True)
class SourceFile:
    """One entry of a source folder, as listed.

    Args:
        name: Base name, exactly as the location spells it. On POSIX, bytes that are not UTF-8 appear as lone
            surrogates (PEP 383); `printable` escapes them.
        kind: The kind of the entry.
        size_bytes: Size in bytes; 0 if the entry is not a file.
        modified_ns: Modification time, nanoseconds since 1970-01-01 UTC; None if not known.
        version: A text that changes whenever the bytes may have changed: an etag, a rev, or inode, size and
            mtime.
        vendor_hash: Hash computed by the location, ``"algorithm:hex"``; None if it has none.
        handle: The location's id of the entry, if the location addresses entries by id instead of name.
        changed_ns: When bytes or attributes last changed, nanoseconds since 1970-01-01 UTC: a time that no
            program can set. None if the location has none.
    """

    name: str = attrs.field(repr=pseudonym)
    kind: EntryKind = EntryKind.FILE
    size_bytes: int
    modified_ns: int | None = None
    version: str
    vendor_hash: str | None = None
    handle: str | None = None
    changed_ns: int | None = attrs.field(default=None, eq=False)

    @property
    def modified_at(self) -> datetime | None:
        """Modification time, aware, UTC, resolution 1 µs; None if not known or out of range."""
        if self.modified_ns is None:
            return None
        try:
            return _EPOCH + timedelta(microseconds=self.modified_ns // 1000)
        except OverflowError:
            return None


@attrs.frozen(kw_only=True)
class CaptureName:
    """The parts of a file name that the capture app wrote.

    Args:
        patient: Patient id, exactly as written.
        provider: Provider id, exactly as written.
        taken_local: Naive wall time of the clinic; the resolution is that of the pattern, 1 s by default.
        sequence: Sequence digits, exactly as written (with leading zeros), or None.
        extension: Extension as written, with its dot (``".JPG"``).
    """

    patient: str = attrs.field(repr=pseudonym)
    provider: str
    taken_local: datetime
    sequence: str | None = None
    extension: str


@attrs.frozen(kw_only=True)
class Verdict:
    """What should happen to a file, and why. Only data: nothing has happened yet.

    Args:
        action: What to do.
        reason: Why.
        destination: Where the file would appear in the record.
        capture: The parts of the file name, if it is a capture name.
        patient_id: The patient into whose record the file goes, for `Action.IMPORT` and `Action.FINISH`.
        taken_at: Capture time, aware, UTC; None if not known or not certain.
        taken_flag: How often ``capture.taken_local`` occurred in the time zone of the practice.
    """

    action: Action
    reason: Reason
    destination: Destination
    capture: CaptureName | None = None
    patient_id: str | None = attrs.field(default=None, repr=pseudonym)
    taken_at: datetime | None = None
    taken_flag: TakenAtFlag = TakenAtFlag.EXACT


_KIND_WORDS = {"executable": "a program", "html": "a web page", "text": "plain text", "empty": "empty"}


@attrs.frozen(kw_only=True)
class ContentCheck:
    """The result of checking the bytes of a file.

    Args:
        kind: The format found, such as ``"jpeg"`` or ``"html"``.
        soundness: Whether the bytes could be decoded.
        doubt: Why the file is not imported automatically; None if nothing is wrong.
        detail: What was found, in a sentence for people; None if there is nothing to add.
    """

    kind: str
    soundness: Soundness
    doubt: Reason | None = None
    detail: str | None = None

    @property
    def text(self) -> str:
        """The result in one or two sentences for people, without patient data."""
        if self.doubt is Reason.CONTENT_NOT_AS_NAMED and self.kind != "unknown":
            return f"{self.doubt.text} It is {_KIND_WORDS.get(self.kind, self.kind.upper())}."
        if self.detail is not None and self.doubt in {None, Reason.CONTENT_DAMAGED}:
            return self.detail
        return self.doubt.text if self.doubt is not None else f"The content is {self.soundness.value}."


@attrs.frozen(kw_only=True)
class Attachment:
    """A file to be stored in a patient's record.

    Args:
        import_id: Derived from source, name and version; `add` is idempotent on it.
        patient_id: The patient into whose record the file goes.
        provider_id: The provider in the file name, or else the owner of the folder, if any. If a person saved
            the file, no provider may have this id: it is kept as it is in the name.
        destination: Images tab, or Notes as an external document.
        title, comments: As the person typed them, up to 500 and 20,000 characters; empty for automatic
            imports.
        taken_at: Capture time, aware, UTC; None if not known.
        taken_from: Where ``taken_at`` was found (`TakenFrom`); None if ``taken_at`` is None, or if the file
            was stored before this field existed.
        times_disagree: Whether ``taken_at`` is in doubt: another capture time of the file differs from it, or
            it looks like the time of a camera whose clock was reset.
        taken_written: The local time as the camera wrote it (``2012-01-01T00:00:42``), if a migration
            corrected the clock of the camera; else None.
        soundness: Whether the content could be decoded (`Soundness`); None if it was not checked.
        name: Original base name (see `SourceFile.name`).
        size_bytes: Size of the content in bytes.
        sha256: SHA-256 of the content, 64 lower-case hex digits.
        location: Kind of the location (``"local"``, ``"azure"``…).
        source_id: Id of the source.
        source_version: The version that was read.
        modified_at: Modification time in the source, aware, UTC; None if not known.
        operator: The member of staff who imported the file, as the host identifies staff; None if not known.
        companion_of: The import id of the attachment that this file belongs to, which is in the same record;
            None if it belongs to no other.
        companion_role: What the file is to that attachment (`CompanionRole`); None if it belongs to no other.
    """

    import_id: str
    patient_id: str = attrs.field(repr=pseudonym)
    provider_id: str | None = None
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    taken_at: datetime | None = None
    # Convert: a host that keeps attachments as JSON returns plain strings.
    taken_from: TakenFrom | None = attrs.field(default=None, converter=attrs.converters.optional(TakenFrom))
    times_disagree: bool = False
    taken_written: str | None = None
    soundness: Soundness | None = attrs.field(default=None, converter=attrs.converters.optional(Soundness))
    name: str = attrs.field(repr=pseudonym)
    size_bytes: int
    sha256: str
    location: str
    source_id: str
    source_version: str = ""
    modified_at: datetime | None = None
    operator: str | None = None
    companion_of: str | None = None
    companion_role: CompanionRole | None = attrs.field(
        default=None, converter=attrs.converters.optional(CompanionRole)
    )

    @property
    def is_sidecar(self) -> bool:
        """Whether the file shows nothing of its own. Keep it, but do not show it as a note of the patient."""
        return self.companion_role is not None and self.companion_role.is_sidecar


@attrs.frozen(kw_only=True)
class StoredAttachment(Attachment):
    """An attachment as the repository has stored it.

    Args:
        id: The repository's id of the attachment.
        stored_at: When it was committed, aware, UTC.

    The other fields are those of `Attachment`.
    """

    id: str
    location: str = ""
    stored_at: datetime


class Stage(enum.StrEnum):
    """The current step of a long operation."""

    LISTING = "listing"
    SIGNING_IN = "waiting for a sign-in"
    SETTLING = "waiting for files to arrive"
    CHECKING = "checking"
    AUTO_IMPORTING = "auto-importing"
    SAVING = "saving"
    PLANNING = "planning"
    MIGRATING = "migrating"
    VERIFYING = "verifying"
    BACKING_UP = "backing up"


@attrs.frozen(kw_only=True)
class Progress:
    """The progress of a long operation. ``str()`` gives a line for people, without file names.

    Args:
        stage: The current step.
        done, total: Number of files (during a sign-in: locations); ``total`` is None while it is not known.
        done_bytes, total_bytes: Bytes of content; ``total_bytes`` is None while it is not known.
        source_id: The current source, if the step is about one source.
    """

    stage: Stage
    done: int = 0
    total: int | None = None
    done_bytes: int = 0
    total_bytes: int | None = None
    source_id: str | None = None

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        what = "locations" if self.stage is Stage.SIGNING_IN else "files"
        return f"{self.stage.value.capitalize()}: {self.done:,}{of} {what}"


def import_id(source_id: str, name: str, version: str, *, sha256: str | None = None) -> str:
    """Derive the import id of one version of a file: 40 hex digits, the same on every machine.

    The parts are joined by NUL, which no name, id or version contains.

    Args:
        source_id: Id of the source.
        name: Name of the file.
        version: The version.
        sha256: Digest of its bytes, if other bytes were imported with the same name and version: a camera
            without a clock repeats names, sizes and times.
    """
    parts = [source_id, name, version] if sha256 is None else [source_id, name, version, sha256]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]


def normal_form(form: Literal["NFC", "NFKC", "NFKD"], text: str) -> str:
    """Return a normal form of a text, one part of a path after the other.

    `unicodedata.normalize` sorts combining marks: a part of 100,000 marks takes seconds, in which no other
    thread of the host runs. No file system has such a part, and it is returned unchanged.
    """
    if text.isascii():
        return text
    parts = text.split("/")
    return "/".join(unicodedata.normalize(form, one) if len(one) <= _LONGEST_PART else one for one in parts)


def printable(name: str) -> str:
    r"""Return a file name that databases, JSON and screens accept.

    Lone surrogates, control characters and direction marks become ``\x…`` / ``\u…`` escapes, so that
    ``photo<RLO>gpj.exe`` can't look like another name. Ordinary names are returned unchanged.
    """
    if name.isprintable():
        return name
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in name)
