"""Widgets for JupyterLab and Notebook 7: the inbox for staff, and a migration plan.

::

    from intouch_import.jupyter import InboxWidget, PlanWidget

    InboxWidget(inbox)
    PlanWidget(plan, records)

A widget sends its content in messages. It is never part of the saved state or of the output of a cell, so a
saved notebook contains no patient, no file name and no picture.
"""

from intouch_import.extras import needing as _needing

with _needing("widgets need anywidget", "anywidget", install="intouch-import[jupyter]"):
    import anywidget as _anywidget  # noqa: F401  # one error message for all that is missing

from intouch_import.jupyter.inbox import InboxWidget
from intouch_import.jupyter.plan import PlanWidget

__all__ = ["InboxWidget", "PlanWidget"]
