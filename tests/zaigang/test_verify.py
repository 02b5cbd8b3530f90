"""`zaigang verify`: what it says of good chains, broken ones and what is no chain at all."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.receipt import PunchReceipt, Receipt, sign_receipt
from tests.evidence.chains import CHAIN, a_chain, an_event, ed25519_key
from zaigang.cli import SUBCOMMANDS, load

KEY, OLD, COLLECTOR = ed25519_key(1), ed25519_key(2), ed25519_key(9)
VERIFY = load(next(one for one in SUBCOMMANDS if one.name == "verify"))
TIME = "2026-03-01T09:00:00.000Z"


class Desk:
    """An arbitrator's desk: a folder with a trust file and exported chains."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chain = a_chain(8, KEY)
        self.trust({"devices": {"gate-1": [KEY.public.text()]}, "collector": {"receipt": COLLECTOR.public.text()}})
        self.export(self.chain)

    def trust(self, content: object) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / "trust.json").write_text(text)

    def export(self, chain: list[Envelope], name: str = "chain.jsonl") -> None:
        self.write(b"".join(envelope.encode() + b"\n" for envelope in chain), name)

    def write(self, data: bytes, name: str = "chain.jsonl") -> None:
        (self.folder / name).write_bytes(data)

    def read(self, name: str = "chain.jsonl") -> bytes:
        return (self.folder / name).read_bytes()

    def receipt(self, upto: int, head: str, name: str = "receipt.json") -> str:
        said = Receipt(device="gate-1", chain=CHAIN, upto=upto, head=head, tree_size=99, time=TIME)
        self.write(sign_receipt(said, COLLECTOR) + b"\n", name)
        return str(self.folder / name)

    def verify(self, *args: str, files: tuple[str, ...] = ("chain.jsonl",)) -> tuple[int, str]:
        paths = [str(self.folder / name) for name in files]
        done = CliRunner().invoke(VERIFY, [*paths, "--trust", str(self.folder / "trust.json"), *args])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    def judge(self, *args: str, files: tuple[str, ...] = ("chain.jsonl",)) -> tuple[int, Any]:
        code, output = self.verify("--json", *args, files=files)
        return code, json.loads(output)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _problems(result: Any) -> list[tuple[int, int | None, str]]:
    return [(one["line"], one["seq"], one["code"]) for one in result["files"][0]["problems"]]


def test_a_whole_chain_holds_and_says_so_in_both_languages(desk: Desk) -> None:
    code, output = desk.verify()
    assert code == 0
    assert "Everything holds: 8 events in 1 chain(s)" in output
    assert "全部成立：1 条链，8 个事件" in output
    assert "only a receipt can show" in output
    for shown in ("gate-1", CHAIN[:8], "2026-03-01 08:00:00Z", "2026-03-01 08:00:07Z", "noted 7", "seq 7"):
        assert shown in output


def test_the_same_as_json(desk: Desk) -> None:
    code, result = desk.judge()
    assert (code, result["ok"], result["receipts"]) == (0, True, [])
    (file,) = result["files"]
    assert file["head"] == {"seq": 7, "hash": desk.chain[-1].hash}
    assert file["kinds"] == {"device.enrolled": 1, "noted": 7}
    assert (file["device"], file["chain"], file["events"], file["problems"]) == ("gate-1", CHAIN, 8, [])


def test_a_last_line_without_a_line_feed_is_whole(desk: Desk) -> None:
    desk.write(desk.read().removesuffix(b"\n"))
    assert desk.verify()[0] == 0


Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda lines: lines[:3] + lines[4:], [(4, 4, "gap")]),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], [(4, 2, "replay")]),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], [(4, 4, "gap"), (5, 3, "out_of_order")]),
        (lambda lines: [*lines[:3], b"", *lines[3:]], [(4, None, "not_json")]),
        (lambda lines: [*lines[:3], b"\x00\xff\x1b[2J", *lines[3:]], [(4, None, "not_json")]),
        (lambda lines: [*lines[:3], b"{}", *lines[3:]], [(4, None, "invalid_envelope")]),
        (lambda lines: [*lines[:3], b"x" * 3_000_000, *lines[3:]], [(4, None, "too_large")]),
        (lambda lines: [*lines[:3], lines[3] + b"\r", *lines[4:]], [(4, None, "not_canonical"), (5, 4, "gap")]),
        (lambda lines: lines[1:], [(1, 1, "gap")]),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    desk: Desk, change: Change, wanted: list[tuple[int, int | None, str]]
) -> None:
    desk.write(b"\n".join(change(desk.read().splitlines())) + b"\n")
    code, result = desk.judge()
    assert (code, _problems(result)) == (1, wanted)
    code, output = desk.verify()
    assert code == 1
    for line, _, name in wanted:
        assert f"line {line} " in output and f"[{name}]" in output
    assert f"不成立：发现 {len(wanted)} 处问题" in output


