"""Two signed words: the collector's, that it holds a chain up to some seq, and the terminal's, that a worker punched.

The collector's receipt lets a terminal let rows go. The punch receipt is the worker's own proof: a QR code made
offline, at most 300 bytes, that with a bundle shows an omission.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from evidence.canonical import MAX_SAFE_INTEGER
from evidence.envelope import PUNCH_RECEIPT_TYPE, RECEIPT_TYPE, pae
from evidence.errors import BadSignature, Fork, Omitted, ReceiptError, ReceiptMismatch, TooLarge
from evidence.events import Counter, Fact, Hex128, HexDigest, Name, UtcTime
from evidence.keys import PublicKey, SigningKey
from evidence.signed_fact import sign_fact, verify_fact

MAX_PUNCH_RECEIPT_BYTES = 300  # a version 12-M QR code: readable from a cheap screen at arm's length
_PREFIX = "zaigang-receipt-v1"


class Receipt(Fact):
    """The collector holds every event of this chain from 0 to `upto`; `head` is the hash of event `upto`."""

    device: Name
    chain: Hex128
    upto: Counter
    head: HexDigest
    tree_size: Counter  # entries in the ledger after the commit that this receipt follows
    time: UtcTime


def sign_receipt(receipt: Receipt, key: SigningKey) -> bytes:
    """Return the encoded envelope of a collector's receipt."""
    return sign_fact(RECEIPT_TYPE, receipt, key)


def verify_receipt(data: bytes, key: PublicKey, device: str, chain: str) -> Receipt:
    """Read a collector's receipt for exactly this device and chain.

    Raises an EncodingError, a SignatureError or ReceiptMismatch. The caller still compares `head` with the event
    it holds at `upto` (`covers`), since only it has the journal.
    """
    receipt = read_receipt(data, key, device)
    if receipt.chain != chain:
        raise ReceiptMismatch(f"the receipt is for {receipt.device}/{receipt.chain}, not for {device}/{chain}")
    return receipt


def read_receipt(data: bytes, key: PublicKey, device: str) -> Receipt:
    """Read a collector's receipt for any chain of this device, as `verify_receipt`."""
    receipt = verify_fact(data, key, RECEIPT_TYPE, Receipt, ReceiptError, "a receipt")
    if receipt.device != device:
        raise ReceiptMismatch(f"the receipt is for {receipt.device}, not for {device}")
    return receipt


def covers(receipt: Receipt, event_hash: str | None) -> None:
    """Check that the event held at `receipt.upto` is the one the collector holds. Raises ReceiptMismatch.

    `event_hash` is None where the terminal holds no such event.
    """
    if event_hash is None:
        raise ReceiptMismatch(f"the receipt covers seq {receipt.upto}, which this journal has never written")
    if receipt.head != event_hash:
        raise ReceiptMismatch(f"the collector holds another event at seq {receipt.upto} than this journal")


@dataclass(frozen=True, slots=True)
class PunchReceipt:
    """What a worker's QR code says: which event, by its hash, at which time."""

    device: str
    chain: str
    seq: int
    hash: str  # hex SHA-256 of the event's signed bytes
    time: str  # RFC 3339 UTC with milliseconds

    def text(self, key: SigningKey) -> str:
        """The QR code's content, signed. Raises an EvidenceError for what `verify` would not read again."""
        statement = self._statement()
        signature = key.sign(pae(PUNCH_RECEIPT_TYPE, statement.encode()))
        text = f"{statement}/{_b64(signature)}"
        _split(text)
        return text

    @classmethod
    def verify(cls, text: str, key: PublicKey) -> PunchReceipt:
        """Read a QR code's content signed by the terminal's `key`. Raises an EvidenceError."""
        receipt, signature, statement = _split(text)
        key.verify(signature, pae(PUNCH_RECEIPT_TYPE, statement.encode()))
        return receipt

    @classmethod
    def verify_by_one(cls, text: str, keys: Sequence[PublicKey]) -> PunchReceipt:
        """Read a QR code's content signed by one of the terminal's `keys`, of which there is one at least.

        Raises an EvidenceError, BadSignature where none fits.
        """
        for key in keys[:-1]:
            try:
                return cls.verify(text, key)
            except BadSignature:
                continue
        return cls.verify(text, keys[-1])

    @classmethod
    def unverified(cls, text: str) -> PunchReceipt:
        """Read a QR code's content only to learn whose key must have signed it. Raises an EvidenceError."""
        return _split(text)[0]

    def stands(self, chain_hash: str | None) -> None:
        """Check that a chain shows this event; `chain_hash` is what it shows at `seq`, None where nothing.

        Raises Omitted (nothing there) or Fork (another event there).
        """
        if chain_hash is None:
            raise Omitted(
                f"{self.device} signed that event seq {self.seq} exists ({self.time}), but the chain does not show it: "
                "it was left out, or had not arrived when the chain was exported"
            )
        if chain_hash != self.hash:
            raise Fork(f"the worker holds {self.device}'s signature for another event at seq {self.seq} than is shown")

    def _statement(self) -> str:
        chain, digest = _b64(bytes.fromhex(self.chain)), _b64(bytes.fromhex(self.hash))
        return f"{_PREFIX}/{self.device}/{chain}/{self.seq}/{digest}/{self.time}"


_PARTS = re.compile(
    rf"({_PREFIX}/([a-z0-9][a-z0-9-]{{0,47}})/([A-Za-z0-9_-]{{22}})/(0|[1-9][0-9]{{0,15}})/([A-Za-z0-9_-]{{43}})"
    r"/([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z))/([A-Za-z0-9_-]{86})"
)


def _split(text: str) -> tuple[PunchReceipt, bytes, str]:
    if len(text) > MAX_PUNCH_RECEIPT_BYTES:
        raise TooLarge(f"a punch receipt has at most {MAX_PUNCH_RECEIPT_BYTES} bytes, this text {len(text)}")
    match = _PARTS.fullmatch(text)
    if match is None:
        raise ReceiptError(f"a punch receipt reads {_PREFIX}/device/chain/seq/hash/time/signature")
    statement, device, chain, seq, digest, time, signature = match.groups()
    if int(seq) > MAX_SAFE_INTEGER:
        raise ReceiptError(f"seq {seq} is beyond what an event can have")
    receipt = PunchReceipt(device, _unb64(chain).hex(), int(seq), _unb64(digest).hex(), time)
    return receipt, _unb64(signature), statement


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise ReceiptError("the receipt's base64url cannot be read") from error
    if _b64(data) != text:
        raise ReceiptError("the receipt's base64url is not canonical")
    return data
