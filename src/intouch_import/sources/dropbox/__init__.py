"""Dropbox: a folder of one account, and signing in to it.

Named as the vendor's own package is, which is imported as ``dropbox`` alone: imports here are absolute.
"""

from intouch_import.sources.dropbox.authorization import PORTS, SCOPES, TEAM_SCOPES, DropboxAuthorization
from intouch_import.sources.dropbox.source import DropboxSource

__all__ = ["PORTS", "SCOPES", "TEAM_SCOPES", "DropboxAuthorization", "DropboxSource"]
