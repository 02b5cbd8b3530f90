"""Every state at 800×480 in both languages: nothing scrolls, is cut, overlaps, is too small, too pale or a raw code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from kiosk.terminal.texts import LANGUAGES, REASONS, Language
from tests.kiosk.terminal.conftest import drawn, load
from tests.kiosk.terminal.serving import ServedTerminal
from tests.kiosk.terminal.states import STATES

pytestmark = pytest.mark.browser

AUDIT = Path(__file__).with_name("audit.js").read_text(encoding="utf-8").split("\n", 1)[1]
A_CODE = re.compile(r"\b[a-z]+_[a-z_]+\b")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_fits_and_reads_well(
    page: Page, terminal: ServedTerminal, console: list[str], language: Language
) -> None:
    load(page, f"{terminal.url}?lang={language}")
    wrong: dict[str, list[str]] = {}
    for name, view in STATES.items():
        drawn(page, terminal.show(view))
        found = page.evaluate(AUDIT)
        lines = page.locator(".screen").inner_text().splitlines()
        found += [f"raw code: {line}" for line in lines if A_CODE.search(line) or line.strip() in REASONS]
        if found:
            wrong[name] = found
    assert wrong == {}
    assert console == []


def test_the_audit_sees_what_it_looks_for(page: Page, terminal: ServedTerminal) -> None:
    """The measure itself measured: a screen broken in each way is told so."""
    drawn(page, terminal.show(STATES["idle"]))
    assert page.evaluate(AUDIT) == []
    page.add_style_tag(
        content=".go-name { color: #2a6fe0 !important } .digit { min-width: 60px !important; width: 60px }"
        ".where-device { font-size: 11px !important } .field-name { margin-left: 300px }"
        ".clock-day { margin-top: -24px }"
    )
    found = " ".join(page.evaluate(AUDIT))
    for problem in ("pale", "small target", "small text", "out of", "overlap"):
        assert problem in found
