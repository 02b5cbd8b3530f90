"""What a worker can type at the screen: numbers, letters, a PIN, a badge that is read; in a real browser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from kiosk.terminal.entry import FORGET_AFTER_S
from kiosk.terminal.view import BadgeRead
from tests.kiosk.terminal.conftest import drawn
from tests.kiosk.terminal.scripted import IDLE
from tests.kiosk.terminal.serving import ServedTerminal
from tests.kiosk.terminal.states import STATES
from tests.kiosk.terminal.test_looks import AUDIT
from tests.kiosk.terminal.touching import calls_come, press, tap

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("silent_console")]


def test_a_tap_on_in_starts_the_face_path_without_a_badge(page: Page, terminal: ServedTerminal) -> None:
    tap(page, '[data-direction="IN"]')
    calls_come(terminal, page, [["tap", "IN", None]])


def test_a_typed_badge_number_goes_along(page: Page, terminal: ServedTerminal) -> None:
    press(page, "10096")
    tap(page, '.pad [data-key="erase"]')
    press(page, "7")
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("10097")
    tap(page, '[data-direction="OUT"]')
    calls_come(terminal, page, [["tap", "OUT", "10097"]])
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("")


def test_a_number_with_letters_can_be_typed_by_touch_alone(page: Page, terminal: ServedTerminal) -> None:
    tap(page, '[data-method="badge_pin"]')
    expect(page.locator('[data-key="other"]')).to_have_text("ABC")
    tap(page, '[data-key="other"]')
    assert page.evaluate(AUDIT) == []
    for key in ("Q", "Q", "clear", "W", "X"):
        tap(page, f'.keyboard [data-key="{key}"]')
    tap(page, '.keyboard [data-key="erase"]')
    for key in "-17B":
        tap(page, f'.keyboard [data-key="{key}"]')
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("W-17B")
    tap(page, '.keyboard [data-key="done"]')
    tap(page, '[data-key="other"]')  # on to the PIN, which has no letters
    press(page, "2468")
    expect(page.locator(".keyboard")).to_be_hidden()
    tap(page, '[data-direction="IN"]')
    calls_come(terminal, page, [["badge_pin", "IN", "W-17B", "2468"]])


def test_the_keyboard_goes_away_when_its_worker_does(page: Page) -> None:
    tap(page, '[data-key="other"]')
    tap(page, '.keyboard [data-key="W"]')
    expect(page.locator(".keyboard")).to_be_visible()
    expect(page.locator(".keyboard")).to_be_hidden(timeout=(FORGET_AFTER_S + 5) * 1000)
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("")


def test_badge_and_pin_are_one_tap_away_and_need_no_face(page: Page, terminal: ServedTerminal) -> None:
    tap(page, '[data-method="badge_pin"]')
    press(page, "10086")
    tap(page, '[data-key="other"]')
    press(page, "2468")
    tap(page, '[data-direction="OUT"]')
    calls_come(terminal, page, [["badge_pin", "OUT", "10086", "2468"]])


def test_the_way_without_a_face_is_as_large_and_as_near_as_the_way_with_one(page: Page) -> None:
    face = page.locator('[data-method="face"]').bounding_box()
    pin = page.locator('[data-method="badge_pin"]').bounding_box()
    assert face is not None
    assert pin is not None
    assert (pin["width"], pin["height"], pin["y"]) == (face["width"], face["height"], face["y"])


def test_a_pin_is_masked_and_gone_after_use(page: Page, terminal: ServedTerminal) -> None:
    tap(page, '[data-method="badge_pin"]')
    press(page, "1")
    tap(page, '[data-field="pin"]')
    press(page, "2468")
    expect(page.locator('[data-field="pin"] .field-value')).to_have_text("●●●●")
    assert "2468" not in page.content()
    tap(page, '[data-direction="IN"]')
    expect(page.locator('[data-field="pin"] .field-value')).to_have_text("")
    calls_come(terminal, page, [["badge_pin", "IN", "1", "2468"]])


def test_what_is_typed_is_gone_after_twenty_seconds(page: Page) -> None:
    tap(page, '[data-method="badge_pin"]')
    press(page, "10086")
    tap(page, '[data-field="pin"]')
    press(page, "24")
    expect(page.locator('[data-field="pin"] .field-value')).to_have_text("●●")
    expect(page.locator('[data-field="pin"]')).to_be_hidden(timeout=(FORGET_AFTER_S + 10) * 1000)
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("")


def test_a_missing_pin_is_asked_for_instead_of_sent(page: Page, terminal: ServedTerminal) -> None:
    tap(page, '[data-method="badge_pin"]')
    press(page, "10086")
    tap(page, '[data-direction="IN"]')
    expect(page.locator('[data-field="pin"] .field-name')).to_have_text("请输入密码")
    assert terminal.calls == []


def test_a_keyboard_or_a_reader_that_acts_as_one_types_too(page: Page, terminal: ServedTerminal) -> None:
    page.keyboard.type("E-77")
    page.keyboard.press("Enter")
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("E-77")
    tap(page, '[data-direction="IN"]')
    calls_come(terminal, page, [["tap", "IN", "E-77"]])


def test_a_badge_that_was_read_goes_to_the_face_path_with_the_next_tap(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(replace(IDLE, badge=BadgeRead(7, "E-77"))))
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("E-77")
    tap(page, '[data-direction="IN"]')
    calls_come(terminal, page, [["tap", "IN", "E-77"]])
    drawn(page, terminal.show(replace(IDLE, unsent=1, badge=BadgeRead(7, "E-77"))))  # the same reading is used once
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("")


def test_a_badge_that_was_read_asks_for_the_pin_where_there_is_no_camera(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(replace(STATES["idle_no_face"], badge=BadgeRead(8, "E-78"))))
    press(page, "2468")
    tap(page, '[data-direction="OUT"]')
    calls_come(terminal, page, [["badge_pin", "OUT", "E-78", "2468"]])


def test_without_a_camera_only_badge_and_pin_are_offered(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["idle_no_face"]))
    expect(page.locator('[data-method="face"]')).to_be_disabled()
    expect(page.locator('[data-method="badge_pin"]')).to_have_attribute("aria-pressed", "true")
    tap(page, '[data-direction="IN"]')
    expect(page.locator('[data-field="badge"] .field-name')).to_have_text("请输入工号")
    assert terminal.calls == []
    drawn(page, terminal.show(IDLE))
    expect(page.locator('[data-method="face"]')).to_have_attribute("aria-pressed", "true")
