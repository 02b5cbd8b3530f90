"""Times for people: in the zone of the sites, and days of a zone as the moments at which they begin."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from collector.services import Services
from collector.timestamps import local_text, utc_text


def zones_of(services: Services) -> list[str]:
    """Return the sites' zones, the most frequent first, and UTC."""
    zones = [site.tz for site in services.sites.all()]
    return list(dict.fromkeys([*sorted(zones, key=lambda zone: (-zones.count(zone), zone)), "UTC"]))


def house_zone(services: Services) -> str:
    """Return the zone in which the pages write times: that of most sites, or UTC."""
    return zones_of(services)[0]


def shown(moment: str, zone: str) -> str:
    """Write a UTC time in a zone, to the second; as it stands where that cannot be."""
    local = local_text(moment, zone)
    return moment if local is None else f"{local[:10]} {local[11:19]}"


def begin_of(day: date, zone: str) -> str:
    """Return the moment at which a day begins in a zone, RFC 3339 UTC."""
    return utc_text(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)))


def end_of(day: date, zone: str) -> str:
    """Return the moment at which a day ends: the next one's begin. Raises OverflowError for the last of all."""
    return begin_of(day + timedelta(days=1), zone)


def last_day(until: str, zone: str) -> str:
    """Return the last day that ends by a moment, as a period's end is shown to people."""
    return local_day(utc_text(datetime.fromisoformat(until) - timedelta(milliseconds=1)), zone)


def local_day(moment: str, zone: str) -> str:
    """Return the day of a moment in a zone."""
    return (local_text(moment, zone) or moment)[:10]


def today(zone: str) -> date:
    """Return this day in a zone."""
    return datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
