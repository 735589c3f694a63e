"""`Closable`: objects that a ``with`` block closes."""

from __future__ import annotations

from typing import Self

__all__ = ["Closable"]


class Closable:
    """A base for classes with a ``close``: a ``with`` block calls it at the end."""

    __slots__ = ()

    def close(self) -> None:
        """Release what the object holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
