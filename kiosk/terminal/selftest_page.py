"""The self-test at 800×480: the live picture, and one line for each part, on pages where they do not fit one.

It replaces the worker's page. Nothing scrolls: a terminal has no wheel, and what hides below an edge is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from nicegui import run, ui
from starlette.middleware.trustedhost import TrustedHostMiddleware

from kiosk.selftest_texts import HEADINGS, STATES
from kiosk.terminal.pages import HOSTS, VIEWPORT
from kiosk.terminal.selftest_layout import MOST_SEEN_LINES, height_px, pages, strip, strip_px
from kiosk.terminal.stream import PICTURE_PATH, picture_router
from kiosk.terminal.widgets import block, button, label

if TYPE_CHECKING:
    from kiosk.selftest import Line, Selftest
    from kiosk.terminal.texts import Language

TURN_S = 10.0  # a page turns by itself until somebody turns one
LOOK_S = 1.0  # a look costs a face detection
LANGUAGE_NAMES = {"zh": "English", "en": "中文"}


def attach_selftest(app: FastAPI, test: Selftest, language: Language) -> None:
    """Put the self-test at `/` and the live picture beside it."""

    @ui.page("/", title=HEADINGS["title"][language], viewport=VIEWPORT)
    def page(lang: str = "") -> None:
        chosen: Language = "zh" if lang == "zh" else "en" if lang == "en" else language
        ui.add_head_html(f"<style>{_CSS}</style>")
        _Page(test, chosen)

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    app.include_router(picture_router(test))
    ui.run_with(app, tailwind=False, show_welcome_message=False, dark=False)


class _Page:
    def __init__(self, test: Selftest, language: Language) -> None:
        self._test, self._language = test, language
        other = "en" if language == "zh" else "zh"
        with block("selftest").props(f'lang="{"zh-CN" if language == "zh" else "en"}"') as self._root:
            with block("top"):
                label("title", HEADINGS["title"][language])
                self._verdict = label("verdict")
                ui.element("a").classes("switch").props(f'href="/?lang={other}"')._text = LANGUAGE_NAMES[language]
            with block("columns"):
                with block("left"):
                    with block("eye"):
                        label("nothing", HEADINGS["no_picture"][language])
                        ui.element("img").props(f'src="{PICTURE_PATH}" alt=""')
                    self._hint = label("hint")
                with block("right"):
                    self._rows = block("rows")
                    with button("pager", self._next).props('data-act="next"') as self._pager:
                        self._count = label("pager-count")
        self._shown: list[Line] = []
        self._pages: list[ui.element] = []
        self._page, self._turned = 0, False
        self._pager.set_visibility(False)
        ui.timer(LOOK_S, self._look)
        ui.timer(TURN_S, self._turn)

    async def _look(self) -> None:
        lines = await run.io_bound(self._test.lines)
        self._hint.set_text(self._test.hint[self._language])
        if lines is None or lines == self._shown:  # None: the server is being stopped
            return
        self._shown = lines
        failed = any(line.state == "failed" for line in lines)
        self._verdict.set_text(HEADINGS["unwell" if failed else "well"][self._language])
        self._verdict.classes(replace=f"verdict verdict-{'failed' if failed else 'ok'}")
        self._rows.clear()
        with self._rows:
            self._pages = [self._draw_page(one) for one in pages(lines, self._language)]
        self._show(min(self._page, len(self._pages) - 1))
        self._root.props(f'data-parts="{len(lines)}"')

    def _draw_page(self, lines: list[Line]) -> ui.element:
        with block("leaf") as leaf:
            for line in lines:
                self._draw(line)
        return leaf

    def _show(self, page: int) -> None:
        self._page, count = page, len(self._pages)
        for number, leaf in enumerate(self._pages):
            leaf.set_visibility(number == page)
        self._pager.set_visibility(count > 1)
        self._count.set_text(HEADINGS["page"][self._language].format(page=page + 1, count=count))

    def _next(self) -> None:
        self._turned = True
        self._show((self._page + 1) % max(1, len(self._pages)))

    def _turn(self) -> None:
        if not self._turned and len(self._pages) > 1:
            self._show((self._page + 1) % len(self._pages))

    def _draw(self, line: Line) -> None:
        language = self._language
        row = block(f"row row-{line.state}").props(f'data-part="{line.part}" data-state="{line.state}"')
        with row.style(f"height: {height_px(line, language)}px"):
            with block("what"):
                label("part", line.name[language])
                label("state", STATES[line.state][language])
            with block("words"):
                label("seen", line.seen[language])
                if line.do[language]:
                    label("do", line.do[language])
            if line.bars:
                self._draw_strip(line)

    def _draw_strip(self, line: Line) -> None:
        shown, others = strip(line)
        with block("strip").style(f"height: {strip_px(line)}px"):
            for one in shown:
                with block(f"bar {one.kind} {one.tone}{' marked' if one.marked else ''}"):
                    if one.kind == "satellite":
                        with block("well"):
                            block("fill").style(f"height: {one.percent}%")
                        label("bar-name", one.name)
                    else:
                        label("bar-name", ("★ " if one.marked else "") + one.name)
                    label("bar-value", one.value)
            if others:
                label("others", HEADINGS["others"][self._language].format(count=others))


_CSS = """
* { box-sizing: border-box; }
html, body { margin: 0; height: 100%; overflow: hidden; background: #eef2f6; color: #0f1b2a;
  font-family: "Noto Sans", "Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", "DejaVu Sans", sans-serif; }
