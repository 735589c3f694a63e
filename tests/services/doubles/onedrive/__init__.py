"""A OneDrive for tests: Microsoft Graph and the identity platform on this machine, with faults at will.

::

    from intouch_import import open_source
    from services.doubles.onedrive import OneDriveServer

    with OneDriveServer() as server:
        photos = server.drive.folder("images/intouch")
        server.drive.write(photos, "10042_DRJ_20260131_142501.jpg", b"...")
        source = open_source("onedrive:///images/intouch", signin=server.signin(), endpoint=server.endpoint)

Both kinds of account are there, with their differences: ids, tags, hashes, and what delta leaves out.
Every call can be made to fail: ``server.fail("delete", Fault.lost(after=True))`` loses the answer to a deletion
that took effect.
"""

from services.doubles.onedrive.drive import Drive, Item
from services.doubles.onedrive.errors import Fault
from services.doubles.onedrive.server import OneDriveServer
from services.doubles.onedrive.tokens import Account, App

__all__ = ["Account", "App", "Drive", "Fault", "Item", "OneDriveServer"]
