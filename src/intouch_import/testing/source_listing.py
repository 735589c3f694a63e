"""`scan` and `look`: the folder as it is now. And a source's ids, weaknesses, texts and closing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from intouch_import.errors import (
    FileChanged,
    FileError,
    FileVanished,
    NameRefused,
    NameTaken,
    SourceError,
)
from intouch_import.model import EntryKind
from intouch_import.sources.base import Source, Weakness
from intouch_import.testing.checks import Checks, expect, fails, given
from intouch_import.testing.places import bench, digest, held_names, listed, pause, there

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intouch_import.testing.places import Place

__all__ = ["CHECKS"]

CHECKS: Checks[Place] = Checks(bench)

_FILES = 130
_A_DAY = timedelta(days=1)

# --- listing


@CHECKS.promise("scan lists every file of the folder, with its size.")
def every_file_is_listed(place: Place) -> None:
    with place.open() as source:
        expect(not listed(source), "an entry was listed in an empty folder")
        wanted = {f"IMG_{number:04}.jpg": b"x" * number for number in range(_FILES)}
        for name, content in wanted.items():
            place.write(name, content)
        found = listed(source)
        expect(set(found) == set(wanted), f"of {_FILES} files, {len(set(found) & set(wanted))} were listed")
        for name, file in found.items():
            size = len(wanted[name])
            expect(file.kind is EntryKind.FILE, f"a file was listed as a {file.kind}")
            expect(file.size_bytes == size, f"a file of {size} bytes was listed with {file.size_bytes}")


@CHECKS.promise("A listing shows the folder as it is now, not as it was.")
def listings_are_fresh(place: Place) -> None:
    with place.open() as source, place.open() as elsewhere:
        for opened in (source, elsewhere):
            listed(opened)
            opened.look("a.jpg")
        first, longer = b"first", b"and longer"
        place.write("a.jpg", first)
        place.write("b.jpg", b"other")
        for opened in (source, elsewhere):
            expect(set(listed(opened)) == {"a.jpg", "b.jpg"}, "a new file was not listed")
            expect(there(opened, "a.jpg").size_bytes == len(first), "a new file has another size")
        place.write("a.jpg", longer)
        place.delete("b.jpg")
        for opened in (source, elsewhere):
            expect(set(listed(opened)) == {"a.jpg"}, "a deleted file was listed")
            expect(
                listed(opened)["a.jpg"].size_bytes == len(longer),
                "a replaced file was listed with its former size",
            )
            expect(opened.look("b.jpg") is None, "look found a deleted file")


@CHECKS.promise("scan and look return the same name, size and version of a file until it changes.")
def versions_are_stable(place: Place) -> None:
    with place.open() as source, place.open() as elsewhere:
        place.write("a.jpg", b"some bytes")
        place.write("empty.jpg", b"")
        first = listed(source)
        pause()
        for opened in (source, elsewhere):
            again = listed(opened)
            for name, file in first.items():
                for found in (again[name], there(opened, name)):
                    expect(found.version, "a version is empty")
                    expect("\0" not in found.version, "a version contains a NUL character")
                    expect(found.version == file.version, "the version of an unchanged file changed")
                    expect(found.size_bytes == file.size_bytes, "the size of an unchanged file changed")
                    expect(found.name == name, "the name of an unchanged file changed")


@CHECKS.promise("The version changes whenever the bytes may have changed.")
def versions_change_with_the_bytes(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"first bytes")
        first = there(source, "a.jpg")
        pause()
        place.write("a.jpg", b"other, longer bytes")
        second = there(source, "a.jpg")
        expect(second.version != first.version, "a file of another size has the same version")
        if Weakness.VERSION_MAY_REPEAT in source.weaknesses:
            return
        pause()
        place.write("a.jpg", b"OTHER, LONGER BYTES")
        third = there(source, "a.jpg")
        expect(third.version != second.version, "other bytes of the same size have the same version")


@CHECKS.promise("Modification times are those of the location, or None.")
def times_are_plausible(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        modified_at = there(source, "a.jpg").modified_at
        if modified_at is not None:
            expect(
                abs(datetime.now(UTC) - modified_at) < _A_DAY,
                f"a file that was written now has the time {modified_at:%Y-%m-%d %H:%M} UTC",
            )


@CHECKS.promise("Sub-folders are listed as folders, without the files in them.")
def folders_are_not_entered(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        place.make_folder("Smith, John")
        found = listed(source)
        expect(set(found) <= {"a.jpg", "Smith, John"}, "an entry of another folder was listed")
        folder = given(found.get("Smith, John"), "the sub-folder was not listed")
        expect("a.jpg" in found, "the file was not listed")
        expect(folder.kind is EntryKind.FOLDER, f"the sub-folder was listed as a {folder.kind}")
        expect(folder.size_bytes == 0, "the sub-folder has a size")
        seen = source.look("Smith, John")
        expect(seen is not None and seen.kind is EntryKind.FOLDER, "look did not return it as a folder")


@CHECKS.promise("Links are listed as links.")
def links_are_listed_as_links(place: Place) -> None:
    with place.open() as source:
        if not place.make_link("link.jpg"):
            return
        found = given(listed(source).get("link.jpg"), "the link was not listed")
        expect(found.kind is EntryKind.LINK, f"the link was listed as a {found.kind}")
        if Weakness.LINKS_ONLY_IN_LISTINGS not in source.weaknesses:
            seen = source.look("link.jpg")
            expect(seen is not None and seen.kind is EntryKind.LINK, "look did not return it as a link")


@CHECKS.promise("Names are listed exactly as the location spells them, each for its own file.")
def names_are_exact(place: Place) -> None:
    with place.open() as source:
        names = held_names(place)
        found = listed(source)
        for name in names:
            file = given(found.get(name), f"the file {name!a} was not listed under this name")
            expect(file.kind is EntryKind.FILE, f"the file {name!a} was listed as a {file.kind}")
            seen = there(source, name)
            expect(
                (seen.name, seen.version) == (name, file.version),
                f"look and scan return different values for {name!a}",
            )
        expect(set(found) == set(names), "a name was listed that does not exist")


@CHECKS.promise("look finds only an entry with exactly this name, directly in the folder.")
def looking_stays_inside(place: Place) -> None:
    near = [
        "IMG[1].jpg",
        "IMG?.jpg",
        "IMG*",
        "IMG1",
        "IMG1.jp",
        "IMG%31.jpg",
        "IMG1.jpg ",
        "IMG1.jpg.",
        "*",
    ]
    paths = ["../photos/IMG1.jpg", "folder/below.jpg", "./IMG1.jpg", "/IMG1.jpg", "..", ".", ""]
    with place.open() as source:
        place.write("IMG1.jpg", b"bytes")
        place.make_folder("folder")
        for name in near:
            found = name not in place.names() and _finds(source, name)
            expect(not found, f"look found an entry for {name!a}, and only 'IMG1.jpg' exists")
        for name in paths:
            expect(not _finds(source, name), f"look found an entry for {name!a}, which is not a file name")


def _finds(source: Source, name: str) -> bool:
    """Return whether look finds an entry. It may also refuse the name."""
    try:
        return source.look(name) is not None
    except FileError:
        return False


@CHECKS.promise("A folder that no longer exists raises SourceError; it is not an empty folder.")
def missing_folders_raise(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        file = there(source, "a.jpg")
        if not place.take_away():
            return
        fails(SourceError, "listing the folder", lambda: list(source.scan()))
        fails(SourceError, "looking for a file", lambda: source.look("a.jpg"))
        fails((SourceError, FileError), "reading a file", lambda: source.fetch(file))
        fails(SourceError, "putting a file", lambda: source.put("b.jpg", [b"bytes"]))
        # A cloud drive sends no request before its first listing.
        fails(SourceError, "opening the folder and listing it", lambda: list(place.open().scan()))


# --- ids, weaknesses, texts, closing


@CHECKS.promise("The source's id is the same on every workstation, or the id that was given.")
def ids_are_stable(place: Place) -> None:
    with place.open() as one, place.open() as two:
        expect(isinstance(one, Source), "open returned something else than a Source")
        same = one.source_id and one.source_id == two.source_id
        expect(same, "two sources on one folder have different ids")
        expect("\0" not in one.source_id, "the id contains a NUL character")
    with place.open(source_id="kit-room", provider="DRJ", label="Room 1") as source:
        expect(source.source_id == "kit-room", "the given id is not used")
        expect((source.provider, source.label) == ("DRJ", "Room 1"), "the given provider or label is lost")
        expect(source.location, "location is empty")


@CHECKS.promise("A source declares its weaknesses, and shows them in its repr.")
def weaknesses_are_declared(place: Place) -> None:
    with place.open() as source:
        for weakness in source.weaknesses:
            expect(isinstance(weakness, Weakness), "a weakness is not a member of Weakness")
            expect(weakness.value in repr(source), f"repr does not show {weakness.value}")


@CHECKS.promise("The text of a source, and of its exceptions, contains no file name and no path.")
def texts_contain_no_names(place: Place) -> None:
    canary = "CANARY10042"
    name = f"{canary}.jpg"
    with place.open(source_id="kit-room") as source:
        place.write(name, b"bytes")
        file = listed(source)[name]
        _contain_no(canary, [source, file])
        pause()
        place.write(name, b"other bytes")
        removing = "removing a changed file"
        raised = [
            fails(FileChanged, "reading a changed file", lambda: source.fetch(file)),
            fails(FileChanged, removing, lambda: source.remove(file, sha256=digest(b"bytes"))),
            fails(NameTaken, "putting it", lambda: source.put(name, [b"bytes"])),
            fails(NameRefused, "putting a path", lambda: source.put(f"../{name}", [b"bytes"])),
        ]
        file = there(source, name)
        place.delete(name)
        raised += [
            fails(FileVanished, "reading a deleted file", lambda: source.fetch(file)),
            fails(FileVanished, "removing it", lambda: source.remove(file, sha256=digest(b"other bytes"))),
        ]
        chain: list[BaseException] = []
        for exc in raised:
            one: BaseException | None = exc
            while one is not None:
                chain.append(one)
                one = one.__cause__ if one.__suppress_context__ else one.__context__
        _contain_no(canary, chain)


def _contain_no(word: str, objects: Iterable[object]) -> None:
    for one in objects:
        expect(word not in f"{one} {one!r}", f"the text of a {type(one).__name__} contains a file name")


@CHECKS.promise("Closing a source does not affect another one, and can be repeated.")
def closing_disturbs_nobody(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        other = place.open()
        listed(other)
        other.close()
        other.close()
        expect(set(listed(source)) == {"a.jpg"}, "after another source was closed, the listing changed")
        with source.fetch(there(source, "a.jpg")) as content:
            expect(content.sha256 == digest(b"bytes"), "after another source was closed, the bytes changed")


@CHECKS.promise("filesystem is an fsspec file system of the location.")
def the_filesystem_can_be_had(place: Place) -> None:
    from fsspec import AbstractFileSystem

    with place.open() as source:
        expect(isinstance(source.filesystem, AbstractFileSystem), "filesystem is not an fsspec file system")
