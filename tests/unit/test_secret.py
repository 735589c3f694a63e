"""A secret shows itself only when it is asked to."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import pprint
from typing import Any

import attrs
import pytest

from intouch_import.secret import MASK, Secret

TEXT = "CANARYKEY=="


@attrs.frozen
class Holder:
    key: Secret


@dataclasses.dataclass
class PlainHolder:
    key: Secret


def test_it_reveals_its_text_when_asked() -> None:
    """What was put in comes out, empty and non-ASCII text and lone surrogates included."""
    for text in (TEXT, "", "Schlüssel", "\udc80"):
        assert Secret(text).reveal() == text


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{:>20}".format,
        "{!r}".format,
        "{:.3}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  # as old code does
        lambda secret: pprint.pformat({"key": secret}),
        lambda secret: repr([secret]),
        lambda secret: repr(Holder(secret)),
        lambda secret: str(attrs.asdict(Holder(secret))),
        lambda secret: str(attrs.astuple(Holder(secret))),
        lambda secret: str(dataclasses.asdict(PlainHolder(secret))),
        lambda secret: json.dumps({"key": secret}, default=str),
        lambda secret: repr(copy.deepcopy(secret)) + repr(copy.copy(secret)),
        lambda secret: logging.makeLogRecord({"msg": "key %s", "args": (secret,)}).getMessage(),
        ascii,
    ],
)
def test_no_way_of_showing_it_gives_it_away(show: Any) -> None:
    """Whatever turns values into text gets the mask, of the same length for every secret."""
    shown = show(Secret(TEXT))
    assert "CANARY" not in shown
    assert MASK in shown
    assert show(Secret("x")) == shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol: int) -> None:
    """Not by itself, not within another value: it must not travel to a worker or a file by accident."""
    for value in (Secret(TEXT), Holder(Secret(TEXT)), [Secret(TEXT)]):
        with pytest.raises(TypeError, match="pickled") as caught:
            pickle.dumps(value, protocol)
        assert "CANARY" not in str(caught.value)


def test_json_does_not_take_it() -> None:
    """An encoder that was not told what to do refuses it, without showing it."""
    with pytest.raises(TypeError) as caught:
        json.dumps(Secret(TEXT))
    assert "CANARY" not in str(caught.value)


def test_equal_by_text_alone() -> None:
    """Two of the same text are equal and hash alike; a str, or other text, is something else."""
    assert Secret(TEXT) == Secret(TEXT)
    assert hash(Secret(TEXT)) == hash(Secret(TEXT))
    assert Secret(TEXT) != Secret("other")
    assert Secret("ü") != Secret("u")
    assert Secret(TEXT) != TEXT
    assert Holder(Secret(TEXT)) == Holder(Secret(TEXT))


def test_truth_is_whether_there_is_text() -> None:
    """A source can ask whether it was given one."""
    assert Secret(TEXT)
    assert not Secret("")


def test_of_takes_text_and_secrets() -> None:
    """Callers may give either."""
    secret = Secret(TEXT)
    assert Secret.of(secret) is secret
    assert Secret.of(TEXT) == secret


@pytest.mark.parametrize("value", [b"CANARY", 5, None, ["CANARY"], Secret("CANARY")])
def test_it_is_text(value: Any) -> None:
    """Anything else is refused, and not repeated."""
    with pytest.raises(TypeError) as caught:
        Secret(value)
    assert "CANARY" not in str(caught.value)


def test_it_stays_as_it_is() -> None:
    """Nothing of it can be changed, and it has no dictionary to look into."""
    secret = Secret(TEXT)
    with pytest.raises(AttributeError):
        secret.value = "x"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del secret._value  # type: ignore[attr-defined]
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == TEXT
