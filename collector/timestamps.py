"""Times as the collector writes them: RFC 3339 UTC with milliseconds and a Z, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def utc_now() -> str:
    """Return this moment."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """Write an aware datetime in the fixed-width form."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_from_seconds(seconds: int) -> str:
    """Write a time given in seconds since 1970."""
    return utc_text(datetime.fromtimestamp(seconds, UTC))


def parse_utc(text: str) -> datetime:
    """Read what `utc_text` wrote. Raises ValueError."""
    return datetime.fromisoformat(text)


def local_text(text: str, zone: str) -> str | None:
    """Write a UTC time in an IANA zone with its offset; None if the zone or the time does not exist."""
    try:
        return parse_utc(text).astimezone(ZoneInfo(zone)).isoformat(timespec="milliseconds")
    except (
        ValueError,
        OSError,
        KeyError,
        OverflowError,
    ):  # ZoneInfoNotFoundError is a KeyError; a zone comes signed, not checked
        return None
