"""Who can stand before the demo's terminal, and the beacons it hears there."""

from __future__ import annotations

import uuid

from kiosk.sensors.advertisement import Advertisement
from kiosk.sensors.recorded_beacons import recording_line
from kiosk.terminal.view import TerminalView
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.camera import StageCamera, Subject
from zaigang.synthetic.performance import living_person, paper_holder
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut, grace_hopper

ANCHOR_UUID = uuid.UUID("6d1c9f1e-0d4b-4f5a-9c53-2f1f5d6a7b10")  # made up for the demo
ANCHOR_MAJOR, ANCHOR_MINOR = 1, 7
ANCHOR = f"ibeacon:{ANCHOR_UUID}:{ANCHOR_MAJOR}:{ANCHOR_MINOR}"
APPLE = 0x004C  # the company id under which every iBeacon advertises
ADVERTISE_EVERY_MS = 300
RECORDING_MS = 3000


class Scene:
    """The stage and its cast: the worker, a stranger, a printed photo of the worker, nobody."""

    def __init__(self) -> None:
        self._camera = StageCamera()
        self._on_stage: Subject | None = None
        with LandmarkDetector(landmark_bundle(), mode="image") as detector:
            worker, stranger = astronaut(), grace_hopper()
            self._cast: dict[str, Subject] = {
                "worker": living_person(LivingPerson(worker, detector), seed=1),
                "stranger": living_person(LivingPerson(stranger, detector), seed=2),
                "print": paper_holder(FlatPrint(worker, detector), seed=3),
            }

    def open_camera(self) -> StageCamera:
        """Open the camera, again if need be: whoever stood there stands there still."""
        self._camera = StageCamera()
        if self._on_stage is not None:
            self._camera.stand(self._on_stage)
        return self._camera

    def stand(self, who: str) -> None:
        """Let `who` step before the camera; "nobody" clears the stage. Raises KeyError."""
        self._on_stage = None if who == "nobody" else self._cast[who]
        if self._on_stage is None:
            self._camera.leave()
        else:
            self._camera.stand(self._on_stage)

    def look_at(self, view: TerminalView) -> None:
        """Whoever stands there reads the screen."""
        self._camera.show(view.ask)


def beacon_recording() -> str:
    """A few seconds of one anchor near by and one stranger's beacon far off, as JSON lines."""
    power = (-59 & 0xFF).to_bytes(1, "big")  # measured power at a metre, dBm
    anchor = b"\x02\x15" + ANCHOR_UUID.bytes + ANCHOR_MAJOR.to_bytes(2, "big") + ANCHOR_MINOR.to_bytes(2, "big") + power
    passer_by = b"\x02\x15" + uuid.UUID(int=1).bytes + bytes(4) + power
    lines = []
    for at_ms in range(0, RECORDING_MS, ADVERTISE_EVERY_MS):
        near = Advertisement("c0:ff:ee:00:00:07", -52 - at_ms // 300 % 3, at_ms * 1000, {APPLE: anchor}, {})
        far = Advertisement("c0:ff:ee:00:00:99", -84, at_ms * 1000 + 50_000, {APPLE: passer_by}, {})
        lines += [recording_line(near, 0), recording_line(far, 0)]
    return "".join(line + "\n" for line in lines)
