"""A server with the protocol of Amazon S3, in threads of the tests, on a free loopback port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["S3Server", "s3_server"]


@attrs.frozen
class S3Server:
    """A running server.

    Args:
        endpoint: Its address.
    """

    endpoint: str

    @property
    def options(self) -> dict[str, Any]:
        """Return the options that s3fs and `open_source` need."""
        return {"key": "tests", "secret": "tests", "client_kwargs": {"endpoint_url": self.endpoint}}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Return a server without buckets."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Server(f"http://{host}:{port}")
    server.stop()
