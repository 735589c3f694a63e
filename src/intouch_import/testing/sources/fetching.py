"""`fetch`: exactly the version that was listed, whole, with its digest."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from intouch_import.errors import FileChanged, FileError, FileVanished, StillArriving
from intouch_import.model import EntryKind
from intouch_import.sources.base import Weakness
from intouch_import.testing.checks import Checks, expect, fails
from intouch_import.testing.sources.bench import bench, content_of, held_names, listed, pause, there

if TYPE_CHECKING:
    from intouch_import.testing.places import Place

__all__ = ["CHECKS"]

CHECKS: Checks[Place] = Checks(bench)

_LARGE_BYTES = 5_000_017


@CHECKS.promise("fetch reads the bytes as they are, with their size and digest.")
def bytes_are_read_as_they_are(place: Place) -> None:
    samples = {
        "bytes.jpg": bytes(range(256)) * 5,
        "empty.jpg": b"",
        "one.jpg": b"\0",
        "text.txt": b"\xef\xbb\xbfone\r\ntwo\n\x1a",
        "packed.gz": b"\x1f\x8b\x08\0 not really",
        "large.mp4": b"0123456789abcdef" * (_LARGE_BYTES // 16) + b"end",
    }
    with place.open() as source:
        for name, data in samples.items():
            place.write(name, data)
            with source.fetch(there(source, name)) as content:
                expect(content_of(content) == data, f"other bytes were read than those of {name}")


@CHECKS.promise("A content can be read more than once, and keeps its bytes until it is closed.")
def contents_keep_their_bytes(place: Place) -> None:
    with place.open() as source:
        data = b"first bytes " * 1000
        place.write("a.jpg", data)
        with source.fetch(there(source, "a.jpg")) as content:
            with content.open() as one, content.open() as two:
                expect(one.read(5) == two.read(5) == data[:5], "two readers disturb each other")
                expect(one.read() == data[5:], "reading in two pieces gave other bytes")
            pause()
            place.write("a.jpg", b"replaced meanwhile")
            expect(content_of(content) == data, "the bytes changed with the file")
            place.delete("a.jpg")
            expect(content_of(content) == data, "the bytes went with the file")
            head, tail = content.edges(7)
            expect((head, tail) == (data[:7], data[-7:]), "edges are not the start and the end")


@CHECKS.promise("Content.save_to stores the bytes, never over another file; staging is left empty.")
def contents_can_be_saved(place: Place) -> None:
    with place.open() as source, tempfile.TemporaryDirectory() as work:
        staging, kept = Path(work) / "staging", Path(work) / "kept"
        for folder in (staging, kept):
            folder.mkdir()
        for number, durable in enumerate((True, False)):
            data = f"bytes {number}".encode() * 1000
            place.write("a.jpg", data)
            with source.fetch(there(source, "a.jpg"), staging=staging) as content:
                content.save_to(kept / f"{number}", durable=durable)
                expect((kept / f"{number}").read_bytes() == data, "other bytes were saved")
                expect(content_of(content) == data, "the content can't be read any more after saving it")
                taken = kept / "taken"
                taken.write_bytes(b"somebody else's")
                fails(FileExistsError, "saving it over another file", lambda: content.save_to(taken))
                expect(taken.read_bytes() == b"somebody else's", "another file was overwritten")
                content.settle()
            expect(
                (kept / f"{number}").read_bytes() == data, "what was saved went when the content was closed"
            )
            expect(not list(staging.iterdir()), "a temporary file was left in the staging folder")
            pause()
        with source.fetch(there(source, "a.jpg"), staging=staging) as content:
            content_of(content)
        expect(not list(staging.iterdir()), "a temporary file was left in the staging folder")


@CHECKS.promise(
    "A file that was replaced after it was listed is FileChanged: the new bytes are not taken for it."
)
def replaced_files_are_not_read(place: Place) -> None:
    with place.open() as source:
        for number, data in enumerate((b"longer than it was", b"", b"same size!")):
            name = f"{number}.jpg"
            place.write(name, b"some bytes")
            file = listed(source)[name]
            pause()
            place.write(name, data)
            if len(data) == file.size_bytes and Weakness.VERSION_MAY_REPEAT in source.weaknesses:
                # Told by the bytes alone: what comes must at least be said to be what it is.
                try:
                    with source.fetch(file) as content:
                        expect(content_of(content) == data, "neither the old nor the new bytes came")
                except FileChanged:
                    pass
                continue
            fails(
                (FileChanged, StillArriving),
                f"reading it after {len(data)} other bytes were written",
                lambda: source.fetch(file),
            )


@CHECKS.promise("A file that has gone since it was listed is FileVanished.")
def vanished_files_are_not_read(place: Place) -> None:
    with place.open() as source:
        for name in ("a.jpg", "IMG[1].jpg", "a b.jpg"):
            place.write(name, b"bytes")
            place.write("IMG1.jpg", b"bytes")
            file = there(source, name)
            place.delete(name)
            fails(FileVanished, "reading it", lambda: source.fetch(file))


@CHECKS.promise("What is not a file is not read.")
def only_files_are_read(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        file = there(source, "a.jpg")
        place.delete("a.jpg")
        place.make_folder("a.jpg")
        fails(FileError, "reading a folder that took the file's place", lambda: source.fetch(file))
        folder = listed(source)["a.jpg"]
        if folder.kind is EntryKind.FOLDER:
            fails(FileError, "reading a folder", lambda: source.fetch(folder))
        place.write("b.jpg", b"outside")
        file = there(source, "b.jpg")
        place.delete("b.jpg")
        if place.make_link("b.jpg") and Weakness.LINKS_ONLY_IN_LISTINGS not in source.weaknesses:
            fails(FileError, "reading a link that took the file's place", lambda: source.fetch(file))
            link = listed(source)["b.jpg"]
            fails(FileError, "reading a link", lambda: source.fetch(link))


@CHECKS.promise("fetch reads the file of exactly that name.")
def names_are_read_exactly(place: Place) -> None:
    with place.open() as source:
        held_names(place)
        for name, file in listed(source).items():
            with source.fetch(file) as content:
                expect(
                    content_of(content) == place.read(name), f"other bytes were read than those of {name!a}"
                )
