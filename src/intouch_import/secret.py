"""`Secret`: a key, a token or a password that is shown only on request. `pseudonym`: a tag for a `repr`."""

from __future__ import annotations

import hmac
import secrets
from typing import Any, Final, NoReturn, Self, final

__all__ = ["MASK", "Secret", "pseudonym", "refuse_to_pickle"]

MASK: Final = "***"
"""What is shown in place of a secret, whatever its length."""


@final
class Secret:
    """Text that no ``repr``, ``str``, format, log line, ``attrs.asdict`` or pickle gives away.

    This is not an attrs class, because ``attrs.asdict`` would expose the text. Two secrets with the same text
    are equal; a secret never equals a ``str``.

    Args:
        value: The text.

    Raises:
        TypeError: ``value`` is not text. The message does not contain it.
    """

    __slots__ = ("_value",)

    _value: str

    def __init__(self, value: str, /) -> None:
        if not isinstance(value, str):
            raise TypeError("a secret is text")
        object.__setattr__(self, "_value", value)

    @classmethod
    def of(cls, value: str | Secret, /) -> Secret:
        """Return a secret for plain text; return a secret unchanged."""
        return value if isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """Return the text. Do not put it into a name, a log or a message."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # In constant time: the duration of an ordinary comparison shows how much of the text was right.
        return hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str, /) -> str:
        # A spec such as ".3" would cut the mask.
        return MASK

    def __setattr__(self, name: str, value: object, /) -> NoReturn:
        raise AttributeError("a secret can't be changed")

    def __delattr__(self, name: str, /) -> NoReturn:
        raise AttributeError("a secret can't be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any], /) -> Self:
        return self

    def __reduce_ex__(self, protocol: Any, /) -> NoReturn:
        raise TypeError("a secret can't be pickled: read it again where it is needed")


_PROCESS_KEY: Final = secrets.token_bytes(16)


def pseudonym(value: str | None) -> str:
    """Return a short tag for a patient id or a file name, for a ``repr``.

    The same value has the same tag as long as this process runs. The tag says nothing about the value.
    """
    if value is None:
        return "None"
    return "#" + hmac.new(_PROCESS_KEY, _bytes(str(value)), "sha256").hexdigest()[:6]


def refuse_to_pickle(thing: object) -> NoReturn:
    """Refuse to pickle an object that holds secrets: write ``__reduce__ = refuse_to_pickle`` in its class.

    Raises:
        TypeError: Always. A pickle may end up in a file, in a cache or on another machine.
    """
    raise TypeError(
        f"a {type(thing).__name__} holds secrets and can't be pickled: open it where it is needed"
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
