"""The reasons why a file was imported, waits, is ignored or failed: stored values, and a text for each."""

from __future__ import annotations

import enum

__all__ = ["Reason"]


class Reason(enum.StrEnum):
    """Why a file was imported, waits, is ignored or failed. The values are stored data: never reuse one."""

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
    COMPANION = "companion"
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
    OTHER_PATIENT = "other_patient"
    DUPLICATE = "duplicate"
    DUPLICATE_ELSEWHERE = "duplicate_elsewhere"
    CONTENT_ALTERED = "content_altered"
    REAPPEARED = "reappeared"
    UNDONE = "undone"
    COMPANION_WAITS = "companion_waits"
    SIDECAR_ALONE = "sidecar_alone"
    CANCELLED = "cancelled"
    NO_RULE = "no_rule"
    NOT_LISTED = "not_listed"
    LISTED_TWICE = "listed_twice"
    LISTED_UNCLEAR = "listed_unclear"
    LISTED_OTHER_CASE = "listed_other_case"
    ID_NOT_MAPPED = "id_not_mapped"
    PATIENT_CONFLICT = "patient_conflict"
    TOO_MANY_READINGS = "too_many_readings"
    ID_IS_DATE = "id_is_date"
    NAME_DIFFERS = "name_differs"
    DATE_IMPOSSIBLE = "date_impossible"
    DATE_IN_FUTURE = "date_in_future"
    COMPANIONS_DIFFER = "companions_differ"
    # Waits until it has arrived completely.
    EMPTY = "empty"
    STILL_ARRIVING = "still_arriving"
    OPEN_ELSEWHERE = "open_elsewhere"
    NOT_DOWNLOADED = "not_downloaded"
    # Ignored.
    FOLDER = "folder"
    LINK = "link"
    SPECIAL_FILE = "special_file"
    HIDDEN = "hidden"
    SYSTEM_FILE = "system_file"
    FOLDER_SKIPPED = "folder_skipped"
    EXCLUDED = "excluded"
    UNFINISHED_DOWNLOAD = "unfinished_download"
    LEFT_OUT = "left_out"
    SIDECARS_LEFT = "sidecars_left"
    # Failed.
    CHANGED = "changed"
    VANISHED = "vanished"
    UNREADABLE = "unreadable"
    ALREADY_ASSIGNED = "already_assigned"
    DIGEST_DIFFERS = "digest_differs"
    NOT_DELIVERED = "not_delivered"
    STORED_COPY_DIFFERS = "stored_copy_differs"
    ARCHIVED = "archived"
    NOT_REMOVED = "not_removed"
    NOT_REASSIGNED = "not_reassigned"
    IN_PROGRESS = "in_progress"
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
    LISTED_OUTSIDE = "listed_outside"
    FOLDER_UNREADABLE = "folder_unreadable"
    UNEXPECTED = "unexpected"

    @property
    def text(self) -> str:
        """The reason as one or two sentences for staff, without patient data."""
        return _REASON_TEXT[self]


