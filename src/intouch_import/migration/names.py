"""Compare the name in a folder with the name of a patient. Pure: no disk, no records."""

from __future__ import annotations

import functools
import re
import unicodedata
from difflib import SequenceMatcher
from typing import Final

from intouch_import.model import normal_form

__all__ = ["agrees", "is_name", "words_of"]

_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_SIMILAR: Final = 0.8
_MOST_WORDS: Final = 4


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a name, without accents and in lower case."""
    plain = "".join(one for one in normal_form("NFKD", text) if not unicodedata.combining(one))
    return tuple(word.casefold() for word in _WORD.findall(plain))


def is_name(text: str) -> bool:
    """Return whether a text is written as a person's name: ``Marsh, Ada`` or ``Ada Marsh``."""
    surname, comma, given = text.partition(",")
    parts = [_WORD.findall(surname), _WORD.findall(given)] if comma else [_WORD.findall(text)]
    if any(char.isdigit() for char in surname) or not all(parts):
        return False
    if comma:
        return bool(parts[0][-1][0].isupper() and parts[1][0][0].isupper())
    return 1 < len(parts[0]) <= _MOST_WORDS and all(word[0].isupper() for word in parts[0])


@functools.lru_cache(maxsize=4096)  # asked for each file of a folder
def agrees(text: str, name: str) -> bool:
    """Return whether a text that contains a name can be about the patient with this name.

    Of ``Marsh, Ada`` the surname must be in the patient's name; of other texts, any word. Words that differ
    in a letter or two agree, because names are misspelt.
    """
    surname, comma, _ = text.partition(",")
    return any(
        _similar(word, other) for word in words_of(surname if comma else text) for other in words_of(name)
    )


def _similar(one: str, other: str) -> bool:
    return one == other or SequenceMatcher(None, one, other).ratio() >= _SIMILAR
