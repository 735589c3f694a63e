"""The values that travel between the rooms: files, names, verdicts, rows, attachments.

All of them are frozen (a `Row` of an inbox is the one exception, and lives in `inbox`). Values that
name a patient keep the name, the title and the comments out of their ``repr``.
"""

from __future__ import annotations

import enum
import hashlib
from datetime import UTC, datetime, timedelta

import attrs

from intouch_import.reasons import Reason
from intouch_import.secret import pseudonym

__all__ = [
    "Action",
    "Attachment",
    "CaptureName",
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
    "printable",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Destination(enum.StrEnum):
    """Where a file appears in the patient's record.

    ``IMAGES``: on the *Images* tab. ``NOTES``: as an external document, under *Notes*.
    """

    IMAGES = "images"
    NOTES = "notes"


class EntryKind(enum.StrEnum):
    """What a directory entry is. Only a `FILE` is ever opened."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special"


class Action(enum.StrEnum):
    """What a verdict says should happen to a file.

    ``IMPORT``: goes into the record of the verdict's patient, with no person asked. ``WAIT``: a person must
    decide. ``ARRIVING``: it may not be whole yet; a later refresh looks again. ``FINISH``: it is in a record
    already, and the interrupted move is carried to its end. ``IGNORE``: it is no photo and no document.
    """

    IMPORT = "import"
    WAIT = "wait"
    ARRIVING = "arriving"
    FINISH = "finish"
    IGNORE = "ignore"


class State(enum.StrEnum):
    """What has become of a file.

    ``WAITING``: nothing yet; it is in its source. ``IMPORTED``: in the patient's record, and out of its
    source. ``STORED``: in the record, but not yet out of its source. ``IGNORED``: it is no photo and no
    document. ``FAILED``: what should have been done was not; the file is where it was.
    """

    WAITING = "waiting"
    IMPORTED = "imported"
    STORED = "stored"
    IGNORED = "ignored"
    FAILED = "failed"


class TakenAtFlag(enum.StrEnum):
    """What is known of a wall time in the practice's zone.

    ``EXACT``: it was once. ``SKIPPED``: it never was, since the clocks went forward over it. ``REPEATED``: it
    came twice, since they went back.
    """

    EXACT = "exact"
    SKIPPED = "skipped"
    REPEATED = "repeated"


class TakenFrom(enum.StrEnum):
    """Who says when a file was taken.

    ``EXIF`` and ``QUICKTIME`` are what the camera wrote into the file. ``CONTAINER`` is the creation time in
    the index of an MP4 or QuickTime movie: UTC by the standard, in practice often the camera's wall time.
    ``SOURCE`` is the location's own time for the file, which is never taken for a capture time.
    ``FOLDER`` and ``LIST`` are what a migration found in the names of folders, and in a list of files.
    """

    NAME = "name"
    EXIF = "exif"
    QUICKTIME = "quicktime"
    CONTAINER = "container"
    SOURCE = "source"
    FOLDER = "folder"
    LIST = "list"


class Soundness(enum.StrEnum):
    """Whether a content was decoded.

    ``VERIFIED``: every picture in it was decoded to its last line. That finds what is missing, not what was
    changed: a flipped bit mostly decodes. ``UNVERIFIED``: nothing speaks against it, or it could not be
    decoded to the end. ``DAMAGED``: it ends too early, or the decoder says that it is wrong.
    """

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    DAMAGED = "damaged"


@attrs.frozen(kw_only=True)
class Patient:
    """A patient, as far as this library needs to know one.

    Args:
        id: The practice's own id, as it stands in capture names.
        name: For people to recognise; never logged, never in a ``repr``.
        active: Whether files may be imported for the patient without a person.
        birth_date: ISO date (``YYYY-MM-DD``) for people to tell namesakes apart, if known.
    """

    id: str = attrs.field(repr=pseudonym)
    name: str = attrs.field(default="", repr=False)
    active: bool = True
    birth_date: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Provider:
    """A provider (the doctor).

    Args:
        id: The practice's own id, as it stands in capture names.
        name: For people to recognise; never logged, never in a ``repr``.
        active: Whether the provider still works there. Files are imported all the same.
    """

    id: str
    name: str = attrs.field(default="", repr=False)
    active: bool = True


@attrs.frozen(kw_only=True)
class SourceFile:
    """One entry of a source folder, as it was when it was listed.

    Args:
        name: Base name, exactly as the location spells it. On POSIX, bytes that are not UTF-8
            appear as lone surrogates (PEP 383); `printable` makes such a name fit to show.
        kind: What the entry is.
        size_bytes: Size in bytes; 0 for what is not a file.
        modified_ns: Modification time, nanoseconds since 1970-01-01 UTC; None if not known.
        version: Changes whenever the bytes may have: an etag, a rev, or inode, size and mtime.
        vendor_hash: The location's own hash, ``"algorithm:hex"``, where it has one.
        handle: The location's own id of the entry, where it addresses entries by ids instead of names.
    """

    name: str = attrs.field(repr=pseudonym)
    kind: EntryKind = EntryKind.FILE
    size_bytes: int
    modified_ns: int | None = None
    version: str
    vendor_hash: str | None = None
    handle: str | None = None

    @property
    def modified_at(self) -> datetime | None:
        """Modification time, aware, UTC, to the microsecond; None if not known or out of range."""
        if self.modified_ns is None:
            return None
        try:
            return _EPOCH + timedelta(microseconds=self.modified_ns // 1000)
        except OverflowError:
            return None


@attrs.frozen(kw_only=True)
class CaptureName:
    """What the capture app wrote into a file name.

    Args:
        patient: Patient id, exactly as written.
        provider: Provider id, exactly as written.
        taken_local: Naive wall time of the clinic; resolution as the pattern has it, 1 s by default.
        sequence: Sequence digits, exactly as written (leading zeros kept), or None.
        extension: Extension as written, with its dot (``".JPG"``).
    """

    patient: str = attrs.field(repr=pseudonym)
    provider: str
    taken_local: datetime
    sequence: str | None = None
    extension: str


@attrs.frozen(kw_only=True)
class Verdict:
    """What should happen to a file, and why. Pure data; nothing has happened yet.

    Args:
        action: What to do.
        reason: Why.
        destination: Where it would go.
        capture: What its name says, if it says anything.
        patient_id: Whose record it goes to, for `Action.IMPORT` and `Action.FINISH`.
        taken_at: When it was taken, aware, UTC; None if not known or not certain.
        taken_flag: What the clock changes of the practice's zone do to ``capture.taken_local``.
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
    """What was found out about the bytes of a file.

    Args:
        kind: What they are, such as ``"jpeg"`` or ``"html"``.
        soundness: Whether they could be decoded.
        doubt: What is wrong with them, so that the file is not imported without a person; None if nothing is.
    """

    kind: str
    soundness: Soundness
    doubt: Reason | None = None

    @property
    def text(self) -> str:
        """The same in a sentence or two for people, without patient data."""
        if self.doubt is Reason.CONTENT_NOT_AS_NAMED and self.kind != "unknown":
            return f"{self.doubt.text} It is {_KIND_WORDS.get(self.kind, self.kind.upper())}."
        return self.doubt.text if self.doubt is not None else f"The content is {self.soundness.value}."


@attrs.frozen(kw_only=True)
class Attachment:
    """What is to be stored in a patient's record.

    Args:
        import_id: Derived from source, name and version; the key of idempotence.
        patient_id: Whose record.
        provider_id: The provider named by the file or owning the folder, if any. Where a person saved the
            file it may be nobody's: what its name says is kept, not corrected.
        destination: Images tab, or Notes as an external document.
        title, comments: As the person typed them, up to 500 and 20,000 characters; empty for automatic
            imports.
        taken_at: When it was taken, aware, UTC; None if not known.
        taken_from: Who says so (`TakenFrom`); None if ``taken_at`` is None, or was stored before this was
            kept.
        times_disagree: Whether what else says when it was taken says something else.
        soundness: Whether the content was decoded (`Soundness`); None if it was not checked.
        name: Original base name (see `SourceFile.name`).
        size_bytes: Size of the content in bytes.
        sha256: SHA-256 of the content, 64 lower-case hex digits.
        location: Kind of place it came from (``"local"``, ``"azure"``…).
        source_id: The source it came from.
        source_version: The version that was read.
        modified_at: The source's own time for the file, aware, UTC; None if not known.
        operator: Who did it, as the host names its staff; None if not told.
    """

    import_id: str
    patient_id: str = attrs.field(repr=pseudonym)
    provider_id: str | None = None
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    taken_at: datetime | None = None
    # Converted: a host that keeps attachments as JSON gives plain strings back.
    taken_from: TakenFrom | None = attrs.field(default=None, converter=attrs.converters.optional(TakenFrom))
    times_disagree: bool = False
    soundness: Soundness | None = attrs.field(default=None, converter=attrs.converters.optional(Soundness))
    name: str = attrs.field(repr=pseudonym)
    size_bytes: int
    sha256: str
    location: str
    source_id: str
    source_version: str = ""
    modified_at: datetime | None = None
    operator: str | None = None


@attrs.frozen(kw_only=True)
class StoredAttachment:
    """An attachment as the repository holds it.

    Args:
        id: The repository's own id for it.
        stored_at: When it was committed, aware, UTC.

    The other fields are those of `Attachment`.
    """

    id: str
    import_id: str
    patient_id: str = attrs.field(repr=pseudonym)
    provider_id: str | None = None
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    taken_at: datetime | None = None
    taken_from: TakenFrom | None = attrs.field(default=None, converter=attrs.converters.optional(TakenFrom))
    times_disagree: bool = False
    soundness: Soundness | None = attrs.field(default=None, converter=attrs.converters.optional(Soundness))
    name: str = attrs.field(repr=pseudonym)
    size_bytes: int
    sha256: str
    location: str = ""
    source_id: str
    source_version: str = ""
    modified_at: datetime | None = None
    operator: str | None = None
    stored_at: datetime


class Stage(enum.StrEnum):
    """What a long operation is doing."""

    LISTING = "listing"
    SIGNING_IN = "waiting for a sign-in"
    SETTLING = "waiting for files to arrive"
    AUTO_IMPORTING = "auto-importing"
    SAVING = "saving"
    PLANNING = "planning"
    MIGRATING = "migrating"


@attrs.frozen(kw_only=True)
class Progress:
    """How far a long operation has come. ``str()`` of it is fit to show; it names no file.

    Args:
        stage: What is being done.
        done, total: Files (of a sign-in: locations); ``total`` is None while it is not known.
        done_bytes, total_bytes: Bytes of content, likewise.
        source_id: The source being worked on, if it is one.
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


def import_id(source_id: str, name: str, version: str) -> str:
    """Derive the import id of one version of one file: 40 hex digits, the same on every machine.

    The parts are joined by NUL, which no name, id or version contains.
    """
    joined = f"{source_id}\0{name}\0{version}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:40]


def printable(name: str) -> str:
    r"""Make a file name fit for databases, JSON and screens.

    Lone surrogates, control characters and direction marks become ``\x…`` / ``\u…`` escapes, so that
    ``photo<RLO>gpj.exe`` can't be shown as something else. Ordinary names come back unchanged.
    """
    if name.isprintable():
        return name
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in name)
