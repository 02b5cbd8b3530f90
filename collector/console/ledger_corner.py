"""The corner that says how the ledger stands: checkpoint, witnesses, time-stamps, and in red what is overdue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from nicegui import run, ui

from collector.console.elements import box, pill
from collector.console.texts import Texts
from collector.console.view import ago
from collector.healthz import Health, PartHealth
from collector.ledger.standing import LedgerStanding, Standing, Voucher

REFRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what, how it is, and whether that is overdue."""

    what: str
    how: str
    more: str
    tone: str  # good, bad, off
    state: str = ""  # the word in the pill
    code: bool = False  # `how` is a hash


class LedgerCorner:
    """Draws it; the database and the running threads are asked anew every few seconds."""

    def __init__(self, standing: LedgerStanding, health: Callable[[], Health]) -> None:
        self._standing, self._health = standing, health

    def draw(self, texts: Texts) -> None:
        """Draw it and keep it up to date while the browser is there."""
        lines = self._lines(texts)

        @ui.refreshable
        def corner() -> None:
            with box("zg-card zg-list"):
                for line in lines:
                    with box(f"zg-ledger-line {line.tone}"):
                        with box("zg-ledger-head"):
                            box("zg-device-site", line.what, "span")
                            if line.state:
                                pill(line.state, line.tone)
                        if line.how:
                            box("zg-sha" if line.code else "zg-ledger-how", line.how, "code" if line.code else "div")
                        if line.more:
                            box("zg-device-site", line.more)

        async def look() -> None:
            nonlocal lines
            fresh = await run.io_bound(self._lines, texts)
            if fresh is not None and fresh != lines:
                lines = fresh
                corner.refresh()

        corner()
        ui.timer(REFRESH_S, look)

    def _lines(self, texts: Texts) -> list[Line]:
        now = datetime.now(UTC)
        return ledger_lines(self._standing.at(now), self._health(), texts, now)


def ledger_lines(standing: Standing, health: Health, texts: Texts, now: datetime) -> list[Line]:
    """Put it in words."""
    parts = ("keys", "checkpoints", "attestations", "certificates")
    lines = [line for name in parts for line in _trouble(name, getattr(health, name), texts)]
    lines.append(Line(texts("ledger.entries"), str(standing.entries), "", "off"))
    lines.append(_checkpoint(standing, texts, now))
    if standing.root:
        lines.append(Line(texts("ledger.root"), standing.root.hex(), "", "off", code=True))
    for key, vouchers in (("witness", standing.witnesses), ("authority", standing.authorities)):
        lines += [_voucher(texts(f"ledger.{key}", name=one.name), one, texts, now) for one in vouchers]
        if not vouchers:
            lines.append(Line(texts(f"ledger.no_{key}"), "", "", "off"))
    if standing.witnesses_needed:
        lines.append(Line(texts("ledger.needed", n=standing.witnesses_needed), "", "", "off"))
    return lines


def _trouble(name: str, part: PartHealth, texts: Texts) -> list[Line]:
    if part.state == "ok":
        return []
    elsewhere = "" if name == "certificates" else texts("health.log")
    reason = part.reason if texts.language == "en" else elsewhere
    return [Line(texts(f"health.{name}"), reason, "", "bad", texts("ledger.failed"))]


def _checkpoint(standing: Standing, texts: Texts, now: datetime) -> Line:
    what = texts("ledger.checkpoint")
    how = texts("ledger.no_checkpoint")
    if standing.signed_at is not None:
        how = texts("ledger.covers", n=standing.size, age=ago(standing.signed_at, texts, now))
    waits = standing.uncovered_since
    more = texts("ledger.all_covered") if waits is None else texts("ledger.uncovered", age=ago(waits, texts, now))
    return Line(what, how, more if standing.entries else "", *_state(texts, overdue=standing.overdue))


def _voucher(what: str, one: Voucher, texts: Texts, now: datetime) -> Line:
    how = texts("ledger.vouches_nothing")
    if one.at is not None:
        how = texts("ledger.vouches", n=one.size, age=ago(one.at, texts, now))
    more = "" if one.waits_since is None else texts("ledger.waits", age=ago(one.waits_since, texts, now))
    return Line(what, how, more, *_state(texts, overdue=one.overdue))


def _state(texts: Texts, *, overdue: bool) -> tuple[str, str]:
    return ("bad", texts("ledger.overdue")) if overdue else ("good", texts("ledger.up_to_date"))
