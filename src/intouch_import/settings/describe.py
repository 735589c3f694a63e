"""Describe settings for people: the file to fill in, the values in use, and the reference page."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.settings.load import variable
from intouch_import.settings.sections import SECTIONS, format_of, sections_by_name

if TYPE_CHECKING:
    from intouch_import.settings.settings import Settings

__all__ = ["DEFAULT", "Shown", "commented_file", "reference", "show"]

DEFAULT: Final = "default"

_EXAMPLE_IDS: Final = {"practice": "", "provider": "DRJ", "operator": "reception"}
_HEAD: Final = """\
# The settings of one practice, for intouch-import.
#
# No key is set: each has a # before it. Its value is the default, or an example. To set a key, remove the #
# and write your own value. Begin with zone, records, and the locations and local_folder of an operator.
# Relative paths start at the folder of this file.
#
# Keep secrets outside this file, and write here where they are:
#   { env = "NAME" }   { keyring = "service/user" }   { file = "path" }
#
# Check the file after each change:  intouch-import settings check FILE
"""
_WIDTH: Final = 100


@attrs.frozen(kw_only=True)
class Shown:
    """One setting as people may see it.

    Args:
        key: Dotted.
        value: JSON values; a secret is masked.
        origin: The file or the environment variable that the value comes from, or ``"default"``.
    """

    key: str
    value: Any
    origin: str


def show(settings: Settings) -> list[Shown]:
    """Return all values in use, and where each comes from."""
    sections = sections_by_name(settings.practice, settings.providers, settings.operators)
    return [
        Shown(
            key=(key := f"{name}.{field.name}"),
            value=None if (value := getattr(section, field.name)) is None else format_of(field).show(value),
            origin=settings.origins.get(key, DEFAULT),
        )
        for name, section in sections.items()
        for field in attrs.fields(type(section))
    ]


def commented_file() -> str:
    """Return a settings file to fill in: every key with its meaning. None is set: each practice differs."""
    lines = [_HEAD]
    for section, kind in SECTIONS.items():
        lines += [*_comment(_summary(kind)), _table(section)]
        for field in attrs.fields(kind):
            value = field.metadata["example"] if field.default in (None, ()) else _toml(field.default)
            lines += ["", *_comment(field.metadata["meaning"]), f"# {field.name} = {value}"]
        lines.append("")
    return "\n".join(lines)


def reference() -> str:
    """Return all settings as Markdown tables."""
    lines: list[str] = []
    for section, kind in SECTIONS.items():
        lines += [f"## `{_table(section)}`", "", _summary(kind), ""]
        lines += ["| key | meaning | expected | example | default | environment |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        for field in attrs.fields(kind):
            cells = (
                f"`{field.name}`",
                field.metadata["meaning"],
                format_of(field).expected,
                f"`{field.metadata['example']}`",
                "" if field.default in (None, ()) else f"`{_toml(field.default)}`",
                f"`{variable(section, _EXAMPLE_IDS[section], field.name)}`",
            )
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def _table(section: str) -> str:
    section_id = _EXAMPLE_IDS[section]
    return f"[{section}.{section_id}]" if section_id else f"[{section}]"


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _toml(value: Any) -> str:
    """Write the default of a setting as TOML: true, 2.0, "text" and ["a", "b"] are also JSON."""
    return json.dumps(value)
