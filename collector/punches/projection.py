"""A signed punch event as a row for HR. Pure: the row follows from the event and the revocation flag alone."""

from __future__ import annotations

from typing import Any

from evidence.events import Event, Outcome, PunchBody, Verdict


def punch_row(event: Event, body: PunchBody, leaf_index: int, *, after_revocation: bool) -> dict[str, Any]:
    """Return the columns of `punches`."""
    latitude, longitude = _position(body)
    return {
        "leaf_index": leaf_index,
        "worker": body.worker,
        "log_type": None if body.log_type is None else str(body.log_type),
        "time": event.time,
        "tapped_at": body.tapped_at,
        "tz": event.tz,
        "site": event.site,
        "device": event.device,
        "method": str(body.method),
        "signed_verdict": str(body.verdict),
        "verdict": str(counted_verdict(body.verdict, after_revocation=after_revocation)),
        "receipt": body.receipt,
        "clock_source": event.clock.source,
        "clock_synced": event.clock.synced,
        "clock_error_ms": event.clock.error_ms,
        "latitude_e7": latitude,
        "longitude_e7": longitude,
    }


def counted_verdict(signed: Verdict, *, after_revocation: bool) -> Verdict:
    """Say what a signed verdict counts for: whoever holds a revoked key can sign anything."""
    if after_revocation and signed is Verdict.VERIFIED:
        return Verdict.REVIEW
    return signed


def _position(body: PunchBody) -> tuple[int | None, int | None]:
    """The place that a GPS check observed, in degrees times 10^7."""
    for check in body.checks:
        if check.name == "gps" and check.outcome is not Outcome.NOT_RUN and isinstance(check.observed, dict):
            latitude, longitude = check.observed.get("latitude_e7"), check.observed.get("longitude_e7")
            if _within(latitude, 900_000_000) and _within(longitude, 1_800_000_000):
                return latitude, longitude  # type: ignore[return-value]  # _within lets only integers through
    return None, None


def _within(value: object, bound: int) -> bool:
    return type(value) is int and -bound <= value <= bound
