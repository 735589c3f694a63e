"""Sources with one mistake each, such as authors of sources make. The kit must reject each of them."""

from __future__ import annotations

import fnmatch
import secrets
import time
import unicodedata
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import (
    FileChanged,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    SourceUnavailable,
    StillArriving,
)
from intouch_import.model import EntryKind, SourceFile
from intouch_import.sources import Weakness
from intouch_import.testing import BytesContent, MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BROKEN_SOURCES"]

BROKEN_SOURCES: dict[str, tuple[type[MemorySource], str]] = {}
"""By the name of the mistake: the class, and the check that must find it."""


def rejected_by(check: str) -> Callable[[type[MemorySource]], type[MemorySource]]:
    def add(cls: type[MemorySource]) -> type[MemorySource]:
        BROKEN_SOURCES[cls.__name__] = (cls, check)
        return cls

    return add


class Listing(MemorySource):
    """Reports other entries than the folder has."""

    def said(self, file):
        raise NotImplementedError

    def scan(self):
        yield from filter(None, map(self.said, super().scan()))

    def look(self, name):
        found = super().look(name)
        return found and self.said(found)


class Fetching(MemorySource):
    """Reads other bytes."""

    def read(self, data):
        raise NotImplementedError

    def fetch(self, file, *, staging=None):
        with super().fetch(file, staging=staging).open() as stream:
            return BytesContent(self.read(stream.read()))


class Peeking(MemorySource):
    """Shows the bytes of whatever has the name now."""

    def peek(self, file, size_bytes):
        data = self.folder.read(file.name) or b""
        return data[:size_bytes], data[-size_bytes:]


@rejected_by("edges_are_read_without_the_rest")
class PeeksAtTheNewVersion(Peeking):
    pass


@rejected_by("edges_are_read_without_the_rest")
class PeeksAtTheStartTwice(MemorySource):
    def peek(self, file, size_bytes):
        head, _ = super().peek(file, size_bytes)
        return head, head


# --- listing


@rejected_by("every_file_is_listed")
class StopsAfterAPage(MemorySource):
    def scan(self):
        yield from list(super().scan())[:100]


@rejected_by("every_file_is_listed")
class SwallowsAnErrorHalfWay(MemorySource):
    def scan(self):
        for number, file in enumerate(super().scan()):
            if number == 70:
                return  # the connection broke
            yield file


@rejected_by("every_file_is_listed")
class ListsTwice(MemorySource):
    def scan(self):
        for file in super().scan():
            yield file
            if file.name.endswith("7.jpg"):
                yield file


