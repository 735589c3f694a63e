"""From TOML files and the environment to settings, with every mistake found at once.

The values of each file are checked before they are merged, so that a mistake is told with its file even where
a later file overrides it. Merging, names of environment variables and precedence are typed-settings' own.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs
import typed_settings as ts
from typed_settings.types import LoadedSettings, LoaderMeta

from intouch_import.errors import ConfigError, SettingsError
from intouch_import.settings.check import Mistake, check
from intouch_import.settings.fields import ID, Refused
from intouch_import.settings.sections import (
    SECTIONS,
    OperatorSettings,
    PracticeSettings,
    ProviderSettings,
    rule_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typed_settings.loaders import Loader
    from typed_settings.types import OptionInfo, OptionList, SettingsClass

    from intouch_import.settings.fields import Rule

__all__ = ["ENVIRONMENT", "FILES_VARIABLE", "Found", "read", "variable"]

FILES_VARIABLE: Final = "INTOUCH_SETTINGS"
"""Names the settings files where none are given, separated as in ``PATH``."""

ENVIRONMENT: Final = "environment"

_PREFIX: Final = "INTOUCH_"
_WHERE: Final = re.compile(r"line \d+(, column \d+)?")
_TWICE: Final = re.compile("twice|Duplicate|Cannot (overwrite|declare|mutate)")
_EXAMPLES: Final = {"provider": "[provider.DRJ]", "operator": "[operator.reception]"}
_MAX_FILE_BYTES: Final = 1024 * 1024
# Read by other parts: the command's own options.
_OTHER_VARIABLES: Final = frozenset({FILES_VARIABLE, "INTOUCH_OPERATOR"})

_Section = TypeVar("_Section")


@attrs.frozen(kw_only=True, repr=False)
class Found:
    """What files and environment come to.

    Args:
        practice, providers, operators: As far as they could be read.
        origins: By dotted key, where each value that is set comes from.
        mistakes: What is wrong.
        warnings: What is doubtful, and does not keep the settings from being used.
    """

    practice: PracticeSettings
    providers: dict[str, ProviderSettings]
    operators: dict[str, OperatorSettings]
    origins: dict[str, str]
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]

    def refuse_mistakes(self) -> Found:
        """Itself, if nothing is wrong.

        Raises:
            SettingsError: Something is.
        """
        if self.mistakes:
            raise SettingsError("\n".join(map(str, self.mistakes)), mistakes=self.mistakes)
        return self


def read(files: Sequence[str | Path] = (), *, ask_disk: bool = False) -> Found:
    """Read settings; nothing is raised for what is wrong with them.

    Args:
        files: See `Settings.load`.
        ask_disk: Whether to look at the folders that are named, to tell whether two of them are one.
    """
    paths = [Path(file) for file in files] or [
        Path(name) for name in os.environ.get(FILES_VARIABLE, "").split(os.pathsep) if name
    ]
    reading = _Reading(ask_disk=ask_disk)
    if not paths:
        reading.mistakes.append(
            Mistake(
                file=ENVIRONMENT,
                key=FILES_VARIABLE,
                text="names no settings file, and none is given",
            )
        )
    tables = [(path, table) for path in paths if (table := reading.tables_of(path)) is not None]
    return reading.finish(tables)


def variable(section: str, section_id: str, option: str) -> str:
    """The environment variable that stands for a setting."""
    return f"{_prefix(section, section_id)}{option.upper()}"


def _prefix(section: str, section_id: str) -> str:
    if section == "practice":
        return _PREFIX
    return f"{_PREFIX}{section.upper()}_{re.sub(r'[^A-Z0-9]', '_', section_id.upper())}_"


class _Reading:
    """One reading of files and environment: what was found, and what is wrong with it."""

    def __init__(self, *, ask_disk: bool) -> None:
        self._ask_disk = ask_disk
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self.origins: dict[str, str] = {}
        # Keys that somebody has tried to set: a wrong value is one mistake, not also a missing one.
        self.given: dict[str, str] = {}
        self._variables: set[str] = set()

    # --- files

    def tables_of(self, path: Path) -> dict[str, dict[str, dict[str, Any]]] | None:
        """The tables of one file by section and id (empty for the practice); None if it can't be read."""
        content = self._content(path)
        if content is None:
            return None
        tables: dict[str, dict[str, dict[str, Any]]] = {section: {} for section in SECTIONS}
        for section, value in content.items():
            if section not in SECTIONS:
                self._unknown(str(path), section, section, SECTIONS)
            elif not isinstance(value, dict):
                self._mistake(str(path), section, f"expected a table: [{section}]")
            elif section == "practice":
                tables[section][""] = value
            else:
                tables[section] = self._by_id(path, section, value)
        return tables

    def _content(self, path: Path) -> dict[str, Any] | None:
        try:
            with path.open("rb") as file:
                raw = file.read(_MAX_FILE_BYTES + 1)
            if len(raw) > _MAX_FILE_BYTES:
                raise Refused("it is too large")
            # Editors on Windows put a mark before the text.
            return tomllib.loads(raw.decode("utf-8-sig"))
        except FileNotFoundError:
            self._mistake(str(path), "", "expected a settings file: there is none of this name")
        except (OSError, ValueError, RecursionError) as exc:  # lists in lists in lists
            self._mistake(str(path), "", _why_unreadable(exc))
        return None

    def _by_id(self, path: Path, section: str, value: dict[str, Any]) -> dict[str, dict[str, Any]]:
        tables: dict[str, dict[str, Any]] = {}
        for section_id, table in value.items():
            key = f"{section}.{section_id}"
            try:
                ID.take(section_id)
            except Refused as exc:
                self._mistake(str(path), key, f"expected {ID.expected}: {exc}")
                continue
            if isinstance(table, dict):
                tables[section_id] = table
            else:
                self._mistake(str(path), key, f"expected a table for each id: {_EXAMPLES[section]}")
        return tables

    # --- sections

    def finish(self, tables: Sequence[tuple[Path, Mapping[str, dict[str, dict[str, Any]]]]]) -> Found:
        """Merge what the files say with the environment, and check it as a whole."""

        def of(section: str, section_id: str, kind: type[_Section]) -> _Section:
            parts = [
                (path, by_section[section][section_id])
                for path, by_section in tables
                if section_id in by_section[section]
            ]
            return self._section(section, section_id, kind, parts)

        def ids(section: str) -> Iterable[str]:
            return dict.fromkeys(one for _, by_section in tables for one in by_section[section])

        practice = of("practice", "", PracticeSettings)
        providers = {one: of("provider", one, ProviderSettings) for one in ids("provider")}
        operators = {one: of("operator", one, OperatorSettings) for one in ids("operator")}
        mistakes, warnings = check(
            practice=practice,
            providers=providers,
            operators=operators,
            origins=self.origins,
            given=self.given,
            ask_disk=self._ask_disk,
        )
        self._unknown_variables()
        return Found(
            practice=practice,
            providers=providers,
            operators=operators,
            origins=self.origins,
            mistakes=(*self.mistakes, *mistakes),
            warnings=(*self.warnings, *warnings),
        )

    def _section(
        self,
        section: str,
        section_id: str,
        kind: type[_Section],
        parts: Sequence[tuple[Path, dict[str, Any]]],
    ) -> _Section:
        name = f"{section}.{section_id}" if section_id else section
        environment = ts.EnvLoader(prefix=_prefix(section, section_id))
        loaders: list[Loader] = [
            *(_Checked(self, name, str(path), path.parent, table) for path, table in parts),
            _CheckedEnvironment(self, name, environment),
        ]
        try:
            return ts.load_settings(kind, loaders, converter=_Made())
        except ExceptionGroup:
            # Each value has passed its rule already; typed-settings' own text would repeat them.
            raise ConfigError(f"{name}: the settings can't be put together") from None

    def take(
        self, section: str, origin: str, option: OptionInfo, rule: Rule, value: Any, folder: Path
    ) -> Any:
        """The value of one setting, checked; None if it is wrong."""
        key = f"{section}.{option.name}"
        self.given[key] = origin
        try:
            taken = rule.place(rule.take(value), folder)
        except Refused as exc:
            self._mistake(origin, key, f"expected {rule.expected}: {exc}")
            return None
        self.origins[key] = origin
        return taken

    def unknown(self, section: str, file: str, key: str, options: OptionList) -> None:
        """A key that stands in a table and means nothing."""
        self._unknown(file, f"{section}.{key}", key, [option.name for option in options])

    def asked(self, name: str) -> None:
        """An environment variable that means something."""
        self._variables.add(name)

    # --- what is wrong

    def _mistake(self, file: str, key: str, text: str) -> None:
        self.mistakes.append(Mistake(file=file, key=key, text=text))

    def _unknown(self, file: str, key: str, word: str, known: Iterable[str]) -> None:
        self._mistake(file, key, f"no such key{_nearest(word, known)}")

    def _unknown_variables(self) -> None:
        for name in sorted(os.environ):
            if name.startswith(_PREFIX) and name not in self._variables | _OTHER_VARIABLES:
                text = f"no setting has this variable{_nearest(name, self._variables)}"
                self.warnings.append(Mistake(file=ENVIRONMENT, key=name, text=text))


