"""A sample practice, and the demonstration with it: invented patients and a folder of files.

The images are drawn when they are needed, the movie plays, and the letter can be read. Each kind of file that
must *not* be imported automatically is there once. Every run makes the same files, except for the exact bytes
of the images: they depend on the version of Pillow.
"""

from __future__ import annotations

import io
import math
import random
import tempfile
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import ConfigError
from intouch_import.model import Patient, Provider, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image, ImageDraw

    from intouch_import.inbox import Inbox
    from intouch_import.reports import Report

__all__ = ["SamplePractice", "lay_out", "run_demo"]

_WIDTH: Final = 800
_HEIGHT: Final = 600


@attrs.frozen(kw_only=True)
class SamplePractice:
    """The sample practice, and the expected result for each file in its photo folder.

    The folder belongs to Dr Jones (``providers[0]``). Its files have names of the default pattern.
    Every name is in exactly one of the groups.

    Args:
        photos: The folder with the files.
        patients: The patients; the last one is inactive.
        providers: The providers; the folder belongs to the first.
        automatic: Names that are imported automatically.
        to_assign_images: Plain names of images, for a person to assign.
        to_assign_documents: Plain names of other files, for a person to assign.
        waiting: Names that look like capture names, but whose files must wait: name to reason.
        ignored: Names that are never imported: name to reason.
    """

    photos: Path
    patients: tuple[Patient, ...]
    providers: tuple[Provider, ...]
    automatic: tuple[str, ...] = attrs.field(repr=False)
    to_assign_images: tuple[str, ...] = attrs.field(repr=False)
    to_assign_documents: tuple[str, ...] = attrs.field(repr=False)
    waiting: Mapping[str, Reason] = attrs.field(repr=False)
    ignored: Mapping[str, Reason] = attrs.field(repr=False)


_PATIENTS: Final = (
    Patient(id="10042", name="Ada Marsh"),
    Patient(id="10043", name="Ben Okafor"),
    Patient(id="10044", name="Chiara Lindqvist", active=False),
)
_PROVIDERS: Final = (Provider(id="DRJ", name="Dr Jones"), Provider(id="DRK", name="Dr Kaur"))

_AUTOMATIC: Final = (
    "10042_DRJ_20260131_142501.jpg",
    "10042_DRJ_20260131_142501_2.jpg",
    "10042_DRJ_20260131_142733.png",
    "10042_DRJ_20260131_143010.mp4",
    "10043_DRJ_20260202_091544.tif",
    "10043_DRJ_20260202_091702.gif",
    "10043_DRJ_20260202_092015.jp2",
)
_TO_ASSIGN_IMAGES: Final = ("IMG_0001.JPG", "IMG_0002.JPG", "wound left.png")
_TO_ASSIGN_DOCUMENTS: Final = ("Letter from GP.pdf",)
_CUT_SHORT: Final = "10042_DRJ_20260131_143355.jpg"
_WEB_PAGE: Final = "10042_DRJ_20260131_143512.jpg"
_EMPTY: Final = "10043_DRJ_20260202_092230.jpg"
_WAITING: Final = {
    "99999_DRJ_20260131_151000.jpg": Reason.PATIENT_UNKNOWN,
    "10044_DRJ_20260131_152000.jpg": Reason.PATIENT_INACTIVE,
    "10042_DRK_20260131_153000.jpg": Reason.OTHER_PROVIDER,
    "10042_DRJ_20260230_142501.jpg": Reason.TIME_IMPOSSIBLE,
    _CUT_SHORT: Reason.CONTENT_CUT_SHORT,
    _WEB_PAGE: Reason.CONTENT_NOT_AS_NAMED,
    _EMPTY: Reason.EMPTY,
}
_UNFINISHED: Final = "10043_DRJ_20260202_092418.jpg.part"
_SYSTEM: Final = "Thumbs.db"
_SUB_FOLDER: Final = "Last year"
_IGNORED: Final = {
    _UNFINISHED: Reason.UNFINISHED_DOWNLOAD,
    _SYSTEM: Reason.SYSTEM_FILE,
    _SUB_FOLDER: Reason.FOLDER,
}


