"""What an installer at the site wants to know: each part of the terminal, what is seen of it and what to do.

Runs on a terminal of its own (the service is stopped meanwhile), and looks at whatever parts that terminal reports, so
that a new part has a line without a change here; some have more to tell than their state.
"""

from __future__ import annotations

import socket
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog

from evidence.status import Part
from kiosk.health import free_bytes
from kiosk.selftest_air import Bar, Ear, Heard, beacon_bars, satellite_bars
from kiosk.selftest_texts import FACE_SEEN, FLAGS, KEYS_DO, Words, do_about, part_name, what_is
from kiosk.sensors.gps_sky import Satellite
from kiosk.terminal.picture import privacy_jpeg
from kiosk.terminal.texts import reason
from kiosk.verify.errors import GalleryError

if TYPE_CHECKING:
    from kiosk.app import Kiosk
    from kiosk.verify.quality import Quality

log = structlog.get_logger(__name__)

State = Literal["ok", "doubt", "failed", "absent"]
SLOW_FPS = 8.0  # below it a blink falls between two frames
DARK, BRIGHT = 40.0, 215.0  # mean grey level of the whole picture, of 255: an installer looks for a lamp or a curtain
LOW_DISK_BYTES = 256 << 20
KEY_FILES, SCREEN = "key_files", "screen"  # lines of the self-test's own; "keys" is how the terminal keeps its keys
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
    """One part: how it is, what was seen, what to do (empty where nothing is), and what the screen draws beside it."""

    part: str
    state: State
    seen: Words
    do: Words
    bars: tuple[Bar, ...] = ()

    @property
    def name(self) -> Words:
        """The part as people call it."""
        return part_name(self.part)


class Selftest:
    """Looks at `kiosk`, which the caller starts after this, so that no beacon is missed, and stops."""

    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk
        self._lock = threading.Lock()  # one look at a face at a time: the detector wants times that rise
        self._ear = Ear(kiosk.settings.anchors)
        self._quality: Quality | None = None
        self._looked_us = -1
        self.screen_url: str | None = None  # where this test is shown itself
        if kiosk.hearing.sensor is not None:
            kiosk.hearing.sensor.listen(self._ear.sighted)
        kiosk.try_lamps()

    def settled(self) -> bool:
        """True when nothing is still warming up."""
        return (
            self._kiosk.placed()
            and self._kiosk.lamps_tried()
            and all(part.state != "unknown" for part in self._kiosk.parts().values())
        )

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
        lines = []
        for name, part in self._kiosk.parts().items():
            detail = details.get(name, partial(_plain, name))
            lines.append(_guarded(name, partial(self._line, detail, part)))
        lines += [_guarded(KEY_FILES, self._key_files), _guarded(SCREEN, self._screen)]
        return sorted(lines, key=lambda line: _WORST_FIRST.index(line.state))

    def _line(self, detail: Callable[[Part], Line], part: Part) -> Line:
        return self._demanded(detail(part))

    def beacons(self) -> list[Heard]:
        """Every beacon that was heard since the start, strongest first, with its whole id."""
        return self._ear.heard()

    def sky(self) -> tuple[Satellite, ...]:
        """Every satellite in view, strongest first; none where there is no receiver."""
        gps = self._kiosk._gps
        return () if gps is None else gps.sky()

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
        if part.state == "failed":  # a frozen picture is bright and fresh, too
            return Line("camera", "failed", words, do_about("camera", _code(part)))
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
        bars = satellite_bars(sky)
        fence = {"inside": ("在工地内", "inside the fence"), "outside": ("在工地外", "outside the fence")}
        said = what_is("gps", reading.verdict)
        where = Words(*fence[reading.verdict]) if reading.verdict in fence else said
        signs = [FLAGS.get(flag, Words(flag, flag)) for flag in reading.flags]
        zh = [f"收到 {len(bars)} 颗卫星，可见 {len(sky)} 颗", f"{reading.fixes} 次定位", where.zh]
        en = [f"{len(bars)} of {len(sky)} satellites heard", f"{reading.fixes} fixes", where.en]
        words = Words("，".join([*zh, *(one.zh for one in signs)]), ", ".join([*en, *(one.en for one in signs)]))
        judged: dict[str, State] = {"outside": "failed", "still": "doubt"}
        state = judged.get(reading.verdict, _STATES[part.state])
        code = reading.verdict if reading.verdict in judged else _code(part)
        return Line("gps", state, words, do_about("gps", code), bars)

    def _heard(self, part: Part) -> Line:
        if self._kiosk.hearing.sensor is None or part.state in ("failed", "absent"):
            return _plain("beacons", part)
        found = self.beacons()
        here, bars = sum(one.anchor is not None for one in found), beacon_bars(found)
        words = Words(f"{here} 个锚点，共 {len(found)} 个信标", f"anchors: {here}, beacons: {len(found)}")
        if not self._kiosk.settings.anchors:
            return Line("beacons", "doubt", words, do_about("beacons", "no_anchors"), bars)
        in_range = bool(self._kiosk.hearing.sensor.reading().heard)
        if not in_range:
            return Line("beacons", "failed", words, do_about("beacons", "not_heard"), bars)
        return Line("beacons", _STATES[part.state], words, do_about("beacons", _code(part)), bars)

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
        pinned, brokers = len(settings.pinned_keys), ", ".join(settings.broker) or str(settings.collector_url)
        words = Words(f"{brokers}，固定了 {pinned} 把考勤中心公钥", f"{brokers}, collector keys pinned: {pinned}")
        if part.state != "working":
            said = _said("network", part)
            words = Words(f"{words.zh}；{said.zh}", f"{words.en}; {said.en}")
        return Line("network", _STATES[part.state], words, do_about("network", _code(part)))

    def _key_files(self) -> Line:
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
        return Line(KEY_FILES, "failed" if exposed else "ok", Words(seen, seen), KEYS_DO if exposed else Words("", ""))

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
            return Line(SCREEN, "ok", Words(self.screen_url, self.screen_url), Words("", ""))
        where = f"{settings.screen_host}:{settings.screen_port}"
        try:
            family = socket.AF_INET6 if ":" in settings.screen_host else socket.AF_INET
            socket.create_server((settings.screen_host, settings.screen_port), family=family).close()
        except OSError as error:
            taken = f"{where}: {error.strerror}"
            return Line(SCREEN, "failed", Words(taken, taken), do_about(SCREEN, "port_taken"))
        return Line(SCREEN, "ok", Words(f"{where} 空闲", f"{where} is free"), Words("", ""))


