"""Widgets for JupyterLab, Notebook 7 and marimo: the inbox as staff see it.

::

    from intouch_import.jupyter import InboxWidget

    InboxWidget(inbox)

What a widget shows travels in messages of its own, never in its saved state and never in the output of a
cell: a notebook that was saved holds no patient, no file name and no picture.
"""

from intouch_import.errors import MissingExtraError

try:
    import anywidget as _anywidget  # noqa: F401  # asked for here, so that what is missing is said once
except ModuleNotFoundError as exc:
    if exc.name != "anywidget":
        raise  # installed but broken: show the real cause
    raise MissingExtraError("widgets need anywidget: pip install 'intouch-import[jupyter]'") from exc

from intouch_import.jupyter.inbox import InboxWidget

__all__ = ["InboxWidget"]
