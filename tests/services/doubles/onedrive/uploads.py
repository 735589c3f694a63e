"""Upload sessions: the file appears when its last byte has arrived."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from services.doubles.http import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

__all__ = ["Session", "Uploads"]

FRAGMENT_BYTES: Final = 320 * 1024
_LARGEST_FRAGMENT_BYTES: Final = 60 * 1024 * 1024


@attrs.define(kw_only=True)
class Session:
    """One open upload."""

    key: str
    place: Any
    behaviour: str
    deferred: bool
    expires_at: datetime
    received: bytearray = attrs.field(factory=bytearray, repr=False)
    total: int | None = None


class Uploads:
    """All upload sessions.

    Args:
        clock: Returns the aware time.
        finish: Turns a complete upload into a file, and returns the answer.
    """

    def __init__(self, *, clock: Callable[[], datetime], finish: Callable[[Any, bytes, str], Answer]) -> None:
        self._clock = clock
        self._finish = finish
        self.open: dict[str, Session] = {}

    def create(self, place: Any, behaviour: str, *, deferred: bool) -> Session:
        """Begin an upload."""
        session = Session(
            key=secrets.token_hex(16),
            place=place,
            behaviour=behaviour,
            deferred=deferred,
            expires_at=self._clock() + timedelta(days=7),
        )
        self.open[session.key] = session
        return session

    def answer(self, request: Request) -> Answer:
        """Carry out a request to an upload address."""
        session = self.open.get(request.path.removeprefix("/up/"))
        if session is None or session.expires_at < self._clock():
            return _error(404, "itemNotFound", "uploadSessionNotFound")
        match request.method:
            case "PUT":
                return self._fragment(session, request)
            case "GET":
                return self._status(session, 200)
            case "DELETE":
                del self.open[session.key]
                return Answer(status=204)
            case "POST" if session.deferred and session.total == len(session.received):
                return self._finished(session)
        return _error(405, "notAllowed", "")

    def _fragment(self, session: Session, request: Request) -> Answer:
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", request.headers.get("content-range", ""))
        if found is None:
            return _error(400, "invalidRequest", "invalidContentRange")
        start, end, total = map(int, found.groups())
        if end - start + 1 != len(request.body) or len(request.body) > _LARGEST_FRAGMENT_BYTES:
            return _error(400, "invalidRequest", "fragmentLengthMismatch")
        if session.total not in (None, total):
            return _error(400, "invalidRequest", "fragmentLengthMismatch")
        if start != len(session.received):
            code = "fragmentOverlap" if start < len(session.received) else "fragmentOutOfOrder"
            return _error(416, "invalidRange", code)
        last = end + 1 == total
        if not last and len(request.body) % FRAGMENT_BYTES:
            return _error(400, "invalidRequest", "fragmentSizeNotMultiple")
        session.total = total
        session.received += request.body
        if last and not session.deferred:
            return self._finished(session)
        return self._status(session, 202)

    def _finished(self, session: Session) -> Answer:
        answer = self._finish(session.place, bytes(session.received), session.behaviour)
        if (
            answer.status < 400
        ):  # after a conflict the upload stays open, and can be committed under another name
            self.open.pop(session.key, None)
        return answer

    @staticmethod
    def _status(session: Session, status: int) -> Answer:
        expires = session.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        ranges = [f"{len(session.received)}-"]
        return Answer.of_json({"expirationDateTime": expires, "nextExpectedRanges": ranges}, status)


def _error(status: int, code: str, inner: str) -> Answer:
    return Answer.of_json({"error": {"code": code, "message": code, "innererror": {"code": inner}}}, status)
