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

_LARGE_BYTES = 5_000_017
_REPLACEMENTS = (b"longer than it was", b"", b"same size!")

# --- fetch


@CHECKS.promise("fetch reads the bytes unchanged, with their size and digest.")
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
                expect(content_of(content) == data, f"fetch returned other bytes than those of {name}")


@CHECKS.promise("A content can be read several times, and keeps its bytes until it is closed.")
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
            expect(content_of(content) == data, "the bytes changed when the file was replaced")
            place.delete("a.jpg")
            expect(content_of(content) == data, "the bytes were lost when the file was deleted")
            head, tail = content.edges(7)
            expect((head, tail) == (data[:7], data[-7:]), "edges does not return the first and last bytes")


@CHECKS.promise("Content.save_to saves the bytes, never over another file, and leaves staging empty.")
def contents_can_be_saved(place: Place) -> None:
    with place.open() as source, tempfile.TemporaryDirectory() as work:
        staging, kept = Path(work) / "staging", Path(work) / "kept"
        for folder in (staging, kept):
            folder.mkdir()
        for number, durable in enumerate((True, False)):
            data = f"bytes {number}".encode() * 1000
            place.write("a.jpg", data)
            target, taken = kept / f"{number}", kept / "taken"
            with source.fetch(there(source, "a.jpg"), staging=staging) as content:
                content.save_to(target, durable=durable)
                expect(target.read_bytes() == data, "other bytes were saved")
                expect(content_of(content) == data, "the content can't be read any more after save_to")
                taken.write_bytes(b"another file")
                fails(FileExistsError, "saving it over another file", lambda: content.save_to(taken))
                expect(taken.read_bytes() == b"another file", "another file was overwritten")
                content.settle()
            expect(target.read_bytes() == data, "the saved file changed when the content was closed")
            expect(not list(staging.iterdir()), "a temporary file was left in the staging folder")
            pause()
        with source.fetch(there(source, "a.jpg"), staging=staging) as content:
            content_of(content)
        expect(not list(staging.iterdir()), "a temporary file was left in the staging folder")


@CHECKS.promise("Fetching a file that was replaced after its listing raises FileChanged.")
def replaced_files_are_not_read(place: Place) -> None:
    with place.open() as source:
        for number, data in enumerate(_REPLACEMENTS):
            name = f"{number}.jpg"
            place.write(name, b"some bytes")
            file = listed(source)[name]
            pause()
            place.write(name, data)
            if len(data) == file.size_bytes and Weakness.VERSION_MAY_REPEAT in source.weaknesses:
                # Only the bytes differ. The content must at least have the digest of what was read.
                try:
                    with source.fetch(file) as content:
                        expect(content_of(content) == data, "neither the old nor the new bytes were returned")
                except FileChanged:
                    pass
                continue
            what = f"fetching it after {len(data)} other bytes were written"
            fails((FileChanged, StillArriving), what, lambda: source.fetch(file))


@CHECKS.promise("Fetching a file that was deleted after its listing raises FileVanished.")
def vanished_files_are_not_read(place: Place) -> None:
    with place.open() as source:
        for name in ("a.jpg", "IMG[1].jpg", "a b.jpg"):
            place.write(name, b"bytes")
            place.write("IMG1.jpg", b"bytes")
            file = there(source, name)
            place.delete(name)
            fails(FileVanished, "fetching it", lambda: source.fetch(file))


