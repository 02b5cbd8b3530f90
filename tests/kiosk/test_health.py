"""Health is put together from parts without inventing anything."""

from __future__ import annotations

from pathlib import Path

from evidence.events import ClockReading
from evidence.status import Part
from kiosk.clock import Stamp
from kiosk.health import clock_part, free_bytes, gather, troubles

NOW = Stamp("2026-05-04T08:00:00.000Z", ClockReading(source="none", synced=False), "0" * 32, 7_500_000)
WORKING = Part(state="working")


def test_health_says_what_the_parts_say() -> None:
    parts = {"journal": Part(state="failed", reason="disk_full: no room"), "gps": WORKING}
    health = gather(
        device="gate-1",
        site="riverside",
        now=NOW,
        started_mono_us=1_000_000,
        unsent=3,
        oldest_unsent="2026-05-04T07:00:00.000Z",
        head_seq=9,
        disk_free_bytes=None,
        parts=parts,
    )
    assert health.parts == parts
    assert (health.uptime_s, health.unsent, health.head_seq, health.disk_free_bytes) == (6, 3, 9, None)
    assert health.software.startswith("zaigang")


def test_troubles_are_codes_with_what_failed_first() -> None:
    parts = {
        "clock": Part(state="degraded", reason="not_synced: nothing sets this clock"),
        "camera": WORKING,
        "gps": Part(state="absent", reason="no_receiver: none is configured"),
        "journal": Part(state="failed", reason="disk_full: no room"),
        "uplink": Part(state="degraded", reason="not_synced: twice"),
    }
    assert troubles(parts) == ("disk_full", "not_synced")
    assert troubles({"camera": WORKING}) == ()


def test_a_clock_that_nothing_sets_is_degraded() -> None:
    assert clock_part(NOW).state == "degraded"
    synced = Stamp(NOW.time, ClockReading(source="ntp", synced=True, error_ms=4), NOW.boot, NOW.mono_us)
    assert clock_part(synced) == WORKING


def test_free_space_is_measured_or_unknown_but_never_an_error(tmp_path: Path) -> None:
    assert (free_bytes(tmp_path) or 0) > 0
    assert free_bytes(tmp_path / "nowhere") is None
