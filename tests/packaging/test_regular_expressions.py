"""No regular expression of the library takes much longer for a text that is made to be slow."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlint.redos import detect

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(str(resources.files("intouch_import")))
MOST_S = 0.05
PUMPS = ["a", "0", " ", "/", ".", "_", "-", "é", "\n", "a ", "0-", "a.", "a=", "{a", "<!---->", "/L "]


def _patterns() -> Iterator[re.Pattern[Any]]:
    """Yield the patterns that are written in calls of `re`, and those that modules have composed."""
    for path in PACKAGE.rglob("*.py"):
        code = path.read_text("utf-8")
        if "\nimport re\n" not in code:
            continue
        module = importlib.import_module(".".join(("intouch_import", *path.relative_to(PACKAGE).parts))[:-3])
        yield from (value for value in vars(module).values() if isinstance(value, re.Pattern))
        for node in ast.walk(ast.parse(code)):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re")), args=[ast.Constant(value=pattern), *_]
                ):
                    yield re.compile(pattern)


def _is_quick(pattern: re.Pattern[Any], text: str) -> bool:
    """Return whether a pattern needs little processor time for a text, in one of three tries."""
    subject = text.encode() if isinstance(pattern.pattern, bytes) else text
    for _try in range(3):
        start_s = time.thread_time()
        pattern.fullmatch(subject)
        pattern.search(subject[:1000])  # only short texts are searched
        if time.thread_time() - start_s < MOST_S:
            return True
    return False


def test_regular_expressions_are_quick() -> None:
    """A linter finds no exponential time, and repeated characters stop no other thread of the host."""
    patterns = set(_patterns())
    assert len(patterns) > 40
    for pattern in patterns:
        raw = pattern.pattern
        assert not detect.catastrophic(raw.decode("latin-1") if isinstance(raw, bytes) else raw), raw
        for pump, end in itertools.product(PUMPS, ("", "\0")):
            assert _is_quick(pattern, (pump * 2000)[:4000] + end), (raw, pump)


def test_slow_expressions_are_found() -> None:
    """A repeated repeat is found by the linter, and a search that starts anew at each character by its time."""
    assert detect.catastrophic(r"(?:<!--.*?-->\s*)*<html")
    assert not _is_quick(re.compile(r"[a-z]*[a-z]*="), "a" * 900)
