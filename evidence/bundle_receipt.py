"""A worker's QR code or a collector's receipt held against a bundle: the event's proof, or that it was left out."""

from __future__ import annotations

from dataclasses import dataclass

from evidence.bundle_index import Erased, Line, Missing, Outside, Shown
from evidence.bundle_report import ChainFound, Report
from evidence.envelope import Envelope
from evidence.errors import EvidenceError, Fork, Omitted, ReceiptMismatch, UnknownKey
from evidence.key_history import signer_of
from evidence.keys import PublicKey
from evidence.receipt import PunchReceipt, Receipt, verify_receipt
from evidence.trust import BundleTrust


@dataclass(frozen=True, slots=True)
class ReceiptFound:
    """What a receipt came to."""

    text: str
    receipt: PunchReceipt | None = None  # None: it cannot be read
    shown: Shown | None = None  # the event's line: its place in the ledger and its proof
    error: EvidenceError | None = None

    @property
    def ok(self) -> bool:
        """True if the event stands in the bundle as the receipt says."""
        return self.shown is not None and self.error is None


def check_punch_receipt(text: str, trust: BundleTrust, report: Report) -> ReceiptFound:
    """Check the terminal's signature and look the event up in a verified bundle; nothing is raised.

    Omitted: the bundle leaves the event out. Fork: it shows, or its index names, another event at this place.
    ReceiptMismatch: the bundle is about another time, so that it need not show the event.
    """
    said: PunchReceipt | None = None
    try:
        said = PunchReceipt.unverified(text)
        found = report.chains.get((said.device, said.chain))
        PunchReceipt.verify_by_one(text, _keys(said, trust, report))
        _check_scope(said, report)
        return ReceiptFound(text, said, _look_up(said, found))
    except EvidenceError as error:
        return ReceiptFound(text, said, None, error)


def check_collector_receipt(data: bytes, trust: BundleTrust, report: Report) -> Receipt:
    """Check that a chain of the bundle reaches as far as the collector signed that it holds it, with the same event.

    Raises an EncodingError, a SignatureError, ReceiptMismatch or Omitted.
    """
    signer = signer_of(Envelope.decode(data), trust.receipt_keys())
    problem: EvidenceError = ReceiptMismatch("the bundle has no chain that the receipt could be for")
    for device, chain in report.chains:
        try:
            said = verify_receipt(data, signer.key, device, chain)
        except EvidenceError as error:
            problem = error
            continue
        signer.require(said.tree_size)
        found = report.chains[device, chain]
        line = next((one for one in found.lines if one.seq <= said.upto <= one.last), None)
        if line is None:
            raise Omitted(f"at {said.time} the collector signed that it holds seq {said.upto}; it is not there now")
        digest = _digest(line, said.upto, found)
        if digest is not None and digest != said.head:
            raise ReceiptMismatch(f"the collector signed for another event at seq {said.upto} than is shown")
        return said
    raise problem


def _keys(said: PunchReceipt, trust: BundleTrust, report: Report) -> tuple[PublicKey, ...]:
    """Those pinned, else the one that the manifest names, and those to which the terminal's chains were handed over."""
    brought = [key for (device, _), found in report.chains.items() if device == said.device for key in found.keys]
    pinned = trust.pinned(said.device)
    if pinned is None:
        if report.manifest is None:
            raise UnknownKey("the bundle's manifest cannot be read, so it names no key for the receipt")
        pinned = (report.manifest.key_for(said.device, said.chain, said.seq),)
    return tuple(dict.fromkeys((*pinned, *brought)))


def _check_scope(said: PunchReceipt, report: Report) -> None:
    scope = None if report.manifest is None else report.manifest.scope
    if scope is not None and not scope.since <= said.time < scope.until:
        raise ReceiptMismatch(
            f"the receipt is of {said.time}, the bundle is about {scope.since} to {scope.until} and need not show it"
        )


def _look_up(said: PunchReceipt, found: ChainFound | None) -> Shown:
    who = f"{said.device} signed on {said.time} that event seq {said.seq} exists"
    if found is None:
        raise Omitted(f"{who}; the bundle does not have its chain at all")
    line = next((one for one in found.lines if one.seq <= said.seq <= one.last), None)
    if line is None:
        raise Omitted(f"{who}; the chain in the bundle ends before it or does not account for it")
    digest = _digest(line, said.seq, found)
    if digest is not None and digest != said.hash:
        raise Fork(f"{who} with another hash than the bundle gives for it: one of the two was forged or replaced")
    if isinstance(line, Shown):
        return line
    raise Omitted(f"{who}; {_why(line)}")


def _digest(line: Line, seq: int, found: ChainFound) -> str | None:
    if isinstance(line, Shown):
        return found.hashes.get(seq)
    if isinstance(line, Missing) or (isinstance(line, Outside) and seq != line.last):
        return None
    return line.hash


def _why(line: Line) -> str:
    if isinstance(line, Outside):
        return "the bundle counts it as out of its period, which it is not, and does not show it"
    if isinstance(line, Erased):
        return f"it was erased, as ledger entry {line.by} authorised"
    if isinstance(line, Missing):
        return f"the collector says, in ledger entry {line.by}, that it could never be read"
    return "the bundle withholds it as somebody else's"
