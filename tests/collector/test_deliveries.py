"""The way without a broker: files and HTTPS batches enter as from the broker, again is harmless, garbage is named."""

from __future__ import annotations

import json
import random
from pathlib import Path

from collector.ingest.deliveries import read_lines
from evidence.receipt import read_receipt
from tests.collector.conftest import Api, Bench
from tests.collector.held import entries_of
from tests.collector.process import command
from tests.collector.terminal import Terminal


def jsonl(folder: Path, *lines: bytes, name: str = "gate-1.jsonl") -> Path:
    file = folder / name
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def test_a_delivery_enters_once_and_again_is_known(bench: Bench, terminal: Terminal) -> None:
    lines = [terminal.enrol(), *(terminal.punch() for _ in range(600))]
    first = bench.services.deliveries.take(lines, "stick")
    assert (first.lines, first.outcomes["admitted"], first.whole) == (601, 601, True)
    (answer,) = first.receipts.values()
    receipt = read_receipt(answer.payload, bench.keys.receipt.public, terminal.device)
    assert terminal.head is not None
    assert (receipt.upto, receipt.head) == (600, terminal.head.hash)
    again = bench.services.deliveries.take(lines, "stick")
    assert dict(again.outcomes) == {"known": 601}
    assert bench.services.ledger.size() == 601


def test_any_order_and_what_is_missing_waits(bench: Bench, terminal: Terminal) -> None:
    lines = [terminal.enrol(), *(terminal.punch() for _ in range(5))]
    done = bench.services.deliveries.take([lines[3], lines[0], lines[1]], "stick")
    assert dict(done.outcomes) == {"waiting": 1, "admitted": 2}
    assert bench.services.deliveries.take(lines, "stick").whole
    assert bench.seqs(terminal) == 6


def test_cut_garbled_and_foreign_lines_are_dead_letters_and_the_others_enter(
    bench: Bench, terminal: Terminal, tmp_path: Path
) -> None:
    stranger, forger = Terminal("stranger"), Terminal(key=Terminal().key, chain=terminal.chain)
    good = [terminal.enrol(), terminal.punch(), terminal.punch()]
    dice = random.Random(3)
    bad = [good[1][:200], dice.randbytes(300).replace(b"\n", b" "), b"x" * 200_000, stranger.enrol(), forger.enrol()]
    file = jsonl(tmp_path, good[0], bad[0], bad[1], good[1], bad[2], bad[3], bad[4], good[2])
    with file.open("rb") as opened:
        done = bench.services.deliveries.take(read_lines(opened), file.name)
    assert done.lines == 8
    assert dict(done.outcomes) == {"admitted": 3, "refused": 5}
    assert {"too_large", "unknown_device", "unknown_key"} <= set(done.refusals)
    letters = bench.services.dead_letters.page(None, 100)
    assert len(letters) == 5
    assert "gate-1.jsonl line 2" in {letter.topic for letter in letters}


def test_the_command_line_takes_files_says_what_came_of_them_and_writes_receipts_back(
    bench: Bench, terminal: Terminal, tmp_path: Path
) -> None:
    lines = [terminal.enrol(), terminal.punch(), terminal.punch()]
    stick = tmp_path / "stick"
    stick.mkdir()
    good, cut = jsonl(stick, *lines), jsonl(stick, *lines, name="cut.jsonl")
    cut.write_bytes(cut.read_bytes()[:-100])
    empty = jsonl(stick, name="empty.jsonl")
    data = bench.settings.data
    done = command("import", str(good), "--json", data=data)
    (row,) = json.loads(done.stdout)
    assert (row["admitted"], row["error"]) == (3, None)
    (receipt,) = Path(row["receipts"]).read_bytes().splitlines()
    assert read_receipt(receipt, bench.keys.receipt.public, terminal.device).upto == 2
    assert Path(row["receipts"]).parent == stick
    again = command("import", str(cut), str(empty), str(stick / "none.jsonl"), "--json", data=data, check=False)
    assert again.returncode == 1
    rows = json.loads(again.stdout)
    assert (rows[0]["known"], rows[0]["refused"]) == (2, 1)
    assert rows[1]["error"].startswith("the file is empty")
    assert rows[2]["error"].startswith("the file cannot be read")
    table = command("import", str(good), data=data).stdout
    assert "admitted" in table and "gate-1.jsonl" in table
    assert entries_of(bench.database, terminal.device) == 3


def test_a_batch_over_https_needs_a_key_and_answers_with_receipts(bench: Bench, terminal: Terminal, api: Api) -> None:
    body = b"\n".join([terminal.enrol(), terminal.punch(), b"garbage"])
    url = "/api/v1/events"
    assert api.client.post(url, content=body).status_code == 401
    assert api.client.post(url, content=body, headers=api.read).status_code == 403
    answer = api.client.post(url, content=body, headers={**api.write, "Content-Type": "text/plain"})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["outcomes"] == {"admitted": 2, "refused": 1}
    (receipt,) = said["receipts"]
    assert read_receipt(receipt.encode(), bench.keys.receipt.public, terminal.device).upto == 1
    flood = api.client.post(url, content=b"x" * (5 << 20), headers=api.write)
    assert (flood.status_code, flood.json()["error"]["code"]) == (413, "too_large")
