"""Showing a page to the person at this machine."""

from __future__ import annotations

import webbrowser

from intouch_import.errors import SignInFailed

__all__ = ["open_in_browser"]


def open_in_browser(url: str) -> None:
    """Open a page in the person's own browser.

    Args:
        url: The page. It stands in the browser's process arguments: it may hold a state and a PKCE challenge,
            and never a token or a secret.

    Raises:
        SignInFailed: This machine has no browser, or none that can be started.
    """
    try:
        opened = webbrowser.open(url)
    except webbrowser.Error:
        opened = False
    if not opened:
        raise SignInFailed(
            "no browser can be opened on this machine: sign in on the command line and paste the code",
            why="unreachable",
        )
