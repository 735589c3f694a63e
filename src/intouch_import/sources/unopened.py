"""`Unopened`: a location that could not be opened, and may be tried again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import ConfigError, InTouchImportError, SourceError
from intouch_import.reports import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.sources.base import Source

__all__ = ["Unopened"]

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True, repr=False)
class Unopened:
    """A location that is not open: not yet, or, with other settings, not at all.

    Args:
        location: What kind of place.
        opener: Opens it; called anew at each attempt, in one thread at a time.
        problem: Why it is not open.
        may_open: Whether another attempt may succeed with nothing changed in the settings.
    """

    location: str
    opener: Callable[[], Source] = attrs.field(eq=False)
    problem: Problem
    may_open: bool

    @classmethod
    def attempt(cls, location: str, opener: Callable[[], Source]) -> Source | Unopened:
        """Open a location; whatever goes wrong is told, not raised, and stops no other location."""
        may_open = True
        try:
            return opener()
        except ConfigError as exc:
            text, may_open, retry_helps = str(exc), False, False
        except SourceError as exc:
            text, retry_helps = str(exc), exc.retry_helps
        except InTouchImportError as exc:
            text, retry_helps = str(exc), True
        except Exception as exc:  # noqa: BLE001  # a dead location never stops the others
            log.error("a location can't be opened", extra={"location": location, "kind": type(exc).__name__})
            text, retry_helps = "an unexpected error", True
        problem = Problem(source_id="", location=location, text=text, retry_helps=retry_helps)
        return cls(location=location, opener=opener, problem=problem, may_open=may_open)

    def again(self) -> Source | Unopened:
        """Try again."""
        return self.attempt(self.location, self.opener)

    def __repr__(self) -> str:
        return f"<Unopened {self.location}>"
