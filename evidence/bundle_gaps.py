"""What a bundle says about time: what the terminals vouch for, where nobody does and why, and what came late.

"No punch" means something only where a terminal provably worked. Coverage events say where it did (docs/presence.md,
docs/adr/0016); everything here is derived from the signed events, never from what a collector wrote beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from evidence.events import ClockReading, CoverageBody

LATE_AFTER = timedelta(minutes=15)  # one period of coverage: a terminal with a network delivers within seconds
JOIN = timedelta(seconds=2)  # coverage seconds are rounded down, and the clock is read twice between two periods


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch of the period for which a terminal vouches for nothing."""

    since: str
    until: str
    why: str  # before_the_first_statement, after_the_last_statement, stopped_in_order, ended_without_a_word


@dataclass(frozen=True, slots=True)
class CoverageFound:
    """What one chain's coverage events come to within the period."""

    period_s: int
    stated_s: int  # of which some coverage event speaks
    observed_s: int  # of which the terminal looked after its parts and could record
    uplink_s: int
    screen_s: int  # of the observed time in which somebody could punch
    holes: tuple[Hole, ...]


def coverage_of(events: Iterable[CoverageBody], since: str, until: str) -> CoverageFound:
    """Add up the coverage of one chain between two moments (RFC 3339 UTC).

    A period of coverage that reaches over the edge counts in proportion. Holes shorter than JOIN are none.
    """
    start, end = moment(since), moment(until)
    inside = [one for one in events if moment(one.until) > start and moment(one.since) < end]
    inside.sort(key=lambda one: (one.since, one.until))
    stated = observed = uplink = screen = 0.0
    for one in inside:
        share = _share(one, start, end)
        stated += one.seconds * share
        observed += one.observed_s * share
        uplink += (one.uplink_s or 0) * share
        screen += one.observed_s * share if one.screen else 0.0
    period = int((end - start).total_seconds())
    return CoverageFound(period, int(stated), int(observed), int(uplink), int(screen), _holes(inside, start, end))


def late_why(time: str, clock: ClockReading, received_at: str, coverage: Sequence[CoverageBody]) -> str | None:
    """Say why an event came late to the collector, as far as the terminal's own statements tell; None: it did not.

    `clock_unsynced`: its time may be wrong. `offline`: its coverage says that the uplink failed meanwhile.
    `unexplained`: neither.
    """
    signed, received = moment(time), moment(received_at)
    if received - signed <= LATE_AFTER:
        return None
    if not clock.synced:
        return "clock_unsynced"
    for one in coverage:
        if one.since < received_at and one.until > time and (one.uplink_s or 0) < one.observed_s:
            return "offline"
    return "unexplained"


def moment(text: str) -> datetime:
    """Read an RFC 3339 UTC time."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _share(one: CoverageBody, start: datetime, end: datetime) -> float:
    low, high = moment(one.since), moment(one.until)
    whole = (high - low).total_seconds()
    if whole <= 0:
        return 1.0
    return max(0.0, (min(high, end) - max(low, start)).total_seconds() / whole)


def _holes(inside: Sequence[CoverageBody], start: datetime, end: datetime) -> tuple[Hole, ...]:
    holes: list[Hole] = []
    at, why = start, "before_the_first_statement"
    for one in inside:
        low, high = moment(one.since), moment(one.until)
        if low - at > JOIN:
            holes.append(Hole(_text(at), _text(low), why))
        if high >= at:
            at, why = high, "stopped_in_order" if one.last else "ended_without_a_word"
    if end - at > JOIN:
        why = "after_the_last_statement" if inside and why != "stopped_in_order" else why
        holes.append(Hole(_text(at), _text(end), why))
    return tuple(holes)


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
