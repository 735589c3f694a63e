"""Telling the caller how far it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from intouch_import.errors import kind_and_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.model import Progress

__all__ = ["teller"]

log = logging.getLogger(__name__)


def teller(on_progress: Callable[[Progress], object] | None) -> Callable[[Progress], None]:
    """Call back without letting the caller's mistake stop a move half-way."""

    def tell(progress: Progress) -> None:
        if on_progress is None:
            return
        try:
            on_progress(progress)
        except Exception as exc:  # noqa: BLE001  # it is the host's code
            log.warning("the progress callback failed", extra=kind_and_place(exc))

    return tell
