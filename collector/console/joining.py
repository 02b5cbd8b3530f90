"""The page on which terminals join: a one-time code as a QR code, and who asks to come in, by fingerprint."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import segno
from nicegui import run, ui

from collector.auth.service import Caller, Scope
from collector.auth.sessions import Sessions
from collector.console.elements import box, empty, link, page, pill, title
from collector.console.moments import house_zone, shown
from collector.console.texts import Texts
from collector.console.writing import acting_writer
from collector.devices.join_requests import Waiting
from collector.errors import CollectorError, Invalid, Unauthorised
from collector.services import Services

REFRESH_S = 1.0
_TONES = {"waiting": "warn", "approved": "good", "denied": "off"}
_SHOWN = 20  # the newest requests; the API has all
_Writing = Callable[[], AbstractContextManager[Caller]]


class _Decide(Protocol):
    def __call__(self, one: Waiting, *, approve: bool) -> None: ...


def draw_joining(services: Services, sessions: Sessions, cookie: str, texts: Texts, caller: Caller) -> None:
    """Draw the page and keep the requests up to date while the browser is there."""
    requests, zone = services.joining.requests(), house_zone(services)

    def writing() -> AbstractContextManager[Caller]:
        return acting_writer(sessions, cookie, texts)

    def decide(one: Waiting, *, approve: bool) -> None:
        try:
            act = services.joining.approve if approve else services.joining.deny
            with writing() as who:
                act(one.device, who.name, one.id)  # the one whose fingerprint was compared, whoever asks by now
        except CollectorError as error:
            ui.notify(texts.why("join", error), type="negative", multi_line=True)
        refresh(services.joining.requests())

    @ui.refreshable
    def asking() -> None:
        _requests(requests, zone, texts, decide, may_decide=caller.may(Scope.WRITE))

    def refresh(fresh: list[Waiting]) -> None:
        nonlocal requests
        if fresh != requests:
            requests = fresh
            asking.refresh()

    async def look() -> None:
        try:
            await run.io_bound(sessions.holder, cookie)
        except Unauthorised:
            ui.navigate.to("/login")
            return
        fresh = await run.io_bound(services.joining.requests)
        if fresh is not None:
            refresh(fresh)

    with page(texts, caller.name):
        link("zg-back", "/", f"‹ {texts('back')}")
        title(texts("add_terminal"))
        with box("zg-columns"):
            with box(tag="section"):
                box(text=texts("one_time_code"), tag="h2")
                _code(services, texts, writing, may_decide=caller.may(Scope.WRITE))
            with box(tag="section"):
                box(text=texts("asking_to_join"), tag="h2")
                asking()
    ui.timer(REFRESH_S, look)


def _requests(requests: list[Waiting], zone: str, texts: Texts, decide: _Decide, *, may_decide: bool) -> None:
    if not requests:
        empty(texts("nobody_asks"), texts("nobody_asks_hint"))
    for one in requests[:_SHOWN]:
        _request(one, zone, texts, decide, may_decide=may_decide)


def _code(services: Services, texts: Texts, writing: _Writing, *, may_decide: bool) -> None:
    sites = {site.name: f"{site.title} ({site.name})" for site in services.sites.all()}
    zone = house_zone(services)
    with box("zg-card zg-join"):
        if not may_decide:
            box(text=texts("read_only"))
            return
        where = ui.select(sites, label=texts("site"), value=next(iter(sites), None)).classes("zg-field")
        name = ui.input(texts("terminal_name"), placeholder="gate-1").classes("zg-field")

        def make() -> None:
            made.clear()
            try:
                if not where.value or not name.value.strip():
                    raise Invalid(texts("site_and_name"))
                with writing() as who:
                    code, expires = services.joining.claim(str(where.value), name.value.strip(), who.name)
            except (CollectorError, ValueError) as error:  # ValueError: a name that no topic can carry
                text = texts.why("join", error) if isinstance(error, CollectorError) else texts("bad_name")
                ui.notify(text, type="negative", multi_line=True)
                return
            with made:
                ui.html(qr_picture(code.text()), sanitize=False)
                box("zg-code-text", code.text(), "code")
                box(text=texts("code_ends", time=shown(expires, zone), zone=zone), tag="small")

        box("zg-button zg-primary", texts("make_code"), "button").on("click", make)
        made = box("zg-code")


def _request(one: Waiting, zone: str, texts: Texts, decide: _Decide, *, may_decide: bool) -> None:
    with box("zg-card zg-device"):
        with box("zg-device-head"):
            with box():
                box("zg-device-name", one.device)
                box("zg-device-site", f"{one.site} · {one.software}")
            pill(texts(f"join.{one.state}"), _TONES.get(one.state, "off"))
        box("zg-fingerprint", one.fingerprint, "code")
        if one.state != "waiting":
            box("zg-device-site", f"{shown(one.asked_at, zone)} · {one.decided_by}")
        elif may_decide:
            box("zg-device-site", texts("compare"))
            if one.replaces is not None:
                with box("zg-trouble bad"):
                    box(text=texts("join.replaces", device=one.device, print=one.replaces))
            with box("zg-decide"):
                yes = box(
                    "zg-button zg-primary", texts("approve" if one.replaces is None else "join.replace"), "button"
                )
                yes.on("click", lambda: decide(one, approve=True))
                box("zg-button", texts("deny"), "button").on("click", lambda: decide(one, approve=False))


def qr_picture(text: str) -> str:
    """Return the code as an SVG that a telephone reads from a screen."""
    out = io.BytesIO()
    picture = segno.make(text, error="m", micro=False)
    picture.save(out, kind="svg", scale=5, border=4, dark="#000", light="#fff", xmldecl=False, svgclass="zg-qr")
    return out.getvalue().decode()
