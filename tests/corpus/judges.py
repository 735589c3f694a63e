"""Programs that judge files independently of the library. Each is optional: the output names those that are missing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from PIL import Image

from services.cache import Unavailable
from services.debian import find_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["JUDGES", "Judge", "Opinion", "Tool", "find_tools"]

_WITHIN_S = 60
_AT_ONCE = 100
THUMBNAIL_PX = 32


@attrs.frozen(kw_only=True)
class Opinion:
    """What one judge says of one file. None: nothing.

    Args:
        mime: The media type.
        whole: Whether the judge could read all of it.
        times: Capture times: naive if the file has no offset.
        pixels: The picture, upright, in 32 by 32 pixels of RGB.
    """

    mime: str | None = None
    whole: bool | None = None
    times: tuple[datetime, ...] = ()
    pixels: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Tool:
    """A program that was found, and the environment that it needs."""

    path: str
    environment: dict[str, str] = attrs.field(repr=False)

    def run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes] | None:
        """Run the program; None if it takes too long."""
        try:
            return subprocess.run(
                [self.path, *arguments],
                input=given,
                capture_output=True,
                timeout=_WITHIN_S,
                env=self.environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None


@attrs.frozen
class Judge:
    """A judge.

    Args:
        name: The name in tables.
        programs: The names that its program may have.
        package: The package of Debian that has the program.
        ask: Asks about some files.
        mimes: The media types that it is asked about, as a pattern.
    """

    name: str
    programs: tuple[str, ...]
    package: str
    ask: Callable[[Tool, Sequence[Path]], dict[Path, Opinion]]
    mimes: str = ""


def find_tools(*, fetch: bool) -> dict[str, Tool]:
    """Find the programs of the judges.

    Args:
        fetch: Unpack those that are missing from the packages of Debian.
    """
    found = {}
    for judge in JUDGES:
        path = next(filter(None, map(shutil.which, judge.programs)), None)
        if path is not None:
            found[judge.name] = Tool(path, dict(os.environ))
        elif fetch and judge.name != "imagemagick":  # it would not find its own parts
            with contextlib.suppress(Unavailable):
                programs = find_programs(judge.programs[0], packages=(judge.package,))
                found[judge.name] = Tool(programs[judge.programs[0]], programs.environment)
    return found


# --- one call for many files


def _exiftool(tool: Tool, paths: Sequence[Path]) -> dict[Path, Opinion]:
    tags = (
        "MIMEType",
        "DateTimeOriginal",
        "CreateDate",
        "CreationDate",
        "MediaCreateDate",
        "DateTimeDigitized",
    )
    offsets = ("OffsetTimeOriginal", "OffsetTimeDigitized", "OffsetTime")
    options = [
        "-j",
        "-a",
        "-G1",
        "-m",
        "-charset",
        "filename=utf8",
        *(f"-{tag}" for tag in (*tags, *offsets)),
    ]
    found: dict[Path, Opinion] = {}
    for some in _parts(paths):
        done = tool.run(
            *options, "-@", "-", given="\n".join(map(str, some)).encode("utf-8", "surrogateescape")
        )
        if done is None or not done.stdout.strip():
            continue
        by_path = {str(path): path for path in some}
        for entry in json.loads(done.stdout):
            if (path := by_path.get(entry["SourceFile"])) is not None:
                found[path] = Opinion(mime=entry.get("File:MIMEType"), times=_times(entry))
    return found


_DATE = re.compile(r"(\d{4})\D(\d\d)\D(\d\d)\D(\d\d):(\d\d):(\d\d)(?:\.(\d+))?\s*(Z|[+-]\d\d:?\d\d)?")


def _times(entry: dict[str, object]) -> tuple[datetime, ...]:
    """Return the times that exiftool found. Those of movies are in UTC. A PDF has none of a capture."""
    named = {name.partition(":")[2]: str(value) for name, value in entry.items() if "Offset" in name}
    offset = next(iter(named.values()), "")
    found = []
    for name, value in entry.items():
        group = name.partition(":")[0]
        if "Offset" in name or group == "PDF" or not (match := _DATE.match(str(value))):
            continue
        try:
            time = datetime(*map(int, match.groups()[:6]))
        except ValueError:
            continue
        zone = match[8] or (offset if group == "ExifIFD" else "")
        if group.startswith(("QuickTime", "Track")) or group == "Matroska":
            zone = zone or "Z"
        if time.year >= 1990:
            found.append(time.replace(tzinfo=_zone(zone)))
    return tuple(found)


def _zone(text: str) -> timezone | None:
    if text == "Z":
        return UTC
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)


def _file(tool: Tool, paths: Sequence[Path]) -> dict[Path, Opinion]:
    found = {}
    for some in _parts(paths):
        done = tool.run("--mime-type", "--brief", "--no-pad", "--", *map(str, some))
        if done is not None:
            lines = done.stdout.decode("utf-8", "replace").splitlines()
            if len(lines) == len(some):
                found |= {path: Opinion(mime=line) for path, line in zip(some, lines, strict=True)}
    return found


def _parts(paths: Sequence[Path]) -> Iterable[Sequence[Path]]:
    return (paths[at : at + _AT_ONCE] for at in range(0, len(paths), _AT_ONCE))


# --- one call for one file

_BROKEN = re.compile(rb"(?i)corrupt|premature|truncat|error|invalid|unexpected|missing|exceeds|not enough")
# The judge lacks a decoder, or the layout is none of those that it reads: it says nothing of the file.
_UNABLE = re.compile(
    rb"(?i)not a known|unsupported|not supported|no decode delegate|unable to load|not configured"
)


def _opinion(done: subprocess.CompletedProcess[bytes] | None, pixels: bytes | None = None) -> Opinion:
    """Call a file whole that a program reads without an error and without a complaint."""
    if done is None or _UNABLE.search(done.stderr):
        return Opinion()
    whole = done.returncode == 0 and not _BROKEN.search(done.stderr)
    return Opinion(whole=whole, pixels=pixels if whole else None)


def _one_by_one(*arguments: str, target: str = "{}") -> Callable[[Tool, Sequence[Path]], dict[Path, Opinion]]:
    """Return a judge that starts its program for each file."""

    def ask(tool: Tool, paths: Sequence[Path]) -> dict[Path, Opinion]:
        given = {
            path: [part.replace("{}", str(path)) for part in (*arguments, target) if part] for path in paths
        }
        return {path: _opinion(tool.run(*parts)) for path, parts in given.items()}

    return ask


def _vips(tool: Tool, paths: Sequence[Path]) -> dict[Path, Opinion]:
    found = {}
    for path in paths:
        with tempfile.NamedTemporaryFile(suffix=".png") as made:
            side = str(THUMBNAIL_PX)
            tool.run("thumbnail", str(path), f"{made.name}[strip]", side, "--height", side, "--size", "force")
            small = Path(made.name).read_bytes()
        done = tool.run("avg", f"{path}[fail_on=truncated]")
        found[path] = _opinion(done, _pixels(small))
    return found


def _pixels(picture: bytes) -> bytes | None:
    """Return a small picture on white, in RGB; None if it can't be read."""
    try:
        with Image.open(io.BytesIO(picture)) as image:
            seen = (
                image.point(lambda value: value / 256).convert("L") if image.mode.startswith("I") else image
            )
            seen = seen.convert("RGBA")
    except Exception:  # what a judge makes of an invalid file may be invalid, too
        return None
    white = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(white, seen).convert("RGB").tobytes()


