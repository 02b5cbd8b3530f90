"""The demo's terminal: the real program with a stage before its camera, and a line to the story that is told.

Run as `python -m zaigang.demo.terminal SETTINGS.json`; takes one JSON request a line on standard input and answers
each with one JSON line on standard output.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evidence.errors import EvidenceError
from evidence.events import LogType
from kiosk.app import Kiosk
from kiosk.enrolment import Consent
from kiosk.errors import KioskError
from kiosk.log import configure
from kiosk.settings import KioskSettings
from kiosk.settings_tables import FenceSettings
from kiosk.terminal.view import Phase
from zaigang.demo.scene import ANCHOR, Scene, beacon_recording
from zaigang.synthetic_gps import PtyGps, standing_still

WARM_UP_S = 25  # the receiver has stood there for a while: as many fixes as a position wants
LOOK_EVERY_S = 0.02  # how often the person on the stage looks at the screen


class DemoTerminal:
    """Kiosk, stage, GPS log on a pseudo-terminal, recorded beacons."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._closing = ExitStack()
        folder = Path(given["data_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        recording = folder / "beacons.jsonl"
        recording.write_text(beacon_recording())
        gps = PtyGps(standing_still(given["latitude"], given["longitude"], seconds_before=WARM_UP_S), at_once=WARM_UP_S)
        gps.start()
        self._closing.callback(gps.stop)
        self.scene = Scene()
        self.settings = KioskSettings(
            device=given["device"],
            site=given["site"],
            site_title=given["site_title"],
            data_dir=folder,
            broker=(f"mqtt://127.0.0.1:{given['mqtt_port']}",),
            mqtt_version=3,
            collector_keys=(given["collector"]["receipt"], given["collector"]["command"]),
            ledger_key=given["ledger"],
            gps_port=gps.port,
            beacons=f"file:{recording}",
            anchors=(ANCHOR,),
            fence=FenceSettings(latitude=given["latitude"], longitude=given["longitude"], radius_m=100),
            profile="demo",
            screen_port=given["screen_port"],
        )
        self.kiosk = Kiosk(self.settings, camera=self.scene.open_camera)
        self._last_qr = ""
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch_the_screen, name="person-on-stage", daemon=True)

    def start(self) -> None:
        """Start the terminal and the person's eyes."""
        self.kiosk.start()
        self._closing.callback(self.kiosk.stop)
        self._watcher.start()

    def stop(self) -> None:
        """Stop everything."""
        self._over.set()
        self._closing.close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what the story asks."""
        match request["do"]:
            case "key":
                head = self.kiosk.journal.head
                now = self.kiosk.clock.stamp().time
                return {
                    "key": self.kiosk.key.public.text(),
                    "chain": head.chain,
                    "seq": head.seq,
                    "head": head.hash,
                    "time": now,
                    "last_punch_receipt": self._last_qr,
                }
            case "stand":
                self.scene.stand(request["who"])
                return {}
            case "tap":
                self._wait_until_idle()
                self.kiosk.attendant.tap(LogType(request["log_type"]), None)
                return {}
            case "dismiss":
                self.kiosk.attendant.dismiss()
                return {}
            case "view":
                return self._view()
            case "enrol":
                consent = Consent(text_version="demo-1", language="zh")
                enrolled = self.kiosk.enrol_face(request["authorisation"], consent, pin=request["pin"])
                return {"worker": enrolled.worker, "frames": enrolled.frames}
            case unknown:
                return {"error": f"cannot do {unknown!r}"}

    def _view(self) -> dict[str, Any]:
        view = self.kiosk.attendant.view()
        if view.result is not None and view.result.receipt_qr:
            self._last_qr = view.result.receipt_qr
        return {**asdict(view), "receipts_refused": self.kiosk.journal.bad_receipts}

    def _wait_until_idle(self) -> None:
        """A worker taps when the terminal is ready: idle, with a working camera and a position."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            view = self.kiosk.attendant.view()
            if view.phase is Phase.IDLE and view.face_available and self.kiosk.placed():
                return
            time.sleep(LOOK_EVERY_S)
        raise KioskError(f"the terminal is not ready: {self.kiosk.attendant.view()}")

    def _watch_the_screen(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self.scene.look_at(self.kiosk.attendant.view())


def main() -> None:
    """Serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    configure()
    os.dup2(2, 1)  # whatever a library prints goes to the log, not between the answers
    terminal = DemoTerminal(json.loads(Path(sys.argv[1]).read_text()))
    try:
        terminal.start()
        for line in sys.stdin:
            try:
                answer = terminal.answer(json.loads(line))
            except (KioskError, EvidenceError, ValueError, KeyError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer, ensure_ascii=False) + "\n")
    finally:
        terminal.stop()


if __name__ == "__main__":
    main()
