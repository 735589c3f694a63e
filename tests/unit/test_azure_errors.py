"""The meaning of the service's answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from intouch_import.azure.errors import Kind, Unreached, fault_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IN_TIME = "Sun, 01 Mar 2026 12:00:00 GMT"
LATE = "Sun, 01 Mar 2026 12:16:00 GMT"


class Answer(Exception):
    """An exception like those of the SDK."""

    def __init__(self, status: int | None, code: str | None = None, **headers: str) -> None:
        super().__init__("text with a name in it")
        self.status_code = status
        self.error_code = code
        self.response: Any = type("Response", (), {"headers": headers})()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(404, "BlobNotFound"), Kind.GONE),
        (Answer(404, None, **{"X-Ms-Error-Code": "BlobNotFound"}), Kind.GONE),
        (Answer(404), Kind.NONSENSE),
        (Answer(404, "ContainerNotFound"), Kind.NO_CONTAINER),
        (Answer(412, "ConditionNotMet"), Kind.CHANGED),
        (Answer(412), Kind.CHANGED),
        (Answer(412, "LeaseIdMissing"), Kind.LEASED),
        (Answer(409, "SnapshotsPresent"), Kind.SNAPSHOTS),
        (Answer(409, "BlobArchived"), Kind.ARCHIVED),
        (Answer(409, "BlobBeingRehydrated"), Kind.ARCHIVED),
        (Answer(409, "BlobImmutableDueToPolicy"), Kind.IMMUTABLE),
        (Answer(409, "BlobAlreadyExists"), Kind.TAKEN),
        (Answer(409, "SomethingNew"), Kind.REJECTED),
        (Answer(400), Kind.REJECTED),
        (Answer(401), Kind.NOT_KNOWN),
        (Answer(403, "AuthorizationFailure", Date=IN_TIME), Kind.FORBIDDEN),
        (Answer(403, "AuthenticationFailed", Date=LATE), Kind.CLOCK),
        (Answer(403, "AuthorizationFailure", Date="nonsense"), Kind.FORBIDDEN),
        (Answer(429), Kind.BUSY),
        (Answer(503), Kind.BUSY),
        (Answer(503, "InternalError"), Kind.BUSY),
        (Answer(500, "OperationTimedOut"), Kind.BROKEN),
        (Answer(502), Kind.BROKEN),
        (Answer(504), Kind.BROKEN),
        (Answer(407), Kind.PROXY),
        (Answer(302), Kind.NONSENSE),
        (Answer(200), Kind.NONSENSE),
        (ValueError("no such thing"), Kind.NONSENSE),
        (Unreached(Kind.REFUSED), Kind.REFUSED),
    ],
)
def test_an_answer_means_one_thing(answer: Exception, kind: Kind) -> None:
    """The error code decides, then the status; an unknown answer is never "gone"."""
    assert fault_of(answer, now=NOW).kind is kind


def test_an_identity_that_gives_no_token_is_told() -> None:
    """azure.identity fails without a request to the storage service, even if its exception has a status."""

    class ClientAuthenticationError(Exception):
        def __init__(self, status: int | None, code: str = "") -> None:
            self.status_code = status
            self.error_code = code

    class ServiceRequestError(Exception):
        pass

    assert fault_of(ClientAuthenticationError(None)).kind is Kind.NO_CREDENTIAL
    refused = ClientAuthenticationError(401)
    assert fault_of(refused, identity=True).kind is Kind.NO_CREDENTIAL
    assert fault_of(refused).kind is Kind.NOT_KNOWN
    by_storage = ClientAuthenticationError(401, "InvalidAuthenticationInfo")
    assert fault_of(by_storage, identity=True).kind is Kind.NOT_KNOWN
    unreached = fault_of(ServiceRequestError())
    assert (unreached.kind, unreached.in_doubt) == (Kind.NO_TOKENS, False)
    assert unreached.again is not None


@pytest.mark.parametrize(("hour", "kind"), [(11, Kind.EXPIRED), (13, Kind.NOT_KNOWN)])
def test_a_signature_that_has_ended_is_told_as_that(hour: int, kind: Kind) -> None:
    """The service's clock decides if the answer has a date, otherwise ours."""
    ends_at = datetime(2026, 3, 1, hour, tzinfo=UTC)
    for answer in (Answer(403, "AuthenticationFailed"), Answer(403, "AuthenticationFailed", Date=IN_TIME)):
        assert fault_of(answer, expires_at=ends_at, now=NOW).kind is kind


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "-7"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sun, 01 Mar 2026 12:16:30 GMT", "Date": LATE}, 30.0),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
    ],
)
def test_how_long_the_service_wants_to_be_left_alone(headers: dict[str, str], after_s: float | None) -> None:
    """Retry-After is a number of seconds or a date; the date is compared with the service's clock."""
    fault = fault_of(Answer(503, "ServerBusy", **headers), now=NOW)
    assert fault.after_s == after_s
    assert fault.again is not None
    assert fault.again.throttled


@pytest.mark.parametrize("kind", Kind)
def test_every_fault_can_be_told(kind: Kind) -> None:
    """Each failure has a sentence of ours and says whether a retry may help."""
    fault = fault_of(Unreached(kind))
    error = fault.error("azure-1")
    assert str(error)
    assert error.source_id == "azure-1"
    if fault.again is not None:
        assert error.retry_helps
    if kind in {Kind.GONE, Kind.CHANGED, Kind.LEASED, Kind.FORBIDDEN, Kind.NO_CONTAINER}:
        assert not fault.in_doubt, "the service said what it did"
    assert kind.value not in {"", None}
