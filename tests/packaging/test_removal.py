"""Who may remove a file."""

from __future__ import annotations

import ast
from importlib import resources
from pathlib import Path

import pytest

PACKAGE = Path(str(resources.files("intouch_import")))
REMOVES_A_SOURCE_FILE = {"remove", "remove_many"}
LOCATIONS = ("sources/", "azure/", "dropbox/", "onedrive/")
DELETES_FROM_A_DISK = {"unlink", "rmdir", "rmtree", "removedirs", "rm", "rm_file"}

# Each with what it deletes. None of them but a source's own `remove` may touch a file in a source.
MAY_DELETE = {
    "content.py": "the staged copy of a file, once its move is over",
    "disk.py": "temporary files that it made itself",
    "remote.py": "temporary files that it made itself, on other file systems",
    "migration/lists.py": "the database that it made of a list before",
    "media/thumbnails.py": "thumbnails that are discarded, or make room for newer ones",
    "records/backup.py": "copies in a backup that is being made",
    "repositories/files.py": "stored bytes whose transaction failed or whose attachment was withdrawn",
    "sources/generic.py": "what `remove` was asked for; its own temporary files",
    "sources/local.py": "what `remove` was asked for; its own temporary files",
    "sources/sftp.py": "what `remove` was asked for",
    "testing/memory.py": "the ledger of records in memory, together with them",
    "testing/places.py": "what the kit put into a folder made for it",
    "signin/store.py": "a refresh token that is to be forgotten; its own temporary files",
}


def _uses(code: str, names: set[str]) -> list[int]:
    """Lines that call, pass on or import a function of one of these names."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Attribute(attr=name) if name in names:
                lines.append(node.lineno)
            case ast.ImportFrom(names=aliases) if any(alias.name in names for alias in aliases):
                lines.append(node.lineno)
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_]) if (
                name in names
            ):
                lines.append(node.lineno)
    return lines


def _where(names: set[str]) -> dict[str, int]:
    """By module: how often it uses one of these names."""
    counts = {
        path.relative_to(PACKAGE).as_posix(): len(_uses(path.read_text("utf-8"), names))
        for path in PACKAGE.rglob("*.py")
    }
    assert len(counts) > 20
    return {module: count for module, count in counts.items() if count}


@pytest.mark.parametrize(
    "code",
    [
        "source.remove(file)",
        "os.remove(path)",
        "pool.map(source.remove, files)",
        "from os import remove as gone",
        "getattr(source, 'remove')(file)",
    ],
)
def test_the_search_finds_every_way_to_write_it(code: str) -> None:
    """The tests below would prove nothing if a removal could be written so that they miss it."""
    assert _uses(code, REMOVES_A_SOURCE_FILE) == [1]


def test_only_the_move_removes_a_source_file() -> None:
    """Two lines in one room take files out of sources, one by one or together: those that follow verify and ledger."""
    used = _where(REMOVES_A_SOURCE_FILE)
    rooms = {module for module in used if not module.startswith(("sources/", "testing/source_"))}
    assert rooms == {"moving/steps.py"}  # and the kit, which tries what sources do with files of its own
    assert used["moving/steps.py"] == 2


def test_no_source_removes_by_itself() -> None:
    """A source removes when it is told to: none of its other methods calls `remove`."""
    assert not [module for module in _where(REMOVES_A_SOURCE_FILE) if module.startswith(LOCATIONS)]


def test_files_are_deleted_only_where_it_is_explained() -> None:
    """A module that deletes anything stands on the list above, with what it deletes."""
    assert set(_where(DELETES_FROM_A_DISK)) == set(MAY_DELETE)
