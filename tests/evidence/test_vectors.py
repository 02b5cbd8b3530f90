"""The published vectors: `evidence` agrees with every one, and they come out the same each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evidence.canonical import canonical, parse_canonical
from evidence.chain import ChainCheck
from evidence.checkpoint import WitnessPolicy, verify_checkpoint
from evidence.envelope import Envelope
from evidence.errors import ConsistencyFailed, EvidenceError, InclusionFailed, by_code
from evidence.keys import PublicKey
from evidence.merkle import leaf_hash, root_of, verify_consistency, verify_inclusion
from evidence.note import VerifierKey
from evidence.receipt import PunchReceipt, verify_receipt
from evidence.tlog_proof import TlogProof

SPEC = Path(__file__).parents[2] / "docs" / "spec"
VECTORS: dict[str, Any] = {path.stem: json.loads(path.read_text()) for path in (SPEC / "vectors").glob("*.json")}


def _cases(file: str, part: str) -> Any:
    return pytest.mark.parametrize("case", VECTORS[file][part], ids=_name)


def _name(case: dict[str, Any]) -> str:
    return str(case.get("name", case.get("private", "-".join(str(value)[:6] for value in case.values()))))


def _refused(case: dict[str, Any]) -> Any:
    kind = by_code(case["code"])
    assert kind is not None
    return pytest.raises(kind, check=lambda error: isinstance(error, EvidenceError) and error.code == case["code"])


def test_there_are_vectors_of_every_kind() -> None:
    here = {"canonical", "keys", "envelopes", "chains", "receipts", "punch_receipts", "merkle", "checkpoints"}
    terminal = {"events", "gap_requests", "commands", "authorisations", "clearances", "handovers", "joining"}
    assert set(VECTORS) == here | terminal  # the second half: test_terminal_vectors.py


def test_generating_them_again_gives_the_same_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SPEC / "generate_vectors.py"), str(tmp_path)], check=True, timeout=60)
    for name in VECTORS:
        assert (tmp_path / f"{name}.json").read_bytes() == (SPEC / "vectors" / f"{name}.json").read_bytes(), name


@_cases("canonical", "good")
def test_a_value_has_its_published_form(case: dict[str, Any]) -> None:
    assert canonical(case["value"]) == case["canonical"].encode()
    assert parse_canonical(case["canonical"].encode()) == case["value"]


@_cases("canonical", "bad")
def test_bytes_are_refused_with_the_published_code(case: dict[str, Any]) -> None:
    with _refused(case):
        parse_canonical(bytes.fromhex(case["hex"]))


@_cases("keys", "good")
def test_a_key_has_its_published_id(case: dict[str, Any]) -> None:
    key = PublicKey.parse(case["text"])
    assert (key.id, key.fingerprint, key.text()) == (case["id"], case["fingerprint"], case["text"])


@_cases("keys", "bad")
def test_a_bad_key_is_refused(case: dict[str, Any]) -> None:
    with _refused(case):
        PublicKey.parse(case["text"])


def _read(case: dict[str, Any]) -> Envelope:
    envelope = Envelope.decode(case["envelope"].encode())
    envelope.verify_all([PublicKey.parse(text) for text in case["keys"]], case["payloadType"])
    return envelope


@_cases("envelopes", "good")
def test_an_envelope_is_read_as_published(case: dict[str, Any]) -> None:
    envelope = _read(case)
    assert (envelope.payload.hex(), envelope.hash) == (case["payload_hex"], case["hash"])


@_cases("envelopes", "bad")
def test_a_bad_envelope_is_refused_with_the_published_code(case: dict[str, Any]) -> None:
    with _refused(case):
        _read(case)


@_cases("chains", "cases")
def test_a_chain_has_the_published_problems(case: dict[str, Any]) -> None:
    keys = VECTORS["chains"]["keys"]
    check = ChainCheck({device: [PublicKey.parse(text) for text in texts] for device, texts in keys.items()})
    for envelope in case["envelopes"]:
        check.feed(envelope.encode())
    found = [{"position": one.position, "seq": one.seq, "code": one.code} for one in check.report.problems]
    assert found == case["problems"]


def _receipt(case: dict[str, Any]) -> Any:
    file = VECTORS["receipts"]
    key = PublicKey.parse(file["key"])
    return verify_receipt(case["envelope"].encode(), key, file["device"], file["chain"]).model_dump(mode="json")


@_cases("receipts", "good")
def test_a_receipt_is_read_as_published(case: dict[str, Any]) -> None:
    assert _receipt(case) == case["receipt"]


@_cases("receipts", "bad")
def test_a_bad_receipt_is_refused_with_the_published_code(case: dict[str, Any]) -> None:
    with _refused(case):
        _receipt(case)


@_cases("punch_receipts", "good")
def test_a_workers_receipt_is_read_as_published(case: dict[str, Any]) -> None:
    assert PunchReceipt.verify(case["text"], PublicKey.parse(case["key"])) == PunchReceipt(**case["receipt"])


@_cases("punch_receipts", "bad")
def test_a_bad_workers_receipt_is_refused_with_the_published_code(case: dict[str, Any]) -> None:
    with _refused(case):
        PunchReceipt.verify(case["text"], PublicKey.parse(case["key"]))


LEAVES = [leaf_hash(bytes([number % 256]) * 32) for number in range(300)]


@_cases("merkle", "roots")
def test_a_tree_has_its_published_root(case: dict[str, Any]) -> None:
    assert root_of(LEAVES[: case["size"]]).hex() == case["root"]


@_cases("merkle", "inclusion")
def test_a_published_path_holds(case: dict[str, Any]) -> None:
    _include(case)


@_cases("merkle", "bad_inclusion")
def test_a_bad_path_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(InclusionFailed):
        _include(case)


def _include(case: dict[str, Any]) -> None:
    path = [bytes.fromhex(one) for one in case["path"]]
    root = bytes.fromhex(case["root"]) if "root" in case else root_of(LEAVES[: case["size"]])
    verify_inclusion(LEAVES[case["index"]], case["index"], case["size"], path, root)


@_cases("merkle", "consistency")
def test_a_published_growth_holds(case: dict[str, Any]) -> None:
    _grow(case)


@_cases("merkle", "bad_consistency")
def test_a_bad_growth_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ConsistencyFailed):
        _grow(case)


def _grow(case: dict[str, Any]) -> None:
    proof = [bytes.fromhex(one) for one in case["proof"]]
    old, new = case["old"], case["new"]
    roots = {
        "old_root": root_of(LEAVES[:old]),
        "new_root": root_of(LEAVES[:new]),
    } | {name: bytes.fromhex(case[name]) for name in ("old_root", "new_root") if name in case}
    verify_consistency(old, roots["old_root"], new, roots["new_root"], proof)


def _trusted(needed: int) -> tuple[str, VerifierKey, WitnessPolicy]:
    file = VECTORS["checkpoints"]
    witnesses = tuple(VerifierKey.parse(text) for text in file["witnesses"])
    return file["origin"], VerifierKey.parse(file["log"]), WitnessPolicy(witnesses, needed)


@_cases("checkpoints", "good")
def test_a_checkpoint_is_read_as_published(case: dict[str, Any]) -> None:
    found = verify_checkpoint(case["note"].encode(), *_trusted(case["needed"]))
    assert (found.size, found.root.hex()) == (case["size"], case["root"])


@_cases("checkpoints", "bad")
def test_a_bad_checkpoint_is_refused_with_the_published_code(case: dict[str, Any]) -> None:
    with _refused(case):
        verify_checkpoint(case["note"].encode(), *_trusted(case["needed"]))


@_cases("checkpoints", "good_proofs")
def test_a_proof_is_read_as_published(case: dict[str, Any]) -> None:
    proof = TlogProof.decode(case["proof"].encode())
    proof.verify(bytes.fromhex(VECTORS["checkpoints"]["leaf"]), *_trusted(2))
    assert proof.index == case["index"]


@_cases("checkpoints", "bad_proofs")
def test_a_bad_proof_is_refused_with_the_published_code(case: dict[str, Any]) -> None:
    with _refused(case):
        TlogProof.decode(case["proof"].encode()).verify(bytes.fromhex(VECTORS["checkpoints"]["leaf"]), *_trusted(0))
