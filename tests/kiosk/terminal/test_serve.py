"""The screen is served to this machine alone, starts and stops."""

from __future__ import annotations

import http.client
import socket

import pytest
from playwright.sync_api import Browser, expect

from kiosk.terminal.errors import NotLoopback, PortTaken
from kiosk.terminal.serve import TerminalServer
from tests.kiosk.terminal.conftest import open_page
from tests.kiosk.terminal.scripted import ScriptedService
from tests.kiosk.terminal.serving import ServedTerminal
from tests.kiosk.terminal.states import STATES
from tests.support.ports import free_port


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.9", "kiosk.example"])
def test_it_listens_to_no_other_machine(host: str) -> None:
    with pytest.raises(NotLoopback):
        TerminalServer(ScriptedService(), host=host)


def test_a_name_pointed_at_this_machine_from_outside_is_not_answered(terminal: ServedTerminal) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", terminal.port)
    connection.request("GET", "/", headers={"Host": "rebound.example"})
    assert connection.getresponse().status == 400


def test_a_taken_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = TerminalServer(ScriptedService(), port=other.getsockname()[1])
        with pytest.raises(PortTaken, match="cannot listen"):
            server.start()
        assert not server.running


def test_it_stops_with_a_browser_on_a_live_picture_and_comes_back(browser: Browser) -> None:
    port = free_port()
    console: list[str] = []
    first = ServedTerminal("en", port)
    pages = open_page(browser, first.url, console)
    page = next(pages)
    first.show(STATES["looking"])
    expect(page.locator(".mirror-picture")).to_be_visible()

    assert "stopped" in first.stop()
    popup = page.locator("#popup")
    expect(popup).to_be_visible()
    words = popup.evaluate("e => getComputedStyle(e, '::before').content")
    assert "正在重新连接" in words
    assert "reconnecting" in words

    second = ServedTerminal("en", port)
    expect(page.locator('[data-direction="IN"]')).to_be_visible(timeout=30_000)
    expect(popup).to_be_hidden()
    pages.close()
    second.stop()
