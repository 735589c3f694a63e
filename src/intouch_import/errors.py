"""The exceptions of this library, grouped by what the caller does next.

::

    InTouchImportError
    ├── ConfigError              correct the settings or the call, then try again
    │   ├── NamingPatternError   a capture-name pattern that can't be used
    │   ├── SettingsError        settings files that can't be used, with a list of all mistakes
    │   └── MissingExtraError    an optional dependency is not installed
    ├── SelectionError           ask the person to choose differently
    │   ├── MixedDestinations    images and other documents in one save
    │   ├── UnknownPatient       no patient has the id that was chosen
    │   └── UnsuitableText       title or comments can't be stored
    ├── SourceError              skip this location; the others continue
    │   ├── SourceUnavailable    folder missing, no permission, server not reached
    │   ├── SignInNeeded         nobody is signed in, or the sign-in has ended: a person must sign in
    │   ├── SignInFailed         a sign-in was refused, or its configuration is wrong
    │   ├── SignInTimeout        nobody signed in within the time allowed
    │   └── Throttled            the service asked for a longer pause than allowed
    ├── FileError                skip this file; the others continue
    │   ├── CaptureNameError     the name has the structure, but its date can't exist
    │   ├── StillArriving        incomplete, or another program is writing it
    │   ├── FileChanged          no longer the version that was listed
    │   ├── FileVanished         no longer there
    │   ├── FileUnreadable       no permission, a device error, an interrupted transfer
    │   ├── ContentMismatch      the bytes do not match the listing, the extension or a digest
    │   │   └── ContentAltered   the location always delivers other bytes than it has listed
    │   ├── AlreadyAssigned      already stored, in another patient's record
    │   ├── NameTaken            a file of this name exists already
    │   ├── NameRefused          the location can't store a file of this name
    │   └── NotRemoved           stored, but it could not be removed from the source
    └── RepositoryError          stop: the host must find the cause
        ├── StorageFull          the storage for files is full
        ├── NotSupported         the repository does not have this operation
        └── LedgerError          the ledger can't be written or read

No message contains a patient, a file name, a path or a secret. Details for programs are in attributes. All of
these exceptions can be pickled.
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

_CONTEXT: Final[Any] = BaseException.__dict__["__context__"]
_NOT_THEIRS: Final = frozenset({__name__.partition(".")[0], "contextlib"})


class InTouchImportError(Exception):
    """Base of all exceptions of this library.

    Args:
        message: What happened, in one sentence, without patient data.
        context: Attributes to set on the exception (``import_id=…``). They are not part of ``str`` and
            ``repr``.

    Attributes:
        errno: Error number of the operating system, if a file or a folder is the cause; else None.
    """

    errno: int | None = None

    def __init__(self, message: str = "", /, **context: Any) -> None:
        super().__init__(message)
        # Exception.__reduce__ includes __dict__, so these attributes are pickled.
        self.__dict__.update(context)

    @property
    def __context__(self) -> BaseException | None:
        """The exception that was being handled; None after ``raise … from``.

        Its text may contain a patient or a path. ``from None`` hides it from tracebacks only, not from crash
        reporters that follow this attribute.
        """
        if self.__suppress_context__:
            return None
        context: BaseException | None = _CONTEXT.__get__(self)
        return context

    @__context__.setter
    def __context__(self, context: BaseException | None) -> None:
        _CONTEXT.__set__(self, context)


class ConfigError(InTouchImportError):
    """A setting or an argument is wrong; trying again without a change does not help."""


class NamingPatternError(ConfigError):
    """A capture-name pattern is ambiguous or incomplete, or names can't be made from it."""


class SettingsError(ConfigError):
    """Settings can't be used; the message lists every mistake on a line, with its file and key.

    Attributes:
        mistakes: The mistakes as values, each a `Mistake`.
    """

    mistakes: tuple[Any, ...] = ()


class MissingExtraError(ConfigError):
    """A package that this feature needs is not installed."""


class SelectionError(InTouchImportError):
    """What the person has chosen can't be done.

    Attributes:
        names: Names of the selected files that are the cause; empty if none of them is.
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
    """A title or comment is too long, or contains characters that databases do not store."""


class SourceError(InTouchImportError):
    """One location can't be used now.

    Attributes:
        source_id: Id of the source, if it was opened.
        retry_helps: Whether trying again later may succeed.
    """

    source_id: str | None = None
    retry_helps: bool = True


class SourceUnavailable(SourceError):
    """The folder does not exist or can't be read, or its server was not reached."""


