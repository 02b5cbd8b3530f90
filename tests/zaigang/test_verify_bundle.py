"""`zaigang verify BUNDLE`: exit codes, what is named, receipts, for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evidence.receipt import Receipt, sign_receipt
from tests.evidence.bundles import RECEIPT, Site, a_day, a_day_with_holes, bundle
from zaigang.cli import SUBCOMMANDS, load

VERIFY = load(next(one for one in SUBCOMMANDS if one.name == "verify"))


class Desk:
    """A folder with a bundle and a trust file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, a_day()
        self.write(bundle(self.site.parts()))
        self.trust(json.loads(self.site.trust().model_dump_json()))

    def write(self, data: bytes, name: str = "bundle.zip") -> Path:
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def trust(self, content: Any) -> None:
        (self.folder / "trust.json").write_text(json.dumps(content))

    def verify(self, *args: str, name: str = "bundle.zip") -> tuple[int, str]:
        done = CliRunner().invoke(VERIFY, [str(self.folder / name), "--trust", str(self.folder / "trust.json"), *args])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_bundle_holds_and_says_so_in_both_languages(desk: Desk) -> None:
    code, output = desk.verify()
    assert code == 0, output
    assert "Everything holds: 9 events in 2 chain(s), 4 attempts to punch" in output
    assert "全部成立" in output
    assert "W-2" in output


def test_the_same_as_json(desk: Desk) -> None:
    code, output = desk.verify("--json")
    answer = json.loads(output)
    assert code == 0 and answer["ok"]
    (one,) = answer["bundles"]
    assert (one["events"], one["tree_size"], len(one["punches"]), one["problems"]) == (9, 9, 4, [])


def test_what_was_erased_or_given_up_is_named_with_the_collectors_word(desk: Desk) -> None:
    desk.write(bundle(a_day_with_holes()[1]))
    code, output = desk.verify()
    assert code == 0, output
    assert "gate-1: seq 2: erased, a tombstone stands (ledger entry 11, 2026-03-01T00:58" in output
    assert "gate-1: 序号 6 至 7：考勤中心声明永久缺失（账本第 10 条，" in output and "unreadable" in output
    (one,) = json.loads(desk.verify("--json")[1])["bundles"]
    runs = next(chain["given_up"] for chain in one["chains"] if chain["device"] == "gate-1")
    assert [(run["kind"], run["first"], run["last"], run["by"]) for run in runs] == [
        ("erased", 2, 2, 11),
        ("missing", 6, 7, 10),
    ]


@pytest.mark.parametrize("at", [0, 20, 600, 4000, -10])
def test_a_changed_byte_does_not_hold_and_is_named(desk: Desk, at: int) -> None:
    data = bytearray(bundle(desk.site.parts()))
    data[at] ^= 1
    desk.write(bytes(data))
    code, output = desk.verify("--json")
    assert code == 1
    assert json.loads(output)["bundles"][0]["problems"][0]["code"]
    assert "does not hold" in desk.verify()[1]


def test_a_receipt_resolves_to_its_inclusion_proof(desk: Desk) -> None:
    text = desk.site.receipt(desk.site.entries[2])
    code, output = desk.verify("--receipt", text, "--json")
    (found,) = json.loads(output)["bundles"][0]["receipts"]
    assert code == 0
    assert found["leaf_index"] == 2 and len(found["proof"]) == 4


def test_a_receipt_proves_that_the_operator_left_the_punch_out(desk: Desk) -> None:
    site = a_day()
    text = site.receipt(site.entries[8])
    del site.entries[8]
    site.heads["gate-1"] = (site.entries[6].seq, site.entries[6].hash)
    desk.write(bundle(site.parts()))
    assert desk.verify()[0] == 0
    code, output = desk.verify("--receipt", text)
    assert code == 1
    assert "[omitted]" in output


def test_a_collectors_receipt_shows_that_the_end_was_cut_off(desk: Desk) -> None:
    path = desk.folder / "receipt.json"
    site = desk.site
    path.write_bytes(_receipt(site, site.entries[8].hash, 5))
    assert desk.verify("--receipt", str(path))[0] == 0
    path.write_bytes(_receipt(site, "ab" * 32, 9))
    code, output = desk.verify("--receipt", str(path))
    assert code == 1 and "[omitted]" in output


def test_a_trust_file_for_chains_alone_says_what_is_missing(desk: Desk) -> None:
    desk.trust({"devices": {"gate-1": [RECEIPT.public.text()]}})
    code, output = desk.verify()
    assert code == 2
    assert "origin" in output


def test_the_same_trust_file_serves_a_chain(desk: Desk) -> None:
    chain = b"".join(leaf.envelope + b"\n" for leaf in desk.site.entries if leaf.device == "gate-1")
    desk.write(chain, "chain.jsonl")
    code, output = desk.verify(name="chain.jsonl")
    assert code == 0, output


def test_what_a_bundle_says_cannot_steer_the_readers_terminal(desk: Desk) -> None:
    site = a_day()
    site.append("gate-1", "punch.recorded", {"worker": "\x1b[2J"}, minute=59)
    desk.write(bundle(site.parts()))
    assert "\x1b[2J" not in desk.verify()[1]


def _receipt(site: Site, head: str, upto: int) -> bytes:
    said = Receipt(
        device="gate-1", chain=site.chains["gate-1"], upto=upto, head=head, tree_size=9, time="2026-03-01T09:00:00.000Z"
    )
    return sign_receipt(said, RECEIPT) + b"\n"