@rejected_by("every_file_is_listed")
class RoundsSizes(Listing):
    def said(self, file):
        return attrs.evolve(file, size_bytes=file.size_bytes // 16 * 16)


@rejected_by("listings_are_fresh")
class ListsFromACache(MemorySource):
    def scan(self):
        if not hasattr(self, "cache"):
            self.cache = list(super().scan())
        yield from self.cache


@rejected_by("versions_are_stable")
class MakesVersionsUp(Listing):
    def said(self, file):
        return attrs.evolve(file, version=secrets.token_hex(4))


@rejected_by("versions_are_stable")
class LooksOtherwiseThanItLists(MemorySource):
    def look(self, name):
        found = super().look(name)
        return found and attrs.evolve(found, version=f'"{found.version}"')  # an etag in quotes


@rejected_by("versions_change_with_the_bytes")
class TakesTheSizeForAVersion(Listing):
    def said(self, file):
        return attrs.evolve(file, version=f"{file.size_bytes}")


@rejected_by("versions_change_with_the_bytes")
class TakesTheNameForAVersion(Listing):
    weaknesses = (Weakness.VERSION_MAY_REPEAT,)

    def said(self, file):
        return attrs.evolve(file, version=file.name)


@rejected_by("times_are_plausible")
class TellsMilliseconds(Listing):
    def said(self, file):
        return attrs.evolve(file, modified_ns=file.modified_ns // 1_000_000)


@rejected_by("folders_are_not_entered")
class ListsBelow(MemorySource):
    def scan(self):
        for file in super().scan():
            yield file
            if file.kind is EntryKind.FOLDER:
                yield SourceFile(name=f"{file.name}/below.jpg", size_bytes=5, version="1")


@rejected_by("folders_are_not_entered")
class HidesFolders(Listing):
    def said(self, file):
        return file if file.kind is not EntryKind.FOLDER else None


@rejected_by("links_are_listed_as_links")
class FollowsLinks(Listing):
    def said(self, file):
        return attrs.evolve(file, kind=EntryKind.FILE) if file.kind is EntryKind.LINK else file


@rejected_by("names_are_exact")
class NormalisesNames(Listing):
    def said(self, file):
        return attrs.evolve(file, name=unicodedata.normalize("NFC", file.name))


@rejected_by("names_are_exact")
class HidesHiddenFiles(Listing):
    def said(self, file):
        return None if file.name.startswith(".") else file


@rejected_by("names_are_exact")
class DecodesNames(MemorySource):
    def look(self, name):
        return super().look(name.replace("%20", " "))


@rejected_by("looking_stays_inside")
class ExpandsWildcards(MemorySource):
    def look(self, name):
        names = [one for one in self.folder.names() if fnmatch.fnmatch(one, name)]
        return super().look(names[0] if names else name)


@rejected_by("looking_stays_inside")
class LooksThroughPaths(MemorySource):
    def look(self, name):
        return super().look(name.rpartition("/")[2] or "x")


@rejected_by("missing_folders_raise")
class TakesNoFolderForAnEmptyOne(MemorySource):
    def scan(self):
        try:
            yield from super().scan()
        except SourceUnavailable:
            return


# --- fetching


@rejected_by("bytes_are_read_as_they_are")
class UnpacksWhatLooksPacked(Fetching):
    def read(self, data):
        return data[4:] if data.startswith(b"\x1f\x8b") else data


@rejected_by("bytes_are_read_as_they_are")
class CutsLargeFiles(Fetching):
    def read(self, data):
        return data[: 4 * 1024 * 1024]


@rejected_by("bytes_are_read_as_they_are")
class LiesAboutTheDigest(MemorySource):
    def fetch(self, file, *, staging=None):
        content = super().fetch(file, staging=staging)
        content.sha256 = "0" * 64
        return content


@rejected_by("contents_keep_their_bytes")
class ReadsWhenItIsAsked(MemorySource):
    def fetch(self, file, *, staging=None):
        content = super().fetch(file, staging=staging)
        content.open = lambda: BytesContent(self.folder.read(file.name) or b"").open()
        return content


@rejected_by("contents_can_be_saved")
class SavesOverOthers(MemorySource):
    def fetch(self, file, *, staging=None):
        content = super().fetch(file, staging=staging)
        data = content.open().read()
        content.save_to = lambda path, durable=True: path.write_bytes(data)
        return content


@rejected_by("contents_can_be_saved")
class LeavesTemporaryFiles(MemorySource):
    def fetch(self, file, *, staging=None):
        if staging is not None:
            (staging / f"{secrets.token_hex(4)}.part").write_bytes(b"left")
        return super().fetch(file, staging=staging)


@rejected_by("replaced_files_are_not_read")
class ReadsWhateverIsThere(MemorySource):
    def fetch(self, file, *, staging=None):
        return super().fetch(self.look(file.name) or file, staging=staging)


@rejected_by("vanished_files_are_not_read")
class CallsVanishedUnreadable(MemorySource):
    def fetch(self, file, *, staging=None):
        try:
            return super().fetch(file, staging=staging)
        except FileVanished:
            raise FileUnreadable("it could not be read") from None


@rejected_by("only_files_are_read")
class ReadsLinks(MemorySource):
    def fetch(self, file, *, staging=None):
        entry = self.folder.entries().get(file.name)
        if entry is not None and entry.kind is EntryKind.LINK:
            return BytesContent(b"outside")
        return super().fetch(file, staging=staging)


@rejected_by("names_are_read_exactly")
class ReadsUnquoted(MemorySource):
    def fetch(self, file, *, staging=None):
        name = file.name.partition("#")[0]
        return super().fetch((name != file.name and self.look(name)) or file, staging=staging)


# --- removing


@rejected_by("the_file_is_removed")
class RemovesNothing(MemorySource):
    def remove(self, file, *, sha256):
        """Logs the error and returns."""


@rejected_by("the_file_is_removed")
class RemovesAllOfThem(MemorySource):
    def remove(self, file, *, sha256):
        super().remove(file, sha256=sha256)
        for name in self.folder.names():
            if name[1:] == file.name[1:]:
                self.folder.delete(name)


@rejected_by("names_are_removed_exactly")
class RemovesByWildcard(MemorySource):
    def remove(self, file, *, sha256):
        for name in [one for one in self.folder.names() if fnmatch.fnmatch(one, file.name)] or [file.name]:
            super().remove(self.look(name) or file, sha256=sha256)


@rejected_by("replaced_files_stay")
class RemovesAnyVersion(MemorySource):
    def remove(self, file, *, sha256):
        super().remove(self.look(file.name) or file, sha256=sha256)


@rejected_by("replaced_files_stay")
class RemovesThenComplains(MemorySource):
    def remove(self, file, *, sha256):
        there = self.look(file.name) or file
        super().remove(there, sha256=sha256)
        if there.version != file.version:
            raise FileChanged("it was another version")


@rejected_by("rewritten_files_stay")
class ComparesBytesAlone(MemorySource):
    def remove(self, file, *, sha256):
        there = self.look(file.name) or file
        if BytesContent(self.folder.read(file.name) or b"").sha256 == sha256:
            super().remove(there, sha256=sha256)
        else:
            super().remove(file, sha256=sha256)


@rejected_by("unpinned_removals_compare_bytes")
class PinsNothingAndComparesNothing(MemorySource):
    weaknesses = (Weakness.REMOVAL_NOT_PINNED,)


@rejected_by("vanished_files_are_not_removed")
class IsHappyThatItIsGone(MemorySource):
    def remove(self, file, *, sha256):
        try:
            super().remove(file, sha256=sha256)
        except FileVanished:
            return


@rejected_by("only_files_are_removed")
class RemovesFolders(MemorySource):
    def remove(self, file, *, sha256):
        entry = self.folder.entries().get(file.name)
        if entry is not None and entry.kind is EntryKind.FOLDER:
            self.folder.delete(file.name)
        else:
            super().remove(file, sha256=sha256)


# --- putting


@rejected_by("files_are_put")
class PutsUnderAFreeName(MemorySource):
    def put(self, name, chunks):
        return super().put(f"log ({name})" if name == "empty.jpg" else name, chunks)


@rejected_by("files_are_put")
class LosesTheLastPiece(MemorySource):
    def put(self, name, chunks):
        pieces = list(chunks)
        return super().put(name, pieces[:-1] if len(pieces) > 3 else pieces)


@rejected_by("taken_names_raise")
class Overwrites(MemorySource):
    def put(self, name, chunks):
        data = b"".join(chunks)
        self.folder.write(name, data)
        return self.look(name)


@rejected_by("nothing_half_written_is_seen")
class WritesInPlace(MemorySource):
    def put(self, name, chunks):
        data = b""
        if self.look(name) is not None:
            raise NameTaken("taken")
        for chunk in chunks:
            data += chunk
            self.folder.write(name, data)
        return self.look(name)


@rejected_by("nothing_half_written_is_seen")
class WritesAVisibleTemporary(MemorySource):
    def put(self, name, chunks):
        data = b""
        for chunk in chunks:
            data += chunk
            self.folder.write(f"{name}.tmp.jpg", data)
        self.folder.delete(f"{name}.tmp.jpg")
        return super().put(name, [data])


@rejected_by("broken_off_files_leave_nothing")
class LeavesHalfOfIt(MemorySource):
    def put(self, name, chunks):
        data = b""
        try:
            for chunk in chunks:
                data += chunk
        finally:
            super().put(name, [data])
        return self.look(name)


@rejected_by("names_are_put_exactly")
class CleansNames(MemorySource):
    def put(self, name, chunks):
        return super().put(name.strip().rstrip("."), chunks)


@rejected_by("paths_are_refused")
class PutsIntoFolders(MemorySource):
    def put(self, name, chunks):
        return super().put(name.rpartition("/")[2] if "/" in name else name, chunks)


@rejected_by("paths_are_refused")
class CutsLongNames(MemorySource):
    def put(self, name, chunks):
        return super().put(name[:200], chunks)


@rejected_by("one_of_many_wins")
class AsksThenWrites(MemorySource):
    def put(self, name, chunks):
        data = b"".join(chunks)
        if self.look(name) is not None:
            raise NameTaken("taken")
        time.sleep(0.01)
        self.folder.write(name, data)
        return self.look(name)


# --- together


@rejected_by("threads_read_different_files")
class SharesOneBuffer(MemorySource):
    def fetch(self, file, *, staging=None):
        self.buffer = self.folder.read(file.name)
        time.sleep(0.002)
        return BytesContent(self.buffer)


@rejected_by("threads_read_the_same_file")
class SharesOnePosition(MemorySource):
    def fetch(self, file, *, staging=None):
        data = self.folder.read(file.name)
        parts = []
        self.position = 0
        while self.position < len(data):
            parts.append(data[self.position : self.position + 65536])
            time.sleep(0.001)
            self.position += 65536
        return BytesContent(b"".join(parts))


@rejected_by("one_removal_wins")
class AllOfThemRemoved(MemorySource):
    def remove(self, file, *, sha256):
        self._pinned(file)
        time.sleep(0.01)
        self.folder.delete(file.name)
        if self.folder.lock:
            self._pinned(file)


@rejected_by("threads_do_not_disturb_each_other")
class ListsOneAtATime(MemorySource):
    def scan(self):
        busy = self.__dict__.get("busy", 0)
        self.busy = busy + 1
        try:
            if busy:
                raise SourceUnavailable("a listing is under way")
            time.sleep(0.01)
            yield from super().scan()
        finally:
            self.busy = busy


@rejected_by("changing_files_are_read_whole_or_not")
class ReadsInPieces(MemorySource):
    def fetch(self, file, *, staging=None):
        if self.look(file.name).version != file.version:
            raise FileChanged("changed")
        parts = []
        for start in range(0, file.size_bytes, 50_000):
            parts.append((self.folder.read(file.name) or b"")[start : start + 50_000])
            time.sleep(0.002)
        return BytesContent(b"".join(parts))


@rejected_by("new_files_of_the_same_name_stay")
class RemovesByName(MemorySource):
    def remove(self, file, *, sha256):
        self.folder.delete(file.name)


# --- ids, weaknesses, texts, closing


@rejected_by("ids_are_stable")
class HasRandomIds(MemorySource):
    def __init__(self, folder, **options):
        super().__init__(folder, **{"source_id": secrets.token_hex(8), **options})


@rejected_by("ids_are_stable")
class IgnoresItsId(MemorySource):
    def __init__(self, folder, *, source_id=None, **options):
        super().__init__(folder, **options)


@rejected_by("weaknesses_are_declared")
class DescribesItsWeakness(MemorySource):
    weaknesses = ("it can't pin anything",)


@rejected_by("texts_contain_no_names")
class NamesTheFile(MemorySource):
    def fetch(self, file, *, staging=None):
        try:
            return super().fetch(file, staging=staging)
        except FileChanged:
            raise FileChanged(f"{file.name} has changed") from None


@rejected_by("texts_contain_no_names")
class ChainsTheName(MemorySource):
    def put(self, name, chunks):
        try:
            return super().put(name, chunks)
        except NameRefused as exc:
            raise exc from OSError(2, "no such file", name)


@rejected_by("closing_disturbs_nobody")
class ClosesForAll(MemorySource):
    def close(self):
        self.folder.take_away()


@rejected_by("the_filesystem_can_be_had")
class HasNoFilesystem(MemorySource):
    @property
    def filesystem(self):
        return None


@rejected_by("contents_keep_their_bytes")
class IsBusyTwice(MemorySource):
    def fetch(self, file, *, staging=None):
        content = super().fetch(file, staging=staging)
        first = content.open
        opened = []

        def open_once():
            if opened:
                raise StillArriving("it is open already")
            opened.append(1)
            return first()

        content.open = open_once
        return content
