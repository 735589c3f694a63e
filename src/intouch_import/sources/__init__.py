"""Locations: one folder of an fsspec file system behind one `Source`."""

from intouch_import.sources.base import Source, Weakness
from intouch_import.sources.opening import open_source

__all__ = ["Source", "Weakness", "open_source"]
