"""`read_name`: what a file name says about the files that may belong to it.

Pure. The names of phones, cameras, Lightroom and Google Takeout are known:

- ``IMG_E1234.JPG`` and ``IMG_O1234.AAE`` of an iPhone are about ``IMG_1234``;
- Takeout writes ``IMG_1234-edited.jpg``, and ``IMG_1234.JPG.supplemental-metadata.json`` for
  ``IMG_1234.JPG``: cut to 46 characters before ``.json``, and with ``(1)`` at another place;
- a Pixel phone writes ``PXL_….MP.jpg`` and ``PXL_….MP``, ``PXL_….RAW-01.COVER.jpg`` and its ``.dng``;
- a GoPro writes ``GX010123.MP4`` and ``GL010123.LRV``;
- a sidecar is ``IMG_1234.xmp`` or ``IMG_1234.CR2.xmp``.

Sources: Apple's export (osxphotos documents the names), Google's help on Takeout, GoPro's *Camera file naming
convention*, Adobe's *XMP specification, part 3*.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import attrs

from intouch_import.model import normal_form

__all__ = [
    "ADDITIONS",
    "SIDECAR_EXTENSIONS",
    "TAKEOUT_STEM",
    "Family",
    "Form",
    "ParsedName",
    "folded",
    "has_time",
    "is_sidecar",
    "owners_of",
    "read_name",
]


class Family(enum.StrEnum):
    """The sort of a file, by its extension."""

    STILL = "still"
    RAW = "raw"
    MOVIE = "movie"
    OTHER = "other"
    SIDECAR = "sidecar"
    """Edits or metadata of another file: it shows nothing by itself."""
    PREVIEW = "preview"
    """A small picture or movie that a camera writes beside a movie."""


class Form(enum.StrEnum):
    """Which form of a photo a name says it is."""

    PLAIN = "plain"
    COVER = "cover"
    EDITED = "edited"
    FRAME = "frame"
    """A frame of a burst that is not its cover."""
    ORIGINAL = "original"
    """The unprocessed photo beside the cover."""


_EXTENSIONS: Final = {
    Family.STILL: "jpg jpeg jpe jfif jif heic heif hif avif webp png tif tiff",
    Family.RAW: "dng cr2 cr3 crw nef nrw arw sr2 srf raf rw2 rwl raw orf pef srw 3fr iiq x3f erf mef mos mrw"
    " kdc dcr gpr",
    Family.MOVIE: "mov mp4 m4v mp avi mts m2ts mpg mpeg 3gp wmv mkv webm 360",
    Family.SIDECAR: "aae xmp json",
    Family.PREVIEW: "thm lrv lrf",
}
ADDITIONS: Final = frozenset({Family.SIDECAR, Family.PREVIEW})
"""Files that only add to another file."""
_FAMILIES: Final = {ext: family for family, words in _EXTENSIONS.items() for ext in words.split()}
SIDECAR_EXTENSIONS: Final = tuple(ext for ext, family in _FAMILIES.items() if family in ADDITIONS)
# Of two forms of one photo, staff see the one that every program shows.
_SHOWN_FIRST: Final = {ext: at for at, ext in enumerate(_EXTENSIONS[Family.STILL].split())}

_IPHONE: Final = re.compile(r"(img_)([eo])(\d{4,}.*)", re.ASCII)
_EDITED: Final = re.compile(
    r"(.+?)(?:-(?:edited|bearbeitet|bewerkt|editado|editada|modifi\u00e9|modificato|edytowane|redigeret|redigerad)"
    r"|~\d{1,2})(\(\d{1,3}\))?"
)
_PIXEL: Final = re.compile(
    r"(.+?)\.(?:mp|(?:raw|portrait|burst|night)-\d{1,3}(?:\.(cover|original))?)(~\d{1,2})?"
)
_BURST: Final = re.compile(
    r"\d{5}(?:img|[a-z]*portrait)_\d{5}_(burst\d{17})(_cover)?|(.+)_burst\d{2,4}(_cover)?|(.+)\.burst-\d{1,3}(\.cover)?",
    re.ASCII,
)
_GOPRO: Final = re.compile(r"g[hxl](\d{6})", re.ASCII)
_TIME: Final = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?:([-._]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01]))"
    r"(?:[-_ t.]|(?=\d{6}(?:\d{3})?(?!\d)))"
    r"(?:[01]\d|2[0-3])[-._h]?[0-5]\d[-._m]?[0-5]\d(?:[._]?\d{3})?(?!\d)",
    re.ASCII,
)
# A clock without a battery starts again at New Year's midnight, as often as it is switched on.
_RESET: Final = re.compile(r"\d{4}[-._]?01[-._]?01[-_ t.]?00", re.ASCII)

_TAKEOUT_WORD: Final = ".supplemental-metadata"
TAKEOUT_STEM: Final = 46
"""Google Takeout cuts the names of its metadata to so many characters before ``.json``."""
_NUMBERED: Final = re.compile(r"(.+)(\(\d{1,3}\))", re.ASCII | re.DOTALL)


@attrs.frozen
class ParsedName:
    """What a file name says.

    Args:
        name: The name, as written.
        stem: What the names of one photo have in common, without letter case; empty for `Family.OTHER`.
        family: The sort of the file.
        form: The form of the photo.
        burst: What the names of one burst have in common; empty if it is no burst.
        rank: In which order files of one stem are the owner.
    """

    name: str
    stem: str
    family: Family
    form: Form = Form.PLAIN
    burst: str = ""
    rank: tuple[int, int, int, str] = (0, 0, 0, "")


def has_time(text: str) -> bool:
    """Return whether a folded stem has a date and a time with seconds, of a clock that was set."""
    found = _TIME.search(text)
    return found is not None and _RESET.match(found[0]) is None


def folded(name: str) -> str:
    """Return a name as it is compared: macOS decomposes letters, and cameras use both letter cases."""
    return name.lower() if name.isascii() else normal_form("NFC", name).casefold()


def is_sidecar(name: str, /) -> bool:
    """Return whether a file of this name only adds to another file: ``.aae .xmp .json .thm .lrv .lrf``."""
    return _FAMILIES.get(folded(name.rpartition(".")[2])) in ADDITIONS and "." in name.lstrip(".")


_FAMILY_RANKS: Final = {family: at for at, family in enumerate(Family)}
_FORM_RANKS: Final = {
    form: at for at, form in enumerate((Form.COVER, Form.PLAIN, Form.FRAME, Form.ORIGINAL, Form.EDITED))
}


def read_name(name: str, /) -> ParsedName:
    """Read what a file name says about its companions.

    Args:
        name: Base name with its extension, no folder.
    """
    stem, dot, extension = folded(name).rpartition(".")
    family = _FAMILIES.get(extension, Family.OTHER) if dot and stem.strip(".") else Family.OTHER
    if family is Family.OTHER:
        return ParsedName(name, "", family, rank=(_FAMILY_RANKS[family], 0, 0, name))
    form, burst = Form.PLAIN, ""
    # Most names need none of the expressions.
    if "burst" in stem and (found := _BURST.fullmatch(stem)):
        burst = next(filter(None, found.group(1, 3, 5)))
        form = Form.COVER if any(found.group(2, 4, 6)) else Form.FRAME
    elif "." in stem and (found := _PIXEL.fullmatch(stem)):
        form = {None: Form.PLAIN, "cover": Form.COVER, "original": Form.ORIGINAL}[found[2]]
        stem, form = found[1], Form.EDITED if found[3] else form
    elif stem.startswith(("img_e", "img_o")) and (found := _IPHONE.fullmatch(stem)):
        stem, form = found[1] + found[3], Form.EDITED
    elif ("-" in stem or "~" in stem) and (found := _EDITED.fullmatch(stem)):
        stem, form = found[1] + (found[2] or ""), Form.EDITED
    elif stem[:1] == "g" and (found := _GOPRO.fullmatch(stem)):
        stem = f"gopro {found[1]}"
    rank = (_FAMILY_RANKS[family], _FORM_RANKS[form], _SHOWN_FIRST.get(extension, 99), name)
    return ParsedName(name, stem, family, form, burst, rank)


def owners_of(name: str, /) -> tuple[list[str], str]:
    """Return the names of files that a sidecar may belong to by its whole name, folded.

    Args:
        name: The sidecar's name.

    Returns:
        Full names, the likeliest first: ``img.cr2`` for ``IMG.CR2.xmp``, ``img(1).jpg`` for
        ``IMG.JPG.supplemental-metadata(1).json``. And the start of a longer name that Takeout has cut; empty
        if it is not cut.
    """
    base, _, extension = folded(name).rpartition(".")
    if extension != "json":
        return [base], ""
    number = ""
    if found := _NUMBERED.fullmatch(base):
        base, number = found[1], found[2]
    title, dot, word = base.rpartition(".")
    bare = title if title and _TAKEOUT_WORD.startswith(dot + word) else base
    names = []
    for full in dict.fromkeys((bare, base)):
        stem, dot, extension = full.rpartition(".")
        names.append(f"{stem}{number}{dot}{extension}" if number and dot else full + number)
    if number:
        names.append(base + number)
    return names, bare if len(base) >= TAKEOUT_STEM and not number else ""
