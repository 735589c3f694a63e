"""Documents: PDF, ZIP and what is made of it, DICOM, Photo CD."""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pictures
from corpus.files import Whole, photo, saved, several
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator


def files() -> Iterator[Whole]:
    """Make documents of each format."""
    yield from _pdf()
    yield from _zip()
    yield from _dicom()
    yield Whole.of("photo cd", Kind.PCD, "pcd", pictures.photo_cd())


# --- PDF


def _pdf() -> Iterator[Whole]:
    plain = saved(photo(), "PDF")
    made = {
        "one page": plain,
        "grey": saved(photo("L"), "PDF"),
        "black and white": saved(photo("1", 900, 700), "PDF"),
        "three pages": several("PDF"),
        "line feeds at the end": plain + b"\r\n\r\n",
        "updated": plain + _update(plain),
    }
    if find_spec("pikepdf") is not None:
        import pikepdf

        for name, how in {
            "rewritten": {},
            "linearized": {"linearize": True},
            "in streams": {"object_stream_mode": pikepdf.ObjectStreamMode.generate},
            "linearized in streams": {
                "linearize": True,
                "object_stream_mode": pikepdf.ObjectStreamMode.generate,
            },
        }.items():
            out = io.BytesIO()
            with pikepdf.open(io.BytesIO(several("PDF"))) as document:
                document.save(out, **how)
            made[name] = out.getvalue()
    for name, content in made.items():
        called = "pdf, linearized" if name.startswith("linearized") else ""
        yield Whole.of(f"pdf {name}", Kind.PDF, "pdf", content, called=called)


def _update(content: bytes) -> bytes:
    """Return what a program appends that changes a document: a new version of an object, and its index."""
    at = len(content) + 1
    info = b"9999 0 obj\n<< /Note (" + b"x" * 6000 + b") >>\nendobj\n"
    where = content.rindex(b"startxref")
    earlier = int(content[where:].split()[1])
    table = b"xref\n9999 1\n%010d 00000 n \ntrailer\n<< /Size 10000 /Root 1 0 R /Prev %d >>\n" % (at, earlier)
    return b"\n" + info + table + b"startxref\n%d\n%%%%EOF\n" % (at + len(info))


# --- ZIP


def _archive(
    parts: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"", stream: bool = False
) -> bytes:
    out = io.BytesIO()
    target = _OnlyWritable(out) if stream else out
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 31, 14, 25, 0)), content, method)
        archive.comment = comment
    return out.getvalue()


class _OnlyWritable(io.RawIOBase):
    """A stream that can't go back: `zipfile` then writes the sizes behind each part."""

    def __init__(self, out: io.BytesIO) -> None:
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, content: object, /) -> int:
        return self._out.write(content)


def _zip() -> Iterator[Whole]:
    parts = {f"photo {number}.jpg": pictures.random_bytes(9000, number) for number in range(4)}
    for name, how in {
        "stored": {"method": zipfile.ZIP_STORED},
        "deflated": {},
        "with a comment": {"comment": b"a comment"},
        "written as a stream": {"stream": True},
    }.items():
        yield Whole.of(f"zip {name}", Kind.ZIP, "zip", _archive(parts, **how))
    types = (
        b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
    )
    picture = saved(photo(), "JPEG")
    for extension, body in {
        "docx": "word/document.xml",
        "xlsx": "xl/workbook.xml",
        "pptx": "ppt/presentation.xml",
    }.items():
        office = {
            "[Content_Types].xml": types,
            body: b"<a>" + b"text " * 900 + b"</a>",
            "media/image1.jpeg": picture,
        }
        yield Whole.of(extension, Kind.ZIP, extension, _archive(office), called=extension)
        if extension == "docx":
            yield Whole.of(
                "docx as a stream", Kind.ZIP, extension, _archive(office, stream=True), called=extension
            )
    letter = {
        "mimetype": b"application/vnd.oasis.opendocument.text",
        "content.xml": b"<a/>",
        "Pictures/1.jpg": picture,
    }
    yield Whole.of("odt", Kind.ZIP, "odt", _archive(letter), called="odt")


# --- DICOM


def _dicom() -> Iterator[Whole]:
    if find_spec("pydicom") is None:
        return
    from pydicom.encaps import encapsulate
    from pydicom.uid import (
        MPEG4HP41,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        RLELossless,
    )

    raw = photo("RGB", 160, 120).tobytes()
    jpeg, j2k = saved(photo(), "JPEG"), saved(photo(), "JPEG2000", no_jp2=True)
    packed = pictures.random_bytes(9000)
    for name, syntax, frames, content in (
        ("explicit", ExplicitVRLittleEndian, 1, raw),
        ("implicit", ImplicitVRLittleEndian, 1, raw),
        ("big-endian", ExplicitVRBigEndian, 1, raw),
        ("deflated", DeflatedExplicitVRLittleEndian, 1, raw),
        ("frames", ExplicitVRLittleEndian, 3, raw * 3),
        ("jpeg", JPEGBaseline8Bit, 1, encapsulate([jpeg])),
        ("jpeg frames", JPEGBaseline8Bit, 3, encapsulate([jpeg] * 3)),
        ("jpeg 2000", JPEG2000Lossless, 1, encapsulate([j2k])),
        ("run lengths", RLELossless, 1, encapsulate([packed])),
        ("movie", MPEG4HP41, 1, encapsulate([packed * 3], has_bot=False)),
    ):
        made = _dataset(syntax, frames, content, encapsulated=syntax.is_encapsulated)
        called = "dicom, deflated" if syntax.is_deflated else ""
        yield Whole.of(f"dicom {name}", Kind.DICOM, "dcm", made, called=called)


def _dataset(syntax: str, frames: int, content: bytes, *, encapsulated: bool) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.filewriter import dcmwrite

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.4"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    header = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    header.StudyDate, header.StudyTime = "20260131", "142501"
    header.PatientName, header.PatientID = "Doe^Jane", "10042"
    header.Rows, header.Columns, header.SamplesPerPixel = 120, 160, 3
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation, header.PlanarConfiguration = 7, 0, 0
    header.PhotometricInterpretation = "RGB"
    if frames > 1:
        header.NumberOfFrames = frames
    header.PixelData = content
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = encapsulated
    out = io.BytesIO()
    explicit = str(syntax) != "1.2.840.10008.1.2"
    dcmwrite(out, header, implicit_vr=not explicit, little_endian=not str(syntax).endswith("1.2.2"))
    return out.getvalue()
