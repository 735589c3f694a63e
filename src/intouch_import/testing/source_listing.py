"""`scan` and `look`: the folder as it is now; and how a source presents itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from intouch_import.errors import FileChanged, FileError, FileVanished, NameRefused, NameTaken, SourceError
from intouch_import.model import EntryKind
from intouch_import.sources.base import Source, Weakness
from intouch_import.testing.checks import Checks, expect, fails, given
from intouch_import.testing.places import bench, digest, held_names, listed, pause, there

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intouch_import.testing.places import Place

__all__ = ["CHECKS"]

CHECKS: Checks[Place] = Checks(bench)

# --- listing

_MANY = 130
_A_DAY = timedelta(days=1)


@CHECKS.promise("scan lists every file of the folder, with its size.")
def every_file_is_listed(place: Place) -> None:
    with place.open() as source:
        expect(not listed(source), "something was listed in an empty folder")
        wanted = {f"IMG_{number:04}.jpg": b"x" * number for number in range(_MANY)}
        for name, content in wanted.items():
            place.write(name, content)
        found = listed(source)
        expect(
            set(found) == set(wanted), f"of {len(wanted)} files, {len(set(found) & set(wanted))} were listed"
        )
        for name, file in found.items():
            expect(file.kind is EntryKind.FILE, f"a file was listed as a {file.kind}")
            expect(
                file.size_bytes == len(wanted[name]),
                f"a file of {len(wanted[name])} bytes was listed with {file.size_bytes}",
            )


@CHECKS.promise("A listing is the folder as it is now, not as it was.")
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
            expect(set(listed(opened)) == {"a.jpg"}, "a file that was taken away was listed")
            replaced = listed(opened)["a.jpg"]
            expect(replaced.size_bytes == len(longer), "a replaced file was listed as it was before")
            expect(opened.look("b.jpg") is None, "look found a file that was taken away")


@CHECKS.promise("scan and look say the same of a file, as often as they are asked, until it changes.")
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
                    expect("\0" not in found.version, "a version holds a NUL character")
                    expect(found.version == file.version, "the version of a file that nobody touched changed")
                    expect(
                        found.size_bytes == file.size_bytes, "the size of a file that nobody touched changed"
                    )
                    expect(found.name == name, "the name of a file that nobody touched changed")


@CHECKS.promise("The version changes whenever the bytes may have.")
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


@CHECKS.promise("Modification times are those of the location, or not told.")
def times_are_plausible(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        modified_at = there(source, "a.jpg").modified_at
        if modified_at is not None:
            expect(
                abs(datetime.now(UTC) - modified_at) < _A_DAY,
                f"a file that was just written was modified at {modified_at:%Y-%m-%d %H:%M} UTC",
            )


@CHECKS.promise("Sub-folders are listed as folders, and nothing in them is.")
def folders_are_not_entered(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        place.make_folder("Smith, John")
        found = listed(source)
        expect(
            set(found) <= {"a.jpg", "Smith, John"}, "something was listed that is not directly in the folder"
        )
        expect(set(found) == {"a.jpg", "Smith, John"}, "a sub-folder was not listed")
        expect(
            found["Smith, John"].kind is EntryKind.FOLDER, f"it was listed as a {found['Smith, John'].kind}"
        )
        expect(found["Smith, John"].size_bytes == 0, "a folder has a size")
        seen = source.look("Smith, John")
        expect(seen is not None and seen.kind is EntryKind.FOLDER, "look did not say that it is a folder")


@CHECKS.promise("Links are listed as links.")
def links_are_told(place: Place) -> None:
    with place.open() as source:
        if not place.make_link("link.jpg"):
            return
        found = given(listed(source).get("link.jpg"), "a link was not listed")
        expect(found.kind is EntryKind.LINK, f"it was listed as a {found.kind}")
        if Weakness.LINKS_ONLY_IN_LISTINGS not in source.weaknesses:
            seen = source.look("link.jpg")
            expect(seen is not None and seen.kind is EntryKind.LINK, "look did not say that it is a link")


@CHECKS.promise("Names are listed exactly as the location spells them, each for its own file.")
def names_are_exact(place: Place) -> None:
    with place.open() as source:
        names = held_names(place)
        found = listed(source)
        for name in names:
            expect(name in found, f"the file {name!a} was not listed, or under another name")
            expect(
                found[name].kind is EntryKind.FILE, f"the file {name!a} was listed as a {found[name].kind}"
            )
            seen = there(source, name)
            expect(
                (seen.name, seen.version) == (name, found[name].version),
                f"look and scan disagree about {name!a}",
            )
        expect(set(found) == set(names), "names were listed that are not there")


@CHECKS.promise("look finds nothing where nothing is, and never anything outside the folder.")
def looking_stays_inside(place: Place) -> None:
    with place.open() as source:
        place.write("IMG1.jpg", b"bytes")
        place.make_folder("folder")
        for name in (
            "IMG[1].jpg",
            "IMG?.jpg",
            "IMG*",
            "IMG1",
            "IMG1.jpg ",
            "IMG1.jpg.",
            "IMG%31.jpg",
            "*",
            "IMG1.jp",
        ):
            if name not in place.names():
                expect(
                    not _finds(source, name),
                    f"look found something under {name!a}, where there is only 'IMG1.jpg'",
                )
        for name in ("../photos/IMG1.jpg", "folder/below.jpg", "./IMG1.jpg", "/IMG1.jpg", "..", ".", ""):
            expect(
                not _finds(source, name),
                f"look found something under {name!a}, which is no name in the folder",
            )


def _finds(source: Source, name: str) -> bool:
    """Whether there is something of that name; a name that is refused finds nothing."""
    try:
        return source.look(name) is not None
    except FileError:
        return False


@CHECKS.promise("A folder that is not there any more is a SourceError, not an empty folder.")
def missing_folders_are_told(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        file = there(source, "a.jpg")
        if not place.take_away():
            return
        fails(SourceError, "listing the folder", lambda: list(source.scan()))
        fails(SourceError, "looking for a file", lambda: source.look("a.jpg"))
        fails((SourceError, FileError), "reading a file", lambda: source.fetch(file))
        fails(SourceError, "putting a file", lambda: source.put("b.jpg", [b"bytes"]))
        # A cloud drive is asked nothing before its first listing.
        fails(SourceError, "opening the folder and listing it", lambda: list(place.open().scan()))


# --- ids, weaknesses, texts, closing


@CHECKS.promise("The source's id is the same on every workstation, or the one that was given.")
def ids_are_stable(place: Place) -> None:
    with place.open() as one, place.open() as two:
        expect(isinstance(one, Source), "open gave something else than a Source")
        expect(
            one.source_id and one.source_id == two.source_id, "two openings of one folder have different ids"
        )
        expect("\0" not in one.source_id, "the id holds a NUL character")
    with place.open(source_id="kit-room", provider="DRJ", label="Room 1") as given:
        expect(given.source_id == "kit-room", "the id that was given is not used")
        expect((given.provider, given.label) == ("DRJ", "Room 1"), "provider or label are not those given")
        expect(given.location, "it does not say what kind of place it is")


@CHECKS.promise("What a location can't promise is declared, and shown in its repr.")
def weaknesses_are_declared(place: Place) -> None:
    with place.open() as source:
        for weakness in source.weaknesses:
            expect(isinstance(weakness, Weakness), "a weakness is no member of Weakness")
            expect(weakness.value in repr(source), f"repr does not show {weakness.value}")


@CHECKS.promise("No text of a source or of its exceptions holds a file name, or the way to the folder.")
def texts_name_nobody(place: Place) -> None:
    told = "CANARY10042"
    name = f"{told}.jpg"
    with place.open(source_id="kit-room") as source:
        place.write(name, b"bytes")
        file = listed(source)[name]
        _silent(told, [source, file])
        pause()
        place.write(name, b"other bytes")
        raised = [
            fails(FileChanged, "reading a changed file", lambda: source.fetch(file)),
            fails(
                FileChanged, "removing a changed file", lambda: source.remove(file, sha256=digest(b"bytes"))
            ),
            fails(NameTaken, "putting it", lambda: source.put(name, [b"bytes"])),
            fails(NameRefused, "putting a path", lambda: source.put(f"../{name}", [b"bytes"])),
        ]
        file = there(source, name)
        place.delete(name)
        raised += [
            fails(FileVanished, "reading a vanished file", lambda: source.fetch(file)),
            fails(FileVanished, "removing it", lambda: source.remove(file, sha256=digest(b"other bytes"))),
        ]
        chain: list[BaseException] = []
        for exc in raised:
            one: BaseException | None = exc
            while one is not None:
                chain.append(one)
                one = one.__cause__ if one.__suppress_context__ else one.__context__
        _silent(told, chain)


def _silent(name: str, things: Iterable[object]) -> None:
    for thing in things:
        shown = f"{thing} {thing!r}"
        expect(name not in shown, f"the text of a {type(thing).__name__} repeats a file name")


@CHECKS.promise("Closing a source does not disturb another one, and may be done twice.")
def closing_disturbs_nobody(place: Place) -> None:
    with place.open() as source:
        place.write("a.jpg", b"bytes")
        other = place.open()
        listed(other)
        other.close()
        other.close()
        expect(set(listed(source)) == {"a.jpg"}, "the other source lists something else now")
        with source.fetch(there(source, "a.jpg")) as content:
            expect(content.sha256 == digest(b"bytes"), "the other source reads something else now")


@CHECKS.promise("The fsspec file system of the location can be had, to look around in.")
def the_filesystem_can_be_had(place: Place) -> None:
    from fsspec import AbstractFileSystem

    with place.open() as source:
        expect(isinstance(source.filesystem, AbstractFileSystem), "filesystem is no fsspec file system")
