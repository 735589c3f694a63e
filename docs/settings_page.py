"""Write the tables of ``reference/settings.md``: ``python docs/settings_page.py``.

A test fails if the page is out of date.
"""

from __future__ import annotations

from pathlib import Path

from intouch_import.settings.describe import reference

PAGE = Path(__file__).with_name("reference") / "settings.md"
BEGIN = "<!-- settings: begin; made from the classes by docs/settings_page.py -->\n"
END = "<!-- settings: end -->\n"


def rendered(page: str) -> str:
    """Return the page with the tables of the present classes."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), "utf-8")
