"""What a failed call of Microsoft Graph means for a retry, for a file, and for the whole location."""

from __future__ import annotations

import contextlib
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from intouch_import.cloud.retry import Again
from intouch_import.errors import SourceError, SourceUnavailable, Throttled

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

__all__ = [
    "ABOUT_ALL",
    "FAILS_FOR_NOW",
    "CallFailed",
    "GraphError",
    "Retries",
    "TransferFailed",
    "codes_of",
    "explaining",
    "is_gone",
    "is_transport",
    "retry_after_s",
    "unavailable",
]

_THROTTLED: Final = frozenset({429, 503, 509})
FAILS_FOR_NOW: Final = _THROTTLED | {500, 502, 504}
"""Status codes after which a retry may help."""
ABOUT_ALL: Final = _THROTTLED
"""Status codes that concern more than the file that was asked for."""
_FINAL: Final = {
    403: "the account has no permission for this: check which permissions were granted",
    404: "there is no such folder or drive",
}
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


class CallFailed(Exception):
    """A call failed. Only this package sees it: the other rooms get errors of `intouch_import.errors`."""


class GraphError(CallFailed):
    """Graph refused a call. It is never shown, because its text may contain names.

    Attributes:
        status: HTTP status.
        codes: All published error codes of the answer, outer and inner.
        after_s: How long Graph asked to wait, seconds; None if it did not say.
    """

    def __init__(
        self, status: int, codes: frozenset[str] = frozenset(), after_s: float | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.codes = codes
        self.after_s = after_s


class TransferFailed(CallFailed):
    """A download was cut, or its address was refused. A new address may help."""


class Retries:
    """Decides which failures of one operation are worth a retry, for `Patience`."""

    def __init__(self) -> None:
        self._left = _TRIES_WITHOUT_ANSWER

    def __call__(self, exc: Exception) -> Again | None:
        if isinstance(exc, GraphError):
            if exc.status in _THROTTLED:
                return Again(after_s=exc.after_s, throttled=True)
            may_pass = exc.status in FAILS_FOR_NOW
        else:
            may_pass = isinstance(exc, TransferFailed) or is_transport(exc)
        if not may_pass:
            return None
        self._left -= 1
        return Again() if self._left >= 0 else None


def is_gone(exc: GraphError) -> bool:
    """Whether the answer for an item says that it does not exist. A 404 alone may mean something else."""
    not_found = exc.codes & {"itemNotFound", "driveNotFound"}
    return exc.status == HTTPStatus.NOT_FOUND and not_found == {"itemNotFound"}


def unavailable(exc: CallFailed, text: str) -> SourceError:
    """Return what a failed call means for the whole location.

    Args:
        exc: The failure.
        text: What could not be done.
    """
    status = exc.status if isinstance(exc, GraphError) else 0
    if status in _FINAL:
        return SourceUnavailable(f"{text}: {_FINAL[status]}", retry_helps=False, status=status)
    if status in _THROTTLED:
        return Throttled("OneDrive asks for a pause", status=status)
    full = status == HTTPStatus.INSUFFICIENT_STORAGE
    return SourceUnavailable(f"{text}: the OneDrive is full" if full else text, status=status)


@contextlib.contextmanager
def explaining(text: str, source_id: str) -> Iterator[None]:
    """Turn a failed call in this block into a `SourceError` of that source; ``text`` as for `unavailable`."""
    try:
        yield
    except CallFailed as exc:
        error = unavailable(exc, text)
        error.source_id = source_id
        raise error from None
    except SourceError as exc:
        exc.source_id = exc.source_id or source_id
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        # The answer has an unexpected shape. The text of this error may quote names.
        raise SourceUnavailable(f"{text}: the answer was not understood", source_id=source_id) from None


def codes_of(response: httpx.Response) -> tuple[frozenset[str], str | None]:
    """Return the codes of a refusal, outer and inner, and the request id for Microsoft's support.

    Only published codes are returned: any other text may contain a name.
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


def retry_after_s(response: httpx.Response) -> float | None:
    """Return how long ``Retry-After`` asks to wait, seconds. The header has seconds or a date."""
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
    """Whether no answer came, or an incomplete one."""
    import httpx

    return isinstance(exc, (httpx.TransportError, httpx.StreamError, httpx.DecodingError))
