"""Graph's errors: raised by calls, and switched on by tests."""

from __future__ import annotations

import json
import secrets
from http.client import responses
from typing import TYPE_CHECKING

import attrs

from services.doubles import faults
from services.doubles.http import JSON, Answer

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Fault", "GraphError"]


class GraphError(Exception):
    """An error that Graph answers with."""

    def __init__(self, status: int, code: str, message: str = "", *, inner: str = "", **headers: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.inner = inner
        self.message = message
        self.headers = headers

    def answer(self, now: datetime) -> Answer:
        """Return the error in JSON."""
        inner = {"code": self.inner} if self.inner else {}
        detail = {
            **inner,
            "date": f"{now:%Y-%m-%dT%H:%M:%S}",
            "request-id": secrets.token_hex(8),
            "client-request-id": secrets.token_hex(8),
        }
        error = {"code": self.code, "message": self.message or self.code, "innerError": detail}
        return Answer.of_json({"error": error}, self.status, **self.headers)


@attrs.frozen(kw_only=True)
class Fault(faults.Fault):
    """A fault, with Graph's own errors. `faults.Fault` has the arguments."""

    @classmethod
    def refused(
        cls, status: int, code: str = "", *, after: bool = False, retry_after: str | None = None
    ) -> Fault:
        """Answer with an error in JSON; by default the code is the name of the status."""
        name = code or responses.get(status, "bandwidthLimitExceeded").replace(" ", "")
        error = {"error": {"code": name, "message": "a fault was switched on", "innerError": {}}}
        headers = {"Content-Type": JSON} | ({} if retry_after is None else {"Retry-After": retry_after})
        return cls(status=status, headers=headers, body=json.dumps(error).encode(), after=after)
