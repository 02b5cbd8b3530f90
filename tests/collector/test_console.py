"""The console in a real browser, against a real collector process and a real broker."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from collector.auth.service import Scope
from collector.devices.service import NewDevice
from collector.identity import load_or_create_keys
from collector.people.service import NewWorker
from collector.services import build_services, open_database
from collector.settings import load_settings
from collector.sites.service import NewSite
from evidence.topics import Leaf
from tests.collector.process import CollectorProcess
from tests.collector.terminal import Terminal
from tests.collector.wire import Wire, connected
from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.browser

WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}


@dataclass
class Scene:
    """A collector with three terminals: one well, one in trouble, one never heard of."""

    collector: CollectorProcess
    wire: Wire
    terminal: Terminal
    key: str


def health(terminal: Terminal, **parts: tuple[str, str]) -> bytes:
    well = {"camera": ("working", ""), "journal": ("working", ""), "network": ("working", "")}
    return json.dumps(
        {
            "device": terminal.device,
            "site": terminal.site,
            "time": terminal.now(),
            "software": "1.0",
            "uptime_s": 7,
            "unsent": 3 if parts else 0,
            "parts": {name: {"state": s, "reason": r} for name, (s, r) in (well | parts).items()},
        }
    ).encode()


def online(terminal: Terminal, state: str = "online") -> bytes:
    said = {"device": terminal.device, "site": terminal.site, "state": state, "time": terminal.now()}
    return json.dumps(said).encode()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("console")
    broker = Mosquitto(folder).start()
    data = folder / "data"
    well, ill, new = Terminal(), Terminal("gate-2"), Terminal("storage-3")
    settings = load_settings(data=data)
    database = open_database(settings)
    services = build_services(settings, database, load_or_create_keys(settings.keys_path))
    services.sites.add(NewSite(name="east", title="浦东东门工地", tz="Asia/Shanghai"))
    for terminal in (well, ill, new):
        services.devices.add(NewDevice(name=terminal.device, site="east", key=terminal.key.public.text()))
    services.people.add(NewWorker(code="E001", name="王小明"))
    _, key = services.api_keys.create("site office", Scope.READ)
    database.close()
    collector = CollectorProcess(data, broker.port).start()
    with connected(well, broker.port) as wire:
        for terminal in (well, ill):
            wire.client.publish(terminal.topic(Leaf.STATUS), online(terminal), qos=1, retain=True)
        wire.client.publish(well.topic(Leaf.HEALTH), health(well), qos=1)
        trouble = ("failed", "camera_stalled: no new picture for 12 s")
        wire.client.publish(ill.topic(Leaf.HEALTH), health(ill, camera=trouble), qos=1)
        wire.send(well.enrol(), well.punch(), well.punch(verdict="review"), well.punch(None, "refused"))
        wire.send(b"garbage")
        yield Scene(collector, wire, well, key)
    assert collector.stop() == 0
    broker.stop()


def open_console(browser: Browser, scene: Scene, size: dict[str, int], locale: str) -> Page:
    page = browser.new_context(viewport=size, locale=locale).new_page()
    page.goto(scene.collector.url)
    page.wait_for_url("**/login")
    page.fill("#key", scene.key)
    page.click("button[type=submit]")
    page.wait_for_url(f"{scene.collector.url}/")
    page.wait_for_selector(".zg-row:not(.head)")
    return page


def shot(page: Page, name: str) -> None:
    """Keep a picture where somebody asks for it."""
    folder = os.environ.get("ZAIGANG_SCREENSHOTS")
    if folder:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def fits(page: Page) -> bool:
    """Nothing sticks out to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize(("size", "locale"), [(WIDE, "en-GB"), (WIDE, "zh-CN"), (NARROW, "en-GB"), (NARROW, "zh-CN")])
def test_terminals_and_punches_are_seen_in_both_languages_on_both_screens(
    browser: Browser, scene: Scene, size: dict[str, int], locale: str
) -> None:
    page = open_console(browser, scene, size, locale)
    chinese = locale == "zh-CN"
    expect(page.get_by_text("部分功能异常" if chinese else "Reduced functionality", exact=True)).to_be_visible()
    expect(page.get_by_text("检查摄像头排线" if chinese else "check the camera's cable")).to_be_visible()
    expect(page.get_by_text("已核实" if chinese else "Verified", exact=True).first).to_be_visible()
    expect(page.locator(".zg-sum").nth(3)).to_contain_text("1")
    assert fits(page)
    shot(page, f"overview-{size['width']}-{locale}")
    page.locator("a.zg-row").first.click()
    expect(page.get_by_text("人脸比对" if chinese else "Face match", exact=True)).to_be_visible()
    assert fits(page)
    shot(page, f"punch-{size['width']}-{locale}")


def test_a_punch_appears_by_itself_within_two_seconds_of_its_receipt(browser: Browser, scene: Scene) -> None:
    page = open_console(browser, scene, WIDE, "en-GB")
    before = page.locator("a.zg-row").count()
    scene.wire.send(scene.terminal.punch("E777", log_type="OUT"))
    started = time.monotonic()
    expect(page.get_by_text("E777")).to_be_visible(timeout=10_000)
    assert page.locator("a.zg-row").count() == before + 1
    print(f"seen after {time.monotonic() - started:.2f} s")


def test_the_language_changes_on_every_screen_and_stays(browser: Browser, scene: Scene) -> None:
    page = browser.new_context(viewport=WIDE, locale="zh-CN").new_page()
    page.goto(f"{scene.collector.url}/login")
    expect(page.get_by_role("button", name="登录")).to_be_visible()
    shot(page, "login-zh")
    page.get_by_text("English").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.fill("#key", scene.key)
    page.click("button[type=submit]")
    expect(page.get_by_text("Latest punches")).to_be_visible()
    page.locator("a.zg-row").first.click()
    page.get_by_text("中文", exact=True).click()
    expect(page.get_by_text("检查项")).to_be_visible()


def test_no_page_without_a_session(browser: Browser, scene: Scene) -> None:
    page = browser.new_context().new_page()
    for path in ("/", "/punches/1"):
        page.goto(scene.collector.url + path)
        assert page.url.endswith("/login")


def test_a_wrong_key_is_told_and_opens_nothing(browser: Browser, scene: Scene) -> None:
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(f"{scene.collector.url}/login")
    page.fill("#key", scene.key[:-2] + "xx")
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("unknown or revoked")
    page.goto(scene.collector.url)
    assert page.url.endswith("/login")


def test_the_pages_load_nothing_from_elsewhere(browser: Browser, scene: Scene) -> None:
    context = browser.new_context(viewport=WIDE)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(f"{scene.collector.url}/docs")
    page.wait_for_selector(".opblock")
    page.goto(f"{scene.collector.url}/login")
    page.fill("#key", scene.key)
    page.click("button[type=submit]")
    page.wait_for_selector(".zg-row")
    elsewhere = [url for url in asked if not url.startswith((scene.collector.url, "data:", "blob:"))]
    assert elsewhere == []
