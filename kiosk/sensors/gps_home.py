"""Where a bolted terminal stood when it was put up, kept over restarts: what `moved` and `climbed` compare with.

The file belongs to one fence: where the site's fence is set anew, the terminal was put up anew. A file that cannot be
read is as good as none, and the next good position takes its place.
"""

from __future__ import annotations

import json
from pathlib import Path

from kiosk.durable_file import replace_file
from kiosk.sensors.gps import Fence, Place

_E7 = 10_000_000


def read_home(path: Path, fence: Fence | None) -> Place | None:
    """Read the place that was kept for `fence`; None where there is none. Never raises."""
    try:
        kept = json.loads(path.read_bytes())
        if kept["fence"] != _fence(fence):
            return None
        latitude, longitude, altitude = kept["latitude_e7"], kept["longitude_e7"], kept["altitude_dm"]
        if not (abs(latitude) <= 90 * _E7 and abs(longitude) <= 180 * _E7):
            return None
        return Place(latitude / _E7, longitude / _E7, None if altitude is None else altitude / 10)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_home(path: Path, fence: Fence | None, home: Place) -> None:
    """Keep `home`; a crash leaves the old file or the new one. Raises OSError."""
    kept = {
        "fence": _fence(fence),
        "latitude_e7": round(home.latitude * _E7),
        "longitude_e7": round(home.longitude * _E7),
        "altitude_dm": None if home.altitude_m is None else round(home.altitude_m * 10),
    }
    replace_file(path, json.dumps(kept).encode())


def _fence(fence: Fence | None) -> list[int] | None:
    return None if fence is None else [fence.latitude_e7, fence.longitude_e7, fence.radius_m]
