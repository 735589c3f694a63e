"""Locations: one folder of an fsspec file system behind one `Source`."""

from intouch_import.sources.base import Source, open_source

__all__ = ["Source", "open_source"]
