"""`CaptureNaming`: a pattern compiled into `parse` and `format`, exact inverses of each other."""

from __future__ import annotations

import functools
import itertools
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import CaptureNameError, NamingPatternError
from intouch_import.filenames.parts import MAX_NAME_LENGTH, Part, optional_group, two_readings
from intouch_import.filenames.reader import DIRECTIVES, PatternReader
from intouch_import.model import CaptureName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["DEFAULT_PATTERN", "CaptureNaming"]

DEFAULT_PATTERN: Final = "{patient}_{provider}_{taken:%Y%m%d_%H%M%S}[_{sequence}]"
"""The default pattern. It is OURS: the vendor of the capture app does not publish the structure of its
names. Compare it with a real file before you turn on automatic import, and set another pattern if it differs.
"""

# A dictionary takes half the time of int(); its keys are all that [0-9]{2} can match.
_TWO_DIGITS: Final = {f"{number:02}": number for number in range(100)}
_GROUPS: Final = ("patient", "provider", "sequence", "extension", "Y", "m", "d", "H", "M", "S", "f")


@attrs.frozen(kw_only=True)
class _Compiled:
    """A compiled pattern.

    Args:
        fullmatch: Matches whole names; has every group of `_GROUPS`.
        begins: Matches the beginning of a name, up to its extension; has the group ``patient``.
        order: The numbers of these groups.
        checks: For each group of text, its name, its label and the test of a value.
        with_sequence, without_sequence: Templates for ``str.format``; None if no such name is possible.
        microseconds: Whether names contain microseconds.
    """

    fullmatch: Callable[[str], re.Match[str] | None]
    begins: Callable[[str], re.Match[str] | None]
    order: tuple[int, ...]
    checks: tuple[tuple[str, str, Callable[[str], re.Match[str] | None]], ...]
    with_sequence: str | None
    without_sequence: str | None
    microseconds: bool


@functools.lru_cache(maxsize=64)
def _compile(pattern: str) -> _Compiled:
    """Parse, check and compile a pattern."""
    reader = PatternReader(pattern)
    parts = reader.read()
    _check_complete(reader.seen)
    if found := two_readings(parts):
        text, walk = found
        at, (one, other) = next((at, pair) for at, pair in enumerate(walk, 1) if pair[0] != pair[1])
        reason = (
            f"the pattern can be read in two ways: in {text!r}, character {at} may belong to {one} or to "
            f"{other}; put fixed text between them that neither can contain, or restrict them"
        )
        raise NamingPatternError(reason, example=text)
    body = _regex_of(parts)
    present = {part.group for part in parts}
    # Groups that are not in the pattern are added and never match, so that `parse` needs no special case.
    body += "".join(f"(?P<{name}>(?!))?" for name in _GROUPS if name not in present)
    regex = re.compile(body)
    has_sequence = "sequence" in present
    always = "".join(part.template for part in parts if not part.optional)
    return _Compiled(
        fullmatch=regex.fullmatch,
        begins=re.compile(_regex_of([part for part in parts if part.group != "extension"])).match,
        order=tuple(regex.groupindex[name] for name in _GROUPS),
        checks=tuple(
            (part.group, part.label, re.compile(part.regex).fullmatch)
            for part in parts
            if part.group and part.group not in DIRECTIVES
        ),
        with_sequence="".join(part.template for part in parts) if has_sequence else None,
        without_sequence=None if has_sequence and not any(part.optional for part in parts) else always,
        microseconds="f" in present,
    )


def _regex_of(parts: Iterable[Part]) -> str:
    body = ""
    for optional, group in itertools.groupby(parts, key=optional_group):
        text = "".join(part.regex for part in group)
        body += f"(?:{text})?" if optional else text
    return body


def _check_complete(seen: set[str]) -> None:
    """Refuse a pattern without the patient, the provider, the date or the time."""
    lacking = [f"{{{name}}}" for name in ("patient", "provider") if name not in seen]
    lacking += [
        f"{what} (%{name})" for name, (what, *_) in DIRECTIVES.items() if f"%{name}" not in seen | {"%f"}
    ]
    if lacking:
        raise NamingPatternError(f"the pattern lacks {', '.join(lacking)}")


@attrs.frozen
class CaptureNaming:
    r"""The structure of the names that the capture app gives its files.

    A pattern describes the name without its extension. The extension follows and is kept as written.

    ``{patient}``, ``{provider}``
        An id of letters, digits and hyphens. Both are required.
    ``{sequence}``
        Digits that distinguish files taken in the same second.
    ``{patient:[A-Z]?\d{1,8}}``
        A part restricted to characters, sets ``[A-Z0-9]``, ``\d`` (digits) and ``\w`` (letters, digits,
        underscore), each followed by ``?``, ``*``, ``+``, ``{m}``, ``{m,n}`` or nothing. A backslash makes
        the character after it literal.
    ``{taken:%Y%m%d_%H%M%S}``
        Date and time: ``%Y`` (four digits), ``%m``, ``%d``, ``%H``, ``%M``, ``%S`` (two each), ``%f`` (six
        digits of microseconds), ``%%``. May be split over several places; all but ``%f`` are required.
    ``[...]``
        May be missing from a name. Contains only ``{sequence}`` and fixed text.
    ``{{ }} [[ ]]``
        The literal characters. Everything else is fixed text.

    Letters, digits and fixed text are ASCII and case-sensitive. The default pattern is ours: the vendor does
    not publish the structure of the names. Compare it with a real file.

    Args:
        pattern: The pattern, as described above.

    Raises:
        NamingPatternError: The pattern lacks a part, contains an invalid one, or some name could be parsed in
            two ways. In that case ``example`` is such a name, made up.
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
        """Parse a file name that the capture app wrote.

        Args:
            name: Base name with its extension, no folder.

        Returns:
            The parts, from which `format` makes ``name`` again; None if the name has another structure or
            more than `MAX_NAME_LENGTH` characters. ``taken_local`` is the naive local time of the clinic,
            resolution 1 s, or 1 microsecond if the pattern has ``%f``.

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
            taken = datetime(  # noqa: DTZ001 (a name contains no zone)
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

    def patient_in(self, name: str, /) -> str | None:
        """Return the patient id in a name that begins like a capture name, so that a person can be asked.

        Unlike `parse`, this accepts names with anything after the structure (``… (1).jpg``, ``….jpg.xmp``)
        and impossible dates. Such names are not enough to import a file automatically.

        Args:
            name: Base name with its extension, no folder.
        """
        match = self._compiled.begins(name[:MAX_NAME_LENGTH])
        return match["patient"] if match is not None else None

    def format(self, capture: CaptureName, /) -> str:
        """Return the name that `parse` reads as these parts.

        Args:
            capture: The parts.

        Returns:
            The base name with its extension.

        Raises:
            CaptureNameError: No name under this pattern has exactly these parts: a part does not match the
                pattern, the pattern has no place for a sequence or needs one, the time is aware or finer
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
            raise CaptureNameError("the time has a zone, but names contain naive local times")
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
        # Some datetimes are finer than their fields (pandas counts nanoseconds): parsing the name would give
        # another time.
        if self.parse(name) != capture:
            raise CaptureNameError("the time is finer than a name can express")
        return name