_REASON_TEXT: dict[Reason, str] = {
    Reason.CAPTURE_NAME: "The file name identifies the patient.",
    Reason.CHOSEN: "A person chose the patient.",
    Reason.REASSIGNED: "A person moved the file from another patient's record into this one.",
    Reason.INTERRUPTED: "The file was stored before an interruption; the move is now finished.",
    Reason.FINISHED_ELSEWHERE: "Another workstation finished this move.",
    Reason.FOLDER_NAME: "The folder identifies the patient.",
    Reason.LISTED: "The list identifies the patient.",
    Reason.ONE_PATIENT: "All files in this archive belong to one patient.",
    Reason.ALREADY_STORED: "The file is already in the patient's record.",
    Reason.COMPANION: "The file belongs to a photo or movie whose patient is known.",
    Reason.NO_CAPTURE_NAME: "The file name does not identify the patient. Choose the patient.",
    Reason.EXTENSION_NOT_ALLOWED: "The practice does not allow files with this extension.",
    Reason.AUTO_IMPORT_OFF: "Automatic import is turned off.",
    Reason.PATIENT_UNKNOWN: "No patient has the id in the file name.",
    Reason.PATIENT_INACTIVE: "The patient in the file name is not active.",
    Reason.PROVIDER_UNKNOWN: "No provider has the id in the file name.",
    Reason.OTHER_PROVIDER: "The provider in the file name is not the owner of this folder.",
    Reason.TIME_IMPOSSIBLE: "The date or time in the file name does not exist.",
    Reason.TIME_SKIPPED: "The time in the file name does not exist, because the clocks went forward.",
    Reason.TIME_REPEATED: "The time in the file name occurred twice, because the clocks went back.",
    Reason.TIME_IN_FUTURE: "The time in the file name is in the future.",
    Reason.CONTENT_NOT_AS_NAMED: "The content does not match the file extension.",
    Reason.CONTENT_CUT_SHORT: "The content is incomplete: it ends too early.",
    Reason.CONTENT_DAMAGED: "The content is damaged: it can't be decoded, or a part of it is missing.",
    Reason.CONTENT_UNCHECKED: "The content could not be checked within the limits of size, time and memory.",
    Reason.OTHER_PATIENT: "The DICOM header names another patient.",
    Reason.DUPLICATE: "The same content is already in this patient's record.",
    Reason.DUPLICATE_ELSEWHERE: (
        "The same content is in another patient's record. Check which patient it belongs to."
    ),
    Reason.CONTENT_ALTERED: (
        "The location delivers other bytes than it reports. A person must check the file."
    ),
    Reason.REAPPEARED: "This file was imported and removed before, and is here again.",
    Reason.UNDONE: "The import of this file was undone. It is not imported automatically again.",
    Reason.COMPANION_WAITS: "Another file that belongs to this one must wait. They are imported together.",
    Reason.SIDECAR_ALONE: (
        "The file adds to a photo or a movie that is not here, or it is not certain to which it belongs."
    ),
    Reason.CANCELLED: "The work was cancelled before this file was processed.",
    Reason.NO_RULE: "No rule of the migration identifies the patient.",
    Reason.NOT_LISTED: "The list does not contain this file.",
    Reason.LISTED_TWICE: "The list contains this file more than once, with different values.",
    Reason.LISTED_UNCLEAR: "The list's line for this file can't be read.",
    Reason.LISTED_OTHER_CASE: "The list contains this file with other upper and lower case letters.",
    Reason.ID_NOT_MAPPED: "The list of old and new ids does not contain the patient's id.",
    Reason.PATIENT_CONFLICT: "The file name, the folders or the list name more than one patient.",
    Reason.TOO_MANY_READINGS: "The names can be read in too many ways to compare the patients.",
    Reason.ID_IS_DATE: "The patient's id in the name is also a year or a date.",
    Reason.NAME_DIFFERS: "The folder contains another name than that of the patient with its id.",
    Reason.DATE_IMPOSSIBLE: "The date in the folder name does not exist.",
    Reason.DATE_IN_FUTURE: "The date in the folder name or in the list is in the future.",
    Reason.COMPANIONS_DIFFER: "Files that belong together are for different patients.",
    Reason.EMPTY: "The file is still empty.",
    Reason.STILL_ARRIVING: "The file is still growing or changing.",
    Reason.OPEN_ELSEWHERE: "Another program has the file open for writing.",
    Reason.NOT_DOWNLOADED: "The file is in iCloud and not on this computer. Download it first.",
    Reason.FOLDER: "This is a folder. Only files directly in the source are imported.",
    Reason.LINK: "This is a link. Links are never followed.",
    Reason.SPECIAL_FILE: "This is not a regular file.",
    Reason.HIDDEN: "This is a hidden file.",
    Reason.SYSTEM_FILE: "This file belongs to the operating system or to another program.",
    Reason.FOLDER_SKIPPED: "This is a hidden or system folder. Its files are not in the plan.",
    Reason.EXCLUDED: "The settings or the plan exclude this name.",
    Reason.UNFINISHED_DOWNLOAD: "This is a temporary file or an unfinished download.",
    Reason.LEFT_OUT: "A person excluded this file from the migration.",
    Reason.SIDECARS_LEFT: "The settings or the plan leave sidecars out.",
    Reason.CHANGED: "The file changed after it was listed. It stays where it is.",
    Reason.VANISHED: "The file is no longer there.",
    Reason.UNREADABLE: "The file could not be read.",
    Reason.ALREADY_ASSIGNED: "This file is already stored in another patient's record.",
    Reason.DIGEST_DIFFERS: "The received bytes do not have the checksum that the location reports.",
    Reason.NOT_DELIVERED: (
        "Something else was delivered in place of the file, such as an error page or a part of it. Check the"
        " network and its proxy."
    ),
    Reason.STORED_COPY_DIFFERS: (
        "The stored copy can't be read back, or differs from the source file. The source file was kept."
    ),
    Reason.NOT_REMOVED: (
        "The file is stored, but could not be removed from its source. The next refresh tries again."
    ),
    Reason.NOT_REASSIGNED: "The file is still in its previous record.",
    Reason.IN_PROGRESS: "This file is being moved or corrected now. Try again in a moment.",
    Reason.ARCHIVED: "The file is in an archive tier. It can't be read until it is restored from there.",
    Reason.LEASED: (
        "The file is stored, but another program has locked it in its source. The next refresh tries again."
    ),
    Reason.HAS_SNAPSHOTS: (
        "The file is stored, but stays in its source, because deleting it would delete its snapshots."
    ),
    Reason.RETAINED: "The file is stored, but a retention policy or a legal hold keeps it in its source.",
    Reason.REMOVAL_FORBIDDEN: (
        "The file is stored, but this account is not allowed to delete it from its source."
    ),
    Reason.LEFT_IN_SOURCE: (
        "The file is stored as the location delivered it. A person must compare it with the original."
    ),
    Reason.NAME_TAKEN: "The source already contains a file of that name.",
    Reason.NAME_REFUSED: "The location does not allow a file of that name.",
    Reason.STORAGE_FULL: "There is no space left where the files are stored.",
    Reason.REPOSITORY_FAILED: "The patient records could not be written.",
    Reason.LEDGER_FAILED: "The ledger could not be written, so the file was not removed from its source.",
    Reason.SOURCE_FAILED: "The location failed.",
    Reason.LISTED_MISSING: "The list contains this file, but the file does not exist.",
    Reason.LISTED_OUTSIDE: "The path in the list begins outside the archive, on another drive or server.",
    Reason.FOLDER_UNREADABLE: "A folder could not be listed. Its files are not in the plan.",
    Reason.UNEXPECTED: "An unexpected error. The file stays where it is.",
}
