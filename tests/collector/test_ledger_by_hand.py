"""docs/ledger.md: what it has people type finds a good checkpoint and proof good, and a changed one bad."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from collector.app import Collector
from collector.errors import NotFound
from collector.ledger.anchors import load_roots
from collector.ledger.fsck import check_ledger
from collector.settings import load_settings
from evidence.checkpoint import WitnessPolicy, verify_checkpoint
from evidence.errors import EvidenceError
from evidence.note import VerifierKey
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.collector.test_delivery import register
from tests.collector.test_witnessed import RunningWitness
from tests.collector.wire import connected
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.timestamp_authority import TimestampAuthority
from tests.support.waiting import eventually

DOC = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
CHECK_CHECKPOINT, CHECK_PROOF = re.findall(r"^```bash\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)


def bash(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def filled(bench: Bench, terminal: Terminal) -> Bench:
    bench.offer(terminal, terminal.enrol(), *(terminal.punch() for _ in range(12)))
    bench.services.checkpoints.sign()
    return bench


def test_a_checkpoint_checked_with_openssl(filled: Bench, tmp_path: Path) -> None:
    note = filled.services.proofs.checkpoint()
    key = filled.services.checkpoints.signer.public.text()
    path = tmp_path / "checkpoint.txt"
    path.write_bytes(note)
    good = bash(CHECK_CHECKPOINT, tmp_path, CHECKPOINT=str(path), LOG_KEY=key)
    assert good.returncode == 0 and "Verified Successfully" in good.stdout
    path.write_bytes(note.replace(b"\n13\n", b"\n14\n"))
    assert bash(CHECK_CHECKPOINT, tmp_path, CHECKPOINT=str(path), LOG_KEY=key).returncode != 0


@pytest.mark.parametrize("index", [0, 7, 8, 11, 12])
def test_a_proof_checked_with_openssl(filled: Bench, tmp_path: Path, index: int) -> None:
    path = tmp_path / "entry.tlog-proof"
    path.write_bytes(filled.services.proofs.entry(index).encode())
    entry = filled.services.ledger.entry(index)
    good = bash(CHECK_PROOF, tmp_path, PROOF=str(path), LEAF_DATA=entry.leaf_data.hex())
    assert (good.returncode, good.stdout) == (0, "it stands\n"), good.stderr
    other = filled.services.ledger.entry((index + 1) % 13).leaf_data.hex()
    assert bash(CHECK_PROOF, tmp_path, PROOF=str(path), LEAF_DATA=other).returncode == 1
    path.write_bytes(path.read_bytes().replace(b"\n13\n", b"\n29\n"))
    assert bash(CHECK_PROOF, tmp_path, PROOF=str(path), LEAF_DATA=entry.leaf_data.hex()).returncode == 1


def test_a_running_collector_signs_has_it_cosigned_and_stamped(mosquitto: Mosquitto, tmp_path: Path) -> None:
    authority = TimestampAuthority(tmp_path / "tsa")
    terminal = Terminal()
    base = load_settings(data=tmp_path / "running", broker=f"mqtt://127.0.0.1:{mosquitto.port}")
    first = Collector(base)  # only to make its keys
    log = first.services.checkpoints.signer.public
    first.database.close()
    witness = RunningWitness(tmp_path / "witness", log.text(), "witness.example/council", free_port()).start()
    at = witness.at()
    settings = base.model_copy(
        update={
            "checkpoint_every_s": 0.2,
            "anchor_every_s": 1.0,
            "witnesses": [{"key": at.key.text(), "url": at.url}],
            "tsa_url": authority.url,
            "tsa_ca": authority.ca,
        }
    )
    settings = load_settings(**settings.model_dump(exclude={"mqtt_password"}, warnings=False))
    collector = Collector(settings)
    register(collector, terminal)
    collector.start()
    try:
        with connected(terminal, mosquitto.port) as wire:
            wire.send(terminal.enrol(), *(terminal.punch() for _ in range(5)))
            wire.receipt_upto(5, collector.keys.receipt.public, 60)
        policy = WitnessPolicy((VerifierKey.parse(at.key.text()),), 1)

        def witnessed() -> bool:
            try:
                note = collector.services.proofs.checkpoint()
                return verify_checkpoint(note, log.name, log, policy).size >= 6  # what the collector states itself too
            except (EvidenceError, NotFound):  # not cosigned, not even signed yet
                return False

        eventually(witnessed)

        def checked() -> bool:
            report = check_ledger(collector.database, collector.keys.seal, log, load_roots(authority.ca))
            assert report.difference is None
            return report.cosignatures >= 1 and report.anchors >= 1

        eventually(checked)
        assert collector.health().checkpoints.state == "ok"
        eventually(lambda: collector.health().attestations.state == "ok")
        witness.stop()
        with connected(terminal, mosquitto.port) as wire:
            wire.send(terminal.punch())
            wire.receipt_upto(6, collector.keys.receipt.public, 60)
        eventually(lambda: collector.health().attestations.reason.startswith("the last round failed: witnesses"), 60)
        assert collector.health().status == "ok"  # a witness that is away keeps nobody from punching
    finally:
        collector.stop()
        witness.stop()
        authority.stop()
