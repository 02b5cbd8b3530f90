"""The console makes a code that a terminal reads off the screen, shows its fingerprint, and lets it in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from collector.auth.service import Scope
from collector.identity import load_or_create_keys
from collector.services import Services, build_services, open_database
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.statements.search import StatementFilters
from evidence.provisioning import ClaimCode
from kiosk.errors import JoinDenied
from kiosk.provisioning import JoinedNow, join
from kiosk.qr_reading import read_qr
from kiosk.terminal_key import TerminalKey
from tests.collector.process import CollectorProcess
from tests.support.layout import layout_problems
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port

pytestmark = pytest.mark.browser


@dataclass
class Console:
    """A collector process that serves HTTPS, and keys to it."""

    process: CollectorProcess
    services: Services
    writer: str
    reader: str

    @property
    def url(self) -> str:
        return f"https://localhost:{self.process.port}"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder, port = tmp_path_factory.mktemp("joining"), free_port()
    broker = Mosquitto(folder).start()
    settings = load_settings(data=folder / "data")
    database = open_database(settings)
    services = build_services(settings, database, load_or_create_keys(settings.keys_path))
    services.sites.add(NewSite(name="east", title="浦东东门工地", tz="Asia/Shanghai"))
    _, writer = services.api_keys.create("site office", Scope.WRITE)
    _, reader = services.api_keys.create("hr", Scope.READ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZAIGANG_COLLECTOR_HTTPS", "true")
        patch.setenv("ZAIGANG_COLLECTOR_PUBLIC_URL", f"https://localhost:{port}")
        patch.setenv("ZAIGANG_COLLECTOR_PUBLIC_BROKERS", json.dumps(["mqtts://localhost:8883"]))
        process = CollectorProcess(settings.data, broker.port, port).start()
    yield Console(process, services, writer, reader)
    assert process.stop() == 0
    broker.stop()
    database.close()


def opened(browser: Browser, console: Console, key: str, locale: str = "en-GB", width: int = 1440) -> Page:
    size = {"width": width, "height": 900}
    page = browser.new_context(viewport=size, locale=locale, ignore_https_errors=True).new_page()
    page.goto(f"{console.url}/joining")
    page.wait_for_url("**/login")
    page.fill("#key", key)
    page.click("button[type=submit]")
    page.wait_for_url(f"{console.url}/")
    page.get_by_text("添加终端" if locale == "zh-CN" else "Add a terminal").click()
    page.wait_for_url("**/joining")
    return page


def make_code(page: Page, name: str, folder: Path) -> ClaimCode:
    """Have a code made and read it as a camera would: off the screen."""
    page.get_by_label("Terminal's name").fill(name)
    page.get_by_role("button", name="Make a code").click()
    page.locator(".zg-code svg").screenshot(path=folder / f"{name}.png")
    code = ClaimCode.parse(read_qr(folder / f"{name}.png"))
    assert page.locator(".zg-code-text").inner_text() == code.text()
    return code


def asking(code: ClaimCode, folder: Path) -> tuple[ThreadPoolExecutor, TerminalKey, object]:
    pool, key = ThreadPoolExecutor(1), TerminalKey(folder / "terminal.pem")
    return pool, key, pool.submit(join, code, folder, key, check_dates=True, show=lambda _: None, patience_s=60)


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("ZAIGANG_SCREENSHOTS"):
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_terminal_reads_the_code_off_the_screen_and_is_let_in(
    browser: Browser, console: Console, tmp_path: Path
) -> None:
    page = opened(browser, console, console.writer)
    code = make_code(page, "gate-1", tmp_path)
    pool, key, future = asking(code, tmp_path / "terminal")
    with pool:
        expect(page.get_by_text(key.public.fingerprint)).to_be_visible(timeout=20_000)
        shot(page, "joining-en")
        assert not console.services.devices.all()
        page.get_by_role("button", name="Same fingerprint: approve").click()
        expect(page.get_by_text("joined", exact=True)).to_be_visible()
        done = future.result(30)  # type: ignore[attr-defined]
    assert isinstance(done, JoinedNow)
    assert [one.name for one in console.services.devices.all()] == ["gate-1"]
    assert console.services.joining.requests()[0].decided_by == "site office"
    (stated,) = console.services.statements.search(StatementFilters(kind="device.approved"), None, 5).items
    assert stated.event is not None
    assert (stated.event.body["device"], stated.event.body["by"]) == ("gate-1", "site office")
    assert stated.event.body["key"] == key.public.text()
    added = [one for one in console.services.statements.audit(None, 50) if one.action == "devices.added"]
    assert [(one.target, one.who.partition(":")[0]) for one in added] == [("gate-1", "console")]


def test_a_terminal_is_refused_on_the_screen(browser: Browser, console: Console, tmp_path: Path) -> None:
    page = opened(browser, console, console.writer)
    pool, _, future = asking(make_code(page, "gate-2", tmp_path), tmp_path / "terminal")
    with pool:
        page.get_by_role("button", name="Refuse").click(timeout=20_000)
        with pytest.raises(JoinDenied):
            future.result(30)  # type: ignore[attr-defined]
    expect(page.get_by_text("refused", exact=True)).to_be_visible()


def test_who_may_only_look_makes_no_code_and_decides_nothing(
    browser: Browser, console: Console, tmp_path: Path
) -> None:
    code = make_code(opened(browser, console, console.writer), "gate-3", tmp_path)
    page = opened(browser, console, console.reader)
    expect(page.get_by_text("This key may only look. To act")).to_be_visible()
    pool, key, future = asking(code, tmp_path / "terminal")
    with pool:
        expect(page.get_by_text(key.public.fingerprint)).to_be_visible(timeout=20_000)
        assert page.get_by_role("button", name="approve").count() == 0
        assert page.get_by_role("button", name="Make a code").count() == 0
        console.services.joining.deny("gate-3", "me")
        with pytest.raises(JoinDenied):
            future.result(30)  # type: ignore[attr-defined]


def test_a_name_that_no_topic_can_carry_is_told_and_makes_no_code(browser: Browser, console: Console) -> None:
    page = opened(browser, console, console.writer)
    for bad in ("", "Gate 1", "门"):
        page.get_by_label("Terminal's name").fill(bad)
        page.get_by_role("button", name="Make a code").click()
        expect(page.locator(".q-notification").last).to_be_visible()
    assert page.locator(".zg-code svg").count() == 0


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_fits_in_chinese(browser: Browser, console: Console, width: int) -> None:
    page = opened(browser, console, console.writer, "zh-CN", width)
    page.get_by_label("终端名称").fill("gate-9")
    page.get_by_role("button", name="生成加入码").click()
    expect(page.locator(".zg-code svg")).to_be_visible()
    shot(page, f"joining-zh-{width}")
    assert layout_problems(page) == []
