"""The screen as a lamp, in a real browser: what it is told to show it shows, and it says since when."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from kiosk.terminal.lamp import css_colour, ink_on
from kiosk.terminal.view import Phase
from kiosk.verify.flash import COLOURS, PALETTE
from tests.kiosk.terminal.conftest import SCREEN, drawn, load
from tests.kiosk.terminal.scripted import IDLE
from tests.kiosk.terminal.serving import ServedTerminal
from tests.kiosk.terminal.states import STATES
from tests.kiosk.terminal.test_screen import pixels
from tests.support.ports import free_port

AMBER, BLUE = (255, 190, 40), (40, 80, 255)
GENEROUS_S = 120.0
TRIES = 6


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", PALETTE)
def test_the_words_can_be_read_on_every_colour(colour: tuple[int, int, int]) -> None:
    ink = ink_on(colour)
    ink_rgb = ",".join(str(int(ink[place : place + 2], 16)) for place in (1, 3, 5))
    lighter, darker = sorted((luminance(css_colour(colour)), luminance(ink_rgb)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2.2 AA


@pytest.mark.browser
def test_a_colour_fills_the_screen_round_the_mirror_and_is_acknowledged_with_its_age(
    page: Page, terminal: ServedTerminal
) -> None:
    drawn(page, terminal.show(STATES["ask_turn_left"]))
    terminal.light(3, 0, AMBER)
    calls = heard(page, terminal, 1)
    assert calls[0][:3] == ["painted", 3, 0]
    assert 0 <= calls[0][3] < 2_000_000
    picture = pixels(page, "body")
    for place in ((10, 10), (470, 10), (10, 790), (470, 790), (240, 516)):  # corners, and beside the mirror
        assert picture[place].tolist() == [40, 190, 255], place  # BGR
    expect(page.locator(".guide-main")).to_be_visible()
    terminal.light(3, 1, BLUE)
    assert heard(page, terminal, 2)[1][:3] == ["painted", 3, 1]
    assert pixels(page, "body")[10, 10].tolist() == [255, 80, 40]
    terminal.light(3, 1, None)
    expect(page.locator(".lamp")).to_be_hidden()


@pytest.mark.browser
def test_each_colour_is_acknowledged_once_and_taps_go_through(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["ask_turn_left"]))
    terminal.light(3, 0, AMBER)
    heard(page, terminal, 1)
    page.wait_for_timeout(400)
    assert len(terminal.calls) == 1
    page.locator('[data-act="cancel"]').tap()
    for _ in range(40):
        if ["cancel"] in terminal.calls:
            break
        page.wait_for_timeout(50)
    assert ["cancel"] in terminal.calls


@pytest.mark.browser
def test_the_light_goes_with_the_picture(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["looking"]))
    terminal.light(3, 0, AMBER)
    heard(page, terminal, 1)
    drawn(page, terminal.show(STATES["checking"]))
    assert pixels(page, "body")[10, 10].tolist() != [40, 190, 255]


@pytest.mark.browser
def test_an_idle_screen_lights_nobody(page: Page, terminal: ServedTerminal) -> None:
    assert IDLE.phase is Phase.IDLE
    terminal.light(3, 0, AMBER)
    page.wait_for_timeout(400)
    assert terminal.calls == []


def heard(page: Page, terminal: ServedTerminal, number: int) -> list[list[Any]]:
    for _ in range(100):
        if len(terminal.calls) >= number:
            return terminal.calls
        page.wait_for_timeout(50)
    raise AssertionError(f"the page acknowledged {len(terminal.calls)} of {number}")


# The whole way: terminal, page, light on a synthetic face, camera, verdict

# Says what the lamp shows, whenever that changes, as light falls on whoever stands before it.
WATCH = """
new MutationObserver(() => {
  const lamp = document.querySelector('.lamp.on');
  const now = lamp ? getComputedStyle(lamp).backgroundColor : '';
  if (now !== window.lastShown) { window.lastShown = now; window.shown(now); }
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ['class', 'style']});
"""


class LitTerminal:
    """tests.kiosk.terminal.lit as a process."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kiosk.terminal.lit", str(folder), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder.parent / "lit.log").open("w"),
            text=True,
        )
        assert self._said()["ready"]

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._said()

    def stop(self) -> None:
        self._process.communicate(timeout=30)

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{") and "event" not in (said := json.loads(line)):
                return dict(said)
        raise AssertionError("the terminal ended; see lit.log")


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LitTerminal]:
    one = LitTerminal(tmp_path_factory.mktemp("lit") / "terminal")
    yield one
    one.stop()


@pytest.fixture
def gate(browser: Browser, lit: LitTerminal) -> Iterator[tuple[Page, LitTerminal, list[tuple[float, str]]]]:
    """The page before the synthetic face, and what it has shown when."""
    context = browser.new_context(viewport=SCREEN)
    page, shown = context.new_page(), []

    def on_shown(css: str) -> None:
        shown.append((time.monotonic(), css))
        lit.ask(do="light", colour=[int(part) for part in re.findall(r"\d+", css)[:3]] or None)

    page.expose_function("shown", on_shown)
    page.add_init_script(WATCH)
    load(page, f"http://127.0.0.1:{lit.port}/?lang=en")
    yield page, lit, shown
    context.close()


def checks_of(page: Page, lit: LitTerminal, who: str) -> dict[str, str]:
    lit.ask(do="tap", who=who)
    deadline = time.monotonic() + GENEROUS_S
    while (checks := lit.ask(do="checks")["checks"]) is None:
        assert time.monotonic() < deadline
        page.wait_for_timeout(30)
    return dict(checks)


@pytest.mark.browser
@pytest.mark.timeout(400)
def test_a_face_before_the_page_answers_its_colours(gate: tuple[Page, LitTerminal, list[tuple[float, str]]]) -> None:
    page, lit, shown = gate
    for _ in range(TRIES):  # a machine that is busy with much else may lose a frame or an answer
        shown.clear()
        checks = checks_of(page, lit, "worker")
        if checks["flash"] == "passed ok":
            break
    assert checks["flash"] == "passed ok", checks
    colours = [(at_s, css) for at_s, css in shown if css]
    assert len(colours) >= 3
    assert {css.replace(" ", "") for _, css in colours} <= {css_colour(one) for one in PALETTE}
    assert len(colours) <= COLOURS
    assert all(later - earlier > 0.3 for (earlier, _), (later, _) in pairwise(colours))


@pytest.mark.browser
@pytest.mark.timeout(400)
def test_a_replay_before_the_page_does_not(gate: tuple[Page, LitTerminal, list[tuple[float, str]]]) -> None:
    page, lit, _ = gate
    assert checks_of(page, lit, "replay")["flash"] == "failed no_reflection"


@pytest.mark.browser
@pytest.mark.timeout(400)
def test_without_a_page_nobody_acknowledges(lit: LitTerminal) -> None:
    lit.ask(do="tap", who="worker")
    deadline = time.monotonic() + GENEROUS_S
    while (checks := lit.ask(do="checks")["checks"]) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert checks["flash"] == "not_run no_acknowledgement"
