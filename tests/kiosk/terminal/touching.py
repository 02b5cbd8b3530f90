"""What a finger does on the screen, and what the terminal hears of it."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.kiosk.terminal.serving import ServedTerminal


def tap(page: Page, what: str) -> None:
    page.locator(what).tap()


def press(page: Page, digits: str) -> None:
    for digit in digits:
        tap(page, f'.pad [data-key="{digit}"]')


def calls_come(terminal: ServedTerminal, page: Page, wanted: list[list[object]]) -> None:
    """Wait until the terminal has heard exactly these calls."""
    for _ in range(100):
        if terminal.calls == wanted:
            return
        page.wait_for_timeout(50)
    assert terminal.calls == wanted