class _Checked:
    """The loader of one table of one file."""

    def __init__(
        self, reading: _Reading, section: str, file: str, folder: Path, table: Mapping[str, Any]
    ) -> None:
        self._reading = reading
        self._section = section
        self._file = file
        self._folder = folder
        self._table = table

    def __call__(self, settings_cls: SettingsClass, options: OptionList) -> LoadedSettings:
        by_name = {option.name: option for option in options}
        rules = {field.name: rule_of(field) for field in attrs.fields(settings_cls)}
        values: dict[str, Any] = {}
        for key, value in self._table.items():
            if key not in by_name:
                self._reading.unknown(self._section, self._file, key, options)
                continue
            taken = self._reading.take(
                self._section, self._file, by_name[key], rules[key], value, self._folder
            )
            if taken is not None:
                values[key] = taken
        return LoadedSettings(values, LoaderMeta(self._file, base_dir=self._folder))


class _CheckedEnvironment:
    """The loader of the environment variables of one section."""

    def __init__(self, reading: _Reading, section: str, loader: ts.EnvLoader) -> None:
        self._reading = reading
        self._section = section
        self._loader = loader

    def __call__(self, settings_cls: SettingsClass, options: OptionList) -> LoadedSettings:
        loaded = self._loader(settings_cls, options)
        rules = {field.name: rule_of(field) for field in attrs.fields(settings_cls)}
        values: dict[str, Any] = {}
        for option in options:
            name = self._loader.get_envvar(option)
            self._reading.asked(name)
            text = loaded.settings.get(option.name)
            if not isinstance(text, str) or not text:  # a variable that is empty is not set
                continue
            rule = rules[option.name]
            origin = f"{ENVIRONMENT} {name}"
            taken = self._reading.take(self._section, origin, option, rule, rule.parse(text), Path.cwd())
            if taken is not None:
                values[option.name] = taken
        return LoadedSettings(values, LoaderMeta(ENVIRONMENT))


class _Made:
    """typed-settings' converter: every value is what it must be already, and a class is made of them."""

    def structure(self, obj: Any, cl: type[_Section]) -> _Section:
        made: Any = cl(**obj) if isinstance(obj, dict) and attrs.has(cl) else obj
        return cast("_Section", made)

    def get_structure_hook(self, _cl: type[_Section]) -> Any:
        return self.structure


def _why_unreadable(exc: Exception) -> str:
    match exc:
        case Refused():
            return f"expected a settings file: {exc}"
        case UnicodeDecodeError():
            return "expected text in UTF-8"
        case tomllib.TOMLDecodeError():
            # The text of the decoder may repeat what stands there: a secret without its quotes.
            where = _WHERE.search(str(exc))
            twice = _TWICE.search(str(exc)) is not None
            what = "a key or an id stands here twice" if twice else "this is not TOML"
            return f"expected TOML: {what}" + (f" ({where[0]})" if where else "")
        case _:
            return "expected a settings file: it can't be read"


def _nearest(word: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""
