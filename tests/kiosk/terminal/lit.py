"""A whole terminal whose screen lights its gate: people and camera are synthetic, all that lies between is real.

`python -m tests.kiosk.terminal.lit FOLDER PORT` serves the screen and takes JSON lines: who stands there, a tap, and
the colour that a browser really shows. NiceGUI allows one application a process, hence the process.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from evidence.events import LogType
from kiosk.app import Kiosk
from kiosk.settings import KioskSettings
from kiosk.verify.embedder import DlibEmbedder
from kiosk.verify.landmarks import LandmarkDetector
from kiosk.verify.models import landmark_bundle
from tests.kiosk.small_terminal import events
from zaigang.synthetic.attacks import FlatPrint
from zaigang.synthetic.camera import StageCamera, Subject
from zaigang.synthetic.devices import PHONE, Device
from zaigang.synthetic.impostors import Replay
from zaigang.synthetic.performance import Actor, living_person
from zaigang.synthetic.person import LivingPerson
from zaigang.synthetic.portraits import astronaut
from zaigang.synthetic.pose import Pose

WORKER = "W-1"
LOOK_EVERY_S = 0.02
FPS = 8  # a camera that a machine busy with other tests still follows


def cast() -> tuple[dict[str, Subject], list[Any]]:
    """Who can stand there, and the worker's vectors."""
    with LandmarkDetector(landmark_bundle(), mode="image") as detector:
        person, embedder = LivingPerson(astronaut(), detector), DlibEmbedder()
        vectors = []
        for yaw in (0, -6, 6):
            picture = person.render(Pose(yaw_deg=yaw))
            vectors.append(embedder.embed(picture, detector.detect(picture, 0)[0]))
        held = Actor(FlatPrint(astronaut(), detector), answers=lambda ask, share: Pose(), stance=Pose(scale=0.85))
        replay = Replay(living_person(person, 2), [], Device(PHONE, grid=0.0), held)
    return {"worker": living_person(person, 1), "replay": replay}, vectors


def main() -> None:
    """Serve until standard input ends."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    people, vectors = cast()
    camera = StageCamera(fps=FPS)
    settings = KioskSettings(
        device="gate-1",
        site="east",
        data_dir=folder,
        broker=("mqtt://127.0.0.1:9",),
        profile="demo",
        screen_port=port,
        flash="on",
    )
    over = threading.Event()
    with Kiosk(settings, camera=lambda: camera) as kiosk:
        kiosk.gallery.enrol(WORKER, "Eileen Collins", DlibEmbedder().model_id, vectors)

        def eyes() -> None:
            while not over.wait(LOOK_EVERY_S):
                camera.show(kiosk.attendant.view().ask)

        threading.Thread(target=eyes, daemon=True).start()
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(kiosk, camera, people, json.loads(line))), flush=True)
        over.set()


def answer(kiosk: Kiosk, camera: StageCamera, people: dict[str, Subject], request: dict[str, Any]) -> dict[str, Any]:
    """Do what the test asks."""
    match request["do"]:
        case "light":
            colour = request["colour"]
            camera.paint(None if colour is None else (colour[0], colour[1], colour[2]))
        case "tap":
            camera.stand(people[request["who"]])
            while not kiosk.attendant.view().face_available:
                time.sleep(LOOK_EVERY_S)
            kiosk.attendant.tap(LogType.IN, WORKER)
        case "checks":
            if kiosk.attendant.view().result is None:
                return {"checks": None}
            kiosk.attendant.dismiss()
            camera.leave()
            body = events(kiosk)[-1].body
            return {
                "checks": {one["name"]: f"{one['outcome']} {one['reason'].split(':')[0]}" for one in body["checks"]}
            }
    return {}


if __name__ == "__main__":
    main()
