"""What can go wrong, told apart by what the caller does next.

::

    InTouchImportError
    ├── ConfigError              fix the settings or the call, then try again
    │   ├── NamingPatternError   a capture-name pattern that can't be used
    │   ├── SettingsError        settings files that can't be used, with all that is wrong
    │   └── MissingExtraError    an optional dependency is not installed
    ├── SelectionError           ask the person to choose differently
    │   ├── MixedDestinations    images and other documents in one save
    │   ├── UnknownPatient       no patient has the id that was chosen
    │   └── UnsuitableText       title or comments can't be stored as they are
    ├── SourceError              skip this location; the others work on
    │   ├── SourceUnavailable    folder missing, no rights, server not reached
    │   ├── SignInNeeded         nobody is signed in, or no longer: a person must
    │   ├── SignInFailed         a sign-in was refused, or can't succeed as it is set up
    │   ├── SignInTimeout        nobody signed in within the time allowed
    │   └── Throttled            the service asked to wait longer than allowed
    ├── FileError                skip this file; the others work on
    │   ├── CaptureNameError     the name has the structure, its date can't exist
    │   ├── StillArriving        not whole yet, or another program is writing it
    │   ├── FileChanged          no longer the version that was listed
    │   ├── FileVanished         no longer there
    │   ├── FileUnreadable       no rights, a device error, a cut transfer
    │   ├── ContentMismatch      the bytes are not what they are said to be
    │   │   └── ContentAltered   the location itself delivers others than it says it holds
    │   ├── AlreadyAssigned      stored before, in another patient's record
    │   ├── NameTaken            a file of that name is there already
    │   ├── NameRefused          the location can't hold a file of that name
    │   └── NotRemoved           stored, but it could not be taken out of the source
    └── RepositoryError          stop: the host must look
        ├── StorageFull          no room where the files are kept
        ├── NotSupported         the repository does not offer this
        └── LedgerError          the ledger can't be written, or does not add up

No message holds a patient, a file name, a path or a secret. What a program needs to know beyond the
message travels as attributes. Every exception here survives pickling.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "AlreadyAssigned",
    "CaptureNameError",
    "ConfigError",
    "ContentAltered",
    "ContentMismatch",
    "FileChanged",
    "FileError",
    "FileUnreadable",
    "FileVanished",
    "InTouchImportError",
    "LedgerError",
    "MissingExtraError",
    "MixedDestinations",
    "NameRefused",
    "NameTaken",
    "NamingPatternError",
    "NotRemoved",
    "NotSupported",
    "RepositoryError",
    "SelectionError",
    "SettingsError",
    "SignInFailed",
    "SignInNeeded",
    "SignInTimeout",
    "SourceError",
    "SourceUnavailable",
    "StillArriving",
    "StorageFull",
    "Throttled",
    "UnknownPatient",
    "UnsuitableText",
    "without_path",
]

_NOT_THEIRS: Final = frozenset({__name__.partition(".")[0], "contextlib"})


class InTouchImportError(Exception):
    """Base of every error this library raises on purpose.

    Args:
        message: What happened, in one sentence, without patient data.
        context: Attributes to set on the exception (``import_id=…``). They are
            kept out of ``str`` and ``repr``.

    Attributes:
        errno: The number that the operating system gave, where a file or a folder is the cause; else None.
    """

    errno: int | None = None

    def __init__(self, message: str = "", /, **context: Any) -> None:
        super().__init__(message)
        # Exception.__reduce__ carries __dict__, so attributes set here survive pickling.
        self.__dict__.update(context)


class ConfigError(InTouchImportError):
    """A setting or an argument is wrong; trying again without a change is useless."""


class NamingPatternError(ConfigError):
    """A capture-name pattern is ambiguous, incomplete, or can't be formatted back."""


class SettingsError(ConfigError):
    """Settings can't be used; the message lists every mistake, one a line, with file and key.

    Attributes:
        mistakes: The same as values, each a `Mistake`.
    """

    mistakes: tuple[Any, ...] = ()


class MissingExtraError(ConfigError):
    """A package that this feature needs is not installed."""


class SelectionError(InTouchImportError):
    """The person's choice can't be carried out as it is.

    Attributes:
        names: Names of the files that stand in the way, where it is some of those selected; else empty.
    """

    names: tuple[str, ...] = ()


class MixedDestinations(SelectionError):
    """Images and other documents were selected together.

    Attributes:
        images: Names of the selected images.
        others: Names of the other selected files.
    """

    images: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class UnknownPatient(SelectionError):
    """The repository has no patient with the chosen id."""


class UnsuitableText(SelectionError):
    """A title or comment holds characters that no database keeps, or is too long."""


class SourceError(InTouchImportError):
    """One location can't be used now.

    Attributes:
        source_id: The source it happened in, if it was opened.
        retry_helps: Whether trying again later may succeed.
    """

    source_id: str | None = None
    retry_helps: bool = True


class SourceUnavailable(SourceError):
    """The folder does not exist, may not be read, or its server was not reached."""


class SignInNeeded(SourceError):
    """Nobody is signed in, or the service no longer accepts it: a person must sign in.

    Attributes:
        why: ``"absent"`` (nobody ever did, or they signed out), ``"revoked"`` or ``"expired"``.
    """

    why: str = "absent"


