"""OneDrive, Business and Personal, and SharePoint libraries, through Microsoft Graph.

::

    source      OneDriveSource: what the other rooms see
    ├── folder      which folder of which drive
    ├── listing     what is in it: pages once, then changes
    ├── fetching    the bytes of one version, verified
    ├── removing    one version, into the recycle bin
    ├── uploading   a new file, whole or not at all
    ├── face        the fsspec file system, on msgraphfs
    ├── graph       the discipline of all requests; refusals, what they mean
    └── items       what Graph says, as our values (pure); quickxor, its hash
    identity    Microsoft's authorization server, through msal
"""

from intouch_import.sources.onedrive.identity import MicrosoftServer
from intouch_import.sources.onedrive.source import OneDriveSource

__all__ = ["MicrosoftServer", "OneDriveSource"]
