"""The values that travel between the rooms: files, names, verdicts, rows, attachments.

All of them are frozen (a `Row` of an inbox is the one exception, and lives in `inbox`). Values that
name a patient keep the name, the title and the comments out of their ``repr``.
"""

from __future__ import annotations

import enum
import hashlib
from datetime import UTC, datetime, timedelta

import attrs

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
    """Where a file appears in the patient's record."""

    IMAGES = "images"
    NOTES = "notes"


class EntryKind(enum.StrEnum):
    """What a directory entry is. Only a `FILE` is ever opened."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special"


class Action(enum.StrEnum):
    """What a verdict says should happen to a file."""

    IMPORT = "import"
    WAIT = "wait"
    ARRIVING = "arriving"
    FINISH = "finish"
    IGNORE = "ignore"


class State(enum.StrEnum):
    """What has become of a file.

    ``STORED`` means: in the patient's record, but not yet out of its source.
    """

    WAITING = "waiting"
    IMPORTED = "imported"
    STORED = "stored"
    IGNORED = "ignored"
    FAILED = "failed"


class TakenAtFlag(enum.StrEnum):
    """What is known of a wall time in the practice's zone."""

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


class Reason(enum.StrEnum):
    """Why a file waits, was ignored, was imported or failed. The values are stored; never reuse one."""

    # Imported.
    CAPTURE_NAME = "capture_name"
    CHOSEN = "chosen"
    REASSIGNED = "reassigned"
    INTERRUPTED = "interrupted"
    FINISHED_ELSEWHERE = "finished_elsewhere"
    FOLDER_NAME = "folder_name"
    LISTED = "listed"
    ONE_PATIENT = "one_patient"
    ALREADY_STORED = "already_stored"
    # Waits for a person.
    NO_CAPTURE_NAME = "no_capture_name"
    EXTENSION_NOT_ALLOWED = "extension_not_allowed"
    AUTO_IMPORT_OFF = "auto_import_off"
    PATIENT_UNKNOWN = "patient_unknown"
    PATIENT_INACTIVE = "patient_inactive"
    PROVIDER_UNKNOWN = "provider_unknown"
    OTHER_PROVIDER = "other_provider"
    TIME_IMPOSSIBLE = "time_impossible"
    TIME_SKIPPED = "time_skipped"
    TIME_REPEATED = "time_repeated"
    TIME_IN_FUTURE = "time_in_future"
    CONTENT_NOT_AS_NAMED = "content_not_as_named"
    CONTENT_CUT_SHORT = "content_cut_short"
    CONTENT_DAMAGED = "content_damaged"
    CONTENT_UNCHECKED = "content_unchecked"
    DUPLICATE = "duplicate"
    DUPLICATE_ELSEWHERE = "duplicate_elsewhere"
    CONTENT_ALTERED = "content_altered"
    REAPPEARED = "reappeared"
    UNDONE = "undone"
    CANCELLED = "cancelled"
    NO_RULE = "no_rule"
    NOT_LISTED = "not_listed"
    LISTED_TWICE = "listed_twice"
    LISTED_UNCLEAR = "listed_unclear"
    PATIENT_CONFLICT = "patient_conflict"
    DATE_IMPOSSIBLE = "date_impossible"
    DATE_IN_FUTURE = "date_in_future"
    # Waits until it has arrived whole.
    EMPTY = "empty"
    STILL_ARRIVING = "still_arriving"
    OPEN_ELSEWHERE = "open_elsewhere"
    # Ignored.
    FOLDER = "folder"
    LINK = "link"
    SPECIAL_FILE = "special_file"
    HIDDEN = "hidden"
    SYSTEM_FILE = "system_file"
    UNFINISHED_DOWNLOAD = "unfinished_download"
    LEFT_OUT = "left_out"
    # Failed.
    CHANGED = "changed"
    VANISHED = "vanished"
    UNREADABLE = "unreadable"
    ALREADY_ASSIGNED = "already_assigned"
    DIGEST_DIFFERS = "digest_differs"
    STORED_COPY_DIFFERS = "stored_copy_differs"
    ARCHIVED = "archived"
    NOT_REMOVED = "not_removed"
    NOT_REASSIGNED = "not_reassigned"
    LEASED = "leased"
    HAS_SNAPSHOTS = "has_snapshots"
    RETAINED = "retained"
    REMOVAL_FORBIDDEN = "removal_forbidden"
    LEFT_IN_SOURCE = "left_in_source"
    NAME_TAKEN = "name_taken"
    NAME_REFUSED = "name_refused"
    STORAGE_FULL = "storage_full"
    REPOSITORY_FAILED = "repository_failed"
    LEDGER_FAILED = "ledger_failed"
    SOURCE_FAILED = "source_failed"
    LISTED_MISSING = "listed_missing"
    FOLDER_UNREADABLE = "folder_unreadable"
    UNEXPECTED = "unexpected"

    @property
    def text(self) -> str:
        """The reason as a sentence for people, without patient data."""
        return _REASON_TEXT[self]


