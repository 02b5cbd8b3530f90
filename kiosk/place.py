"""What the sensors say about the place and the time of a punch, as checks. Pure.

Only a position outside the fence, or a working scanner that hears no anchor, fails a check. A receiver without a
fix, or one whose signal looks simulated, leaves the check `not_run`: the punch goes to review and is never dropped
for it (docs/adr).
"""

from __future__ import annotations

from collections.abc import Callable

from evidence.events import Check, ClockReading, Outcome
from kiosk.sensors.beacons import BeaconReading
from kiosk.sensors.gps import Fence, GpsReading

_GPS_SENTENCES = {
    "suspect": "the satellite signal looks simulated",
    "no_fix": "the receiver has no usable fix",
    "moving": "the position moves, which a bolted terminal does not",
    "insufficient": "too few good fixes yet",
    "still": "no fence is configured for this site",
    "outside": "the position is outside the site",
    "inside": "the position is inside the site",
}


def judged(name: str, judge: Callable[[], Check]) -> Check:
    """Run one check; a sensor that raises or gives no answer leaves it `not_run`, and the punch goes on to review."""
    try:
        return Check.model_validate(judge())
    except Exception as error:
        return _not_run(name, f"error: {type(error).__name__}: {error}"[:400], None)


def gps_check(reading: GpsReading | None, fence: Fence | None) -> Check:
    """Judge a GPS reading against the site's fence; None: there is no receiver."""
    expected = None if fence is None else {"within_m": fence.radius_m}
    if reading is None:
        return _not_run("gps", "no_receiver: no receiver is configured or it does not answer", expected)
    outcome = {"inside": Outcome.PASSED, "outside": Outcome.FAILED}.get(reading.verdict, Outcome.NOT_RUN)
    code = "ok" if outcome is Outcome.PASSED else reading.verdict
    return Check(
        name="gps",
        outcome=outcome,
        observed={
            "verdict": reading.verdict,
            "latitude_e7": reading.latitude_e7,
            "longitude_e7": reading.longitude_e7,
            "hdop_tenths": reading.hdop_tenths,
            "satellites": reading.satellites,
            "fixes": reading.fixes,
            "age_ms": reading.age_ms,
            "flags": list(reading.flags),
        },
        expected=expected,
        reason=f"{code}: {_GPS_SENTENCES[reading.verdict]}",
    )


def beacon_check(reading: BeaconReading | None, anchors: tuple[str, ...], *, nameless: bool = False) -> Check:
    """Judge whether this terminal hears an anchor of its site; None: there is no scanner.

    `nameless`: the keys of anchors that send rotating identifiers are dropped, and that they are not heard is no news.
    """
    expected = {"any_of": list(anchors)}
    if reading is None:
        return _not_run("beacon", "no_scanner: no Bluetooth scanner is configured or it failed", expected)
    if reading.stale:
        return _not_run(
            "beacon", "stale: the scanner has heard nobody at all lately, so silence means nothing", expected
        )
    if not anchors:
        return _not_run("beacon", "not_heard: no anchor beacons are configured for this site", expected)
    heard = [one for one in reading.heard if one in anchors]
    observed = {"heard": list(heard), "best_rssi": reading.best_rssi, "advertisements": reading.advertisements}
    if heard:
        return Check(
            name="beacon",
            outcome=Outcome.PASSED,
            observed=observed,
            expected=expected,
            reason="ok: an anchor of this site is in range",
        )
    if nameless and any(anchor.startswith("eid:") for anchor in anchors):
        why = "enclosure_opened: the anchors' keys left the memory when the case was opened"
        return _not_run("beacon", why, expected, observed)
    return Check(
        name="beacon",
        outcome=Outcome.FAILED,
        observed=observed,
        expected=expected,
        reason="not_heard: the scanner works and hears none of this site's anchors",
    )


def clock_check(clock: ClockReading) -> Check:
    """Say whether the event's time comes from a synchronised clock."""
    observed = {"source": clock.source, "synced": clock.synced, "error_ms": clock.error_ms}
    if clock.synced:
        return Check(name="clock", outcome=Outcome.PASSED, observed=observed, reason="ok: the clock is synchronised")
    if clock.error_ms is not None:
        why = "clock_unsynced: the time source has not answered for too long, or its error is too large"
        return _not_run("clock", why, None, observed)
    return _not_run("clock", "clock_unsynced: no time source has confirmed the clock", None, observed)


def _not_run(name: str, reason: str, expected: object, observed: object = None) -> Check:
    return Check.model_validate(
        {"name": name, "outcome": Outcome.NOT_RUN, "observed": observed, "expected": expected, "reason": reason}
    )
