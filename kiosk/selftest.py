"""What an installer at the site wants to know: each part of the terminal, what is seen of it and what to do.

Runs on a terminal of its own (the service is stopped meanwhile), and looks at whatever parts that terminal reports, so
that a new part has a line without a change here; some have more to tell than their state.
"""

from __future__ import annotations

import socket
import stat
import statistics
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evidence.status import Part
from kiosk.health import free_bytes
from kiosk.selftest_texts import FACE_SEEN, KEYS_DO, Words, do_about, part_name
from kiosk.sensors.beacons import Advertisement, decode_all
from kiosk.sensors.errors import SensorError
from kiosk.terminal.picture import privacy_jpeg
from kiosk.terminal.texts import reason
from kiosk.verify.errors import VerifyError

if TYPE_CHECKING:
    from kiosk.app import Kiosk
    from kiosk.verify.quality import Quality

State = Literal["ok", "doubt", "failed", "absent"]
MOST_BEACONS = 64  # a crowd of phones must not fill the memory
SHOWN_BEACONS = 4
SAMPLES = 20
SLOW_FPS = 8.0  # below it a blink falls between two frames
DARK, BRIGHT = 40.0, 215.0  # mean grey level of the whole picture, of 255: an installer looks for a lamp or a curtain
LOW_DISK_BYTES = 256 << 20
CHECK_OF_PART = {"camera": "face_match", "face": "face_match", "gps": "gps", "beacons": "beacon"}
_WORST_FIRST = ("failed", "doubt", "ok", "absent")  # what needs a hand stands on the first page of the screen
_STATES: dict[str, State] = {
    "working": "ok",
    "degraded": "doubt",
    "unknown": "doubt",
    "failed": "failed",
    "absent": "absent",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One part: how it is, what was seen, what to do (empty where nothing is)."""

    part: str
    state: State
    seen: Words
    do: Words

    @property
    def name(self) -> Words:
        """The part as people call it."""
        return part_name(self.part)


class Selftest:
    """Looks at `kiosk`, which the caller starts after this, so that no beacon is missed, and stops."""

    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk
        self._lock = threading.Lock()  # one look at a face at a time: the detector wants times that rise
        self._beacons: OrderedDict[str, deque[int]] = OrderedDict()
        self._quality: Quality | None = None
        self._looked_us = -1
        self.screen_url: str | None = None  # where this test is shown itself
        if kiosk.hearing.sensor is not None:
            kiosk.hearing.sensor.listen(self._hear)

    def settled(self) -> bool:
        """True when nothing is still warming up."""
        return self._kiosk.placed() and all(part.state != "unknown" for part in self._kiosk.parts().values())

    def lines(self) -> list[Line]:
        """Look at every part now."""
        details: dict[str, Callable[[Part], Line]] = {
            "camera": self._camera,
            "gps": self._gps,
            "beacons": self._heard,
            "journal": self._journal,
            "network": self._network,
            "clock": self._clock,
        }
        parts = self._kiosk.parts()
        lines = []
        for name, part in parts.items():
            try:
                lines.append(details.get(name, lambda one, name=name: _plain(name, one))(part))
            except (SensorError, VerifyError, OSError) as error:
                lines.append(_plain(name, Part(state="failed", reason=f"error: {error}"[:400])))
        lines = [*(self._demanded(line) for line in lines), self._keys(), self._screen()]
        return sorted(lines, key=lambda line: _WORST_FIRST.index(line.state))

    def picture(self) -> bytes | None:
        """The live picture, clear around the face that is looked at only, as on the worker's screen."""
        frame = self._kiosk.eyes.newest if self._kiosk.eyes is not None else None
        if frame is None:
            return None
        return privacy_jpeg(frame.image, self._quality.box if self._quality is not None else None)

    def _camera(self, part: Part) -> Line:
        frame = self._kiosk.eyes.newest if self._kiosk.eyes is not None else None
        if frame is None or self._kiosk.eyes is None:
            return _plain("camera", part)
        fps, light = self._kiosk.eyes.fps, float(frame.image.mean())
        height, width = frame.image.shape[:2]
        code = self._look()
        seen = f"{width}×{height}, {fps:.0f}/s"
        face = FACE_SEEN.get(code) or reason(code).what
        words = Words(f"{seen}，亮度 {light:.0f}，{face.zh}", f"{seen}, light {light:.0f}; {face.en}")
        problem = "slow" if fps < SLOW_FPS else "dark" if light < DARK else "bright" if light > BRIGHT else ""
        state: State = "doubt" if problem else _STATES[part.state]
        return Line("camera", state, words, do_about("camera", problem))

    @property
    def hint(self) -> Words:
        """What whoever stands before the camera should do, so that an installer can try where people will stand."""
        code = self._quality.code if self._quality is not None else "no_models"
        return FACE_SEEN["ok"] if code == "ok" else reason(code).do if code != "no_models" else Words("", "")

    def _look(self) -> str:
        """Say whether the newest picture holds a face that is good enough; `no_models` where nobody can tell."""
        eyes, face = self._kiosk.eyes, self._kiosk._face
        if eyes is None or face is None:
            return "no_models"
        with self._lock:
            frame = eyes.newest
            if frame is not None and frame.mono_us > self._looked_us:
                self._looked_us = frame.mono_us
                self._quality = face.look(frame.mono_us, frame.image)
            return self._quality.code if self._quality is not None else "no_face"

    def _gps(self, part: Part) -> Line:
        gps = self._kiosk._gps
        if gps is None or part.state == "failed":
            return _plain("gps", part)
        reading, sky = gps.reading(), gps.sky()
        strengths = " ".join(f"{name}:{dbhz}" for name, dbhz in sky.items()) or "-"
        fence = {"inside": ("在工地内", "inside the fence"), "outside": ("在工地外", "outside the fence")}
        where_zh, where_en = fence.get(reading.verdict, (reading.verdict, reading.verdict))
        flags = " ".join(reading.flags)
        words = Words(
            f"{len(sky)} 颗卫星，{reading.fixes} 次定位，{where_zh} {flags} [{strengths}]",
            f"{len(sky)} satellites, {reading.fixes} fixes, {where_en} {flags} [{strengths}]",
        )
        state: State = "failed" if reading.verdict == "outside" else _STATES[part.state]
        return Line("gps", state, words, do_about("gps", "" if state == "ok" else reading.verdict))

    def _heard(self, part: Part) -> Line:
        if self._kiosk.hearing.sensor is None or part.state in ("failed", "absent"):
            return _plain("beacons", part)
        anchors = {one.lower() for one in self._kiosk.settings.anchors}
        with self._lock:
            found = [(id_, round(statistics.median(rssi))) for id_, rssi in self._beacons.items()]
        found.sort(key=lambda pair: (pair[0].lower() not in anchors, -pair[1]))
        told = "  ".join(
            f"{'★' if id_.lower() in anchors else '·'}{_short(id_)} {rssi} dBm" for id_, rssi in found[:SHOWN_BEACONS]
        )
        here = sum(id_.lower() in anchors for id_, _ in found)
        words = Words(
            f"{here} 个锚点，共 {len(found)} 个信标  {told}", f"anchors: {here}, beacons: {len(found)}  {told}"
        )
        if not anchors:
            return Line("beacons", "doubt", words, do_about("beacons", "no_anchors"))
        in_range = bool(self._kiosk.hearing.sensor.reading().heard)
        if not in_range:
            return Line("beacons", "failed", words, do_about("beacons", "not_heard"))
        return Line("beacons", _STATES[part.state], words, do_about("beacons", _code(part)))

    def _journal(self, part: Part) -> Line:
        free = free_bytes(self._kiosk.settings.data_dir)
        mib = "?" if free is None else f"{free >> 20}"
        head, unsent = self._kiosk.journal.head.seq, self._kiosk.journal.depth
        words = Words(
            f"第 {head} 条，{unsent} 条未送达，剩余 {mib} MiB", f"event {head}, {unsent} unsent, {mib} MiB free"
        )
        low = free is not None and free < LOW_DISK_BYTES
        state: State = "doubt" if low and part.state == "working" else _STATES[part.state]
        return Line("journal", state, words, do_about("journal", "low_space" if low else _code(part)))

    def _clock(self, part: Part) -> Line:
        stamp = self._kiosk.clock.stamp()
        error = "" if stamp.clock.error_ms is None else f" ±{stamp.clock.error_ms} ms"
        seen = f"{stamp.time}, {stamp.clock.source}{error}"
        return Line("clock", _STATES[part.state], Words(seen, seen), do_about("clock", _code(part)))

    def _network(self, part: Part) -> Line:
        settings = self._kiosk.settings
        pinned, brokers = len(settings.pinned_keys), ", ".join(settings.broker)
        words = Words(f"{brokers}，固定了 {pinned} 把汇集端公钥", f"{brokers}, collector keys pinned: {pinned}")
        if part.state != "working":
            said = part.reason.partition(": ")[2] or part.reason
            words = Words(f"{words.zh}；{said}", f"{words.en}; {said}")
        return Line("network", _STATES[part.state], words, do_about("network", _code(part)))

    def _keys(self) -> Line:
        """The files that nobody else may read."""
        settings = self._kiosk.settings
        files = [settings.key_file, settings.gallery_key_file, *([settings.broker_key] if settings.broker_key else [])]
        modes, exposed = [], False
        for path in files:
            try:
                mode = stat.S_IMODE(path.stat().st_mode)
            except OSError as error:
                modes.append(f"{path.name} {error.strerror}")
                exposed = True
                continue
            exposed = exposed or bool(mode & (stat.S_IRWXG | stat.S_IRWXO))
            modes.append(f"{path.name} {mode:04o}")
        seen = ", ".join(modes) + f", {self._kiosk.key.public.fingerprint}"
        return Line("keys", "failed" if exposed else "ok", Words(seen, seen), KEYS_DO if exposed else Words("", ""))

    def _demanded(self, line: Line) -> Line:
        """Call a part failed that is not there although no punch can be verified without it."""
        policy = self._kiosk.policy
        demands = [demand for method in policy.methods() if (demand := policy.demand(method)) is not None]
        check = CHECK_OF_PART.get(line.part)
        if line.state != "absent" or not any(check in demand.required for demand in demands):
            return line
        return Line(line.part, "failed", line.seen, do_about(line.part, "demanded"))

    def _screen(self) -> Line:
        """The port on which the worker's page is served."""
        settings = self._kiosk.settings
        if self.screen_url is not None:
            return Line("screen", "ok", Words(self.screen_url, self.screen_url), Words("", ""))
        where = f"{settings.screen_host}:{settings.screen_port}"
        try:
            family = socket.AF_INET6 if ":" in settings.screen_host else socket.AF_INET
            socket.create_server((settings.screen_host, settings.screen_port), family=family).close()
        except OSError as error:
            taken = f"{where}: {error.strerror}"
            return Line("screen", "failed", Words(taken, taken), do_about("screen", "port_taken"))
        return Line("screen", "ok", Words(f"{where} 空闲", f"{where} is free"), Words("", ""))

    def _hear(self, advertisement: Advertisement) -> None:
        for beacon in decode_all(advertisement):
            if beacon.telemetry is not None:
                continue
            with self._lock:
                self._beacons.setdefault(beacon.id, deque(maxlen=SAMPLES)).append(advertisement.rssi)
                self._beacons.move_to_end(beacon.id)
                if len(self._beacons) > MOST_BEACONS:
                    self._beacons.popitem(last=False)


def failed_to_start(error: Exception) -> list[Line]:
    """The one line of a terminal that could not even be put together."""
    code = getattr(error, "code", "error")
    part = "keys" if code.startswith("key_file") else "journal" if code.startswith("journal") else "terminal"
    return [_plain(part, Part(state="failed", reason=f"{code}: {error}"[:400]))]


def wait_until_settled(test: Selftest, patience_s: float, over: threading.Event) -> None:
    """Return when everything has warmed up, or when it has had long enough, or on `over`."""
    deadline = time.monotonic() + patience_s
    while not test.settled() and time.monotonic() < deadline and not over.wait(0.25):
        pass


def all_well(lines: list[Line]) -> bool:
    """True if nothing failed: a doubt and a part that is not there leave the terminal usable."""
    return bool(lines) and all(line.state != "failed" for line in lines)


def _plain(name: str, part: Part) -> Line:
    said = part.reason.partition(": ")[2] or part.reason
    if not said:
        words = Words("正常", "working") if part.state == "working" else Words("没有配置", "not configured")
    else:
        words = Words(said, said)
    return Line(name, _STATES[part.state], words, do_about(name, _code(part)))


def _code(part: Part) -> str:
    return "" if part.state == "working" else part.reason.partition(":")[0] or part.state


def _short(beacon: str) -> str:
    kind, _, rest = beacon.partition(":")
    return beacon if len(rest) <= 20 else f"{kind}:{rest[:4]}…{rest[-6:]}"
