"""The self-test of a terminal at its site: as the command, as JSON, and on the screen in Chromium."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser

from evidence.status import Part
from kiosk.app import Kiosk
from kiosk.selftest import Line, Selftest, all_well, wait_until_settled
from kiosk.selftest_texts import HEADINGS, PARTS, STATES, do_about, part_name
from kiosk.settings import KioskSettings
from kiosk.settings_tables import EnclosureSettings
from kiosk.terminal.texts import LANGUAGES
from tests.kiosk.test_app import ANCHOR, COLLECTOR, LATITUDE, LONGITUDE
from tests.support.gpio import Pins
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.waiting import until
from zaigang.demo.scene import beacon_recording
from zaigang.synthetic_gps import PtyGps, standing_still

CLIP_S = 90  # longer than any of these tests looks at it on a busy machine
OFFSET_DEG = 0.1  # some 11 km


class Site:
    """Settings of a terminal and what stands behind them."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.folder, self.json = folder, folder / "selftest.json"
        clip = folder / "clip.avi"
        writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 25, (640, 480))
        for _ in range(CLIP_S * 25):
            writer.write(np.full((480, 640, 3), 120, np.uint8))
        writer.release()
        (folder / "beacons.jsonl").write_text(beacon_recording())
        self.gps = PtyGps(standing_still(LATITUDE, LONGITUDE, seconds_before=25), at_once=25).start()
        self.settings: dict[str, Any] = {
            "device": "gate-1",
            "site": "east",
            "data_dir": str(folder / "data"),
            "broker": [broker],
            "collector_keys": [COLLECTOR.public.text()],
            "camera": f"file:{clip}",
            "gps_port": self.gps.port,
            "beacons": f"file:{folder / 'beacons.jsonl'}",
            "anchors": [ANCHOR],
            "profile": "demo",
            "screen_port": free_port(),
        }
        self.fence = (LATITUDE, LONGITUDE)

    def start(self, *options: str, **changes: Any) -> subprocess.Popen[str]:
        given = {name: value for name, value in (self.settings | changes).items() if value is not None}
        latitude, longitude = self.fence
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
        lines.append(f"fence = {{ latitude = {latitude}, longitude = {longitude}, radius_m = 100 }}")
        (self.folder / "kiosk.toml").write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "zaigang.cli", "kiosk", "selftest", "--config", self.folder / "kiosk.toml"]
        return subprocess.Popen(
            [*map(str, command), "--json", str(self.json), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "160"},
        )

    def run(self, *options: str, **changes: Any) -> tuple[int, dict[str, dict[str, str]], str]:
        """Return exit status, lines by part, and what the console said."""
        process = self.start(*options, **changes)
        out, _ = process.communicate(timeout=120)
        return process.returncode, self.lines(), out

    def lines(self) -> dict[str, dict[str, str]]:
        told = json.loads(self.json.read_text())
        assert told["ok"] == all(line["state"] != "failed" for line in told["lines"])
        return {line["part"]: line for line in told["lines"]}


