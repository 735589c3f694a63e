"""Telling how far it is: a callback, or a bar."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from intouch_import.errors import ConfigError, kind_and_place
from intouch_import.extras import needing

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.model import Progress

__all__ = ["OnProgress", "teller"]

log = logging.getLogger(__name__)

OnProgress: TypeAlias = "Callable[[Progress], object] | str | None"


def teller(on_progress: OnProgress) -> Callable[[Progress], None]:
    """What tells the caller, without letting the caller's mistake stop the work.

    Args:
        on_progress: A callable that is called with `Progress`, ``"tqdm"`` for a bar in notebooks and
            terminals, or None.

    Raises:
        ConfigError: It is another word.
        MissingExtraError: tqdm is not installed.
    """
    if on_progress is None:
        return lambda _progress: None
    if isinstance(on_progress, str):
        if on_progress != "tqdm":
            raise ConfigError('on_progress is a callable, or "tqdm"')
        return _Bar()
    call = on_progress

    def tell(progress: Progress) -> None:
        try:
            call(progress)
        except Exception as exc:  # noqa: BLE001  # it is the host's code
            log.warning("the progress callback failed", extra=kind_and_place(exc))

    return tell


class _Bar:
    """A bar of tqdm's, which closes when all is done."""

    def __init__(self) -> None:
        with needing("a bar needs tqdm", "tqdm", "tqdm.auto", install="intouch-import[migration]"):
            from tqdm.auto import tqdm
        self._make: Any = tqdm
        self._bar: Any = None

    def __call__(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = self._make(total=progress.total, unit="file", desc=progress.stage.value.capitalize())
        self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)
        if progress.total is not None and progress.done >= progress.total:
            self._bar.close()
            self._bar = None