def _imagemagick(tool: Tool, paths: Sequence[Path]) -> dict[Path, Opinion]:
    found = {}
    for path in paths:
        size = f"{THUMBNAIL_PX}x{THUMBNAIL_PX}!"
        how = [
            "-auto-orient",
            "-background",
            "white",
            "-flatten",
            "-colorspace",
            "sRGB",
            "-depth",
            "8",
            "-resize",
        ]
        done = tool.run("-regard-warnings", f"{path}[0]", *how, size, "rgb:-")
        right = done is not None and len(done.stdout) == THUMBNAIL_PX**2 * 3
        found[path] = _opinion(done, done.stdout if done is not None and right else None)
    return found


_STILLS = r"image/(jpeg|png|gif|tiff|jp2|j2c|avif|heic|webp|bmp)"
JUDGES = (
    Judge("exiftool", ("exiftool",), "libimage-exiftool-perl", _exiftool),
    Judge("file", ("file",), "file", _file),
    Judge("djpeg", ("djpeg",), "libjpeg-turbo-progs", _one_by_one("-outfile", os.devnull), r"image/jpeg"),
    Judge("pngcheck", ("pngcheck",), "pngcheck", _one_by_one("-q"), r"image/png"),
    Judge("tiffinfo", ("tiffinfo",), "libtiff-tools", _one_by_one("-d"), r"image/tiff"),
    Judge("vips", ("vips",), "libvips-tools", _vips, _STILLS),
    Judge(
        "ffmpeg",
        ("ffmpeg",),
        "ffmpeg",
        _one_by_one("-nostdin", "-v", "error", "-i", "{}", "-f", "null", "-", target=""),
        r"video/",
    ),
    Judge(
        "imagemagick", ("convert-im7.q16", "convert-im6.q16", "magick"), "imagemagick", _imagemagick, _STILLS
    ),
)