@pytest.fixture
def site(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Site]:
    one = Site(tmp_path, f"mqtt://127.0.0.1:{mosquitto.port}")
    yield one
    one.gps.unplug()


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_terminal_that_works_says_what_it_sees_and_exits_with_zero(site: Site) -> None:
    status, lines, out = site.run("--language", "en")
    assert status == 0, out
    assert {"camera", "face", "gps", "beacons", "clock", "journal", "network", "keys", "screen"} <= set(lines)
    told = json.loads(site.json.read_text())
    assert len(told["lines"]) == len(lines), "two lines have one name"
    assert "640×480" in lines["camera"]["seen"]
    assert "inside the fence" in lines["gps"]["seen"]
    assert "9 of 9 satellites heard" in lines["gps"]["seen"]
    assert lines["beacons"]["seen"] == "anchors: 1, beacons: 2"
    near, far = told["beacons"]
    assert (near["id"], near["anchor"], far["anchor"]) == (ANCHOR, ANCHOR, None)  # as the settings take it
    assert -60 < near["rssi_dbm"] <= -50 and far["rssi_dbm"] == -84
    satellites = told["sky"]["satellites"]
    assert len(satellites) == 9
    assert satellites == sorted(satellites, key=lambda one: -one["snr"])
    for one in satellites:
        assert re.fullmatch(r"GP\d\d", one["id"]) and 0 <= one["elevation"] <= 90 and 0 <= one["azimuth"] < 360
    console = " ".join(out.split())
    assert "GP02:" in console and "-84 dBm" in console
    assert "collector keys pinned: 1" in lines["network"]["seen"]
    assert "terminal.pem 0600" in lines["key_files"]["seen"]
    assert "Beacons" in out
    assert not any(line["do"] for line in lines.values() if line["state"] == "ok")


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("network", {"broker": ["mqtt://127.0.0.1:9"]}),
        ("network", {"collector_keys": []}),
        ("camera", {"camera": "file:/nowhere.mp4"}),
        ("gps", {"gps_port": "/dev/nowhere"}),
        ("gps", {"gps_port": None}),  # the site's policy demands a position
        ("beacons", {"beacons": "none"}),
        ("beacons", {"anchors": ["ibeacon:00000000-0000-0000-0000-0000000000ff:1:1"]}),
    ],
)
def test_what_fails_is_named_with_what_to_do_and_the_exit_status_is_one(
    site: Site, part: str, changes: dict[str, Any]
) -> None:
    status, lines, out = site.run("--language", "zh", "--seconds", "8", **changes)
    assert status == 1, out
    assert lines[part]["state"] == "failed"
    assert re.search("[一-鿿]", lines[part]["do"])
    assert next(iter(lines)) in {line["part"] for line in lines.values() if line["state"] == "failed"}  # on top


def test_a_position_outside_the_fence_fails(site: Site) -> None:
    site.fence = (LATITUDE + OFFSET_DEG, LONGITUDE)
    status, lines, out = site.run("--language", "en")
    assert (status, lines["gps"]["state"]) == (1, "failed"), out
    assert "fence" in lines["gps"]["do"]


def test_a_key_that_others_may_read_is_said_and_nothing_else_is_tried(site: Site) -> None:
    site.run("--seconds", "1")
    (site.folder / "data" / "terminal.pem").chmod(0o644)
    status, lines, _ = site.run("--language", "en", "--seconds", "1")
    assert (status, list(lines)) == (1, ["key_files"])
    assert "chmod 600" in lines["key_files"]["do"]


def test_a_damaged_gallery_is_a_line_with_what_to_do(site: Site) -> None:
    site.run("--seconds", "1")
    (site.folder / "data" / "gallery.db").write_bytes(b"not a gallery" * 1000)
    status, lines, out = site.run("--language", "en", "--seconds", "1")
    assert (status, list(lines)) == (1, ["terminal"]), out
    assert "enrol again" in lines["terminal"]["do"]


@pytest.mark.browser
def test_the_screen_shows_the_live_picture_and_every_line_at_800_by_480(site: Site, browser: Browser) -> None:
    with ended(site.start("--screen", broker=["mqtt://127.0.0.1:9"])) as process:
        assert process.stderr is not None
        url = next(line.strip() for line in process.stderr if line.startswith("http"))
        for language in LANGUAGES:
            page = browser.new_page(viewport={"width": 800, "height": 480})
            errors: list[str] = []
            page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            page.goto(f"{url}?lang={language}", wait_until="domcontentloaded")
            page.wait_for_selector(".selftest[data-parts]")
            page.wait_for_selector('[data-part="network"][data-state="failed"]', state="attached")
            page.wait_for_function("document.querySelector('.eye img').naturalWidth == 640")
            assert HEADINGS["unwell"][language] == page.inner_text(".verdict")
            # At once: the page draws its rows anew whenever one of them changes.
            rows = page.eval_on_selector_all(
                ".row",
                """rows => rows.map(row => ({part: row.dataset.part, state: row.dataset.state,
                    name: row.querySelector(".part").innerText, right: row.getBoundingClientRect().right,
                    bottom: row.getBoundingClientRect().bottom}))""",
            )
            assert rows[0]["state"] == "failed"
            for row in rows:
                assert row["name"] == part_name(row["part"])[language]
                assert row["right"] <= 800, row
                assert row["bottom"] <= 480, f"{row['part']} is below the edge"
            wide = "[...document.querySelectorAll('.row *')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
            assert page.evaluate(wide) == 0, "a word is cut"
            assert errors == []
            page.close()