@CHECKS.promise("fetch reads files only: no folders, no links.")
def only_files_are_read(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        file = there(source, "a.jpg")
        place.delete("a.jpg")
        place.make_folder("a.jpg")
        fails(FileError, "fetching a file that a folder has replaced", lambda: source.fetch(file))
        folder = listed(source)["a.jpg"]
        if folder.kind is EntryKind.FOLDER:
            fails(FileError, "fetching a folder", lambda: source.fetch(folder))
        place.write("b.jpg", b"outside")
        file = there(source, "b.jpg")
        place.delete("b.jpg")
        if place.make_link("b.jpg") and Weakness.LINKS_ONLY_IN_LISTINGS not in source.weaknesses:
            fails(FileError, "fetching a file that a link has replaced", lambda: source.fetch(file))
            link = listed(source)["b.jpg"]
            fails(FileError, "fetching a link", lambda: source.fetch(link))


@CHECKS.promise("fetch reads the file with exactly the listed name.")
def names_are_read_exactly(place: Place) -> None:
    with place.open() as source:
        held_names(place)
        for name, file in listed(source).items():
            with source.fetch(file) as content:
                expect(content_of(content) == place.read(name), f"it read other bytes than those of {name!a}")


# --- remove


@CHECKS.promise("peek returns the first and last bytes of the listed version, or None.")
def edges_are_read_without_the_rest(place: Place) -> None:
    with place.open() as source:
        for data in (b"", b"short", bytes(range(256)) * 400):
            place.write("a.jpg", data)
            found = source.peek(there(source, "a.jpg"), 1000)
            expect(found in (None, (data[:1000], data[-1000:])), "peek returned other bytes")
            pause()
        file = there(source, "a.jpg")
        place.write("a.jpg", b"replaced")
        try:
            found = source.peek(file, 1000)
        except FileError:
            found = None
        expect(found is None, "peek returned bytes of another version")
        place.delete("a.jpg")
        try:
            found = source.peek(file, 1000)
        except FileError:
            found = None
        expect(found is None, "peek returned bytes of a file that was deleted")


@CHECKS.promise("remove deletes the file, and no other.")
def the_file_is_removed(place: Place) -> None:
    with place.open() as source:
        for name, data in (("a.jpg", b"bytes"), ("b.jpg", b"bytes"), ("empty.jpg", b"")):
            place.write(name, data)
        place.make_folder("folder")
        source.remove(there(source, "a.jpg"), sha256=digest(b"bytes"))
        expect(place.names() == {"b.jpg", "empty.jpg"}, "the file still exists, or another one is gone")
        expect(source.look("a.jpg") is None, "look still finds the file")
        expect(set(listed(source)) == {"b.jpg", "empty.jpg", "folder"}, "the listing is wrong afterwards")
        source.remove(there(source, "empty.jpg"), sha256=digest(b""))
        source.sync()
        expect(place.names() == {"b.jpg"}, "an empty file still exists")


@CHECKS.promise("remove deletes the file with exactly the listed name.")
def names_are_removed_exactly(place: Place) -> None:
    with place.open() as source:
        left = set(held_names(place))
        for name in sorted(left):
            source.remove(there(source, name), sha256=digest(place.read(name) or b""))
            left.discard(name)
            expect(place.names() == left, f"{name!a} still exists, or another file is gone")


@CHECKS.promise("Removing a file that was replaced after its listing raises FileChanged; the new file stays.")
def replaced_files_stay(place: Place) -> None:
    with place.open() as source:
        for number, data in enumerate(_REPLACEMENTS):
            name = f"{number}.jpg"
            place.write(name, b"some bytes")
            file = listed(source)[name]
            with source.fetch(file) as content:
                pause()
                place.write(name, data)
                what = f"removing it after {len(data)} other bytes were written"
                fails(FileChanged, what, lambda: source.remove(file, sha256=content.sha256))
            expect(place.read(name) == data, "the new file was removed or changed")


@CHECKS.promise("Removing a file that was written again with the same bytes raises FileChanged as well.")
def rewritten_files_stay(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        file = listed(source)["a.jpg"]
        pause()
        place.write("a.jpg", b"bytes")
        if there(source, "a.jpg").version == file.version:
            return  # this location makes no new version for the same bytes
        fails(FileChanged, "removing it", lambda: source.remove(file, sha256=digest(b"bytes")))
        expect(place.read("a.jpg") == b"bytes", "the file was removed")


@CHECKS.promise(
    "If a removal can't be pinned to a version, remove compares the bytes with the stored digest."
)
def unpinned_removals_compare_bytes(place: Place) -> None:
    with place.open() as source:
        if Weakness.REMOVAL_NOT_PINNED not in source.weaknesses:
            return
        place.write("a.jpg", b"bytes")
        file = there(source, "a.jpg")
        fails(FileChanged, "removing other bytes", lambda: source.remove(file, sha256=digest(b"other")))
        expect(place.read("a.jpg") == b"bytes", "the file was removed")


@CHECKS.promise("Removing a file that no longer exists raises FileVanished.")
def vanished_files_are_not_removed(place: Place) -> None:
    sha256 = digest(b"bytes")
    with place.open() as source:
        for name in ("a.jpg", "IMG1.jpg", "IMG[1].jpg"):
            place.write(name, b"bytes")
        gone = [there(source, "a.jpg"), there(source, "IMG[1].jpg")]
        for file in gone:
            place.delete(file.name)
        for file in gone:
            fails(FileVanished, "removing it", lambda: source.remove(file, sha256=sha256))
        file = there(source, "IMG1.jpg")
        source.remove(file, sha256=sha256)
        fails(FileVanished, "removing it twice", lambda: source.remove(file, sha256=sha256))


@CHECKS.promise("remove deletes files only: no folders, no links.")
def only_files_are_removed(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"")
        file = there(source, "a.jpg")
        place.delete("a.jpg")
        place.make_folder("a.jpg")
        what = "removing a file that a folder has replaced"
        fails(FileError, what, lambda: source.remove(file, sha256=digest(b"")))
        folder = given(listed(source).get("a.jpg"), "the folder is gone")
        expect(folder.kind is EntryKind.FOLDER, "the folder is not a folder any more")
        fails(FileError, "removing a folder", lambda: source.remove(folder, sha256=digest(b"")))
        expect("a.jpg" in listed(source), "the folder is gone")
        place.write("b.jpg", b"outside")
        file = there(source, "b.jpg")
        place.delete("b.jpg")
        if place.make_link("b.jpg") and Weakness.LINKS_ONLY_IN_LISTINGS not in source.weaknesses:
            what = "removing a file that a link has replaced"
            fails(FileError, what, lambda: source.remove(file, sha256=digest(b"outside")))
            expect("b.jpg" in listed(source), "the link is gone")
