"""How a source presents itself: ids, weaknesses, texts, closing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intouch_import.errors import FileChanged, FileVanished, NameRefused, NameTaken
from intouch_import.sources.base import Source, Weakness
from intouch_import.testing.checks import Checks, expect, fails
from intouch_import.testing.sources.bench import bench, digest, listed, pause, there

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intouch_import.testing.places import Place

__all__ = ["CHECKS"]

CHECKS: Checks[Place] = Checks(bench)


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
