"""What a failed call of Dropbox means for the sign-in, for a file, and for the whole location."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from intouch_import.cloud.retry import Again
from intouch_import.errors import SignInFailed, SignInNeeded, SourceError, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "BadRequest",
    "Busy",
    "CallFailed",
    "NoAnswer",
    "Refused",
    "TeamSpaceMoved",
    "again",
    "auth_error",
    "explaining",
    "may_pass",
    "retry_after_s",
    "unavailable",
]

_SCOPES: Final = frozenset(
    {"account_info.read", "files.metadata.read", "files.content.read", "files.content.write"}
)
_LONGEST_S: Final = 3600.0
_REFUSALS: Final = {
    "not_found": "the Dropbox folder does not exist",
    "not_folder": "the source is not a folder",
    "insufficient_space": "the Dropbox is full",
    "no_write_permission": "no permission to change the Dropbox folder",
    "access_restricted": "no permission to use the Dropbox folder",
}


class CallFailed(Exception):
    """A call failed. Only this package sees it: the other rooms get errors of `intouch_import.errors`.

    Args:
        after_s: How long the service asked to wait, seconds; None if it did not say.
        timed_out: Whether the service was silent for the longest time allowed.
    """

    def __init__(self, after_s: float | None = None, *, timed_out: bool = False) -> None:
        super().__init__()
        self.after_s = after_s
        self.timed_out = timed_out


class NoAnswer(CallFailed):
    """No usable answer came: the call may have taken effect or not."""


class Busy(CallFailed):
    """The service did nothing and asked to be called later."""


class BadRequest(CallFailed):
    """The service did not understand or accept the call: a retry does not help."""


class Refused(CallFailed):
    """The route returned an error.

    Args:
        error: The error of Dropbox, a tagged union.
    """

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__()
        self.tags: Final = tuple(_tags(error))

    def says(self, *tags: str) -> bool:
        """Whether the error has one of these tags, at any depth."""
        return not set(tags).isdisjoint(self.tags)


class TeamSpaceMoved(SourceUnavailable):
    """The team space has another number than before: a new client finds it again."""


def _tags(error: object) -> Iterator[str]:
    """Return all tags of a tagged union, the outer one first. The field of the inner error varies."""
    if isinstance(error, dict):
        if isinstance(error.get(".tag"), str):
            yield error[".tag"]
        for value in error.values():
            yield from _tags(value)


def again(exc: Exception) -> Again | None:
    """Whether a retry helps, for `Patience`."""
    match exc:
        case Busy():
            return Again(after_s=exc.after_s, throttled=True)
        case NoAnswer():
            return Again(after_s=exc.after_s)
    return None


def retry_after_s(header: str | None, body: object) -> float | None:
    """Return how long a throttled answer asks to wait, seconds: from the header, else from the body.

    Dropbox documents both. Some bodies leave it out, and the SDK then waits one second; the header is always
    right.
    """
    error = body.get("error") if isinstance(body, dict) else None
    in_body = error.get("retry_after") if isinstance(error, dict) else None
    for value in (header, in_body):
        try:
            seconds = float(value)  # type: ignore[arg-type]  # any other type is skipped
        except (TypeError, ValueError):
            continue
        if 0 <= seconds <= _LONGEST_S:
            return seconds
    return None


def auth_error(error: Mapping[str, Any]) -> SourceError:
    """Return the error for a token that was refused, and a new token too."""
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


def may_pass(exc: Refused) -> bool:
    """Whether the reason for a refusal may go away by itself."""
    return not exc.says(*_REFUSALS)


def unavailable(exc: CallFailed, text: str) -> SourceUnavailable:
    """Return what a call that failed for good means for the whole location.

    Args:
        exc: The failure.
        text: What could not be done.
    """
    match exc:
        case Refused():
            reason = next((_REFUSALS[tag] for tag in exc.tags if tag in _REFUSALS), text)
            return SourceUnavailable(reason, retry_helps=may_pass(exc))
        case BadRequest():
            return SourceUnavailable(f"{text}: Dropbox does not understand the request", retry_helps=False)
    return SourceUnavailable(f"{text}: Dropbox could not be reached, or gave no usable answer")


@contextlib.contextmanager
def explaining(text: str) -> Iterator[None]:
    """Turn a failed call in this block into a `SourceUnavailable`; arguments as for `unavailable`."""
    try:
        yield
    except CallFailed as exc:
        raise unavailable(exc, text) from None