class SignInNeeded(SourceError):
    """Nobody is signed in, or the service no longer accepts the sign-in: a person must sign in.

    Attributes:
        why: ``"absent"`` (nobody has signed in, or somebody has signed out), ``"revoked"`` or ``"expired"``.
    """

    why: str = "absent"


class SignInFailed(SourceError):
    """A sign-in was refused, or its configuration is wrong. The message says what to do.

    Attributes:
        why: ``"denied"`` or ``"cancelled"`` (by the person), ``"wrong_app"`` (the service does not know the
            app, its secret or its redirect URI), ``"missing_scope"`` (the app lacks a permission),
            ``"unreachable"`` (no browser or no free port on this computer), ``"refused"`` (any other cause).
    """

    why: str = "refused"
    retry_helps = False


class SignInTimeout(SourceError):
    """Nobody completed the sign-in in time; the next refresh starts a new attempt."""


class Throttled(SourceError):
    """The service asked for a longer pause than the caller allows.

    Attributes:
        after_s: The pause that the service asked for, seconds; None if it gave none.
    """

    after_s: float | None = None


class FileError(InTouchImportError):
    """One file can't be imported now; it stays where it is.

    Attributes:
        import_id: Import id of the file, if known.
        reason: The `Reason`, if it is more precise than the class of the exception; else None.
        retry_helps: Whether trying again later may succeed without a change by a person.
    """

    import_id: str | None = None
    reason: str | None = None
    retry_helps: bool = False


class CaptureNameError(FileError, ValueError):
    """A name has the capture structure, but its date can't exist (31 February)."""


class StillArriving(FileError):
    """The file is incomplete, or another program has it open for writing."""

    retry_helps = True


class FileChanged(FileError):
    """The file is no longer the version that was listed."""

    retry_helps = True


class FileVanished(FileError):
    """The file is no longer in its source."""


class FileUnreadable(FileError):
    """The file could not be read: no permission, a device error, an interrupted transfer."""

    retry_helps = True


class ContentMismatch(FileError):
    """The bytes do not match the listing, the extension or a digest."""


class ContentAltered(ContentMismatch):
    """The location always delivers the same bytes, which are not those that it has listed.

    The transfer is correct, and trying again does not help. A person may import the delivered bytes; the
    original then stays, and a person decides about it.
    """


class AlreadyAssigned(FileError):
    """The file is already stored, in the record of another patient."""


class NameTaken(FileError):
    """A file of this name exists already; nothing was overwritten."""


class NameRefused(FileError):
    """The location can't store a file of this name."""


class NotRemoved(FileError):
    """The file is stored, but it could not be removed from its source.

    The import has not failed: the next refresh finishes the removal.
    """

    retry_helps = True


class RepositoryError(InTouchImportError):
    """The repository failed; files that were not stored stay in their source.

    Attributes:
        retry_helps: Whether trying again later may succeed.
        kind: Class name of the exception of a host's code that this error replaces; else None.
        where: The lines of code that raised that exception; else None.
    """

    retry_helps: bool = True
    kind: str | None = None
    where: str | None = None


class StorageFull(RepositoryError):
    """The storage for files is full."""


class NotSupported(RepositoryError):
    """The repository does not have this operation."""

    retry_helps = False


class LedgerError(RepositoryError):
    """The ledger can't be written, so no file is removed from a source; or an entry can't be read."""


def without_path(exc: OSError) -> OSError:
    """Return a copy of an ``OSError`` without file names.

    ``str(OSError)`` contains the path, and paths contain patient ids. Raise another exception
    ``from without_path(exc)``, so that a traceback shows the cause and no patient.
    """
    text = os.strerror(exc.errno) if exc.errno is not None else type(exc).__name__
    arguments = (exc.errno, text) if exc.errno is not None else (text,)
    try:
        return type(exc)(*arguments)
    except Exception:  # noqa: BLE001  # a subclass whose constructor takes other arguments
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

    The attributes of the error, and a note below its traceback, name the class and the lines of the
    exception.
    """
    about = kind_and_place(exc)
    error = RepositoryError(message, **about)
    error.add_note(f"{about['kind']} at {about['where']}. Its message is hidden: it may name a patient.")
    return error


@contextlib.contextmanager
def host_errors() -> Iterator[None]:
    """Replace every exception of a host's repository by a `RepositoryError` without its message."""
    try:
        yield
    except InTouchImportError:
        raise
    except Exception as exc:  # noqa: BLE001  # a host's code may raise anything
        raise instead_of(exc, "the patient records failed") from None
