"""Checkpoints: one follows every growth, none contradicts another, whatever was done to the database."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from collector.errors import LedgerRewritten, SettingsError
from collector.ledger.checkpoints import Checkpoints, log_signer
from collector.ledger.fsck import LedgerReport, check_ledger
from collector.services import build_services, open_database
from evidence.checkpoint import Checkpoint, verify_checkpoint, verify_growth
from evidence.merkle import leaf_hash, root_of
from evidence.tlog_proof import TlogProof
from tests.collector.conftest import Api, Bench
from tests.collector.process import command
from tests.collector.terminal import Terminal


def fill(bench: Bench, terminal: Terminal, *sizes: int) -> list[Checkpoint]:
    """Grow the ledger to each size and sign it there."""
    signed = []
    for size in sizes:
        missing = size - bench.services.ledger.size()
        first = [terminal.enrol()] if terminal.head is None else []
        bench.offer(terminal, *first, *(terminal.punch() for _ in range(missing - len(first))))
        row = bench.services.checkpoints.sign()
        assert row is not None
        signed.append(read(bench, row.note))
    return signed


def read(bench: Bench, note: bytes) -> Checkpoint:
    signer = bench.services.checkpoints.signer
    return verify_checkpoint(note, signer.name, signer.public)


def fsck(bench: Bench) -> LedgerReport:
    return check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public)


def edit(bench: Bench, sql: str, *values: Any) -> None:
    with sqlite3.connect(bench.database.path) as connection:
        assert connection.execute(sql, values).rowcount >= 1
    connection.close()


@pytest.mark.both_databases
def test_a_checkpoint_follows_every_growth_and_every_one_keeps_the_one_before(bench: Bench, terminal: Terminal) -> None:
    assert bench.services.checkpoints.sign() is None  # nothing to say of an empty ledger
    signed = fill(bench, terminal, 1, 2, 3, 200, 256, 257, 300)
    assert [one.size for one in signed] == [1, 2, 3, 200, 256, 257, 300]
    assert bench.services.checkpoints.sign() is None
    for older in signed:
        for newer in signed:
            if older.size <= newer.size:
                verify_growth(older, newer, bench.services.proofs.growth(older.size, newer.size).proof)
    report = fsck(bench)
    assert report.difference is None and (report.checkpoints, report.tiles) == (7, 1)


@pytest.mark.both_databases
def test_every_entry_proves_under_every_checkpoint_that_covers_it(bench: Bench, terminal: Terminal) -> None:
    signed = fill(bench, terminal, 5, 270)
    signer = bench.services.checkpoints.signer
    for index in (0, 4, 5, 255, 256, 269):
        leaf = bench.services.ledger.entry(index).leaf_hash
        for checkpoint in signed:
            if index < checkpoint.size:
                text = bench.services.proofs.entry(index, checkpoint.size).encode()
                assert TlogProof.decode(text).verify(leaf, signer.name, signer.public) == checkpoint


@pytest.mark.both_databases
def test_two_processes_and_many_threads_sign_one_history(bench: Bench, terminal: Terminal) -> None:
    other = open_database(bench.settings)  # another process: its own connections, its own keepsake
    checkpoints = [
        bench.services.checkpoints,
        Checkpoints(other, bench.services.checkpoints.signer, bench.keys.seal, bench.settings.data / "other-keepsake"),
    ]
    bench.offer(terminal, terminal.enrol())
    failures: list[BaseException] = []

    def sign(one: Checkpoints) -> None:
        try:
            for _ in range(15):
                one.sign()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=sign, args=(one,)) for one in checkpoints * 2]
    for thread in threads:
        thread.start()
    for _ in range(30):
        bench.offer(terminal, terminal.punch())
    for thread in threads:
        thread.join()
    for one in checkpoints:
        one.sign()
    other.close()
    assert not failures
    report = fsck(bench)
    assert report.difference is None and report.checkpoints >= 2


@pytest.mark.both_databases
def test_a_crash_between_commit_and_checkpoint_leaves_nothing_out(bench: Bench, terminal: Terminal) -> None:
    (first,) = fill(bench, terminal, 10)
    bench.offer(terminal, *(terminal.punch() for _ in range(5)))
    bench.database.close()  # the process is gone: the entries are in, no checkpoint is
    database = open_database(bench.settings)
    services = build_services(bench.settings, database, bench.keys)
    row = services.checkpoints.sign()
    assert row is not None and row.size == 15
    verify_growth(first, read(bench, row.note), services.proofs.growth(10, 15).proof)
    database.close()


def test_a_checkpoint_that_did_not_commit_was_never_seen(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench, terminal, 10)
    bench.offer(terminal, terminal.punch())

    def crash(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("collector.ledger.checkpoints.checkpoint_seal", crash)
        with pytest.raises(KeyboardInterrupt):
            bench.services.checkpoints.sign()
    assert read(bench, bench.services.proofs.checkpoint()).size == 10
    assert read(bench, bench.settings.keepsake_path.read_bytes()).size == 10
    bench.offer(terminal, terminal.punch())
    row = bench.services.checkpoints.sign()
    assert row is not None and row.size == 12


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_entries SET leaf_hash = zeroblob(32) WHERE leaf_index = 3",
        "DELETE FROM ledger_entries WHERE leaf_index = 9",
        "DELETE FROM ledger_entries WHERE leaf_index >= 7",
    ],
)
def test_over_a_rewritten_history_nothing_more_is_signed(bench: Bench, terminal: Terminal, sql: str) -> None:
    fill(bench, terminal, 10)
    edit(bench, sql)
    edit(bench, "DELETE FROM punches WHERE leaf_index >= 7")
    other = Terminal("gate-2")
    bench.register(other)
    bench.offer(other, other.enrol(), other.punch())
    with pytest.raises(LedgerRewritten):
        bench.services.checkpoints.sign()
    newest = bench.services.checkpoints.newest()
    assert newest is not None and newest.size == 10


def test_deleting_the_checkpoints_too_does_not_help(bench: Bench, terminal: Terminal) -> None:
    fill(bench, terminal, 10)
    edit(bench, "UPDATE ledger_entries SET leaf_hash = zeroblob(32) WHERE leaf_index = 3")
    edit(bench, "DELETE FROM checkpoints")
    with pytest.raises(LedgerRewritten):
        bench.services.checkpoints.sign()


def test_a_checkpoint_put_in_by_hand_is_not_built_upon(bench: Bench, terminal: Terminal) -> None:
    fill(bench, terminal, 10)
    edit(bench, "UPDATE checkpoints SET note = replace(CAST(note AS TEXT), char(10) || '10', char(10) || '11')")
    bench.offer(terminal, terminal.punch())
    with pytest.raises(LedgerRewritten, match="not ours"):
        bench.services.checkpoints.sign()


def test_an_older_backup_put_back_is_noticed(bench: Bench, terminal: Terminal, tmp_path: Path) -> None:
    fill(bench, terminal, 10)
    bench.database.close()
    shutil.copy(bench.database.path, tmp_path / "backup")
    fill(bench, terminal, 20)
    bench.database.close()
    for path in bench.settings.data.glob("collector.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "backup", bench.database.path)
    with pytest.raises(LedgerRewritten, match="older backup"):
        bench.services.checkpoints.sign()


def test_the_ledgers_name_is_fixed_by_its_first_checkpoint(bench: Bench, terminal: Terminal) -> None:
    database, key = bench.database, bench.keys.checkpoint
    assert log_signer(database, key, "example.org/ledger").name == "example.org/ledger"
    with pytest.raises(SettingsError):
        log_signer(database, key, "two words")
    fill(bench, terminal, 3)
    name = bench.services.checkpoints.signer.name
    assert log_signer(database, key, None).name == log_signer(database, key, name).name == name
    with pytest.raises(SettingsError, match="set ledger_origin back"):
        log_signer(database, key, "example.org/ledger")


# --- fsck


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        ("UPDATE checkpoints SET size = 8 WHERE size = 9", ("checkpoints", "8", "size")),
        ("UPDATE checkpoints SET size = 0 WHERE size = 9", ("checkpoints", "0", "size")),
        ("UPDATE checkpoints SET size = 999 WHERE size = 300", ("checkpoints", "999", "size")),
        ("UPDATE checkpoints SET root = zeroblob(32) WHERE size = 9", ("checkpoints", "9", "root")),
        ("UPDATE checkpoints SET signed_at = '2020' WHERE size = 9", ("checkpoints", "9", "seal")),
        ("UPDATE checkpoints SET seal = zeroblob(32) WHERE size = 9", ("checkpoints", "9", "seal")),
        (
            "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 300) WHERE size = 9",
            ("checkpoints", "9", "size"),
        ),
        ("UPDATE checkpoints SET note = 'x' WHERE size = 9", ("checkpoints", "9", "note")),
        ("UPDATE ledger_tiles SET root = zeroblob(32)", ("ledger_tiles", "0/0", "root")),
        ("UPDATE ledger_tiles SET hashes = zeroblob(8192)", ("ledger_tiles", "0/0", "hashes")),
        ("UPDATE ledger_tiles SET hashes = CAST(hashes || 'x' AS BLOB)", ("ledger_tiles", "0/0", "hashes")),
        ("UPDATE ledger_tiles SET number = 1", ("ledger_tiles", "0/0", "number")),
        ("UPDATE ledger_tiles SET level = 1", ("ledger_tiles", "0/0", "number")),
        ("DELETE FROM ledger_tiles", ("ledger_tiles", "0/0", "number")),
        (
            "INSERT INTO ledger_tiles SELECT 0, 1, hashes, root FROM ledger_tiles",
            ("ledger_tiles", "0/1", "number"),
        ),
        (
            "INSERT INTO ledger_tiles SELECT 5, 0, hashes, root FROM ledger_tiles",
            ("ledger_tiles", "5/0", "number"),
        ),
        ("DELETE FROM ledger_entries WHERE leaf_index = 299", ("checkpoints", "300", "size")),
    ],
)
def test_fsck_names_what_was_changed(bench: Bench, terminal: Terminal, sql: str, where: tuple[str, str, str]) -> None:
    fill(bench, terminal, 9, 300)
    if "leaf_index = 299" in sql:
        edit(bench, "DELETE FROM punches WHERE leaf_index = 299")
    edit(bench, sql)
    found = fsck(bench).difference
    assert found is not None and (found.table, found.row, found.column) == where


def test_an_entry_replaced_with_everything_that_follows_from_it_is_found_by_the_signature(
    bench: Bench, terminal: Terminal
) -> None:
    """Somebody with the database, the seal key and the terminal's key, but without the checkpoint key."""
    fill(bench, terminal, 3)
    row = bench.services.checkpoints.newest()
    assert row is not None
    forged = Checkpoint(bench.services.checkpoints.signer.name, 3, root_of([leaf_hash(b"x")] * 3))
    note = forged.text().encode() + b"\n" + row.note.partition(b"\n\n")[2]
    edit(bench, "UPDATE checkpoints SET root = ?, note = ?", forged.root, note)
    found = fsck(bench).difference
    assert found is not None and (found.table, found.column) == ("checkpoints", "note")
    assert "bad_signature" in found.message


