"""A video of gigabytes costs no more memory than a photo."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import BlobBlock

from services.azurite import ACCOUNT, KEY

if TYPE_CHECKING:
    from services.azurite import Azurite

BLOCK_BYTES = 4_000_000
BLOCKS = 1_250 if os.environ.get("INTOUCH_AZURE") == "all" else 10  # 5 GB, or 40 MB
LIMIT_KB = 48 * 1024
READER = """\
import sys
from pathlib import Path
from intouch_import import open_source
endpoint, folder, account, key, fast, staging = sys.argv[1:]
source = open_source(f"az://{folder}", account_name=account, account_key=key, endpoint=endpoint, fast=fast == "fast")
small, large = sorted(source.scan(), key=lambda file: file.size_bytes)
def peak():
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1])
source.fetch(small, staging=Path(staging)).close()  # all is loaded now
before = peak()
with source.fetch(large, staging=Path(staging)) as content:
    print(content.size_bytes, content.sha256, peak() - before)
source.close()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks of memory are read from Linux")
@pytest.mark.parametrize("fast", ["fast", "sdk"])
def test_memory_stays_flat(azurite: Azurite, tmp_path: Path, fast: str) -> None:
    """A large video is streamed, and arrives whole."""
    with azurite.container() as container:
        block = os.urandom(BLOCK_BYTES)
        name = base64.b64encode(b"block").decode()
        video = container.get_blob_client("theatre.mp4")
        video.stage_block(name, block)
        video.commit_block_list(
            [BlobBlock(name)] * BLOCKS
        )  # the same bytes over and over: they are kept once
        container.upload_blob("photo.jpg", block)
        command = [sys.executable, "-c", READER, azurite.endpoint, container.container_name, ACCOUNT, KEY]
        done = subprocess.run(
            [*command, fast, str(tmp_path)], check=True, capture_output=True, text=True, timeout=1200
        )
        size, digest, grown_kb = done.stdout.split()
        expected = hashlib.sha256()
        for _ in range(BLOCKS):
            expected.update(block)
        assert (int(size), digest) == (BLOCKS * BLOCK_BYTES, expected.hexdigest())
        print(f"{fast}: {int(size) / 1e6:,.0f} MB read, memory grew by {int(grown_kb) / 1024:.1f} MiB")
        assert int(grown_kb) < LIMIT_KB
        container.delete_container()