_REASON_TEXT: dict[Reason, str] = {
    Reason.CAPTURE_NAME: "The file name says whose it is.",
    Reason.CHOSEN: "A person chose the patient.",
    Reason.REASSIGNED: "A person moved it into this patient's record from another's.",
    Reason.INTERRUPTED: "It was stored before an interruption; the move was finished now.",
    Reason.FINISHED_ELSEWHERE: "Another workstation finished this move.",
    Reason.FOLDER_NAME: "The folder says whose it is.",
    Reason.LISTED: "The list says whose it is.",
    Reason.ONE_PATIENT: "Everything in this archive is one patient's.",
    Reason.ALREADY_STORED: "It is in the patient's record already.",
    Reason.NO_CAPTURE_NAME: "The name does not say whose it is: choose the patient.",
    Reason.EXTENSION_NOT_ALLOWED: "The practice does not allow files with this extension.",
    Reason.AUTO_IMPORT_OFF: "Automatic import is turned off.",
    Reason.PATIENT_UNKNOWN: "No patient has the id in the file name.",
    Reason.PATIENT_INACTIVE: "The patient named by the file is not active.",
    Reason.PROVIDER_UNKNOWN: "No provider has the id in the file name.",
    Reason.OTHER_PROVIDER: "The name claims another provider than the one whose folder this is.",
    Reason.TIME_IMPOSSIBLE: "The date or time in the file name can't exist.",
    Reason.TIME_SKIPPED: "The time in the file name was skipped when the clocks changed.",
    Reason.TIME_REPEATED: "The time in the file name came twice when the clocks changed.",
    Reason.TIME_IN_FUTURE: "The time in the file name is in the future.",
    Reason.CONTENT_NOT_AS_NAMED: "The content is not what the extension says.",
    Reason.CONTENT_CUT_SHORT: "The content ends too early.",
    Reason.CONTENT_DAMAGED: "The content can't be decoded: it is damaged.",
    Reason.CONTENT_UNCHECKED: "The content could not be checked within the limits of size, time and memory.",
    Reason.DUPLICATE: "The same bytes are in this patient's record already.",
    Reason.DUPLICATE_ELSEWHERE: "The same bytes are in another patient's record: find out whose they are.",
    Reason.CONTENT_ALTERED: "The location delivers other bytes than it says it holds: a person must look.",
    Reason.REAPPEARED: "This very file was imported and removed before, and is here again.",
    Reason.UNDONE: "Its import was undone; it is not imported again by itself.",
    Reason.CANCELLED: "The work was cancelled before this file's turn.",
    Reason.NO_RULE: "No rule of the migration says whose it is.",
    Reason.NOT_LISTED: "The list does not name this file.",
    Reason.LISTED_TWICE: "The list names this file more than once, and differently.",
    Reason.LISTED_UNCLEAR: "The line of the list for this file can't be read.",
    Reason.PATIENT_CONFLICT: "Its name, its folders or the list name more than one patient.",
    Reason.DATE_IMPOSSIBLE: "The date in the folder's name can't exist.",
    Reason.DATE_IN_FUTURE: "The date of the folder or of the list is in the future.",
    Reason.EMPTY: "The file is still empty.",
    Reason.STILL_ARRIVING: "The file is still growing or changing.",
    Reason.OPEN_ELSEWHERE: "Another program has the file open for writing.",
    Reason.FOLDER: "A folder: only files directly in the source are imported.",
    Reason.LINK: "A link: links are never followed.",
    Reason.SPECIAL_FILE: "Not a regular file.",
    Reason.HIDDEN: "A hidden file.",
    Reason.SYSTEM_FILE: "A file that the operating system or a program keeps for itself.",
    Reason.UNFINISHED_DOWNLOAD: "A temporary file or an unfinished download.",
    Reason.LEFT_OUT: "A person left it out of the migration.",
    Reason.CHANGED: "The file changed after it was listed; it was left where it is.",
    Reason.VANISHED: "The file is no longer there.",
    Reason.UNREADABLE: "The file could not be read.",
    Reason.ALREADY_ASSIGNED: "This file is already stored in another patient's record.",
    Reason.DIGEST_DIFFERS: "The bytes received are not those the location says it holds.",
    Reason.STORED_COPY_DIFFERS: (
        "What was stored can't be read back, or differs from what was read; the source file was kept."
    ),
    Reason.NOT_REMOVED: "Stored, but it could not be taken out of its source; the next refresh tries again.",
    Reason.NOT_REASSIGNED: "It is still in the record that it was in.",
    Reason.ARCHIVED: "The file is in an archive tier and can't be read until it is brought back.",
    Reason.LEASED: "Stored, but another program holds the file; the next refresh tries again.",
    Reason.HAS_SNAPSHOTS: "Stored, but the file has snapshots, which would be deleted with it.",
    Reason.RETAINED: "Stored, but a retention policy or a legal hold keeps the file in its source.",
    Reason.REMOVAL_FORBIDDEN: "Stored, but this account has no right to delete the file from its source.",
    Reason.LEFT_IN_SOURCE: "Stored as it was delivered; the original was left for a person to remove.",
    Reason.NAME_TAKEN: "A file of that name is in the source already.",
    Reason.NAME_REFUSED: "The location can't hold a file of that name.",
    Reason.STORAGE_FULL: "There is no room left where files are kept.",
    Reason.REPOSITORY_FAILED: "The patient records could not be written.",
    Reason.LEDGER_FAILED: "The ledger could not be written, so the file was not taken out of its source.",
    Reason.SOURCE_FAILED: "The location failed.",
    Reason.LISTED_MISSING: "The list names this file, but it is not there.",
    Reason.FOLDER_UNREADABLE: "A folder could not be listed: what is in it is not in the plan.",
    Reason.UNEXPECTED: "An unexpected error; the file was left where it is.",
}


