"""A OneDrive on loopback, to try an integration with: no account, no internet.

::

    from intouch_import import open_source
    from services.doubles.onedrive import OneDriveServer

    with OneDriveServer() as server:
        photos = server.drive.folder("images/intouch")
        server.drive.write(photos, "10042_DRJ_20260131_142501.jpg", b"...")
        source = open_source("onedrive:///images/intouch", signin=server.signin(), endpoint=server.endpoint)

Both kinds of account are there, with what tells them apart: ids, tags, hashes, and what delta leaves out.
Anything may be made to go wrong: ``server.faults.add("delete", drop=True, effect=True)`` loses the answer to
a deletion that took effect. It needs no package beyond this one.
"""

from services.doubles.onedrive.drive import Drive, Item
from services.doubles.onedrive.server import OneDriveServer
from services.doubles.onedrive.tokens import Account, App
from services.doubles.onedrive.wire import Fault, Request

__all__ = ["Account", "App", "Drive", "Fault", "Item", "OneDriveServer", "Request"]
