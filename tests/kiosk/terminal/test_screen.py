"""What a worker can do at the screen, in a real browser."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from evidence.events import LogType, Method
from kiosk.terminal.ending import ACCEPTED_SHOWN_S, TAP_GUARD_S
from kiosk.terminal.view import Phase
from tests.kiosk.terminal.conftest import drawn, load, open_page
from tests.kiosk.terminal.scripted import IDLE
from tests.kiosk.terminal.serving import ServedTerminal
from tests.kiosk.terminal.states import LONGEST_RECEIPT, RECEIPT, REFUSED, STATES
from tests.kiosk.terminal.test_looks import AUDIT
from tests.kiosk.terminal.touching import calls_come, press, tap
from tests.support.qr import read_by_any

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("silent_console")]


def pixels(page: Page, what: str) -> np.ndarray:
    shot = np.frombuffer(io.BytesIO(page.locator(what).screenshot()).getvalue(), np.uint8)
    return np.asarray(cv2.imdecode(shot, cv2.IMREAD_COLOR))


# agreeing


def test_whoever_was_enrolled_agrees_or_not_and_the_language_of_the_question_is_told(
    page: Page, terminal: ServedTerminal
) -> None:
    drawn(page, terminal.show(STATES["consent"]))
    expect(page.locator(".consent-main")).to_contain_text("其他终端")
    yes, no = (page.locator(f'[data-act="consent_{act}"]').bounding_box() for act in ("yes", "no"))
    assert yes is not None and no is not None
    assert (yes["width"], yes["height"]) == (no["width"], no["height"])
    page.wait_for_timeout(TAP_GUARD_S * 1000 + 100)
    tap(page, '[data-act="consent_no"]')
    tap(page, '[data-act="language"]')
    expect(page.locator(".consent-main")).to_contain_text("other terminals of this site")
    page.wait_for_timeout(TAP_GUARD_S * 1000 + 100)
    tap(page, '[data-act="consent_yes"]')
    calls_come(terminal, page, [["answer_consent", False, "zh"], ["answer_consent", True, "en"]])


def test_a_tap_that_was_meant_for_what_stood_there_before_decides_nothing(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["consent"]))
    page.locator('[data-act="consent_yes"]').dispatch_event("click")
    page.wait_for_timeout(300)
    assert terminal.calls == []


# choosing


def test_the_idle_screen_announces_presence_where_it_is_noted_and_only_there(
    page: Page, terminal: ServedTerminal
) -> None:
    notice = page.locator(".presence-notice")
    drawn(page, terminal.show(STATES["idle"]))
    expect(notice).to_be_hidden()
    drawn(page, terminal.show(STATES["idle_presence"]))
    expect(notice).to_contain_text("何时听到您的工牌")
    tap(page, '[data-act="language"]')
    expect(notice).to_contain_text("Presence is noted here")


def test_a_called_worker_sees_the_call_and_answers_it_with_the_face_or_the_pin(
    page: Page, terminal: ServedTerminal
) -> None:
    drawn(page, terminal.show(STATES["idle_called"]))
    expect(page.locator(".call-name")).to_have_text("欧阳娜娜")
    expect(page.locator(".call-left")).to_have_text("还有 4:32")
    tap(page, '[data-act="here"]')
    press(page, "24681")
    tap(page, '.pad [data-key="erase"]')
    expect(page.locator(".call .field-value")).to_have_text("●●●●")
    tap(page, '[data-key="ok"]')
    expect(page.locator(".call .field-value")).to_have_text("")
    calls_come(terminal, page, [["answer_call", None], ["answer_call", "2468"]])


def test_without_a_camera_a_called_worker_still_has_the_pin(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["idle_called_no_face"]))
    expect(page.locator('[data-act="here"]')).to_be_hidden()
    press(page, "2468")
    tap(page, '[data-key="ok"]')
    calls_come(terminal, page, [["answer_call", "2468"]])


def test_somebody_else_puts_a_call_aside_and_punches(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["idle_called"]))
    tap(page, '[data-act="aside"]')
    tap(page, '[data-direction="IN"]')
    calls_come(terminal, page, [["tap", "IN", None]])


def test_a_call_that_is_over_leaves_the_idle_screen(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["idle_called"]))
    expect(page.locator(".call")).to_be_visible()
    drawn(page, terminal.show(STATES["idle"]))
    expect(page.locator(".call")).to_have_count(0)
    expect(page.locator('[data-direction="IN"]')).to_be_visible()


def test_idle_shows_no_picture(page: Page) -> None:
    expect(page.locator("img")).to_have_count(0)


# words


WORDS_OF_STATES = [
    ("idle", "上班", "IN"),
    ("idle_offline", "12345 条待上传", "12345 to send"),
    ("looking", "请看屏幕", "Look at the screen"),
    ("hint_too_far", "请走近一点", "Come closer"),
    ("hint_two_faces", "请其他人退后一步", "Ask the others to step back"),
    ("hold", "保持不动", "Hold still"),
    ("ask_turn_left", "请向左转头", "Turn your head left"),
    ("ask_blink", "请眨两下眼", "Blink twice"),
    ("checking", "正在核对", "Checking"),
    ("verified", "打卡成功", "Recorded"),
    ("verified_pin_out", "时钟未校准", "Clock not set"),
    ("review", "待核实", "to be checked"),
    ("refused", "看起来不像真人", "does not look like a live face"),
    ("out_of_order", "本机暂停使用", "Out of order"),
]


def test_each_phase_has_its_words_in_both_languages(page: Page, terminal: ServedTerminal) -> None:
    for state, zh, en in WORDS_OF_STATES:
        drawn(page, terminal.show(STATES[state]))
        expect(page.locator(".screen")).to_contain_text(zh)
        tap(page, '[data-act="language"]')
        expect(page.locator(".screen")).to_contain_text(en)
        expect(page.locator(".screen")).to_have_attribute("lang", "en")
        tap(page, '[data-act="language"]')
        expect(page.locator(".screen")).to_have_attribute("lang", "zh-CN")


def test_a_reload_keeps_the_language(page: Page) -> None:
    tap(page, '[data-act="language"]')
    expect(page.locator(".language")).to_have_text("中文")
    page.wait_for_url("**/?lang=en")
    page.reload(wait_until="domcontentloaded")
    expect(page.locator(".language")).to_have_text("中文")


def test_switching_the_language_keeps_what_is_typed(page: Page) -> None:
    press(page, "10086")
    tap(page, '[data-act="language"]')
    expect(page.locator(".field-badge .field-name")).to_have_text("Badge no. (optional)")
    expect(page.locator(".field-badge .field-value")).to_have_text("10086")


def test_the_clock_is_the_site_s_and_says_when_it_is_not_set(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(replace(IDLE, tz="Pacific/Kiritimati")))  # UTC+14, where it is always another hour
    east = page.locator(".clock-time").inner_text()[:2]
    drawn(page, terminal.show(replace(IDLE, tz="Pacific/Pago_Pago")))  # UTC-11
    west = page.locator(".clock-time").inner_text()[:2]
    assert (int(east) - int(west)) % 24 in (0, 1, 2)  # 25 hours apart: one hour, but for the turn of the hour
    drawn(page, terminal.show(replace(IDLE, tz="Not/A_Zone", clock_synced=False)))
    expect(page.locator(".clock-day")).to_have_text("时钟未校准")


# the live picture


def test_the_picture_is_a_mirror_and_the_arrow_points_as_the_worker_sees_himself_turn(
    page: Page, terminal: ServedTerminal
) -> None:
    terminal.show(STATES["ask_turn_left"])  # the camera's picture is white on its left
    page.wait_for_function("document.querySelector('.mirror-picture')?.naturalWidth > 0")
    drawing = pixels(page, ".mirror")
    assert drawing[200, 460].mean() > 200  # white is now on the right, as a mirror shows it
    assert drawing[380, 40].mean() < 60
    arrow, mirror = page.locator(".cue-icon").first.bounding_box(), page.locator(".mirror").bounding_box()
    assert arrow is not None
    assert mirror is not None
    assert arrow["x"] + arrow["width"] < mirror["x"] + mirror["width"] / 2
    assert page.locator(".cue-left").count() == 1
    drawn(page, terminal.show(STATES["ask_turn_right"]))
    other = page.locator(".cue-right .cue-icon").first.bounding_box()
    assert other is not None
    assert other["x"] > mirror["x"] + mirror["width"] / 2


def test_the_picture_is_not_opened_again_when_hint_prompt_and_seconds_change(
    page: Page, terminal: ServedTerminal
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "mjpeg" in request.url else None)
    for state in ("looking", "hint_too_far", "hold", "ask_blink", "ask_turn_right"):
        drawn(page, terminal.show(STATES[state]))
    drawn(page, terminal.show(replace(STATES["ask_turn_right"], seconds_left=5)))
    expect(page.locator(".guide-seconds")).to_have_text("5 秒")
    expect(page.locator(".guide-step")).to_have_text("第 1 步，共 2 步")
    assert len(asked) == 1


def test_cancel_gives_up_and_returns(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["looking"]))
    tap(page, '[data-act="cancel"]')
    calls_come(terminal, page, [["cancel"]])
    expect(page.locator('[data-direction="IN"]')).to_be_visible()


def test_badge_and_pin_can_be_chosen_in_the_middle_of_the_face_path(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["looking"]))
    tap(page, '[data-act="pin"]')
    calls_come(terminal, page, [["cancel"]])
    expect(page.locator('[data-method="badge_pin"]')).to_have_attribute("aria-pressed", "true")


# the result


@pytest.mark.parametrize(("state", "receipt"), [("verified", RECEIPT), ("review_long", LONGEST_RECEIPT)])
def test_the_qr_code_on_the_screen_reads_as_the_receipt(
    page: Page, terminal: ServedTerminal, state: str, receipt: str
) -> None:
    drawn(page, terminal.show(STATES[state]))
    assert receipt in read_by_any(pixels(page, ".qr-box"))


def test_a_result_goes_away_by_itself(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["verified"]))
    expect(page.locator(".verdict-word")).to_have_text("打卡成功")
    expect(page.locator('[data-direction="IN"]')).to_be_visible(timeout=(ACCEPTED_SHOWN_S + 8) * 1000)
    assert terminal.calls == [["dismiss"]]


def test_a_tap_closes_a_result_but_the_second_half_of_a_double_tap_does_not(
    page: Page, terminal: ServedTerminal
) -> None:
    drawn(page, terminal.show(STATES["verified"]))
    tap(page, ".verdict-word")
    drawn(page, terminal.show(STATES["verified"]))
    assert terminal.calls == []
    page.wait_for_timeout(900)  # past the guard: here the time itself is the promise
    tap(page, ".verdict-word")
    calls_come(terminal, page, [["dismiss"]])


def test_a_refusal_says_why_what_next_and_offers_badge_and_pin(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["refused"]))
    expect(page.locator(".reason-what").first).to_have_text("看起来不像真人")
    expect(page.locator(".reason-do").first).to_have_text("请本人再试一次，或用工号和密码。")
    expect(page.locator('[data-other="supervisor"]')).to_have_text("主管确认")
    tap(page, '[data-other="badge_pin"]')
    calls_come(terminal, page, [["dismiss"]])
    expect(page.locator('[data-method="badge_pin"]')).to_have_attribute("aria-pressed", "true")


def test_a_refusal_offers_the_face_with_the_same_direction_and_badge(page: Page, terminal: ServedTerminal) -> None:
    result = replace(REFUSED, method=Method.BADGE_PIN, worker="10086", log_type=LogType.OUT, reasons=("locked",))
    drawn(page, terminal.show(replace(IDLE, phase=Phase.RESULT, result=result)))
    tap(page, '[data-other="face"]')
    calls_come(terminal, page, [["dismiss"], ["tap", "OUT", "10086"]])


def test_a_refused_face_leads_to_the_pin_with_the_number_already_typed(page: Page, terminal: ServedTerminal) -> None:
    worker = "E-20260118-0042-east"  # longer than what the pad types, as a badge reader reads it
    drawn(page, terminal.show(replace(IDLE, phase=Phase.RESULT, result=replace(REFUSED, worker=worker))))
    tap(page, '[data-other="badge_pin"]')
    calls_come(terminal, page, [["dismiss"]])
    press(page, "2468")
    tap(page, '[data-direction="IN"]')
    calls_come(terminal, page, [["dismiss"], ["badge_pin", "IN", worker, "2468"]])


@pytest.mark.parametrize("state", ["refused_called", "review_called"])
def test_who_was_called_and_not_verified_tries_again_or_goes_back_to_the_pad(
    page: Page, terminal: ServedTerminal, state: str
) -> None:
    drawn(page, terminal.show(STATES[state]))
    tap(page, '[data-other="badge_pin"]')
    calls_come(terminal, page, [["dismiss"]])
    drawn(page, terminal.show(STATES[state]))
    tap(page, '[data-other="face"]')
    calls_come(terminal, page, [["dismiss"], ["dismiss"], ["answer_call", None]])


# a supervisor confirms


SUPERVISED = STATES["idle_supervisor"]


def test_a_supervisor_is_offered_only_where_one_is_enrolled(page: Page, terminal: ServedTerminal) -> None:
    expect(page.locator('[data-method="supervisor"]')).to_be_hidden()
    drawn(page, terminal.show(SUPERVISED))
    expect(page.locator('[data-method="supervisor"]')).to_be_visible()


def test_the_supervisor_is_as_large_and_as_near_as_the_other_ways(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(SUPERVISED))
    boxes = [page.locator(f'[data-method="{one}"]').bounding_box() for one in ("face", "badge_pin", "supervisor")]
    assert len({(box["y"], box["height"], round(box["width"])) for box in boxes if box}) == 1


def test_a_supervisor_confirms_by_face_with_two_numbers_and_one_tap(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(SUPERVISED))
    tap(page, '[data-method="supervisor"]')
    press(page, "10086")
    tap(page, '[data-key="other"]')
    press(page, "77")
    tap(page, '[data-direction="IN"]')
    calls_come(terminal, page, [["confirm", "IN", "10086", "77", None]])
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("")


def test_a_supervisor_confirms_by_pin_which_is_masked(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(SUPERVISED))
    tap(page, '[data-method="supervisor"]')
    for typed in ("10086", "77"):
        press(page, typed)
        tap(page, '[data-key="other"]')
    press(page, "2468")
    expect(page.locator('[data-field="pin"] .field-value')).to_have_text("●●●●")
    tap(page, '[data-direction="OUT"]')
    calls_come(terminal, page, [["confirm", "OUT", "10086", "77", "2468"]])


def test_without_a_camera_a_supervisor_is_asked_for_the_pin(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(replace(SUPERVISED, face_available=False)))
    tap(page, '[data-method="supervisor"]')
    press(page, "10086")
    tap(page, '[data-direction="IN"]')
    expect(page.locator('[data-field="supervisor"] .field-name')).to_have_text("请输主管号")
    press(page, "77")
    tap(page, '[data-direction="IN"]')
    expect(page.locator('[data-field="pin"] .field-name')).to_have_text("请输入密码")
    assert terminal.calls == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_three_full_fields_fit_and_read_well(page: Page, terminal: ServedTerminal, language: str) -> None:
    load(page, f"{terminal.url}?lang={language}")
    drawn(page, terminal.show(SUPERVISED))
    tap(page, '[data-method="supervisor"]')
    assert page.evaluate(AUDIT) == []
    for _ in range(3):
        press(page, "20260118")
        tap(page, '[data-key="other"]')
    assert page.evaluate(AUDIT) == []
    tap(page, '[data-method="supervisor"]')
    tap(page, '[data-direction="IN"]')
    expect(page.locator(".field.missing")).to_have_count(1)
    assert page.evaluate(AUDIT) == []


def test_a_refusal_leads_to_the_supervisor_with_the_number_already_typed(page: Page, terminal: ServedTerminal) -> None:
    result = replace(REFUSED, worker="10086")
    drawn(page, terminal.show(replace(SUPERVISED, phase=Phase.RESULT, result=result)))
    tap(page, '[data-other="supervisor"]')
    calls_come(terminal, page, [["dismiss"]])
    expect(page.locator('[data-field="badge"] .field-value')).to_have_text("10086")
    expect(page.locator('[data-field="supervisor"]')).to_be_visible()


# troubles


def test_troubles_are_told_in_words_with_what_to_do(page: Page, terminal: ServedTerminal) -> None:
    terminal.show(replace(IDLE, troubles=("disk_full",)))
    expect(page.locator(".trouble-what")).to_have_text("存储已满，无法记录")
    expect(page.locator(".trouble-do")).to_have_text("请用另一台终端，并告诉管理员。")
    terminal.show(IDLE)
    expect(page.locator(".banner")).to_be_hidden()


def test_out_of_order_names_the_trouble_and_whom_to_call(page: Page, terminal: ServedTerminal) -> None:
    drawn(page, terminal.show(STATES["out_of_order"]))
    expect(page.locator(".broken-what")).to_have_text("存储已满，无法记录")
    expect(page.locator(".broken-call")).to_contain_text("王工 138-0000-0000")
    assert page.locator(".clock-time").inner_text().count(":") == 2


def test_a_service_that_fails_shows_out_of_order_and_comes_back(page: Page, terminal: ServedTerminal) -> None:
    terminal.fail(view=True)
    expect(page.locator(".broken-main")).to_have_text("本机暂停使用")
    expect(page.locator(".broken-call")).to_contain_text("王工")
    terminal.fail(view=False)
    expect(page.locator('[data-direction="IN"]')).to_be_visible()


def test_a_page_opened_while_the_service_fails_is_no_blank(browser: Browser, terminal: ServedTerminal) -> None:
    terminal.fail(view=True)
    for page in open_page(browser, terminal.url, []):
        expect(page.locator(".broken-main")).to_have_text("本机暂停使用")


def test_a_tap_that_fails_is_told_and_not_swallowed(page: Page, terminal: ServedTerminal) -> None:
    terminal.fail(calls=True)
    tap(page, '[data-direction="IN"]')
    expect(page.locator(".broken-what")).to_have_text("终端出了问题")
    expect(page.locator('[data-direction="IN"]')).to_be_visible(timeout=15_000)


# browsers


def test_a_reload_in_the_middle_shows_the_same(page: Page, terminal: ServedTerminal) -> None:
    for state in ("ask_turn_left", "checking", "refused"):
        drawn(page, terminal.show(STATES[state]))
        before = page.locator(".body").inner_text()
        load(page, terminal.url)
        assert page.locator(".body").inner_text() == before


def test_two_browsers_show_the_same_punch_and_one_dismissal_is_enough(
    browser: Browser, page: Page, terminal: ServedTerminal, console: list[str]
) -> None:
    see: Callable[[Page], None] = lambda one: expect(one.locator(".verdict-word")).to_have_text("打卡成功")  # noqa: E731
    for other in open_page(browser, terminal.url, console):
        terminal.show(STATES["verified"])
        see(page)
        see(other)
        tap(page, '[data-act="done"]')
        expect(other.locator('[data-direction="IN"]')).to_be_visible()
        press(other, "7")
        expect(page.locator(".field-badge .field-value")).to_have_text("")
    assert terminal.calls == [["dismiss"]]


def test_the_screen_asks_nothing_of_the_internet(page: Page, terminal: ServedTerminal) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    load(page, terminal.url)
    assert asked
    assert [url for url in asked if not url.startswith((terminal.url, "data:", "blob:"))] == []


def test_the_browser_neither_zooms_nor_selects(page: Page) -> None:
    assert "user-scalable=no" in str(page.locator('meta[name="viewport"]').get_attribute("content"))
    assert page.evaluate("getComputedStyle(document.body).userSelect") == "none"
    assert page.evaluate("getComputedStyle(document.body).touchAction") == "manipulation"
