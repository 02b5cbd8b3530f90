"""A worker at the real terminal's page: taps, answers, takes the receipt; HR sees the punch appear in the console."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from evidence.keys import PublicKey
from evidence.receipt import PunchReceipt
from tests.support.mosquitto import Mosquitto
from tests.support.qr import read_by_any
from zaigang.demo.programs import wait_for
from zaigang.demo.world import PUNCH_S, START_S, TRIES, World


@pytest.mark.browser
@pytest.mark.timeout(400)
def test_a_tap_on_the_screen_becomes_a_receipt_in_the_hand_and_a_row_in_the_console(
    tmp_path: Path, mosquitto: Mosquitto, browser: Browser
) -> None:
    world = World(tmp_path, mqtt_port=mosquitto.port)
    try:
        world.start()
        world.enrol()
        console = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB").new_page()
        console.goto(world.addresses["console 控制台"])
        console.fill("#key", world.console_key)
        console.click("button[type=submit]")
        expect(console.get_by_text("gate-1").first).to_be_visible(timeout=30_000)

        screen = browser.new_context(viewport={"width": 800, "height": 480}, device_scale_factor=2).new_page()
        address = world.addresses["terminal screen 终端屏幕"] + "?lang=zh"
        wait_for("the camera", lambda: world.view()["face_available"], START_S)
        for _ in range(TRIES):
            screen.goto(address)
            screen.get_by_text("上班").first.click()
            result = wait_for("a result", lambda: world.view()["result"], PUNCH_S)
            if result["verdict"] == "verified":
                break
            world.terminal.ask(do="dismiss")
        expect(screen.get_by_text("打卡成功")).to_be_visible(timeout=10_000)
        expect(screen.get_by_text("王芳")).to_be_visible()
        picture = cv2.imdecode(np.frombuffer(screen.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        text = next(text for text in read_by_any(picture) if text)
        receipt = PunchReceipt.verify(text, PublicKey.parse(world.terminal.ask(do="key")["key"]))
        stored = world.stored(result["receipt_code"])
        assert (receipt.seq, receipt.hash) == (stored["seq"], stored["envelope"]["hash"])

        expect(console.get_by_text("W-1001")).to_be_visible(timeout=30_000)
        expect(console.get_by_text("Verified", exact=True).first).to_be_visible()
    finally:
        world.stop()
