"""Peak memory of a whole terminal against a process that only holds the same models.

The terminal's camera is the synthetic stage, whose pictures count in: the figure is an upper bound.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ratio import Ratio

ROOT = Path(__file__).resolve().parents[1]
PUNCHES, SMOKE_PUNCHES = 10, 1


def run(smoke: bool = False) -> list[Ratio]:
    """Measure each in a process of its own, so that its peak is its own."""
    punches = SMOKE_PUNCHES if smoke else PUNCHES
    terminal, models = _peak_mib("terminal", punches), _peak_mib("models", 0)
    note = f"with its screen's server, after {punches} punches; limit: MediaPipe and dlib alone, one face each"
    return [Ratio("terminal's peak memory", terminal, models, "MiB", "", note)]


def _peak_mib(what: str, punches: int) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", what, str(punches)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=600)
    return float(json.loads(done.stdout.splitlines()[-1])["kib"]) / 1024


def _models_alone() -> None:
    from kiosk.verify.embedder import DlibEmbedder
    from kiosk.verify.landmarks import LandmarkDetector
    from kiosk.verify.models import face_embedding_model, landmark_bundle
    from zaigang.synthetic.portraits import astronaut

    image = astronaut().image
    with LandmarkDetector(landmark_bundle(), "video") as detector:
        faces = detector.detect(image, 0)
        DlibEmbedder(face_embedding_model()).embed(image, faces[0])


def _terminal(punches: int) -> None:
    from evidence.events import LogType
    from kiosk.app import Kiosk
    from kiosk.settings import KioskSettings
    from tests.support.ports import free_port
    from zaigang.demo.scene import Scene

    scene = Scene()
    with tempfile.TemporaryDirectory() as folder:
        settings = KioskSettings(device="gate-1", site="east", data_dir=Path(folder), screen_port=free_port())
        with Kiosk(settings, camera=scene.open_camera) as kiosk:
            scene.stand("worker")
            while not kiosk.attendant.view().face_available:
                time.sleep(0.02)
            for _ in range(punches):
                kiosk.attendant.tap(LogType.IN, None)
                while kiosk.attendant.view().result is None:
                    scene.look_at(kiosk.attendant.view())
                    time.sleep(0.02)
                kiosk.attendant.dismiss()


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


if __name__ == "__main__":
    if sys.argv[1] == "terminal":
        _terminal(int(sys.argv[2]))
    else:
        _models_alone()
    print(json.dumps({"kib": _peak_kib()}))
