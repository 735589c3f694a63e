"""A Dropbox for tests: the protocol of its API and its sign-in, on this machine, with faults to switch on.

::

    from services.doubles.dropbox import DropboxServer, Fault

    with DropboxServer() as server:
        server.put("/apps/intouch/photo.jpg", content)
        source = open_source("dropbox:///apps/intouch", signin=lambda force=False: server.token(),
                             endpoint=server.url)
        server.fail("files/download", Fault.cut(1000))

It follows the published protocol: paths, errors, paging, cursors, revisions, hashes, throttling, scopes. The
vendor's own clients work with it unchanged. Where Dropbox documents nothing, the answer promises as little as
possible.
"""

from services.doubles.dropbox.drive import Bytes, content_hash
from services.doubles.dropbox.errors import Fault
from services.doubles.dropbox.oauth import Account, App
from services.doubles.dropbox.server import DropboxServer

__all__ = ["Account", "App", "Bytes", "DropboxServer", "Fault", "content_hash"]
