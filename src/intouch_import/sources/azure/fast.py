"""The fast lane: downloads through obstore, where it is installed.

It carries bytes and judges nothing. Whatever fails in it is asked again through the SDK, whose answer is the
one that counts; so every reason is the same with it and without it.
"""

from __future__ import annotations

import os
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.sources.azure.account import Account

__all__ = ["FastLane"]

# Names that mean the same to every library. All others go through the SDK.
_PLAIN_NAME: Final = re.compile(r"[\w\-. ()/]+")
_PIECE_BYTES: Final = 1024 * 1024
_SIGNED_FOR: Final = timedelta(hours=1)
_RENEWED_BEFORE: Final = timedelta(minutes=10)
_SCOPE: Final = "https://storage.azure.com/.default"
_SERVICE_VERSION: Final = "2023-11-03"


class FastLane:
    """Reads blobs of one container through obstore.

    Args:
        account, container: Which.
        timeout_s: How long the service may be silent, seconds.

    Raises:
        ImportError: obstore is not installed.
    """

    # obstore's threads do not survive a fork: a child that used them would wait for ever.
    _process: int | None = None

    def __init__(self, account: Account, container: str, *, timeout_s: float) -> None:
        import obstore
        from obstore.store import HTTPStore

        self._get = obstore.get
        self._open_store = HTTPStore.from_url
        self._account = account
        self._container = container
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._store: Any = None
        self._good_until = datetime.min.replace(tzinfo=UTC)
        # An emulator is not reached through a proxy, which obstore would take from the environment.
        self._closed = account.is_plain and bool(getproxies())

    def takes(self, name: str) -> bool:
        """Whether a blob of that name can be read here and now."""
        if FastLane._process not in {None, os.getpid()}:
            return False
        return not self._closed and _PLAIN_NAME.fullmatch(name) is not None

    def chunks(self, name: str, etag: str, size_bytes: int) -> Iterator[Any]:
        """The bytes of one version of a blob, in pieces.

        Args:
            name: The whole name of the blob.
            etag: Its ETag, in quotes.
            size_bytes: Its size.

        Raises:
            ValueError: The answer is not about that version: a page of a proxy, for example.
        """
        FastLane._process = os.getpid()
        found = self._get(self._current_store(), name, options={"if_match": etag})
        told = (found.meta["e_tag"] or "").strip('"'), found.meta["size"], tuple(found.range)
        if told != (etag.strip('"'), size_bytes, (0, size_bytes)):
            raise ValueError
        return iter(found.stream(min_chunk_size=_PIECE_BYTES))

    def _current_store(self) -> Any:
        with self._lock:
            now = datetime.now(UTC)
            if self._store is None or now >= self._good_until - _RENEWED_BEFORE:
                query, headers, self._good_until = self._right(now)
                # A plain HTTP store, not obstore's own for Azure: that one reads keys and settings from
                # the environment, and they could win over what we were given.
                self._store = self._open_store(
                    f"{self._account.endpoint}/{self._container}{query}",
                    client_options={
                        "allow_http": self._account.is_plain,
                        "connect_timeout": timedelta(seconds=min(self._timeout_s, 10.0)),
                        "read_timeout": timedelta(seconds=self._timeout_s),
                        "timeout": timedelta(days=1),  # of a whole download: a video takes its time
                        "default_headers": headers,
                    },
                    retry_config={"max_retries": 0, "retry_timeout": timedelta(0)},
                )
            return self._store

    def _right(self, now: datetime) -> tuple[str, dict[str, str], datetime]:
        """Query, headers and end of a right to read: our own if it fits into a URL, else one for an hour."""
        account = self._account
        signature, key = account.signature(), account.key()
        if signature is not None:
            return f"?{signature}", {}, datetime.max.replace(tzinfo=UTC)
        if key is not None:
            from azure.storage.blob import generate_container_sas

            until = now + _SIGNED_FOR
            name, secret = key
            signed = generate_container_sas(
                name, self._container, account_key=secret, permission="r", expiry=until
            )
            return f"?{signed}", {}, until
        token = account.credential.get_token(_SCOPE)
        until = datetime.fromtimestamp(token.expires_on, UTC)
        return "", {"Authorization": f"Bearer {token.token}", "x-ms-version": _SERVICE_VERSION}, until
