"""Extensions, and where their files appear in the patient's record."""

from __future__ import annotations

import pytest

from intouch_import.errors import ConfigError
from intouch_import.extensions import IMAGE_EXTENSIONS, check_extensions, classify, extension_of, is_allowed
from intouch_import.model import Destination

KELVIN_SIGN = "\N{KELVIN SIGN}"


def test_image_extensions_are_the_documented_ones() -> None:
    """Exactly these fourteen extensions go to the Images tab."""
    documented = ".tif .tiff .gif .jpeg .jpg .jif .jfif .jp2 .jpx .j2k .j2c .fpx .pcd .png"
    assert frozenset(documented.split()) == IMAGE_EXTENSIONS


@pytest.mark.parametrize("extension", sorted(IMAGE_EXTENSIONS))
def test_images_are_known_in_any_letter_case(extension: str) -> None:
    """An image extension is recognised in any letter case."""
    for written in (extension, extension.upper(), extension.title(), extension.swapcase()):
        assert classify("Scan 01" + written) is Destination.IMAGES


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "jpg",
        ".jpg",
        "..jpg",
        "scan.",
        "scan.jpg.",
        "scan.jpg ",
        "scan. jpg",
        "scan.jpgx",
        "scan.jpg\n",
        "scan.jpg.mp4",
        "scan.heic",
        "scan.pdf",
        "scan.j2" + KELVIN_SIGN,
        "scan.t\u0131f",
        "scan.\uff4a\uff50\uff47",
    ],
)
def test_everything_else_goes_to_notes(name: str) -> None:
    """A name without an image extension, exactly as documented, is an external document."""
    assert classify(name) is Destination.NOTES


@pytest.mark.parametrize("name", ["a.jpg", ".a.jpg", "..a.jpg", "a..jpg", "a.mp4.PNG", "\udcff.jpg", " .jpg"])
def test_the_last_dot_decides(name: str) -> None:
    """Only the part after the last dot matters, unless there is nothing but dots before it."""
    assert classify(name) is Destination.IMAGES


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.JPG", ".JPG"),
        ("a.tar.gz", ".gz"),
        ("a.jpg ", ".jpg "),
        (".a.jpg", ".jpg"),
        ("a..jpg", ".jpg"),
        ("a", ""),
        ("a.", ""),
        ("", ""),
        (".", ""),
        (".jpg", ""),
        ("..jpg", ""),
    ],
)
def test_extension_is_kept_as_written(name: str, extension: str) -> None:
    """The extension is returned with its dot and its letter case, or empty if there is none."""
    assert extension_of(name) == extension


@pytest.mark.parametrize(
    ("name", "allowed", "may"),
    [
        ("a.jpg", None, True),
        ("a", None, True),
        ("a.jpg", frozenset({".jpg", ".png"}), True),
        ("a.JPG", frozenset({".jpg", ".png"}), True),
        ("a.pdf", frozenset({".jpg", ".png"}), False),
        ("a.jpg.pdf", frozenset({".jpg", ".png"}), False),
        ("a", frozenset({".jpg", ".png"}), False),
        ("a.jpg", frozenset(), False),
    ],
)
def test_a_practice_may_allow_some_extensions_alone(
    name: str, allowed: frozenset[str] | None, may: bool
) -> None:
    """None allows every file; otherwise whole extensions are compared in any letter case."""
    assert is_allowed(name, allowed) is may


@pytest.mark.parametrize("stem", ["X", "XX", "..X..", "X.X"])
def test_a_stem_is_anything_but_dots(stem: str) -> None:
    """Any characters but dots before the extension are a stem."""
    assert classify(f"{stem}.jpg") is Destination.IMAGES
    assert extension_of(f"{stem}.jpg") == ".jpg"


def test_allowed_extensions_are_checked() -> None:
    """A list that no file would match is a mistake: every file would wait for ever."""
    assert check_extensions(None) is None
    assert check_extensions([".JPG", ".pdf", ".JPEG"]) == {".jpg", ".pdf", ".jpeg"}
    for wrong in (".jpg", ["jpg"], [".jpg", ""], ["."], [".tar.gz"], ["*.jpg"], [7], [None], [], ""):
        with pytest.raises(ConfigError, match="allowed_extensions"):
            check_extensions(wrong)  # type: ignore[arg-type]
