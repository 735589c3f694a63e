"""Imports inside the package."""

from __future__ import annotations

import graphlib

import grimp


def test_no_module_imports_itself_through_others() -> None:
    """No circle of imports exists, including imports for type checking, in functions, and of ``__init__`` modules."""
    graph = grimp.build_graph("intouch_import", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 100
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the modules
