"""A served terminal for the whole session, and a fresh page at 800×480 for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.kiosk.terminal.serving import ServedTerminal

SCREEN = {"width": 800, "height": 480}


@pytest.fixture(scope="session")
def terminal_process() -> Iterator[ServedTerminal]:
    one = ServedTerminal("zh")
    yield one
    one.stop()


@pytest.fixture
def terminal(terminal_process: ServedTerminal) -> ServedTerminal:
    """The scripted terminal, idle and with no calls."""
    terminal_process.reset()
    return terminal_process


@pytest.fixture
def console() -> list[str]:
    """Errors that a page wrote; a test of the screen ends with none."""
    return []


@pytest.fixture
def silent_console(console: list[str]) -> Iterator[None]:
    """The story ends without an error in the browser's console."""
    yield
    assert console == []


@pytest.fixture
def page(browser: Browser, terminal: ServedTerminal, console: list[str]) -> Iterator[Page]:
    """The screen in the site's language, Chinese."""
    yield from open_page(browser, terminal.url, console)


@pytest.fixture
def page_en(browser: Browser, terminal: ServedTerminal, console: list[str]) -> Iterator[Page]:
    """The screen in English."""
    yield from open_page(browser, f"{terminal.url}?lang=en", console)


def open_page(browser: Browser, url: str, console: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport=SCREEN, has_touch=True, reduced_motion="reduce")
    page = context.new_page()
    page.on("console", lambda message: console.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: console.append(str(error)))
    load(page, url)
    yield page
    context.close()


def load(page: Page, url: str) -> None:
    """Open the screen and wait until it is drawn and connected."""
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_selector(".screen[data-version]")
    page.wait_for_function("window.did_handshake === true")


def drawn(page: Page, version: int) -> None:
    """Wait until the page has drawn this version of the view."""
    page.wait_for_selector(f'.screen[data-version="{version}"]')
