"""Build the documentation: ``sphinx-build -n -W docs docs/_build/html``. Needs no network."""

from __future__ import annotations

import importlib
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "intouch-import"
author = "The intouch-import developers"
copyright = f"2026, {author}"
version = release = installed_version("intouch-import")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {version}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings write names of this library in single backticks.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True  # as the code writes them: names, not what they stand for
maximum_signature_line_length = 100  # longer ones show one argument per line
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
# Napoleon's own "Attributes:" section documents attributes twice, and reads "head, tail" as a type.
napoleon_custom_sections = [("Attributes", "params_style")]

nitpicky = True
# Names of other projects. Intersphinx would make the build depend on the network.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(abc|argparse|collections|contextlib|ctypes|datetime|enum|logging|os|pathlib|random|sqlite3|threading|types)\..*",
    ),
    ("py:.*", r"(typing|typing_extensions|zoneinfo)\..*"),
    ("py:.*", r"(alembic|anywidget|attrs?|fsspec|PIL|sa|sqlalchemy|click)\..*"),
    # The same names without a module: annotations of names that are imported for type checkers only.
    (
        "py:.*",
        r"(AbstractContextManager|Callable.*|Collection|Iterable|Iterator|Mapping|Sequence|BinaryIO|Final|Self|ClassVar|Any|Path)",
    ),
    ("py:.*", r"intouch_import\..*\._\w+"),
    ("py:.*", r"(AbstractFileSystem|TracebackType|datetime|date|tzinfo|timedelta|cabc\..*|t\..*)"),
]
nitpick_ignore = [
    # Rooms and names that hosts do not use: docstrings and signatures name them to say who does what.
    ("py:obj", "media"),
    ("py:obj", "moving"),
    ("py:obj", "disk.EDGE_BYTES"),
    ("py:obj", "disk.sync_many"),
    ("py:class", "disk.Digested"),
    ("py:class", "intouch_import.disk.Digested"),
    ("py:obj", "intouch_import.database.connect"),
    ("py:class", "Files"),
    ("py:exc", "WrongState"),
    ("py:class", "Watched"),
    ("py:class", "AnyArchive"),
    ("py:class", "Header"),
    ("py:class", "OnProgress"),
    ("py:class", "RowCounts"),
    ("py:class", "RunControl"),
    ("py:class", "Sample"),
    ("py:class", "StoredPlan"),
    # Type variables, and what the kit's checks work with.
    ("py:class", "_T"),
    ("py:obj", "intouch_import.testing.checks.Bench"),
    ("py:class", "Bench"),
    ("py:class", "Records"),
    ("py:class", "Result"),
]


def keep_first_line(
    _app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Prevent napoleon from reading the start of an attribute's docstring, up to a colon, as its type."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # an empty comment


def resolve_short_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element
) -> Element | None:
    """Find a name as docstrings and annotations write it: `Inbox.undo`, or by the module that defines it.

    A name is linked only if its ending is that of one documented object, or of a field or an enum member of
    one documented class. So a wrong name still fails the build.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if "." not in target and node.get("py:class"):
        target = f"{node['py:class']}.{target}"
    candidates = [
        (node["reftarget"], ""),
        (target, ""),
        tuple(target.rpartition(".")[::2]),
        # `intouch_import.Row` is documented, and an annotation says `intouch_import.inbox.rows.Row`.
        (_exported(node["reftarget"]), ""),
    ]
    domain = env.domains.python_domain
    for wanted, member in candidates:
        found = [
            name
            for name, entry in domain.objects.items()
            if wanted and not entry.aliased and f".{name}".endswith(f".{wanted}")
        ]
        if len(found) == 1 and (not member or member in dir(_documented(found[0]))):
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, contnode)
    return None


def _documented(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute, None)


def _exported(name: str) -> str:
    """The name without the module that defines it; empty if it is none of this library's modules."""
    return name.rpartition(".")[2] if name.startswith("intouch_import.") else ""


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", keep_first_line, priority=100)  # before napoleon's 500
    app.connect("missing-reference", resolve_short_name)
