"""Dropbox's errors: raised by routes, and switched on by tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from services.doubles import faults
from services.doubles.http import JSON, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BadInput", "Fault", "Refused"]


class BadInput(Exception):
    """The call itself is wrong: 400, with plain text."""

    def answer(self, route: str) -> Answer:
        """Return what Dropbox answers."""
        text = f'Error in call to API function "{route}": {self}'
        return Answer(
            status=400, headers={"Content-Type": "text/plain; charset=utf-8"}, parts=[text.encode()]
        )


class Refused(Exception):
    """An error of a route, of the path root, of a token or of the rate limit, in JSON.

    Args:
        error: The error as a tagged union.
        status: HTTP status.
    """

    def __init__(self, error: Mapping[str, Any], *, status: int = 409) -> None:
        super().__init__(error[".tag"])
        self.status = status
        self.error = error

    def answer(self) -> Answer:
        """Return what Dropbox answers: the error, and its tags in a row."""
        tags: list[str] = []
        level: Any = self.error
        while isinstance(level, dict) and ".tag" in level:
            tags.append(str(level[".tag"]))
            level = level.get(level[".tag"], level.get("reason"))
        return Answer.of_json({"error_summary": f"{'/'.join(tags)}/..", "error": self.error}, self.status)


@attrs.frozen(kw_only=True)
class Fault(faults.Fault):
    """A fault, with Dropbox's own errors. `faults.Fault` has the arguments."""

    @classmethod
    def empty(cls) -> Fault:
        """For ``"files/list_folder page"``: make it empty, with more after it."""
        return cls()

    @classmethod
    def expired_token(cls) -> Fault:
        """401: the access token has expired."""
        return cls.error(401, {".tag": "expired_access_token"})

    @classmethod
    def missing_scope(cls, scope: str) -> Fault:
        """401: the app lacks a permission."""
        return cls.error(401, {".tag": "missing_scope", "required_scope": scope})

    @classmethod
    def throttled(
        cls, retry_after_s: float | None = None, *, form: str = "json", after: bool = False
    ) -> Fault:
        """429 or 503: too many requests.

        Args:
            retry_after_s: The pause that is asked for, seconds.
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
        body = json.dumps({"error_summary": f"{reason}/..", "error": error}).encode()
        return cls(status=429, body=body, headers={"Content-Type": JSON, **headers}, after=after)

    @classmethod
    def refused(cls, error: Mapping[str, Any], *, after: bool = False) -> Fault:
        """409: an error of the route, such as ``{".tag": "reset"}``."""
        return attrs.evolve(cls.error(409, error), after=after)

    @classmethod
    def reset_cursor(cls) -> Fault:
        """409: the cursor is no longer valid."""
        return cls.refused({".tag": "reset"})

    @classmethod
    def error(cls, status: int, error: Mapping[str, Any]) -> Fault:
        """Answer with an error in JSON."""
        answer = Refused(error, status=status).answer()
        return cls(status=status, body=answer.body, headers=answer.headers)
