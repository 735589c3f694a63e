"""Widgets for JupyterLab and Notebook 7: the inbox as staff see it, and a migration's plan.

::

    from intouch_import.jupyter import InboxWidget, PlanWidget

    InboxWidget(inbox)
    PlanWidget(plan, records)

What a widget shows travels in messages of its own, never in its saved state and never in the output of a
cell: a notebook that was saved holds no patient, no file name and no picture.
"""

from intouch_import.extras import needing as _needing

with _needing("widgets need anywidget", "anywidget", install="intouch-import[jupyter]"):
    import anywidget as _anywidget  # noqa: F401  # asked for here, so that what is missing is said once

from intouch_import.jupyter.inbox import InboxWidget
from intouch_import.jupyter.plan import PlanWidget

__all__ = ["InboxWidget", "PlanWidget"]
