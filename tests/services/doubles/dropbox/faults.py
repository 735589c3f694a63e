"""What can go wrong with one call, to be switched on by a test."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Fault", "FaultQueue"]

_JSON = "application/json"


@attrs.frozen(kw_only=True)
class Fault:
    """One fault of one call. The constructors below name the usual ones.

    Args:
        after: Whether the call takes effect before it fails.
        status: HTTP status to answer with; None answers as usual.
        body, headers: Of that answer.
        hang_up: Close the connection without an answer.
        body_bytes: Send only so many bytes of a download, then hang up.
        pause_s: Wait before the answer; in a download, in the middle of the body. Seconds.
        flipped: Change a byte of a download on its way, so that its hash is wrong.
        pretended_size: Send only so many bytes of a download, and say that they are all of it.
        meanwhile: Called before the call takes effect (with ``after``: once it has): what somebody else does.
    """

    after: bool = False
    status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = {}
    hang_up: bool = False
    body_bytes: int | None = None
    pause_s: float = 0.0
    flipped: bool = False
    pretended_size: int | None = None
    meanwhile: Callable[[], object] | None = None

    @classmethod
    def somebody(cls, act: Callable[[], object], *, after: bool = False) -> Fault:
        """Somebody else does something at that instant; the call itself goes well."""
        return cls(meanwhile=act, after=after)

    @classmethod
    def unavailable(
        cls, status: int = 503, *, after: bool = False, retry_after_s: float | None = None
    ) -> Fault:
        """A 5xx answer, in plain text."""
        headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
        return cls(status=status, body=b"Service Unavailable", headers=headers, after=after)

    @classmethod
    def lost(cls, *, after: bool = False) -> Fault:
        """The connection is closed without an answer."""
        return cls(hang_up=True, after=after)

    @classmethod
    def late(cls, seconds: float) -> Fault:
        """The answer comes late: in the middle of the body, if it is a download."""
        return cls(pause_s=seconds)

    @classmethod
    def cut(cls, body_bytes: int) -> Fault:
        """A download ends early."""
        return cls(body_bytes=body_bytes)

    @classmethod
    def short(cls, size: int) -> Fault:
        """A download is short, and its length says so: a proxy's doing."""
        return cls(pretended_size=size)

    @classmethod
    def wrong_hash(cls) -> Fault:
        """A byte of a download is another one."""
        return cls(flipped=True)

    @classmethod
    def empty(cls) -> Fault:
        """For ``"files/list_folder page"``: it is empty, and has more after it."""
        return cls()

    @classmethod
    def html(cls, status: int = 200) -> Fault:
        """A page for people instead of an answer: a hotel's, or a proxy's."""
        return cls(status=status, body=b"<html>Please sign in</html>", headers={"Content-Type": "text/html"})

    @classmethod
    def expired_token(cls) -> Fault:
        """401: the access token has ended."""
        return cls._error(401, "expired_access_token", {".tag": "expired_access_token"})

    @classmethod
    def missing_scope(cls, scope: str) -> Fault:
        """401: the app lacks a permission."""
        return cls._error(401, "missing_scope", {".tag": "missing_scope", "required_scope": scope})

    @classmethod
    def throttled(
        cls, retry_after_s: float | None = None, *, form: str = "json", after: bool = False
    ) -> Fault:
        """Too many requests.

        Args:
            retry_after_s: What it asks for, seconds.
            form: ``"json"``: 429 with ``retry_after`` in the body and in the header; ``"header"``: a JSON
                body without it, the header alone; ``"text"``: plain text; ``"writes"``: the reason
                ``too_many_write_operations``; ``"503"``: a 503 with the header.
            after: Whether the call takes effect first.
        """
        headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
        if form == "text":
            return cls(status=429, body=b"Too many requests", headers=headers, after=after)
        if form == "503":
            return cls.unavailable(503, after=after, retry_after_s=retry_after_s)
        reason = "too_many_write_operations" if form == "writes" else "too_many_requests"
        error: dict[str, Any] = {"reason": {".tag": reason}}
        if form != "header" and retry_after_s is not None:
            error["retry_after"] = int(retry_after_s)
        return attrs.evolve(
            cls._error(429, reason, error), after=after, headers={"Content-Type": _JSON, **headers}
        )

    @classmethod
    def refused(cls, error: Mapping[str, Any], *, after: bool = False) -> Fault:
        """409, with an error of the route: ``{".tag": "reset"}``."""
        return attrs.evolve(cls._error(409, str(error[".tag"]), error), after=after)

    @classmethod
    def reset_cursor(cls) -> Fault:
        """409: the cursor has ended."""
        return cls.refused({".tag": "reset"})

    @classmethod
    def _error(cls, status: int, summary: str, error: Mapping[str, Any]) -> Fault:
        body = json.dumps({"error_summary": f"{summary}/..", "error": error}).encode()
        return cls(status=status, body=body, headers={"Content-Type": _JSON})


class FaultQueue:
    """The faults to come, by route. A route is named as in the URL: ``files/delete_v2``, ``oauth2/token``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: defaultdict[str, deque[Fault | None]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}

    def add(self, route: str, *faults: Fault | None, times: int = 1) -> None:
        """Let the next calls of a route fail, in this order; None lets one through. ``"*"`` is any route."""
        with self._lock:
            for _ in range(times):
                self._coming[route].extend(faults)

    def always(self, route: str, fault: Fault | None) -> None:
        """Let every call of a route fail, until it is told otherwise with None."""
        with self._lock:
            if fault is None:
                self._always.pop(route, None)
            else:
                self._always[route] = fault

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._coming.clear()
            self._always.clear()

    def left(self) -> int:
        """How many are still to come."""
        with self._lock:
            return sum(map(len, self._coming.values()))

    def next(self, route: str) -> Fault | None:
        """The fault of the call that comes in now, if it has one."""
        with self._lock:
            for name in (route, "*"):
                if self._coming[name]:
                    return self._coming[name].popleft()
            return self._always.get(route) or self._always.get("*")

    def next_of(self, part: str) -> Fault | None:
        """The fault of a part of an answer: ``"files/delete_batch entry"``, ``"files/list_folder page"``."""
        with self._lock:
            return self._coming[part].popleft() if self._coming[part] else self._always.get(part)
