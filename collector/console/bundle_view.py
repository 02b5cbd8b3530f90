"""What the page about evidence bundles shows, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from collector.console.moments import last_day, local_day, shown
from collector.console.texts import Texts
from collector.evidence_bundles.foresight import ChainForeseen, Foresight
from collector.evidence_bundles.models import MadeBundle
from collector.evidence_bundles.questions import hours
from collector.services import Services
from evidence.bundle_manifest import Scope

HOLES_SHOWN = 40  # of one terminal; a month of nights fits
MADE_SHOWN = 100


@dataclass(frozen=True, slots=True)
class TerminalForeseen:
    """One chain in words."""

    name: str
    chain: str
    line: str
    given_up: tuple[str, ...]
    holes_title: str  # empty: there are none
    holes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What will be in a bundle."""

    about: str
    period: str
    punches: int
    verdicts: str
    percent: int
    given_up: int
    later: int
    worker: bool
    terminals: tuple[TerminalForeseen, ...]


@dataclass(frozen=True, slots=True)
class MadeRow:
    """One bundle that was made."""

    when: str
    by: str
    about: str
    kind: str
    period: str
    entries: str
    sha256: str
    size: str
    token: str | None  # by which whoever looks can fetch it


def foreseen(found: Foresight, scope: Scope, services: Services, zone: str, texts: Texts) -> Foreseen:
    """Put it in words; times and days are of `zone`."""
    periods = sum(one.coverage.period_s for one in found.chains)
    observed = sum(one.coverage.observed_s for one in found.chains)
    counts = {name: found.verdicts.get(name, 0) for name in ("verified", "review", "refused")}
    return Foreseen(
        about=about(scope.worker, scope.site, names_of(services, {scope.worker}), sites_of(services)),
        period=period(scope.since, scope.until, zone),
        punches=found.punches,
        verdicts=texts("bundle.verdicts", **counts),
        percent=100 * observed // max(1, periods),
        given_up=found.total("erased") + found.total("missing"),
        later=found.later,
        worker=scope.worker is not None,
        terminals=tuple(_terminal(one, zone, texts) for one in found.chains),
    )


def made_rows(services: Services, tokens: dict[str, str], zone: str, texts: Texts) -> tuple[MadeRow, ...]:
    """Return the record of bundles, newest first; one more than MADE_SHOWN where there are more."""
    made = services.evidence_bundles.made(MADE_SHOWN + 1)
    names, sites = names_of(services, {one.worker for one in made}), sites_of(services)
    return tuple(_row(one, names, sites, tokens, zone, texts) for one in made)


def about(worker: str | None, site: str | None, names: dict[str, str], sites: dict[str, str]) -> str:
    """Name a worker or a site with its code."""
    if worker is not None:
        return f"{names[worker]} ({worker})" if worker in names else worker
    if site is None:
        return "—"  # a worker who was erased since
    return f"{sites[site]} ({site})" if site in sites else str(site)


def period(since: str, until: str, zone: str) -> str:
    """Write a period: as days where it is made of whole days of the zone, else to the second."""
    first, last = local_day(since, zone), last_day(until, zone)
    whole = all(shown(one, zone).endswith("00:00:00") for one in (since, until))
    if whole:
        return first if first == last else f"{first} – {last}"
    return f"{shown(since, zone)} – {shown(until, zone)}"


def size_words(size: int) -> str:
    """Write a number of bytes as kB or MB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def names_of(services: Services, codes: set[str | None]) -> dict[str, str]:
    """Return the names of workers by code, of those that have one."""
    return services.people.names({code for code in codes if code is not None})


def sites_of(services: Services) -> dict[str, str]:
    """Return the sites' titles by name."""
    return {site.name: site.title for site in services.sites.all()}


def _terminal(one: ChainForeseen, zone: str, texts: Texts) -> TerminalForeseen:
    found = one.coverage
    line = texts(
        "bundle.terminal_line",
        accounted=one.accounted,
        covered=hours(found.observed_s),
        period=hours(found.period_s),
        percent=100 * found.observed_s // max(1, found.period_s),
        holes=len(found.holes),
    )
    given_up = []
    if one.erased:
        given_up.append(texts("bundle.erased_line", n=one.erased))
    if one.missing:
        given_up.append(texts("bundle.missing_line", n=one.missing))
    holes = [
        f"{shown(hole.since, zone)} – {shown(hole.until, zone)}: {texts(f'hole.{hole.why}')}"
        for hole in found.holes[:HOLES_SHOWN]
    ]
    if len(found.holes) > HOLES_SHOWN:
        holes.append(texts("bundle.more_holes", n=len(found.holes) - HOLES_SHOWN))
    return TerminalForeseen(
        name=one.device,
        chain=one.chain,
        line=line,
        given_up=tuple(given_up),
        holes_title=texts("bundle.holes", n=len(found.holes)) if found.holes else "",
        holes=tuple(holes),
    )


def _row(
    one: MadeBundle, names: dict[str, str], sites: dict[str, str], tokens: dict[str, str], zone: str, texts: Texts
) -> MadeRow:
    return MadeRow(
        when=shown(one.made_at, zone),
        by=one.made_by,
        about=about(one.worker, one.site, names, sites),
        kind=texts("worker" if one.site is None else "site"),
        period=period(one.since, one.until, zone),
        entries=texts("made.entries", n=one.tree_size),
        sha256=one.sha256,
        size=size_words(one.size),
        token=tokens.get(one.sha256),
    )
