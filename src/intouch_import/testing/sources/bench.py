"""What the checks of a source have in common."""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import TYPE_CHECKING

from intouch_import.model import EntryKind, SourceFile
from intouch_import.testing.checks import broken, expect
from intouch_import.testing.samples import HOSTILE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.content import Content
    from intouch_import.sources.base import Source
    from intouch_import.testing.places import Place

__all__ = ["bench", "content_of", "digest", "held_names", "listed", "pause", "there"]

# File systems tell times in steps of some milliseconds. A change within one step is not what is meant here.
_STEP_S = 0.03


@contextlib.contextmanager
def bench(factory: Callable[[], Place]) -> Iterator[Place]:
    """A place with an empty folder, closed when the check is over."""
    place = factory()
    try:
        yield place
    finally:
        place.close()


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def listed(source: Source) -> dict[str, SourceFile]:
    """The folder, by name."""
    found: dict[str, SourceFile] = {}
    for file in source.scan():
        expect(file.name not in found, f"{file.name!a} was listed twice")
        found[file.name] = file
    return found


def there(source: Source, name: str) -> SourceFile:
    """What stands under a name; it must be a file."""
    file = source.look(name)
    if file is None:
        broken(f"look found nothing under {name!a}, where there is a file")
    expect(file.kind is EntryKind.FILE, f"look found a {file.kind} under {name!a}, where there is a file")
    return file


def content_of(content: Content) -> bytes:
    """The bytes of a content; they must be what it says."""
    with content.open() as stream:
        data = stream.read()
    expect(len(data) == content.size_bytes, "size_bytes is not the size of what can be read")
    expect(digest(data) == content.sha256, "sha256 is not the digest of what can be read")
    return data


def held_names(place: Place) -> list[str]:
    """The hostile names that this location can hold, all written: each file contains its name.

    Where two names are one (a location that ignores letter case), the later one stands.
    """
    wanted = [name for name in HOSTILE_NAMES if name not in place.refused_names]
    for name in wanted:
        place.write(name, name.encode("utf-8", "surrogatepass"))
    held = place.names()
    lost = [name for name in wanted if name not in held and not _taken_for_another(name, held)]
    expect(not lost, f"the location spells {lost[:1]!a} otherwise: put it into refused_names")
    return sorted(held)


def _taken_for_another(name: str, held: set[str]) -> bool:
    import unicodedata

    def folded(text: str) -> str:
        return unicodedata.normalize("NFC", text).casefold()

    return folded(name) in {folded(other) for other in held}


def pause() -> None:
    """Let the clock of a file system go on, so that a change has another time."""
    time.sleep(_STEP_S)
