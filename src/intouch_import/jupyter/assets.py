"""The scripts and style sheets of the widgets: plain files, shipped as they are."""

from __future__ import annotations

from importlib import resources

__all__ = ["script", "style"]


def script(*names: str) -> str:
    """One module of several files: a widget is given a single one, which can't import its neighbours."""
    return "\n".join(_text(f"{name}.js") for name in names)


def style(*names: str) -> str:
    """One style sheet of several."""
    return "\n".join(_text(f"{name}.css") for name in names)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text("utf-8")