def test_a_part_that_this_version_does_not_know_has_a_line_all_the_same() -> None:
    from kiosk.selftest import _plain

    line = _plain("radar", Part(state="failed", reason="no_echo: the dish is gone"))
    assert (line.name.en, line.state, line.seen.en) == ("radar", "failed", "the dish is gone")
    assert line.do.zh
    assert not all_well([line])


def test_whatever_a_part_raises_is_that_part_s_line_and_the_others_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = KioskSettings(device="gate-1", site="east", data_dir=tmp_path / "t", profile="badge-only")
    with Kiosk(settings, screen=False) as kiosk:
        test = Selftest(kiosk)
        healthy = {line.part for line in test.lines()}

        def broken(*_: object) -> Any:
            raise RuntimeError("a library's own error")

        monkeypatch.setattr(kiosk.clock, "stamp", broken)  # while the parts are asked, and while one is looked at
        monkeypatch.setattr(type(kiosk.hearing), "presence_state", property(broken))
        monkeypatch.setattr(test, "_journal", broken)
        monkeypatch.setattr(type(kiosk.key.public), "fingerprint", property(broken))
        lines = {line.part: line for line in test.lines()}
        assert set(lines) == healthy
        for part in ("clock", "presence", "journal", "key_files"):
            assert lines[part].state == "failed" and "a library's own error" in lines[part].seen.en, lines[part]
            assert lines[part].do.zh and lines[part].do.en
        assert lines["screen"].state == "ok"


def test_a_camera_that_failed_while_its_last_picture_is_bright_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose picture has frozen: the newest looks like any other."""
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 25, (640, 480))
    for _ in range(250):
        writer.write(np.full((480, 640, 3), 120, np.uint8))
    writer.release()
    settings = KioskSettings(
        device="gate-1", site="east", data_dir=tmp_path / "t", profile="indoor", camera=f"file:{clip}"
    )
    with Kiosk(settings, screen=False) as kiosk:
        assert kiosk.eyes is not None
        until(lambda: kiosk.eyes.newest, "a picture")  # type: ignore[union-attr]
        stalled = Part(state="failed", reason="camera_stalled: the picture does not change any more")
        monkeypatch.setattr(type(kiosk.eyes), "state", property(lambda _: stalled))
        line = next(line for line in Selftest(kiosk).lines() if line.part == "camera")
    assert line.state == "failed"
    assert "Replug" in line.do.en
    assert not all_well([line])


@pytest.mark.parametrize("wired", [True, False])
def test_the_installer_sees_the_lamp_and_reads_of_pins_that_cannot_be_driven(tmp_path: Path, wired: bool) -> None:
    pins = Pins()
    if not wired:
        pins.failing = OSError("no /dev/gpiochip0")
    settings = KioskSettings(
        device="gate-1",
        site="east",
        data_dir=tmp_path / "t",
        profile="badge-only",
        enclosure=EnclosureSettings(green_pin=22, buzzer_pin=24),
    )
    kiosk = Kiosk(settings, screen=False, pins=pins)
    test = Selftest(kiosk)
    assert not test.settled()
    with kiosk:
        if wired:
            until(lambda: pins.pin(22).state, "the green lamp")
        wait_until_settled(test, 20, threading.Event())
        line = next(line for line in test.lines() if line.part == "enclosure")
        if wired:
            assert line.state in ("ok", "absent")
        else:
            assert line.state == "doubt"
            assert "gpiochip0" in line.seen.en
            assert "wiring" in line.do.en


def test_nothing_seen_is_not_well() -> None:
    assert not all_well([])
    assert all_well([Line("camera", "doubt", do_about("camera", "dark"), do_about("camera", "dark"))])


def test_every_word_is_there_in_both_languages() -> None:
    for table in (PARTS, STATES, HEADINGS):
        for words in table.values():
            assert re.search("[一-鿿]", words.zh)
            assert words.en
