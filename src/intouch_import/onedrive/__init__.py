"""A folder of a OneDrive or of a SharePoint library as a source, and the sign-in to Microsoft.

::

    source          OneDriveSource, and where its folder is
    ├── listing     lists the folder once, then asks for changes; the items of Graph as our values
    ├── transfer    downloads one version and verifies it; uploads a new file
    ├── removing    removes one version, into the recycle bin
    ├── client      requests to Microsoft Graph
    └── errors      what failed requests mean
    account         OneDriveAuthorization, on msal
"""

from intouch_import.onedrive.account import OneDriveAuthorization
from intouch_import.onedrive.source import OneDriveSource

__all__ = ["OneDriveAuthorization", "OneDriveSource"]
