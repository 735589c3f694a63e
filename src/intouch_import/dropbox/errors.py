"""What an answer of Dropbox means: it was not given, asks for time, refuses, or is about the sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from intouch_import.cloud.retry import Again
from intouch_import.errors import SignInFailed, SignInNeeded, SourceError, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Busy",
    "Misunderstood",
    "Refused",
    "RootMoved",
    "Unanswered",
    "again",
    "auth_error",
    "failed",
    "may_be_lifted",
    "retry_after_s",
]

_SCOPES: Final = frozenset(
    {"account_info.read", "files.metadata.read", "files.content.read", "files.content.write"}
)
_LONGEST_S: Final = 3600.0


class Unanswered(Exception):
    """No usable answer came: the call may have taken effect or not.

    Args:
        after_s: How long the service wants to be left alone, seconds, if it said so.
        timed_out: Whether the service was silent for as long as it may be.
    """

    def __init__(self, after_s: float | None = None, *, timed_out: bool = False) -> None:
        super().__init__()
        self.after_s = after_s
        self.timed_out = timed_out


class Busy(Exception):
    """The service wants to be asked later, and has done nothing. Arguments as for `Unanswered`."""

    def __init__(self, after_s: float | None = None) -> None:
        super().__init__()
        self.after_s = after_s


class RootMoved(SourceUnavailable):
    """The team space has another number than it had: a new client finds it again."""


class Misunderstood(Exception):
    """The service did not understand the call, or did not want to: asking again is useless."""


class Refused(Exception):
    """An error of the route that was called.

    Args:
        error: The error as Dropbox gave it, a tagged union.
    """

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__()
        self.tags: Final = tuple(_tags(error))

    def says(self, *tags: str) -> bool:
        """Whether one of these tags is among its own, at whatever depth."""
        return not set(tags).isdisjoint(self.tags)


def _tags(error: object) -> Iterator[str]:
    """All tags of a tagged union, from the outside in. Which field carries the inner one varies."""
    if isinstance(error, dict):
        if isinstance(error.get(".tag"), str):
            yield error[".tag"]
        for value in error.values():
            yield from _tags(value)


def again(exc: Exception) -> Again | None:
    """Whether asking again helps, for `Patience`."""
    match exc:
        case Busy():
            return Again(after_s=exc.after_s, throttled=True)
        case Unanswered():
            return Again(after_s=exc.after_s)
    return None


def retry_after_s(header: str | None, body: object) -> float | None:
    """What a throttled answer asks for, seconds: the header's word, else the body's.

    Dropbox documents both. The header is the one that is always right: some bodies leave it out, and the
    vendor's client then takes one second.
    """
    error = body.get("error") if isinstance(body, dict) else None
    said = error.get("retry_after") if isinstance(error, dict) else None
    for value in (header, said):
        try:
            seconds = float(value)  # type: ignore[arg-type]  # whatever it is
        except (TypeError, ValueError):
            continue
        if 0 <= seconds <= _LONGEST_S:
            return seconds
    return None


def auth_error(error: Mapping[str, Any]) -> SourceError:
    """A token was refused, and a new one too: what is to be done."""
    tag = error.get(".tag")
    if tag == "missing_scope":
        scope = error.get("required_scope")
        which = scope if scope in _SCOPES else "for this"
        return SignInFailed(
            f"the app lacks the permission {which}: tick it in the Dropbox App Console (Permissions), "
            "then sign in again",
            why="missing_scope",
        )
    if tag in {"invalid_access_token", "expired_access_token"}:
        return SignInNeeded(
            "Dropbox no longer accepts the sign-in (access was withdrawn under Connected apps, or the "
            "password was changed): sign in again",
            why="revoked" if tag == "invalid_access_token" else "expired",
        )
    if tag == "user_suspended":
        return SourceUnavailable("the Dropbox account is suspended: its owner must look", retry_helps=False)
    return SourceUnavailable("Dropbox refuses this account for this app", retry_helps=False)


def failed(exc: Exception, text: str) -> SourceError:
    """What a call that failed for good means for the location."""
    match exc:
        case SourceError():
            return exc
        case Refused():
            return SourceUnavailable(_REFUSALS.get(_first(exc), text), retry_helps=may_be_lifted(exc))
        case Misunderstood():
            return SourceUnavailable(f"{text}: Dropbox does not understand the request", retry_helps=False)
    return SourceUnavailable(f"{text}: Dropbox was not reached, or gave no usable answer")


_REFUSALS: Final = {
    "not_found": "the Dropbox folder does not exist",
    "not_folder": "the source is not a folder",
    "insufficient_space": "the Dropbox is full",
    "no_write_permission": "the Dropbox folder may not be changed: no rights",
    "access_restricted": "the Dropbox folder may not be used: no rights",
}


def _first(exc: Refused) -> str:
    return next((tag for tag in exc.tags if tag in _REFUSALS), "")


def may_be_lifted(exc: Refused) -> bool:
    """Whether a refusal may be over by itself."""
    return not exc.says(*_REFUSALS)