class SignInFailed(SourceError):
    """A sign-in was refused, or can't succeed as it is set up. The message says what to do.

    Attributes:
        why: ``"denied"`` or ``"cancelled"`` (by the person), ``"wrong_app"`` (the service does not know the
            app, its secret or its redirect URI), ``"missing_scope"`` (the app lacks a permission),
            ``"unreachable"`` (no browser or no free port here), ``"refused"`` (anything else).
    """

    why: str = "refused"
    retry_helps = False


class SignInTimeout(SourceError):
    """Nobody completed the sign-in in time; the next refresh starts a new attempt."""


class Throttled(SourceError):
    """The service asked for a longer pause than the caller allows.

    Attributes:
        after_s: The pause that it asked for, seconds; None if it did not say.
    """

    after_s: float | None = None


class FileError(InTouchImportError):
    """One file can't be imported now; it stays where it is.

    Attributes:
        import_id: The file's import id, where it is known.
        reason: The `Reason` that says it more precisely than the kind of error does, if there is one.
        retry_helps: Whether trying again later, with nothing changed by a person, may succeed.
    """

    import_id: str | None = None
    reason: str | None = None
    retry_helps: bool = False


class CaptureNameError(FileError, ValueError):
    """A name has the capture structure, but its parts can't be true (31 February)."""


class StillArriving(FileError):
    """The file is not whole yet, or another program has it open for writing."""

    retry_helps = True


class FileChanged(FileError):
    """The file is no longer the version that was listed."""

    retry_helps = True


class FileVanished(FileError):
    """The file is no longer in its source."""


class FileUnreadable(FileError):
    """The file could not be read: no rights, a device error, a transfer cut short."""

    retry_helps = True


class ContentMismatch(FileError):
    """The bytes are not what the listing, the extension or a digest says they are."""


class ContentAltered(ContentMismatch):
    """The location delivers, every time alike, other bytes than those it says that it holds.

    No transfer went wrong, and trying again does not help. A person may take what is delivered; the
    original is then left to a person too.
    """


class AlreadyAssigned(FileError):
    """The same file was stored before, in the record of a different patient."""


class NameTaken(FileError):
    """A file of that name is there already; nothing was overwritten."""


class NameRefused(FileError):
    """The location can't hold a file of that name."""


class NotRemoved(FileError):
    """The file is stored, but it could not be taken out of its source.

    It is not a failure to store: the next refresh finishes the removal.
    """

    retry_helps = True


class RepositoryError(InTouchImportError):
    """The repository failed; what was not stored stays in its source.

    Attributes:
        retry_helps: Whether trying again later may succeed.
        kind: Name of what a host's code raised, where this stands in its place; else None.
        where: In which lines; likewise.
    """

    retry_helps: bool = True
    kind: str | None = None
    where: str | None = None


class StorageFull(RepositoryError):
    """There is no room left where files are kept."""


class NotSupported(RepositoryError):
    """The repository does not offer this operation."""

    retry_helps = False


class LedgerError(RepositoryError):
    """The ledger can't be written, so nothing is removed from any source."""


def without_path(exc: OSError) -> OSError:
    """Copy an ``OSError`` without the file names in it.

    ``str(OSError)`` ends with the path, and paths carry patient ids. Raise our own errors
    ``from without_path(exc)`` so that a printed traceback shows the cause, not the patient.
    """
    text = os.strerror(exc.errno) if exc.errno is not None else type(exc).__name__
    arguments = (exc.errno, text) if exc.errno is not None else (text,)
    try:
        return type(exc)(*arguments)
    except Exception:  # noqa: BLE001  # a subclass with a constructor of its own
        return OSError(*arguments)


def kind_and_place(exc: BaseException, **more: Any) -> dict[str, Any]:
    """Describe an exception of a host's code without its message, which may contain a patient's name.

    Returns:
        ``kind``, the name of its class; ``where``, the lines of code that raised it, the first one outside
        this library and the last one if that is another (``"clinic.records:38 in ClinicRecords.add,
        clinic.disk:12 in write"``); then ``more``.
    """
    places = [
        (str(frame.f_globals.get("__name__")), f":{line} in {frame.f_code.co_qualname}")
        for frame, line in traceback.walk_tb(exc.__traceback__)
    ]
    theirs = [place for place in places if place[0].partition(".")[0] not in _NOT_THEIRS]
    where = ", ".join(module + line for module, line in dict.fromkeys([*theirs[:1], *places[-1:]]))
    return {"kind": type(exc).__name__, "where": where, **more}


def instead_of(exc: Exception, message: str) -> RepositoryError:
    """Return the error to raise, ``from None``, instead of an exception of a host's code.

    Its attributes, and a note under the printed traceback, give the kind and the place of the exception.
    """
    about = kind_and_place(exc)
    error = RepositoryError(message, **about)
    error.add_note(f"{about['kind']} at {about['where']}. Its text is not shown: it may name a patient.")
    return error


@contextlib.contextmanager
def host_errors() -> Iterator[None]:
    """Turn whatever a host's repository raises into a `RepositoryError` with its place, without its text."""
    try:
        yield
    except InTouchImportError:
        raise
    except Exception as exc:  # noqa: BLE001  # it is the host's code
        raise instead_of(exc, "the patient records failed") from None
