"""`CaptureNaming`: a pattern compiled into `parse` and `format`, exact inverses of each other."""

from __future__ import annotations

import functools
import itertools
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import CaptureNameError, NamingPatternError
from intouch_import.filenames.ambiguity import two_readings
from intouch_import.filenames.parts import MAX_NAME_LENGTH, is_optional
from intouch_import.filenames.reader import DIRECTIVES, Reader
from intouch_import.model import CaptureName

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_PATTERN", "CaptureNaming"]

DEFAULT_PATTERN: Final = "{patient}_{provider}_{taken:%Y%m%d_%H%M%S}[_{sequence}]"
"""The default structure. It is OURS: the vendor of the capture app does not publish the structure of its
names. Check it against a real file before automatic import is turned on, and set another if it differs.
"""

# Looking two digits up takes half the time of int(); the keys are all that [0-9]{2} can match.
_TWO_DIGITS: Final = {f"{number:02}": number for number in range(100)}
_GROUPS: Final = ("patient", "provider", "sequence", "extension", "Y", "m", "d", "H", "M", "S", "f")


@attrs.frozen(kw_only=True)
class _Compiled:
    """What a pattern comes to.

    Args:
        fullmatch: Matches whole names; has every group of `_GROUPS`.
        order: The numbers of these groups.
        checks: For each group of text, its label and what its value must match.
        with_sequence, without_sequence: Templates for ``str.format``; None where there is no such name.
        microseconds: Whether names hold them.
    """

    fullmatch: Callable[[str], re.Match[str] | None]
    order: tuple[int, ...]
    checks: tuple[tuple[str, str, Callable[[str], re.Match[str] | None]], ...]
    with_sequence: str | None
    without_sequence: str | None
    microseconds: bool


@functools.lru_cache(maxsize=64)
def _compile(pattern: str) -> _Compiled:
    """Read and check a pattern."""
    reader = Reader(pattern)
    parts = reader.read()
    _check_complete(reader.seen)
    if found := two_readings(parts):
        text, walk = found
        at, (one, other) = next((at, pair) for at, pair in enumerate(walk, 1) if pair[0] != pair[1])
        reason = (
            f"the pattern can be read in two ways: in {text!r}, character {at} may belong to {one} or to "
            f"{other}; put fixed text between them that neither can hold, or narrow them"
        )
        raise NamingPatternError(reason, example=text)
    body = ""
    for optional, group in itertools.groupby(parts, key=is_optional):
        text = "".join(part.regex for part in group)
        body += f"(?:{text})?" if optional else text
    present = {part.group for part in parts}
    # Groups that the pattern lacks are there too but never match, so that `parse` needs no case of its own.
    body += "".join(f"(?P<{name}>(?!))?" for name in _GROUPS if name not in present)
    regex = re.compile(body)
    has_sequence = "sequence" in present
    always = "".join(part.template for part in parts if not part.optional)
    return _Compiled(
        fullmatch=regex.fullmatch,
        order=tuple(regex.groupindex[name] for name in _GROUPS),
        checks=tuple(
            (part.group, part.label, re.compile(part.regex).fullmatch)
            for part in parts
            if part.group and part.group not in DIRECTIVES
        ),
        with_sequence="".join(part.template for part in parts) if has_sequence else None,
        without_sequence=None if has_sequence and not any(map(is_optional, parts)) else always,
        microseconds="f" in present,
    )


def _check_complete(seen: set[str]) -> None:
    """Refuse a pattern that does not say whose the file is and when it was taken."""
    lacking = [f"{{{name}}}" for name in ("patient", "provider") if name not in seen]
    lacking += [
        f"{what} (%{name})" for name, (what, *_) in DIRECTIVES.items() if f"%{name}" not in seen | {"%f"}
    ]
    if lacking:
        raise NamingPatternError(f"the pattern lacks {', '.join(lacking)}")


