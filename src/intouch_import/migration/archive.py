"""`Archive`: where an archive is, and how it is opened, on this machine or on another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from intouch_import.errors import ConfigError
from intouch_import.sources.base import Source
from intouch_import.sources.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Archive", "archive_of"]

_KEPT = frozenset({"source_id", "provider", "label"})


@attrs.frozen
class Archive:
    """A folder with everything below it. Called, it opens its top folder; it can be pickled.

    Args:
        url: As `open_source` takes it.
        options: Likewise. They may hold secrets: they are not shown, and not kept in a plan.
    """

    url: str = attrs.field(converter=os.fspath, repr=False)
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def __call__(self) -> Source:
        """Open the top folder. Whoever does closes it."""
        return open_source(self.url, **self.options)

    @property
    def kept(self) -> dict[str, Any] | None:
        """What a plan keeps of it, as JSON values; None if it can't be opened again from that alone."""
        if set(self.options) - _KEPT:
            return None
        return {"url": self.url, **{name: str(value) for name, value in self.options.items()}}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any]) -> Archive:
        """The archive of a plan that kept it: the inverse of `kept`."""
        return cls(kept["url"], {name: value for name, value in kept.items() if name != "url"})


def archive_of(source: str | os.PathLike[str] | Source | Callable[[], Source]) -> Callable[[], Source]:
    """What opens an archive, of whatever was given.

    Raises:
        ConfigError: A source that was not opened by `open_source`.
    """
    if isinstance(source, Source):
        if source.opened_with is None:
            raise ConfigError("give the archive as a path, a URL, or a source opened by open_source")
        url, options = source.opened_with
        return Archive(url, {**options, "source_id": source.source_id})
    if callable(source):
        return source
    text = os.fspath(source)
    # Absolute, so that the plan finds it from wherever it is run.
    return Archive(text if "://" in text else os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111
