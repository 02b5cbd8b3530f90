"""How often something may be tried: a count within a window of time. Pure: the moments in, the moments out.

As for PINs (`pin`), no wall clock is needed: a moment of this boot has an age, and one of an earlier boot counts until
this boot has lasted as long as the window, so that pulling the plug buys no attempt.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """When an attempt was made; `mono_us`: CLOCK_MONOTONIC of that boot, microseconds."""

    boot: str
    mono_us: int


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` attempts of one kind by one subject within `window_us`."""

    kind: str
    most: int
    window_us: int


# A living worker is refused at most once in twenty attempts: eight refusals in ten minutes are somebody else's.
FACE_BY_BADGE = Limit("face", 8, 600_000_000)
# Without a badge the whole queue shares one count, which any success clears.
FACE_OF_ANYONE = Limit("face_of_anyone", 24, 600_000_000)
# One PIN tried under every badge closes no badge's own lock. A queue mistypes one in thirty: this is somebody else.
WRONG_PINS_OF_ANYONE = Limit("wrong_pins", 20, 600_000_000)
# A supervisor enrols one after the other; ten in an hour is a busy hour, a hundred is a script.
ENROLMENTS = Limit("enrolments", 10, 3_600_000_000)


def confirmations(an_hour: int) -> Limit:
    """How often one supervisor may confirm others."""
    return Limit("confirmations", an_hour, 3_600_000_000)


def recent(moments: tuple[Moment, ...], now: Moment, limit: Limit) -> tuple[Moment, ...]:
    """Return those of `moments` that still count at `now`, the newest `most` of them."""
    counted = tuple(
        one for one in moments if (now.mono_us - one.mono_us if one.boot == now.boot else now.mono_us) < limit.window_us
    )
    return counted[-limit.most :]


def exhausted(moments: tuple[Moment, ...], now: Moment, limit: Limit) -> bool:
    """Say whether another attempt at `now` would be one too many."""
    return len(recent(moments, now, limit)) >= limit.most
