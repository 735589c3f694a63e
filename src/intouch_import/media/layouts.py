"""Read what the samples of a picture mean, before it is decoded. Runs in the decoding process only.

Pillow decodes more layouts than it shows right: it drops what a palette, a colour space or a photometric
interpretation says. A layout that is not in the tables of this module has no thumbnail.

Formats: TIFF 6.0; ISO/IEC 15444-1, annex I (``colr``); ISO/IEC 23008-12 and 23000-22 (``colr``, ``clap``);
ITU-T H.273 (the numbers of colour spaces); PNG, third edition.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.media.boxes import Reader, boxes, find_box
from intouch_import.media.colour_spaces import Colours
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL import Image

__all__ = ["Layout", "is_turned_by_xmp_alone", "read_layout"]

# --- TIFF: tags and their values
_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANES, _COLOUR_MAP = 258, 259, 262, 284, 320
_INKS, _SAMPLE_FORMAT, _MOST = 332, 339, 281
_ORIENTATION: Final = 274
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_GREY: Final = frozenset({_WHITE_IS_ZERO, _BLACK_IS_ZERO})
_SHOWN: Final = _GREY | {_RGB, _PALETTE, _SEPARATED, _YCBCR, _LAB}
_SEPARATE_PLANES: Final = 2
_UNSIGNED, _FLOAT = 1, 3
_CMYK_INKS: Final = 1
_NEW_JPEG: Final = 7
_SMALL_VALUES: Final = 256
_MOST_OF_16: Final = 65535

# --- PNG
_SRGB_GAMMA: Final = 0.45455
_GAMMA_TOLERANCE: Final = 0.03
_KEY_SCALES: Final = {"L;2": 85, "L;4": 17, "L": 1, "RGB": 1, "I;16B": 1}
"""For each raw mode whose transparent colour can be compared: by what Pillow multiplied the samples."""

_XMP: Final = frozenset({"xmp", "XML:com.adobe.xmp"})

# --- JPEG 2000
_ENUMERATED, _ICC = b"\1", b"\2"
_SYCC: Final = 18
_ICC_SPACES: Final = {b"RGB ": "RGB", b"GRAY": "L"}
_CHANNEL: Final = struct.Struct(">HHH")
_COMPONENTS_AT: Final = 40
_SIGNED: Final = 0x80
_JPEG_2000_COLOURS: Final = {16: "RGB", 17: "L", 18: "RGB", 12: "CMYK", 0: "1", 15: "1"}

# --- ISO media files
_COLR: Final = struct.Struct(">4sHHH")
_CLAP: Final = struct.Struct(">LLLLlLlL")


@attrs.frozen(kw_only=True)
class Layout:
    """What must be known to show the decoded samples.

    Args:
        inverted: Whether zero is white, and Pillow does not know that.
        bits: Bits of a grey sample; None if its values show it.
        palette: The palette, if Pillow's is wrong.
        key: The transparent colour, as Pillow's samples.
        profile: The ICC profile, if Pillow does not find it.
        colours: The colour space, if there is no profile.
        most: If no sample is larger than this, the picture can't be shown.
        crop: The part to show, as left, top, right and bottom, if Pillow does not crop.
    """

    inverted: bool = False
    bits: int | None = 16
    palette: bytes | None = None
    key: tuple[int, ...] | None = None
    profile: bytes | None = attrs.field(default=None, repr=False)
    colours: Colours | None = None
    most: int = -1
    crop: tuple[int, int, int, int] | None = None


def read_layout(image: Image.Image, file: BinaryIO, size_bytes: int, kind: Kind) -> Layout | None:
    """Return the layout of an opened picture that is not yet decoded; None if it can't be shown right."""
    if kind is Kind.TIFF:
        return _of_tiff(image)
    if kind is Kind.PNG:
        return _of_png(image)
    if kind is Kind.JPEG:
        # Without Adobe's mark, nothing says whether the inks are inverted.
        return Layout() if image.mode != "CMYK" or "adobe" in image.info else None
    if kind not in {Kind.JP2, Kind.J2K, Kind.AVIF, Kind.HEIC}:
        return Layout()
    position = file.tell()
    try:
        reader = Reader(file, size_bytes)
        if kind in {Kind.AVIF, Kind.HEIC}:
            return _of_heif(image, reader, kind)
        if kind is Kind.JP2:
            return _of_jpeg_2000(image, reader)
        # Without a file format around it, nothing says what two or four components are.
        return Layout() if _are_plain(reader, 0, {1, 3}) else None
    finally:
        file.seek(position)