def test_a_line_that_is_cut_off_at_the_end_is_named_so(desk: Desk) -> None:
    desk.write(desk.read()[:-20])
    code, output = desk.verify()
    assert code == 1
    assert "line 8 [not_json] the file ends in the middle of this line" in output


def test_any_byte_changed_in_the_file_is_noticed(desk: Desk) -> None:
    data = desk.read()
    for place in range(0, len(data), 97):
        desk.write(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        code, result = desk.judge()
        assert code == 1, place
        assert result["files"][0]["problems"][0]["line"] == data[:place].count(b"\n") + 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"\x00\x01\x02\xff" * 1000, "no line of the file is an envelope"),
        (b"\n\n\n", "no line of the file is an envelope"),
        (b"\x1f\x8b\x08\n\x80", "no line of the file is an envelope"),
        (b"x" * 5_000_000, "no line of the file is an envelope"),
    ],
)
def test_what_is_no_chain_at_all_could_not_be_read(desk: Desk, data: bytes, says: str) -> None:
    desk.write(data)
    code, output = desk.verify()
    assert code == 2
    assert says in output
    assert "未能核验" in output


def test_a_file_that_is_not_there_could_not_be_read(desk: Desk) -> None:
    code, output = desk.verify(files=("nothing.jsonl",))
    assert code == 2
    assert "No such file" in output
    assert desk.verify(files=(".",))[0] == 2


def test_garbage_is_counted_not_listed(desk: Desk) -> None:
    desk.write(desk.read() + b"garbage\n" * 5000)
    code, result = desk.judge()
    assert code == 1
    assert len(result["files"][0]["problems"]) + result["files"][0]["more_problems"] == 5000
    assert len(desk.verify()[1]) < 50_000


