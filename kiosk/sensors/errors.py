"""The error tree of the sensors: each error is named for what the hardware did, its message says what to do."""

from __future__ import annotations


class SensorError(Exception):
    """Base of everything a sensor can do wrong; `code` is stable, in the vocabulary of the reasons of checks."""

    code = "error"


class CameraError(SensorError):
    """Base of what a camera can do wrong."""

    code = "camera_failed"


class CameraFailed(CameraError):
    """The camera cannot be opened, or what it delivers is not a picture as agreed."""

    code = "camera_failed"


class CameraStalled(CameraError):
    """No new picture came in time; the camera may still be there."""

    code = "camera_stalled"


class CameraEnded(CameraError):
    """The video file is over."""

    code = "camera_ended"


class ScannerFailed(SensorError):
    """No Bluetooth adapter, or it refuses to scan."""

    code = "no_scanner"


class AdapterGone(ScannerFailed):
    """The Bluetooth adapter was there and is not any more."""


class AdapterOff(ScannerFailed):
    """The Bluetooth adapter is switched off."""


class RecordingUnreadable(SensorError):
    """A recording of advertisements is not in the documented format; the message names the line."""

    code = "recording_unreadable"


class LoopUnreadable(SensorError):
    """Nobody can say whether the enclosure is closed."""

    code = "enclosure_unreadable"


class BadgeReaderFailed(SensorError):
    """The badge reader is not there, or another program has it."""

    code = "no_badge_reader"
