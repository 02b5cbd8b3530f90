"""The console's page about evidence bundles, in a real browser: what it shows, what it makes, and for whom."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from collector.auth.service import Scope
from evidence.bundle import verify_bundle
from evidence.trust import BundleTrust
from tests.collector.console_scene import NARROW, SCREENS, WIDE, ConsoleScene, console_scene, shot
from tests.support.layout import layout_problems
from zaigang.verifiers import verifier_files

pytestmark = pytest.mark.browser

DAY = "2026-11-22"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleScene]:
    with console_scene(tmp_path_factory.mktemp("evidence")) as one:
        yield one


def look(page: Page, worker: str = "E001", first: str = DAY, last: str = DAY, *, chinese: bool = False) -> None:
    """Fill in the form about a worker and press the button."""
    page.get_by_label("员工工号" if chinese else "Employee code").fill(worker)
    days(page, first, last, chinese=chinese)


def days(page: Page, first: str, last: str, *, chinese: bool = False) -> None:
    page.get_by_label("从（含当日）" if chinese else "From (that day included)").fill(first)
    page.get_by_label("至（含当日）" if chinese else "To (that day included)").fill(last)
    page.get_by_role("button", name="先看看里面会有什么" if chinese else "See first what will be in it").click()


def ready(page: Page) -> str:
    """Wait until the bundle can be fetched; return the address."""
    fetch = page.locator(".zg-foreseen a.zg-button")
    expect(fetch).to_be_visible(timeout=60_000)
    return str(fetch.get_attribute("href"))


@pytest.mark.parametrize(("size", "locale"), SCREENS)
def test_what_will_be_in_it_is_shown_before_it_is_made(
    browser: Browser, scene: ConsoleScene, size: dict[str, int], locale: str
) -> None:
    chinese = locale == "zh-CN"
    page = scene.signed_in(browser, scene.writer, size, locale, "/evidence")
    assert layout_problems(page) == []
    shot(page, f"evidence-{size['width']}-{locale}")
    look(page, chinese=chinese)
    figures = page.locator(".zg-figures > div")
    expect(figures.nth(0)).to_contain_text("次打卡" if chinese else "attempts to punch")
    expect(figures.nth(0)).to_contain_text(
        "已核实 2，待复核 0，被拒绝 0" if chinese else "2 verified, 0 for review, 0 refused"
    )
    expect(figures.nth(1)).to_contain_text("1 %")
    expect(figures.nth(2)).to_contain_text("0")
    page.locator(".zg-terminal summary").first.click()
    expect(page.get_by_text("第一次声明之前" if chinese else "before the first statement")).to_be_visible()
    assert layout_problems(page) == []
    shot(page, f"foreseen-{size['width']}-{locale}")
    assert scene.services.evidence_bundles.made() == []


def test_a_bundle_is_made_fetched_and_holds(browser: Browser, scene: ConsoleScene, tmp_path: Path) -> None:
    page = scene.signed_in(browser, scene.new_writer(), NARROW, "zh-CN", "/evidence")
    look(page, chinese=True)
    page.get_by_role("button", name="制作证据包").click()
    ready(page)
    expect(page.get_by_text("制作时核验：没有发现问题。")).to_be_visible()
    assert layout_problems(page) == []
    shot(page, "made-390-zh-CN")
    with page.expect_download() as fetching:
        page.get_by_text("下载证据包").click()
    file = tmp_path / fetching.value.suggested_filename
    fetching.value.save_as(file)
    with page.expect_download() as trusting:
        page.get_by_text("信任文件 trust.json").click()
    trusting.value.save_as(tmp_path / "trust.json")

    trust = BundleTrust.model_validate_json((tmp_path / "trust.json").read_text())
    report = verify_bundle(file.read_bytes(), trust)
    assert report.ok, [str(one) for one in report.problems]
    assert {one.worker for one in report.punches} == {"E001"}
    (made,) = scene.services.evidence_bundles.made(1)
    assert made.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (made.worker, made.since, made.until) == ("E001", "2026-11-21T16:00:00.000Z", "2026-11-22T16:00:00.000Z")
    assert file.name.startswith("evidence-worker-")
    assert "E001" not in file.name
    record = page.locator(".zg-made:not(.head)").first
    for said in (made.sha256, "王小明 (E001)", made.made_by, DAY):
        expect(record).to_contain_text(said)
    entry = scene.services.statements.audit(None, 1)[0]
    key = made.made_by.rpartition("(")[2].rstrip(")")
    assert (entry.who, entry.action, entry.target) == (f"console:{key}", "evidence_bundles.added", str(made.id))


def test_a_bundle_about_a_site_is_of_the_sites_days_and_waits_for_whoever_comes_back(
    browser: Browser, scene: ConsoleScene
) -> None:
    page = scene.signed_in(browser, scene.new_writer(), WIDE, "en-GB", "/evidence")
    page.get_by_label("Days are of this time zone").click()
    page.get_by_role("option", name="UTC").click()
    page.get_by_text("A site", exact=True).click()
    page.get_by_label("Site", exact=True).click()
    page.get_by_role("option", name="浦东东门工地 (east)").click()
    days(page, DAY, DAY)
    expect(page.get_by_text("2 event(s) declared missing for good")).to_be_visible()
    page.get_by_role("button", name="Make the bundle").click()
    address = ready(page)
    page.goto(scene.url)
    page.goto(f"{scene.url}/evidence")
    assert ready(page) == address
    assert page.context.request.get(scene.url + address).headers["x-bundle-sha256"] == (
        scene.services.evidence_bundles.made(1)[0].sha256
    )
    made = scene.services.evidence_bundles.made(1)[0]
    assert (made.site, made.since) == ("east", "2026-11-21T16:00:00.000Z")


def test_who_may_only_look_sees_everything_and_makes_nothing(browser: Browser, scene: ConsoleScene) -> None:
    writer = scene.signed_in(browser, scene.new_writer(), WIDE, "en-GB", "/evidence")
    look(writer)
    writer.get_by_role("button", name="Make the bundle").click()
    address = ready(writer)
    before = len(scene.services.evidence_bundles.made())
    page = scene.signed_in(browser, scene.reader, WIDE, "en-GB", "/evidence")
    look(page)
    expect(page.locator(".zg-figures")).to_be_visible()
    expect(page.get_by_text("This key may only look; it makes no bundle.")).to_be_visible()
    assert page.get_by_role("button", name="Make the bundle").count() == 0
    assert page.locator(".zg-made a").count() == 0
    assert page.context.request.get(scene.url + address).status == 403
    assert len(scene.services.evidence_bundles.made()) == before


def test_a_bundle_goes_to_nobody_but_whoever_had_it_made(browser: Browser, scene: ConsoleScene) -> None:
    page = scene.signed_in(browser, scene.new_writer(), WIDE, "en-GB", "/evidence")
    look(page)
    page.get_by_role("button", name="Make the bundle").click()
    address = ready(page)
    stranger = scene.signed_in(browser, scene.new_writer(), WIDE, "en-GB")
    assert stranger.context.request.get(scene.url + address).status == 404
    nobody = browser.new_context().request
    for path in (address, "/evidence/trust.json", "/evidence/verifiers/verify-bundle.html", "/evidence"):
        assert nobody.get(scene.url + path).url.endswith("/login")


def test_a_key_that_was_revoked_meanwhile_makes_nothing(browser: Browser, scene: ConsoleScene) -> None:
    row, key = scene.services.api_keys.create("leaver", Scope.WRITE)
    page = scene.signed_in(browser, key, WIDE, "en-GB", "/evidence")
    look(page)
    button = page.get_by_role("button", name="Make the bundle")
    expect(button).to_be_visible()
    before = len(scene.services.evidence_bundles.made())
    scene.services.api_keys.revoke(row.id)
    page.wait_for_url("**/login")  # within a second or so the page itself notices
    assert page.context.request.get(f"{scene.url}/evidence").url.endswith("/login")
    assert len(scene.services.evidence_bundles.made()) == before


@pytest.mark.parametrize(
    ("worker", "first", "last", "says"),
    [
        ("", DAY, DAY, "请填写员工工号。"),
        ("E001", "2026-11-23", DAY, "结束日期不能早于开始日期"),
        ("E001", "", DAY, "请填写起止日期"),
        ("E404", DAY, DAY, "账本中没有关于所选对象的事件"),
        ("E009", DAY, DAY, "已被删除的员工无法再制作证据包"),
    ],
)
def test_what_cannot_be_made_is_said_in_the_language_of_the_page(
    browser: Browser, scene: ConsoleScene, worker: str, first: str, last: str, says: str
) -> None:
    page = scene.signed_in(browser, scene.new_writer(), WIDE, "zh-CN", "/evidence")
    look(page, worker, first, last, chinese=True)
    expect(page.locator(".q-notification").filter(has_text=says)).to_be_visible()
    assert page.locator(".zg-figures").count() == 0


def test_another_choice_takes_away_what_was_foreseen(browser: Browser, scene: ConsoleScene) -> None:
    page = scene.signed_in(browser, scene.new_writer(), WIDE, "en-GB", "/evidence")
    look(page)
    expect(page.get_by_role("button", name="Make the bundle")).to_be_visible()
    page.get_by_label("Employee code").fill("E002")
    expect(page.get_by_role("button", name="Make the bundle")).to_have_count(0)


def test_the_verifiers_beside_it_are_those_of_this_version(browser: Browser, scene: ConsoleScene) -> None:
    page = scene.signed_in(browser, scene.reader, WIDE, "en-GB", "/evidence")
    for name, content in verifier_files().items():
        address = page.locator(f"a[href$='{name}']").get_attribute("href")
        answer = page.context.request.get(f"{scene.url}{address}")
        assert answer.body() == content
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert page.context.request.get(f"{scene.url}/evidence/verifiers/passwd").status == 404


def test_the_trust_file_is_the_one_of_the_command(browser: Browser, scene: ConsoleScene) -> None:
    page = scene.signed_in(browser, scene.reader, WIDE, "en-GB", "/evidence")
    answer = page.context.request.get(f"{scene.url}/evidence/trust.json")
    assert json.loads(answer.text()) == json.loads(
        scene.services.evidence_bundles.trust().model_dump_json(exclude_none=True)
    )
