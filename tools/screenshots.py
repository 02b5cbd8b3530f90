"""Take the pictures of the screens that the README shows: `make pictures` writes docs/pictures/.

The terminal is the real page in Chromium, driven by a scripted service; the person in front of it is drawn, since no
one's photograph belongs into a repository.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.kiosk.terminal.serving import ServedTerminal  # noqa: E402
from tests.kiosk.terminal.states import STATES  # noqa: E402
from tests.support.browser import chromium  # noqa: E402
from tools.console_pictures import console_pictures  # noqa: E402

TERMINAL_STATES = ("idle", "hold", "ask_turn_left", "verified", "review", "refused", "out_of_order")
TERMINAL_PX = {"width": 800, "height": 480}
FACE_BOX = (0.40, 0.30, 0.60, 0.68)  # of the drawn worker
SETTLE_MS = 700  # the live picture's first frame


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="where the pictures go")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for language in ("zh", "en"):
            terminal_pictures(browser, language, out)
        console_pictures(browser, out)


def terminal_pictures(browser: Browser, language: str, out: Path) -> None:
    """One picture of each state of the worker's screen."""
    terminal = ServedTerminal(language)
    try:
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder) / "worker.png"
            cv2.imwrite(str(drawn), drawn_worker())
            terminal.picture(str(drawn), FACE_BOX)
        page = browser.new_page(viewport=TERMINAL_PX, reduced_motion="reduce")
        page.goto(terminal.url, wait_until="domcontentloaded")
        for state in TERMINAL_STATES:
            version = terminal.show(STATES[state])
            take(page, f'.screen[data-version="{version}"]', out / f"terminal-{state.replace('_', '-')}-{language}.png")
        page.close()
    finally:
        terminal.stop()


def take(page: Page, wait_for: str, path: Path) -> None:
    """Wait until the page shows what it should, and write a picture of it."""
    page.wait_for_selector(wait_for)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    sys.stdout.write(f"{path.name}\n")


def drawn_worker() -> NDArray[np.uint8]:
    """A worker with a helmet before a site, and somebody waiting behind: 640×480 BGR."""
    image = np.zeros((480, 640, 3), dtype=np.uint8)
    for row in range(480):
        image[row, :] = (226 - row // 6, 206 - row // 6, 186 - row // 8)
    for left in range(-20, 640, 110):  # scaffolding
        cv2.rectangle(image, (left, 0), (left + 12, 480), (120, 140, 160), -1)
    for top in (70, 210, 350):
        cv2.rectangle(image, (0, top), (640, top + 10), (110, 130, 150), -1)
    _person(image, (545, 250), 0.62, helmet=(210, 120, 40), vest=(60, 140, 250))
    _person(image, (320, 240), 1.0, helmet=(40, 190, 245), vest=(30, 110, 240))
    return image


def _person(
    image: NDArray[np.uint8], at: tuple[int, int], size: float, helmet: tuple[int, int, int], vest: tuple[int, int, int]
) -> None:
    def px(length: float) -> int:
        return round(length * size)

    x, y = at
    skin, dark = (150, 185, 228), (50, 60, 80)
    cv2.ellipse(image, (x, y + px(290)), (px(170), px(170)), 0, 0, 360, (70, 60, 50), -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.line(image, (x + side * px(70), y + px(140)), (x + side * px(50), y + px(260)), vest, px(42), cv2.LINE_AA)
    cv2.rectangle(image, (x - px(30), y + px(60)), (x + px(30), y + px(140)), (130, 165, 210), -1)
    cv2.ellipse(image, (x, y), (px(72), px(94)), 0, 0, 360, skin, -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.ellipse(image, (x + side * px(28), y - px(6)), (px(11), px(6)), 0, 0, 360, (250, 250, 250), -1, cv2.LINE_AA)
        cv2.circle(image, (x + side * px(28), y - px(6)), px(5), dark, -1, cv2.LINE_AA)
        cv2.ellipse(image, (x + side * px(28), y - px(22)), (px(16), px(5)), 0, 180, 360, dark, px(4), cv2.LINE_AA)
    cv2.ellipse(image, (x, y + px(22)), (px(8), px(6)), 0, 0, 180, (110, 145, 195), px(3), cv2.LINE_AA)
    cv2.ellipse(image, (x, y + px(44)), (px(24), px(10)), 0, 10, 170, (90, 95, 180), px(4), cv2.LINE_AA)
    cv2.ellipse(image, (x, y - px(48)), (px(84), px(66)), 0, 180, 360, helmet, -1, cv2.LINE_AA)
    cv2.ellipse(image, (x, y - px(46)), (px(98), px(14)), 0, 0, 360, helmet, -1, cv2.LINE_AA)
    cv2.line(image, (x, y - px(112)), (x, y - px(60)), tuple(c * 4 // 5 for c in helmet), px(16), cv2.LINE_AA)


if __name__ == "__main__":
    main()
