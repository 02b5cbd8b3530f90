"""What a camera is to the terminal: numbered pictures with the monotonic time at which they were taken.

The sources are `video_file.VideoFileCamera`, `v4l2.V4l2Camera` and `picamera2_camera.Picamera2Camera`;
`newest_frame.NewestFrame` watches one of them from outside and keeps its latest picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kiosk.sensors.errors import CameraEnded, CameraError, CameraFailed, CameraStalled

__all__ = [
    "Camera",
    "CameraEnded",
    "CameraError",
    "CameraFailed",
    "CameraStalled",
    "Frame",
    "HoldsExposure",
    "NeverRepeats",
    "require_picture",
]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture: `index` counts up by source, `mono_us` is when it was taken, `image` is H x W x 3 uint8, BGR.

    `main` is the same instant in more pixels, where the camera gives two sizes at once.
    """

    index: int
    mono_us: int
    image: NDArray[np.uint8]
    main: NDArray[np.uint8] | None = None


class Camera(Protocol):
    """A source of frames, used by one thread."""

    @property
    def name(self) -> str:
        """What to call it in a message: a device, a file."""

    def read(self, timeout_s: float) -> Frame:
        """Return the next frame; raise CameraEnded, CameraStalled (none within `timeout_s`) or CameraFailed.

        A driver may block for longer than `timeout_s`, even for ever: whoever must not hang watches from outside.
        """

    def close(self) -> None:
        """Let go of the device; harmless when called again."""


@runtime_checkable
class HoldsExposure(Protocol):
    """A camera whose automatics can be stopped, so that a change in the picture is one of the light."""

    def lock_exposure(self) -> None:
        """Hold exposure and white balance as they are now; from any thread. Raises CameraFailed."""

    def unlock_exposure(self) -> None:
        """Let the automatics go on; from any thread. Raises CameraFailed."""


@runtime_checkable
class NeverRepeats(Protocol):
    """A camera with a sensor, whose noise changes every picture: two that are equal to the last bit are one."""

    never_repeats: ClassVar[bool]


def require_picture(image: object, name: str) -> NDArray[np.uint8]:
    """Return `image` if it is H x W x 3 uint8; raise CameraFailed otherwise (grey, 16-bit, empty)."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        shape = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise CameraFailed(f"{name} gives {shape} and not an 8-bit colour picture: choose another pixel format.")
    if image.size == 0:
        raise CameraFailed(f"{name} gives empty pictures: check the cable and the pixel format.")
    return image