def failed_to_start(error: Exception) -> list[Line]:
    """The one line of a terminal that could not even be put together."""
    code = "gallery" if isinstance(error, GalleryError) else getattr(error, "code", "error")
    part = KEY_FILES if code.startswith("key_file") else "journal" if code.startswith("journal") else "terminal"
    return [_plain(part, Part(state="failed", reason=f"{code}: {error}"[:400]))]


def wait_until_settled(test: Selftest, patience_s: float, over: threading.Event) -> None:
    """Return when everything has warmed up, or when it has had long enough, or on `over`."""
    deadline = time.monotonic() + patience_s
    while not test.settled() and time.monotonic() < deadline and not over.wait(0.25):
        pass


def all_well(lines: list[Line]) -> bool:
    """True if nothing failed: a doubt and a part that is not there leave the terminal usable."""
    return bool(lines) and all(line.state != "failed" for line in lines)


def _guarded(name: str, look: Callable[[], Line]) -> Line:
    """One part's line; whatever its look raises becomes that line and takes no other with it."""
    try:
        return look()
    except Exception as error:
        log.exception("selftest_part_failed", part=name)
        return _plain(name, Part(state="failed", reason=f"error: {type(error).__name__}: {error}"[:400]))


def _plain(name: str, part: Part) -> Line:
    return Line(name, _STATES[part.state], _said(name, part), do_about(name, _code(part)))


def _said(name: str, part: Part) -> Words:
    """The part's own word; it is English, so that in Chinese what its code means stands before it."""
    if not part.reason:
        working = part.state == "working"
        return Words("正常", "working") if working else what_is(name, part.state)
    code, _, said = part.reason.partition(": ")
    known = what_is(name, code)
    return Words(f"{known.zh}：{said}" if said else known.zh, said or known.en)


def _code(part: Part) -> str:
    code = "" if part.state == "working" else part.reason.partition(":")[0] or part.state
    # What is switched off and degraded is still being erased; what is switched off and absent wants nothing.
    return "absent" if (part.state, code) == ("absent", "switched_off") else code
