"""Which hardware the settings name, opened or made ready: camera, GPS receiver, badge reader, lamps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kiosk.sensors.badges import BadgeSource, RecordedBadges
from kiosk.sensors.camera import Camera
from kiosk.sensors.evdev_badges import EvdevBadges
from kiosk.sensors.gps import Fence, FixTracker, Place
from kiosk.sensors.lamps import Lamps
from kiosk.sensors.picamera2_camera import Picamera2Camera
from kiosk.sensors.serial_gps import SerialGps
from kiosk.sensors.v4l2 import V4l2Camera
from kiosk.sensors.video_file import VideoFileCamera
from kiosk.settings import KioskSettings

if TYPE_CHECKING:
    from gpiozero import Factory


def open_camera(settings: KioskSettings) -> Camera:
    """Open the camera that the settings name. Raises a SensorError."""
    if settings.camera.startswith("file:"):
        return VideoFileCamera(Path(settings.camera.removeprefix("file:")))
    if settings.camera.startswith("picamera2"):
        return Picamera2Camera(int(settings.camera.partition(":")[2] or 0))
    return V4l2Camera(settings.camera)


def fence_of(settings: KioskSettings) -> Fence | None:
    """Return the site's fence; None where it has none."""
    fence = settings.fence
    return None if fence is None else Fence(fence.latitude_e7, fence.longitude_e7, fence.radius_m)


def gps_of(settings: KioskSettings, fence: Fence | None, home: Place | None) -> SerialGps | None:
    """Return the GPS receiver, not started; None where the terminal has none."""
    if settings.gps_port is None:
        return None
    return SerialGps(settings.gps_port, settings.gps_baud, FixTracker(fence, home))


def badge_reader_of(settings: KioskSettings, on_code: Callable[[str], None]) -> BadgeSource | None:
    """Return the badge reader, not started; None where the terminal has none. `on_code` is told what was read."""
    if settings.badge_reader is None:
        return None
    if settings.badge_reader.startswith("file:"):
        return RecordedBadges(Path(settings.badge_reader.removeprefix("file:")), on_code)
    return EvdevBadges(settings.badge_reader, on_code)


def lamps_of(settings: KioskSettings, pins: Callable[[], Factory]) -> Lamps | None:
    """Return lamps and buzzer, not started; None where the terminal has none of them."""
    built = settings.enclosure
    if built.green_pin is None and built.red_pin is None and built.buzzer_pin is None:
        return None
    return Lamps(green=built.green_pin, red=built.red_pin, buzzer=built.buzzer_pin, pins=pins)
