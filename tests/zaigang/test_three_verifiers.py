"""Three verifiers, written apart from each other, agree on every bundle of the corpus under tests/evidence/corpus."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from evidence import bundle_zip
from evidence.bundle_zip import pack, unpack
from evidence.note import SignatureType, VerifierKey
from tests.evidence import corpus
from tests.evidence.bundles import LOG, WITNESS, packed_as_it_is
from tests.evidence.test_key_history import forged_handovers
from zaigang.bundle_check import check_bundle, read_bundle_trust
from zaigang.trust import TrustError
from zaigang.verifiers import write_verifiers

FOLDER = corpus.FOLDER
CASES: list[dict[str, Any]] = json.loads((FOLDER / "corpus.json").read_text())
LONG = os.environ.get("ZAIGANG_LONG") == "1"
SHELL_STEP = 4  # in `make test` every fourth: openssl is started some two hundred times for each
_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which `zaigang bundle --verifiers` writes them."""
    folder = tmp_path_factory.mktemp("verifiers")
    write_verifiers(folder)
    return folder


@pytest.fixture(scope="module")
def page(browser: Browser, tools: Path) -> Iterator[Page]:
    """The page, opened from the disk in a browser that has no network."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tools / "verify-bundle.html").as_uri())
    yield page
    context.close()


def test_the_corpus_comes_out_again_byte_for_byte(tmp_path: Path) -> None:
    corpus.write(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {one.name for one in FOLDER.iterdir()}
    for one in tmp_path.iterdir():
        assert one.read_bytes() == (FOLDER / one.name).read_bytes(), one.name


def test_the_corpus_has_good_and_bad_ones() -> None:
    assert sum(case["code"] is None for case in CASES) >= 8
    assert sum(case["code"] is not None for case in CASES) >= 40


@_cases
def test_zaigang_verify(case: dict[str, Any]) -> None:
    receipts = [case["receipt"]] if case["receipt"] else []
    found = check_bundle(FOLDER / case["file"], read_bundle_trust(FOLDER / case["trust"]), receipts)
    codes = [one.code for one in found.report.problems] + [one.error.code for one in found.receipts if one.error]
    _hold(case, found.ok, codes)
    if case["name"] == "good-punch-with-a-failed-check":
        assert [one for one in found.report.punches if one.seq == 6] == []


@pytest.mark.long
@pytest.mark.parametrize("case", CASES if LONG else CASES[::SHELL_STEP], ids=lambda case: case["name"])
def test_the_shell_script(case: dict[str, Any], tools: Path) -> None:
    arguments = ["sh", str(tools / "verify-bundle.sh"), str(FOLDER / case["file"]), str(FOLDER / case["trust"])]
    if case["receipt"]:
        arguments.append(case["receipt"])
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    assert done.returncode in (0, 1)
    _hold(case, done.returncode == 0, re.findall(r"^\[([a-z_]+)\]", done.stdout, re.MULTILINE))


@pytest.mark.browser
@_cases
def test_the_page(case: dict[str, Any], page: Page) -> None:
    page.set_input_files("#bundle", FOLDER / case["file"])
    page.set_input_files("#trust", FOLDER / case["trust"])
    page.fill("#receipt", case["receipt"] or "")
    page.evaluate("document.getElementById('verdict').replaceChildren()")
    page.click("#go")
    page.wait_for_selector("#verdict:not(:empty)", timeout=30_000)
    report = page.evaluate("window.zaigangReport")
    _hold(case, report["ok"], [one["code"] for one in report["problems"]])
    if case["name"] == "good-punch-with-a-failed-check":
        assert [one["verdict"] for one in report["punches"] if one["seq"] == 6] == ["unreadable 无法读取"]
    elif case["name"] == "good-site":
        assert [one["verdict"] for one in report["punches"]] == ["verified"] * 4
    wanted = "全部成立" if case["code"] is None else "不成立"
    assert wanted in page.inner_text("#verdict")


@pytest.mark.browser
@pytest.mark.parametrize("how", forged_handovers())
def test_no_verifier_takes_a_trust_file_with_a_forged_handover(
    how: str, page: Page, tools: Path, tmp_path: Path
) -> None:
    """A bundle that its forger sealed with his own key: nobody says that it holds, and nobody that it was checked."""
    trust = json.loads((FOLDER / "trust-later.json").read_text())
    trust["handovers"].append(forged_handovers()[how])
    path, bundle = tmp_path / "trust.json", FOLDER / "bad-seal.zip"
    path.write_text(json.dumps(trust))
    with pytest.raises(TrustError):
        read_bundle_trust(path)
    assert "hand" in _neither_reads(path, bundle, page, tools)


def _neither_reads(trust: Path, bundle: Path, page: Page, tools: Path) -> str:
    """Script and page check nothing against this trust file; return what the script says."""
    script = ["sh", str(tools / "verify-bundle.sh"), str(bundle), str(trust)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    page.set_input_files("#bundle", bundle)
    page.set_input_files("#trust", trust)
    page.fill("#receipt", "")
    page.evaluate("document.getElementById('verdict').replaceChildren()")
    page.click("#go")
    page.wait_for_selector("#verdict:not(:empty)", timeout=30_000)
    assert "未能核验" in page.inner_text("#verdict")
    return done.stderr


TRUST = (FOLDER / "trust.json").read_text()
GATE_KEY = json.loads(TRUST)["devices"]["gate-1"][0]


def _faulty_trusts() -> dict[str, str]:
    """Trust files whose writer wanted more than a careless reader would hold a bundle against."""
    one = json.loads(TRUST)
    witness = one["witnesses"]["keys"][0]
    later = json.loads((FOLDER / "trust-later.json").read_text())

    def but(**changes: Any) -> str:
        return json.dumps({**one, **changes})

    def wanting(keys: list[Any], quorum: Any) -> str:
        return but(witnesses={"keys": keys, "quorum": quorum})

    own = VerifierKey("watching.example", SignatureType.COSIGNATURE_V1, LOG.public).text()
    renamed = VerifierKey("another.example", SignatureType.COSIGNATURE_V1, WITNESS.public).text()
    return {
        "quorum-is-a-text": wanting([witness], "1"),
        "quorum-is-none": wanting([witness], 0),
        "quorum-is-true": wanting([witness], True),
        "quorum-is-a-half": wanting([witness], 0.5),
        "quorum-out-of-reach": wanting([witness], 2),
        "witness-twice": wanting([witness, witness], 2),
        "witness-under-two-names": wanting([witness, renamed], 2),
        "witness-is-the-ledger": wanting([own], 1),
        "witness-is-of-a-logs-type": wanting([one["checkpoint_keys"][0]], 1),
        "log-is-of-a-witness-type": but(checkpoint_keys=[witness], witnesses=None),
        "witness-mistyped": wanting([witness.replace("+", "x+", 1)], 1),
        "no-witness": wanting([], 1),
        "witnesses-without-quorum": but(witnesses={"keys": [witness]}),
        "witnesses-are-a-list": but(witnesses=[witness]),
        "unknown-field": json.dumps(
            {**{name: one[name] for name in one if name != "witnesses"}, "witness": one["witnesses"]}
        ),
        "unknown-field-of-witnesses": but(witnesses={**one["witnesses"], "at_least": 2}),
        "unknown-field-of-the-collector": but(collector={**one["collector"], "statement": GATE_KEY}),
        "devices-are-a-list": but(devices=[GATE_KEY]),
        "device-without-a-list": but(devices={"gate-1": GATE_KEY}),
        "device-without-a-key": but(devices={**one["devices"], "gate-3": []}),
        "device-with-no-key": but(devices={"gate-1": ["ed25519:none"]}),
        "device-of-no-name": but(devices={"Gate 1": [GATE_KEY]}),
        "field-twice": TRUST.replace('"devices"', '"devices": {}, "devices"'),
        "device-twice": TRUST.replace('"gate-1"', f'"gate-1": ["{GATE_KEY}"], "gate-1"'),
        "field-twice-in-escapes": TRUST.replace('"devices"', '"de\\u0076ices": {}, "devices"'),
        "no-receipt-key": but(collector={"receipt": []}),
        "no-checkpoint-key": but(checkpoint_keys=[]),
        "no-origin": json.dumps({name: one[name] for name in one if name != "origin"}),
        "checkpoints-are-a-text": but(checkpoints="kept"),
        "handovers-are-an-object": but(handovers=later["handovers"][0]),
        "cut": TRUST.rstrip().removesuffix("}"),
        "more-behind": TRUST + "{}",
        "comma-at-the-end": TRUST.rstrip().removesuffix("}") + ",}",
        "a-list": json.dumps([one]),
        "empty": "",
    }


@pytest.mark.browser
@pytest.mark.parametrize("how", _faulty_trusts())
def test_no_verifier_takes_a_trust_file_that_says_something_else(
    how: str, page: Page, tools: Path, tmp_path: Path
) -> None:
    path = tmp_path / "trust.json"
    path.write_text(_faulty_trusts()[how])
    with pytest.raises(TrustError):
        read_bundle_trust(path)
    assert "trust file" in _neither_reads(path, FOLDER / "good-two-entries.zip", page, tools)


def test_the_shell_script_prints_nothing_that_could_steer_the_readers_screen(tools: Path, tmp_path: Path) -> None:
    """A manifest with the letters that move a cursor, in the forms that JSON allows; a receipt of two lines."""
    files = unpack((FOLDER / "good-two-entries.zip").read_bytes())
    steering = "\x9b2J\x9b1;1HEverything holds: 2 events."
    for word in ("origin", "name"):
        manifest = files["manifest.json"].decode()
        start = manifest.index(f'"{word}":"') + len(word) + 4
        changed = manifest[:start] + steering + manifest[start:]
        path = tmp_path / f"{word}.zip"
        path.write_bytes(pack({**files, "manifest.json": changed.encode()}.items()))
        done = _script(tools, path)
        assert done.returncode == 1
        _require_plain(done.stdout)
    receipt = next(case["receipt"] for case in CASES if case["name"] == "good-receipt")
    done = _script(tools, FOLDER / "good-site.zip", f"{receipt}\n\x1b[2Jx")
    assert done.returncode == 1 and "[receipt]" in done.stdout
    _require_plain(done.stdout)


def _deflated() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("manifest.json", bytes(30_000_000))
    return held.getvalue()


def _overlapping() -> bytes:
    """Ten names for the same megabyte: an unpacker would write ten."""
    data = bytes(1_000_000)
    names = [f"a{number}" for number in range(10)]
    local = bundle_zip._local(names[0], data) + names[0].encode() + data
    central = b"".join(bundle_zip._central(name, data, 0) + name.encode() for name in names)
    return local + central + bundle_zip._END.pack(bundle_zip.END, 0, 0, 10, 10, len(central), len(local), 0)


@pytest.mark.parametrize(
    ("how", "data"),
    [
        ("deflated", _deflated()),
        ("overlapping", _overlapping()),
        ("too-deep", packed_as_it_is([("manifest.json", b"{}"), ("a/b/c/d/e", b"")])),
        ("too-long", packed_as_it_is([("manifest.json", b"{}"), ("a" * 201, b"")])),
        ("upwards", packed_as_it_is([("manifest.json", b"{}"), ("../x", b"")])),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_the_shell_script_unpacks_nothing_that_it_refuses(how: str, data: bytes, tools: Path, tmp_path: Path) -> None:
    path, calls = tmp_path / f"{how}.zip", tmp_path / "calls"
    path.write_bytes(data)
    (tmp_path / "unzip").write_text(f'#!/bin/sh\necho "$1" >>{calls}\nexec {shutil.which("unzip")} "$@"\n')
    (tmp_path / "unzip").chmod(0o755)
    done = _script(tools, path, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.returncode, done.stderr) == (1, "")
    assert "[not_canonical_zip]" in done.stdout
    assert calls.read_text() == "-qqv\n"


def _script(
    tools: Path, bundle: Path, receipt: str = "", *, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    words = ["sh", str(tools / "verify-bundle.sh"), str(bundle), str(FOLDER / "trust.json"), receipt]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=env)


def _require_plain(said: str) -> None:
    """Nothing but lines of printable letters, and the script's own Chinese."""
    assert all(one == "\n" or one.isprintable() for one in said), said
    assert "Everything holds" not in said.split("\n")[-2]


def _hold(case: dict[str, Any], ok: bool, codes: list[str]) -> None:
    assert ok == (case["code"] is None), (case["name"], codes)
    if case["code"] is None:
        assert codes == []
    else:
        assert case["code"] in codes
