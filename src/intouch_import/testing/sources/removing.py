"""`remove`: that version of that file, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intouch_import.errors import FileChanged, FileError, FileVanished
from intouch_import.model import EntryKind
from intouch_import.sources.base import Weakness
from intouch_import.testing.checks import Checks, expect, fails, given
from intouch_import.testing.sources.bench import bench, digest, held_names, listed, pause, there

if TYPE_CHECKING:
    from intouch_import.testing.places import Place

__all__ = ["CHECKS"]

CHECKS: Checks[Place] = Checks(bench)


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
