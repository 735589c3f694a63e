"""Dropbox: a folder of one account, and signing in to it.

Named as the vendor's own package is, which is imported as ``dropbox`` alone: imports here are absolute.
"""

from intouch_import.dropbox.account import DropboxAuthorization
from intouch_import.dropbox.source import DropboxSource

__all__ = ["DropboxAuthorization", "DropboxSource"]
