"""The page on the command line lists every command, option, variable and exit code, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.cli import app as cli
from intouch_import.cli import show as codes

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text("utf-8")


def _commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from _commands(sub, f"{path} {name}".strip())
    else:
        yield path, command


def _section(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


ROOT: Any = cli.app
COMMANDS = dict(_commands(ROOT))
OPTIONS = {
    option: parameter.envvar
    for command in (ROOT, *COMMANDS.values())
    for parameter in command.params
    if parameter.param_type_name == "option"
    for option in (*parameter.opts, *parameter.secondary_opts)
}


def test_the_commands_are_found() -> None:
    """Commands and options are found: with empty lists, the other tests would prove nothing."""
    assert {"demo", "refresh", "ledger verify", "patients load"} <= set(COMMANDS)
    assert {"--records", "--no-auto-import", "-y", "--version"} <= set(OPTIONS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    """Every command has a line on the page, and so has each of its options."""
    assert re.search(rf"^\| `{name}[ `]", _section("Commands"), re.MULTILINE)
    options = [
        option
        for parameter in COMMANDS[name].params
        if parameter.param_type_name == "option"
        for option in (*parameter.opts, *parameter.secondary_opts)
    ]
    assert [option for option in options if not re.search(rf"`{option}[ `]", _section("Options"))] == []


def test_no_command_is_made_up() -> None:
    """The page lists no command that does not exist."""
    listed = re.findall(r"^\| `((?:[a-z]+ ?)+)", _section("Commands"), re.MULTILINE)
    assert sorted(name.strip() for name in listed) == sorted(COMMANDS)


def test_no_option_is_made_up() -> None:
    """The page lists no option that does not exist, and names the variable of each option."""
    rows = re.findall(r"^\| (`-[^|]*)\|([^|]*)\|", _section("Options"), re.MULTILINE)
    listed = {option: names for cell, names in rows for option in re.findall(r"`(--?[a-z-]+)", cell)}
    assert set(listed) == set(OPTIONS)
    assert {option: names.strip("` ") or None for option, names in listed.items()} == OPTIONS


def test_every_exit_code_is_documented() -> None:
    """Scripts rely on these numbers."""
    listed = {int(code) for code in re.findall(r"^\| ([0-9]+) \|", _section("Exit codes"), re.MULTILINE)}
    assert listed == {
        codes.OK, codes.FILES_FAILED, codes.MISTAKE, codes.LOCATION_FAILED, codes.RECORDS_FAILED, codes.INTERRUPTED,
    }  # fmt: skip
