"""The console's pages about the ledger, in a real browser: statements, their envelopes and proofs, dead letters."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from collector.ledger.leaves import leaf_hash
from collector.sites.service import NewSite
from collector.statements.actor import acting_as
from evidence.envelope import STATEMENT_TYPE, Envelope
from evidence.statements import statement_key
from evidence.tlog_proof import TlogProof
from tests.collector.console_scene import SCREENS, WIDE, ConsoleScene, console_scene, shot
from tests.collector.test_standing import COUNCIL
from tests.support.layout import layout_problems

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleScene]:
    with console_scene(tmp_path_factory.mktemp("ledger")) as one:
        yield one


def rows(page: Page) -> list[str]:
    return page.locator("a.zg-statement").all_inner_texts()


@pytest.mark.parametrize(("size", "locale"), SCREENS)
def test_statements_of_every_kind_are_read_in_both_languages_on_both_screens(
    browser: Browser, scene: ConsoleScene, size: dict[str, int], locale: str
) -> None:
    chinese = locale == "zh-CN"
    page = scene.signed_in(browser, scene.reader, size, locale, "/statements")
    for says in (
        "终端 gate-2 在第 1 号事件上自相矛盾（fork），事件链已冻结。"
        if chinese
        else "Terminal gate-2 contradicts itself at event 1 (fork); its chain is frozen.",
        "终端 gate-2 的第 2 至 3 号事件声明为永久缺失。"
        if chinese
        else "Events 2 to 3 of gate-2 are declared missing for good.",
        "终端 storage-3 获准加入。" if chinese else "Terminal storage-3 was let in.",
        "log_type: OUT",
        "考勤中心以 4 把密钥开始记录。" if chinese else "The collector begins its record with 4 keys.",
    ):
        expect(page.locator("a.zg-statement").filter(has_text=says)).to_have_count(1)
    corner = page.locator(".zg-ledger-line")
    expect(corner.first).to_contain_text(str(scene.services.ledger.size()))
    expect(corner.nth(1)).to_contain_text("正常" if chinese else "Up to date")
    expect(page.get_by_text("没有设置见证人" if chinese else "No witness is set up")).to_be_visible()
    assert layout_problems(page) == []
    shot(page, f"statements-{size['width']}-{locale}")
    page.locator("a.zg-statement").filter(has_text="gate-2").first.click()
    expect(page.get_by_text("签名有效" if chinese else "Signature holds")).to_be_visible()
    page.locator("summary").click()
    assert layout_problems(page) == []
    shot(page, f"statement-{size['width']}-{locale}")


def test_statements_are_filtered_by_kind_subject_and_day(browser: Browser, scene: ConsoleScene) -> None:
    page = scene.signed_in(browser, scene.reader, WIDE, "en-GB", "/statements")
    page.get_by_label("Kind").select_option("device.revoked")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**kind=device.revoked**")
    assert len(rows(page)) == 1
    assert "storage-3" in rows(page)[0]
    page.get_by_text("Clear").click()
    page.wait_for_url("**/statements")
    page.get_by_label("About").fill("e002")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**about=e002**")
    assert len(rows(page)) == 2
    assert all("E002" in one for one in rows(page))
    page.get_by_label("To", exact=True).fill("2020-01-01")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No statement fits")).to_be_visible()
    page.goto(f"{scene.url}/statements?kind=%3Cb%3Enonsense%3C%2Fb%3E&from=soon")
    expect(page.get_by_text("it cannot be used: <b>nonsense</b>, soon")).to_be_visible()
    assert len(rows(page)) > 5


def test_older_statements_follow_page_after_page(browser: Browser, scene: ConsoleScene) -> None:
    with acting_as("cli:li"):
        for number in range(55):
            scene.services.sites.add(NewSite(name=f"yard-{number:02}", title="堆场", tz="Asia/Shanghai"))
    page = scene.signed_in(browser, scene.reader, WIDE, "en-GB", "/statements?about=yard-")
    first = rows(page)
    assert len(first) == 50
    assert "yard-54" in first[0]
    page.get_by_text("Older", exact=True).click()
    page.wait_for_url("**before=**")
    assert [one.splitlines()[-2].split()[-1] for one in rows(page)] == [f"yard-0{n}" for n in (4, 3, 2, 1, 0)]
    assert page.get_by_text("Older", exact=True).count() == 0
    page.get_by_text("Newest", exact=True).click()
    page.wait_for_url("**/statements?about=yard-")
    assert rows(page) == first


def test_the_envelope_and_its_proof_hold_without_the_collector(browser: Browser, scene: ConsoleScene) -> None:
    page = scene.signed_in(browser, scene.reader, WIDE, "en-GB", "/statements?kind=gap.declared")
    page.locator("a.zg-statement").click()
    page.wait_for_url("**/statements/*")
    place = int(page.url.rpartition("/")[2])
    with page.expect_download() as envelope_file:
        page.get_by_text("Download the envelope").click()
    data = envelope_file.value.path().read_bytes().rstrip(b"\n")
    Envelope.decode(data).verify(statement_key(scene.services.statements.signers(), 1), STATEMENT_TYPE)
    assert json.loads(base64.b64decode(json.loads(data)["payload"]))["kind"] == "gap.declared"
    with page.expect_download() as proof_file:
        page.get_by_text("Download its proof").click()
    proof = TlogProof.decode(proof_file.value.path().read_bytes())
    entry = scene.services.ledger.entry(place)
    assert entry.envelope == data
    signer = scene.services.checkpoints.signer
    salt = bytes.fromhex(page.locator("dd").filter(has_text=entry.salt.hex()).inner_text())
    proof.verify(leaf_hash(salt, data), signer.name, signer.public)


def test_no_page_and_no_file_without_a_session(browser: Browser, scene: ConsoleScene) -> None:
    nobody = browser.new_context().request
    for path in ("/statements", "/statements/1", "/statements/1/envelope", "/statements/1/proof", "/dead-letters"):
        assert nobody.get(scene.url + path).url.endswith("/login"), path


def test_what_is_no_statement_is_said_to_be_none(browser: Browser, scene: ConsoleScene) -> None:
    page = scene.signed_in(browser, scene.reader, WIDE, "en-GB")
    punch = page.locator("a.zg-row").first.get_attribute("href")
    assert punch is not None
    for place in (punch.rpartition("/")[2], "99999999", "99999999999999999999", "x"):
        page.goto(f"{scene.url}/statements/{place}")
        expect(page.get_by_text("none of the collector's statements")).to_be_visible()
    assert page.context.request.get(f"{scene.url}/statements/99999999/envelope").status == 404


@pytest.mark.parametrize(("size", "locale"), SCREENS)
def test_dead_letters_are_read_with_reason_and_contents(
    browser: Browser, scene: ConsoleScene, size: dict[str, int], locale: str
) -> None:
    chinese = locale == "zh-CN"
    page = scene.signed_in(browser, scene.reader, size, locale)
    page.locator(".zg-sum-link").click()
    page.wait_for_url("**/dead-letters")
    letters = page.locator(".zg-letter")
    expect(letters).to_have_count(3)
    expect(letters.first).to_contain_text(
        "主题与内容不是同一台终端" if chinese else "Topic and contents are of different terminals"
    )
    for summary in page.locator("summary").all():
        summary.click()
    expect(letters.nth(1)).to_contain_text("ff fe 00 01")
    expect(letters.nth(2)).to_contain_text("garbage")
    expect(letters.nth(2)).to_contain_text("2 次" if chinese else "2 times")
    assert layout_problems(page) == []
    shot(page, f"dead-letters-{size['width']}-{locale}")


@pytest.mark.parametrize(("size", "locale"), SCREENS)
def test_every_other_page_reads_well(browser: Browser, scene: ConsoleScene, size: dict[str, int], locale: str) -> None:
    page = scene.signed_in(browser, scene.writer, size, locale)
    page.wait_for_selector("a.zg-row")
    assert layout_problems(page) == []
    page.locator("a.zg-row").first.click()
    page.locator(".zg-check").first.wait_for()
    page.locator("summary").click()
    assert layout_problems(page) == []
    page.goto(f"{scene.url}/joining")
    page.locator(".zg-join").wait_for()
    assert layout_problems(page) == []


def test_the_audit_of_the_layout_sees_what_it_looks_for(browser: Browser, scene: ConsoleScene) -> None:
    """The measure itself measured: a page broken in each way is told so."""
    page = scene.signed_in(browser, scene.reader, WIDE, "en-GB", "/statements")
    assert layout_problems(page) == []
    page.add_style_tag(
        content=".zg-who { color: #bbb !important; max-width: 8px !important }"
        " a.zg-statement .zg-pill { margin-left: 100px }"
        " .zg-intro { margin-top: -30px; max-width: none; width: 1600px }"
        " .zg-ledger-how { width: 900px; overflow-wrap: normal !important }"
    )
    found = " ".join(layout_problems(page))
    for problem in ("sideways", "shortened", "pale", "overlap", "out of"):
        assert problem in found


def test_a_ledger_that_waits_too_long_is_red_on_the_first_page_and_in_its_corner(
    browser: Browser, tmp_path: Path
) -> None:
    """A checkpoint signed two hours ago, and a witness that does not answer."""
    nobody = {"key": COUNCIL, "url": "http://127.0.0.1:9/"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZAIGANG_COLLECTOR_WITNESSES", json.dumps([nobody]))
        with console_scene(tmp_path, signed_ago=timedelta(hours=2)) as late:
            for size, locale in SCREENS:
                chinese = locale == "zh-CN"
                page = late.signed_in(browser, late.reader, size, locale)
                assert layout_problems(page) == []
                page.get_by_text("账本有逾期" if chinese else "The ledger is overdue").click()
                page.wait_for_url("**/statements")
                red = page.locator(".zg-ledger-line.bad")
                expect(red.filter(has_text="witness.example.org/council")).to_contain_text(
                    "2 小时前签署" if chinese else "signed 2 h ago"
                )
                expect(red.filter(has_text="失败" if chinese else "Failed")).to_have_count(1)
                assert layout_problems(page) == []
                shot(page, f"overdue-{size['width']}-{locale}")
