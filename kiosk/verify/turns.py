"""The turns of one attempt: points of the face are followed through each, and all of them are judged at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiosk.verify.planarity import PlaneFit, PlaneTracker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kiosk.verify.landmarks import Landmarks


class Turns:
    """One attempt's. What breaks is kept in `error`: the attempt goes on, and planarity cannot pass any more."""

    def __init__(self) -> None:
        self.error: Exception | None = None  # the last one
        self._over: list[PlaneTracker] = []
        self.tracker: PlaneTracker | None = None  # of the turn that is asked now

    def begin(self, image: NDArray[np.uint8], face: Landmarks, yaw_deg: float) -> None:
        """A turn is asked, and this is the face at rest."""
        try:
            self.tracker = PlaneTracker(image, face, yaw_deg)
        except Exception as error:
            self.error = error

    def follow(self, mono_us: int, image: NDArray[np.uint8], yaw_deg: float) -> bool:
        """Follow the points of a turn; False where this frame was passed over, so that nobody vouches for its face."""
        if self.tracker is None:
            return True
        try:
            return self.tracker.offer(mono_us, image, yaw_deg)
        except Exception as error:
            self.tracker = None
            self.error = error
            return False

    def end(self) -> None:
        """The prompt is over; a fit takes longer than a frame does, so it waits until the attempt is over, too."""
        if self.tracker is not None:
            self._over.append(self.tracker)
            self.tracker = None

    def fits(self) -> list[PlaneFit]:
        """Judge every turn, the one that was cut off too, and forget them. One that breaks is left out."""
        self.end()
        over, self._over = self._over, []
        fits = []
        for tracker in over:
            try:
                fits.append(tracker.fit())
            except Exception as error:
                self.error = error
        return fits

    def forget(self) -> None:
        """Let the pictures go."""
        self.tracker, self._over = None, []
