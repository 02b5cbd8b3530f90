"""The self-test's screen with all parts that there can be: pages, and nothing that scrolls or is cut."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser

from kiosk.selftest import Line
from kiosk.selftest_texts import HEADINGS, Words
from kiosk.terminal.selftest_layout import GAP_PX, PAGER_PX, ROOM_PX, height_px, pages, strip
from kiosk.terminal.texts import LANGUAGES, Language
from tests.kiosk.terminal.selftest_everything import PARTS_OF_ALL, Everything, air_bars, sky_bars

# What is drawn and cannot be read whole: a text that its box clips, or a bar that leaves its row or the screen.
_CUT = """() => [...document.querySelectorAll('.row')].filter(row => row.offsetParent).flatMap(row => {
    const box = row.getBoundingClientRect();
    const clipped = [...row.querySelectorAll('.seen, .do, .part, .state, .bar-name, .bar-value, .others')]
        .filter(e => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1);
    const outside = [...row.querySelectorAll('.bar, .others, .seen, .do')].filter(e => {
        const own = e.getBoundingClientRect();
        return own.bottom > box.bottom + 0.5 || own.right > box.right + 0.5 || own.top < box.top - 0.5;
    });
    return [...clipped, ...outside].map(e => [row.dataset.part, e.className, e.innerText]);
})"""

texts = st.text(alphabet="漢字ab c", max_size=200)


@given(
    st.lists(st.tuples(texts, texts, st.integers(0, 60), st.booleans()), min_size=1, max_size=30),
    st.sampled_from(LANGUAGES),
)
def test_every_line_stands_on_one_page_in_its_order_and_no_page_is_too_high(
    said: list[tuple[str, str, int, bool]], language: Language
) -> None:
    lines = [
        Line(f"p{n}", "ok", Words(seen, seen), Words(do, do), sky_bars(bars) if sky else air_bars(1, bars))
        for n, (seen, do, bars, sky) in enumerate(said)
    ]
    assert all(len(shown) + others == len(line.bars) for line in lines for shown, others in [strip(line)])
    found = pages(lines, language)
    assert [line for page in found for line in page] == lines
    room = ROOM_PX if len(found) == 1 else ROOM_PX - PAGER_PX
    assert all(sum(height_px(line, language) + GAP_PX for line in page) <= room for page in found)


@pytest.mark.browser
@pytest.mark.parametrize("trouble", [True, False])
def test_nothing_scrolls_and_every_part_is_on_some_page(browser: Browser, trouble: bool) -> None:
    command = [sys.executable, "-m", "tests.kiosk.terminal.selftest_everything", "trouble" if trouble else "well"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        url = server.stdout.readline().strip()
        for language in LANGUAGES:
            page = browser.new_page(viewport={"width": 800, "height": 480})
            page.goto(f"{url}?lang={language}", wait_until="domcontentloaded")
            page.wait_for_selector(".selftest[data-parts]")
            seen: set[str] = set()
            lines = Everything(trouble).lines()
            for _ in range(len(pages(lines, language))):
                shown = page.eval_on_selector_all(
                    ".row",
                    """rows => rows.filter(row => row.offsetParent).map(row => ({part: row.dataset.part,
                        bottom: row.getBoundingClientRect().bottom,
                        cut: row.scrollHeight - row.clientHeight,
                        words: row.querySelector(".seen").getBoundingClientRect().top
                          - row.getBoundingClientRect().top}))""",
                )
                assert shown
                assert page.evaluate(_CUT) == [], "a word or a bar is cut off"
                for row in shown:
                    assert row["bottom"] <= 480 and row["cut"] <= 0 and row["words"] >= 0, row
                assert page.evaluate("document.querySelector('.rows').scrollHeight") <= page.evaluate(
                    "document.querySelector('.rows').clientHeight"
                )
                first = shown[0]["part"]
                seen |= {row["part"] for row in shown}
                if len(seen) < len(PARTS_OF_ALL):
                    page.click('[data-act="next"]')
                    page.wait_for_function(
                        "first => [...document.querySelectorAll('.row')]"
                        ".find(row => row.offsetParent).dataset.part != first",
                        arg=first,
                    )
            assert seen == set(PARTS_OF_ALL)
            drawn, left = (page.locator(f'[data-part="{part}"] .bar').count() for part in ("gps", "beacons"))
            expected = {part: strip(line) for line in lines if (part := line.part) in ("gps", "beacons")}
            assert (drawn, left) == (len(expected["gps"][0]), len(expected["beacons"][0]))
            for part, (_, others) in expected.items():
                told = page.locator(f'[data-part="{part}"] .others').all_text_contents()
                assert told == ([HEADINGS["others"][language].format(count=others)] if others else [])
            page.close()
        server.stdin.close()
