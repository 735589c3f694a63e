"""Exceptions: told apart by what to do next, safe to pickle, and silent about patients."""

from __future__ import annotations

import errno
import inspect
import json
import os
import pickle
import traceback

import pytest

from intouch_import import errors
from intouch_import.errors import (
    CaptureNameError,
    ContentMismatch,
    FileError,
    InTouchImportError,
    MixedDestinations,
    RepositoryError,
    SourceError,
    instead_of,
    kind_and_place,
    without_path,
)

EVERY = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, InTouchImportError)
]


def test_every_exception_is_public() -> None:
    """All of them are exported, and the tree in the module's docstring names each."""
    assert {kind.__name__ for kind in EVERY} | {"without_path"} == set(errors.__all__)
    assert errors.__doc__ is not None
    for kind in EVERY:
        assert f" {kind.__name__}" in errors.__doc__ or kind is InTouchImportError


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_exceptions_survive_pickling(kind: type[InTouchImportError], protocol: int) -> None:
    """Message and attributes come back in another process."""
    exc = kind("what happened", import_id="1", errno=5, images=("a.jpg",))
    back = pickle.loads(pickle.dumps(exc, protocol))
    assert type(back) is kind
    assert back.args == ("what happened",)
    assert back.__dict__ == exc.__dict__ == {"import_id": "1", "errno": 5, "images": ("a.jpg",)}


@pytest.mark.parametrize("kind", EVERY)
def test_context_is_kept_out_of_what_is_shown(kind: type[InTouchImportError]) -> None:
    """Attributes may hold names; text and repr show the message alone."""
    exc = kind("what happened", name="secret.jpg", images=("secret.jpg",))
    assert str(exc) == "what happened"
    assert "secret" not in repr(exc)
    assert str(kind()) == ""


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("cause", [None, OSError(2, "No such file or directory")], ids=["None", "cause"])
def test_the_hidden_exception_can_not_be_followed(
    kind: type[InTouchImportError], cause: OSError | None
) -> None:
    """After ``raise … from``, the exception that was handled, whose text may name a patient, is not attached."""

    def fail() -> None:
        try:
            raise OSError(2, "no such file", "/photos/10042.jpg")
        except OSError:
            raise kind("what happened") from cause

    with pytest.raises(kind) as caught:
        fail()
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is cause
    assert "10042" not in "".join(traceback.format_exception(caught.value))


def test_an_exception_that_is_not_hidden_is_attached() -> None:
    """Without ``from``, Python's own chain is kept, so that an error in an error handler can be found."""
    first = ValueError()

    def fail() -> None:
        try:
            raise first
        except ValueError:
            raise ContentMismatch("what happened")  # noqa: B904  # this is what is tested

    with pytest.raises(ContentMismatch) as caught:
        fail()
    assert caught.value.__context__ is first
    other = ContentMismatch("another")
    other.__context__ = first
    assert other.__context__ is first


def test_whether_a_retry_helps_is_known_for_every_kind() -> None:
    """Errors of sources, files and repositories all say it, and a raiser may know better."""
    for kind in EVERY:
        if issubclass(kind, (SourceError, FileError, RepositoryError)):
            assert isinstance(kind().retry_helps, bool)
            assert kind(retry_helps=True).retry_helps is True


def test_kinds_that_python_knows() -> None:
    """A capture name that can't be true is a ValueError too; a mixed choice says which files are which."""
    assert issubclass(CaptureNameError, ValueError)
    assert (MixedDestinations().images, MixedDestinations().others) == ((), ())


@pytest.mark.parametrize(
    "exc",
    [
        OSError(errno.EIO, "Input/output error", "/home/secret/photo.jpg"),
        OSError(errno.EACCES, "Permission denied", "/secret", None, "/secret2"),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), b"secret"),
        FileNotFoundError("/secret/photo.jpg"),
        OSError("secret"),
        OSError(errno.EIO, "cannot read /secret/photo.jpg"),
    ],
)
def test_a_cause_is_told_without_its_path(exc: OSError) -> None:
    """The copy has the kind and the number of the error, and no name in it anywhere."""
    copy = without_path(exc)
    assert type(copy) is type(exc)
    assert copy.errno == exc.errno
    assert copy.filename is None
    assert copy.filename2 is None
    assert "secret" not in f"{copy} {copy!r} {copy.args}"


class Foreign(OSError):
    """An error of a driver, with a constructor of its own."""

    def __init__(self, status: int, filename: str, extra: str) -> None:
        super().__init__(status, extra, filename)


def test_an_error_with_a_constructor_of_its_own_is_told_too() -> None:
    """A driver's subclass of OSError does not break the telling."""
    copy = without_path(Foreign(5, "secret", "secret"))
    assert isinstance(copy, OSError)
    assert copy.errno == 5
    assert "secret" not in f"{copy} {copy!r}"


def _fails_in_a_hosts_code() -> Exception:
    try:
        json.loads("10042 Ada Marsh")
    except ValueError as exc:
        return exc
    raise AssertionError


def test_what_a_hosts_code_raised_is_told_by_kind_and_place() -> None:
    """A developer finds the line; the text, which may name a patient, is nowhere."""
    exc = _fails_in_a_hosts_code()
    told = kind_and_place(exc, import_id="1")
    assert told["kind"] == "JSONDecodeError"
    first, last = told["where"].split(", ")
    assert first.startswith(f"{__name__}:")
    assert first.endswith(" in _fails_in_a_hosts_code")
    assert last.startswith("json.decoder:")
    assert told["import_id"] == "1"
    assert kind_and_place(ValueError("10042"))["where"] == ""  # it was never raised


def test_what_stands_in_its_place_shows_no_value() -> None:
    """Printed with its notes, pickled or not, the error has the place and not the patient."""
    error = instead_of(_fails_in_a_hosts_code(), "the patient records failed")
    for shown in (error, pickle.loads(pickle.dumps(error))):
        assert str(shown) == "the patient records failed"
        printed = "".join(traceback.format_exception(shown))
        assert "JSONDecodeError at " in printed
        assert "_fails_in_a_hosts_code" in printed
        assert "Ada" not in printed
        assert (shown.kind, shown.where) == (error.kind, error.where)
