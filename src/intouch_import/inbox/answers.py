"""Questions asked all at once, and their answers taken as they come: who is slow holds up nobody."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

__all__ = ["Answers"]

_T = TypeVar("_T")
# Who answers almost at once is taken together: a photo that lies in two folders is then noticed before either
# is stored, and what is asked of the records is asked once.
_TOGETHER_S: Final = 0.05


class Answers(Generic[_T]):
    """Asks in threads, and hands out answers in groups: those that have come, in the order of the questions.

    More may be asked while it is iterated over. Left early, it does not wait for who has not answered.
    """

    def __init__(self) -> None:
        self._asked: list[Callable[[], _T]] = []
        self._running: dict[Future[_T], None] = {}
        self._pool: ThreadPoolExecutor | None = None

    def ask(self, question: Callable[[], _T]) -> None:
        """Ask. What ``question`` raises comes out of the iteration."""
        self._asked.append(question)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[list[_T]]:
        while self._asked or self._running:
            if len(self._asked) == 1 and not self._running:
                yield [self._asked.pop()()]  # nobody else would be held up: no thread is needed
                continue
            self._start()
            wait(self._running, return_when=FIRST_COMPLETED)
            come, _ = wait(self._running, timeout=_TOGETHER_S)
            group = [future for future in self._running if future in come]
            for future in group:
                del self._running[future]
            yield [future.result() for future in group]

    def _start(self) -> None:
        if self._pool is None:
            # A thread each: threads begin only when they are needed, and there are few locations.
            self._pool = ThreadPoolExecutor(_MOST, thread_name_prefix="intouch-list")
        self._running |= {self._pool.submit(question): None for question in self._asked}
        self._asked = []


_MOST: Final = 64