@attrs.frozen
class CaptureNaming:
    r"""The structure of the names that the capture app gives its files.

    A pattern describes the name without its extension; the extension follows and is kept as written.

    ``{patient}``, ``{provider}``
        An id of letters, digits and hyphens. Both are needed.
    ``{sequence}``
        Digits that tell apart what was taken in the same second.
    ``{patient:[A-Z]?\d{1,8}}``
        A part narrowed to: characters, sets ``[A-Z0-9]``, ``\d`` (digits) and ``\w`` (letters, digits,
        underscore), each followed by ``?``, ``*``, ``+``, ``{m}``, ``{m,n}`` or nothing. A backslash takes
        the meaning from the character after it.
    ``{taken:%Y%m%d_%H%M%S}``
        Date and time: ``%Y`` (four digits), ``%m``, ``%d``, ``%H``, ``%M``, ``%S`` (two each), ``%f`` (six
        digits of microseconds), ``%%``. May stand in several places; all but ``%f`` are needed.
    ``[...]``
        May be missing from a name. Holds ``{sequence}`` and fixed text only.
    ``{{ }} [[ ]]``
        The characters themselves. Everything else is fixed text.

    Letters, digits and fixed text are ASCII, and letter case counts. The default pattern is ours: the
    vendor does not publish the structure of the names. Check it against a real file.

    Args:
        pattern: See above.

    Raises:
        NamingPatternError: The pattern lacks a part, holds one that can't be used, or some name could be read
            in two ways. Then ``example`` is such a name, made up.
    """

    pattern: str = DEFAULT_PATTERN
    _compiled: _Compiled = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: _compile(self.pattern), takes_self=True),
    )

    def __reduce__(self) -> tuple[type[CaptureNaming], tuple[str]]:
        """Pickle the pattern alone, so that it is checked again where it is unpickled."""
        return CaptureNaming, (self.pattern,)

    def parse(self, name: str, /) -> CaptureName | None:
        """Read what the capture app wrote into a file name.

        Args:
            name: Base name with its extension, no folder.

        Returns:
            The parts, such that `format` gives back ``name``; None when the name has another structure or
            more than `MAX_NAME_LENGTH` characters. ``taken_local`` is naive clinic wall time, resolution
            1 s, or 1 microsecond if the pattern has ``%f``.

        Raises:
            CaptureNameError: The structure fits but the date or time can't exist (31 February).
        """
        compiled = self._compiled
        if len(name) > MAX_NAME_LENGTH:
            return None
        match = compiled.fullmatch(name)
        if match is None:
            return None
        patient, provider, sequence, extension, year, month, day, hour, minute, second, micro = match.group(
            *compiled.order
        )
        try:
            taken = datetime(  # noqa: DTZ001 (the name does not know its zone)
                int(year),
                _TWO_DIGITS[month],
                _TWO_DIGITS[day],
                _TWO_DIGITS[hour],
                _TWO_DIGITS[minute],
                _TWO_DIGITS[second],
                0 if micro is None else int(micro),
            )
        except ValueError:
            # Not chained: the cause may quote digits of the name.
            raise CaptureNameError(
                "the name has the capture structure, but its date or time can't exist"
            ) from None
        return CaptureName(
            patient=patient, provider=provider, taken_local=taken, sequence=sequence, extension=extension
        )

    def format(self, capture: CaptureName, /) -> str:
        """Write the name that `parse` reads as these parts.

        Args:
            capture: What the name must say.

        Returns:
            The base name with its extension.

        Raises:
            CaptureNameError: No name under this pattern says exactly that: a part does not match the
                pattern, the pattern has no place for the sequence or needs one, the time is aware or finer
                than the pattern, or the name would have more than `MAX_NAME_LENGTH` characters.
        """
        compiled = self._compiled
        taken = capture.taken_local
        template = compiled.without_sequence if capture.sequence is None else compiled.with_sequence
        if template is None and capture.sequence is None:
            raise CaptureNameError("the pattern needs a sequence, and there is none")
        if template is None:
            raise CaptureNameError("the pattern has no place for a sequence")
        if taken.tzinfo is not None:
            raise CaptureNameError("the time has a zone; names hold the naive wall time of the clinic")
        if taken.microsecond and not compiled.microseconds:
            raise CaptureNameError("the time has a fraction of a second, and the pattern has no place for it")
        for field, label, fullmatch in compiled.checks:
            value = getattr(capture, field)
            if value is not None and not fullmatch(value):
                raise CaptureNameError(f"{label} does not match the pattern")
        name = template.format(
            patient=capture.patient,
            provider=capture.provider,
            sequence=capture.sequence,
            extension=capture.extension,
            taken=taken,
        )
        if len(name) > MAX_NAME_LENGTH:
            raise CaptureNameError(f"the name would have more than {MAX_NAME_LENGTH} characters")
        # Some datetimes know more than their fields say (pandas counts nanoseconds): the name would not
        # say what was asked for.
        if self.parse(name) != capture:
            raise CaptureNameError("the time is finer than any name can say")
        return name
