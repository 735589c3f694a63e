"""A folder of a Dropbox as a source, and the sign-in to Dropbox.

The vendor's SDK is also called ``dropbox``, so all imports in this package are absolute.
"""

from intouch_import.dropbox.account import DropboxAuthorization
from intouch_import.dropbox.source import DropboxSource

__all__ = ["DropboxAuthorization", "DropboxSource"]
