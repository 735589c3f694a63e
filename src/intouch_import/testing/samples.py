"""What the kit's own patients, texts and file names are."""

from __future__ import annotations

from typing import Final

from intouch_import.model import Patient, Provider

__all__ = [
    "FORMER_PATIENT",
    "HOSTILE_NAMES",
    "HOSTILE_TEXTS",
    "LETTERED_PATIENT",
    "NOBODY",
    "OTHER_PATIENT",
    "PATIENT",
    "PATIENTS",
    "PROVIDER",
    "PROVIDERS",
]

# Digits alone, without leading zeros: practices whose ids are numbers can have them too.
PATIENT: Final = Patient(id="10042", name="Ada Marsh")
"""A patient that the repository under test must know."""

OTHER_PATIENT: Final = Patient(id="10043", name="Ben Okafor")
"""Another one."""

FORMER_PATIENT: Final = Patient(id="10044", name="Chiara Lindqvist", active=False)
"""A patient that the repository must know as inactive."""

LETTERED_PATIENT: Final = Patient(id="7Qx", name="Dana Iversen")
"""A patient whose id has letters. Leave it out if your ids are numbers: letter case is then not checked."""

PATIENTS: Final = (PATIENT, OTHER_PATIENT, FORMER_PATIENT, LETTERED_PATIENT)
"""All patients of the kit."""

PROVIDER: Final = Provider(id="DRJ", name="Dr Jones")
"""A provider that the repository under test must know."""

PROVIDERS: Final = (PROVIDER,)
"""All providers of the kit."""

NOBODY: Final = "99999"
"""An id that the repository must not know."""

HOSTILE_TEXTS: Final[tuple[str, ...]] = (
    "",
    " leading and trailing blanks  ",
    'Robert\'); DROP TABLE patients;-- "quoted" `ticked`',
    "line one\nline two\r\nline three\ttabbed",
    "{title} {0} %s %(name)s $HOME ${x} <b>&amp;</b> \\n \\x00 %00",
    "../../etc/passwd C:\\Windows\\x",
    "caf\u00e9 cafe\u0301 \ufb01 \u212b \u0130 \u00df",  # forms that a normalisation would change
    "\u202egnp.exe\u202c \u200b\u200d \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f9b6\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \u6f22\u5b57",
    "\x01\x1b[31m\x7f\x85\u2028",
    "null",
    "0042",
    "\u5b57" * 500,
)
"""Titles and comments that a repository must give back as they are."""

HOSTILE_NAMES: Final[tuple[str, ...]] = (
    "IMG[1].jpg",
    "IMG1.jpg",
    "IMG*.jpg",
    "IMG?.jpg",
    "a%20b.jpg",
    "a b.jpg",
    "photo#1.jpg",
    "photo",
    "a&b=c+d;e.jpg",
    "{x} $HOME `id`.jpg",
    'it\'s "quoted".jpg',
    "'; DROP TABLE x;--.jpg",
    " leading blank.jpg",
    "trailing blank ",
    "trailing dot.",
    ".hidden.jpg",
    "-rf",
    "~root.jpg",
    "C:x.jpg",
    "back\\slash.jpg",
    "con.jpg",
    "two\nlines.jpg",
    "tab\there.jpg",
    "\u202egpj.exe",
    "caf\u00e9.jpg",
    "cafe\u0301.jpg",
    "\u6f22\u5b57 \U0001f9b6.jpg",
    "case.jpg",
    "CASE.JPG",
    "\u00fc" * 125 + ".jpg",  # 254 bytes
    "Ren\udce9.jpg",  # bytes that are not UTF-8, as Python spells them
)
"""File names that a location must tell apart; `Place.refused_names` are those that it can't hold."""
