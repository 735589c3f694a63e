"""Addresses of servers: https anywhere, plain http on this machine alone."""

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
    """Whether a host, by its name or address, is this machine: what is sent there leaves it on no wire."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin_of(text: str, *, such_as: str) -> tuple[str, SplitResult]:
    """Scheme, host and port of an endpoint, in one spelling, and the parts of the whole address.

    Args:
        text: The address.
        such_as: One that would do, for the message.

    Raises:
        ConfigError: It is no http(s) URL, or plain http to another machine: whatever opens the service would
            be readable on the way.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ConfigError("endpoint is no URL") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in _USUAL or not host:
        raise ConfigError(f"endpoint is a URL such as {such_as}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError("endpoint must be https: plain http is for this machine alone")
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port in {None, _USUAL[parts.scheme]} else f"{shown}:{port}"
    return f"{parts.scheme}://{authority}", parts