def test_memory_stays_bounded_whatever_the_line(desk: Desk) -> None:
    size = 256 * 1024 * 1024
    with (desk.folder / "chain.jsonl").open("wb") as file:
        file.truncate(size)  # sparse: one line of zeros
    limit = """
import resource, sys
from zaigang.cli import main
resource.setrlimit(resource.RLIMIT_DATA, (192 * 1024 * 1024, 192 * 1024 * 1024))
main()
"""
    command = [sys.executable, "-c", limit, "verify", str(desk.folder / "chain.jsonl"), "--trust"]
    done = subprocess.run(
        [*command, str(desk.folder / "trust.json")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "[too_large]" in done.stdout


def test_what_a_file_says_cannot_steer_the_readers_terminal(desk: Desk) -> None:
    line = json.loads(desk.chain[0].encode())
    line["payloadType"] = "\x1b[2J\x1b]0;pwned\x07[red]"
    envelope = sign("[bold]x", b"{}", KEY)
    lines = [
        desk.read().removesuffix(b"\n"),
        json.dumps(line).encode(),
        b'{"\x1b[31m":1,"\x1b[31m":2}',
        envelope.encode(),
    ]
    desk.write(b"\n".join(lines) + b"\n")
    code, output = desk.verify()
    assert code == 1
    assert "\x1b" not in output and "\x07" not in output
    desk.write(b"garbage", "\x1b[2J.jsonl")
    assert "\x1b" not in desk.verify(files=("chain.jsonl", "\x1b[2J.jsonl"))[1]
    desk.trust({"devices": {"\x1b[2J": [KEY.public.text()]}})
    code, output = desk.verify()
    assert code == 2
    assert "\x1b" not in output


def test_two_chains_in_one_file_are_named(desk: Desk) -> None:
    desk.trust({"devices": {"gate-1": [KEY.public.text()], "gate-2": [OLD.public.text()]}})
    theirs = a_chain(2, OLD, device="gate-2", chain="d0" * 16)
    desk.export([*desk.chain, *theirs])
    code, result = desk.judge()
    assert (code, _problems(result)) == (1, [(9, 0, "wrong_chain"), (10, 1, "wrong_chain")])
    desk.export(desk.chain)
    desk.export(theirs, "other.jsonl")
    code, result = desk.judge(files=("chain.jsonl", "other.jsonl"))
    assert code == 0
    assert [one["device"] for one in result["files"]] == ["gate-1", "gate-2"]


def test_each_chain_of_a_terminal_has_one_of_its_keys(desk: Desk) -> None:
    desk.trust({"devices": {"gate-1": [OLD.public.text(), KEY.public.text()]}})
    assert desk.verify()[0] == 0
    desk.export([*desk.chain, sign(EVENT_TYPE, an_event(8, desk.chain[-1].hash, OLD).payload(), OLD)])
    assert _problems(desk.judge()[1]) == [(9, 8, "unknown_key")]


def test_an_event_that_stands_but_cannot_be_read_is_mentioned(desk: Desk) -> None:
    odd = an_event(8, desk.chain[-1].hash, KEY, kind="punch.recorded", body={"worker": 7})
    desk.export([*desk.chain, sign(EVENT_TYPE, odd.payload(), KEY)])
    code, output = desk.verify()
    assert code == 0
    assert "1 event(s) stand, but this version cannot read what they say" in output


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ('{"devices":{"gate-1":[]},"devices":{}}', "stands twice"),
        ({}, "'devices' is missing"),
        ({"devices": {}}, "'devices' names no key"),
        ({"devices": {"gate-1": []}}, "'devices.gate-1' names no key"),
        ({"devices": {"gate-1": "ed25519:x"}}, "devices.gate-1: Input should be a valid list"),
        ({"devices": {"gate-1": ["ed25519:x"]}}, "devices.gate-1.0: "),
        ({"devices": {"gate-1": ["hunter2"]}}, "a public key is written"),
        ({"devices": {"Gate 1": [KEY.public.text()]}}, "Gate 1"),
        ({"devices": {"gate-1": [KEY.public.text()]}, "colector": {}}, "'colector' is not a field"),
        ({"devices": {"gate-1": [KEY.public.text()]}, "collector": {}}, "'collector.receipt' is missing"),
        ([], "the file: "),
    ],
)
def test_a_trust_file_that_cannot_be_used_says_where(desk: Desk, content: object, says: str) -> None:
    desk.trust(content)
    code, output = desk.verify()
    assert code == 2
    assert says in output
    assert len(output.splitlines()) == 1


def test_a_trust_file_that_is_not_there_says_so(desk: Desk) -> None:
    (desk.folder / "trust.json").unlink()
    code, output = desk.verify()
    assert code == 2
    assert "cannot be read: No such file" in output


def test_a_terminal_that_nobody_trusts_does_not_hold(desk: Desk) -> None:
    desk.trust({"devices": {"gate-9": [KEY.public.text()]}})
    code, result = desk.judge()
    assert code == 1
    assert {one[2] for one in _problems(result)} == {"unknown_key"}


def _punch_receipt(desk: Desk, at: int, **changes: Any) -> str:
    fields = {"device": "gate-1", "chain": CHAIN, "seq": at, "hash": desk.chain[at].hash, "time": TIME, **changes}
    return PunchReceipt(**fields).text(KEY)


def _receipt_code(result: Any) -> str | None:
    (one,) = result["receipts"]
    return one["problem"]["code"] if one["problem"] else None


def test_a_workers_receipt_is_found_in_its_chain(desk: Desk) -> None:
    code, output = desk.verify("--punch-receipt", _punch_receipt(desk, 5))
    assert code == 0
    assert f"receipt gate-1 seq 5 at {TIME}: holds" in output
    assert "1 receipt(s)" in output and "1 张回执" in output