def is_turned_by_xmp_alone(image: Image.Image) -> bool:
    """Return whether only XMP says how to turn a picture: Pillow believes that, and most viewers do not."""
    from PIL import Image

    if image.getexif().get(_ORIENTATION, 1) == 1:
        return False
    without = Image.new("1", (1, 1))
    without.info = {name: value for name, value in image.info.items() if name not in _XMP}
    return _ORIENTATION not in without.getexif()


def _of_tiff(image: Image.Image) -> Layout | None:
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    if _ORIENTATION not in tags and image.getexif().get(_ORIENTATION, 1) != 1:
        return None  # Pillow believes XMP; see below
    photometric, bits = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO), tuple(tags.get(_BITS, (1,)))
    formats = set(tags.get(_SAMPLE_FORMAT, (_UNSIGNED,)))
    if photometric not in _SHOWN or (formats != {_UNSIGNED} and (formats != {_FLOAT} or image.mode != "F")):
        return None
    if image.mode == "I" or (len(bits) > 1 and tags.get(_PLANES) == _SEPARATE_PLANES and set(bits) != {8}):
        return None
    if photometric == _YCBCR and tags.get(_COMPRESSION) != _NEW_JPEG:
        return None  # Pillow expects colours of full resolution
    if photometric == _SEPARATED and tags.get(_INKS, _CMYK_INKS) != _CMYK_INKS:
        return None
    if photometric == _PALETTE:
        return Layout(palette=_palette_of_bytes(tags.get(_COLOUR_MAP, ())))
    if photometric in _GREY:
        # Of 16 bits, cameras and X-ray machines often use 10, 12 or 14, and no tag says so.
        all_bits = bits != (16,) or _MOST_OF_16 in tags.get(_MOST, ())
        deep = image.mode.startswith(("I", "F"))
        decoder, rawmode = _decoding_of(image)
        if image.mode == "F" and decoder == "libtiff" and rawmode.endswith("BF"):
            return None  # Pillow swaps the bytes, but libtiff did so already
        return Layout(inverted=photometric == _WHITE_IS_ZERO and deep, bits=bits[0] if all_bits else None)
    # Pillow keeps the upper 8 of 16 bits of a colour: of 14 bits or fewer, too little is left.
    return Layout(most=63 if max(bits) > 8 else -1)  # noqa: PLR2004


def _decoding_of(image: Any) -> tuple[str, str]:
    """Return the names of Pillow's decoder and of the order of samples that it reads."""
    decoder, _, _, options = image.tile[0]
    return decoder, options if isinstance(options, str) else options[0]


def _palette_of_bytes(colour_map: tuple[int, ...]) -> bytes | None:
    """Return a palette with values of 8 bits in its fields of 16, as old scanners write it."""
    if not colour_map or max(colour_map) >= _SMALL_VALUES:
        return None
    third = len(colour_map) // 3
    return bytes(colour_map[third * band + number] for number in range(third) for band in range(3))


def _of_png(image: Image.Image) -> Layout | None:
    info = image.info
    gamma = info.get("gamma", _SRGB_GAMMA)
    if abs(gamma - _SRGB_GAMMA) > _GAMMA_TOLERANCE and "icc_profile" not in info and "srgb" not in info:
        return None
    key = info.get("transparency")
    if key is None or image.mode in {"P", "PA"}:
        return Layout()
    _, rawmode = _decoding_of(image)
    if image.mode == "1":
        return Layout(key=(key,))
    scale = _KEY_SCALES.get(rawmode)
    if scale is None:
        return None
    return Layout(key=tuple(value * scale for value in (key if isinstance(key, tuple) else (key,))))