# --- over HTTP


def get(api: Api, path: str, **params: Any) -> Any:
    return api.client.get(path, params=params, headers=api.read)


@pytest.mark.both_databases
def test_anybody_rebuilds_the_tree_from_static_files(api: Api, bench: Bench, terminal: Terminal) -> None:
    client: TestClient = api.client
    assert client.get("/checkpoint").status_code == 404
    fill(bench, terminal, 300)
    answer = client.get("/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=2"
    checkpoint = read(bench, answer.content)
    full, partial = client.get("/tile/0/000"), client.get("/tile/0/001.p/44")
    assert "immutable" in full.headers["cache-control"] and full.headers["content-type"] == "application/octet-stream"
    data = full.content + partial.content
    leaves = [data[at : at + 32] for at in range(0, len(data), 32)]
    assert len(leaves) == 300 and root_of(leaves) == checkpoint.root
    assert client.get("/tile/1/000.p/1").content == root_of(leaves[:256])
    bundles = client.get("/tile/entries/000").content + client.get("/tile/entries/001.p/44").content
    assert [leaf_hash(bundles[at + 2 : at + 34]) for at in range(0, len(bundles), 34)] == leaves
    assert {bundles[at : at + 2] for at in range(0, len(bundles), 34)} == {b"\x00\x20"}


def test_what_no_checkpoint_covers_is_not_shown(api: Api, bench: Bench, terminal: Terminal) -> None:
    fill(bench, terminal, 300)
    bench.offer(terminal, *(terminal.punch() for _ in range(300)))
    for path in ("tile/0/001", "tile/0/001.p/45", "tile/entries/001", "tile/1/000.p/2", "tile/2/000.p/1", "tile/0/x"):
        answer = api.client.get(f"/{path}")
        assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"
    late = get(api, "/api/v1/ledger/entries/300/proof")
    assert (late.status_code, late.json()["error"]["code"]) == (404, "not_covered")
    assert get(api, "/api/v1/ledger/consistency", **{"from": 1, "to": 301}).status_code == 404
    # A partial tile of a smaller checkpoint stays what it was.
    before = api.client.get("/tile/0/001.p/44").content
    bench.services.checkpoints.sign()
    assert api.client.get("/tile/0/001.p/44").content == before
    assert api.client.get("/tile/0/001").content.startswith(before)


@pytest.mark.both_databases
def test_proofs_over_the_api(api: Api, bench: Bench, terminal: Terminal) -> None:
    older, newer = fill(bench, terminal, 7, 300)
    answer = get(api, "/api/v1/ledger/entries/299/proof")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    signer = bench.services.checkpoints.signer
    leaf = bench.services.ledger.entry(299).leaf_hash
    assert TlogProof.decode(answer.content).verify(leaf, signer.name, signer.public) == newer
    assert TlogProof.decode(get(api, "/api/v1/ledger/entries/3/proof", size=7).content).checkpoint.startswith(
        older.text().encode()
    )
    for path in ("entries/300/proof", "entries/3/proof?size=8"):
        assert api.client.get(f"/api/v1/ledger/{path}", headers=api.read).status_code == 404
    grown = get(api, "/api/v1/ledger/consistency", **{"from": 7}).json()
    assert (grown["older"]["size"], grown["newer"]["size"]) == (7, 300)
    assert get(api, "/api/v1/ledger/consistency", **{"from": 8, "to": 7}).status_code == 422
    page = get(api, "/api/v1/ledger/checkpoints", limit=1).json()
    assert page["items"][0]["size"] == 300
    (last,) = get(api, "/api/v1/ledger/checkpoints", limit=1, cursor=page["next"]).json()["items"]
    assert read(bench, last["note"].encode()) == older


# --- on the command line


def test_checkpoint_and_proof_on_the_command_line(bench: Bench, terminal: Terminal, tmp_path: Path) -> None:
    data = bench.settings.data
    empty = command("checkpoint", data=data, check=False)
    assert empty.returncode == 1 and "empty" in empty.stderr
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    printed = command("checkpoint", data=data)
    signer = bench.services.checkpoints.signer
    assert read(bench, printed.stdout.encode()).size == 2 and signer.public.text() in printed.stderr
    shown = json.loads(command("checkpoint", "--json", data=data).stdout)
    assert (shown["size"], shown["log"]) == (2, signer.public.text())
    out = tmp_path / "1.tlog-proof"
    command("proof", "1", "--out", str(out), data=data)
    leaf = bench.services.ledger.entry(1).leaf_hash
    assert TlogProof.decode(out.read_bytes()).verify(leaf, signer.name, signer.public).size == 2
    assert command("proof", "2", data=data, check=False).returncode == 1
    assert json.loads(command("fsck", "--json", data=data).stdout)["checkpoints"] == 1
