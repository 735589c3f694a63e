"""Tokens that one thread renews for all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from intouch_import.cloud.tokens import Tokens
from intouch_import.errors import SignInNeeded, SourceUnavailable


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
