"""Peak memory of a whole terminal against a process that only holds the same models; and terminal and browser together
against what a machine of 2 GiB can give them.

The terminal's camera is the synthetic stage, whose pictures count in: the figure is an upper bound.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from benchmarks.ratio import Ratio

ROOT = Path(__file__).resolve().parents[1]
PUNCHES, SMOKE_PUNCHES = 10, 1
# The budget of process and browser: half of the smallest Pi that hardware.md names leaves the system, its page cache
# and an update their half.
BUDGET_MIB = 1024.0


def run(smoke: bool = False) -> list[Ratio]:
    """Measure each in a process of its own, so that its peak is its own."""
    punches = SMOKE_PUNCHES if smoke else PUNCHES
    terminal, models = _peak_mib("terminal", punches), _peak_mib("models", 0)
    note = f"with its screen's server, after {punches} punches; limit: MediaPipe and dlib alone, one face each"
    together, browser = _together_mib(punches)
    shared = f"of these the browser {browser:.0f}; proportional set sizes after {punches} punches on an open page"
    return [
        Ratio("terminal's peak memory", terminal, models, "MiB", "", note),
        Ratio("terminal and browser together", together, BUDGET_MIB, "MiB", "<= 1", shared),
    ]


def _together_mib(punches: int) -> tuple[float, float]:
    """Return what terminal and Chromium hold while the page shows the punches, and what of it is Chromium's."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "benchmarks.memory", "shown", str(punches)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as terminal:
        assert terminal.stdin is not None and terminal.stdout is not None
        url = _said(terminal.stdout, "url ")
        with sync_playwright() as playwright:
            # The low-end mode as in zaigang-display.service; the rest is for a machine without a display.
            flags = ["--enable-low-end-device-mode", "--no-sandbox", "--disable-gpu", "--no-first-run"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            page = browser.new_page(viewport={"width": 800, "height": 480})
            page.goto(url)
            print("go", file=terminal.stdin, flush=True)
            _said(terminal.stdout, "done")
            ours = _pss_mib(terminal.pid)
            theirs = sum(_pss_mib(pid) for pid in _descendants(os.getpid()) if _is_browser(pid))
            browser.close()
        terminal.stdin.close()
    return ours + theirs, theirs


def _said(lines: IO[str], begin: str) -> str:
    """Wait for a line that begins so; return what is behind that. The process logs to the same stream."""
    for line in lines:
        if line.startswith(begin):
            return line.removeprefix(begin).strip()
    raise RuntimeError(f"the terminal ended before it said {begin!r}")


def _descendants(pid: int) -> list[int]:
    children = [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in _words(task / "children")]
    return [one for child in children for one in (child, *_descendants(child))]


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:  # the process has ended
        return []


def _is_browser(pid: int) -> bool:
    return any("chrom" in word for word in _words(Path(f"/proc/{pid}/comm")))


def _pss_mib(pid: int) -> float:
    words = _words(Path(f"/proc/{pid}/smaps_rollup"))
    return int(words[words.index("Pss:") + 1]) / 1024 if "Pss:" in words else 0.0


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


def _terminal(punches: int, *, shown: bool = False) -> None:
    """Make the punches. `shown`: say the screen's address, wait for a browser, and stay until it is measured."""
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
            if shown:
                assert kiosk.screen is not None
                print(f"url {kiosk.screen.url}", flush=True)
                sys.stdin.readline()
            for _ in range(punches):
                kiosk.attendant.tap(LogType.IN, None)
                while kiosk.attendant.view().result is None:
                    scene.look_at(kiosk.attendant.view())
                    time.sleep(0.02)
                kiosk.attendant.dismiss()
            if shown:
                print("done", flush=True)
                sys.stdin.read()


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


if __name__ == "__main__":
    if sys.argv[1] == "shown":
        _terminal(int(sys.argv[2]), shown=True)
    else:
        _terminal(int(sys.argv[2])) if sys.argv[1] == "terminal" else _models_alone()
        print(json.dumps({"kib": _peak_kib()}))
