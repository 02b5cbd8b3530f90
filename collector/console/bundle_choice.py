"""What a bundle is to be about: a form for a worker or a site and the days of a period."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Protocol

from nicegui import ui
from pydantic import ValidationError

from collector.console.elements import box
from collector.console.moments import begin_of, end_of, today, zones_of
from collector.console.texts import Texts
from collector.services import Services
from evidence.bundle_manifest import Scope

SUGGESTED = 500  # workers offered while somebody types; any code can be typed


class _Look(Protocol):
    def __call__(self, scope: Scope, zone: str, *, pdf: bool) -> Awaitable[None]: ...


class BundleChoice:
    """The form; `look` is told what was chosen, `changed` that it no longer is."""

    def __init__(self, services: Services, texts: Texts, look: _Look, changed: Callable[[], None]) -> None:
        self._services, self._texts = services, texts
        self._look, self._changed = look, changed

    def draw(self) -> None:
        """Draw it."""
        texts = self._texts
        zones = zones_of(self._services)
        sites = self._services.sites.all()
        self._zone_of = {site.name: site.tz for site in sites}
        now = today(zones[0])
        with box("zg-card zg-join"):
            kinds = {"worker": texts("bundle.about_worker"), "site": texts("bundle.about_site")}
            self._kind = ui.radio(kinds, value="worker", on_change=self._changed).props("inline")
            self._worker = ui.input(texts("bundle.worker_code"), on_change=self._changed).classes("zg-field")
            self._worker.props("list=zg-workers autocomplete=off").bind_visibility_from(
                self._kind, "value", value="worker"
            )
            with box(tag="datalist") as suggested:
                suggested.props["id"] = "zg-workers"
                for one in self._services.people.page(None, SUGGESTED):
                    box(text=one.name, tag="option").props["value"] = one.code
            titles = {site.name: f"{site.title} ({site.name})" for site in sites}
            self._site = ui.select(titles, label=texts("site"), on_change=self._site_chosen).classes("zg-field")
            self._site.bind_visibility_from(self._kind, "value", value="site")
            with box("zg-days"):
                self._first = self._day(texts("bundle.from"), now.replace(day=1))
                self._last = self._day(texts("bundle.to"), now)
            self._zone = ui.select(zones, label=texts("bundle.zone"), value=zones[0], on_change=self._changed)
            self._zone.classes("zg-field")
            self._pdf = ui.checkbox(texts("bundle.pdf"), value=True, on_change=self._changed).classes("zg-field")
            self._button = box("zg-button zg-primary", texts("bundle.look"), "button").on("click", self._asked)

    def _day(self, label: str, day: date) -> ui.input:
        field = ui.input(label, value=day.isoformat(), on_change=self._changed)
        return field.props("type=date stack-label").classes("zg-field")

    def _site_chosen(self) -> None:
        zone = self._zone_of.get(str(self._site.value))
        if zone is not None:
            self._zone.set_value(zone)
        self._changed()

    async def _asked(self) -> None:
        scope = self._chosen()
        if isinstance(scope, str):
            ui.notify(self._texts(scope), type="negative")
            return
        waiting = ui.notification(self._texts("bundle.looking"), spinner=True, timeout=None)
        try:
            await self._look(scope, str(self._zone.value), pdf=bool(self._pdf.value))
        finally:
            waiting.dismiss()

    def _chosen(self) -> Scope | str:
        """The scope, or the key of the text that says what is missing."""
        about_worker = self._kind.value == "worker"
        worker, site = (self._worker.value or "").strip(), self._site.value
        if about_worker and not worker:
            return "bundle.worker_missing"
        if not about_worker and not site:
            return "bundle.site_missing"
        zone = str(self._zone.value)
        try:
            since = begin_of(date.fromisoformat(self._first.value or ""), zone)
            until = end_of(date.fromisoformat(self._last.value or ""), zone)
        except (ValueError, OverflowError):
            return "bundle.dates_wrong"
        if since >= until:
            return "bundle.dates_wrong"
        try:
            return Scope(
                worker=worker if about_worker else None, site=None if about_worker else site, since=since, until=until
            )
        except ValidationError:
            return "bundle.scope_wrong"
