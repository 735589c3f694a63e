"""Settings for people, made from the classes: the file to fill in, the values, the reference page."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.settings.load import variable
from intouch_import.settings.sections import SECTIONS, rule_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.settings.settings import Settings

__all__ = ["DEFAULT", "Shown", "commented_file", "reference", "show"]

DEFAULT: Final = "default"

_EXAMPLE_IDS: Final = {"practice": "", "provider": "DRJ", "operator": "reception"}
# What a new file sets from the start, so that it works as it is.
_FILLED_IN: Final = {"zone", "locations", "local_folder"}
_FILLED_IN_VALUES: Final = {"locations": '["local"]'}
_HEAD: Final = """\
# The settings of one practice, for intouch-import.
#
# A key with a # before it is not set: it has its default, or none, and the value shown is an example.
# Relative paths start at the folder of this file.
#
# A secret is best kept elsewhere, and named here by its place:
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
        origin: The file or the environment variable that it comes from, or ``"default"``.
    """

    key: str
    value: Any
    origin: str


def show(settings: Settings) -> list[Shown]:
    """The effective values, and where each comes from."""
    return list(_shown(settings))


def _shown(settings: Settings) -> Iterator[Shown]:
    sections: list[tuple[str, Any]] = [("practice", settings.practice)]
    sections += [(f"provider.{one}", section) for one, section in settings.providers.items()]
    sections += [(f"operator.{one}", section) for one, section in settings.operators.items()]
    for name, section in sections:
        for field in attrs.fields(type(section)):
            value = getattr(section, field.name)
            yield Shown(
                key=f"{name}.{field.name}",
                value=None if value is None else rule_of(field).show(value),
                origin=settings.origins.get(f"{name}.{field.name}", DEFAULT),
            )


def commented_file() -> str:
    """A settings file to be filled in: every key with its meaning, and the few that are needed set."""
    lines = [_HEAD]
    for section, kind in SECTIONS.items():
        section_id = _EXAMPLE_IDS[section]
        lines += [*_comment(_first_line(kind.__doc__)), _table(section, section_id)]
        for field in attrs.fields(kind):
            filled_in = field.name in _FILLED_IN and section != "provider"
            value = _FILLED_IN_VALUES.get(field.name, field.metadata["example"])
            if not filled_in and field.default is not None:
                value = _toml(field.default)
            lines += ["", *_comment(field.metadata["meaning"])]
            lines.append(f"{field.name} = {value}" if filled_in else f"# {field.name} = {value}")
        lines.append("")
    return "\n".join(lines)


def reference() -> str:
    """The settings as Markdown tables."""
    lines: list[str] = []
    for section, kind in SECTIONS.items():
        section_id = _EXAMPLE_IDS[section]
        lines += [f"## `{_table(section, section_id)}`", "", _first_line(kind.__doc__), ""]
        lines += ["| key | meaning | expected | example | default | environment |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        for field in attrs.fields(kind):
            default = "" if field.default in (None, ()) else f"`{_toml(field.default)}`"
            cells = (
                f"`{field.name}`",
                field.metadata["meaning"],
                rule_of(field).expected,
                f"`{field.metadata['example']}`",
                default,
                f"`{variable(section, section_id, field.name)}`",
            )
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def _table(section: str, section_id: str) -> str:
    return f"[{section}.{section_id}]" if section_id else f"[{section}]"


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return str(value)
