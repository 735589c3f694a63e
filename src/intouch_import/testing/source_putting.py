"""`put`; and several threads and workstations that use the same folder."""

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

_LARGE_BYTES = 5_000_017
_FILES = 24
_THREADS = 4
_CHANGES = 12

# --- put


@CHECKS.promise("put writes a new file, and returns the entry that a listing will show.")
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
            expect(put.name == name, "the returned entry has another name")
            expect(put.kind is EntryKind.FILE, "the returned entry is not a file")
            expect(put.size_bytes == len(data), "the returned entry has another size")
            expect(place.read(name) == data, f"of {len(data):,} bytes, other bytes were written")
            expect(there(source, name).version == put.version, "look returns another version than put")
            with source.fetch(put) as content:
                expect(content_of(content) == data, "fetch reads other bytes")
        expect(place.names() == set(samples), "the folder contains other files than were put there")


@CHECKS.promise("A name that exists already raises NameTaken, and the existing entry is not changed.")
def taken_names_raise(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"there before")
        before = there(source, "a.jpg")
        for data in (b"other bytes", b"there before", b""):
            fails(NameTaken, "putting it under the name of a file", lambda: source.put("a.jpg", [data]))
        place.make_folder("folder")
        fails(NameTaken, "putting it under the name of a folder", lambda: source.put("folder", [b"bytes"]))
        expect(place.read("a.jpg") == b"there before", "the existing file changed")
        expect(there(source, "a.jpg").version == before.version, "the existing file has a new version")
        expect(place.names() == {"a.jpg"}, "put left another file in the folder")


@CHECKS.promise("No incomplete file is visible under the name.")
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
        expect(set(seen) <= {"a.mp4"}, "a temporary file was visible, which others could take for a photo")
        if Weakness.PUT_SEEN_UNFINISHED not in source.weaknesses:
            expect(not seen, "the file was visible before it was complete")
        expect(place.read("a.mp4") == b"x" * 1_200_000, "the file is not complete")


@CHECKS.promise("A put whose chunks end with an error leaves nothing in the folder.")
def broken_off_files_leave_nothing(place: Place) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 300_000
        raise RuntimeError("the chunks end early")

    with place.open() as source:
        place.write("b.jpg", b"bytes")
        fails(Exception, "putting a file whose chunks fail", lambda: source.put("a.jpg", chunks()))
        expect(place.names() == {"b.jpg"}, "a part of it is in the folder")
        source.put("a.jpg", [b"whole"])
        expect(place.read("a.jpg") == b"whole", "the second attempt failed")


@CHECKS.promise("put uses exactly the given name, or raises NameRefused.")
def names_are_put_exactly(place: Place) -> None:
    with place.open() as source:
        for name in HOSTILE_NAMES:
            before = place.names()
            if name in place.refused_names:
                fails(NameRefused, f"putting {name!a}", lambda: source.put(name, [b"x"]))
                expect(place.names() == before, f"a file was written for {name!a}")
                continue
            data = name.encode("utf-8", "surrogatepass")
            try:
                source.put(name, [data])
            except NameTaken:
                continue  # this location takes it for the name of another file
            expect(place.names() == before | {name}, f"{name!a} was put under another name")
            expect(place.read(name) == data, f"the file {name!a} has other bytes")


@CHECKS.promise("put raises NameRefused for text that is not a file name, and writes nothing.")
def paths_are_refused(place: Place) -> None:
    paths = ("", ".", "..", "../outside.jpg", "folder/inside.jpg", "/outside.jpg", "a\0.jpg", "x" * 300)
    with place.open() as source:
        place.make_folder("folder")
        for name in paths:
            fails(NameRefused, f"putting {name[:20]!a}", lambda: source.put(name, [b"bytes"]))
            expect(not place.names(), f"a file was written for {name[:20]!a}")