def lay_out(folder: Path) -> SamplePractice:
    """Create the sample files in ``folder/"photos"``.

    Args:
        folder: The folder; it is created if it does not exist.

    Returns:
        The practice, with the name of every file and its expected result.

    Raises:
        FileExistsError: The folder already contains ``photos``; nothing was changed.
        OSError: A file could not be written.
    """
    photos = folder / "photos"
    photos.mkdir(parents=True)
    pictures = (*_AUTOMATIC, *_TO_ASSIGN_IMAGES, *_WAITING)
    for seed, name in enumerate((*pictures, *_TO_ASSIGN_DOCUMENTS)):
        (photos / name).write_bytes(_content(name, seed=seed))
    half = _photo("half.jpg", seed=len(pictures))
    (photos / _UNFINISHED).write_bytes(half[: len(half) // 2])
    (photos / _SYSTEM).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    (photos / _SUB_FOLDER).mkdir()
    (photos / _SUB_FOLDER / "10042_DRJ_20250131_142501.jpg").write_bytes(
        _photo("10042_DRJ_20250131_142501.jpg", seed=len(pictures) + 1)
    )
    return SamplePractice(
        photos=photos,
        patients=_PATIENTS,
        providers=_PROVIDERS,
        automatic=_AUTOMATIC,
        to_assign_images=_TO_ASSIGN_IMAGES,
        to_assign_documents=_TO_ASSIGN_DOCUMENTS,
        waiting=dict(_WAITING),
        ignored=dict(_IGNORED),
    )


def _content(name: str, *, seed: int) -> bytes:
    """Make the content of the file of this name."""
    if name == _EMPTY:
        return b""
    if name == _WEB_PAGE:
        return _SIGN_IN_PAGE
    if name.endswith((".mp4", ".pdf")):
        return resources.files(__package__).joinpath(f"sample{name[-4:]}").read_bytes()
    photo = _photo(name, seed=seed)
    return photo[: len(photo) // 2] if name == _CUT_SHORT else photo


# The page that a hotel's or hospital's network sends instead of a photo until somebody has signed in.
_SIGN_IN_PAGE: Final = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Sign in to the network</title></head>
<body><h1>Sign in to the network</h1><p>Please accept the terms of use to continue.</p></body>
</html>
"""


# --- pictures -----------------------------------------------------------------------------------


def _photo(name: str, *, seed: int) -> bytes:
    """Draw a picture, and encode it in the format of its extension."""
    from PIL import Image

    image = _skin(seed)
    out = io.BytesIO()
    match name.rpartition(".")[2].lower():
        case "jpg":
            # Every third camera was held upright: the stored picture lies on its side.
            turned = seed % 3 == 1
            stored = image.transpose(Image.Transpose.ROTATE_90) if turned else image
            exif = _exif(_taken(name, seed=seed), orientation=6 if turned else 1)
            stored.save(out, "JPEG", quality=88, exif=exif, dpi=(300, 300))
        case "png":
            image.quantize(128).save(out, "PNG")
        case "tif":
            image.save(out, "TIFF", compression="tiff_lzw", dpi=(300, 300))
        case "gif":
            _save_animation(image, out)
        case _:
            image.save(out, "JPEG2000", quality_mode="rates", quality_layers=[24], irreversible=True)
    return out.getvalue()


def _skin(seed: int) -> Image.Image:
    """Draw a patch of skin with a lesion and a ruler, lit from one side, different for each seed."""
    from PIL import Image, ImageChops, ImageDraw

    # Not for secrets: the same seed must draw the same picture.
    chance = random.Random(seed)  # noqa: S311
    size = (_WIDTH, _HEIGHT)
    tone = chance.choice([(233, 190, 165), (214, 164, 132), (177, 122, 89), (128, 84, 60)])
    image = Image.new("RGB", size, tone)

    # A lamp somewhere above: brightest below it, darker towards the corners.
    left, top = chance.randint(0, _WIDTH // 2), chance.randint(0, _HEIGHT // 2)
    light = Image.radial_gradient("L").resize((_WIDTH * 2, _HEIGHT * 2))
    light = light.crop((left, top, left + _WIDTH, top + _HEIGHT)).point(lambda value: 255 - value * 0.4)
    image = ImageChops.multiply(image, Image.merge("RGB", [light] * 3))

    # Pores and creases: soft noise of three sizes.
    for cell, strength in ((40, 0.16), (6, 0.08), (2, 0.1)):
        width, height = _WIDTH // cell, _HEIGHT // cell
        grain = Image.frombytes("L", (width, height), chance.randbytes(width * height))
        grain = grain.resize(size, Image.Resampling.BICUBIC)
        image = Image.blend(image, ImageChops.soft_light(image, Image.merge("RGB", [grain] * 3)), strength)

    centre = (_WIDTH * chance.uniform(0.4, 0.6), _HEIGHT * chance.uniform(0.35, 0.5))
    radius = chance.uniform(70, 115)
    redness = _blob(chance, centre, radius * 1.4, blur=28).point(lambda value: value * 0.35)
    image.paste((196, 92, 84), (0, 0, *size), redness)
    pigment = Image.new("RGB", size, chance.choice([(158, 116, 98), (136, 98, 82)]))
    image.paste(ImageChops.multiply(image, pigment), mask=_blob(chance, centre, radius, blur=6))
    for _ in range(6):
        spot = (centre[0] + chance.gauss(0, radius / 3), centre[1] + chance.gauss(0, radius / 3.5))
        mask = _blob(chance, spot, radius * chance.uniform(0.12, 0.3), blur=6)
        image.paste((62, 38, 32), (0, 0, *size), mask.point(lambda value: value * 0.55))

    _draw_ruler(ImageDraw.Draw(image))
    return image


def _blob(chance: random.Random, centre: tuple[float, float], radius: float, *, blur: float) -> Image.Image:
    """Draw a mask: an ellipse with an irregular, blurred border. All lengths are in pixels."""
    from PIL import Image, ImageDraw, ImageFilter

    waves = [(order, chance.uniform(0, math.tau), chance.uniform(0.02, 0.2 / order)) for order in (2, 3, 5)]
    flat = chance.uniform(0.7, 0.95)
    # A quarter of the size is enough for a blurred border, and is drawn ten times as fast.
    scale = 4
    outline = []
    for step in range(72):
        angle = math.tau * step / 72
        reach = radius * (1 + sum(depth * math.sin(order * angle + phase) for order, phase, depth in waves))
        x, y = centre[0] + reach * math.cos(angle), centre[1] + reach * flat * math.sin(angle)
        outline.append((x / scale, y / scale))
    mask = Image.new("L", (_WIDTH // scale, _HEIGHT // scale))
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(blur / scale))
    return mask.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)


def _draw_ruler(draw: ImageDraw.ImageDraw) -> None:
    """Draw a paper ruler along the lower edge, in millimetres of 9 pixels."""
    left, top, right, bottom = 60, _HEIGHT - 92, _WIDTH - 60, _HEIGHT - 28
    draw.rectangle((left + 4, top + 5, right + 4, bottom + 5), fill=(90, 66, 56))
    draw.rectangle((left, top, right, bottom), fill=(244, 243, 236), outline=(170, 168, 160))
    for millimetre in range((right - left - 24) // 9 + 1):
        x = left + 12 + millimetre * 9
        length = 26 if millimetre % 10 == 0 else 18 if millimetre % 5 == 0 else 11
        draw.line((x, top, x, top + length), fill=(40, 40, 40), width=2 if millimetre % 10 == 0 else 1)
        if millimetre % 10 == 0:
            draw.text((x - 3, top + 32), str(millimetre // 10), fill=(40, 40, 40))
    draw.text((right - 26, top + 46), "cm", fill=(40, 40, 40))


def _save_animation(image: Image.Image, out: io.BytesIO) -> None:
    """Save an animation of four frames: an imaging tower that goes out of focus and back."""
    from PIL import ImageFilter

    small = image.resize((320, 240))
    first, *others = (small.filter(ImageFilter.GaussianBlur(blur)).quantize(96) for blur in (0, 1.5, 3, 1.5))
    first.save(out, "GIF", save_all=True, append_images=others, duration=250, loop=0)


_EXIF_MAKE, _EXIF_MODEL, _EXIF_ORIENTATION, _EXIF_DATE = 0x010F, 0x0110, 0x0112, 0x0132
_EXIF_SUB_FOLDER, _EXIF_DATE_ORIGINAL = 0x8769, 0x9003


def _exif(taken: datetime, *, orientation: int) -> Image.Exif:
    """Make the Exif data of a camera: the time, the camera, and which side is up."""
    from PIL import Image

    exif = Image.Exif()
    exif[_EXIF_MAKE] = "Sample"
    exif[_EXIF_MODEL] = "Sample camera"
    exif[_EXIF_ORIENTATION] = orientation
    exif[_EXIF_DATE] = exif.get_ifd(_EXIF_SUB_FOLDER)[_EXIF_DATE_ORIGINAL] = f"{taken:%Y:%m:%d %H:%M:%S}"
    return exif


def _taken(name: str, *, seed: int) -> datetime:
    """Return the time in the name, or else a time after two o'clock on 31 January 2026."""
    try:
        return datetime.strptime(name[10:25], "%Y%m%d_%H%M%S")  # noqa: DTZ007 - cameras know no zone
    except ValueError:
        return datetime(2026, 1, 31, 14, seed, 0)  # noqa: DTZ001 - cameras know no zone


# --- the demonstration ---------------------------------------------------------------------------


def run_demo(folder: Path | None, *, json: bool) -> Report:
    """Import the files of a sample practice, and print the result.

    Args:
        folder: A new or empty folder; None for a new temporary one. It is not deleted.
        json: Print one JSON document instead of tables.

    Returns:
        One report with every file: the outcome of the refresh, or of the person's save after it.

    Raises:
        ConfigError: The folder can't be created, or is not empty.
    """
    from intouch_import.cli import show
    from intouch_import.inbox import Inbox
    from intouch_import.repositories.sql import SqlRepository
    from intouch_import.sources import open_source

    root = _new_folder(folder)
    practice = lay_out(root)
    with SqlRepository.open(f"sqlite:///{root / 'clinic.db'}", files=root / "clinic-files") as records:
        records.add_patients(practice.patients)
        records.add_providers(practice.providers)
        source = open_source(practice.photos, provider="DRJ")
        inbox = Inbox(records, [source], operator="demo", zone="Australia/Sydney")
        with show.progress(quiet=json) as on_progress:
            refreshed = inbox.refresh(on_progress=on_progress)
        saved = [
            _save(inbox, practice.to_assign_images, title="Left forearm", comments="Review in six weeks"),
            _save(inbox, practice.to_assign_documents, title="Letter from the GP"),
        ]
        later = {outcome.import_id: outcome for report in saved for outcome in report.outcomes}
        report = attrs.evolve(
            refreshed,
            outcomes=tuple(later.get(outcome.import_id, outcome) for outcome in refreshed.outcomes),
            problems=refreshed.problems + tuple(problem for report in saved for problem in report.problems),
        )
        broken = inbox.ledger.verify()
        entries, _ = inbox.ledger.tail()
        stored = {one.id: [file.name for file in records.attachments(one.id)] for one in practice.patients}
    if json:
        ledger = {"ledger_entries": entries, "ledger_holds": not broken}
        show.as_json({"folder": str(root), **ledger, "records": stored, **report.to_dict()})
        return report
    show.console.print(f"[bold]A small practice in[/] {root}\n", highlight=False)
    show.report_table(report)
    show.console.print()
    for one in practice.patients:
        line = f"{one.name} ({one.id}): {len(stored[one.id])} files in the record"
        show.console.print(line, highlight=False)
    show.console.print(f"The ledger has {entries} entries; its chain is {'BROKEN' if broken else 'intact'}.")
    return report


def _save(inbox: Inbox, names: tuple[str, ...], *, title: str, comments: str = "") -> Report:
    rows = [row for row in inbox.rows if row.name in names]
    return inbox.save(inbox.prepare(rows, patient=_PATIENTS[0].id, title=title, comments=comments))


def _new_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="intouch-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError("the demo needs a new or an empty folder")
    except OSError as exc:
        raise ConfigError("the folder of the demo can't be created", errno=exc.errno) from None
    return folder.resolve()
