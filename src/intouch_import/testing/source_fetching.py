"""`fetch` and `remove`: exactly the version that was listed, or an error."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from intouch_import.errors import FileChanged, FileError, FileVanished, StillArriving
from intouch_import.model import EntryKind
from intouch_import.sources.base import Weakness
from intouch_import.testing.checks import Checks, expect, fails, given
from intouch_import.testing.places import bench, content_of, digest, held_names, listed, pause, there

if TYPE_CHECKING:
    from intouch_import.testing.places import Place

__all__ = ["CHECKS"]

CHECKS: Checks[Place] = Checks(bench)

# --- fetch

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


# --- remove


@CHECKS.promise("remove takes the file away, and no other.")
def the_file_is_removed(place: Place) -> None:
    with place.open() as source:
        for name, data in (("a.jpg", b"bytes"), ("b.jpg", b"bytes"), ("empty.jpg", b"")):
            place.write(name, data)
        place.make_folder("folder")
        source.remove(there(source, "a.jpg"), sha256=digest(b"bytes"))
        expect(place.names() == {"b.jpg", "empty.jpg"}, "not exactly the file that was asked for is gone")
        expect(source.look("a.jpg") is None, "look still finds it")
        expect(set(listed(source)) == {"b.jpg", "empty.jpg", "folder"}, "the listing is not what is left")
        source.remove(there(source, "empty.jpg"), sha256=digest(b""))
        source.sync()
        expect(place.names() == {"b.jpg"}, "an empty file is still there")


@CHECKS.promise("remove takes away the file of exactly that name.")
def names_are_removed_exactly(place: Place) -> None:
    with place.open() as source:
        left = set(held_names(place))
        for name in sorted(left):
            data = place.read(name) or b""
            source.remove(there(source, name), sha256=digest(data))
            left.discard(name)
            expect(place.names() == left, f"not exactly {name!a} is gone")


@CHECKS.promise("A file that was replaced after it was listed is FileChanged, and is not touched.")
def replaced_files_stay(place: Place) -> None:
    old = b"some bytes"
    with place.open() as source:
        for number, data in enumerate((b"longer than it was", b"", b"same size!")):
            name = f"{number}.jpg"
            place.write(name, old)
            file = listed(source)[name]
            with source.fetch(file) as content:
                pause()
                place.write(name, data)
                fails(
                    FileChanged,
                    f"removing it after {len(data)} other bytes were written",
                    lambda: source.remove(file, sha256=content.sha256),
                )
            expect(place.read(name) == data, "the new file was removed or changed")


@CHECKS.promise("A new version with the same bytes is FileChanged as well, and stays.")
def rewritten_files_stay(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        file = listed(source)["a.jpg"]
        pause()
        place.write("a.jpg", b"bytes")
        if there(source, "a.jpg").version == file.version:
            return  # to this location it is the same version
        fails(FileChanged, "removing it", lambda: source.remove(file, sha256=digest(b"bytes")))
        expect(place.read("a.jpg") == b"bytes", "it was removed")


@CHECKS.promise(
    "Where a removal can't be pinned to a version, a file with other bytes than were stored is FileChanged."
)
def unpinned_removals_compare_bytes(place: Place) -> None:
    with place.open() as source:
        if Weakness.REMOVAL_NOT_PINNED not in source.weaknesses:
            return
        place.write("a.jpg", b"bytes")
        file = there(source, "a.jpg")
        fails(FileChanged, "removing it", lambda: source.remove(file, sha256=digest(b"other")))
        expect(place.read("a.jpg") == b"bytes", "it was removed")


@CHECKS.promise("A file that has gone is FileVanished.")
def vanished_files_are_not_removed(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        place.write("IMG1.jpg", b"bytes")
        place.write("IMG[1].jpg", b"bytes")
        file, other = there(source, "a.jpg"), there(source, "IMG[1].jpg")
        place.delete("a.jpg")
        place.delete("IMG[1].jpg")
        for one in (file, other):
            fails(
                FileVanished,
                "removing it",
                lambda: source.remove(one, sha256=digest(b"bytes")),
            )
        file = there(source, "IMG1.jpg")
        source.remove(file, sha256=digest(b"bytes"))
        fails(FileVanished, "removing it twice", lambda: source.remove(file, sha256=digest(b"bytes")))


@CHECKS.promise("What is not a file is not removed.")
def only_files_are_removed(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"")
        file = there(source, "a.jpg")
        place.delete("a.jpg")
        place.make_folder("a.jpg")
        fails(
            FileError,
            "removing a folder that took the file's place",
            lambda: source.remove(file, sha256=digest(b"")),
        )
        folder = given(listed(source).get("a.jpg"), "the folder is gone")
        expect(folder.kind is EntryKind.FOLDER, "it is no folder any more")
        fails(FileError, "removing a folder", lambda: source.remove(folder, sha256=digest(b"")))
        expect("a.jpg" in listed(source), "the folder is gone")
        place.write("b.jpg", b"outside")
        file = there(source, "b.jpg")
        place.delete("b.jpg")
        if place.make_link("b.jpg") and Weakness.LINKS_ONLY_IN_LISTINGS not in source.weaknesses:
            fails(
                FileError,
                "removing a link that took the file's place",
                lambda: source.remove(file, sha256=digest(b"outside")),
            )
            expect("b.jpg" in listed(source), "the link is gone")