@CHECKS.promise("If several put a file under one name at once, one succeeds and the others raise NameTaken.")
def one_of_many_wins(place: Place) -> None:
    with place.open() as source:
        sources = [source, *(place.open() for _ in range(_THREADS - 1))]
        try:
            for number in range(3):
                name = f"{number}.jpg"
                data = [f"{number}-{writer} ".encode() * 50_000 for writer in range(_THREADS)]
                calls = [
                    partial(one.put, name, [bytes_[:100_000], bytes_[100_000:]])
                    for one, bytes_ in zip(sources, data, strict=True)
                ]
                results = together(calls, expected=(NameTaken,))
                outcomes = zip(data, results, strict=True)
                won = [one for one, result in outcomes if not isinstance(result, NameTaken)]
                expect(won, "all of them raised NameTaken")
                expect(place.read(name) in won, "the file has other bytes than a successful call wrote")
                if Weakness.PUT_MAY_OVERWRITE not in source.weaknesses:
                    expect(len(won) == 1, f"{len(won)} of {_THREADS} calls succeeded")
            expect(place.names() == {f"{number}.jpg" for number in range(3)}, "another file was left")
        finally:
            for one in sources[1:]:
                one.close()


# --- several at once


@CHECKS.promise("Several threads can read different files of one source at once.")
def threads_read_different_files(place: Place) -> None:
    with place.open() as source:
        wanted = {f"{number}.jpg": f"bytes of {number} ".encode() * 5000 for number in range(_FILES)}
        for name, data in wanted.items():
            place.write(name, data)
        files = list(listed(source).values())

        def read(part: int) -> int:
            for file in files[part::_THREADS]:
                with source.fetch(file) as content:
                    expect(content_of(content) == wanted[file.name], "a file has the bytes of another file")
            return len(files[part::_THREADS])

        done = together([partial(read, part) for part in range(_THREADS)])
        expect(sum(one for one in done if isinstance(one, int)) == _FILES, "not all files were read")


@CHECKS.promise("Several threads can read the same file at once.")
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


@CHECKS.promise("If several remove one file at once, one succeeds and the others raise FileVanished.")
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
            expect(None in results, "all of them raised FileVanished")
            expect(place.names() == {"kept.jpg"}, "the file still exists, or another one is gone")


@CHECKS.promise("A folder can be listed, read, added to and removed from at once.")
def threads_do_not_disturb_each_other(place: Place) -> None:
    with place.open() as source:
        for number in range(_FILES):
            place.write(f"{number}.jpg", f"{number}".encode())

        def remove_all() -> None:
            for file in listed(source).values():
                if file.name.startswith(("new-", ".")):  # hidden names: files that are being put
                    continue
                with source.fetch(file) as content:
                    wanted = file.name.removesuffix(".jpg").encode()
                    expect(content_of(content) == wanted, "a file has the bytes of another file")
                source.remove(file, sha256=content.sha256)

        def put_some() -> None:
            for number in range(_FILES // 2):
                source.put(f"new-{number}.jpg", [b"new"])

        def list_often() -> None:
            for _ in range(_FILES // 2):
                names = {name for name in listed(source) if not name.startswith(".")}
                expect(all(name.endswith(".jpg") for name in names), "an unknown file was listed")

        together([remove_all, put_some, list_often])
        wanted = {f"new-{number}.jpg" for number in range(_FILES // 2)}
        expect(place.names() == wanted, "a removed file exists, or a new one does not")


@CHECKS.promise("Reading a file that changes gives one complete version, or raises an error.")
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

        def read() -> None:
            digests: dict[str, str] = {}
            for _ in range(_CHANGES):
                _read_once(source, digests)
            stop.set()

        together([change, read])


def _read_once(source: Source, digests: dict[str, str]) -> None:
    """Read the file as it is now, and compare with the digests that were read before, by version."""
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
    expect(digests.setdefault(file.version, digest(data)) == digest(data), "one version has two contents")


@CHECKS.promise("A new file with the name of a removed one is not removed.")
def new_files_of_the_same_name_stay(place: Place) -> None:
    with place.open() as source:
        for number in range(_CHANGES):
            name = f"{number}.jpg"
            place.write(name, b"old")
            file = listed(source)[name]
            source.remove(file, sha256=digest(b"old"))
            place.write(name, b"new")
            fails(FileError, "removing it again", lambda: source.remove(file, sha256=digest(b"old")))
            expect(place.read(name) == b"new", "the new file was removed")
