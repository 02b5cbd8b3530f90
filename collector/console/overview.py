"""The first page: how the terminals are, and the latest punches, live."""

from __future__ import annotations

from nicegui import run, ui

from collector.auth.sessions import Sessions
from collector.console.elements import box, empty, link, page, pill, two
from collector.console.texts import Texts
from collector.console.view import DeviceCard, Overview, PunchRow, overview
from collector.errors import Unauthorised
from collector.services import Services

REFRESH_S = 1.0  # a punch is promised on the screen within two seconds of its receipt


def draw_overview(services: Services, sessions: Sessions, cookie: str, texts: Texts, who: str) -> None:
    """Draw the page and keep it up to date while the browser is there."""
    shown = overview(services, texts)

    @ui.refreshable
    def content() -> None:
        _sums(shown, texts)
        with box("zg-columns"):
            with box(tag="section"):
                with box(tag="h2"):
                    box(text=texts("terminals"), tag="span")
                    link("zg-button", "/joining", texts("add_terminal"))
                _devices(shown.devices, texts)
            with box(tag="section"):
                with box(tag="h2"):
                    box(text=texts("latest_punches"), tag="span")
                    box("zg-live", texts("live"), "span")
                _punches(shown.punches, texts)

    async def look() -> None:
        nonlocal shown
        try:
            await run.io_bound(sessions.holder, cookie)
        except Unauthorised:
            ui.navigate.to("/login")
            return
        fresh = await run.io_bound(overview, services, texts)
        if fresh is not None and fresh != shown:
            shown = fresh
            content.refresh()

    with page(texts, who, "overview"):
        content()
    ui.timer(REFRESH_S, look)


def _sums(shown: Overview, texts: Texts) -> None:
    if shown.ledger_overdue:
        link("zg-note bad", "/statements", texts("ledger.look"))
    with box("zg-sums"):
        _sum(shown.operational, f"{texts('terminals')} · {texts('working')}", "")
        _sum(shown.attention, f"{texts('terminals')} · {texts('need_attention')}", "bad" if shown.attention else "")
        _sum(shown.unsent, texts("unsent_events"), "warn" if shown.unsent else "")
        with link("zg-sum-link", "/dead-letters"):
            _sum(shown.dead_letters, texts("dead_letters"), "warn" if shown.dead_letters else "")


def _sum(number: int, what: str, tone: str) -> None:
    with box(f"zg-sum {tone}"):
        box(text=str(number), tag="b")
        box(text=what, tag="span")


def _devices(cards: tuple[DeviceCard, ...], texts: Texts) -> None:
    if not cards:
        empty(texts("no_terminals"), texts("no_terminals_hint"))
    for card in cards:
        with box("zg-card zg-device"):
            with box("zg-device-head"):
                with box():
                    box("zg-device-name", card.name)
                    box("zg-device-site", card.site)
                pill(card.state, card.tone)
            with box("zg-facts"):
                _fact(texts("unsent"), card.unsent)
                _fact(texts("last_seen"), card.last_seen)
            for advice in card.advice:
                with box(f"zg-trouble {advice.tone}"):
                    if advice.what:
                        box(text=advice.what, tag="b")
                    box(text=advice.do)
                    if advice.said:
                        box(text=advice.said, tag="small")


def _fact(name: str, value: str) -> None:
    with box():
        box(text=name, tag="span")
        box(text=value, tag="b")


def _punches(rows: tuple[PunchRow, ...], texts: Texts) -> None:
    if not rows:
        empty(texts("no_punches"), texts("no_punches_hint"))
        return
    with box("zg-card zg-rows"):
        with box("zg-row head"):
            for name in ("worker", "direction", "time", "terminal", "method"):
                box(text=texts(name))
            box("zg-end", texts("verdict"))
        for row in rows:
            with link("zg-row", f"/punches/{row.id}"):
                two("zg-cell-who", row.who, row.code)
                box("zg-cell-log", row.log)
                two("zg-cell-time", row.clock, row.date)
                two("zg-cell-where", row.device, row.where)
                box("zg-cell-method", row.method)
                with box("zg-cell-verdict zg-end"):
                    pill(row.verdict, row.tone)
