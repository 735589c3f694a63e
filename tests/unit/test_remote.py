"""The pool of fsspec connections, without a network."""

from __future__ import annotations

from typing import Any

from intouch_import.remote import Connections


class System:
    """A file system whose server may have ended the connection."""

    def __init__(self) -> None:
        self.alive = True
        self.closed = False

    def invalidate_cache(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def test_a_connection_that_has_ended_is_replaced_by_one_new_connection() -> None:
    """An idle connection that has ended is not used. A server that ends each at once is not asked forever."""
    made: list[System] = []

    def opened(*_: Any, **__: Any) -> tuple[System, str]:
        made.append(System())
        return made[-1], ""

    connections = Connections("test://", {}, opened=opened)  # type: ignore[arg-type]
    made[0].alive = False
    assert connections.take() is made[1]

    def ended(*_: Any, **__: Any) -> tuple[System, str]:
        system, path = opened()
        system.alive = False
        return system, path

    connections = Connections("test://", {}, opened=ended)  # type: ignore[arg-type]
    assert connections.take() is made[-1]
    assert len(made) == 4
