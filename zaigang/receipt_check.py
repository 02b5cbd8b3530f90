"""Receipts held against the chains shown: what a worker or a terminal was promised must stand there.

A chain by itself cannot show that its end was cut off, nor that an event was left out everywhere; a receipt can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evidence.chain import ChainCheck
from evidence.envelope import MAX_ENVELOPE_BYTES, Envelope
from evidence.errors import EvidenceError, Omitted, ReceiptMismatch, UnknownKey
from evidence.key_history import CountingKey, signer_of
from evidence.receipt import PunchReceipt, Receipt, verify_receipt
from zaigang.chain_file import ChainFile, Finding
from zaigang.trust import Trust


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """What one receipt came to."""

    name: str  # the worker's text, or the file's name
    says: str  # what it states, where it can be read
    finding: Finding | None  # None: it holds

    @property
    def ok(self) -> bool:
        """True if it holds."""
        return self.finding is None


def check_punch_receipt(text: str, trust: Trust, files: Sequence[ChainFile]) -> CheckedReceipt:
    """Check a worker's QR text: the terminal's signature, and that the event stands in its chain with that hash."""
    says = ""
    try:
        said = PunchReceipt.unverified(text)
        says = f"{said.device} seq {said.seq} at {said.time}"
        keys = trust.device_keys().get(said.device)
        if keys is None:
            raise UnknownKey(f"the trust file names no key for {said.device}, the terminal that the receipt names")
        brought = (key for one in files if one.check.report.device == said.device for key in one.check.keys)
        # Rotations bring keys that no trust file names.
        PunchReceipt.verify_by_one(text, tuple(dict.fromkeys((*brought, *keys))))
        said.stands(_shown(files, said.device, said.chain).hash_at(said.seq))
    except EvidenceError as error:
        return CheckedReceipt(text, says, Finding(None, None, error.code, str(error)))
    return CheckedReceipt(text, says, None)


def check_collector_receipt(path: Path, trust: Trust, files: Sequence[ChainFile]) -> CheckedReceipt:
    """Check that a chain reaches as far as the collector signed that it holds. Raises OSError and TrustError."""
    keys = trust.receipt_keys()
    with path.open("rb") as file:
        data = file.read(MAX_ENVELOPE_BYTES + 2).removesuffix(b"\n")
    says = ""
    try:
        said = _receipt_for_one(data, signer_of(Envelope.decode(data), keys), files)
        says = f"{said.device} up to seq {said.upto} at {said.time}"
        shown = _shown(files, said.device, said.chain).hash_at(said.upto)
        if shown is None:
            raise Omitted(f"at {said.time} the collector signed that it holds event seq {said.upto}; it is not shown")
        if shown != said.head:
            raise ReceiptMismatch(f"the collector signed for another event at seq {said.upto} than the chain shows")
    except EvidenceError as error:
        return CheckedReceipt(str(path), says, Finding(None, None, error.code, str(error)))
    return CheckedReceipt(str(path), says, None)


def _receipt_for_one(data: bytes, signer: CountingKey, files: Sequence[ChainFile]) -> Receipt:
    problem: EvidenceError = ReceiptMismatch("no chain could be read that the receipt could be for")
    for one in files:
        report = one.check.report
        if report.device is None or report.chain is None:
            continue
        try:
            said = verify_receipt(data, signer.key, report.device, report.chain)
        except EvidenceError as error:
            problem = error
            continue
        signer.require(said.tree_size)
        return said
    raise problem


def _shown(files: Sequence[ChainFile], device: str, chain: str) -> ChainCheck:
    for one in files:
        report = one.check.report
        if (report.device, report.chain) == (device, chain):
            return one.check
    raise ReceiptMismatch(f"the receipt is for chain {chain} of {device}, which none of the files shows")
