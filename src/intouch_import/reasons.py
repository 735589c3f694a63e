"""Why a file waits, was ignored, was imported or failed: the stored values, and a sentence for each."""

from __future__ import annotations

import enum

__all__ = ["Reason"]


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
