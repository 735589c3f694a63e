"""An fsspec file system with the faults that real ones have, to be switched on one by one."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FailingFileSystem", "faulty", "raising"]


class FailingFileSystem(MemoryFileSystem):
    """A memory file system of its own protocol, ``failing://``."""

    protocol = "failing"
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    faults: dict[str, Any] = {}
    opened = 0
    closed = 0
    in_use: set[int] = set()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        type(self).opened += 1

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("failing://"))

    def close(self) -> None:
        type(self).closed += 1

    def _strike(self, point: str, path: object) -> Any:
        fault = self.faults.get(point)
        return fault(path) if fault is not None else None

    def ls(self, path, detail=True, **kwargs):
        if "ls instead" in self.faults:
            return self._strike("ls instead", path)
        listed = super().ls(path, detail=detail, **kwargs)
        return self._strike("ls", listed) if "ls" in self.faults else listed

    def info(self, path, **kwargs):
        self._strike("info", path)
        return super().info(path, **kwargs)

    def _open(self, path, mode="rb", **kwargs):
        with self._alone():
            self._strike(f"open {mode}", path)
            return super()._open(path, mode, **kwargs)

    def rm_file(self, path):
        if self._strike("rm", path) != "nothing":
            super().rm_file(path)
        self._strike("after rm", path)

    def cp_file(self, path1, path2, **kwargs):
        super().cp_file(path1, path2, **kwargs)
        self._strike("cp", path2)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two threads in one object: what paramiko does not survive."""
        here = id(self)
        assert here not in self.in_use, "two threads use one connection"
        self.in_use.add(here)
        try:
            threading.Event().wait(0.002)
            yield
        finally:
            self.in_use.discard(here)


def raising(exc: BaseException) -> Callable[[object], None]:
    """A fault that raises."""

    def strike(_path: object) -> None:
        raise exc

    return strike


@contextlib.contextmanager
def faulty(folder: str = "/photos") -> Iterator[type[FailingFileSystem]]:
    """The file system, registered, with an empty folder and no faults."""
    fsspec.register_implementation("failing", FailingFileSystem, clobber=True)
    FailingFileSystem.store.clear()
    FailingFileSystem.pseudo_dirs[:] = ["", folder]
    FailingFileSystem.faults.clear()
    FailingFileSystem.opened = FailingFileSystem.closed = 0
    try:
        yield FailingFileSystem
    finally:
        FailingFileSystem.faults.clear()