@attrs.frozen(kw_only=True)
class Patient:
    """A patient, as far as this library needs to know one.

    Args:
        id: The practice's own id, as it stands in capture names.
        name: For people to recognise; never logged, never in a ``repr``.
        active: Whether files may be imported for the patient without a person.
        birth_date: ISO date (``YYYY-MM-DD``) for people to tell namesakes apart, if known.
    """

    id: str = attrs.field(repr=False)
    name: str = attrs.field(default="", repr=False)
    active: bool = True
    birth_date: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Provider:
    """A provider (the doctor), with the id that stands in capture names."""

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

    name: str = attrs.field(repr=False)
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

    patient: str = attrs.field(repr=False)
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
    patient_id: str | None = attrs.field(default=None, repr=False)
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
    patient_id: str = attrs.field(repr=False)
    provider_id: str | None = None
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    taken_at: datetime | None = None
    # Converted: a host that keeps attachments as JSON gives plain strings back.
    taken_from: TakenFrom | None = attrs.field(default=None, converter=attrs.converters.optional(TakenFrom))
    times_disagree: bool = False
    soundness: Soundness | None = attrs.field(default=None, converter=attrs.converters.optional(Soundness))
    name: str = attrs.field(repr=False)
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
    patient_id: str = attrs.field(repr=False)
    provider_id: str | None = None
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    taken_at: datetime | None = None
    taken_from: TakenFrom | None = attrs.field(default=None, converter=attrs.converters.optional(TakenFrom))
    times_disagree: bool = False
    soundness: Soundness | None = attrs.field(default=None, converter=attrs.converters.optional(Soundness))
    name: str = attrs.field(repr=False)
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
