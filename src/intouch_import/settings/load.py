"""Load settings from TOML files and environment variables, and find every mistake at once.

The values of each file are checked before the files are merged. So a wrong value is reported with its file
even where a later file overrides it.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.settings.check import ENVIRONMENT, Checks, Mistake
from intouch_import.settings.formats import ID, InvalidValue
from intouch_import.settings.sections import SECTIONS, format_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intouch_import.settings.formats import Format

__all__ = ["FILES_VARIABLE", "Loaded", "load", "variable"]

FILES_VARIABLE: Final = "INTOUCH_SETTINGS"
"""The variable with the settings files to use where none are given, separated as in ``PATH``."""

_PREFIX: Final = "INTOUCH_"
_WHERE: Final = re.compile(r"line \d+(, column \d+)?")
_TWICE: Final = re.compile("twice|Duplicate|Cannot (overwrite|declare|mutate)")
_EXAMPLES: Final = {"provider": "[provider.DRJ]", "operator": "[operator.reception]"}
_MAX_FILE_BYTES: Final = 1024 * 1024
# Read by other parts: the command's own options.
_OTHER_VARIABLES: Final = frozenset({FILES_VARIABLE, "INTOUCH_OPERATOR"})


@attrs.frozen(kw_only=True, repr=False)
class Loaded:
    """The settings in files and environment variables, right or wrong.

    Args:
        sections: By dotted name (``practice``, ``provider.DRJ``), as far as they could be read.
        origins: By dotted key: the file or variable that each value comes from.
        mistakes: What is wrong.
        warnings: What is doubtful; the settings can be used all the same.
    """

    sections: dict[str, Any]
    origins: dict[str, str]
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]

    def by_id(self, kind: str) -> dict[str, Any]:
        """Return the sections of a kind, ``"provider"`` or ``"operator"``, by id."""
        prefix = f"{kind}."
        return {name[len(prefix) :]: one for name, one in self.sections.items() if name.startswith(prefix)}


def load(files: Sequence[str | Path] = (), *, ask_disk: bool = False) -> Loaded:
    """Load settings. Mistakes are returned, not raised.

    Args:
        files: See `Settings.load`.
        ask_disk: Whether to look on the disk if two folders are the same one.
    """
    paths = [Path(file) for file in files or os.environ.get(FILES_VARIABLE, "").split(os.pathsep) if file]
    loading = _Loading()
    if not paths:
        loading.mistake(ENVIRONMENT, FILES_VARIABLE, "names no settings file, and none is given")
    tables = [(path, loading.tables_of(path)) for path in paths]
    names = dict.fromkeys(["practice", *(name for _, by_name in tables for name in by_name)])
    sections = {
        name: loading.section(name, [(path, by_name[name]) for path, by_name in tables if name in by_name])
        for kind in SECTIONS
        for name in names
        if name.partition(".")[0] == kind
    }
    checks = Checks(sections, loading.origins, loading.given, ask_disk=ask_disk)
    return Loaded(
        sections=sections,
        origins=loading.origins,
        mistakes=(*loading.mistakes, *checks.mistakes()),
        warnings=(*loading.unknown_variables(), *checks.warnings()),
    )


def variable(section: str, section_id: str, key: str) -> str:
    """Return the name of the environment variable for a setting."""
    parts = [section, re.sub(r"[^A-Z0-9]", "_", section_id.upper())] if section_id else []
    return _PREFIX + "_".join([*parts, key]).upper()


class _Loading:
    """The mistakes and origins that one loading collects."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.origins: dict[str, str] = {}
        # All keys that a file or variable tries to set: a key with an invalid value is not also missing.
        self.given: dict[str, str] = {}
        self._variables: set[str] = set()

    def tables_of(self, path: Path) -> dict[str, dict[str, Any]]:
        """Return the tables of one file by dotted name, without those that are not tables of settings."""
        tables: dict[str, dict[str, Any]] = {}
        for section, value in self._content(path).items():
            if section not in SECTIONS:
                self._unknown(path, section, section, SECTIONS)
            elif not isinstance(value, dict):
                self.mistake(path, section, f"expected a table: [{section}]")
            elif section == "practice":
                tables[section] = value
            else:
                tables |= self._tables_by_id(path, section, value)
        return tables

    def _content(self, path: Path) -> dict[str, Any]:
        try:
            with path.open("rb") as file:
                raw = file.read(_MAX_FILE_BYTES + 1)
            if len(raw) > _MAX_FILE_BYTES:
                raise InvalidValue("it is too large")
            # Editors on Windows put a mark before the text.
            return tomllib.loads(raw.decode("utf-8-sig"))
        except FileNotFoundError:
            self.mistake(path, "", "expected a settings file: there is none of this name")
        except (OSError, ValueError, RecursionError) as exc:  # lists in lists in lists
            self.mistake(path, "", _why_unreadable(exc))
        return {}

    def _tables_by_id(self, path: Path, section: str, value: dict[str, Any]) -> dict[str, dict[str, Any]]:
        tables: dict[str, dict[str, Any]] = {}
        for section_id, table in value.items():
            name = f"{section}.{section_id}"
            try:
                ID.check(section_id)
            except InvalidValue as exc:
                self.mistake(path, name, f"expected {ID.expected}: {exc}")
                continue
            if isinstance(table, dict):
                tables[name] = table
            else:
                self.mistake(path, name, f"expected a table for each id: {_EXAMPLES[section]}")
        return tables

    def section(self, name: str, tables: Sequence[tuple[Path, Mapping[str, Any]]]) -> attrs.AttrsInstance:
        """Make a section from its tables and the environment. A later value replaces an earlier one."""
        section, _, section_id = name.partition(".")
        fields = attrs.fields_dict(SECTIONS[section])
        values: dict[str, Any] = {}
        for path, table in tables:
            # The values have no ".." in them, but the file itself may be given as ../practice.toml.
            folder = path.parent.resolve() if ".." in path.parts else path.parent
            for key, value in table.items():
                if key in fields:
                    form = format_of(fields[key])
                    values |= self._take(str(path), f"{name}.{key}", form, value, folder)
                else:
                    self._unknown(path, f"{name}.{key}", key, fields)
        for key, field in fields.items():
            variable_name = variable(section, section_id, key)
            self._variables.add(variable_name)
            if text := os.environ.get(variable_name):  # an empty variable is not set
                origin, form = f"{ENVIRONMENT} {variable_name}", format_of(field)
                values |= self._take(origin, f"{name}.{key}", form, form.parse(text), Path.cwd())
        return SECTIONS[section](**values)

    def _take(self, origin: str, key: str, form: Format, value: Any, folder: Path) -> dict[str, Any]:
        """Check one value. Return it under its name, or nothing if it is invalid."""
        self.given[key] = origin
        try:
            taken = form.check(form.place(form.check(value), folder))
        except InvalidValue as exc:
            self.mistake(origin, key, f"expected {form.expected}: {exc}")
            return {}
        self.origins[key] = origin
        return {key.rpartition(".")[2]: taken}

    def mistake(self, file: str | Path, key: str, text: str) -> None:
        """Add a mistake."""
        self.mistakes.append(Mistake(file=str(file), key=key, text=text))

    def _unknown(self, path: Path, key: str, word: str, known: Iterable[str]) -> None:
        self.mistake(path, key, f"no such key{_nearest(word, known)}")

    def unknown_variables(self) -> list[Mistake]:
        """Return a warning for each environment variable that looks like a setting and is none."""
        unknown = (
            {name for name in os.environ if name.startswith(_PREFIX)} - self._variables - _OTHER_VARIABLES
        )
        return [
            Mistake(
                file=ENVIRONMENT,
                key=name,
                text=f"no setting has this variable{_nearest(name, self._variables)}",
            )
            for name in sorted(unknown)
        ]


def _why_unreadable(exc: Exception) -> str:
    match exc:
        case InvalidValue():
            return f"expected a settings file: {exc}"
        case UnicodeDecodeError():
            return "expected text in UTF-8"
        case tomllib.TOMLDecodeError():
            # Not the decoder's text: it may repeat the content, such as a secret without its quotes.
            where = _WHERE.search(str(exc))
            twice = _TWICE.search(str(exc)) is not None
            what = "a key or an id is given twice" if twice else "this is not TOML"
            return f"expected TOML: {what}" + (f" ({where[0]})" if where else "")
        case _:
            return "expected a settings file: it can't be read"


def _nearest(word: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""
