"""Compare the library with independent programs: ``python -m corpus [FOLDER...]``."""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from pathlib import Path

from corpus.compare import compare, tables
from corpus.files import whole_files
from corpus.judges import find_tools


def main() -> None:
    """Examine the files of some folders, or the files that the tests make."""
    parser = argparse.ArgumentParser(prog="corpus", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="folders, with all folders below them")
    parser.add_argument("--most", type=int, metavar="N", help="examine N of the files, chosen at random")
    parser.add_argument("--no-fetch", action="store_true", help="use only judges that are installed")
    given = parser.parse_args()
    tools = find_tools(fetch=not given.no_fetch)
    with tempfile.TemporaryDirectory(prefix="intouch-corpus-") as work:
        folders = given.folders or [written(Path(work, "made"))]
        paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
        if given.most is not None and given.most < len(paths):
            paths = sorted(random.Random(1).sample(paths, given.most))
        cases = compare(paths, tools, cache=Path(work, "thumbnails"), threads=os.cpu_count() or 2)
    print(tables(cases, tools))


def written(folder: Path) -> Path:
    """Write the files that the tests make into a new folder."""
    folder.mkdir()
    for file in whole_files():
        (folder / file.name).write_bytes(file.content)
    return folder


if __name__ == "__main__":
    main()
