"""Fuzz the capture names: whatever a name is, it is read whole and written back exactly, or not read at all."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["intouch_import"]):
    from intouch_import.errors import CaptureNameError, NamingPatternError
    from intouch_import.extensions import classify
    from intouch_import.filenames import DEFAULT_PATTERN, CaptureNaming

import fuzzing

PATTERNS = (
    DEFAULT_PATTERN,
    "{provider}-{patient:[0-9]{5}}-{taken:%d%m%Y}T{taken:%H%M%S}",
    "IMG {taken:%Y.%m.%d %H.%M.%S} ({patient}) by {provider}[ #{sequence}]",
)
NAMINGS = [CaptureNaming(pattern) for pattern in PATTERNS]
SEEDS = [
    b"\0" + name.encode()
    for name in (
        "10042_DRJ_20260131_142501.jpg",
        "10042_DRJ_20260131_142501_2.JPG",
        "DRJ-10042-31012026T142501.jpeg",
        "IMG 2026.01.31 14.25.01 (10042) by DRJ #7.png",
        "10042_DRJ_20260230_142501.jpg",
    )
] + [b"\1" + pattern.encode() for pattern in PATTERNS]


def look(data: bytes) -> None:
    """Take the first byte as the choice: read the rest as a name, or as a pattern."""
    text = data[1:].decode("utf-8", "surrogateescape")
    if data[:1] == b"\1":
        try:
            naming = CaptureNaming(text)
        except NamingPatternError:
            return
        read(naming, "10042_DRJ_20260131_142501.jpg")
        return
    if text:
        classify(text)
    for naming in NAMINGS:
        read(naming, text)


def read(naming: CaptureNaming, name: str) -> None:
    """Read a name; what was read must be written back as it was."""
    try:
        found = naming.parse(name)
    except CaptureNameError:
        return
    if found is not None and naming.format(found) != name:
        raise AssertionError("a name was read that is not written back")


if __name__ == "__main__":
    fuzzing.run(look, SEEDS, longest_bytes=200)
