"""The witness: answers as C2SP tlog-witness says, remembers before it answers, and follows no second history."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from evidence.add_checkpoint import AddCheckpoint
from evidence.checkpoint import Checkpoint, WitnessPolicy, sign_checkpoint, verify_checkpoint
from evidence.merkle import consistency_proof, leaf_hash, root_of
from evidence.note import Note, NoteSignature, NoteSigner, SignatureType, VerifierKey
from tests.evidence.chains import ed25519_key
from tests.support.ports import free_port, wait_for_port
from witness.app import create_app
from witness.errors import WitnessSettingsError
from witness.keyfile import load_or_create
from witness.memory import Memory
from witness.witness import KnownLog, Witness

ORIGIN = "example.com/ledger"
LOG = NoteSigner(ORIGIN, SignatureType.ED25519, ed25519_key(3))
SIGNER = NoteSigner("witness.example", SignatureType.COSIGNATURE_V1, ed25519_key(4))
LEAVES = [leaf_hash(bytes([n])) for n in range(40)]
OTHER = [*LEAVES[:3], leaf_hash(b"rewritten"), *LEAVES[4:]]
NOW = 1_800_000_000.7


def note(size: int, leaves: list[bytes] = LEAVES, signer: NoteSigner = LOG, origin: str = ORIGIN) -> Note:
    return sign_checkpoint(Checkpoint(origin, size, root_of(leaves[:size])), signer)


def body(old: int, signed: Note, proof: tuple[bytes, ...] | None = None, leaves: list[bytes] = LEAVES) -> bytes:
    size = int(signed.text.split("\n")[1])
    steps = consistency_proof(old, size, leaves) if proof is None else proof
    lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in steps)
    return f"old {old}\n{lines}\n".encode() + signed.encode()


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    memory = Memory(tmp_path / "witness.sqlite")
    yield Witness(SIGNER, [KnownLog(ORIGIN, (LOG.public,))], memory, lambda: NOW)
    memory.close()


@pytest.fixture
def client(witness: Witness) -> Iterator[TestClient]:
    with TestClient(create_app(witness)) as one:
        yield one


def post(client: TestClient, data: bytes) -> httpx.Response:
    return client.post("/add-checkpoint", content=data)  # type: ignore[return-value]


def test_what_has_grown_is_cosigned_again_and_again(client: TestClient) -> None:
    for old, new in ((0, 5), (5, 5), (5, 13), (13, 40)):
        answer = post(client, body(old, note(new)))
        assert answer.status_code == 200
        line = NoteSignature.parse(answer.text.removesuffix("\n"))
        cosigned = note(new).adding(line).encode()
        assert verify_checkpoint(cosigned, ORIGIN, LOG.public, WitnessPolicy((SIGNER.public,), 1)).size == new
        assert Note.decode(cosigned).verify(SIGNER.public) == int(NOW)
    about = client.get("/").json()
    assert about["vkey"] == SIGNER.public.text() and about["ledgers"][0]["size"] == 40


def test_another_old_size_is_answered_with_the_one_remembered(client: TestClient) -> None:
    post(client, body(0, note(5)))
    for old, new in ((0, 13), (4, 13), (0, 5), (6, 13)):
        answer = post(client, body(old, note(new)))
        assert (answer.status_code, answer.text) == (409, "5\n")
        assert answer.headers["content-type"] == "text/x.tlog.size"


def test_a_second_history_is_refused(client: TestClient) -> None:
    post(client, body(0, note(5)))
    same_size = post(client, body(5, note(5, OTHER), ()))
    assert same_size.status_code == 409 and "two histories" in same_size.text
    assert post(client, body(5, note(13, OTHER), leaves=OTHER)).status_code == 422
    assert post(client, body(5, note(13), ())).status_code == 422
    assert post(client, body(5, note(13), (*consistency_proof(5, 13, LEAVES), bytes(32)))).status_code == 422
    assert client.get("/").json()["ledgers"][0]["size"] == 5


def test_an_unknown_ledger_and_an_unknown_key_are_refused(client: TestClient) -> None:
    elsewhere = NoteSigner("example.com/other", SignatureType.ED25519, ed25519_key(3))
    assert post(client, body(0, note(5, signer=elsewhere, origin="example.com/other"))).status_code == 404
    stranger = NoteSigner(ORIGIN, SignatureType.ED25519, ed25519_key(9))
    assert post(client, body(0, note(5, signer=stranger))).status_code == 403
    forged = note(5)
    forged = Note(forged.text, (NoteSignature(ORIGIN, LOG.public.id, bytes(64)),))
    assert post(client, body(0, forged)).status_code == 403
    assert post(client, body(0, note(5).adding(*note(5, signer=stranger).signatures))).status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 0\n",
        b"old 0\n\n",
        b"old -1\n\n" + note(5).encode(),
        b"old 00\n\n" + note(5).encode(),
        b"new 0\n\n" + note(5).encode(),
        b"old 6\n\n" + note(5).encode(),
        b"old 3\nAAAA\n\n" + note(5).encode(),
        b"old 3\n" + b"A" * 43 + b"=" + b"\n" + b"\xff\n\n" + note(5).encode(),
        b"old 3\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + note(5).encode(),
        b"old 0\n\n" + note(5).encode()[:-1],
        b"old 0\n\n" + note(5).encode().replace(b"\n5\n", b"\n05\n"),
        b"x" * 1_020_000,
    ],
)
def test_what_cannot_be_read_is_a_bad_request(client: TestClient, data: bytes) -> None:
    assert post(client, data).status_code == 400


def test_of_two_at_once_one_is_cosigned(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race of tlog-witness: a smaller checkpoint must not come after a larger one."""
    check = Witness._check_growth

    def slowly(self: Witness, asked: AddCheckpoint) -> None:
        check(self, asked)
        time.sleep(0.05)  # time enough for the others to look at the same state

    monkeypatch.setattr(Witness, "_check_growth", slowly)
    with TestClient(create_app(witness)) as client:
        post(client, body(0, note(5)))
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda size=size: answers.append(post(client, body(5, note(size))).status_code))
            for size in range(6, 16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [200] + [409] * 9


def test_what_failed_is_not_remembered(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(NoteSigner, "cosign", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            witness.add_checkpoint(body(0, note(5)))
    assert witness.memory.all() == []
    witness.add_checkpoint(body(0, note(6)))


def start(data: Path, port: int) -> subprocess.Popen[bytes]:
    program = "from zaigang.cli import main; main()"
    arguments = ["witness", "run", "--data", str(data), "--name", "witness.example/council", "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments, "--log", LOG.public.text()])
    wait_for_port(port, 90)
    return process


def test_a_killed_witness_still_knows_what_it_cosigned(tmp_path: Path) -> None:
    port = free_port()
    process = start(tmp_path, port)
    try:
        assert httpx.post(f"http://127.0.0.1:{port}/add-checkpoint", content=body(0, note(13))).status_code == 200
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process = start(tmp_path, port)
        again = httpx.post(f"http://127.0.0.1:{port}/add-checkpoint", content=body(13, note(20, OTHER), leaves=OTHER))
        assert again.status_code == 422
        good = httpx.post(f"http://127.0.0.1:{port}/add-checkpoint", content=body(13, note(20)))
        key = VerifierKey.parse(httpx.get(f"http://127.0.0.1:{port}/").json()["vkey"])
        assert note(20).adding(NoteSignature.parse(good.text.removesuffix("\n"))).verify(key) is not None
    finally:
        process.terminate()
        process.wait(20)


def test_a_witness_keeps_its_key_and_its_name(tmp_path: Path) -> None:
    path = tmp_path / "data" / "witness.skey"
    with pytest.raises(WitnessSettingsError, match="needs a name"):
        load_or_create(path, None)
    made = load_or_create(path, "witness.example/a")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create(path, None).public == made.public
    with pytest.raises(WitnessSettingsError, match="part of its key"):
        load_or_create(path, "witness.example/b")
    path.chmod(0o644)
    with pytest.raises(WitnessSettingsError, match="chmod 600"):
        load_or_create(path, None)
    path.chmod(0o600)
    path.write_text("garbage")
    with pytest.raises(WitnessSettingsError):
        load_or_create(path, None)
