"""Make files of every format with a capture time in each of the places that the format has for it."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

import movies
import pictures
from movies import box

if TYPE_CHECKING:
    from collections.abc import Mapping

MAKE, MODEL, SERIAL = 0x010F, 0x0110, 0xA431
TAKEN, DIGITIZED = 0x9003, 0x9004
OFFSET, OFFSET_TAKEN, OFFSET_DIGITIZED = 0x9010, 0x9011, 0x9012
SUB_SECOND = 0x9291
EXIF_DIRECTORY = 0x8769

TEXT = "2026:01:31 14:25:01"
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"


def tiff(
    main: Mapping[int, str | bytes] | None = None,
    inner: Mapping[int, str | bytes] | None = None,
    *,
    magic: bytes = b"II*\0",
    start: int = 8,
) -> bytes:
    """Write a block of Exif: texts are ASCII entries, bytes are entries of type BYTE."""
    order = "<" if magic[:1] == b"I" else ">"
    wide = magic[2:4] in (b"+\0", b"\0+")
    number, counter, entry = ("Q", "Q", "HHQ8s") if wide else ("L", "H", "HHL4s")
    inline = 8 if wide else 4
    start = 16 if wide else start

    def size_of(tags: Mapping[int, str | bytes]) -> int:
        return struct.calcsize(order + counter) + len(tags) * struct.calcsize(order + entry) + inline

    def written(tags: Mapping[int, str | bytes], at: int, pointer: int | None = None) -> bytes:
        table, data = struct.pack(order + counter, len(tags)), b""
        for tag, value in sorted(tags.items()):
            raw = value.encode() + b"\0" if isinstance(value, str) else value
            kind, count = 2 if isinstance(value, str) else 1, len(raw)
            if tag == EXIF_DIRECTORY:
                kind, count, raw = 4, 1, struct.pack(order + "L", pointer)
            elif len(raw) > inline:
                data += raw
                raw = struct.pack(order + number, at + size_of(tags) + len(data) - len(raw))
            table += struct.pack(order + entry, tag, kind, count, raw.ljust(inline, b"\0"))
        return table + bytes(inline) + data

    tags = dict(main or {})
    if inner:
        tags[EXIF_DIRECTORY] = b""
        without = len(written(tags, start, 0))
        body = written(tags, start, start + without) + written(inner, start + without)
    else:
        body = written(tags, start)
    head = magic + (struct.pack(order + "HHQ", 8, 0, start)[:4] if wide else b"")
    return (head + struct.pack(order + number, start)).ljust(start, b"\0") + body


def xmp(**properties: str) -> bytes:
    """Write an XMP packet; a name is ``exif_DateTimeOriginal``."""
    inner = "".join(
        f"<{prefix}:{name}>{value}</{prefix}:{name}>"
        for (prefix, _, name), value in ((key.partition("_"), value) for key, value in properties.items())
    )
    return _packet("", inner)


def xmp_attributes(**properties: str) -> bytes:
    """Write an XMP packet in the short form, with attributes."""
    given = " ".join(f'{key.replace("_", ":", 1)}="{value}"' for key, value in properties.items())
    return _packet(given, "")


def _packet(attributes: str, inner: str) -> bytes:
    spaces = {
        "exif": "http://ns.adobe.com/exif/1.0/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "tiff": "http://ns.adobe.com/tiff/1.0/",
    }
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {names} {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


# --- photos


@functools.cache
def _small(kind: str) -> bytes:
    return pictures.encoded(pictures.picture(64, 48), kind)


def jpeg(*segments: bytes) -> bytes:
    """Put APP1 segments into a JPEG, before its own."""
    whole = _small("JPEG")
    written = b"".join(b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body for body in segments)
    return whole[:2] + written + whole[2:]


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Put chunks into a PNG, before its pixels."""
    whole = _small("PNG")
    written = b"".join(
        struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return whole[:33] + written + whole[33:]


def raw_profile(name: bytes, data: bytes) -> bytes:
    """Write the text of a raw profile, as ImageMagick does."""
    digits = data.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n" + name + b"\n%8d\n" % len(data) + lines.encode() + b"\n"


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """Put chunks behind the pixels of a WebP of the extended form."""
    whole = pictures.encoded(pictures.picture(64, 48), "WEBP", exif=b"Exif\0\0" + bytes(8))
    body = whole[12:]
    pixels = body[: body.index(b"EXIF")]
    flags = 8 * any(kind == b"EXIF" for kind, _ in chunks) + 4 * any(kind == b"XMP " for kind, _ in chunks)
    pixels = pixels[:8] + bytes([flags]) + pixels[9:]
    pixels += b"".join(
        kind + struct.pack("<L", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<L", 4 + len(pixels)) + b"WEBP" + pixels


def jp2(*more: bytes) -> bytes:
    """Put boxes behind a JPEG 2000."""
    return _small("JPEG2000") + b"".join(more)


XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
JXL = b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ")


def jxl(*more: bytes) -> bytes:
    """Put boxes into a JPEG XL whose picture is of one pixel."""
    return JXL + b"".join(more) + box(b"jxlc", bytes.fromhex("ff0a0010b0134800"))


def cr3(main: bytes, times: bytes) -> bytes:
    """Write the boxes of a raw photo of Canon's that have its metadata."""
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    parts = box(b"CNCV", b"CanonCR3_001/00.09.00/00.00.00") + box(b"CMT1", main) + box(b"CMT2", times)
    index = box(b"moov", box(b"uuid", canon + parts) + movies.movie_header(created_s=0, duration_s=None))
    return box(b"ftyp", b"crx \0\0\0\1crx isom") + index + box(b"mdat", bytes(1000))


def raf(photo: bytes) -> bytes:
    """Write the head of a raw photo of Fujifilm's, and the JPEG in it."""
    head = b"FUJIFILMCCD-RAW 0201FF129502" + b"X-T3".ljust(32, b"\0") + b"0100" + bytes(20)
    place = struct.pack(">LLLLLL", 160, len(photo), 160 + len(photo), 0, 160 + len(photo), 0)
    return (head + place).ljust(160, b"\0") + photo + bytes(400)


def rw2(block: bytes) -> bytes:
    """Write a raw photo of Panasonic's, without pixels."""
    return block + bytes(2000)


# --- movies


def _vint(number: int) -> bytes:
    return (number | 1 << 56).to_bytes(8, "big")


def element(kind: int, content: bytes) -> bytes:
    """Write an element of Matroska."""
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + _vint(len(content)) + content


def matroska(at: datetime | None, *, seconds: float = 12.5, before: bytes = b"") -> bytes:
    """Write a Matroska movie without pictures."""
    info = element(0x2AD7B1, b"\x0f\x42\x40") + element(0x4489, struct.pack(">d", seconds * 1000))
    if at is not None:
        ns = int((at - datetime(2001, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000_000
        info += element(0x4461, struct.pack(">q", ns))
    head = element(0x1A45DFA3, element(0x4282, b"matroska"))
    return head + element(0x18538067, before + element(0x1549A966, info) + element(0x1F43B675, bytes(100)))


def asf(at: datetime | None, *, seconds: float = 12.5) -> bytes:
    """Write the header of a Windows Media movie."""
    ticks = int((at - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000 if at else 0
    length = int((seconds + 3) * 10_000_000)
    body = bytes(16) + struct.pack("<QQQQQQLLLL", 5000, ticks, 1, length, length, 3000, 2, 3200, 3200, 1)
    properties = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + struct.pack("<Q", 24 + len(body)) + body
    other = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365") + struct.pack("<Q", 46) + bytes(22)
    head = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    return (
        head + struct.pack("<QLBB", 30 + len(other + properties), 2, 1, 2) + other + properties + bytes(500)
    )


def chunk(kind: bytes, content: bytes) -> bytes:
    """Write a chunk of RIFF."""
    return kind + struct.pack("<L", len(content)) + content + bytes(len(content) % 2)


def avi(*, in_header: bytes = b"", in_info: bytes = b"") -> bytes:
    """Write the lists of an AVI movie of 10 seconds."""
    header = struct.pack("<14L", 40_000, 0, 0, 0, 250, 0, 1, 0, 640, 480, 0, 0, 0, 0)
    parts = chunk(b"LIST", b"hdrl" + chunk(b"avih", header) + in_header)
    if in_info:
        parts += chunk(b"LIST", b"INFO" + in_info)
    parts += chunk(b"LIST", b"movi" + chunk(b"00dc", bytes(100)))
    return b"RIFF" + struct.pack("<L", 4 + len(parts)) + b"AVI " + parts


def klv(key: bytes, kind: bytes, size: int, content: bytes) -> bytes:
    """Write an entry of GoPro's format."""
    repeat = len(content) // size
    return key + kind + struct.pack(">BH", size, repeat) + content + bytes(-len(content) % 4)


def payload(*streams: bytes) -> bytes:
    """Write a payload of GoPro's format: streams of one device."""
    inner = klv(b"DVID", b"L", 4, struct.pack(">L", 1))
    inner += b"".join(klv(b"STRM", b"\0", 1, stream) for stream in streams)
    return klv(b"DEVC", b"\0", 1, inner)


def gps5(at: datetime, *, fix: int = 3) -> bytes:
    """Write a stream of the satellites, as until HERO10."""
    return (
        klv(b"GPSF", b"L", 4, struct.pack(">L", fix))
        + klv(b"GPSU", b"U", 16, at.strftime("%y%m%d%H%M%S.000").encode())
        + klv(b"SCAL", b"l", 4, struct.pack(">5l", 10_000_000, 10_000_000, 1000, 1000, 100))
        + klv(b"GPS5", b"l", 20, struct.pack(">5l", -338_000_000, 1_512_000_000, 10_000, 0, 0))
    )


def gps9(at: datetime, *, fix: int = 3) -> bytes:
    """Write a stream of the satellites, as since HERO11."""
    since = at - datetime(2000, 1, 1, tzinfo=UTC)
    entry = struct.pack(
        ">7lHH", -338_000_000, 1_512_000_000, 0, 0, 0, since.days, since.seconds * 1000, 150, fix
    )
    scales = struct.pack(">9l", 10_000_000, 10_000_000, 1000, 1000, 100, 1, 1000, 100, 1)
    return klv(b"TYPE", b"c", 1, b"lllllllSS") + klv(b"SCAL", b"l", 4, scales) + klv(b"GPS9", b"?", 32, entry)


def gopro(local: datetime, *payloads: bytes, wide: bool = False, duration_s: float = 8.0) -> bytes:
    """Write a GoPro's movie, whose index has the camera's local time, with a payload for each second."""
    head = box(b"ftyp", b"mp41" + bytes(4) + b"mp41")
    data = box(b"mdat", b"".join(payloads))
    at, offsets = len(head) + 8, []
    for one in payloads:
        offsets.append(at)
        at += len(one)
    kind, form = (b"co64", "Q") if wide else (b"stco", "L")
    count = struct.pack(">LL", 0, len(payloads))
    described = box(b"gpmd", bytes(6) + b"\0\1" + bytes(4))
    tables = box(
        b"stbl",
        box(b"stsd", struct.pack(">LL", 0, 1) + described)
        + box(b"stts", struct.pack(">LLLL", 0, 1, len(payloads), 1000))
        + box(b"stsc", struct.pack(">LLLLL", 0, 1, 1, 1, 1))
        + box(
            b"stsz",
            struct.pack(">LLL", 0, 0, len(payloads))
            + b"".join(struct.pack(">L", len(one)) for one in payloads),
        )
        + box(kind, count + b"".join(struct.pack(">" + form, one) for one in offsets)),
    )
    seconds = int((local.replace(tzinfo=UTC) - movies.EPOCH_1904).total_seconds())
    times = struct.pack(">LLLLL", 0, seconds, seconds, 1000, int(duration_s * 1000))
    handler = box(b"hdlr", bytes(8) + b"meta" + bytes(12) + b"GoPro MET\0")
    track = box(
        b"trak",
        box(b"tkhd", bytes(84))
        + box(b"mdia", box(b"mdhd", times + bytes(4)) + handler + box(b"minf", box(b"gmhd", b"") + tables)),
    )
    index = movies.movie_header(created_s=seconds, duration_s=duration_s)
    user = box(b"udta", box(b"FIRM", b"HD8.01.01.60.00") + box(b"CAME", bytes(16)))
    return head + data + box(b"moov", index + user + (track if payloads else b""))


# --- all of them


@functools.cache
def dated() -> dict[str, tuple[str, bytes]]:
    """Return files by what they are: the extension and the content of each."""
    at = datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)
    local = datetime(2026, 1, 31, 14, 25, 1)  # the camera's
    block = tiff({MAKE: "NIKON", MODEL: "D7500"}, {TAKEN: TEXT, OFFSET_TAKEN: "+11:00", SERIAL: "7001234"})
    plain = tiff({}, {TAKEN: TEXT})
    packet = xmp(exif_DateTimeOriginal="2026-01-31T14:25:01.25+11:00")
    marked = b"Exif\0\0" + block

    def exif_only(inner: Mapping[int, str | bytes], **options: object) -> bytes:
        return jpeg(b"Exif\0\0" + tiff({}, inner, **options))

    made = {
        "jpeg": ("jpg", jpeg(marked)),
        "jpeg, exif and xmp": ("jpg", jpeg(XMP_MARK + packet, marked)),
        "jpeg, big-endian": ("jpg", exif_only({TAKEN: TEXT}, magic=b"MM\0*")),
        "jpeg, digitized only": ("jpg", exif_only({DIGITIZED: TEXT, OFFSET_DIGITIZED: "+11:00"})),
        "jpeg, digitized after no original": ("jpg", exif_only({TAKEN: "0000:00:00 00:00:00", DIGITIZED: TEXT})),
        "jpeg, offset alone": ("jpg", exif_only({TAKEN: TEXT, OFFSET: "+11:00"})),
        "jpeg, short offset": ("jpg", exif_only({TAKEN: TEXT, OFFSET_TAKEN: "-5:00"})),
        "jpeg, blank offset": ("jpg", exif_only({TAKEN: TEXT, OFFSET_TAKEN: "   :  ", OFFSET: "+11:00"})),
        "jpeg, colons": ("jpg", exif_only({TAKEN: "2026:01:31:14:25:01"})),
        "jpeg, dashes and T": ("jpg", exif_only({TAKEN: "2026-01-31T14:25:01"})),
        "jpeg, slashes": ("jpg", exif_only({TAKEN: "2026/01/31 14:25:01"})),
        "jpeg, offset in the time": ("jpg", exif_only({TAKEN: "2026:01:31 14:25:01+11:00"})),
        "jpeg, sub-seconds": ("jpg", exif_only({TAKEN: TEXT, SUB_SECOND: "25"})),
        "jpeg, xmp only": ("jpg", jpeg(XMP_MARK + packet)),
        "jpeg, xmp without offset": ("jpg", jpeg(XMP_MARK + xmp(exif_DateTimeOriginal="2026-01-31T14:25:01"))),
        "jpeg, xmp attributes": ("jpg", jpeg(XMP_MARK + xmp_attributes(photoshop_DateCreated="2026-01-31T14:25:01+11:00"))),
        "jpeg, xmp created": ("jpg", jpeg(XMP_MARK + xmp(xmp_CreateDate="2026-01-31T14:25+11:00"))),
        "jpeg, another mark": ("jpg", jpeg(b"Exif\0\xff" + block)),
        "jpeg, bytes between segments": ("jpg", _jpeg_with_rest(marked)),
        "png": ("png", png((b"eXIf", block))),
        "png, xmp": ("png", png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))),
        "png, compressed xmp": ("png", png((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)))),
        "png, raw profile": ("png", png((b"tEXt", b"Raw profile type exif\0" + raw_profile(b"exif", marked)))),
        "png, compressed raw profile": (
            "png",
            png((b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile(b"exif", marked)))),
        ),
        "png, raw profile APP1": (
            "png",
            png((b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(raw_profile(b"generic", marked)))),
        ),
        "png, raw profile APP1 with xmp": (
            "png",
            png((b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(raw_profile(b"generic", XMP_MARK + packet)))),
        ),
        "png, raw profile xmp": (
            "png",
            png((b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(raw_profile(b"xmp", packet)))),
        ),
        "webp": ("webp", webp((b"EXIF", block))),
        "webp, xmp": ("webp", webp((b"XMP ", packet))),
        "tiff": ("tif", plain + bytes(100)),
        "tiff, time in the main directory": ("tif", tiff({TAKEN: TEXT}) + bytes(100)),
        "tiff, xmp": ("tif", tiff({0x02BC: packet}) + bytes(100)),
        "bigtiff": ("tif", tiff({}, {TAKEN: TEXT}, magic=b"II+\0") + bytes(100)),
        "big-endian bigtiff": ("tif", tiff({}, {TAKEN: TEXT}, magic=b"MM\0+") + bytes(100)),
        "jp2": ("jp2", jp2(box(b"uuid", b"JpgTiffExif->JP2" + block))),
        "jp2, xmp": ("jp2", jp2(box(b"uuid", XMP_UUID + packet))),
        "jxl": ("jxl", jxl(box(b"Exif", bytes(4) + block))),
        "jxl, xmp": ("jxl", jxl(box(b"xml ", packet))),
        "avif": ("avif", pictures.encoded(pictures.picture(64, 48), "AVIF", speed=10, exif=marked)),
        "avif, xmp": ("avif", pictures.encoded(pictures.picture(64, 48), "AVIF", speed=10, xmp=packet)),
        "cr3": ("cr3", cr3(tiff({MAKE: "Canon", MODEL: "Canon EOS R"}), tiff({TAKEN: TEXT, OFFSET_TAKEN: "+11:00"}))),
        "raf": ("raf", raf(jpeg(marked))),
        "rw2": ("rw2", rw2(tiff({MAKE: "Panasonic"}, {TAKEN: TEXT}, magic=b"IIU\0", start=24))),
        "rw2, jpeg": ("rw2", rw2(tiff({MAKE: "Panasonic", 0x002E: jpeg(marked)}, magic=b"IIU\0", start=24))),
        "orf": ("orf", tiff({MAKE: "OLYMPUS"}, {TAKEN: TEXT}, magic=b"IIRO") + bytes(1000)),
        "orf, big-endian": ("orf", tiff({MAKE: "OLYMPUS"}, {TAKEN: TEXT}, magic=b"MMOR") + bytes(1000)),
        "mp4": ("mp4", movies.movie_with(created=at)),
        "mov, apple": ("mov", movies.movie_with(offset_date="2026-01-31T14:25:01+1100")),
        "mp4, date": ("mp4", _with_user_data(box(b"date", b"2026-01-31T14:25:01+1100"))),
        "mp4, day": ("mp4", _with_user_data(box(b"\xa9day", b"\0\x18\x15\xc72026-01-31T14:25:01+1100"))),
        "heic, sequence": ("heic", _with_user_data(b"", at=at, brand=b"msf1")),
        "mkv": ("mkv", matroska(at)),
        "wmv": ("wmv", asf(at)),
        "avi, idit": ("avi", avi(in_header=chunk(b"IDIT", b"Sat Jan 31 14:25:01 2026\n\0"))),
        "avi, idit with slashes": ("avi", avi(in_header=chunk(b"IDIT", b"2026/ 1/31  2:25PM\0"))),
        "avi, icrd": ("avi", avi(in_info=chunk(b"ICRD", b"2026-01-31 14:25:01\0"))),
        "gopro": ("mp4", gopro(local, payload(gps5(at)))),
        "gopro, later fix": ("mp4", gopro(local, payload(gps5(at, fix=0)), payload(gps5(at)))),
        "gopro, hero11": ("mp4", gopro(local, payload(gps9(at)), wide=True)),
    }  # fmt: skip
    if find_spec("pillow_heif") is not None:
        photo = pictures.picture(64, 48)
        made["heic"] = ("heic", pictures.heic(photo, exif=marked))
        # Some programs leave out the distance to the header.
        made["heic, bare"] = ("heic", _without_distance(made["heic"][1], block))
        made["heic, xmp"] = ("heic", _heic_with_xmp(packet))
    return made


def _without_distance(content: bytes, block: bytes) -> bytes:
    at = content.index(block)
    start = content.rindex(b"\0\0\0", 0, at - 6)
    return content[:start] + block + bytes(at - start) + content[at + len(block) :]


def _jpeg_with_rest(segment: bytes) -> bytes:
    whole = jpeg(segment)
    return whole[:2] + b"\xff\xfe\0\4no" + bytes(16) + b"\xff\xff" + whole[2:]


def _with_user_data(data: bytes, *, at: datetime | None = None, brand: bytes = b"mp41") -> bytes:
    seconds = int((at - movies.EPOCH_1904).total_seconds()) if at is not None else 0
    index = movies.movie_header(created_s=seconds, duration_s=None) + box(b"udta", data)
    return box(b"ftyp", brand + bytes(4) + brand) + box(b"moov", index) + box(b"mdat", bytes(100))


def _heic_with_xmp(packet: bytes) -> bytes:
    import pillow_heif

    heif = pillow_heif.from_pillow(pictures.picture(64, 48))
    heif.info["xmp"] = packet
    out = io.BytesIO()
    heif.save(out, quality=60)
    return out.getvalue()
