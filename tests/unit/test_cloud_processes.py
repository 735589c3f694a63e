"""Values that each process makes once, and tokens that one thread renews for all."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from intouch_import.cloud.processes import PerProcess, Tokens
from intouch_import.errors import SignInNeeded, SourceUnavailable


def test_threads_share_one_value() -> None:
    """The value is made once, even if several threads ask for it at the same moment."""
    made: list[object] = []
    barrier = threading.Barrier(4)

    def make() -> object:
        made.append(object())
        return made[-1]

    value = PerProcess(make)

    def ask(_: int) -> object:
        barrier.wait(10)
        return value()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == len(made) == 1


def test_a_value_that_was_taken_is_made_again() -> None:
    """`take` returns the value once and forgets it."""
    made = iter(range(9))
    value = PerProcess(lambda: str(next(made)))
    assert value.take() is None
    assert (value(), value(), value.take(), value.take(), value()) == ("0", "0", "0", None, "1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_makes_its_own_value() -> None:
    """A child does not use the value of its parent."""
    value = PerProcess(os.getpid)
    parents = value()
    child = os.fork()
    if child == 0:
        os._exit(0 if value() != parents else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_one_thread_renews_a_refused_token_for_all() -> None:
    """The threads whose token was refused get the same new token, which was asked for once."""
    current, forced = ["old"], []

    def provider(force: bool) -> str:
        if force:
            forced.append(force)
            current[0] = f"new{len(forced)}"
        return current[0]

    tokens = Tokens(provider, service="OneDrive")
    assert tokens.get(None) == "old"
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(tokens.get, ["old"] * 4)) == {"new1"}
    assert forced == [True]


@pytest.mark.parametrize("refused", [None, "old"])
def test_what_a_token_provider_raises(refused: str | None) -> None:
    """Our errors pass. Other exceptions may have a token in their text, which is not shown."""

    def raising(exc: Exception) -> Tokens:
        def provider(_force: bool) -> Any:
            raise exc

        return Tokens(provider, service="Dropbox")

    with pytest.raises(SignInNeeded):
        raising(SignInNeeded("nobody is signed in")).get(refused)
    with pytest.raises(SourceUnavailable, match="token provider for Dropbox") as caught:
        raising(RuntimeError("CANARY")).get(refused)
    assert caught.value.__cause__ is None
    assert "CANARY" not in str(caught.value)