def _of_jpeg_2000(image: Image.Image, reader: Reader) -> Layout | None:
    header = find_box(reader, 0, reader.size_bytes, b"jp2h")
    codestream = find_box(reader, 0, reader.size_bytes, b"jp2c")
    if header is None or codestream is None:
        return None
    found: dict[bytes, bytes] = {}
    for box in boxes(reader, header.start, header.end):
        found.setdefault(box.kind, reader.at(box.start, box.end - box.start))
    colour, channels = found.get(b"colr", b""), found.get(b"cdef", b"")[2:]
    method, number = colour[:1], int.from_bytes(colour[3:7], "big")
    uses = [_CHANNEL.unpack_from(channels, at) for at in range(0, len(channels) - 5, _CHANNEL.size)]
    # Pillow takes the channels in the order in which they are.
    if any(use == 0 and colour_number != channel + 1 for channel, use, colour_number in uses):
        return None
    if image.mode in {"LA", "PA", "RGBA"} and not any(use for _, use, _ in uses):
        return None  # a channel of unknown use, not of transparency
    mode, layout = _JPEG_2000_COLOURS.get(number) if method == _ENUMERATED else None, Layout()
    if method == _ICC:
        mode, layout = _ICC_SPACES.get(colour[3 + 16 : 3 + 20]), Layout(profile=colour[3:])
    if image.mode.removesuffix("A") not in {mode, "P"} and (mode, image.mode) != ("L", "I;16"):
        return None
    count = {"LA": 2, "PA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(image.mode, 1)
    # Pillow enlarges the colours of sYCC only.
    subsampled = method == _ENUMERATED and number == _SYCC
    return layout if _are_plain(reader, codestream.start, {count}, subsampled=subsampled) else None


def _are_plain(reader: Reader, start: int, counts: set[int], *, subsampled: bool = False) -> bool:
    """Return whether the components of a codestream are unsigned, of one depth and of full resolution."""
    content = reader.at(start + _COMPONENTS_AT, 2 + 3 * max(counts))
    count = int.from_bytes(content[:2], "big")
    if count not in counts or len(content) < 2 + 3 * count:
        return False
    parts = [content[at : at + 3] for at in range(2, 2 + 3 * count, 3)]
    depths = {part[:1] for part in parts}
    full = subsampled or all(part[1:] == b"\1\1" for part in parts)
    return full and len(depths) == 1 and not depths.pop()[0] & _SIGNED


def _of_heif(image: Image.Image, reader: Reader, kind: Kind) -> Layout | None:
    meta = find_box(reader, 0, reader.size_bytes, b"meta")
    properties = None if meta is None else find_box(reader, meta.start + 4, meta.end, b"iprp", b"ipco")
    found: set[Colours] = set()
    crops: list[tuple[int, int, int, int] | None] = []
    for box in boxes(reader, properties.start, properties.end) if properties is not None else ():
        if box.kind == b"clap" and kind is Kind.AVIF:
            crops.append(_crop(reader.at(box.start, _CLAP.size), image.size))
        content = reader.at(box.start, _COLR.size)
        if box.kind == b"colr" and content.startswith(b"nclx") and len(content) == _COLR.size:
            _, primaries, transfer, _ = _COLR.unpack(content)
            found.add(Colours(primaries, transfer))
    if "icc_profile" in image.info:
        found.clear()
    # Of several, this does not show which one is that of the first picture.
    if len(found) > 1 or len(crops) > 1 or None in crops:
        return None
    return Layout(colours=found.pop() if found else None, crop=crops[0] if crops else None)


def _crop(content: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the part of a picture that the box ``clap`` gives by its size and the offset of its centre."""
    if len(content) < _CLAP.size:
        return None
    numbers = _CLAP.unpack(content)
    if 0 in numbers[1::2]:
        return None
    width, height, right, down = (Fraction(*numbers[at : at + 2]) for at in (0, 2, 4, 6))
    left, top = (size[0] - width) / 2 + right, (size[1] - height) / 2 + down
    crop = (round(left), round(top), round(left + width), round(top + height))
    inside = 0 <= crop[0] < crop[2] <= size[0] and 0 <= crop[1] < crop[3] <= size[1]
    return crop if inside else None
