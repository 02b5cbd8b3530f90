"""Whether a console page reads well: nothing cut, sticking out, overlapping or too pale. Measured in the browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

_AUDIT = Path(__file__).with_name("layout.js").read_text(encoding="utf-8").split("\n", 1)[1]


def layout_problems(page: Page) -> list[str]:
    """Return everything that is wrong with the page as it stands; closed details are not looked into."""
    found: list[str] = page.evaluate(_AUDIT)
    return found
