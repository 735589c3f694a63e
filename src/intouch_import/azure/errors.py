"""Failed requests: what they mean, whether to retry them, and which of our errors they become."""

from __future__ import annotations

import email.utils
import enum
import logging
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs

from intouch_import.cloud.retry import Again
from intouch_import.errors import (
    FileChanged,
    FileUnreadable,
    FileVanished,
    InTouchImportError,
    NotRemoved,
    SourceUnavailable,
    StillArriving,
)
from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from intouch_import.azure.account import Account
    from intouch_import.cloud.retry import Patience

__all__ = ["Failed", "Fault", "Kind", "Unreached", "fault_of", "not_removed", "send", "unread"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# The service refuses requests whose signed time is more than 15 minutes wrong:
# https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
_CLOCK_TOLERANCE: Final = timedelta(minutes=15)


class Kind(enum.Enum):
    """What went wrong."""

    text: str
    """A sentence for people; empty for failures that concern only one blob."""

    def __new__(cls, value: str, text: str = "") -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.text = text
        return member

    # With one blob.
    GONE = "gone"
    CHANGED = "changed"
    TAKEN = "taken"
    LEASED = "leased"
    SNAPSHOTS = "snapshots"
    IMMUTABLE = "immutable"
    ARCHIVED = "archived"
    COPYING = "copying"
    # With the container or the account.
    NO_CONTAINER = "no container", "the container does not exist"
    CONTAINER_GOING = "container being deleted", "the container is being deleted"
    FORBIDDEN = "forbidden", "access denied: the key, the signature (SAS) or the role does not allow this"
    NOT_KNOWN = (
        "not known",
        "access denied: the key, the signature (SAS) or the access token is not valid here",
    )
    EXPIRED = "expired", "the signature (SAS) has expired or is not valid yet: a new one is needed"
    CLOCK = "clock", "this machine's clock differs from the service's by more than 15 minutes"
    DISABLED = "disabled", "the storage account is disabled"
    NO_CREDENTIAL = (
        "no credential",
        "Azure gave no access token: nobody is signed in, or the identity is not set up",
    )
    NO_TOKENS = "no tokens", "the service that gives access tokens for Azure can't be reached"
    # With the service.
    REJECTED = "rejected", "the service rejects the request: is the endpoint a blob endpoint?"
    BUSY = "busy", "the service is busy"
    BROKEN = "broken", "the service failed"
    # On the way to the service.
    NO_SUCH_HOST = "no such host", "the network (DNS) knows no storage account with this name"
    NO_RESOLVER = "no resolver", "names can't be looked up: is this machine connected to the network?"
    NOT_TRUSTED = "not trusted", "the server's certificate is not trusted"
    PROXY = "proxy", "the proxy of this network failed"
    REFUSED = "refused", "the server refused the connection"
    NO_ANSWER = "no answer", "the server did not answer"
    SILENT = "silent", "the server stopped sending"
    CUT = "cut", "the connection was cut"
    NONSENSE = "nonsense", "the answer makes no sense: is something between this machine and Azure?"


_AGAIN: Final = frozenset(
    {
        *(Kind.BUSY, Kind.BROKEN, Kind.NO_RESOLVER, Kind.PROXY, Kind.REFUSED),
        *(Kind.NO_ANSWER, Kind.SILENT, Kind.CUT, Kind.NO_TOKENS),
    }
)
# The service may have carried out the request.
_IN_DOUBT: Final = frozenset({Kind.BUSY, Kind.BROKEN, Kind.PROXY, Kind.SILENT, Kind.CUT, Kind.NONSENSE})
_NEEDS_A_PERSON: Final = frozenset(
    {
        *(Kind.NO_CONTAINER, Kind.FORBIDDEN, Kind.NOT_KNOWN, Kind.EXPIRED, Kind.CLOCK, Kind.DISABLED),
        *(Kind.NO_CREDENTIAL, Kind.NO_SUCH_HOST, Kind.NOT_TRUSTED, Kind.REJECTED),
    }
)

# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
_CODES: Final[Mapping[str, Kind]] = {
    "BlobNotFound": Kind.GONE,
    "ConditionNotMet": Kind.CHANGED,
    "TargetConditionNotMet": Kind.CHANGED,
    "BlobAlreadyExists": Kind.TAKEN,
    "UnauthorizedBlobOverwrite": Kind.TAKEN,
    "LeaseIdMissing": Kind.LEASED,
    "LeaseIdMismatchWithBlobOperation": Kind.LEASED,
    "LeaseLost": Kind.LEASED,
    "SnapshotsPresent": Kind.SNAPSHOTS,
    "BlobImmutableDueToPolicy": Kind.IMMUTABLE,
    "BlobImmutableDueToLegalHold": Kind.IMMUTABLE,
    "ContainerImmutableStorageAccessDenied": Kind.IMMUTABLE,
    "BlobArchived": Kind.ARCHIVED,
    "BlobBeingRehydrated": Kind.ARCHIVED,
    "PendingCopyOperation": Kind.COPYING,
    "ContainerNotFound": Kind.NO_CONTAINER,
    "ContainerDisabled": Kind.DISABLED,
    "ContainerBeingDeleted": Kind.CONTAINER_GOING,
    "AccountIsDisabled": Kind.DISABLED,
    "AuthenticationFailed": Kind.NOT_KNOWN,
    "InvalidAuthenticationInfo": Kind.NOT_KNOWN,
    "NoAuthenticationInformation": Kind.NOT_KNOWN,
    "ServerBusy": Kind.BUSY,
    "InternalError": Kind.BROKEN,
    "OperationTimedOut": Kind.BROKEN,
}
_STATUSES: Final[Mapping[int, Kind]] = {
    401: Kind.NOT_KNOWN,
    403: Kind.FORBIDDEN,
    404: Kind.NONSENSE,  # any server on the way can answer this; Azure also says what is missing
    407: Kind.PROXY,
    408: Kind.BROKEN,
    412: Kind.CHANGED,
    429: Kind.BUSY,
    503: Kind.BUSY,
}


class Unreached(Exception):
    """A request without a complete answer. The text contains no URL."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind.value)
        self.kind = kind


@attrs.frozen(kw_only=True)
class Fault:
    """The meaning of a failed request.

    Args:
        kind: What went wrong.
        after_s: Pause that the service asks for, seconds, or None.
    """

    kind: Kind
    after_s: float | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether the service may have carried out the request although it failed."""
        return self.kind in _IN_DOUBT

    @property
    def again(self) -> Again | None:
        """Whether a retry may help; None means no."""
        if self.kind not in _AGAIN:
            return None
        return Again(after_s=self.after_s, throttled=self.kind is Kind.BUSY)

    def error(self, source_id: str) -> SourceUnavailable:
        """Return the error for a failure of the whole location."""
        text = self.kind.text or Kind.NONSENSE.text
        helps = self.kind not in _NEEDS_A_PERSON
        return SourceUnavailable(text, source_id=source_id, retry_helps=helps, kind=self.kind.value)


def fault_of(
    exc: Exception,
    *,
    expires_at: datetime | None = None,
    identity: bool = False,
    now: datetime | None = None,
) -> Fault:
    """Return the meaning of an exception of the SDK, of our transport, or of a credential.

    Args:
        exc: The exception.
        expires_at: When the SAS in use expires, if known.
        identity: Whether the credential in use is an identity.
        now: The current time; by default this machine's.
    """
    if isinstance(exc, Unreached):
        return Fault(kind=exc.kind)
    status = getattr(exc, "status_code", None)
    headers = _headers(exc)
    code = getattr(exc, "error_code", None)
    code = str(getattr(code, "value", code) or headers.get("x-ms-error-code") or "")
    if not isinstance(status, int) or (identity and not code):
        kind = _of_tokens(exc)
        if kind is not None or not isinstance(status, int):
            return Fault(kind=kind or Kind.NONSENSE)
    kind = _CODES.get(code) or _STATUSES.get(status)
    if kind is None:
        failed, rejected = status >= HTTPStatus.INTERNAL_SERVER_ERROR, status >= HTTPStatus.BAD_REQUEST
        kind = Kind.BROKEN if failed else Kind.REJECTED if rejected else Kind.NONSENSE
    if kind is Kind.BROKEN and status in {429, 503}:
        kind = Kind.BUSY
    if kind in {Kind.FORBIDDEN, Kind.NOT_KNOWN}:
        kind = _refused(kind, headers, expires_at, now or datetime.now(UTC))
    return Fault(kind=kind, after_s=_after_s(headers, now or datetime.now(UTC)))


def _of_tokens(exc: Exception) -> Kind | None:
    """Return the meaning of an exception of azure.identity, or None for other exceptions.

    The package may not be installed, so its classes are recognised by name. It uses the SDK's own transport
    and raises an authentication error when the token service can't be reached; the cause is the real reason.
    """
    names: set[str] = set()
    cause: BaseException | None = exc
    while cause is not None:
        names.update(kind.__name__ for kind in type(cause).__mro__)
        cause = cause.__cause__
    if names & {"ServiceRequestError", "ServiceResponseError"}:
        return Kind.NO_TOKENS
    return Kind.NO_CREDENTIAL if "ClientAuthenticationError" in names else None


def _refused(kind: Kind, headers: Mapping[str, str], expires_at: datetime | None, now: datetime) -> Kind:
    """Return why access was denied: expired, a wrong clock, or the reason that is known so far."""
    there = _date(headers.get("date"))
    if expires_at is not None and expires_at <= (there or now):
        return Kind.EXPIRED
    if there is not None and abs(there - now) > _CLOCK_TOLERANCE:
        return Kind.CLOCK
    return kind


def _headers(exc: Exception) -> Mapping[str, str]:
    response: Any = getattr(exc, "response", None)
    found = getattr(response, "headers", None) or {}
    return {str(name).lower(): str(value) for name, value in found.items()}


def _after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the pause in ``Retry-After``, which has seconds or a date."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        when = _date(text)
        return (
            None if when is None else max(0.0, (when - (_date(headers.get("date")) or now)).total_seconds())
        )


def _date(text: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text or "").astimezone(UTC)
    except (TypeError, ValueError):
        return None


_STAYS: Final[Mapping[Kind, tuple[str, Reason, bool]]] = {
    Kind.LEASED: ("another program holds a lease on the blob", Reason.LEASED, True),
    Kind.SNAPSHOTS: ("the blob has snapshots, which would be deleted with it", Reason.HAS_SNAPSHOTS, False),
    Kind.IMMUTABLE: ("a retention policy or a legal hold keeps the blob", Reason.RETAINED, False),
    Kind.FORBIDDEN: ("the key, SAS or role does not allow deleting", Reason.REMOVAL_FORBIDDEN, False),
}
"""Why a blob can't be removed: text, reason, and whether a later retry may help."""


def unread(fault: Fault, source_id: str) -> InTouchImportError:
    """Return our error for a blob that could not be read."""
    match fault.kind:
        case Kind.GONE:
            return FileVanished("the file is no longer there")
        case Kind.CHANGED:
            return FileChanged("the file is no longer the version that was listed")
        case Kind.ARCHIVED:
            return FileUnreadable(
                "the blob is in the archive tier", reason=Reason.ARCHIVED, retry_helps=False
            )
        case Kind.COPYING:
            return StillArriving("the blob is still being copied")
        case Kind.CUT:
            return FileUnreadable("the transfer was cut repeatedly")
    return fault.error(source_id)


def not_removed(fault: Fault, source_id: str) -> InTouchImportError:
    """Return our error for a blob that could not be removed."""
    if fault.kind is Kind.GONE:
        return FileVanished("the file is no longer there")
    if fault.kind is Kind.CHANGED:
        return FileChanged("the blob is now another version; it was not touched")
    if fault.kind in _STAYS:
        text, reason, helps = _STAYS[fault.kind]
        return NotRemoved(text, reason=reason, retry_helps=helps)
    return fault.error(source_id)


class Failed(Exception):
    """A request that failed for good. It never leaves this package.

    Args:
        fault: The meaning of the last attempt.
        in_doubt: Whether the service may have carried out one of the attempts.
    """

    def __init__(self, fault: Fault, *, in_doubt: bool) -> None:
        super().__init__(fault.kind.value)
        self.fault = fault
        self.in_doubt = in_doubt


def send(request: Callable[[], _T], *, account: Account, patience: Patience, source_id: str) -> _T:
    """Send a request, and retry it until it succeeds, fails for good, or the budget is used up.

    Args:
        request: Sends it once.
        account: Its credential decides what some failures mean.
        patience: How long to retry.
        source_id: Id of the source, for errors and the log.

    Raises:
        Failed: The request failed for good.
        InTouchImportError: One of our errors, raised by the request.
        OSError: This machine's own disk failed; the error has an errno.
    """
    in_doubt = False

    def fault(exc: Exception) -> Fault:
        return fault_of(exc, expires_at=account.expires_at, identity=account.credential is not None)

    def again(exc: Exception) -> Again | None:
        nonlocal in_doubt
        if isinstance(exc, InTouchImportError):
            return None
        found = fault(exc)
        in_doubt = in_doubt or found.in_doubt
        return found.again

    try:
        return patience.ask(request, again=again)
    except InTouchImportError as exc:
        exc.__dict__.setdefault("source_id", source_id)
        raise
    except Exception as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise
        found = fault(exc)
        if found.kind is Kind.NONSENSE:
            log.error(
                "an answer of Azure makes no sense",
                extra={"source_id": source_id, "kind": type(exc).__name__},
            )
        raise Failed(found, in_doubt=in_doubt) from None
