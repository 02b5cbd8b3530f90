"""The page about evidence bundles: choose, see what will be in one, make it, fetch it; which were made by whom."""

from __future__ import annotations

from collections.abc import Iterable

from nicegui import run, ui

from collector.auth.service import Caller, Scope
from collector.auth.sessions import Sessions
from collector.console.bundle_choice import BundleChoice
from collector.console.bundle_shelf import Job, Shelf
from collector.console.bundle_view import (
    MADE_SHOWN,
    Foreseen,
    MadeRow,
    about,
    foreseen,
    made_rows,
    names_of,
    period,
    sites_of,
    size_words,
)
from collector.console.elements import box, empty, link, page, title, two
from collector.console.moments import house_zone
from collector.console.texts import Texts
from collector.console.writing import writer_of
from collector.errors import CollectorError, Unauthorised
from collector.evidence_bundles.picture import picture_or_error
from collector.services import Services
from evidence.bundle_manifest import Scope as Period

REFRESH_S = 0.5  # of what is being made; the page is otherwise still
_HANDOVER = ("arbitrator", "worker", "trust", "self")


class BundlesPage:
    """One browser's page."""

    def __init__(
        self, services: Services, sessions: Sessions, shelf: Shelf, cookie: str, texts: Texts, caller: Caller
    ) -> None:
        self._services, self._sessions, self._shelf = services, sessions, shelf
        self._cookie, self._texts, self._caller = cookie, texts, caller
        self._zone = house_zone(services)
        self._scope: Period | None = None  # what was looked at, which is what is made
        self._foreseen: Foreseen | None = None
        self._pdf = True
        self._seen: tuple[object, ...] = ()

    def draw(self, verifiers: Iterable[str]) -> None:
        """Draw the page and keep what is being made up to date while the browser is there."""
        texts = self._texts
        self._looked = ui.refreshable(self._draw_foreseen)
        self._job = ui.refreshable(self._draw_job)
        self._made = ui.refreshable(self._draw_made)
        with page(texts, self._caller.name, "evidence"):
            title(texts("bundles"), texts("bundles_intro"))
            with box("zg-detail"):
                with box(tag="section"):
                    box(text=texts("bundle.choose"), tag="h2")
                    BundleChoice(self._services, texts, self._look, self._forget).draw()
                    self._looked()
                    self._job()
                with box(tag="section"):
                    box(text=texts("handover"), tag="h2")
                    self._draw_handover(verifiers)
            with box(tag="section"):
                box("zg-later", texts("made_bundles"), "h2")
                self._made()
        self._seen = self._state()
        ui.timer(REFRESH_S, self._watch)

    async def _look(self, scope: Period, zone: str, *, pdf: bool) -> None:
        try:
            found = await run.io_bound(self._services.evidence_bundles.foresee, scope)
        except CollectorError as error:
            self._forget()
            ui.notify(self._texts.why("bundle", error), type="negative", multi_line=True)
            return
        if found is not None:
            self._scope, self._pdf = scope, pdf
            self._foreseen = foreseen(found, scope, self._services, zone, self._texts)
            self._looked.refresh()

    def _forget(self) -> None:
        if self._foreseen is not None:
            self._scope = self._foreseen = None
            self._looked.refresh()

    def _make(self) -> None:
        if self._scope is None:
            return
        try:
            caller = writer_of(self._sessions, self._cookie, self._texts)
            self._shelf.begin(self._scope, caller, picture_or_error() if self._pdf else None)
        except CollectorError as error:
            ui.notify(self._texts.why("bundle", error), type="negative", multi_line=True)
            return
        self._forget()
        self._job.refresh()

    async def _watch(self) -> None:
        try:
            await run.io_bound(self._sessions.holder, self._cookie)
        except Unauthorised:
            ui.navigate.to("/login")
            return
        state = await run.io_bound(self._state)  # it asks the database whether somebody was erased
        if state is not None and state != self._seen:
            ended = state[0] != self._seen[0]
            self._seen = state
            self._job.refresh()
            if ended:
                self._made.refresh()

    def _state(self) -> tuple[object, ...]:
        job = self._shelf.latest(self._caller.key_id)
        return (None,) if job is None else (job.ended_s, job.token, job.step, job.done, job.of)

    def _draw_foreseen(self) -> None:
        texts, seen = self._texts, self._foreseen
        if seen is None:
            return
        box("zg-later", texts("bundle.foreseen"), "h2")
        with box("zg-card zg-foreseen"):
            box("zg-device-name", seen.about)
            box("zg-device-site", seen.period)
            with box("zg-figures"):
                for number, what, more in (
                    (str(seen.punches), texts("bundle.punches"), seen.verdicts),
                    (f"{seen.percent} %", texts("bundle.coverage"), ""),
                    (str(seen.given_up), texts("bundle.given_up"), ""),
                ):
                    with box():
                        box(text=number, tag="b")
                        box(text=what, tag="span")
                        if more:
                            box(text=more, tag="small")
            if seen.later:
                box("zg-trouble warn", texts("bundle.later", n=seen.later))
            for one in seen.terminals:
                with box("zg-terminal"):
                    box(text=f"{one.name} · {one.chain[:8]}…", tag="b")
                    box(text=one.line, tag="p")
                    for line in one.given_up:
                        box("zg-warned", line, "p")
                    if one.holes_title:
                        with box(tag="details"):
                            box(text=one.holes_title, tag="summary")
                            with box(tag="ul"):
                                for hole in one.holes:
                                    box(text=hole, tag="li")
            box("zg-device-site", texts("bundle.no_punch_means"))
            if seen.worker:
                box("zg-device-site", texts("bundle.others_withheld"))
            if self._caller.may(Scope.WRITE):
                box("zg-button zg-primary", texts("bundle.make"), "button").on("click", self._make)
                box("zg-device-site", texts("bundle.make_hint"))
            else:
                box("zg-trouble off", texts("bundle.read_only"))

    def _draw_job(self) -> None:
        texts, job = self._texts, self._shelf.latest(self._caller.key_id)
        if job is None:
            return
        box("zg-later", texts("bundle.ready"), "h2")
        with box("zg-card zg-foreseen"):
            scope = job.scope
            names, sites = names_of(self._services, {scope.worker}), sites_of(self._services)
            box("zg-device-name", about(scope.worker, scope.site, names, sites))
            box("zg-device-site", period(scope.since, scope.until, self._zone))
            if job.running:
                self._draw_progress(job)
            elif job.error is not None:
                with box("zg-trouble bad"):
                    box(text=texts("bundle.failed"), tag="b")
                    box(text=texts.why("bundle", job.error))
                    box(text=str(job.error), tag="small")
            elif job.made is not None:
                problems = job.made.facts.problems
                with box(f"zg-trouble {'bad' if problems else 'good'}"):
                    box(text=texts("bundle.problems", n=len(problems)) if problems else texts("bundle.holds"))
                    for problem in problems[:10]:
                        box(text=problem, tag="small")
                size = size_words(len(job.made.data))
                download = texts("bundle.download", size=size)
                link("zg-button zg-primary", f"/evidence/files/{job.token}", download).props["download"] = True
                box("zg-sha", f"SHA-256 {job.made.sha256}", "code")
                box("zg-device-site", texts("bundle.kept_for"))

    def _draw_progress(self, job: Job) -> None:
        box("zg-step", self._texts(f"bundle.step.{job.step}"))
        with box("zg-bar") as bar:
            bar.props["role"] = "progressbar"
            bar.props["aria-label"] = self._texts(f"bundle.step.{job.step}")
            if job.of > 1:
                box("zg-bar-done").style(f"width: {100 * job.done / job.of:.0f}%")
            else:
                box("zg-bar-done zg-bar-moves")
        box("zg-device-site", self._texts("bundle.may_leave"))

    def _draw_handover(self, verifiers: Iterable[str]) -> None:
        texts = self._texts
        with box("zg-card zg-list"):
            for who in _HANDOVER:
                with box():
                    box("zg-who-gets", texts(f"handover.{who}"), "b")
                    box("zg-device-site", texts(f"handover.{who}_text"))
        files = [("/evidence/trust.json", "trust")]
        files += [(f"/evidence/verifiers/{name}", name.rpartition(".")[2]) for name in verifiers]
        with box("zg-card zg-list zg-files"):
            for target, kind in files:
                with box():
                    link("", target, texts(f"file.{kind}")).props["download"] = True
                    box("zg-device-site", texts(f"file.{kind}_text"))

    def _draw_made(self) -> None:
        texts = self._texts
        rows = made_rows(self._services, self._shelf.tokens(self._caller.key_id), self._zone, texts)
        if not rows:
            empty(texts("made_none"), texts("made_none_hint"))
            return
        with box("zg-card zg-rows"):
            with box("zg-row zg-made head"):
                for name in ("when", "about", "period", "sha256"):
                    box(text=texts(f"made.{name}"))
            for row in rows[:MADE_SHOWN]:
                self._draw_row(row)
        if len(rows) > MADE_SHOWN:
            box("zg-device-site", texts("made_more", n=MADE_SHOWN))

    def _draw_row(self, row: MadeRow) -> None:
        with box("zg-row zg-made"):
            two("", row.when, row.by)
            two("", row.about, row.kind)
            two("", row.period, row.entries)
            with box("zg-two"):
                box("zg-sha", row.sha256, "code")
                with box(tag="span"):
                    box(text=f"{row.size} ", tag="span")
                    if row.token is not None:
                        fetch = link("", f"/evidence/files/{row.token}", self._texts("made.download"))
                        fetch.props["download"] = True