.nicegui-content, .q-page, .q-page-container { padding: 0 !important; gap: 0 !important; min-height: 0 !important; }
.nicegui-content { display: block !important; height: 100vh; width: 100%; }
.selftest { height: 100vh; display: flex; flex-direction: column; line-height: 1.25; }
.top { height: 42px; flex: none; display: flex; align-items: center; gap: 16px; padding-left: 14px;
  background: #0f2036; color: #fff; }
.title { font-size: 20px; font-weight: 700; }
.verdict { flex: 1 1 0; font-size: 17px; font-weight: 700; }
.verdict-ok { color: #7fe0ae; } .verdict-failed { color: #ffb3b3; }
.switch { width: 96px; height: 42px; display: flex; align-items: center; justify-content: center; font-size: 18px;
  color: #fff; background: #1d3553; text-decoration: none; }
.columns { flex: 1 1 0; min-height: 0; display: flex; gap: 8px; padding: 4px 8px; }
.left { flex: none; width: 280px; } .hint { font-size: 22px; font-weight: 700; padding: 12px 4px; }
.eye { width: 280px; height: 210px; position: relative; border-radius: 8px; overflow: hidden;
  background: #0f2036; }
.eye .nothing { position: absolute; inset: 0; display: flex; align-items: center; justify-content: center;
  color: #d5dfec; font-size: 16px; }
.eye img { position: absolute; width: 100%; height: 100%; object-fit: cover; transform: scaleX(-1); }
.right { flex: 1 1 0; min-width: 0; display: flex; flex-direction: column; }
.rows { flex: 1 1 0; min-height: 0; overflow: hidden; }
.leaf { display: flex; flex-direction: column; gap: 2px; }
.pager { height: 40px; flex: none; border: 0; border-radius: 6px; background: #1d3553; color: #fff; font-size: 17px;
  font-weight: 700; font-family: inherit; }
.row { display: flex; gap: 2px 8px; background: #fff; border-left: 8px solid #c3cdd9; border-radius: 6px;
  padding: 0 8px; flex: none; flex-wrap: wrap; align-content: center; align-items: center; overflow: hidden; }
.row-ok { border-color: #0a6b3d; } .row-doubt { border-color: #d08a00; } .row-failed { border-color: #a81e1e; }
.what { flex: none; width: 164px; display: flex; gap: 6px; align-items: baseline; justify-content: space-between; }
.part { font-size: 15px; font-weight: 700; } .state { font-size: 13px; color: #45546a; }
.row-ok .state { color: #0a6b3d; } .row-doubt .state { color: #8a5200; } .row-failed .state { color: #a81e1e; }
.words { flex: 1 1 0; min-width: 0; }
.seen { font-size: 13px; overflow: hidden; display: -webkit-box; -webkit-line-clamp: MOST_SEEN_LINES;
  -webkit-box-orient: vertical; overflow-wrap: anywhere; }
.do { font-size: 14px; font-weight: 700; color: #8a5200; overflow: hidden; display: -webkit-box; -webkit-line-clamp: 3;
  -webkit-box-orient: vertical; overflow-wrap: anywhere; } .row-failed .do { color: #a81e1e; }
.strip { flex: 0 0 100%; display: flex; flex-wrap: wrap; gap: 2px; align-content: flex-start; overflow: hidden; }
.bar { display: flex; border-radius: 3px; font-size: 11px; line-height: 17px; white-space: nowrap; color: #0f1b2a; }
.good { --tone: #0a6b3d; } .fair { --tone: #b87a00; } .poor { --tone: #a81e1e; }
.satellite { flex: none; width: 21px; height: 34px; flex-direction: column; align-items: center; position: relative;
  font-size: 9px; line-height: 13px; }
.satellite .well { flex: none; width: 17px; height: 21px; display: flex; align-items: flex-end; background: #e3e9f0; }
.satellite .fill { width: 100%; background: var(--tone); opacity: 0.45; }
.satellite .bar-value { position: absolute; top: 2px; font-size: 11px; line-height: 17px; font-weight: 700; }
.beacon { flex: none; width: 153px; height: 18px; padding: 0 4px; gap: 4px; align-items: center;
  justify-content: space-between; background: #e3e9f0; border-left: 4px solid var(--tone); }
.beacon .bar-name { overflow: hidden; }
.beacon .bar-value { font-weight: 700; color: var(--tone); }
.marked { background: #d8ecdf; font-weight: 700; }
.others { align-self: center; font-size: 12px; font-weight: 700; color: #45546a; }
""".replace("MOST_SEEN_LINES", str(MOST_SEEN_LINES))
