"""What a check is: one promise in words, and the function that tries to break it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

__all__ = ["Broken", "Check", "Checks", "broken", "expect", "fails", "given", "run_all", "together"]

Bench = TypeVar("Bench")
Result = TypeVar("Result")

_PATIENCE_S = 60.0


class Broken(AssertionError):
    """A promise is broken; the text says what was seen."""


@attrs.frozen(eq=False)
class Check(Generic[Bench]):
    """One promise, and what tries to break it. Call it with what makes the thing to be checked.

    Args:
        name: For lists and test ids.
        promise: In one sentence.
        function: Gets a bench: what the factory makes, and what the check needs beside it.
        bench: Makes one from a factory; it is left when the check is over.

    Raises:
        AssertionError: The promise is broken. The message begins with it, and says what was seen.
    """

    name: str
    promise: str
    function: Callable[[Bench], None] = attrs.field(repr=False)
    bench: Callable[..., AbstractContextManager[Bench]] = attrs.field(repr=False)

    def __str__(self) -> str:
        return self.name

    def __call__(self, factory: Callable[[], Any], /, **hands: Any) -> None:
        """Try to break the promise."""
        with self.bench(factory, **hands) as bench:
            try:
                self.function(bench)
            except Broken as exc:
                # From None: what led here is the check's own code, which tells a host nothing.
                raise AssertionError(self._told(str(exc))) from exc.__cause__
            except Exception as exc:
                raise AssertionError(self._told(f"{type(exc).__name__} was raised: {exc}")) from exc

    def _told(self, found: str) -> str:
        return f"{self.promise} But {found}. [{self.name}]"


class Checks(list[Check[Bench]]):
    """The checks of one subject, in the order in which they are written.

    Args:
        bench: See `Check`.
    """

    def __init__(self, bench: Callable[..., AbstractContextManager[Bench]]) -> None:
        super().__init__()
        self._bench = bench

    def promise(self, text: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
        """Make the decorated function the check of this promise."""

        def add(function: Callable[[Bench], None]) -> Callable[[Bench], None]:
            self.append(Check(function.__name__, text, function, self._bench))
            return function

        return add


def run_all(checks: Sequence[Check[Any]], factory: Callable[[], Any], **hands: Any) -> None:
    """Run checks to the last, then say what is broken: one line for each promise.

    Raises:
        AssertionError: With all that was found; the first one is its cause.
    """
    found: list[AssertionError] = []
    for check in checks:
        try:
            check(factory, **hands)
        except AssertionError as exc:
            found.append(exc)
    if found:
        raise AssertionError("\n".join(map(str, found))) from found[0]


def expect(condition: object, found: str) -> None:
    """Go on if the condition holds; ``found`` says what was seen if it does not."""
    if not condition:
        raise Broken(found)


def given(value: Result | None, found: str) -> Result:
    """The value; ``found`` says what was seen if it is None."""
    if value is None:
        raise Broken(found)
    return value


def broken(found: str, cause: BaseException | None = None) -> NoReturn:
    """Say what was seen."""
    raise Broken(found) from cause


def fails(
    kinds: type[Exception] | tuple[type[Exception], ...], what: str, call: Callable[[], object]
) -> Exception:
    """Expect a call to raise one of these kinds, and return what it raised.

    Args:
        kinds: What it may raise.
        what: The call in words, such as ``"adding it for another patient"``.
        call: The call.
    """
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    wanted = "an error" if Exception in kinds else " or ".join(kind.__name__ for kind in kinds)
    try:
        call()
    except kinds as exc:
        return exc
    except Exception as exc:  # noqa: BLE001  # the code under test raises anything
        broken(f"{what} raised {type(exc).__name__} instead of {wanted}", exc)
    broken(f"{what} raised nothing instead of {wanted}")


def together(
    calls: Sequence[Callable[[], Result]], *, expected: tuple[type[Exception], ...] = ()
) -> list[Result | Exception]:
    """Run calls in one thread each, begun in the same instant; results and expected exceptions in order."""
    barrier = threading.Barrier(len(calls))
    results: dict[int, Result | Exception] = {}

    def one(number: int, call: Callable[[], Result]) -> None:
        try:
            barrier.wait(_PATIENCE_S)
            results[number] = call()
        except Exception as exc:  # noqa: BLE001  # the code under test raises anything
            results[number] = exc

    # Not a pool: it would wait for ever for a thread that hangs, and so would the interpreter at its end.
    threads = [
        threading.Thread(target=one, args=(number, call), daemon=True) for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    give_up_at = time.monotonic() + _PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, give_up_at - time.monotonic()))
    if len(results) < len(calls):
        broken(f"calls from several threads at once did not come to an end in {_PATIENCE_S:.0f} s")
    for result in results.values():
        if isinstance(result, Broken):
            raise result
        if isinstance(result, Exception) and not isinstance(result, expected):
            broken(f"calls from several threads at once raised {type(result).__name__}: {result}", result)
    return [results[number] for number in range(len(calls))]