def test_a_workers_receipt_shows_that_an_event_was_left_out(desk: Desk) -> None:
    text = _punch_receipt(desk, 7)
    desk.export(desk.chain[:7])  # the chain itself still holds
    assert desk.verify()[0] == 0
    code, result = desk.judge("--punch-receipt", text)
    assert (code, _receipt_code(result)) == (1, "omitted")
    code, output = desk.verify("--punch-receipt", text)
    assert "[omitted] gate-1 signed that event seq 7 exists" in output
    desk.export(desk.chain[:5] + desk.chain[6:])
    assert _receipt_code(desk.judge("--punch-receipt", _punch_receipt(desk, 5))[1]) == "omitted"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"hash": "ab" * 32}, "fork"),
        ({"chain": "d0" * 16}, "receipt_mismatch"),
        ({"device": "gate-7"}, "unknown_key"),
        ({"seq": 99}, "omitted"),
    ],
)
def test_a_workers_receipt_that_does_not_fit_is_named(desk: Desk, change: dict[str, Any], wanted: str) -> None:
    code, result = desk.judge("--punch-receipt", _punch_receipt(desk, 5, **change))
    assert (code, _receipt_code(result)) == (1, wanted)


def test_a_forged_workers_receipt_is_refused(desk: Desk) -> None:
    forged = PunchReceipt("gate-1", CHAIN, 5, desk.chain[5].hash, TIME).text(OLD)
    assert _receipt_code(desk.judge("--punch-receipt", forged)[1]) == "bad_signature"
    assert _receipt_code(desk.judge("--punch-receipt", "hello")[1]) == "receipt"
    assert _receipt_code(desk.judge("--punch-receipt", "x" * 1000)[1]) == "too_large"


def test_a_workers_receipt_signed_by_any_trusted_key_of_the_terminal_holds(desk: Desk) -> None:
    desk.trust({"devices": {"gate-1": [OLD.public.text(), KEY.public.text()]}})
    assert desk.verify("--punch-receipt", _punch_receipt(desk, 5))[0] == 0


def test_the_collectors_receipt_shows_an_end_that_was_cut_off(desk: Desk) -> None:
    path = desk.receipt(7, desk.chain[7].hash)
    assert desk.verify("--receipt", path)[0] == 0
    desk.export(desk.chain[:6])
    code, result = desk.judge("--receipt", path)
    assert (code, _receipt_code(result)) == (1, "omitted")


def test_a_receipt_of_the_collector_that_does_not_fit_is_named(desk: Desk) -> None:
    assert _receipt_code(desk.judge("--receipt", desk.receipt(7, "ab" * 32))[1]) == "receipt_mismatch"
    desk.write(
        sign_receipt(Receipt(device="gate-2", chain=CHAIN, upto=1, head="ab" * 32, tree_size=9, time=TIME), COLLECTOR),
        "r",
    )
    assert _receipt_code(desk.judge("--receipt", str(desk.folder / "r"))[1]) == "receipt_mismatch"
    desk.write(b"garbage", "r")
    assert _receipt_code(desk.judge("--receipt", str(desk.folder / "r"))[1]) == "not_json"
    desk.trust({"devices": {"gate-1": [KEY.public.text()]}})
    code, output = desk.verify("--receipt", desk.receipt(7, desk.chain[7].hash))
    assert code == 2
    assert "names no collector key" in output


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(desk: Desk) -> None:
    desk.export(a_chain(600, KEY))
    command = [sys.executable, "-m", "zaigang.cli", "verify", str(desk.folder / "chain.jsonl")]
    command += ["--trust", str(desk.folder / "trust.json")]
    quiet = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    leader, follower = pty.openpty()
    try:
        shown = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=follower, env={**os.environ, "TERM": "xterm"}
        )
        os.close(follower)
        drawn = _read_all(leader)
        assert shown.wait(60) == 0
    finally:
        os.close(leader)
    assert b"chain.jsonl" in drawn


def _read_all(descriptor: int) -> bytes:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # the other side is closed
            return b"".join(parts)
        if not part:
            return b"".join(parts)
        parts.append(part)
