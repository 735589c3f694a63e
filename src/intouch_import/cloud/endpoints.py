"""Addresses of servers: https anywhere, plain http only on this machine."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from intouch_import.errors import ConfigError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["is_loopback", "origin_of"]

_USUAL = {"https": 443, "http": 80}


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine, so that nothing is sent over a network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin_of(text: str, *, such_as: str) -> tuple[str, SplitResult]:
    """Check the address of an endpoint and split it.

    Args:
        text: The address.
        such_as: A valid example, for the error message.

    Returns:
        Scheme, host and port in a normalised form, and the parts of the whole address.

    Raises:
        ConfigError: The address is not an http(s) URL, or it is plain http to another machine: keys and
            tokens would be readable on the way.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ConfigError("endpoint is not a URL") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in _USUAL or not host:
        raise ConfigError(f"endpoint must be a URL such as {such_as}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError("endpoint must be https: plain http is only allowed on this machine")
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port in {None, _USUAL[parts.scheme]} else f"{shown}:{port}"
    return f"{parts.scheme}://{authority}", parts
