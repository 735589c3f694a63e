"""The names that hosts may rely on."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from importlib import resources

import pytest

import intouch_import

# Taking a name off this list breaks hosts: deprecate it first, for twelve months.
PUBLIC = {
    *("Inbox", "Source", "PatientRepository", "open_source", "classify"),
    *("CaptureNaming", "CaptureName", "Clock", "Content", "Row", "SaveRequest"),
    *("Patient", "Provider", "Destination", "SourceFile", "Attachment", "StoredAttachment"),
    *("State", "Reason", "Action", "Verdict", "Progress", "Report", "Outcome", "Secret", "Settings"),
    *("InTouchImportError", "ConfigError", "SelectionError", "SourceError", "FileError", "RepositoryError"),
    "UnknownPatient",
    "__version__",
}
MODULES = [
    module.name
    for module in pkgutil.walk_packages(intouch_import.__path__, "intouch_import.")
    if not module.name.rpartition(".")[2].startswith("_")
]


def test_the_exported_names_are_these() -> None:
    """Nothing is exported by accident, and nothing disappears unnoticed."""
    assert set(intouch_import.__all__) == PUBLIC
    assert dir(intouch_import) == sorted(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_exported_name_resolves(name: str) -> None:
    """A lazy name leads to what its own module calls by that name."""
    value = getattr(intouch_import, name)
    if name == "__version__":
        assert value == importlib.metadata.version("intouch-import")
    else:
        assert value.__name__ == name
        assert getattr(importlib.import_module(value.__module__), name) is value


def test_a_star_import_gives_the_exported_names() -> None:
    """``from intouch_import import *`` works although the names are lazy."""
    namespace: dict[str, object] = {}
    exec("from intouch_import import *", namespace)
    assert set(namespace) - {"__builtins__"} == PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    """``hasattr`` and ``getattr`` with a default work as on any module."""
    assert not hasattr(intouch_import, "Outbox")
    with pytest.raises(AttributeError, match="Outbox"):
        _ = intouch_import.Outbox


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_exports(name: str) -> None:
    """Each module that promises names in ``__all__`` has them."""
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", ())
    assert len(set(exported)) == len(exported)
    assert [missing for missing in exported if not hasattr(module, missing)] == []


def test_the_types_are_shipped() -> None:
    """A host's type checker sees the annotations only if ``py.typed`` is installed."""
    assert (resources.files("intouch_import") / "py.typed").is_file()
