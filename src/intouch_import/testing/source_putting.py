"""`put`, and several threads and workstations on one folder."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from intouch_import.errors import (
    FileChanged,
    FileError,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    StillArriving,
)
from intouch_import.model import EntryKind
from intouch_import.sources.base import Source, Weakness
from intouch_import.testing.checks import Checks, expect, fails, together
from intouch_import.testing.places import bench, content_of, digest, listed, there
from intouch_import.testing.samples import HOSTILE_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.testing.places import Place

__all__ = ["CHECKS"]

CHECKS: Checks[Place] = Checks(bench)

# --- put

_LARGE_BYTES = 5_000_017
_WRITERS = 4


@CHECKS.promise("put writes a new file, and returns it as it will be listed.")
def files_are_put(place: Place) -> None:
    large = b"0123456789abcdef" * (_LARGE_BYTES // 16)
    samples = {
        "a.jpg": [b"some ", b"", b"bytes"],
        "empty.jpg": [],
        "blank.jpg": [b""],
        "large.mp4": [large[start : start + 700_001] for start in range(0, len(large), 700_001)],
    }
    with place.open() as source:
        for name, chunks in samples.items():
            data = b"".join(chunks)
            put = source.put(name, iter(chunks))
            expect(put.name == name, "it is returned under another name")
            expect(put.kind is EntryKind.FILE, "it is returned as something else than a file")
            expect(put.size_bytes == len(data), "it is returned with another size")
            expect(place.read(name) == data, f"of {len(data):,} bytes, others stand there")
            expect(
                there(source, name).version == put.version, "it is returned in another version than it has"
            )
            with source.fetch(put) as content:
                expect(content_of(content) == data, "it can't be read back")
        expect(place.names() == set(samples), "other files stand in the folder than were put there")


@CHECKS.promise("A name that is taken is NameTaken, and what is there is not touched.")
def taken_names_are_told(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"there before")
        before = there(source, "a.jpg")
        for data in (b"other bytes", b"there before", b""):
            fails(NameTaken, "putting a file there", lambda: source.put("a.jpg", [data]))
        place.make_folder("folder")
        fails(NameTaken, "putting a file in a folder's place", lambda: source.put("folder", [b"bytes"]))
        expect(place.read("a.jpg") == b"there before", "the file that was there changed")
        expect(there(source, "a.jpg").version == before.version, "the file that was there has a new version")
        expect(place.names() == {"a.jpg"}, "something was left in the folder")


@CHECKS.promise("Nothing half-written is seen under the name.")
def nothing_half_written_is_seen(place: Place) -> None:
    with place.open() as source, place.open() as elsewhere:
        seen: list[str] = []

        def chunks() -> Iterator[bytes]:
            for _ in range(4):
                yield b"x" * 300_000
                if elsewhere.look("a.mp4") is not None or "a.mp4" in place.names():
                    seen.append("a.mp4")
                visible = [name for name in place.names() if not name.startswith(".")]
                seen.extend(name for name in visible if name != "a.mp4")

        source.put("a.mp4", chunks())
        expect(set(seen) <= {"a.mp4"}, "a file that is not hidden stood beside it, to be taken for a photo")
        if Weakness.PUT_SEEN_UNFINISHED not in source.weaknesses:
            expect(not seen, "it was seen before all of it was there")
        expect(place.read("a.mp4") == b"x" * 1_200_000, "it is not whole")


@CHECKS.promise("What breaks off while it is put leaves nothing.")
def broken_off_files_leave_nothing(place: Place) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 300_000
        raise _PulledOut

    with place.open() as source:
        place.write("b.jpg", b"bytes")
        fails(Exception, "putting a file that breaks off", lambda: source.put("a.jpg", chunks()))
        expect(place.names() == {"b.jpg"}, "part of it stands in the folder")
        source.put("a.jpg", [b"whole"])
        expect(place.read("a.jpg") == b"whole", "the second attempt did not succeed")


@CHECKS.promise("Names are put exactly as they are given, or are NameRefused.")
def names_are_put_exactly(place: Place) -> None:
    with place.open() as source:
        for name in HOSTILE_NAMES:
            before = place.names()
            if name in place.refused_names:
                fails(NameRefused, f"putting {name!a}", lambda: source.put(name, [b"x"]))
                expect(place.names() == before, f"something was put for {name!a}")
                continue
            data = name.encode("utf-8", "surrogatepass")
            try:
                source.put(name, [data])
            except NameTaken:
                continue  # to this location it is the name of another one
            expect(place.names() == before | {name}, f"{name!a} was put under another name")
            expect(place.read(name) == data, f"other bytes stand under {name!a}")


@CHECKS.promise("What is no name of a file in the folder is NameRefused, and nothing is written.")
def paths_are_refused(place: Place) -> None:
    with place.open() as source:
        place.make_folder("folder")
        for name in (
            "",
            ".",
            "..",
            "../outside.jpg",
            "folder/inside.jpg",
            "/outside.jpg",
            "a\0.jpg",
            "x" * 300,
        ):
            fails(NameRefused, f"putting {name[:20]!a}", lambda: source.put(name, [b"bytes"]))
            expect(not place.names(), f"something was put for {name[:20]!a}")


@CHECKS.promise(
    "Of several that are put under one name at once, one stands there whole and the others are told."
)
def one_of_many_wins(place: Place) -> None:
    with place.open() as source:
        sources = [source, *(place.open() for _ in range(_WRITERS - 1))]
        try:
            for number in range(3):
                name = f"{number}.jpg"
                data = [f"{number}-{writer} ".encode() * 50_000 for writer in range(_WRITERS)]
                results = together(
                    [
                        partial(one.put, name, [bytes_[:100_000], bytes_[100_000:]])
                        for one, bytes_ in zip(sources, data, strict=True)
                    ],
                    expected=(NameTaken,),
                )
                won = [
                    one
                    for one, result in zip(data, results, strict=True)
                    if not isinstance(result, NameTaken)
                ]
                expect(won, "all were told that the name is taken")
                expect(place.read(name) in won, "what stands there is not what a winner wrote")
                if Weakness.PUT_MAY_OVERWRITE not in source.weaknesses:
                    expect(len(won) == 1, f"{len(won)} of {_WRITERS} were told that they wrote it")
            expect(place.names() == {f"{number}.jpg" for number in range(3)}, "something else was left")
        finally:
            for one in sources[1:]:
                one.close()


class _PulledOut(Exception):  # it says what happens
    pass


# --- several at once

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
