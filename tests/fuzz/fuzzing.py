"""What the fuzzers share: seeds in a folder, and the command line of libFuzzer.

Run by ``nox -s fuzz``. libFuzzer prints how many inputs it has run and how much code they have reached; an
input that fails is written to the folder it was started in, and makes the command fail.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def run(look: Callable[[bytes], None], seeds: Iterable[bytes], *, longest_bytes: int) -> None:
    """Fuzz one function for as long as ``-max_total_time=`` on the command line says.

    Args:
        look: Called with inputs; whatever it raises is a finding.
        seeds: Where to start from.
        longest_bytes: The longest input to try.
    """
    import atheris

    with tempfile.TemporaryDirectory(prefix="intouch-fuzz-") as folder:
        for seed in seeds:
            Path(folder, hashlib.sha256(seed).hexdigest()).write_bytes(seed[:longest_bytes])
        options = [f"-max_len={longest_bytes}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[1:], folder], look)
        atheris.Fuzz()
