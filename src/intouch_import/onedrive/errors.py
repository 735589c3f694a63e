"""What Graph refuses, and what that means: another try, a file, or a whole location."""

from __future__ import annotations

import contextlib
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from intouch_import.cloud.retry import Again
from intouch_import.errors import SourceError, SourceUnavailable, Throttled

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

__all__ = [
    "ABOUT_ALL",
    "ASKS_FOR_TIME",
    "FAILS_FOR_NOW",
    "GraphError",
    "TransferFailed",
    "Tries",
    "after_s",
    "explaining",
    "is_gone",
    "is_transport",
    "unavailable",
    "what_is_said",
]

ASKS_FOR_TIME: Final = frozenset({429, 503, 509})
FAILS_FOR_NOW: Final = frozenset({500, 502, 504})
ABOUT_ALL: Final = ASKS_FOR_TIME | {404}
"""Refusals that are about more than the file that was asked for."""
_NOT_FOUND: Final = 404
_ID: Final = re.compile(r"[0-9a-fA-F-]{8,64}")
# https://learn.microsoft.com/onedrive/developer/rest-api/concepts/errors, and what Graph adds
_PUBLISHED: Final = frozenset(
    {
        "accessDenied", "accessRestricted", "activityLimitReached", "BadRequest", "driveNotFound",
        "entityTagDoesNotMatch", "fragmentLengthMismatch", "fragmentOutOfOrder", "fragmentOverlap",
        "generalException", "InvalidAuthenticationToken", "invalidPath", "invalidRange", "invalidRequest",
        "itemNotFound", "lockMismatch", "malformedEntityTag", "malwareDetected", "maxFileSizeExceeded",
        "nameAlreadyExists", "notAllowed", "notSupported", "pathIsTooLong", "quotaLimitReached",
        "resourceLocked", "resourceModified", "resyncApplyDifferences", "resyncChangesApplyDifferences",
        "resyncChangesUploadDifferences", "resyncRequired", "resyncUploadDifferences",
        "serviceNotAvailable", "serviceReadOnly", "throttledRequest", "unauthenticated", "unknownError",
        "uploadSessionFailed", "uploadSessionIncomplete", "uploadSessionNotFound", "virusSuspicious",
    }
)  # fmt: skip
_TRIES_WITHOUT_ANSWER: Final = 3


class GraphError(Exception):
    """Graph refused. Never shown: its text may hold names.

    Attributes:
        status: HTTP status.
        codes: Every error code that it gave, the outer one and those within.
        after_s: How long it wants to be left alone, seconds; None if it did not say.
    """

    def __init__(
        self, status: int, codes: frozenset[str] = frozenset(), after_s: float | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.codes = codes
        self.after_s = after_s


class TransferFailed(Exception):
    """A download did not come to its end, or its address was refused; a fresh address may help."""


class Tries:
    """Which failures of one operation are worth another try."""

    def __init__(self) -> None:
        self._left = _TRIES_WITHOUT_ANSWER

    def __call__(self, exc: Exception) -> Again | None:
        if isinstance(exc, GraphError) and exc.status in ASKS_FOR_TIME:
            return Again(after_s=exc.after_s, throttled=True)
        failed = isinstance(exc, GraphError) and exc.status in FAILS_FOR_NOW
        if not failed and not isinstance(exc, TransferFailed) and not is_transport(exc):
            return None
        self._left -= 1
        return Again() if self._left >= 0 else None


def is_gone(exc: GraphError) -> bool:
    """Whether an answer about an item says that it is not there; any other 404 says something else."""
    return exc.status == _NOT_FOUND and "itemNotFound" in exc.codes and "driveNotFound" not in exc.codes


def unavailable(exc: GraphError | TransferFailed, text: str) -> SourceError:
    """What a refusal means for a whole location.

    Args:
        exc: The refusal.
        text: What could not be done.
    """
    status = exc.status if isinstance(exc, GraphError) else 0
    match status:
        case 403:
            reason = "the account may not do that there: see which permissions were granted"
            return SourceUnavailable(f"{text}: {reason}", retry_helps=False, status=status)
        case 404:
            return SourceUnavailable(
                f"{text}: there is no such folder or drive", retry_helps=False, status=status
            )
        case 429 | 503 | 509:
            return Throttled("OneDrive asks for time", status=status)
        case 507:
            return SourceUnavailable(f"{text}: the OneDrive is full", status=status)
    return SourceUnavailable(text, status=status)


@contextlib.contextmanager
def explaining(text: str, source_id: str) -> Iterator[None]:
    """Whatever Graph refuses in this block becomes a `SourceError` of that source."""
    try:
        yield
    except (GraphError, TransferFailed) as exc:
        found = unavailable(exc, text)
        found.source_id = source_id
        raise found from None
    except SourceError as exc:
        exc.source_id = exc.source_id or source_id
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        # An answer of another shape. The text of such an error quotes what it found: names.
        raise SourceUnavailable(f"{text}: the answer was not understood", source_id=source_id) from None


def what_is_said(response: httpx.Response) -> tuple[frozenset[str], str | None]:
    """The codes of a refusal, outer and inner, and the id that Microsoft's support asks for.

    Of the codes, those that are published: whatever else stands there may be anybody's text, a name in it.
    """
    codes: set[str] = set()
    request_id = response.headers.get("request-id")
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        error = response.json().get("error")
        while isinstance(error, dict):
            codes.add(str(error.get("code")))
            request_id = request_id or error.get("request-id")
            error = error.get("innerError") or error.get("innererror")
    plain = _ID.fullmatch(str(request_id)) is not None
    return frozenset(codes & _PUBLISHED), str(request_id) if plain else None


def after_s(response: httpx.Response) -> float | None:
    """What ``Retry-After`` says: seconds, or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(text))
    with contextlib.suppress(ValueError, TypeError):
        when = parsedate_to_datetime(text)
        return max(0.0, (when - datetime.fromtimestamp(time.time(), UTC)).total_seconds())
    return None


def is_transport(exc: Exception) -> bool:
    """Whether there was no answer, or none that came to its end."""
    import httpx

    return isinstance(exc, (httpx.TransportError, httpx.StreamError, httpx.DecodingError))
