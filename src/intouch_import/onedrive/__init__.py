"""OneDrive, Business and Personal, and SharePoint libraries, through Microsoft Graph.

::

    source      OneDriveSource: what the other rooms see; which folder of which drive
    ├── listing     what is in it: pages once, then changes; what Graph says, as our values
    ├── transfer    the bytes of one version, verified; a new file, whole or not at all
    ├── removing    one version, into the recycle bin
    ├── filesystem  the fsspec file system, on msgraphfs
    └── client      the discipline of all requests; errors, what refusals mean
    account     Microsoft's authorization server, through msal
"""

from intouch_import.onedrive.account import OneDriveAuthorization
from intouch_import.onedrive.source import OneDriveSource

__all__ = ["OneDriveAuthorization", "OneDriveSource"]
