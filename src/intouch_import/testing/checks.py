"""A check: one promise in words, and the function that tries to break it."""

from __future__ import annotations

import sysconfig
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

__all__ = ["Broken", "Check", "Checks", "expect", "fails", "given", "place_of", "run_all", "together"]

Bench = TypeVar("Bench")
Result = TypeVar("Result")

_PATIENCE_S = 60.0
_OURS = str(Path(__file__).parents[1])
_INSTALLED = tuple(sysconfig.get_path(one) for one in ("stdlib", "platstdlib", "purelib", "platlib"))


class Broken(AssertionError):
    """A promise is broken; the text says how."""


@attrs.frozen(eq=False)
class Check(Generic[Bench]):
    """One promise, and a test of it. Call the check with a factory of the object under test.

    Args:
        name: The name, for lists and test ids; ``str(check)`` returns it.
        promise: The promise, in one sentence.
        function: Takes a bench: the object under test, and what the check needs besides.
        bench: Makes a bench from the factory, as a context manager that cleans up after the check.

    Raises:
        AssertionError: The promise is broken. The message begins with the promise and says what is wrong.
    """

    name: str
    promise: str
    function: Callable[[Bench], None] = attrs.field(repr=False)
    bench: Callable[..., AbstractContextManager[Bench]] = attrs.field(repr=False)

    def __str__(self) -> str:
        return self.name

    def __call__(self, factory: Callable[[], Any], /, **options: Any) -> None:
        """Try to break the promise."""
        with self.bench(factory, **options) as bench:
            try:
                self.function(bench)
            except Broken as exc:
                # From the cause: the traceback up to here is the check's own code, no help for a host.
                raise AssertionError(self._message(str(exc), exc.__cause__)) from exc.__cause__
            except Exception as exc:
                found = f"{type(exc).__name__} was raised: {exc}"
                raise AssertionError(self._message(found, exc)) from exc

    def _message(self, found: str, cause: BaseException | None) -> str:
        place = place_of(cause)
        return f"{self.promise} But {found}{f' (at {place})' if place else ''}. [{self.name}]"


class Checks(list[Check[Bench]]):
    """The checks of one subject, in the order of the file.

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


def run_all(checks: Sequence[Check[Any]], factory: Callable[[], Any], **options: Any) -> None:
    """Run all checks, then report every cause on a line of its own.

    Exceptions of one class that the same line of the host's code raised are one cause: a line names the first
    promise that it breaks, and the checks of the others.

    Raises:
        AssertionError: At least one promise is broken. The cause is the first failure.
    """
    found: dict[object, tuple[AssertionError, list[str]]] = {}
    for check in checks:
        try:
            check(factory, **options)
        except AssertionError as exc:
            place = place_of(exc.__cause__)
            cause = (type(exc.__cause__), place) if place else check
            found.setdefault(cause, (exc, []))[1].append(check.name)
    if found:
        lines = [
            f"{first} The same cause breaks {', '.join(others)}." if others else str(first)
            for first, (_, *others) in found.values()
        ]
        raise AssertionError("\n".join(lines)) from next(iter(found.values()))[0]


def place_of(exc: BaseException | None) -> str | None:
    """Return file, line and function of the host's code that raised an exception.

    This is the last line that is neither in this library nor in an installed package; or else the first line
    that is not in this library.
    """
    if exc is None:
        return None
    places = [
        (frame.f_code.co_filename, f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}")
        for frame, line in traceback.walk_tb(exc.__traceback__)
        if not frame.f_code.co_filename.startswith(_OURS)
    ]
    theirs = [text for file, text in places if not file.startswith(_INSTALLED)]
    return theirs[-1] if theirs else places[0][1] if places else None


def expect(condition: object, otherwise: str) -> None:
    """Report ``otherwise`` unless the condition is true."""
    if not condition:
        raise Broken(otherwise)


def given(value: Result | None, otherwise: str) -> Result:
    """Return the value; report ``otherwise`` if it is None."""
    if value is None:
        raise Broken(otherwise)
    return value


def fails(
    kinds: type[Exception] | tuple[type[Exception], ...], what: str, call: Callable[[], object]
) -> Exception:
    """Expect a call to raise one of these exceptions, and return the exception.

    Args:
        kinds: The exceptions that the call may raise.
        what: The call in words, such as ``"adding it for another patient"``.
        call: The call.
    """
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    wanted = "an error" if Exception in kinds else " or ".join(kind.__name__ for kind in kinds)
    try:
        call()
    except kinds as exc:
        return exc
    except Exception as exc:  # the code under test raises anything
        raise Broken(f"{what} raised {type(exc).__name__} instead of {wanted}") from exc
    raise Broken(f"{what} raised nothing instead of {wanted}")


def together(
    calls: Sequence[Callable[[], Result]], *, expected: tuple[type[Exception], ...] = ()
) -> list[Result | Exception]:
    """Run each call in a thread of its own, all at the same moment.

    Returns:
        The result or the expected exception of each call, in order.
    """
    barrier = threading.Barrier(len(calls))
    results: dict[int, Result | Exception] = {}

    def one(number: int, call: Callable[[], Result]) -> None:
        try:
            barrier.wait(_PATIENCE_S)
            results[number] = call()
        except Exception as exc:  # noqa: BLE001  # the code under test raises anything
            results[number] = exc

    # No pool: it would wait for ever for a thread that hangs, and so would the interpreter when it exits.
    threads = [
        threading.Thread(target=one, args=(number, call), daemon=True) for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    give_up_at = time.monotonic() + _PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, give_up_at - time.monotonic()))
    if len(results) < len(calls):
        raise Broken(f"calls from several threads at once did not finish within {_PATIENCE_S:.0f} s")
    for result in results.values():
        if isinstance(result, Broken):
            raise result
        if isinstance(result, Exception) and not isinstance(result, expected):
            text = f"calls from several threads at once raised {type(result).__name__}: {result}"
            raise Broken(text) from result
    return [results[number] for number in range(len(calls))]
