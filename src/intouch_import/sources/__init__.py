"""Locations: a `Source` is one folder in one of them."""

from intouch_import.sources.base import Source, Weakness
from intouch_import.sources.opening import open_source

__all__ = ["Source", "Weakness", "open_source"]
