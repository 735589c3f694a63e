"""Several threads on one source, and several workstations on one folder."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from intouch_import.errors import FileChanged, FileError, FileUnreadable, FileVanished, StillArriving
from intouch_import.sources.base import Source, Weakness
from intouch_import.testing.checks import Checks, expect, fails, together
from intouch_import.testing.sources.bench import bench, content_of, digest, listed

if TYPE_CHECKING:
    from intouch_import.testing.places import Place

__all__ = ["CHECKS"]

CHECKS: Checks[Place] = Checks(bench)

_FILES = 24
_THREADS = 4
_CHANGES = 12


@CHECKS.promise("Several threads may read different files of one source at once.")
def threads_read_different_files(place: Place) -> None:
    with place.open() as source:
        wanted = {f"{number}.jpg": f"bytes of {number} ".encode() * 5000 for number in range(_FILES)}
        for name, data in wanted.items():
            place.write(name, data)
        files = list(listed(source).values())

        def read(part: int) -> int:
            for file in files[part::_THREADS]:
                with source.fetch(file) as content:
                    expect(content_of(content) == wanted[file.name], "a file has the bytes of another")
            return len(files[part::_THREADS])

        done = together([partial(read, part) for part in range(_THREADS)])
        expect(sum(one for one in done if isinstance(one, int)) == _FILES, "not all files were read")


@CHECKS.promise("Several threads may read the same file at once.")
def threads_read_the_same_file(place: Place) -> None:
    with place.open() as source:
        data = b"0123456789abcdef" * 40_000
        place.write("a.mp4", data)
        (file,) = listed(source).values()

        def read() -> None:
            with source.fetch(file) as content:
                expect(content_of(content) == data, "two readers disturb each other")

        for _ in range(_CHANGES):
            together([read] * _THREADS)


@CHECKS.promise("Of several that remove one file at once, one removes it and the others are told.")
def one_removal_wins(place: Place) -> None:
    with place.open() as source, place.open() as elsewhere:
        for number in range(4):
            name, data = f"{number}.jpg", f"bytes {number}".encode()
            place.write(name, data)
            place.write("kept.jpg", b"kept")
            file = listed(source)[name]
            results = together(
                [partial(one.remove, file, sha256=digest(data)) for one in (source, elsewhere, source)],
                expected=(FileVanished,),
            )
            expect(None in results, "all were told that it has gone")
            expect(place.names() == {"kept.jpg"}, "not exactly that file is gone")


@CHECKS.promise("A folder may be listed, read, added to and removed from at once.")
def threads_do_not_disturb_each_other(place: Place) -> None:
    with place.open() as source:
        for number in range(_FILES):
            place.write(f"{number}.jpg", f"{number}".encode())

        def remove_all() -> None:
            for file in listed(source).values():
                if not file.name.startswith(("new-", ".")):  # hidden: what is being put
                    with source.fetch(file) as content:
                        expect(
                            content_of(content) == file.name[:-4].encode(), "a file has the bytes of another"
                        )
                    source.remove(file, sha256=content.sha256)

        def put_some() -> None:
            for number in range(_FILES // 2):
                source.put(f"new-{number}.jpg", [b"new"])

        def list_often() -> None:
            for _ in range(_FILES // 2):
                names = {name for name in listed(source) if not name.startswith(".")}
                expect(
                    all(name.endswith(".jpg") for name in names), "something was listed that nobody put there"
                )

        together([remove_all, put_some, list_often])
        expect(
            place.names() == {f"new-{number}.jpg" for number in range(_FILES // 2)}, "other files are left"
        )


@CHECKS.promise(
    "A file that grows or is replaced while it is read is told, or one version of it is read whole."
)
def changing_files_are_read_whole_or_not(place: Place) -> None:
    sizes = (400_000, 400_000, 700_000)
    versions = [bytes([65 + number % 26]) * sizes[number % 3] for number in range(_CHANGES)]
    with place.open() as source:
        place.write("a.mp4", versions[0])
        stop = threading.Event()

        def change() -> None:
            for data in versions[1:]:
                place.write("a.mp4", data)
                if stop.wait(0.01):
                    return

        def read() -> dict[str, str]:
            found: dict[str, str] = {}
            for _ in range(_CHANGES):
                _read_once(source, found)
            stop.set()
            return found

        together([change, read])


def _read_once(source: Source, found: dict[str, str]) -> None:
    """Read what is there now; by version, the digest that was found."""
    file = source.look("a.mp4")
    if file is None:
        return
    try:
        with source.fetch(file) as content:
            data = content_of(content)
    except (FileChanged, StillArriving, FileVanished, FileUnreadable):
        return
    expect(len(data) == file.size_bytes, f"{len(data):,} bytes were read of a file of {file.size_bytes:,}")
    if Weakness.VERSION_MAY_REPEAT in source.weaknesses:
        return
    expect(len(set(data)) <= 1, "parts of two versions were read as one file")
    expect(found.setdefault(file.version, digest(data)) == digest(data), "one version has two contents")


@CHECKS.promise("A file that comes under the name of one that was removed stays.")
def new_files_of_the_same_name_stay(place: Place) -> None:
    with place.open() as source:
        for number in range(_CHANGES):
            name = f"{number}.jpg"
            place.write(name, b"old")
            file = listed(source)[name]
            source.remove(file, sha256=digest(b"old"))
            place.write(name, b"new")
            fails(
                FileError,
                "removing it once more",
                lambda: source.remove(file, sha256=digest(b"old")),
            )
            expect(place.read(name) == b"new", "the new file was removed with the old one's listing")
