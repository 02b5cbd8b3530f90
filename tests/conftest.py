"""Fixtures that every part shares: a broker, a browser without leftovers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from tests.support.browser import chromium
from tests.support.mosquitto import Mosquitto
from tests.support.results import LongResults

settings.register_profile("house", deadline=None)  # a busy machine is no failure: speed is measured in benchmarks/
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Keep what a full run of the long suites finds."""
    if os.environ.get("ZAIGANG_LONG") == "1":
        config.pluginmanager.register(LongResults(), "long-results")


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running Mosquitto on a free port."""
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium() as one:
        yield one


@pytest.fixture(autouse=True)
def no_page_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close what a test opened in the browser: a live page that nobody looks at costs a tenth of a core for hours."""
    if "browser" not in request.fixturenames:
        yield
        return
    browser: Browser = request.getfixturevalue("browser")
    before = list(browser.contexts)
    yield
    for context in browser.contexts:
        if context not in before:
            context.close()
