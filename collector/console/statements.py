"""The pages about the collector's own chain: every statement by kind, time and subject, and each with its envelope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import urlencode

from nicegui import run

from collector.console.elements import box, empty, link, page, pill, title
from collector.console.ledger_corner import LedgerCorner
from collector.console.moments import begin_of, end_of, house_zone
from collector.console.statement_words import StatementRow, statement_row
from collector.console.texts import Texts
from collector.services import Services
from collector.statements.search import StatementFilters
from evidence.statements import StatementKind

SHOWN = 50
MAX_TEXT = 100  # characters of a filter; an employee code has at most 64


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for: the filter as it was written, what of it can be used, and where to go on."""

    kind: str = ""
    about: str = ""
    since: str = ""
    until: str = ""
    before: int | None = None
    filters: StatementFilters = field(default_factory=StatementFilters)
    wrong: tuple[str, ...] = ()

    def older(self, before: int) -> str:
        """Return the address of what came before."""
        return f"/statements?{urlencode(self.query() | {'before': str(before)})}"

    def newest(self) -> str:
        """Return the address of the first page of the same filter."""
        return f"/statements?{urlencode(self.query())}"

    def query(self) -> dict[str, str]:
        """The filter as parameters, those that are set."""
        found = {"kind": self.kind, "about": self.about, "from": self.since, "to": self.until}
        return {name: value for name, value in found.items() if value}


def asked_of(parameters: Mapping[str, str], zone: str) -> Asked:
    """Read an address; what cannot be used is left out and named."""
    given = {name: parameters.get(name, "").strip()[:MAX_TEXT] for name in ("kind", "about", "from", "to", "before")}
    wrong: list[str] = []

    def moment(name: str, *, end: bool) -> str | None:
        if not given[name]:
            return None
        try:
            day = date.fromisoformat(given[name])
            return end_of(day, zone) if end else begin_of(day, zone)
        except (ValueError, OverflowError):
            wrong.append(given[name])
            return None

    kind = given["kind"] if given["kind"] in set(StatementKind) else None
    if given["kind"] and kind is None:
        wrong.append(given["kind"])
    before = None
    if given["before"]:
        if given["before"].isascii() and given["before"].isdigit() and len(given["before"]) < 19:
            before = int(given["before"])
        else:
            wrong.append(given["before"])
    filters = StatementFilters(kind, given["about"] or None, moment("from", end=False), moment("to", end=True))
    return Asked(kind or "", given["about"], given["from"], given["to"], before, filters, tuple(wrong))


async def draw_statements(
    services: Services, parameters: Mapping[str, str], texts: Texts, who: str, corner: LedgerCorner
) -> None:
    """Draw the list. Looked for away from the event loop: the pages of everybody else go on meanwhile."""
    zone = house_zone(services)
    asked = asked_of(parameters, zone)
    names = key_names(services)
    found = await run.io_bound(services.statements.search, asked.filters, asked.before, SHOWN)
    if found is None:  # the collector stops
        return
    with page(texts, who, "statements"):
        title(texts("statements"), texts("statements_intro"))
        with box("zg-detail"):
            with box(tag="section"):
                _filter(asked, zone, texts)
                if asked.wrong:
                    box("zg-note", texts("filter.bad", what=", ".join(asked.wrong)))
                if not found.items and found.next is None:
                    empty(texts("statements_none"), texts("statements_none_hint"))
                elif found.items:
                    with box("zg-card zg-rows"):
                        for view in found.items:
                            _row(statement_row(view, zone, names, texts), texts)
                _onward(asked, found.next, texts, short=len(found.items) < SHOWN)
            with box("zg-before-when-narrow", tag="section"):
                box(text=texts("ledger"), tag="h2")
                corner.draw(texts)


def key_names(services: Services) -> dict[str, str]:
    """Return the names of the API keys by id."""
    return {key.id: key.name for key in services.api_keys.all()}


def _filter(asked: Asked, zone: str, texts: Texts) -> None:
    with box("zg-card zg-filter", tag="form") as form:
        form.props["method"], form.props["action"] = "get", "/statements"
        with _labelled(texts("filter.kind")), box(tag="select") as kinds:
            kinds.props["name"] = "kind"
            for value, text in [("", texts("filter.any")), *((k, texts(f"kind.{k}")) for k in StatementKind)]:
                option = box(text=text, tag="option")
                option.props["value"] = str(value)
                if value == asked.kind:
                    option.props["selected"] = True
        with _labelled(texts("filter.about"), "zg-wide"):
            _input("about", asked.about, "text")
        with _labelled(texts("filter.from")):
            _input("from", asked.since, "date")
        with _labelled(texts("filter.to")):
            _input("to", asked.until, "date")
        with box("zg-filter-end"):
            box("zg-button zg-primary", texts("filter.show"), "button").props["type"] = "submit"
            link("zg-button", "/statements", texts("filter.clear"))
            box("zg-device-site", texts("filter.zone", zone=zone), "span")


@contextmanager
def _labelled(text: str, classes: str = "") -> Iterator[None]:
    """Put a label round a field, so that a click on the words goes there."""
    with box(classes, tag="label"):
        box(text=text, tag="span")
        yield


def _input(name: str, value: str, kind: str) -> None:
    field = box(tag="input")
    field.props["name"], field.props["value"], field.props["type"] = name, value, kind


def _row(row: StatementRow, texts: Texts) -> None:
    with link("zg-row zg-statement", f"/statements/{row.place}"):
        with box("zg-two"):
            box(text=row.time, tag="b")
            box(text=f"{texts('ledger_place')} {row.place}", tag="span")
        with box("zg-cell-kind"):
            pill(row.kind, row.tone)
        with box("zg-two zg-cell-says"):
            box(text=row.says, tag="b")
            for small in (row.reason and f"{texts('said_reason')}: {row.reason}", row.more, row.by):
                if small:
                    box(text=small, tag="span")


def _onward(asked: Asked, onward: int | None, texts: Texts, *, short: bool) -> None:
    with box("zg-onward"):
        if asked.before is not None:
            link("zg-button", asked.newest(), texts("newest"))
        if onward is not None:
            link("zg-button", asked.older(onward), texts("older"))
            if short:
                box("zg-device-site", texts("statements_searched", n=onward), "span")
