"""A Dropbox for tests: the API's protocol, OAuth included, on this machine, with faults at will.

::

    from services.doubles.dropbox import DropboxServer, Fault

    with DropboxServer() as server:
        server.put("/apps/intouch/photo.jpg", content)
        source = open_source("dropbox:///apps/intouch", signin=lambda force=False: server.token(),
                             endpoint=server.url)
        server.fail("files/download", Fault.cut(1000))

It keeps to the published protocol (paths, errors, paging, cursors, revisions, hashes, throttling, scopes),
and the vendor's own clients work against it unchanged. What Dropbox does not document is answered in the way
that leaves a client the least to rely on.
"""

from services.doubles.dropbox.drive import Bytes, content_hash
from services.doubles.dropbox.errors import Fault
from services.doubles.dropbox.oauth import Account, App
from services.doubles.dropbox.server import DropboxServer

__all__ = ["Account", "App", "Bytes", "DropboxServer", "Fault", "content_hash"]
