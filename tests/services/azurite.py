"""Azurite, Microsoft's emulator of Azure Storage, on a free loopback port. It ends with the tests."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from services.cache import Unavailable, unavailable
from services.nodejs import install_npm_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.storage.blob import ContainerClient

    from intouch_import.sources import Source

__all__ = ["ACCOUNT", "KEY", "Azurite", "azurite", "azurite_or_skip", "run_azurite"]

VERSION = "3.37.0"
ACCOUNT = "devstoreaccount1"
# The published development key of Azurite. It is valid for emulators only.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_STARTS_WITHIN_S = 90.0
_LISTENING = re.compile(rb"listens on (https?://[^\s]+)")
# Ends the emulator when the test process has ended in any way: then its input is closed.
_PRELOADED = 'process.stdin.on("end", () => process.exit(0)).on("error", () => process.exit(0)).resume();\n'


@attrs.frozen
class Azurite:
    """A running emulator.

    Args:
        url: Scheme, host and port.
    """

    url: str

    @property
    def endpoint(self) -> str:
        """Return the blob endpoint of the account."""
        return f"{self.url}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """Return the connection string, as the portal shows it."""
        return f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"

    def container(self, name: str | None = None, **options: Any) -> ContainerClient:
        """Return a new container and an SDK client for it. Close the client."""
        from azure.storage.blob import ContainerClient

        name = name or f"c{uuid.uuid4().hex[:16]}"
        key = {"account_name": ACCOUNT, "account_key": KEY}
        client = ContainerClient(self.endpoint, name, credential=key, **options)
        with contextlib.suppress(Exception):  # the container exists
            client.create_container()
        return client

    def sas(self, container: str, *, permission: str = "rld", hours: float = 1.0, **options: Any) -> str:
        """Return a SAS for one container."""
        from azure.storage.blob import generate_container_sas

        if "policy_id" not in options:  # otherwise the policy contains the rights and the expiry
            options |= {"permission": permission, "expiry": datetime.now(UTC) + timedelta(hours=hours)}
        text: str = generate_container_sas(ACCOUNT, container, account_key=KEY, **options)
        return text

    def open(self, path: str, *, endpoint: str | None = None, **options: Any) -> Source:
        """Open a source with the account key, unless another credential is given."""
        from intouch_import import open_source

        if not {"sas_token", "connection_string", "credential", "account_key"} & set(options):
            options |= {"account_name": ACCOUNT, "account_key": KEY}
        if "connection_string" not in options or endpoint is not None:
            options["endpoint"] = endpoint or self.endpoint
        return open_source(f"az://{path}", **options)


@contextlib.contextmanager
def run_azurite(*options: str) -> Iterator[Azurite]:
    """Run a new emulator, which stores everything in memory.

    Raises:
        Unavailable: It can't be installed.
        RuntimeError: It did not start; what it said is in the message.
    """
    node, package = install_npm_package("azurite", VERSION)
    with tempfile.TemporaryDirectory(prefix="intouch-azurite-", ignore_cleanup_errors=True) as folder:
        preloaded = Path(folder) / "preloaded.cjs"
        preloaded.write_text(_PRELOADED, "utf-8")
        log = Path(folder) / "log"
        command = [str(node), "--require", str(preloaded), str(package / "dist/src/blob/main.js")]
        command += ["--blobHost", "127.0.0.1", "--blobPort", "0", "--silent", "--disableTelemetry"]
        command += ["--skipApiVersionCheck", "--inMemoryPersistence", *options]
        with log.open("wb") as said:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT, cwd=folder
            )
        try:
            yield Azurite(_url(process, log))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    until_s = time.monotonic() + _STARTS_WITHIN_S
    while (found := _LISTENING.search(log.read_bytes())) is None:
        if process.poll() is not None or time.monotonic() > until_s:
            raise RuntimeError(f"Azurite did not start: {log.read_text(errors='replace')}")
        time.sleep(0.02)
    return found[1].decode()


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Return an emulator for all tests of this process. Each test makes its own containers."""
    yield from azurite_or_skip(run_azurite)


def azurite_or_skip(
    run: Callable[[], contextlib.AbstractContextManager[Azurite]],
) -> Iterator[Azurite]:
    """Run an emulator for a fixture, or skip the tests with the reason if it can't be installed."""
    pytest.importorskip("azure.storage.blob", reason="the extra azure is not installed")
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(run())
        except Unavailable as exc:
            unavailable(exc)
        yield running
